"""Read the one document of a sale in the books and compare it with the till."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mapping.references import ROUNDING_ITEM
from tests.handlers.shop import Shop


def agree(shop: Shop, sale: dict[str, Any]) -> dict[str, Any]:
    """The only document, which must have the till's total and VAT."""
    ((document,),) = shop.documents().values()
    sign = -1 if sale["totalInclAmount"] < 0 else 1
    vat = sum(group["vatAmount"] for group in sale["vatGroupList"]["vatGroup"])
    assert document["TotalAmt"] == sign * Decimal(sale["totalInclAmount"]) / 100
    assert document["TxnTaxDetail"]["TotalTax"] == sign * Decimal(vat) / 100
    return document


def items_of(document: dict[str, Any]) -> list[str]:
    """The items of a document's lines, rounding aside."""
    details = (line.get("SalesItemLineDetail") for line in document["Line"])
    names = [detail["ItemRef"]["name"] for detail in details if detail]
    return [name for name in names if name != ROUNDING_ITEM]


def amounts_of(document: dict[str, Any]) -> dict[str, Decimal]:
    """Net by item of a document's lines, lines of one item added up."""
    found: dict[str, Decimal] = {}
    for line in document["Line"]:
        if detail := line.get("SalesItemLineDetail"):
            name = detail["ItemRef"]["name"]
            found[name] = found.get(name, Decimal(0)) + line["Amount"]
    return found


def taxes_of(document: dict[str, Any]) -> dict[Decimal, tuple[Decimal, Decimal]]:
    """Net and VAT by rate, as the books state them."""
    lines = document["TxnTaxDetail"]["TaxLine"]
    details = [(line["TaxLineDetail"], line["Amount"]) for line in lines]
    return {Decimal(each["TaxPercent"]): (each["NetAmountTaxable"], amount) for each, amount in details}


def stated_by(sale: dict[str, Any]) -> dict[Decimal, tuple[Decimal, Decimal]]:
    """Net and VAT by rate, as the till states them."""
    return {
        Decimal(each["vatPercentage"]) / 100: (Decimal(each["exclAmount"]) / 100, Decimal(each["vatAmount"]) / 100)
        for each in sale["vatGroupList"]["vatGroup"]
    }

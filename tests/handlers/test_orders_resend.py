"""Resend an order, and dry-run it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, planned, sold


def everything(shop: Shop) -> dict[str, Any]:
    return {
        name: shop.rows(name) for name in ("Customer", "Item", "PaymentMethod", "SalesReceipt", "Invoice", "Payment")
    }


def test_a_dry_run_says_what_would_be_sent_and_made_and_makes_nothing(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Jan de Vries", email="jan@example.nl")
    receipt = shop.till.sell(
        lines=[sold(1003), sold(1002)], relation=relation["relationNumber"], payments=[Tender("CONTANT", 10333)]
    )
    before = everything(shop)
    plan = planned(shop.resend(receipt["receiptId"], dry_run=True))
    assert everything(shop) == before
    assert (plan["action"], plan["entity"], plan["total"]) == ("book", "SalesReceipt", Decimal("103.33"))
    assert plan["would_create"] == [
        "(would be created: customer Jan de Vries)",
        "(would be created: payment method Contant)",
        "(would be created: item Rounding difference (Kassabridge))",
    ]
    assert plan["references"]["customer"] == plan["would_create"][0]
    assert plan["body"]["CustomerRef"]["value"] == plan["would_create"][0]
    assert set(plan["references"]["items"]) == {"1003", "1002"}
    assert {row["name"] for row in plan["references"]["tax_codes"].values()} == {"21% BTW", "9% BTW"}
    assert shop.resend(receipt["receiptId"]).state == "done"
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("103.33")


def test_a_dry_run_of_a_booked_sale_says_what_would_change_if_anything(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert planned(shop.resend(receipt["receiptId"], dry_run=True))["action"] == "nothing: already booked"
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)])
    plan = planned(shop.resend(receipt["receiptId"], dry_run=True))
    assert (plan["action"], plan["already"]["id"], plan["total"]) == ("update", shop.only("SalesReceipt")["Id"], 100)
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("12.50")


def test_a_dry_run_names_what_is_in_the_way(shop: Shop) -> None:
    article = {"articleNumber": 77, "description": "Nieuw", "priceIncl": 100, "vatCode": 2, "turnoverGroup": 1}
    shop.till.add_product({"description": "Nieuw", "articleList": {"article": [article]}})
    receipt = shop.till.sell(lines=[sold(77)])
    plan = planned(shop.resend(receipt["receiptId"], dry_run=True))
    assert "77" in plan["refused"]
    assert "SKU" in plan["fix"]


def test_the_echo_of_a_document_does_not_block_a_resend(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    document = shop.only("SalesReceipt")["Id"]
    shop.hear_of("SalesReceipt", document, "Create", key="echo")
    shop.books.delete(REALM, "SalesReceipt", document)
    assert shop.resend(receipt["transactionString"]).state == "done"
    assert len(shop.rows("SalesReceipt")) == 1


def book_elsewhere(shop: Shop, sale: dict[str, Any], entity: str, net: str) -> dict[str, Any]:
    """A sale booked by another connector: the sale's number and day, another customer and line."""
    customer = shop.books.put_customer(REALM, {"DisplayName": "Balie"})["Id"]
    line = {
        "Amount": Decimal(net),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {
            "ItemRef": {"value": shop.find("Item", Sku="1001")["Id"]},
            "TaxCodeRef": {"value": shop.find("TaxCode", Name="21% BTW")["Id"]},
        },
    }
    day = "{year}-{mon:02}-{day:02}".format(**sale["financialDate"])
    other = {"TxnDate": day, "DocNumber": sale["transactionString"], "CustomerRef": {"value": customer}}
    return dict(shop.books.put(REALM, entity, {**other, "Line": [line]}))


def test_a_sale_that_another_connector_booked_is_adopted_if_wanted(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[orders]\nadopt = true")
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.till.sell(lines=[sold(1003)])
    shop.work()
    theirs = book_elsewhere(shop, receipt, "SalesReceipt", "10.33")
    assert theirs["TotalAmt"] == Decimal("12.50")
    shop.settle()
    assert [row["TotalAmt"] for row in shop.rows("SalesReceipt")] == [Decimal("12.50"), Decimal(100)]
    assert shop.newest(receipt["receiptId"]).target_id == theirs["Id"]


@pytest.mark.parametrize("lines", [[sold(1003)], []], ids=["changed", "cancelled"])
def test_what_another_connector_booked_is_never_written_nor_paid_by_us(
    open_shop: Callable[..., Shop], lines: list[Any]
) -> None:
    shop = open_shop("[orders]\nadopt = true")
    receipt = shop.till.sell(lines=[sold(1001)], payments=[Tender("PIN", 1000), Tender("CONTANT", 250)])
    theirs = book_elsewhere(shop, receipt, "Invoice", "10.33")
    shop.settle()
    assert (shop.newest(receipt["receiptId"]).state, shop.rows("Payment")) == ("done", [])
    shop.till.edit_receipt(receipt["receiptId"], lines=lines, payments=None if lines else [])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code) == ("parked", "adopted")
    assert (shop.only("Invoice"), shop.rows("Payment")) == (theirs, [])


def test_what_has_the_number_but_another_total_is_not_adopted(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[orders]\nadopt = true")
    receipt = shop.till.sell(lines=[sold(1001)])
    theirs = book_elsewhere(shop, receipt, "SalesReceipt", "10.00")
    shop.settle()
    assert [row["Id"] for row in shop.rows("SalesReceipt")] != [theirs["Id"]]
    assert shop.newest(receipt["receiptId"]).target_id != theirs["Id"]

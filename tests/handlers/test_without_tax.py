"""A company that has switched VAT off, as a shop does that charges none: no tax codes, and no VAT to book."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from mapping import list_entries
from mapping.records import CompanyProfile, TaxCode
from tests.handlers.counter import article, hear
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_agreement import agree

TAXED, FREE, NO_VAT = 1001, 1900, 0


@pytest.fixture
def small_shop(shop: Shop) -> Shop:
    shop.books.set_preference(REALM, "TaxPrefs", "UsingSalesTax", value=False)
    shop.stock(FREE, "4.50", 0, NO_VAT)
    for code in shop.rows("TaxCode"):
        shop.books.put(REALM, "TaxCode", {"Id": code["Id"], "Active": False})
    return shop


def test_a_sale_without_vat_is_booked_without_a_tax_code(small_shop: Shop) -> None:
    sale = small_shop.till.sell(lines=[sold(FREE, 3)])
    small_shop.settle()
    assert [event.reason for event in small_shop.parked()] == []
    document = small_shop.only("SalesReceipt")
    assert document["TotalAmt"] == Decimal(sale["totalInclAmount"]) / 100
    assert "TaxCodeRef" not in document["Line"][0]["SalesItemLineDetail"]
    report = agree(small_shop)
    assert report["agrees"], report["rows"]


def test_a_sale_with_vat_names_its_rate_and_the_way_out(small_shop: Shop) -> None:
    small_shop.till.sell(lines=[sold(TAXED)])
    small_shop.settle()
    (event,) = small_shop.parked()
    assert "21 %" in str(event.reason)
    assert "switch VAT on in QuickBooks" in str(event.fix)


def test_books_that_compute_sales_tax_themselves_get_no_sale_with_vat(shop: Shop) -> None:
    shop.books.set_preference(REALM, "TaxPrefs", "PartnerTaxEnabled", value=True)
    shop.books.put(REALM, "CompanyInfo", {"Id": "1", "Country": "US"})
    shop.stock(FREE, "4.50", 0, NO_VAT)
    sale = shop.till.sell(lines=[sold(TAXED)])
    shop.till.sell(lines=[sold(FREE, 3)])
    shop.settle()
    assert [row["TotalAmt"] for row in shop.rows("SalesReceipt")] == [Decimal("13.50")]
    (event,) = shop.parked()
    assert (event.entity_id, event.code) == (sale["receiptId"], "tax-computed-by-books")


def test_automated_sales_tax_is_of_companies_in_the_united_states_only(shop: Shop) -> None:
    shop.books.set_preference(REALM, "TaxPrefs", "PartnerTaxEnabled", value=True)
    sale = shop.till.sell(lines=[sold(TAXED)])
    shop.settle()
    assert shop.parked() == []
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(sale["totalInclAmount"]) / 100


def test_an_item_without_a_tax_code_gets_the_tills_code_of_no_vat(small_shop: Shop) -> None:
    body = {"Name": "Honing", "Sku": "1800", "Type": "NonInventory", "UnitPrice": Decimal("4.50")}
    body |= {"IncomeAccountRef": {"value": small_shop.account("Sales of Product Income")}}
    item = small_shop.books.put_item(REALM, body)
    event = hear(small_shop, item["Id"])
    assert (event.state, event.reason) == ("done", None)
    assert (article(small_shop, 1800)["vatCode"], article(small_shop, 1800)["priceIncl"]) == (NO_VAT, 450)


def test_only_without_any_tax_code_one_stands_for_none() -> None:
    off = CompanyProfile("Winkel", "NL", "EUR", True, False, False, None, uses_tax=False)
    kept = (TaxCode("7", "0% BTW", active=True, percentage=Decimal(0)),)
    gone = (dataclasses.replace(kept[0], active=False),)
    assert list_entries.with_untaxed(kept, off) == kept
    assert list_entries.with_untaxed((), dataclasses.replace(off, uses_tax=True)) == ()
    assert [code.id for code in list_entries.with_untaxed(gone, off)] == [""]
    assert [code.id for code in list_entries.with_untaxed((), dataclasses.replace(off, country="US"))] == ["NON"]

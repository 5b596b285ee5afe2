"""The shop on its first morning: believable books, and a till that still waits for its articles."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from sandbox.quickbooks import demo
from sandbox.shop.catalogue import CATEGORIES, GOODS, NOVELTIES
from sandbox.shop.furnishing import REALM
from tests.sandbox.shop.conftest import Shop, open_shop


def items(shop: Shop) -> list[dict[str, Any]]:
    return shop.books.rows(REALM, "Item")


def test_the_books_hold_some_sixty_items_of_every_type(shop: Shop) -> None:
    types = Counter(item["Type"] for item in items(shop))
    assert types["Category"] == len(CATEGORIES)
    assert types["Group"] == 1
    assert 55 <= types["Inventory"] + types["NonInventory"] + types["Service"] <= 75
    assert types["Inventory"] > 20
    assert types["NonInventory"] > 8
    assert types["Service"] == 3


def test_categories_form_a_tree_and_hold_the_goods(shop: Shop) -> None:
    names = {item["FullyQualifiedName"] for item in items(shop)}
    assert {"Kaas:Boerenkaas:Boerenkaas oud", "Cadeaus:Aan tafel", "Diensten:Bezorgen in de stad"} <= names


def test_variants_are_items_whose_names_begin_alike(shop: Shop) -> None:
    prefix = "Cadeaus:Aan tafel:Schort linnen - "
    found = {row["FullyQualifiedName"] for row in items(shop) if row["FullyQualifiedName"].startswith(prefix)}
    assert {name.removeprefix(prefix) for name in found} == {"Blauw / M", "Blauw / L", "Rood / M", "Rood / L"}


def test_skus_are_numbers_but_for_the_special_cases(shop: Shop) -> None:
    skus = Counter(item.get("Sku") for item in items(shop) if item["Type"] != "Category")
    assert max(skus.values()) == 1
    assert [sku for sku in skus if sku is None or not sku.isdecimal()] == ["KADO-01", None]


def test_long_skus_are_barcodes_with_a_right_check_digit() -> None:
    barcodes = [good.sku for good in (*GOODS, *NOVELTIES) if len(good.sku) == 13]
    assert len(barcodes) == 7
    for barcode in barcodes:
        digits = [int(digit) for digit in barcode]
        assert (sum(digits[::2]) + 3 * sum(digits[1::2])) % 10 == 0, barcode


def test_all_three_rates_and_both_kinds_of_price_occur(shop: Shop) -> None:
    priced = [item for item in items(shop) if "UnitPrice" in item]
    company = shop.books.companies[REALM]
    codes = Counter(item["SalesTaxCodeRef"]["value"] for item in priced)
    assert {demo.tax_code_id(company, rate) for rate in (0, 9, 21)} == set(codes)
    assert {item["SalesTaxIncluded"] for item in priced} == {True, False}
    assert any(item["UnitPrice"].as_tuple().exponent < -2 for item in priced) is False
    assert any(ord(letter) > 127 for item in priced for letter in item.get("Description", ""))


def test_two_items_rest_and_the_bundle_names_its_parts(shop: Shop) -> None:
    assert len([item for item in items(shop) if not item["Active"]]) == 2
    bundle = next(item for item in items(shop) if item["Type"] == "Group")
    assert len(bundle["ItemGroupDetail"]["ItemGroupLine"]) == 3


def test_gift_cards_are_a_liability_and_not_turnover(shop: Shop) -> None:
    card = shop.books.find(REALM, "Item", Sku="1702")
    assert card is not None
    account = shop.books.companies[REALM].get("Account", card["IncomeAccountRef"]["value"])
    assert account["Classification"] == "Liability"


def test_branches_and_departments_have_the_same_names(shop: Shop) -> None:
    branches = {row["branchName"] for row in shop.till.till["branches"]}
    assert branches == {row["Name"] for row in shop.books.rows(REALM, "Department")} == {"Utrecht", "Amersfoort"}


def test_the_till_has_people_and_ways_to_pay_but_no_articles(shop: Shop) -> None:
    tables = shop.till.till
    assert len(tables["articles"]) == len(tables["products"]) == 0
    assert {"CONTANT", "PIN", "CREDITCARD"} <= {row["method"] for row in tables["payment_methods"]}
    assert 999999 in tables["employees"]
    relations = list(tables["relations"])
    assert sum(not row["email"] for row in relations) == 1
    assert sum(bool(row["companyName"]) for row in relations) == 4
    assert {row["country"] for row in relations} == {"Nederland", "Duitsland"}


def test_furnishing_sends_no_webhooks(shop: Shop) -> None:
    assert not shop.books.outbox.waiting
    assert shop.till.courier.seen == []


def test_the_seed_decides_the_stock_and_nothing_else_does() -> None:
    def count(seed: str) -> list[Decimal]:
        return [Decimal(item["QtyOnHand"]) for item in items(open_shop(seed)) if item.get("TrackQtyOnHand")]

    assert count("a") == count("a") != count("b")

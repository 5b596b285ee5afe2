"""A preview shows field by field what would be written and why, and writes nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.store import requests
from gateway.store.events import Flow
from gateway.store.requests import By
from tests.handlers.counter import (
    OpenShop,
    add_category,
    add_stocked,
    article,
    below,
    change,
    groups,
    has_article,
    hear,
    writes,
)
from tests.handlers.shop import REALM, Shop


def preview(
    shop: Shop, record: str, flow: Flow = Flow.PRODUCTS, *, by: By = By.ID, settings: str | None = None
) -> dict[str, Any]:
    event_id = shop.receive(requests.preview(flow, record, connection="default", by=by, settings=settings))
    shop.work()
    event = shop.event(event_id)
    assert event.state == "done"
    found: dict[str, Any] = json.loads(event.result or "")
    return found


def test_a_new_item_is_explained_step_by_step_and_not_made(open_shop: OpenShop) -> None:
    shop = open_shop('[products.fields]\nreceipt_text = {do = "text", action = "upper", of = "Name"}')
    item = shop.add_item("7001", "12.50", Name="Oude kaas")
    shown = preview(shop, item["Id"])
    fields = {row["field"]: row for row in shown["fields"]}
    assert shown["outcome"] == "created"
    assert (fields["price_incl_cents"]["value"], fields["price_incl_cents"]["source"]) == (1250, "UnitPrice")
    receipt = fields["receipt_text"]
    assert (receipt["value"], receipt["source"]) == ("OUDE KAAS", "products.fields.receipt_text")
    assert [step["after"] for step in receipt["steps"]] == ["Oude kaas", "OUDE KAAS"]
    assert not has_article(shop, 7001)


def test_what_is_kept_says_why_beside_what_is_there(open_shop: OpenShop) -> None:
    shop = open_shop('[products.write]\nprice = "create"')
    item = shop.add_item("7001", "12.50", Name="Oude kaas")
    hear(shop, item["Id"])
    shop.till.till["articles"].get(7001)["receiptText"] = "Kaas v.d. boer"
    change(shop, item["Id"], UnitPrice="13.95")
    before = writes(shop)
    shown = preview(shop, item["Id"])
    fields = {row["field"]: row for row in shown["fields"]}
    assert shown["outcome"] == "unchanged"
    assert (fields["price_incl_cents"]["present"], fields["price_incl_cents"]["value"]) == (1250, 1395)
    assert fields["price_incl_cents"]["kept"] == 'products.write.price is "create"'
    assert fields["receipt_text"]["kept"] == "the till has a text of its own there"
    assert fields["description"]["kept"] is None
    assert writes(shop) == before
    assert article(shop, 7001)["priceIncl"] == 1250


def test_an_item_that_would_park_says_what_to_do(shop: Shop) -> None:
    shown = preview(shop, shop.add_item("ABC")["Id"])
    assert shown["outcome"] == "parked"
    assert "ABC" in shown["reason"]
    assert shown["fix"]


def test_stock_is_previewed_per_branch(shop: Shop) -> None:
    item = add_stocked(shop, "7001", 12)
    hear(shop, item["Id"])
    shop.books.set_stock(REALM, item["Id"], Decimal(9))
    (row,) = preview(shop, item["Id"], Flow.STOCK)["stock"]
    assert [Decimal(str(row[name])) for name in ("branch", "present", "value", "change")] == [1, 12, 9, -3]


def test_an_article_number_that_somebody_else_holds_names_the_other_record(shop: Shop) -> None:
    first = shop.add_item("7001", Name="Kaas")
    hear(shop, first["Id"])
    second = shop.add_item("7002", Name="Brood")
    change(shop, second["Id"], Sku="7001")
    shown = preview(shop, second["Id"])
    assert shown["outcome"] == "parked"
    assert shown["record"] == "article 7001"
    named = ('item "Kaas" (SKU 7001)', 'item "Brood" (SKU 7001)')
    assert all(name in shown["reason"] for name in named)
    shop.till.till["articles"].get(1001)["extArticleId"] = "webshop-12"
    shown = preview(shop, shop.find("Item", Sku="1001")["Id"])
    assert shown["outcome"] == "parked"
    assert '"webshop-12"' in shown["reason"]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"Type": "Service", "Sku": "7001", "Active": False}, "skipped", "never had"),
    ({"Sku": None}, "parked", "no SKU"),
    ({"Sku": "7001", "SalesTaxCodeRef": {"value": "999"}}, "parked", "tax code"),
]


@pytest.mark.parametrize(("fields", "outcome", "why"), REFUSED)
def test_what_does_not_cross_is_previewed_with_its_reason(
    shop: Shop, fields: dict[str, Any], outcome: str, why: str
) -> None:
    item = shop.add_item("7001", Name="Kaas")
    shop.company.get("Item", item["Id"]).update(fields)
    shown = preview(shop, item["Id"])
    assert (shown["outcome"], why in shown["reason"]) == (outcome, True)


def test_a_bundle_a_foreign_currency_and_a_flow_that_is_off_have_a_reason(open_shop: OpenShop) -> None:
    shop = open_shop()
    item = shop.add_item("7001")
    bundle = shop.books.put(REALM, "Item", {"Name": "Pakket", "Type": "Group"})
    shown = preview(shop, bundle["Id"])
    assert (shown["outcome"], shown["reason"]) == ("skipped", "bundles are not sold at the till")
    shop.company.get("Item", item["Id"])["CurrencyRef"] = {"value": "USD"}
    shown = preview(shop, item["Id"])
    assert (shown["outcome"], shown["field"]) == ("parked", "currency")
    shop.switch("[products]\nenabled = false")
    assert preview(shop, item["Id"])["field"] == "products.enabled"


def test_a_variant_is_previewed_with_the_product_of_its_family(open_shop: OpenShop) -> None:
    shop = open_shop("[products]\nvariants = true")
    blue, red = (
        shop.add_item(sku, Name=f"Tee - {name} / S")["Id"] for sku, name in (("7001", "Blue"), ("7002", "Red"))
    )
    shown = preview(shop, blue)
    rows = {row["field"]: row["value"] for row in shown["fields"]}
    assert (shown["outcome"], shown["family"]["product"]) == ("created", "given when the item is written")
    assert [rows[name] for name in ("product", "description", "colour", "size")] == [
        "Tee",
        "Tee - Blue / S",
        "Blue",
        "S",
    ]
    hear(shop, blue)
    shown = preview(shop, red)
    assert shown["family"] == {
        "name": "Tee", "product": article(shop, 7001)["_product"], "colour": "Red", "size": "S"
    }  # fmt: skip
    (row,) = [row for row in shown["fields"] if row["field"] == "product"]
    assert (row["present"], row["source"]) == ("Tee", "products.family_pattern")


def test_a_category_is_previewed_with_its_place_and_an_item_with_its_group(shop: Shop) -> None:
    food = add_category(shop, "Food")
    cheese = add_category(shop, "Cheese", food["Id"])
    item = shop.add_item("7001", **below(cheese["Id"]))
    (*_, group) = preview(shop, item["Id"])["fields"]
    assert (group["field"], group["value"]) == ("group", "given when the item is written")
    hear(shop, item["Id"])
    again_while_waiting(shop)
    (*_, group) = preview(shop, item["Id"])["fields"]
    assert group["value"] == group["present"] == groups(shop)["Cheese"]["groupNumber"]
    change(shop, cheese["Id"], Name="Kaas")
    shown = preview(shop, cheese["Id"], Flow.CATEGORIES)
    name, place = shown["fields"]
    assert (shown["outcome"], name["present"], name["value"]) == ("updated", "Cheese", "Kaas")
    assert place["value"] == groups(shop)["Food"]["groupNumber"]
    shop.company.get("Item", cheese["Id"])["Active"] = False
    (ended,) = preview(shop, cheese["Id"], Flow.CATEGORIES)["fields"]
    assert (ended["field"], ended["value"]) == ("active", False)


def again_while_waiting(shop: Shop) -> None:
    while waiting := shop.events(state="waiting"):
        for event in waiting:
            shop.retry(event)


def test_a_text_to_be_emptied_and_one_of_the_staff_are_distinguished(shop: Shop) -> None:
    item = shop.add_item("7001", Description="Een jaar gerijpt")
    hear(shop, item["Id"])
    change(shop, item["Id"], Description="")
    text = {row["field"]: row for row in preview(shop, item["Id"])["fields"]}["extra_text"]
    assert (text["value"], text["present"], text["kept"]) == ("", "Een jaar gerijpt", None)
    shop.till.till["articles"].get(7001)["extraText"] = "Van boer Jan"
    assert "extra_text" not in {row["field"] for row in preview(shop, item["Id"])["fields"]}
    change(shop, item["Id"], Description="Twee jaar gerijpt")
    text = {row["field"]: row for row in preview(shop, item["Id"])["fields"]}["extra_text"]
    assert text["kept"] == "the till has a text of its own there"


def test_stock_is_previewed_with_its_formulas_figures_or_a_reason_for_none(open_shop: OpenShop) -> None:
    shop = open_shop("[stock]\nsafety = 1\n[stock.branches.1]\nshare = 50\nformula = 'on_hand - safety'")
    item = add_stocked(shop, "7001", 12)
    hear(shop, item["Id"])
    (row,) = preview(shop, item["Id"], Flow.STOCK)["stock"]
    said = {name: row[name] for name in ("unposted", "estimates", "share", "safety", "formula")}
    assert said == {"unposted": 0, "estimates": 0, "share": 50, "safety": 1, "formula": "on_hand - safety"}
    shown = preview(shop, shop.add_item("7002", Type="Service")["Id"], Flow.STOCK)
    assert (shown["outcome"], shown["field"]) == ("skipped", "quantity on hand")


def test_an_item_is_found_by_sku_or_name_and_an_unknown_one_is_answered(shop: Shop) -> None:
    item = shop.add_item("7001", "12.50", Name="Oude kaas")
    for by, word in ((By.SKU, "7001"), (By.NAME, "Oude kaas")):
        assert preview(shop, word, by=by)["id"] == item["Id"]
    other = shop.add_item("7002", "1.00", Name="Jonge kaas")
    change(shop, other["Id"], Sku="7001")
    doubled = preview(shop, "7001", by=By.SKU)
    assert (doubled["outcome"], "2 items" in doubled["reason"]) == ("unknown", True)
    for by in By:
        assert preview(shop, "999", by=by)["outcome"] == "unknown"
    assert shop.parked() == []


def test_a_document_that_is_not_in_force_is_tried_and_changes_nothing(shop: Shop) -> None:
    item = shop.add_item("ABC", "12.50")
    draft = '[products]\nsku_with_letters = "allocate"\nallocate_from = 5000\n'
    assert preview(shop, item["Id"])["outcome"] == "parked"
    tried = preview(shop, item["Id"], settings=draft)
    assert tried["outcome"] == "created"
    assert {row["field"] for row in tried["fields"]} > {"description", "price_incl_cents"}
    assert preview(shop, item["Id"])["outcome"] == "parked"
    assert not has_article(shop, 5000)


def test_categories_that_a_document_to_try_switches_off_would_be_skipped(shop: Shop) -> None:
    food = add_category(shop, "Food")
    tried = preview(shop, food["Id"], Flow.CATEGORIES, settings="[categories]\nenabled = false\n")
    assert (tried["outcome"], tried["field"]) == ("skipped", "categories.enabled")
    assert preview(shop, food["Id"], Flow.CATEGORIES)["outcome"] == "created"


def test_an_item_has_no_e_mail_address(shop: Shop) -> None:
    assert preview(shop, "a@example.nl", by=By.EMAIL)["outcome"] == "unknown"


def test_a_preview_says_unchanged_until_something_differs(shop: Shop) -> None:
    category = add_category(shop, "Kaas")
    item = shop.add_item("7001", "12.50", Name="Oude kaas", **below(category["Id"]))["Id"]
    assert preview(shop, item)["outcome"] == "created"
    hear(shop, item)
    before = writes(shop)
    assert preview(shop, item)["outcome"] == "unchanged"
    assert preview(shop, category["Id"], Flow.CATEGORIES)["outcome"] == "unchanged"
    change(shop, item, UnitPrice="13.95")
    change(shop, category["Id"], Name="Kazen")
    assert preview(shop, item)["outcome"] == "updated"
    assert preview(shop, category["Id"], Flow.CATEGORIES)["outcome"] == "updated"
    assert writes(shop) == before


def test_a_preview_of_an_item_whose_group_changes_says_updated(shop: Shop) -> None:
    cheese, wine = add_category(shop, "Kaas")["Id"], add_category(shop, "Wijn")["Id"]
    item = shop.add_item("7001", "12.50", Name="Oude kaas", **below(cheese))["Id"]
    hear(shop, item)
    change(shop, item, **below(wine))
    assert preview(shop, item)["outcome"] == "updated"


LEFT_OUT = '[products.filter]\nfield = "Name"\nis = "starts_with"\nvalue = "Web"'


@pytest.mark.parametrize(
    ("policy", "outcome"), [("deactivate", "deactivated"), ("park", "parked"), ("keep", "skipped")]
)
def test_a_preview_of_an_item_left_out_names_what_the_policy_does(shop: Shop, policy: str, outcome: str) -> None:
    document = f'[products]\nleft_out = "{policy}"\n{LEFT_OUT}'
    item = shop.add_item("7001", "2.00", Name="Cheese")["Id"]
    assert preview(shop, item, settings=document)["outcome"] == "skipped"
    hear(shop, item)
    shown = preview(shop, item, settings=document)
    assert (shown["outcome"], shown["field"], shown["article"]) == (outcome, "products.filter", 7001)
    assert article(shop, 7001)["active"]
    shop.switch(document)
    event = hear(shop, item)
    assert event.state == {"deactivated": "done", "parked": "parked", "skipped": "skipped"}[outcome]
    assert shown["reason"] in (event.reason or "")
    if outcome == "deactivated":
        assert preview(shop, item)["outcome"] == "unchanged"

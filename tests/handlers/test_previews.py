"""A preview says field by field what would be written and why, and writes nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from gateway.store import requests
from gateway.store.events import Flow
from tests.handlers.counter import OpenShop, add_stocked, article, change, has_article, hear, writes
from tests.handlers.shop import REALM, Shop


def preview(shop: Shop, item_id: str, flow: Flow = Flow.PRODUCTS) -> dict[str, Any]:
    event_id = shop.receive(requests.preview(flow, item_id, connection="default"))
    shop.work()
    event = shop.event(event_id)
    assert event.state == "done"
    found: dict[str, Any] = json.loads(event.result or "")
    return found


def test_a_new_item_is_explained_step_by_step_and_not_made(open_shop: OpenShop) -> None:
    shop = open_shop('[products.fields]\nreceipt_text = {do = "text", action = "upper", of = "Name"}')
    item = shop.add_item("7001", "12.50", Name="Oude kaas")
    told = preview(shop, item["Id"])
    fields = {row["field"]: row for row in told["fields"]}
    assert told["outcome"] == "created"
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
    told = preview(shop, item["Id"])
    fields = {row["field"]: row for row in told["fields"]}
    assert told["outcome"] == "updated"
    assert (fields["price_incl_cents"]["present"], fields["price_incl_cents"]["value"]) == (1250, 1395)
    assert fields["price_incl_cents"]["kept"] == 'products.write.price is "create"'
    assert fields["receipt_text"]["kept"] == "the till has a text of its own there"
    assert fields["description"]["kept"] is None
    assert writes(shop) == before
    assert article(shop, 7001)["priceIncl"] == 1250


def test_an_item_that_would_park_says_what_to_do(shop: Shop) -> None:
    told = preview(shop, shop.add_item("ABC")["Id"])
    assert told["outcome"] == "parked"
    assert "ABC" in told["reason"]
    assert told["fix"]


def test_stock_is_previewed_per_branch(shop: Shop) -> None:
    item = add_stocked(shop, "7001", 12)
    hear(shop, item["Id"])
    shop.books.set_stock(REALM, item["Id"], Decimal(9))
    (row,) = preview(shop, item["Id"], Flow.STOCK)["stock"]
    assert [Decimal(str(row[name])) for name in ("branch", "present", "value", "change")] == [1, 12, 9, -3]

"""Edits of the till's staff stay: at any time, and for every field that a policy leaves to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.mpluskassa import catalogue
from sandbox.mpluskassa.operations import HANDLERS
from tests.handlers.counter import OpenShop, article, change, hear
from tests.handlers.shop import REALM, Shop

OMITTED = pytest.mark.parametrize("omitted", ["clear", "keep"])


def edit_after_a_look(monkeypatch: pytest.MonkeyPatch, number: int, **fields: Any) -> None:
    """The staff saves an article just after the gateway has read it."""
    look: Callable[..., Any] = HANDLERS["getProducts"]
    waiting = [fields]

    def looked(till: Any, request: Any) -> Any:
        answer = look(till, request)
        if waiting and number in till["articles"]:
            row = till["articles"].get(number)
            till["articles"].put({**row, **waiting.pop()})
            catalogue.stamp(till, row["_product"])
        return answer

    monkeypatch.setattr("sandbox.mpluskassa.app.HANDLERS", {**HANDLERS, "getProducts": looked})


@OMITTED
def test_a_description_that_is_ours_only_to_create_stays(open_shop: OpenShop, omitted: str) -> None:
    shop = open_shop('[products.write]\ndescription = "create"')
    shop.till.till.switches.omitted_fields = omitted
    item = str(shop.add_item("7001", "2.00", Name="Kaas")["Id"])
    hear(shop, item)
    assert article(shop, 7001)["description"] == "Kaas"
    shop.till.till["articles"].get(7001)["description"] = "Kaas van de boer"
    change(shop, item, Name="Oude kaas")
    hear(shop, item)
    assert article(shop, 7001)["description"] == "Kaas van de boer"
    assert article(shop, 7001)["receiptText"] == "Oude kaas"


@OMITTED
def test_an_edit_between_look_and_write_stays(shop: Shop, monkeypatch: pytest.MonkeyPatch, omitted: str) -> None:
    shop.till.till.switches.omitted_fields = omitted
    item = str(shop.add_item("7001", "2.00", Name="Kaas")["Id"])
    hear(shop, item)
    edit_after_a_look(monkeypatch, 7001, brandName="Beemster", receiptText="Kaas v.d. boer")
    change(shop, item, UnitPrice="2.50")
    assert hear(shop, item).state == "done"
    found = article(shop, 7001)
    assert (found["priceIncl"], found["brandName"], found["receiptText"]) == (250, "Beemster", "Kaas v.d. boer")


@OMITTED
@pytest.mark.parametrize(("document", "name"), [
    ("", "Kaas van de boer"),
    ('[products.write]\ndescription = "create"', "Kaas van de boer"),
    ('[products.write]\ndescription = "both"', "Oude kaas"),
])  # fmt: skip
def test_a_name_that_staff_gave_stays_unless_the_books_own_it(
    open_shop: OpenShop, document: str, name: str, omitted: str
) -> None:
    shop = open_shop(document)
    shop.till.till.switches.omitted_fields = omitted
    item = str(shop.add_item("7001", "2.00", Name="Kaas")["Id"])
    hear(shop, item)
    shop.till.till["articles"].get(7001)["description"] = "Kaas van de boer"
    change(shop, item, Name="Oude kaas", UnitPrice="2.50")
    hear(shop, item)
    found = article(shop, 7001)
    assert (found["description"], found["receiptText"], found["priceIncl"]) == (name, "Oude kaas", 250)
    change(shop, item, UnitPrice="3.00")
    hear(shop, item)
    assert (article(shop, 7001)["description"], article(shop, 7001)["priceIncl"]) == (name, 300)


def test_a_name_of_an_article_taken_over_is_the_new_items(shop: Shop) -> None:
    first = str(shop.add_item("7001", Name="Kaas")["Id"])
    hear(shop, first)
    second = str(shop.add_item("7002", Name="Brood")["Id"])
    hear(shop, second)
    change(shop, first, Sku="7003")
    hear(shop, first)
    change(shop, second, Sku="7001")
    hear(shop, second)
    change(shop, first, Sku="7002")
    hear(shop, first)
    names = [article(shop, number)["description"] for number in (7001, 7002)]
    assert names == ["Brood", "Kaas"]


@OMITTED
def test_an_edit_of_a_relation_between_look_and_write_stays(open_shop: OpenShop, omitted: str) -> None:
    shop = open_shop("[customers]\nto_till = true")
    shop.till.till.switches.omitted_fields = omitted
    body = {"DisplayName": "Jan de Vries", "PrimaryEmailAddr": {"Address": "jan@example.nl"}}
    customer = str(shop.books.put_customer(REALM, {**body, "PrimaryPhone": {"FreeFormNumber": "020"}})["Id"])
    made = shop.hear_of("Customer", customer, "Create", key="made")
    number = int(made.target_id or 0)
    shop.till.misbehaviour.meanwhile["updateRelation"] = [
        lambda: shop.till.change_relation(number, contact="Piet", city="Utrecht")
    ]
    shop.books.put_customer(REALM, {**body, "PrimaryPhone": {"FreeFormNumber": "030"}})
    assert shop.hear_of("Customer", customer, "Update", key="changed").state == "done"
    found = shop.till.till["relations"].get(number)
    assert (found["telephone"], found["contact"], found["city"]) == ("030", "Piet", "Utrecht")

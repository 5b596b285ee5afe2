"""What the till's staff edit stays: whenever they do it, and whatever a policy calls theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.mpluskassa import catalogue
from sandbox.mpluskassa.operations import HANDLERS
from tests.handlers.counter import OpenShop, article, change, hear
from tests.handlers.shop import Shop

OMITTED = pytest.mark.parametrize("omitted", ["clear", "keep"])


def edit_after_a_look(monkeypatch: pytest.MonkeyPatch, number: int, **fields: Any) -> None:
    """A person of the shop saves an article just after the gateway has looked at it."""
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

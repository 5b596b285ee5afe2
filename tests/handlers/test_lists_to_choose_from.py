"""The lists of both systems that pages offer: stored by the check and on request, kept where a system is away."""

from __future__ import annotations

import json
from decimal import Decimal

from gateway.database.session import reading
from gateway.store import connections, requests
from gateway.store.connections import KnownList
from mapping.choices import ListName, ListOption
from tests.handlers.shop import REALM, Shop, on_both_databases


def stored(shop: Shop) -> dict[ListName, KnownList]:
    with reading(shop.engine) as session:
        return connections.read_lists(session, "default")


@on_both_databases
def test_a_check_stores_the_lists_of_both_systems(shop: Shop) -> None:
    assert stored(shop) == {}
    shop.receive(requests.check_up(connection="default"))
    shop.work()
    found = stored(shop)
    assert found.keys() == set(ListName)
    rates = {each.rate for each in found[ListName.TAX_CODES].options}
    assert {Decimal(21), Decimal(9), Decimal(0)} <= rates
    assert [each.name for each in found[ListName.LOCATIONS].options] == ["Winkel Utrecht", "Winkel Amersfoort"]
    assert found[ListName.COMPANY].options == (ListOption(REALM, "Shop BV"),)
    assert {each.rate for each in found[ListName.VAT_CODES].options} >= {Decimal(21), Decimal(9)}
    assert any(each.kind == "Income" for each in found[ListName.ACCOUNTS].options)
    assert all(each.name for name in ListName for each in found[name].options)


def test_a_list_that_cannot_be_read_stays_as_it_was(shop: Shop) -> None:
    shop.receive(requests.refresh_lists(connection="default"))
    shop.work()
    before = stored(shop)
    shop.cut_off("till")
    event_id = shop.receive(requests.refresh_lists(connection="default"))
    shop.work()
    event, after = shop.event(event_id), stored(shop)
    assert event.state == "done"
    assert set(json.loads(event.result or "{}")) == {name for name in ListName if name.startswith("till_")}
    assert after[ListName.TENDERS] == before[ListName.TENDERS]
    assert after[ListName.TERMS].read_at > before[ListName.TERMS].read_at

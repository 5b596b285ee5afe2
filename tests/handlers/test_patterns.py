"""A pattern in the settings: matching is fast, and an unreadable pattern parks with the setting's name."""

from __future__ import annotations

import time

from tests.handlers.counter import OpenShop, has_article, hear
from tests.handlers.shop import sold


def test_g9_a_pattern_that_would_take_for_ever_is_answered_at_once(open_shop: OpenShop) -> None:
    shop = open_shop(r"""
    [products]
    filter = { field = "Name", is = "matches", value = "^(\\w+ ?)+/$" }
    """)
    item = shop.add_item("801", Name="a" * 40)
    began = time.monotonic()
    event = hear(shop, item["Id"])
    assert (event.state, time.monotonic() - began < 5.0) == ("skipped", True)
    hear(shop, shop.add_item("802", Name="a/")["Id"])
    assert (has_article(shop, 801), has_article(shop, 802)) == (False, True)


def test_a_pattern_of_an_older_version_parks_its_events_and_no_others(open_shop: OpenShop) -> None:
    shop = open_shop("""
    [products]
    filter = { field = "Name", is = "matches", value = "^(?!Old)" }
    """)
    parked = hear(shop, shop.add_item("801", Name="New")["Id"])
    assert (parked.state, parked.field) == ("parked", "products.filter")
    assert "look-ahead" in (parked.reason or "")
    assert "settings" in (parked.fix or "")
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert [event.state for event in shop.events(entity="Receipt")] == ["done"]
    shop.switch('[products]\nfilter = { not = { field = "Name", is = "matches", value = "^Old" } }')
    assert shop.retry(parked).state == "done"
    assert has_article(shop, 801)


def test_a_document_that_this_version_cannot_read_parks_naming_the_setting(open_shop: OpenShop) -> None:
    shop = open_shop("[stock]\nold_name = 1\n")
    parked = hear(shop, shop.add_item("801", Name="New")["Id"])
    assert (parked.state, parked.code, parked.field) == ("parked", "settings", "stock.old_name")
    shop.switch("[stock]\nenabled = true\n")
    assert shop.retry(parked).state == "done"

"""An item that the settings now leave out: the policy for its article applies."""

from __future__ import annotations

import pytest

from gateway.store.events import Event, Flow
from handlers.catalogue.steps import NAMED
from tests.handlers.counter import OpenShop, article, backfill, change, hear, writes
from tests.handlers.shop import Shop

WEB = '[products.filter]\nfield = "Name"\nis = "starts_with"\nvalue = "Web"'
INVENTORY = '[products]\ntypes = ["Inventory"]'


def handled(shop: Shop) -> str:
    item = str(shop.add_item("7001", "2.00", Name="Web cheese")["Id"])
    assert hear(shop, item).state == "done"
    return item


def rename(shop: Shop, item: str, name: str) -> Event:
    change(shop, item, Name=name)
    return hear(shop, item)


def is_on_sale(shop: Shop) -> bool:
    return bool(article(shop, 7001)["active"])


def test_an_item_that_leaves_the_filter_leaves_the_till_and_comes_back(open_shop: OpenShop) -> None:
    shop = open_shop(WEB)
    item = handled(shop)
    event = rename(shop, item, "Cheese")
    assert not is_on_sale(shop)
    assert "products.filter" in (event.reason or "")
    written = writes(shop)
    assert hear(shop, item).state == "done"
    assert writes(shop) == written
    rename(shop, item, "Web cheese")
    assert is_on_sale(shop)


@pytest.mark.parametrize(("document", "setting"), [(WEB, "products.filter"), (INVENTORY, "products.types")])
def test_a_setting_that_leaves_an_item_out_takes_effect_with_a_re_sync(
    open_shop: OpenShop, document: str, setting: str
) -> None:
    shop = open_shop()
    item = str(shop.add_item("7001", "2.00", Name="Cheese")["Id"])
    hear(shop, item)
    shop.switch(document)
    backfill(shop, Flow.PRODUCTS)
    assert not is_on_sale(shop)
    assert setting in (shop.newest(item).reason or "")
    shop.switch("")
    backfill(shop, Flow.PRODUCTS)
    assert is_on_sale(shop)


@pytest.mark.parametrize("policy", ["deactivate", "park", "keep"])
def test_an_item_that_was_left_out_and_is_made_inactive_is_off_sale(open_shop: OpenShop, policy: str) -> None:
    shop = open_shop(f'[products]\nleft_out = "{policy}"\n{WEB}')
    item = handled(shop)
    rename(shop, item, "Cheese")
    change(shop, item, Active=False)
    hear(shop, item)
    assert not is_on_sale(shop)
    assert shop.parked() == []


def test_by_policy_a_person_decides(open_shop: OpenShop) -> None:
    shop = open_shop(f'[products]\nleft_out = "park"\n{WEB}')
    event = rename(shop, handled(shop), "Cheese")
    assert (event.state, is_on_sale(shop)) == ("parked", True)
    assert all("products.filter" in text and "7001" in text for text in (f"{event.reason} {event.fix}",))
    shop.switch("")
    assert shop.retry(event).state == "done"


@pytest.mark.parametrize("document", [
    f'[products]\nleft_out = "keep"\n{WEB}',
    f"[products]\noffer = false\n{WEB}",
    f'[products.write]\nactive = "never"\n{WEB}',
])  # fmt: skip
def test_what_the_settings_leave_to_the_till_stays_on_sale(open_shop: OpenShop, document: str) -> None:
    shop = open_shop(document)
    event = rename(shop, handled(shop), "Cheese")
    assert (event.state, is_on_sale(shop)) == ("skipped", True)
    assert "stays as it is" in (event.reason or "")


@pytest.mark.parametrize("more", [{}, {"Sku": "7002"}, {"Sku": ""}, {"Name": "Cheese"}], ids=str)
def test_an_inactive_item_stays_on_sale_where_updates_are_off(open_shop: OpenShop, more: dict[str, str]) -> None:
    shop = open_shop(WEB)
    item = handled(shop)
    shop.switch(f"[products]\nupdate_existing = false\n{WEB}")
    change(shop, item, Active=False, **more)
    event = hear(shop, item)
    assert (event.state, is_on_sale(shop)) == ("skipped", True)
    assert "updates are switched off" in (event.reason or "")


def test_an_item_that_never_was_at_the_till_is_only_skipped(open_shop: OpenShop) -> None:
    shop = open_shop(WEB)
    written = writes(shop)
    event = hear(shop, str(shop.add_item("7001", Name="Cheese")["Id"]))
    assert (event.state, writes(shop)) == ("skipped", written)


@pytest.mark.parametrize("document", [
    '[orders]\nmissing_item = "fallback"\nfallback_item = "Takings"\n',
    '[orders]\nsummary = "day"\nsummary_item = "takings"\n[stock]\nenabled = false\n',
    '[mapping.special_items]\ntip = "Takings"\n',
])  # fmt: skip
def test_an_item_named_for_own_lines_needs_no_sku(open_shop: OpenShop, document: str) -> None:
    shop = open_shop(document)
    item = str(shop.add_item("", Name="Takings", Type="Service")["Id"])
    event = hear(shop, item)
    assert (event.state, event.reason) == ("skipped", NAMED)
    assert hear(shop, str(shop.add_item("", Name="Others", Type="Service")["Id"])).code == "missing-sku"


def test_an_item_on_sale_that_lost_its_sku_stays_on_sale(open_shop: OpenShop) -> None:
    shop = open_shop('[mapping.special_items]\ngift_card = "Web cheese"\n')
    item = handled(shop)
    change(shop, item, Sku="")
    assert hear(shop, item).code == "missing-sku"
    assert is_on_sale(shop)


def test_a_named_sku_is_not_taken_for_the_id_of_another_item(shop: Shop) -> None:
    item = str(shop.add_item("", Name="Others", Type="Service")["Id"])
    shop.switch(f'[orders]\nmissing_item = "fallback"\nfallback_item = "{item}"\n')
    assert hear(shop, item).code == "missing-sku"

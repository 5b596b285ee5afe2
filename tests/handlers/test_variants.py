"""Items of one family are variants: articles of one product of the till, for every way to find the family."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gateway.database.session import reading, writing
from gateway.store import links
from gateway.store.events import Change, Event, Flow
from gateway.store.links import Link, LinkKind
from tests.handlers.counter import (
    OpenShop,
    add_category,
    add_stocked,
    article,
    backfill,
    below,
    change,
    has_article,
    hear,
    members,
    physical,
    writes,
)
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

BY_NAME = "[products]\nvariants = true\n"
TEE = {8001: "Tee - Blue / S", 8002: "Tee - Blue / M", 8003: "Tee - Red / S"}
_keys = itertools.count(1)


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    return open_shop(BY_NAME)


def add(shop: Shop, named: dict[int, str], **fields: Any) -> dict[int, str]:
    """Items of these numbers and names; returns their ids."""
    return {number: str(shop.add_item(str(number), Name=name, **fields)["Id"]) for number, name in named.items()}


def handled(shop: Shop, named: dict[int, str], **fields: Any) -> dict[int, str]:
    """Items of these numbers and names, each reported by a webhook."""
    items = add(shop, named, **fields)
    for item in items.values():
        hear(shop, item, "Create")
    return items


def rename(shop: Shop, item: str, name: str, **more: Any) -> Event:
    change(shop, item, Name=name, **more)
    return hear(shop, item)


def held(shop: Shop) -> dict[str, set[int]]:
    """The articles from 8000 on by the names of their products; products with the same name are combined."""
    found: dict[str, set[int]] = {}
    for row in shop.till.till["articles"]:
        if row["articleNumber"] > 8000:
            name = shop.till.till["products"].get(row["_product"])["description"]
            found.setdefault(name, set()).add(row["articleNumber"])
    return found


def written(shop: Shop) -> int:
    """How often products with these articles were written."""
    return sum(1 for row in shop.till.till.ledger if any(n > 8000 for n in row.get("articles", ())))


def product_of(shop: Shop, number: int) -> int:
    return int(article(shop, number)["_product"])


def attributes(shop: Shop, number: int) -> tuple[str, ...]:
    return tuple(article(shop, number)[name] for name in ("description", "colour", "size"))


def place(shop: Shop, *names: str) -> tuple[dict[str, Any], ...]:
    """Handled top-level categories; returns the fields that make an item a child of each."""
    made = [add_category(shop, name)["Id"] for name in names]
    for category in made:
        hear(shop, category, "Create")
    return tuple(below(category) for category in made)


def test_items_named_by_the_pattern_are_articles_of_one_product(open_shop: OpenShop) -> None:
    shop = open_shop(BY_NAME)
    (clothes,) = place(shop, "Clothes")
    items = handled(shop, TEE, **clothes)
    assert held(shop) == {"Tee": {8001, 8002, 8003}}
    assert len({product_of(shop, number) for number in TEE}) == 1
    assert attributes(shop, 8002) == ("Tee - Blue / M", "Blue", "M")
    assert members(shop, "Clothes") == {8001, 8002, 8003}
    before = written(shop)
    for item in items.values():
        assert hear(shop, item).state == "done"
    assert written(shop) == before


def test_a_renamed_variant_founds_its_new_family_and_leaves_the_old(open_shop: OpenShop) -> None:
    shop = open_shop(BY_NAME)
    clothes, sport = place(shop, "Clothes", "Sport")
    items = handled(shop, TEE, **clothes)
    shop.till.till["articles"].get(8002).update(brandName="Fair", purchasePrice=310)
    event = rename(shop, items[8002], "Polo - Blue / M", **sport)
    assert (event.state, shop.parked()) == ("done", [])
    assert held(shop) == {"Tee": {8001, 8003}, "Polo": {8002}}
    assert attributes(shop, 8002) == ("Polo - Blue / M", "Blue", "M")
    assert (members(shop, "Clothes"), members(shop, "Sport")) == ({8001, 8003}, {8002})
    assert [article(shop, 8002)[name] for name in ("brandName", "purchasePrice")] == ["Fair", 310]
    handled(shop, {8004: "Polo - Red / M"}, **sport)
    assert product_of(shop, 8004) == product_of(shop, 8002)
    before = written(shop)
    backfill(shop, Flow.PRODUCTS)
    assert written(shop) == before


@pytest.mark.parametrize("switch", ["moves_articles", "empty_products"])
def test_where_the_till_moves_nothing_the_variant_is_a_guest(shop: Shop, switch: str) -> None:
    clothes, sport = place(shop, "Clothes", "Sport")
    items = handled(shop, TEE, **clothes)
    setattr(shop.till.till.switches, switch, False)
    event = rename(shop, items[8002], "Polo - Blue / M", UnitPrice="12.50", **sport)
    assert (event.state, 'stays in the product "Tee"' in (event.reason or "")) == ("done", True)
    assert held(shop) == {"Tee": {8001, 8002, 8003}}
    assert attributes(shop, 8002) == ("Polo - Blue / M", "Blue", "M")
    assert article(shop, 8002)["priceIncl"] == 1250
    assert (members(shop, "Clothes"), members(shop, "Sport")) == ({8001, 8002, 8003}, set())
    before, made = written(shop), len(list(shop.till.till["products"]))
    backfill(shop, Flow.PRODUCTS)
    hear(shop, items[8002])
    assert written(shop) == before
    change(shop, items[8002], UnitPrice="13.00")
    hear(shop, items[8002])
    assert (article(shop, 8002)["priceIncl"], len(list(shop.till.till["products"]))) == (1300, made)
    setattr(shop.till.till.switches, switch, True)
    shop.retry(event)
    assert held(shop) == {"Tee": {8001, 8003}, "Polo": {8002}}


def test_many_that_cannot_be_moved_leave_one_product_without_articles(shop: Shop) -> None:
    items = handled(shop, TEE)
    shop.till.till.switches.moves_articles = False
    before = len(list(shop.till.till["products"]))
    for number in (8001, 8002):
        rename(shop, items[number], TEE[number].replace("Tee", "Polo"))
        shop.retry(hear(shop, items[number]))
    assert (held(shop), len(list(shop.till.till["products"]))) == ({"Tee": {8001, 8002, 8003}}, before + 1)
    handled(shop, {8004: "Polo - Red / S"})
    shop.till.till.switches.moves_articles = True
    for number in (8001, 8002):
        shop.retry(hear(shop, items[number]))
    assert held(shop) == {"Tee": {8003}, "Polo": {8001, 8002, 8004}}


def test_a_variant_joins_a_family_that_is_there_already(shop: Shop) -> None:
    items = handled(shop, {**TEE, 8011: "Polo - Red / S"})
    polo = product_of(shop, 8011)
    rename(shop, items[8002], "Polo - Blue / M")
    assert held(shop) == {"Tee": {8001, 8003}, "Polo": {8002, 8011}}
    assert product_of(shop, 8002) == polo
    rename(shop, items[8002], "Tee - Blue / M")
    assert held(shop) == {"Tee": {8001, 8002, 8003}, "Polo": {8011}}


def test_a_variant_that_fits_no_family_any_more_gets_its_own_product(shop: Shop) -> None:
    clothes, sport = place(shop, "Clothes", "Sport")
    items = handled(shop, TEE, **clothes)
    rename(shop, items[8002], "Cap", **sport)
    assert held(shop) == {"Tee": {8001, 8003}, "Cap": {8002}}
    assert attributes(shop, 8002) == ("Cap", "", "")
    assert (members(shop, "Clothes"), members(shop, "Sport")) == ({8001, 8003}, {8002})


def test_a_family_of_one_takes_its_product_along(shop: Shop) -> None:
    items = handled(shop, {8001: "Tee - Blue / S"})
    product = product_of(shop, 8001)
    rename(shop, items[8001], "Polo - Blue / S")
    assert (held(shop), product_of(shop, 8001)) == ({"Polo": {8001}}, product)
    handled(shop, {8002: "Tee - Blue / M"})
    assert held(shop) == {"Polo": {8001}, "Tee": {8002}}


def test_one_name_in_two_categories_is_two_families(shop: Shop) -> None:
    men, women = place(shop, "Men", "Women")
    handled(shop, {8001: "Tee - Blue / S", 8002: "Tee - Blue / M"}, **men)
    handled(shop, {8003: "Tee - Blue / S", 8004: "Tee - Blue / M"}, **women)
    assert (members(shop, "Men"), members(shop, "Women")) == ({8001, 8002}, {8003, 8004})
    assert len({product_of(shop, number) for number in range(8001, 8005)}) == 2


def test_an_inactive_first_variant_comes_back_as_it_was(shop: Shop) -> None:
    items = handled(shop, {8001: "Tee - Blue / S"})
    change(shop, items[8001], Active=False)
    hear(shop, items[8001])
    handled(shop, {8002: "Tee - Blue / M"})
    assert held(shop) == {"Tee": {8001, 8002}}
    assert (article(shop, 8001)["active"], attributes(shop, 8001)) == (False, ("Tee - Blue / S", "Blue", "S"))
    change(shop, items[8001], Active=True)
    hear(shop, items[8001])
    assert (article(shop, 8001)["active"], held(shop)) == (True, {"Tee": {8001, 8002}})


def test_an_inactive_item_founds_no_family(shop: Shop) -> None:
    items = add(shop, TEE)
    change(shop, items[8001], Active=False)
    for item in items.values():
        hear(shop, item)
    assert held(shop) == {"Tee": {8002, 8003}}


def test_a_variant_with_another_sku_stays_in_its_family(shop: Shop) -> None:
    items = handled(shop, TEE)
    change(shop, items[8002], Sku="8009")
    hear(shop, items[8002])
    assert (article(shop, 8002)["active"], article(shop, 8009)["active"]) == (False, True)
    assert product_of(shop, 8009) == product_of(shop, 8001)


def test_one_bad_variant_parks_by_name_and_keeps_no_other_away(shop: Shop) -> None:
    items = handled(shop, {8001: "Tee - Blue / S"})
    bad = str(shop.add_item("ABC", Name="Tee - Blue / M")["Id"])
    hear(shop, bad)
    handled(shop, {8003: "Tee - Red / S"})
    (parked,) = shop.parked()
    assert (parked.record, held(shop)) == ('item "Tee - Blue / M" (SKU ABC)', {"Tee": {8001, 8003}})
    change(shop, bad, Sku="8002")
    hear(shop, bad)
    assert (shop.parked(), held(shop), len(items)) == ([], {"Tee": {8001, 8002, 8003}}, 1)


def test_a_bundle_named_like_a_variant_is_skipped_with_its_reason(shop: Shop) -> None:
    bundle = shop.books.put(REALM, "Item", {"Name": "Tee - Set / S", "Type": "Group", "Sku": "8005"})
    event = hear(shop, bundle["Id"])
    assert (event.state, event.reason) == ("skipped", "bundles are not sold at the till")
    assert not has_article(shop, 8005)


def test_a_variant_arrives_with_its_stock_and_is_sold(shop: Shop) -> None:
    for number, pieces in ((8001, 5), (8002, 7)):
        hear(shop, add_stocked(shop, str(number), pieces, Name=TEE[number])["Id"], "Create")
    assert [physical(shop, number) for number in (8001, 8002)] == [5, 7]
    assert held(shop) == {"Tee": {8001, 8002}}
    shop.till.sell(lines=[sold(8002, 2)])
    shop.settle()
    (line, *_) = shop.only("SalesReceipt")["Line"]
    assert line["SalesItemLineDetail"]["ItemRef"]["name"] == "Tee - Blue / M"


@on_both_databases
def test_two_variants_reported_at_once_make_one_product(open_shop: OpenShop) -> None:
    shop = open_shop(BY_NAME)
    items = add(shop, TEE)
    shop.till.misbehaviour.latency_seconds = 0.03
    changes = [
        Change(f"at-once-{next(_keys)}", Flow.PRODUCTS, "test", "Item", item, connection="default")
        for item in items.values()
    ]
    shop.work_abreast(*[shop.receive(each) for each in changes])
    for event in shop.events(state="waiting"):
        shop.retry(event)
    assert len({product_of(shop, number) for number in TEE}) == 1


def test_a_first_load_brings_many_families_and_a_second_nothing(open_shop: OpenShop) -> None:
    shop = open_shop(BY_NAME)
    (clothes,) = place(shop, "Clothes")
    for family in range(6):
        add(shop, {8100 + 10 * family + n: f"Shirt {family} - Blue / {n}" for n in range(3)}, **clothes)
    backfill(shop, Flow.PRODUCTS)
    assert held(shop) == {f"Shirt {n}": {8100 + 10 * n + m for m in range(3)} for n in range(6)}
    before = written(shop)
    backfill(shop, Flow.PRODUCTS)
    assert written(shop) == before
    shop.till.till["products"].get(product_of(shop, 8100))["description"] = "Shirtje"
    shop.till.till["articles"].get(8101)["size"] = "XXL"
    backfill(shop, Flow.PRODUCTS)
    assert (shop.parked(), held(shop)["Shirt 0"]) == ([], {8100, 8101, 8102})


def test_products_made_before_join_when_variants_are_switched_on(open_shop: OpenShop) -> None:
    shop = open_shop()
    handled(shop, TEE)
    assert len({product_of(shop, number) for number in TEE}) == 3
    shop.switch(BY_NAME)
    backfill(shop, Flow.PRODUCTS)
    assert held(shop) == {"Tee": {8001, 8002, 8003}}
    assert len({product_of(shop, number) for number in TEE}) == 1
    shop.switch("")
    backfill(shop, Flow.PRODUCTS)
    assert held(shop) == {"Tee": {8001, 8002, 8003}}


def test_another_pattern_takes_effect_with_a_re_sync(shop: Shop) -> None:
    handled(shop, TEE)
    shop.switch(f'{BY_NAME}family_pattern = "^(?P<product>.+) / (?P<size>.+)$"')
    backfill(shop, Flow.PRODUCTS)
    assert held(shop) == {"Tee - Blue": {8001, 8002}, "Tee - Red": {8003}}
    assert attributes(shop, 8002) == ("Tee - Blue / M", "", "M")
    before = written(shop)
    backfill(shop, Flow.PRODUCTS)
    assert written(shop) == before


def test_another_spelling_of_the_family_does_not_rename_it_to_and_fro(shop: Shop) -> None:
    items = handled(shop, {8001: "Tee - Blue / S", 8002: "TEE - Blue / M"})
    assert held(shop) == {"Tee": {8001, 8002}}
    before = written(shop)
    for _ in range(2):
        backfill(shop, Flow.PRODUCTS)
        for item in items.values():
            shop.retry(hear(shop, item))
    assert written(shop) == before


def test_what_the_staff_put_together_is_not_taken_apart(shop: Shop) -> None:
    rows = [
        {"articleNumber": number, "description": "Theirs", "priceIncl": 100, "vatCode": 2, "turnoverGroup": 1}
        for number in (8002, 8050)
    ]
    handled(shop, {8001: "Tee - Blue / S"})
    shop.till.add_product({"description": "Summer", "articleList": {"article": rows}})
    handled(shop, {8002: "Tee - Blue / M"})
    assert held(shop) == {"Tee": {8001}, "Summer": {8002, 8050}}
    assert attributes(shop, 8002)[1:] == ("Blue", "M")
    before = written(shop)
    backfill(shop, Flow.PRODUCTS)
    assert written(shop) == before


def test_links_of_an_earlier_version_harm_no_article(shop: Shop) -> None:
    items = handled(shop, {8001: "Tee - Blue / S"})
    product = str(product_of(shop, 8001))
    with writing(shop.engine) as session:
        links.save(session, "default", Link(LinkKind.FAMILY, "77", "Product", product))
    rename(shop, items[8001], "Polo - Blue / S")
    assert held(shop) == {"Polo": {8001}}
    with reading(shop.engine) as session:
        found = links.find_by_target(session, "default", LinkKind.FAMILY, product)
    assert [link.source_id for link in found] == ["/polo"]
    event = Change("old-family", Flow.PRODUCTS, "gateway", "Family", "77", connection="default")
    event_id = shop.receive(event)
    shop.work()
    assert shop.event(event_id).state == "skipped"


def test_a_database_that_forgot_its_families_finds_them_at_the_till(shop: Shop) -> None:
    handled(shop, TEE)
    with writing(shop.engine) as session:
        for kind, ids in ((LinkKind.FAMILY, ["/tee"]), (LinkKind.ARTICLE, map(str, TEE))):
            for id_ in ids:
                links.forget(session, "default", kind, id_)
    before = writes(shop, "createProduct")
    handled(shop, {8004: "Tee - Red / M"})
    backfill(shop, Flow.PRODUCTS)
    assert writes(shop, "createProduct") - before <= 1
    assert held(shop) == {"Tee": {8001, 8002, 8003, 8004}}


def test_updates_switched_off_still_let_a_new_variant_join(shop: Shop) -> None:
    handled(shop, {8001: "Tee - Blue / S"})
    shop.switch(f"{BY_NAME}update_existing = false")
    shop.till.till["products"].get(product_of(shop, 8001))["description"] = "Shirtje"
    handled(shop, {8002: "Tee - Blue / M"})
    assert held(shop) == {"Shirtje": {8001, 8002}}

"""For every state of an item, a category, or stock, a preview names what the real run then does, and writes nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from gateway.database.session import reading, writing
from gateway.store import links, requests
from gateway.store.events import Change, Event, Flow, State
from gateway.store.links import Link, LinkKind
from gateway.store.tables import LinkRow
from mapping.records import ArticleGroup
from sandbox.mpluskassa.groups import set_membership
from tests.handlers.counter import add_category, add_stocked, article, below, change, hear, physical
from tests.handlers.shop import REALM, Shop

FILTER = '[products.filter]\nfield = "Name"\nis = "starts_with"\nvalue = "Web"\n'
LETTERS = '[products]\nsku_with_letters = "allocate"\nallocate_from = 9000\n'
VARIANTS = "[products]\nvariants = true\n"
Prepare = Callable[[Shop], str]
Act = Callable[[Shop, str], object]


@dataclass(frozen=True)
class Seen:
    """What of the till's goods, and of what is stored of them, is there."""

    articles: Mapping[int, Mapping[str, Any]]
    products: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    links: list[tuple[Any, ...]]


def look(shop: Shop) -> Seen:
    till = shop.till.till
    articles, products, groups = (
        [copy.deepcopy(dict(row)) for row in till[table]] for table in ("articles", "products", "groups")
    )
    with reading(shop.engine) as session:
        found = select(LinkRow.kind, LinkRow.source_id, LinkRow.target_id, LinkRow.fingerprint)  # type: ignore[call-overload]
        links = sorted(tuple(row) for row in session.execute(found))
    return Seen({row["articleNumber"]: row for row in articles}, products, groups, links)


def taken(before: Seen, after: Seen, state: State, record: str) -> str:
    """What was done, from what it left. An article that goes off sale is an update, unless its item is left out."""
    if state != State.DONE:
        return str(state)
    if any(link[0] == "item" and link[3] == "left out" for link in after.links):
        return "unchanged" if before.articles == after.articles else "deactivated"
    groups = {str(row["groupNumber"]) for row in before.groups if not row["isDeleted"]} | {""}
    new_group = any(link[:2] == ("group", record) and link[2] not in groups for link in after.links)
    if new_group or len(after.articles) > len(before.articles):
        return "created"
    same = (before.articles, before.products, before.groups) == (after.articles, after.products, after.groups)
    return "unchanged" if same else "updated"


def item(*acts: Act, sku: str = "7001", **fields: Any) -> Prepare:
    """A new item of the books to which these things happen."""

    def prepare(shop: Shop) -> str:
        found = str(shop.add_item(sku, "12.50", **{"Name": "Web cheese", **fields})["Id"])
        for act in acts:
            act(shop, found)
        return found

    return prepare


def of_till(*acts: Act) -> Prepare:
    """An item whose article the till's staff made."""

    def prepare(shop: Shop) -> str:
        found = str(shop.find("Item", Sku="1001")["Id"])
        for act in acts:
            act(shop, found)
        return found

    return prepare


def stocked(*acts: Act) -> Prepare:
    """A handled item of twelve pieces."""

    def prepare(shop: Shop) -> str:
        found = str(add_stocked(shop, "7001", 12)["Id"])
        for act in (carry, *acts):
            act(shop, found)
        return found

    return prepare


def category(*acts: Act) -> Prepare:
    def prepare(shop: Shop) -> str:
        found = str(add_category(shop, "Kaas")["Id"])
        for act in acts:
            act(shop, found)
        return found

    return prepare


def carry(shop: Shop, item_id: str, **more: Any) -> Event:
    """Tell of the record, and have it handled to its end."""
    event = hear(shop, item_id, **more)
    while waiting := shop.events(state="waiting"):
        for each in waiting:
            shop.retry(each)
    return shop.event(event.id)


def changed(**fields: Any) -> Act:
    return lambda shop, item_id: change(shop, item_id, **fields)


def stored(**fields: Any) -> Act:
    """What the books have, though they refuse to be given it."""
    return lambda shop, item_id: shop.company.get("Item", item_id).update(fields)


def switched(document: str) -> Act:
    return lambda shop, _: shop.switch(document)


def at_till(number: int = 7001, **fields: Any) -> Act:
    return lambda shop, _: shop.till.till["articles"].get(number).update(fields)


def lose(shop: Shop, _: str) -> None:
    """The till has none of its articles any more."""
    shop.till.till["articles"].clear()
    shop.till.till["products"].clear()


def place(shop: Shop, item_id: str) -> None:
    """Put the item into a new category."""
    change(shop, item_id, **below(str(add_category(shop, f"Category {len(shop.rows('Item'))}")["Id"])))


def add_rival(shop: Shop, _: str) -> None:
    """Another item got the number first."""
    carry(shop, str(shop.add_item("7002", "1.00", Name="Web rival")["Id"]))
    change(shop, str(shop.find("Item", Sku="7002")["Id"]), Sku="7001")
    carry(shop, str(shop.find("Item", Name="Web rival")["Id"]))


def take_number(shop: Shop, item_id: str) -> None:
    """The item asks for the number of another one."""
    carry(shop, str(shop.add_item("7011", "1.00", Name="Web rival")["Id"]))
    shop.company.get("Item", item_id)["Sku"] = "7011"


def end_rival(shop: Shop, _: str) -> None:
    change(shop, str(shop.find("Item", Name="Web rival")["Id"]), Active=False)


def add_variant(shop: Shop, _: str) -> None:
    carry(shop, str(shop.add_item("7003", "1.00", Name="Tee - Red / M")["Id"]))


def keep_places(shop: Shop, _: str) -> None:
    """The till moves no article; another one is in the same product."""
    shop.till.till.switches.moves_articles = False
    carry(shop, str(shop.add_item("7003", "1.00", Name="Web wine")["Id"]))


def made_by_us(shop: Shop) -> str:
    found = str(shop.add_item("7001", Name="Deposits")["Id"])
    with writing(shop.engine) as session:
        links.save(session, "default", Link(LinkKind.SPECIAL, "deposit", "Item", found))
    return found


def delete_group(shop: Shop, _: str) -> None:
    for row in shop.till.till["groups"]:
        row["isDeleted"] = row["isDeleted"] or row["name"] == "Kaas"


def make_group(shop: Shop, _: str) -> None:
    shop.deps().till.create_article_group(ArticleGroup(None, "Kaas", "Kaas"))


def fill_group(shop: Shop, item_id: str) -> None:
    """The staff put a product of its own into the group."""
    row = next(row for row in shop.till.till["groups"] if row["name"] == "Kaas")
    set_membership(shop.till.till, article(shop, 1001)["_product"], [row["groupNumber"]])


PARK, KEEP, OFF = (
    f'[products]\nleft_out = "park"\n{FILTER}',
    f'[products]\nleft_out = "keep"\n{FILTER}',
    "[products]\nenabled = false\n",
)
NO_UPDATES = "[products]\nupdate_existing = false\n"
NO_CATEGORIES = "[categories]\nenabled = false\n"
LEAVE = changed(Name="Cheese")
END, CLOSE = changed(Active=False), stored(Active=False)
STATES: dict[str, tuple[str, Prepare]] = {
    "new": ("created", item()),
    "new, in a category": ("created", item(place)),
    "new, and the article is there": ("updated", of_till()),
    "new, there, and updates are off": ("skipped", of_till(switched(NO_UPDATES))),
    "new, there, and inactive": ("skipped", of_till(END)),
    "new, and the article is another item's": ("parked", item(add_rival)),
    "new, and the other item has ended": ("updated", item(add_rival, end_rival)),
    "new and inactive": ("skipped", item(END)),
    "new and left out": ("skipped", item(switched(FILTER), Name="Cheese")),
    "new, without SKU": ("parked", item(changed(Sku=None))),
    "new, inactive, without SKU": ("skipped", item(changed(Sku=None, Active=False))),
    "new, with letters": ("parked", item(sku="ABC")),
    "new, with letters, numbered": ("created", item(switched(LETTERS), sku="ABC")),
    "new, with letters, numbered, inactive": ("skipped", item(switched(LETTERS), END, sku="ABC")),
    "new, with a tax code nobody has": ("parked", item(stored(SalesTaxCodeRef={"value": "999"}))),
    "new, and products are off": ("skipped", item(switched(OFF))),
    "a variant": ("created", item(switched(VARIANTS), Name="Tee - Blue / S")),
    "a variant of a product": ("created", item(switched(VARIANTS), add_variant, Name="Tee - Blue / S")),
    "handled": ("unchanged", item(carry)),
    "handled, in a category": ("unchanged", item(place, carry)),
    "handled, in another category": ("updated", item(place, carry, place)),
    "handled, letters": ("unchanged", item(switched(LETTERS), carry, sku="ABC")),
    "handled and changed": ("updated", item(carry, changed(UnitPrice="13.95"))),
    "handled and changed, updates off": ("skipped", item(carry, changed(UnitPrice="13.95"), switched(NO_UPDATES))),
    "handled, updates off": ("skipped", item(carry, switched(NO_UPDATES))),
    "handled, and products are off": ("skipped", item(carry, switched(OFF))),
    "handled, and altered at the till": ("updated", item(carry, at_till(priceIncl=77))),
    "handled and inactive": ("updated", item(carry, END)),
    "handled as inactive": ("unchanged", item(carry, END, carry)),
    "handled, inactive, and active again": ("updated", item(carry, END, carry, changed(Active=True))),
    "handled, and a price that stays": (
        "unchanged",
        item(carry, changed(UnitPrice="13.95"), switched('[products.write]\nprice = "create"\n')),
    ),
    "handled, then another SKU": ("created", item(carry, changed(Sku="7009"))),
    "handled, then without SKU": ("parked", item(carry, changed(Sku=None))),
    "handled, then another's SKU": ("parked", item(carry, take_number)),
    "handled, inactive, and another's SKU": ("deactivated", item(carry, take_number, stored(Active=False))),
    "handled, then a variant": ("updated", item(carry, switched(VARIANTS), changed(Name="Tee - Blue / S"))),
    "handled, and the article is lost": ("created", item(carry, lose, changed(UnitPrice="13.95"))),
    "handled, inactive, another's SKU, updates off": (
        "skipped",
        item(carry, switched(NO_UPDATES), take_number, stored(Active=False)),
    ),
    "handled, inactive, and the article is lost": ("skipped", item(carry, lose, END)),
    "handled, and marked as another's": ("parked", item(carry, at_till(extArticleId="web-1"), changed(UnitPrice="2"))),
    "left out": ("deactivated", item(carry, switched(FILTER), LEAVE)),
    "left out, and was before": ("unchanged", item(carry, switched(FILTER), LEAVE, carry)),
    "left out before, and on sale": ("deactivated", item(carry, switched(FILTER), LEAVE, carry, at_till(active=True))),
    "left out, and off sale": ("unchanged", item(carry, switched(FILTER), LEAVE, at_till(active=False))),
    "left out, and the article is lost": ("unchanged", item(carry, switched(FILTER), LEAVE, lose)),
    "left out, and stays": ("skipped", item(carry, switched(KEEP), LEAVE)),
    "left out, and a person decides": ("parked", item(carry, switched(PARK), LEAVE)),
    "left out by a policy, and inactive": ("deactivated", item(carry, switched(PARK), LEAVE, END)),
    "left out, and again wanted": ("updated", item(carry, switched(FILTER), LEAVE, carry, switched(""))),
    "a guest": ("unchanged", item(keep_places, carry, switched(VARIANTS), changed(Name="Tee - Blue / S"), carry)),
    "a guest that changed": (
        "updated",
        item(keep_places, carry, switched(VARIANTS), changed(Name="Tee - Blue / S"), carry, changed(UnitPrice="13.95")),
    ),
    "made for lines of our own": ("skipped", made_by_us),
    "a category": ("created", category()),
    "a category, and the staff has its group": ("unchanged", category(make_group)),
    "a category below a new one": ("created", category(make_group, place)),
    "a category, and they are off": ("skipped", category(switched(NO_CATEGORIES))),
    "a category, handled": ("unchanged", category(carry)),
    "a category, renamed": ("updated", category(carry, changed(Name="Kazen"))),
    "a category, handled, below a new one": ("updated", category(carry, place)),
    "a category that lost its group": ("created", category(carry, delete_group, changed(Name="Kazen"))),
    "a category that ended": ("updated", category(carry, CLOSE)),
    "a category that ended, used by the staff": ("unchanged", category(carry, fill_group, CLOSE)),
    "a category that ended, its group too": ("unchanged", category(carry, delete_group, CLOSE)),
    "a category that ended without a group": ("skipped", category(CLOSE)),
}
CATEGORIES = tuple(name for name in STATES if name.startswith("a category"))


def preview(shop: Shop, record: str, flow: Flow) -> dict[str, Any]:
    event_id = shop.receive(requests.preview(flow, record, connection="default"))
    shop.work()
    found: dict[str, Any] = json.loads(shop.event(event_id).result or "")
    return found


@pytest.mark.parametrize("name", STATES)
def test_a_preview_names_what_the_real_run_does(shop: Shop, name: str) -> None:
    expected, prepare = STATES[name]
    record = prepare(shop)
    before = look(shop)
    flow = Flow.CATEGORIES if name in CATEGORIES else Flow.PRODUCTS
    shown = preview(shop, record, flow)
    assert look(shop) == before, "a preview wrote"
    carry(shop, record, maybe_written=True)
    event = next(event for event in shop.events(flow=flow) if event.entity_id == record)
    real = taken(before, look(shop), State(event.state), record)
    assert (shown["outcome"], real) == (expected, expected), (shown.get("reason"), event.reason)


STOCK: dict[str, tuple[str, Prepare]] = {
    "off": ("skipped", item(switched("[stock]\nenabled = false\n"))),
    "not at the till": ("skipped", lambda shop: str(add_stocked(shop, "7001", 12)["Id"])),
    "not counted": ("skipped", item(carry)),
    "not kept at the till": ("skipped", stocked(at_till(stockArticle=False))),
    "as it is": ("stock: 0", stocked()),
    "sold elsewhere": ("stock: -3", stocked(lambda shop, item_id: shop.books.set_stock(REALM, item_id, Decimal(9)))),
}


@pytest.mark.parametrize("name", STOCK)
def test_a_preview_of_stock_names_what_is_written(shop: Shop, name: str) -> None:
    expected, prepare = STOCK[name]
    record = prepare(shop)
    before = physical(shop, 7001)
    shown = preview(shop, record, Flow.STOCK)
    event_id = shop.receive(Change(f"stock {name}", Flow.STOCK, "webhook", "Item", record, connection="default"))
    shop.work()
    event = shop.event(event_id)
    real = event.state if event.state != State.DONE else f"stock: {physical(shop, 7001) - before}"
    said = shown["outcome"] if "stock" not in shown else f"stock: {sum(row['change'] for row in shown['stock'])}"
    assert (said, real) == (expected, expected), (shown.get("reason"), event.reason)

"""Actions of a shop's staff with goods, and what the till then shows: a thin layer over `shop`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from gateway.store import requests
from gateway.store.events import Change, Event, Flow
from handlers.polling import books_feed
from tests.handlers.shop import REALM, Shop

_keys = itertools.count(1)
OpenShop = Callable[..., Shop]


def hear(shop: Shop, item_id: str, operation: str = "Update", **more: Any) -> Event:
    """A webhook about an item, handled with all follow-up events."""
    event_id = shop.receive(
        Change(
            key=f"webhook-{next(_keys)}",
            flow=Flow.PRODUCTS,
            source="webhook",
            entity="Item",
            entity_id=item_id,
            connection="default",
            operation=operation,
            **more,
        )
    )
    shop.work()
    return shop.event(event_id)


def capture(shop: Shop) -> None:
    """Poll change data capture and handle the events."""
    books_feed.poll(shop.deps())
    shop.work()


def backfill(shop: Shop, flow: Flow) -> Event:
    """A backfill requested by a person, handled to its end."""
    event_id = shop.receive(requests.backfill(flow, connection="default"))
    shop.work()
    return shop.event(event_id)


def add_stocked(shop: Shop, sku: str, pieces: str | int, **fields: Any) -> dict[str, Any]:
    """An inventory item in the books."""
    return shop.add_item(
        sku,
        Type="Inventory",
        TrackQtyOnHand=True,
        QtyOnHand=Decimal(pieces),
        InvStartDate="2024-01-01",
        AssetAccountRef={"value": shop.account("Inventory Asset")},
        ExpenseAccountRef={"value": shop.account("Cost of Goods Sold")},
        **fields,
    )


def add_category(shop: Shop, name: str, parent: str | None = None) -> dict[str, Any]:
    """A category in the books."""
    under = {"SubItem": True, "ParentRef": {"value": parent}} if parent else {}
    return dict(shop.books.put(REALM, "Item", {"Name": name, "Type": "Category", **under}))


def change(shop: Shop, item_id: str, **fields: Any) -> dict[str, Any]:
    """A bookkeeper's change of an item."""
    return dict(shop.books.put(REALM, "Item", {"Id": item_id, **fields}))


def below(parent: str) -> dict[str, Any]:
    """The fields that make an item a child of another."""
    return {"SubItem": True, "ParentRef": {"value": parent}}


def article(shop: Shop, number: int) -> dict[str, Any]:
    """An article of the till, which must exist."""
    return dict(shop.till.till["articles"].get(number))


def has_article(shop: Shop, number: int) -> bool:
    """Whether the till has an article."""
    return number in shop.till.till["articles"]


def physical(shop: Shop, number: int, branch: int = 1) -> Decimal:
    """Pieces of an article in stock in a branch."""
    row = shop.till.till["stock"].find(f"{branch}/{number}")
    return Decimal(row["physical"]) if row else Decimal(0)


def groups(shop: Shop) -> dict[str, dict[str, Any]]:
    """The till's article groups that are not deleted, by name."""
    return {row["name"]: dict(row) for row in shop.till.till["groups"] if not row["isDeleted"]}


def members(shop: Shop, group: str) -> set[int]:
    """The articles of the products in a group."""
    products = set(groups(shop)[group]["productNumbers"])
    return {row["articleNumber"] for row in shop.till.till["articles"] if row["_product"] in products}


def writes(shop: Shop, *effects: str) -> int:
    """How often the till was changed, in these ways or at all."""
    return sum(1 for row in shop.till.till.ledger if not effects or row["effect"] in effects)


def reads(shop: Shop) -> int:
    """Metered reads of the books so far."""
    return shop.books.ledger.metered.total()

"""The item of an event: the copy stored with the event if it is fresh, else read now.

Reads of the books are metered. Change data capture, a backfill and our own events store the item they have just read
with the event; it is used only if no newer change was reported. A webhook's content is never used.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import simplejson

from gateway.connectors.quickbooks import wire
from gateway.errors import Permanent
from gateway.store import cursors, inbox, links, round_robin, sql
from gateway.store.events import Change, Event, Flow
from gateway.store.links import LinkKind
from gateway.store.session import reading
from handlers.deps import Deps, ItemsJustRead
from mapping.records import Item, RecordChange, fingerprint

ENTITY = "Item"
OURS = "gateway"
GONE = "deleted"
"""Fingerprint of what was deleted in the books."""
LEFT_OUT = "left out"
"""Fingerprint of an item that the settings now leave out; earlier writes do not count any more."""
WEBHOOK = "webhook"
AT_ONCE = 100
"""Webhooks whose items are read together."""
LAG = timedelta(minutes=1)
"""How much later than the change the time of its webhook may be."""
PATIENCE_SECONDS = 2.0
"""How long a thread waits for another that is reading: then it reads its item by itself."""
_TRUSTED = frozenset({cursors.BOOKS, "backfill", OURS})


@dataclass(frozen=True, slots=True)
class ItemReading:
    """An item, and a time of the database's clock before it was read."""

    item: Item
    read_at: datetime


@dataclass(frozen=True, slots=True)
class _Asked:
    """The books were asked for an item together with others; None if they did not show it."""

    reading: ItemReading | None


def read(event: Event, deps: Deps) -> ItemReading:
    """The item of this event. Raises NotFound if the books do not have it any more."""
    stored, stored_at = find_in_hint(event, "item"), find_in_hint(event, "read_at")
    if stored and stored_at and not is_repeated(event):
        brought = ItemReading(wire.to_item(stored), datetime.fromisoformat(stored_at))
        with reading(deps.engine) as session:
            is_stale = inbox.heard_since(session, event, brought.read_at)
        if not is_stale:
            return brought
    return _read_with_others(event, deps) or read_now(event.entity_id, deps)


def read_now(item_id: str, deps: Deps) -> ItemReading:
    """Raises `NotFound` if the books do not have it any more."""
    read_at = now(deps)
    return ItemReading(deps.books.item(item_id), read_at)


def _read_with_others(event: Event, deps: Deps) -> ItemReading | None:
    """Of a webhook: the item, read together with those of which webhooks wait; None if it has to be read by itself.

    Somebody changes thousands of items at once, and a read for each would be metered. Every item that was read together
    was changed before, and what changed since has an event of its own.
    """
    if event.source != WEBHOOK or is_repeated(event) or not event.entity_id.isdecimal():
        return None
    together = deps.process.items[deps.connection]
    if not together.lock.acquire(timeout=PATIENCE_SECONDS):
        return None
    try:
        asked: _Asked | None = together.take(event.key)
        found = asked.reading if asked else _read_several(event, together, deps)
    except Permanent:  # of another item, perhaps: that must not stop this one
        return None
    finally:
        together.lock.release()
    if found is None or found.item.updated_at is None or event.occurred_at is None:
        return found
    # Whether a query may lag behind a read is unknown: it may not show the change yet that the webhook tells of.
    return found if found.item.updated_at >= event.occurred_at - LAG else None


def _read_several(event: Event, together: ItemsJustRead, deps: Deps) -> ItemReading | None:
    with reading(deps.engine) as session:
        waiting = round_robin.find_waiting(session, deps.connection, entity=ENTITY, source=WEBHOOK, limit=AT_ONCE)
        read_at = sql.now_of(session)
    waiting = {key: id_ for key, id_ in waiting.items() if id_.isdecimal() and id_ != event.entity_id}
    if not waiting:
        return None
    known = deps.books.items_by_ids([event.entity_id, *dict.fromkeys(waiting.values())])
    seen = {item.id: ItemReading(item, read_at) for item in known}
    together.put({key: _Asked(seen.get(id_)) for key, id_ in waiting.items()})
    return seen.get(event.entity_id)


def find_ours(item_ids: Collection[str], deps: Deps) -> set[str]:
    """Those that we created for our own lines; an item named in the settings was created by a person."""
    used = deps.read(links.find_by_targets, [LinkKind.SPECIAL], item_ids)
    return {id_ for id_, found in used.items() if any(not link.source_id.startswith(links.NAMED) for link in found)}


def is_ours(item_id: str, deps: Deps) -> bool:
    return bool(find_ours([item_id], deps))


def now(deps: Deps) -> datetime:
    """The database's clock, which dates the rows."""
    with reading(deps.engine) as session:
        return sql.now_of(session)


def to_hint(item: Item | RecordChange, read_at: datetime, **more: Any) -> str:
    hint = {"item": wire.to_stored(item), "read_at": read_at.isoformat(), **more}
    return simplejson.dumps(hint, use_decimal=True)


def find_in_hint(event: Event, name: str) -> Any:
    """Another value from the hint of an event of ours, or None."""
    if event.source not in _TRUSTED or not event.hint:
        return None
    return simplejson.loads(event.hint, use_decimal=True).get(name)


def find_merged(event: Event) -> str | None:
    """The id of the item merged into this one, if the event is a merge."""
    brought = simplejson.loads(event.hint or "null", use_decimal=True)
    return brought.get("deleted_id") if isinstance(brought, dict) else None


def to_merge_hint(merged_id: str) -> str:
    return simplejson.dumps({"deleted_id": merged_id})


def follow(
    flow: Flow, event: Event, seen: ItemReading, *, entity: str = ENTITY, entity_id: str | None = None, key: str = ""
) -> Change:
    change = follow_gone(flow, event)._replace(hint=to_hint(seen.item, seen.read_at), sku=seen.item.sku)
    return change._replace(key=key or change.key, entity=entity, entity_id=entity_id or seen.item.id)


def follow_gone(flow: Flow, event: Event) -> Change:
    """The change that passes to another flow that the books do not have this item any more."""
    return Change(
        key=f"{event.key}>{flow}",
        flow=flow,
        source=OURS,
        entity=ENTITY,
        entity_id=event.entity_id,
        connection=event.connection,
        operation=event.operation,
        occurred_at=event.occurred_at,
        priority=event.priority,
    )


def content(item: Item | RecordChange) -> str:
    """A short hash of everything the books say about an item."""
    return fingerprint(wire.to_stored(item))


def is_repeated(event: Event) -> bool:
    """Whether this is a repeat, or a person's request: then no stored state is trusted."""
    return event.attempts > 1 or event.careful

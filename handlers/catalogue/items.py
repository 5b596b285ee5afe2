"""An item as an event is to see it: as it was read a moment ago with the event, else read now.

Reads of the books are metered. What change data capture, a backfill or another event of ours has just read travels
with the event; it is used only while nobody has told of a newer change. A webhook's content is never used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import simplejson

from gateway.connectors.quickbooks import wire
from gateway.store import cursors, inbox, links, views
from gateway.store.events import Change, Event, Flow
from gateway.store.links import LinkKind
from gateway.store.session import reading
from handlers.deps import Deps
from mapping.fingerprints import fingerprint
from mapping.records import Item

ENTITY = "Item"
OURS = "gateway"
GONE = "deleted"
"""Fingerprint of what was deleted in the books."""
LEFT_OUT = "left out"
"""Fingerprint of what the settings leave out by now; what was written before does not count any more."""
_TRUSTED = frozenset({cursors.BOOKS, "backfill", OURS})


@dataclass(frozen=True, slots=True)
class ItemReading:
    """An item, and a moment of the database's clock at which the books had not been asked for it yet."""

    item: Item
    read_at: datetime


def read(event: Event, deps: Deps) -> ItemReading:
    """The item this event is about. Raises NotFound when the books have it no more."""
    brought = _find_reading(event)
    if brought is not None and not _is_stale(event, brought, deps):
        return brought
    read_at = now(deps)
    return ItemReading(deps.books.item(event.entity_id), read_at)


def is_ours(item_id: str, deps: Deps) -> bool:
    """Whether we made this item for our own lines; one that a person made and the settings name is not ours."""
    with reading(deps.engine) as session:
        used = links.find_by_target(session, deps.connection, LinkKind.SPECIAL, item_id)
    return any(not link.source_id.startswith(links.NAMED) for link in used)


def now(deps: Deps) -> datetime:
    """The database's clock, by which rows are dated."""
    with reading(deps.engine) as session:
        return views.now_of(session)


def to_hint(raw: Mapping[str, Any], read_at: datetime, **more: Any) -> str:
    """What travels with an event: the item as the books answered it."""
    return simplejson.dumps({"item": raw, "read_at": read_at.isoformat(), **more}, use_decimal=True)


def find_in_hint(event: Event, name: str) -> Any:
    """Something else that travels with an event of ours, or None."""
    if event.source not in _TRUSTED or not event.hint:
        return None
    return simplejson.loads(event.hint, use_decimal=True).get(name)


def find_merged(event: Event) -> str | None:
    """The item that went up in this one, when the event tells of a merge."""
    brought = simplejson.loads(event.hint or "null", use_decimal=True)
    return brought.get("deleted_id") if isinstance(brought, dict) else None


def to_merge_hint(merged_id: str) -> str:
    """What travels with an event that tells of a merge into its item or customer."""
    return simplejson.dumps({"deleted_id": merged_id})


def follow(
    flow: Flow, event: Event, seen: ItemReading, *, entity: str = ENTITY, entity_id: str | None = None, key: str = ""
) -> Change:
    """The change that carries what this event read on in another flow."""
    change = dataclasses.replace(follow_gone(flow, event), hint=to_hint(seen.item.raw, seen.read_at), sku=seen.item.sku)
    return dataclasses.replace(change, key=key or change.key, entity=entity, entity_id=entity_id or seen.item.id)


def follow_gone(flow: Flow, event: Event) -> Change:
    """The change that carries on, in another flow, that the books have this item no more."""
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


def content(raw: Mapping[str, Any]) -> str:
    """A short text for all that the books say of an item."""
    return fingerprint(raw)


def _find_reading(event: Event) -> ItemReading | None:
    raw, read_at = find_in_hint(event, "item"), find_in_hint(event, "read_at")
    return ItemReading(wire.to_item(raw), datetime.fromisoformat(read_at)) if raw and read_at else None


def is_repeated(event: Event) -> bool:
    """Whether this was tried before, or a person asked for it again: then nothing we remember is taken on trust."""
    return event.attempts > 1 or event.careful


def _is_stale(event: Event, brought: ItemReading, deps: Deps) -> bool:
    if is_repeated(event):
        return True
    with reading(deps.engine) as session:
        return inbox.heard_since(session, event, brought.read_at)

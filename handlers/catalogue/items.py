"""The item of an event: the copy stored with the event if it is fresh, else read now; and its article number.

Reads of the books are metered. Change data capture, a backfill and our own events store the item they have just read
with the event; it is used only if no newer change was reported. A webhook's content is never used. The article number
is the SKU, or allocated permanently if that is not a number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import simplejson
from sqlmodel import Session

from gateway.connectors.quickbooks import wire
from gateway.database import sql
from gateway.database.session import reading, writing
from gateway.errors import Permanent
from gateway.store import cursors, inbox, links, round_robin
from gateway.store.events import Change, Event, Flow
from gateway.store.links import Link, LinkKind
from handlers.deps import Deps, ItemReadCache
from mapping.errors import MappingError, NotBookable
from mapping.items import fold, name_item, needs_allocation, to_article_number
from mapping.messages import message
from mapping.records import Item, RecordChange, fingerprint
from mapping.sections import ProductSettings

ENTITY = "Item"
OURS = "gateway"
GONE = "deleted"
"""Fingerprint of what was deleted in the books."""
LEFT_OUT = "left out"
"""Fingerprint of an item that the settings now leave out; earlier writes do not count any more."""
WEBHOOK = "webhook"
NUMBERS_AT_ONCE: Final = 200
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
            is_stale = inbox.has_event_since(session, event, brought.read_at)
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


def _read_several(event: Event, together: ItemReadCache, deps: Deps) -> ItemReading | None:
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


def follow(flow: Flow, event: Event, seen: ItemReading, *, key: str = "") -> Change:
    change, hint = follow_gone(flow, event), to_hint(seen.item, seen.read_at)
    return change._replace(key=key or change.key, entity_id=seen.item.id, hint=hint, sku=seen.item.sku)


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
    return event.attempts > 1 or event.maybe_written


# --- its article number ---


def number_of(item: Item, deps: Deps) -> int:
    """The item's article number; a new one from the reserved range if its SKU has letters.

    Raises `MappingError` for a SKU the settings refuse, and if no number is left in the range.
    """
    settings = deps.settings.products
    if not needs_allocation(item, settings):
        return to_article_number(item, settings)
    known = _find(item, deps)
    if known is None and not deps.read(links.has_numbers):
        # This database may be older than the till's articles (a restored backup) or empty: they name their item.
        _recall(deps)
        known = _find(item, deps)
    while known is None:
        number = _number_by_sku(item, deps) or _next_number(item, deps)
        if deps.write(links.claim_number, item.id, number):
            deps.note("the SKU has a number of its own", sku=item.sku, number=number)
        known = _find(item, deps)
    return to_article_number(item, settings, allocated=known)


def find_number(item: Item, deps: Deps) -> int | None:
    """The item's article number, or None when it has none or cannot have one."""
    return deps.read(find_numbers, [item], deps.settings.products).get(item.id)


def find_numbers(session: Session, connection: str, items: Sequence[Item], settings: ProductSettings) -> dict[str, int]:
    """The article numbers of these items; those that have none or cannot have one are absent."""
    given: Mapping[str, int] = {}
    if some := [item.id for item in items if needs_allocation(item, settings)]:
        given = links.find_numbers(session, connection, some)
    found: dict[str, int] = {}
    for item in items:
        with suppress(MappingError):
            found[item.id] = to_article_number(item, settings, allocated=given.get(item.id))
    return found


def articles_of(items: Sequence[Item], deps: Deps) -> dict[str, int | NotBookable]:
    """The article number of each of these items, or why it has none of its own; looked up at once."""
    of = deps.connection
    with reading(deps.engine) as session:
        known = links.find_all(session, of, LinkKind.ITEM, [item.id for item in items])
        numbers = find_numbers(session, of, items, deps.settings.products)
        numbers |= {id_: int(link.target_id) for id_, link in known.items() if id_ not in numbers}
        owners = links.find_all(session, of, LinkKind.ARTICLE, [str(n) for n in set(numbers.values())])
    return {item.id: _to_article(item, numbers.get(item.id), known.get(item.id), owners, deps) for item in items}


def _to_article(
    item: Item, number: int | None, link: Link | None, owners: Mapping[str, Link], deps: Deps
) -> int | NotBookable:
    if number is None:
        return NotBookable("the item is not at the till", record=name_item(item), field="SKU")
    if link and link.target_id != str(number) and deps.settings.products.enabled:
        return NotBookable(
            message("article {number} is made of it first; its stock follows", number=number), record=name_item(item)
        )
    owner = owners.get(str(number))
    if owner is not None and owner.target_id != item.id:
        return NotBookable(
            message("article {number} is another item's in QuickBooks", number=number),
            record=name_item(item),
            field="SKU",
        )
    return number


def give_all(items: Sequence[Item], deps: Deps) -> dict[str, int]:
    """New numbers for items of a load whose SKUs have letters, with three or four calls for all of them.

    Left out, for their events to look closer: items that have a number, or whose SKU another item or the till has.
    """
    wanted = [item for item in items if needs_allocation(item, deps.settings.products)]
    if not wanted:
        return {}
    alike = find_alike(wanted, deps)
    wanted = [item for item in wanted if all(other.id == item.id for other in alike[fold(item)])]
    if not deps.read(links.has_numbers):
        _recall(deps)
    given = deps.read(links.find_numbers, [item.id for item in wanted])
    at_till = deps.till.products_by_plu([(item.sku or "").strip() for item in wanted])
    taken = {article.plu for read in at_till for article in read.product.articles}
    new = [item for item in wanted if item.id not in given and (item.sku or "").strip() not in taken]
    reserved = _reserved(deps)
    start = deps.read(links.next_number, reserved[0], reserved[-1])
    # As far as the first block has them that has a number which the till does not use.
    for block in _blocks(range(start, reserved.stop) if new else range(0)):
        owners = _owners(block, deps)
        ours, free = set(owners.values()), [number for number in block if number not in owners]
        pairs = [*zip((item for item in new if item.id not in ours), free, strict=False)]
        if pairs:
            with writing(deps.engine) as session:
                return {item.id: n for item, n in pairs if links.claim_number(session, deps.connection, item.id, n)}
    return {}


def find_alike(items: Iterable[Item], deps: Deps) -> Mapping[str, Sequence[Item]]:
    """The active items of the books by SKU, as `items.fold` has it, for the SKUs of these items."""
    skus = {(item.sku or "").strip() for item in items}
    # Whether the books tell capitals from small letters when they search is not documented.
    spelt = {spelling for sku in skus for spelling in (sku, sku.upper(), sku.lower())}
    found: dict[str, list[Item]] = defaultdict(list)
    for item in deps.books.items_by_skus(sorted(spelt)):
        if item.active:
            found[fold(item)].append(item)
    return found


def _find(item: Item, deps: Deps) -> int | None:
    return deps.read(links.find_numbers, [item.id]).get(item.id)


def _number_by_sku(item: Item, deps: Deps) -> int | None:
    """The number of an article in the reserved range with this SKU that is not marked as another item's."""
    reserved = _reserved(deps)
    sku = (item.sku or "").strip()
    found = (each for read in deps.till.products_by_plu([sku]) for each in read.product.articles)
    mine = (a.number for a in found if a.plu == sku and a.number in reserved and a.ext_id in (None, "", item.id))
    with reading(deps.engine) as session:
        return next((n for n in mine if n and links.owner_of_number(session, deps.connection, n) is None), None)


def _next_number(item: Item, deps: Deps) -> int:
    """The next number that neither we nor the till has used, read in blocks; the item's own number comes first."""
    reserved = _reserved(deps)
    start = deps.read(links.next_number, reserved[0], reserved[-1])
    for block in _blocks(range(start, reserved.stop)):
        taken = _owners(block, deps)
        mine = next((number for number, owner in taken.items() if owner == item.id), None)
        free = next((number for number in block if number not in taken), None)
        if (number := mine or free) is not None:
            return number
    raise MappingError(
        "the reserved range of article numbers is used up",
        code="numbers-used-up",
        record=name_item(item),
        field="products.allocate_to",
        fix="widen products.allocate_from and products.allocate_to in the settings, then retry",
    )


def _recall(deps: Deps) -> None:
    """Read from the till which item owns each article of the reserved range, up to the first empty block."""
    for block in _blocks(_reserved(deps)):
        owners = _owners(block, deps)
        for number, owner in owners.items():
            if owner.isdecimal():
                deps.write(links.claim_number, owner, number)
        if not owners:
            return


def _owners(block: range, deps: Deps) -> dict[int, str]:
    """The till's articles with these numbers, in order, and the item that each one names as its owner."""
    found = (article for read in deps.till.products_of_articles(block) for article in read.product.articles)
    taken = {article.number: article.ext_id or "" for article in found if article.number in block}
    return {number: taken[number] for number in block if number in taken}


def _reserved(deps: Deps) -> range:
    return range(deps.settings.products.allocate_from, deps.settings.products.allocate_to + 1)


def _blocks(numbers_: range) -> Iterator[range]:
    return (numbers_[start : start + NUMBERS_AT_ONCE] for start in range(0, len(numbers_), NUMBERS_AT_ONCE))

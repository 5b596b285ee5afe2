"""What is known of a booked sale: its link, its content when last read or written, whether somebody edited it.

A link without a fingerprint means that the document exists but a later step was not finished. Changes by QuickBooks
itself are no edit: after a merge every document, closed or not, names the remaining item or customer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlmodel import Session

from gateway.connectors.quickbooks.wire_documents import (
    References,
    content_of,
    contents_of,
    is_as_signed,
    references_of,
    with_references,
)
from gateway.errors import NotFound
from gateway.store import leases, links
from gateway.store.events import PEOPLE, Event, Flow
from gateway.store.links import BookingStatus, Key, Link, LinkKind, of_other
from handlers import known_records
from handlers.catalogue import items, ownership
from handlers.deps import Deps
from handlers.known_records import CUSTOMER, ITEM
from handlers.references import parties
from mapping import sale_identity
from mapping.records import BookedDocument, DocumentContent, Sale, SaleKind
from mapping.sale_identity import find_signed_content

WRITTEN = (LinkKind.DAY_DOCUMENT, LinkKind.DOCUMENT, LinkKind.MONEY, LinkKind.DEPOSIT)
"""The kinds of links to documents of the books, the most specific first."""
GONE_IN_BOOKS = "gone-in-books"
"""Code of the messages about a document that was removed from the books."""
REFERENCES = "references"
"""The customer and items in the document when last read."""


_ASKED_FOR = PEOPLE | {"backfill"}


def is_maybe_written(event: Event, deps: Deps) -> bool:
    """Whether the document may be in the books without a link.

    An event that was in the inbox when this process started may have been booked before a backup was restored.
    """
    if event.received_at < deps.process.started:
        return True
    return event.maybe_written or event.attempts > 1 or event.source in _ASKED_FOR


def find(sale_id: str, deps: Deps) -> Link | None:
    return deps.read(links.find, LinkKind.DOCUMENT, sale_id)


def find_document(entity: str, document_id: str, deps: Deps) -> Link | None:
    """The link of a document of the books that we wrote: of a day, of a sale, or of money beside one; or None."""
    found = deps.read(links.find_by_targets, WRITTEN, [document_id])
    return choose_written(entity, found.get(document_id, ()))


def choose_written(entity: str, found: Sequence[Link]) -> Link | None:
    """Of links to documents of one number, the most specific to one of this kind."""
    same = [link for link in found if link.kind in WRITTEN and link.target_entity == entity]
    return min(same, key=lambda link: WRITTEN.index(LinkKind(link.kind)), default=None)


def detail(link: Link, name: str) -> Any:
    return link.detail.get(name)


def name_document(link: Link) -> str:
    return sale_identity.name_document(link.target_entity, detail(link, "document_number"), link.target_id)


def seen(content: DocumentContent) -> dict[str, Any]:
    """The stored details of a document as it is in the books, to recognise a later edit."""
    return {"seen": content_of(content), REFERENCES: references_of(content)}


def note(link: Link, status: BookingStatus, deps: Deps) -> Link:
    changed = dataclasses.replace(link, status=status)
    deps.save_links(changed)
    return changed


def gone_status(document: BookedDocument | None) -> BookingStatus:
    """What became of a document that is not in the books any more; None: it cannot be read."""
    return BookingStatus.DELETED if document is None else BookingStatus.VOIDED


def mark_gone(session: Session, link: Link, how: BookingStatus, deps: Deps) -> bool:
    """Store that the linked document is gone, unless the link names another document by now; whether it did."""
    now = links.find(session, deps.connection, LinkKind(link.kind), link.source_id)
    if now is None or (now.target_entity, now.target_id) != (link.target_entity, link.target_id):
        return False
    links.save(session, deps.connection, dataclasses.replace(now, status=how))
    return True


def begin(link: Link, deps: Deps, *, status: BookingStatus | None = None, **facts: Any) -> Link:
    """Store what is about to be written. Until the write is finished, the link does not count as done."""
    detail = {**link.detail, **facts}
    begun = dataclasses.replace(link, fingerprint=None, detail=detail, status=status or link.status)
    deps.save_links(begun)
    return begun


def find_other(sale: Sale, known: Mapping[Key, Link | None]) -> str | None:
    """Why this sale must not be booked: it was booked as another record (an order, or its receipt or invoice).

    `known` has its `links.of_other`.
    """
    claimed, *orders = (known[key] for key in of_other(sale))
    if booked := next(filter(None, orders), None):
        return f"this sale is booked already, as the order {detail(booked, 'number') or booked.source_id}"
    return f"this order is booked already, as {detail(claimed, 'number')}" if claimed else None


_FLOWS = {ITEM: Flow.PRODUCTS, CUSTOMER: Flow.CUSTOMERS}


def is_as_left(link: Link, content: DocumentContent, deps: Deps) -> bool:
    """Whether the document equals what a gateway wrote or was about to write; True if nothing is known of that.

    Of a document whose content was not kept with its link, the signature in its note is known.

    The signature in its note names the content also of a write that is not in this database: of another
    installation, or from before a backup was restored.
    """
    ours = {detail(link, "seen"), detail(link, "sent")} - {None}
    if (not ours and not find_signed_content(content.note)) or _is_one_of(ours, content):
        return True
    before = _before_merges(link, references_of(content), deps)
    return before is not None and _is_one_of(ours, with_references(content, before))


def is_edited(link: Link, current: BookedDocument, deps: Deps) -> bool:
    """Whether the document was edited in the books since we wrote it. Payments alone do not count."""
    return current.sync_token != link.sync_token and not is_as_left(link, current.content, deps)


def _is_one_of(ours: set[str], content: DocumentContent) -> bool:
    return bool(contents_of(content) & ours) or is_as_signed(content)


def _before_merges(link: Link, now: References, deps: Deps) -> References | None:
    """What the document named before the merges into its records; None if merges explain nothing."""
    kept = detail(link, REFERENCES)
    if kept is None:  # booked before references were kept
        was = {entity: [_first_merged(entity, each, deps) for each in ids] for entity, ids in now.items()}
        return was if was != now else None
    if any(len(kept.get(entity, ())) != len(ids) for entity, ids in now.items()):
        return None
    differing = {(entity, *pair) for entity, ids in now.items() for pair in zip(kept[entity], ids, strict=True)}
    changed = [each for each in sorted(differing, key=str) if each[1] != each[2]]
    if not changed or not all(_took_over(entity, was, is_now, deps) for entity, was, is_now in changed):
        return None
    return {entity: kept[entity] for entity in now}


def _first_merged(entity: str, record_id: str | None, deps: Deps) -> str | None:
    merged_ids = known_records.find_merged(entity, record_id, deps) if record_id else []
    return merged_ids[0] if merged_ids else record_id


def _took_over(entity: str, was: str | None, is_now: str | None, deps: Deps) -> bool:
    """Whether one record replaced the other because of a merge: nothing else removes a record permanently."""
    if not was or not is_now:
        return False
    if remaining_id := known_records.find_remaining(entity, was, deps):
        return remaining_id == is_now
    try:
        deps.books.item(was) if entity == ITEM else deps.books.customer(was)
    except NotFound:
        deps.note("merged into another in QuickBooks", entity=entity, merged_id=was, remaining_id=is_now)
    else:
        return False
    if not deps.dry_run:
        # The merge was not reported: use the remaining record for sales, and pass the merge to its own flow.
        known_records.note_merge(entity, was, is_now, deps)
        move = ownership.move if entity == ITEM else parties.move
        move(was, is_now, deps)
        key = f"qbo:merged:{deps.connection}:{entity}:{was}:{is_now}"
        hint = items.to_merge_hint(was)
        deps.enqueue(deps.to_change(key, _FLOWS[entity], entity, is_now, operation="merge", hint=hint))
    return True


def hold(sales: Iterable[Sale], deps: Deps) -> AbstractContextManager[object]:
    """A lease on the orders of these sales: one event at a time decides which payments are deposits."""
    ids = [each for sale in sales for each in ((sale.id,) if sale.kind is SaleKind.ORDER else sale.order_ids)]
    if not ids or not deps.settings.orders.deposits:
        return nullcontext()
    works = (f"order {order_id}" for order_id in ids)
    return leases.alone(deps.engine, deps.connection, *works, process=deps.process.name)

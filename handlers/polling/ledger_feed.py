"""Change data capture of the books' documents, customers and estimates: changes whose webhooks were lost.

Rows are complete, so our documents are compared here without another read: only a deleted, voided or edited one
becomes an event. Documents of others are ignored, except estimates if they count as reserved.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Final

from gateway.connectors.quickbooks.wire_customers import to_customer
from gateway.connectors.quickbooks.wire_documents import is_voided
from gateway.errors import AuthLost, GatewayError, RateLimited
from gateway.store import agreements, cursors, inbox, sales_queries
from gateway.store.events import Change, Flow
from gateway.store.links import BookingStatus, Link
from gateway.store.session import reading, writing
from handlers import awaited_records
from handlers.deps import Deps
from handlers.polling import captures
from handlers.polling.captures import Capture, Shared
from handlers.references import addresses
from handlers.sales import bookings, comparison, documents, successors, writers
from mapping.records import DocumentKind
from mapping.records import RecordChange as BooksChange
from mapping.sale_identity import find_tag

SOURCE: Final = cursors.LEDGER
DOCUMENTS: Final = tuple(str(kind) for kind in DocumentKind)
CUSTOMER: Final = "Customer"
ESTIMATE: Final = "Estimate"
_FLOWS: Final = {CUSTOMER: Flow.CUSTOMERS, ESTIMATE: Flow.STOCK}
"""Entities that are read whoever created them."""
OVERLAP = timedelta(minutes=5)


def poll(deps: Deps, shared: Shared | None = None) -> list[int]:
    """Receive what changed; returns the ids of events to work on now."""
    lease = cursors.take(deps.engine, deps.connection, SOURCE)
    if lease is None:
        return []
    with cursors.recorded(deps.engine, deps.connection, SOURCE, lease):
        return _capture(deps, lease, shared)


def _capture(deps: Deps, lease: str, shared: Shared | None) -> list[int]:
    read, refused = _read(deps, lease, shared)
    fresh: list[Change] = []
    people: list[BooksChange] = []
    days: set[date] = set()
    for change in chain.from_iterable(each.changes for each in read):  # read during iteration, so once
        if change.entity == CUSTOMER:
            people.append(change)
        if event := _to_event(change, deps):
            fresh.append(event)
        if day := _day_to_compare(change, deps):
            days.add(day)
    _note_people(people, deps)
    with writing(deps.engine) as session:
        received = inbox.receive(session, fresh)
        agreements.mark(session, deps.connection, days, now=deps.now())
        reached = min([each.as_of for each in read] + [deps.now()]).astimezone(UTC)
        # If nothing was read, every entity keeps its own position, so this one may move. Another poll's is left.
        if cursors.advance(session, deps.connection, SOURCE, reached.isoformat(), lease=lease):
            cursors.hold_back(session, deps.connection, SOURCE, refused)
    return [row.id for row in received if row.pending]


def _read(deps: Deps, lease: str, shared: Shared | None) -> tuple[list[Capture], dict[str, tuple[str, str]]]:
    """What could be read; and the entities that could not, each with its position and reason."""
    with reading(deps.engine) as session:
        start = cursors.find(session, deps.connection, SOURCE) or deps.now().isoformat()
        failed_before = cursors.failure(session, deps.connection, SOURCE) is not None
        held = cursors.held_back(session, deps.connection, SOURCE)
    read: list[Capture] = []
    refused: dict[str, tuple[str, str]] = {}
    if followed := [entity for entity in entities(deps) if entity not in held]:
        scope = _scope(deps, lease, followed)
        read.append(captures.read(scope, _since(start), deps, shared, failed_before=failed_before))
        refused = {entity: (start, str(error)) for entity, error in read[0].refused.items()}
    for entity in [entity for entity in entities(deps) if entity in held]:
        found = _try_again(entity, held[entity], deps, lease)
        if isinstance(found, str):
            refused[entity] = (held[entity], found)
        else:
            read.append(found)
    return read, refused


def _since(position: str) -> datetime:
    return datetime.fromisoformat(position) - OVERLAP


def _try_again(entity: str, position: str, deps: Deps, lease: str) -> Capture | str:
    """Changes of an entity that the books could not return before; or why they still cannot."""
    try:
        return captures.read(_scope(deps, lease, [entity]), _since(position), deps)
    except (AuthLost, RateLimited):
        raise
    except GatewayError as error:
        return str(error)


def _note_people(people: Sequence[BooksChange], deps: Deps) -> None:
    """Index the customers' addresses; release sales that wait for a customer that is active again."""
    if not deps.settings.customers.enabled:
        addresses.mark_unsure(deps)
        return
    present = [to_customer(change.raw) for change in people if not change.deleted]
    gone = [change.id for change in people if change.deleted]
    addresses.note(present, deps, gone=gone)
    awaited_records.release_customers([*gone, *(customer.id or "" for customer in present if customer.active)], deps)


def _scope(deps: Deps, lease: str, followed: Sequence[str]) -> captures.Scope:
    """Customers need no ids: they are merged or made inactive, never deleted."""

    def linked(entity: str) -> list[str]:
        if entity in _FLOWS:
            return []
        with reading(deps.engine) as session:
            ours = (sales_queries.target_ids(session, deps.connection, kind, entity) for kind in bookings.WRITTEN)
            return sorted({each for some in ours for each in some})

    def prolong() -> None:
        cursors.renew(deps.engine, lease)

    return captures.Scope(followed, linked, prolong)


def entities(deps: Deps) -> tuple[str, ...]:
    """The entities to read: documents, and what the settings add."""
    wanted = {CUSTOMER: deps.settings.customers.enabled, ESTIMATE: deps.settings.stock.count_estimates}
    return (*DOCUMENTS, *(entity for entity in _FLOWS if wanted[entity]))


def _to_event(change: BooksChange, deps: Deps) -> Change | None:
    operation = "updated" if change.entity in _FLOWS else _what_happened(change, deps)
    if operation is None or (change.entity == CUSTOMER and not deps.settings.customers.to_till):
        return None
    # A deletion is permanent; its time is not always known.
    version = operation if change.deleted else f"{operation}:{change.updated_at.isoformat()}"
    return Change(
        key=f"qbo:cdc:{deps.connection}:{change.entity}:{change.id}:{version}",
        flow=_FLOWS.get(change.entity, Flow.ORDERS),
        source=cursors.BOOKS,
        entity=change.entity,
        entity_id=change.id,
        connection=deps.connection,
        operation=operation,
        occurred_at=change.updated_at,
    )


def _what_happened(change: BooksChange, deps: Deps) -> str | None:
    """What a person did to a document of ours; None for our own writes, for payments, for documents of others."""
    link = bookings.find_document(change.entity, change.id, deps)
    if link is None:
        return None if change.deleted else _who_wrote(change, deps)
    if link.status.is_gone:
        return None
    if change.deleted:
        return "deleted"
    if _is_outdated(change, link):
        return None
    if is_voided(change.raw):
        return None if link.status is BookingStatus.WITHDRAWN else "voided"
    return None if comparison.is_as_left(link, change.raw, deps) else "edited"


def _day_to_compare(change: BooksChange, deps: Deps) -> date | None:
    """The day whose sums a document of another writer, or an edited one, changes; None for our own writes."""
    if change.entity in _FLOWS or change.deleted:
        return None
    if bookings.find_document(change.entity, change.id, deps) is not None and _what_happened(change, deps) is None:
        return None
    day = str(change.raw.get("TxnDate") or "")
    return date.fromisoformat(day) if day else None


def _who_wrote(change: BooksChange, deps: Deps) -> str | None:
    """Whether a document without a link has our marker: then it may be a sale's second document."""
    note = change.raw.get("PrivateNote")
    if find_tag(note) is None or is_voided(change.raw):
        return None
    documents.report_installation(note, deps)
    return writers.UNLINKED if successors.is_of_known_sale(note, deps) else None


def _is_outdated(change: BooksChange, link: Link) -> bool:
    """Whether we wrote or checked the document after this change was captured."""
    captured, known = str(change.raw.get("SyncToken") or ""), link.sync_token or ""
    return captured.isdigit() and known.isdigit() and int(captured) < int(known)

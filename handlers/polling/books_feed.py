"""Change data capture of the books: one cursor, one lease and one metered read for every kind of record.

Rows are complete, so our documents are compared here without another read: only a deleted, voided or edited one
becomes an event. Documents of others are ignored, except estimates if they count as reserved. A kind that cannot be
read stays behind with a position of its own; the others move on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from typing import Final

from sqlmodel import Session

from gateway.connectors.quickbooks.faults import OUTAGE
from gateway.connectors.quickbooks.wire import customer_of, item_of, keeps_stock
from gateway.connectors.quickbooks.wire_documents import document_of, payment_of, shows_void
from gateway.database.session import reading, writing
from gateway.errors import AuthLost, GatewayError, Permanent, RateLimited, Transient
from gateway.store import agreements, cursors, event_history, inbox, links
from gateway.store.events import Change, Flow
from gateway.store.links import LinkKind
from handlers import known_records
from handlers.catalogue import items
from handlers.deps import Deps
from handlers.polling import books_documents
from handlers.polling.books_documents import DOCUMENTS, EDITED, GONE
from handlers.references import parties
from handlers.sales import bookings, settlement
from mapping.records import ChangeSet, Customer, Item
from mapping.records import RecordChange as BooksChange
from mapping.settings_document import SettingsDocument

ITEM: Final = "Item"
CUSTOMER: Final = "Customer"
PAYMENT: Final = "Payment"
ESTIMATE: Final = "Estimate"
SHORTLY: Final = timedelta(minutes=2)  # by when a webhook of a change has come
LONGEST_SECONDS, MOST_STRETCH, LOOKED_AT = 7200.0, 8, 20
_WEBHOOK: Final = "webhook"
_SLACK: Final = timedelta(minutes=1)  # between the books' clock and ours
_FLOWS: Final = {ITEM: Flow.PRODUCTS, CUSTOMER: Flow.CUSTOMERS, ESTIMATE: Flow.STOCK}
LOOK_BACK: Final = timedelta(days=29)  # the vendor's limit is 30 days
AT_ONCE: Final = 200  # rows looked up in one read
OVERLAP: Final = timedelta(minutes=5)  # the order of rows in an answer is not documented: stay a little behind


@dataclass(frozen=True, slots=True)
class Followed:
    """One kind of record: whether it is followed, the event of a change if it is one, and the ids that are known."""

    wanted: Callable[[SettingsDocument], bool]
    to_event: Callable[[BooksChange, datetime, Deps], Change | None]
    known: Callable[[str, Deps], Iterable[str]] = lambda _entity, _deps: ()


@dataclass(frozen=True, slots=True)
class Capture:
    """The changes, read during iteration; `as_of` is the books' clock before the first read.

    `read_at` is the database's clock at that time. Entities in `refused` could not be read.
    """

    changes: Iterable[BooksChange]
    as_of: datetime
    read_at: datetime
    refused: Mapping[str, GatewayError] = field(default_factory=dict)


@dataclass(slots=True)
class _Found:
    """What a poll found: events, days to compare, and what is told apart from events."""

    deps: Deps
    awaits_items: bool
    fresh: list[Change] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    items: list[Item] = field(default_factory=list)
    people: list[Customer] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    captured: list[tuple[datetime, str]] = field(default_factory=list)
    moved: defaultdict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    """When documents moved the stock of an item, by its subject."""
    stocked: set[str] = field(default_factory=set)
    """The subjects of the items that keep stock: only these does a document change."""

    def add(self, change: BooksChange, read_at: datetime) -> None:
        """One change. Raises Permanent if it cannot be understood."""
        flow = _FLOWS.get(change.entity, Flow.ORDERS)
        self.captured.append((change.updated_at, _to_change(change, flow, "", "", self.deps).subject))
        if change.entity == CUSTOMER and change.deleted:
            self.gone.append(change.id)
        elif change.entity == CUSTOMER:
            self.people.append(customer_of(change))
        elif change.entity == ITEM and self.awaits_items and not change.deleted:
            self.items.append(item_of(change))
        if change.entity == ITEM and keeps_stock(change):
            self.stocked.add(_subject_of_item(change.id, self.deps))
        if change.entity in DOCUMENTS and not change.deleted:
            for _, item_id, _ in document_of(change).content.lines:
                self.moved[_subject_of_item(item_id or "", self.deps)].append(change.updated_at)
        event = ENTITIES[change.entity].to_event(change, read_at, self.deps)
        if event:
            self.fresh.append(event)
        if day := books_documents.find_day_to_compare(change, self.deps, is_event=event is not None):
            self.days.add(day)

    def is_explained(self, at: datetime, subject: str) -> bool:
        """Whether an item changed when a document of this capture moved its stock: of that no webhook needs to tell."""
        return subject in self.stocked and any(abs(at - when) <= _SLACK for when in self.moved.get(subject, ()))


def poll(deps: Deps) -> list[int]:
    """Receive what changed in the books; returns the ids of events to work on now."""
    lease = cursors.take(deps.engine, deps.connection, cursors.BOOKS, process=deps.process.name)
    if lease is None:
        return []
    with cursors.recorded(deps.engine, deps.connection, cursors.BOOKS, lease):
        read, refused = _read(deps, lease)
        found = _Found(deps, known_records.awaits_items(deps))
        for position, capture in read:
            for change in capture.changes:  # read during iteration, so once
                if change.entity in refused:
                    continue
                try:
                    found.add(change, capture.read_at)
                except Permanent as error:
                    refused[change.entity] = (position, str(error))
        # A repeated capture releases again: a sale that was parked while its item's event ended is found the next time.
        known_records.release_items(found.items, deps)
        if deps.settings.customers.enabled:
            parties.note(found.people, deps, gone=found.gone)
            active = [customer.id or "" for customer in found.people if customer.active]
            known_records.release_customers([*found.gone, *active], deps)
        else:
            parties.mark_unsure(deps)
        with writing(deps.engine) as session:
            received = inbox.receive(session, found.fresh)
            agreements.mark(session, deps.connection, found.days, now=deps.now())
            as_of = min([each.as_of for _, each in read] + [deps.now()])
            reached = as_of.astimezone(UTC).isoformat()
            cursors.set_stretch(session, deps.connection, _stretch(session, found, as_of))
            # If nothing was read, every entity keeps its own position, so this one may move. Another poll's is left.
            if cursors.advance(session, deps.connection, cursors.BOOKS, reached, lease=lease):
                cursors.hold_back(session, deps.connection, refused)
        return [row.id for row in received if row.pending]


def seconds_between(deps: Deps, setting: float) -> float:
    """Until the next poll: the setting, or up to eight times as long, at most two hours, while webhooks tell all.

    The first change that a poll finds and no webhook has told makes it the setting again.
    """
    stretch = deps.read(cursors.find_stretch)
    return min(setting * stretch, max(setting, LONGEST_SECONDS))


def _stretch(session: Session, found: _Found, as_of: datetime) -> int:
    """By how much the next poll may be later, after what was found in this one."""
    deps = found.deps
    events = {(event.occurred_at or as_of, event.subject) for event in found.fresh}
    fresh = {each for each in events if not found.is_explained(*each)}
    captured = [each for each in found.captured if not found.is_explained(*each)]
    newest = sorted(fresh, reverse=True)[:LOOKED_AT] + sorted(captured, reverse=True)[:LOOKED_AT]
    told: set[tuple[datetime, str]] = set()
    for at, subject in newest:
        received = event_history.last_received(session, subject, source=_WEBHOOK)
        if received is not None and received >= at - _SLACK:
            told.add((at, subject))
    due = {each for each in newest if each[0] < as_of - SHORTLY}
    before = cursors.find_stretch(session, deps.connection)
    if (due & fresh) - told or (due and not told):
        return 1
    return min(before * 2, MOST_STRETCH) if told or before > 1 else 1


def _read(deps: Deps, lease: str) -> tuple[list[tuple[str, Capture]], dict[str, tuple[str, str]]]:
    """What could be read, with the position it was read from; and what could not, each with its position and reason."""
    with reading(deps.engine) as session:
        start = cursors.find(session, deps.connection, cursors.BOOKS) or deps.now().isoformat()
        failed_before = cursors.failure(session, deps.connection, cursors.BOOKS) is not None
        held = cursors.held_back(session, deps.connection)
    read: list[tuple[str, Capture]] = []
    refused: dict[str, tuple[str, str]] = {}
    wanted = [entity for entity, kind in ENTITIES.items() if kind.wanted(deps.settings)]
    if together := [entity for entity in wanted if entity not in held]:
        capture = _capture(together, start, lease, deps, failed_before=failed_before)
        read.append((start, capture))
        refused = {entity: (start, str(error)) for entity, error in capture.refused.items()}
    for entity in (entity for entity in wanted if entity in held):
        try:
            # An entity that the books could not return before.
            capture = _capture([entity], held[entity], lease, deps)
            read.append((held[entity], capture))
        except (AuthLost, RateLimited):
            raise
        except GatewayError as error:
            refused[entity] = (held[entity], str(error))
    return read, refused


def _capture(entities: Sequence[str], position: str, lease: str, deps: Deps, *, failed_before: bool = False) -> Capture:
    """Everything of these entities that changed since; one read if that is enough.

    Change data capture reaches thirty days back, returns at most a thousand rows over all requested entities, and has
    no pages. A query has pages, but shows no deletions: so linked rows are looked up too, and a missing one was
    deleted. If the books fail on an answer, each entity is requested separately: one record that they cannot show must
    not hide the others. `failed_before` says that the poll before this one failed: one internal error says little, two
    in a row may mean that a record cannot be shown.
    """
    since = datetime.fromisoformat(position) - OVERLAP
    read_at = items.now(deps)
    if since < deps.now() - LOOK_BACK:
        # The last poll is older than the vendor's limit: only a full read finds what happened since.
        as_of = deps.books.changes(entities, deps.now()).as_of
        found = (_look_through(entity, lease, since, as_of, deps) for entity in entities)
        return Capture(chain.from_iterable(found), as_of, read_at)
    answer, refused = _ask(entities, since, deps, failed_before=failed_before)
    if not answer.possibly_truncated:
        return Capture(answer.changes, answer.as_of, read_at, refused)
    # One entity in one read; page by page if that answer too has the maximum length.
    alone = {entity: deps.books.changes([entity], since) for entity in entities if entity not in refused}
    parts = [
        _look_through(entity, lease, since, part.as_of, deps) if part.possibly_truncated else part.changes
        for entity, part in alone.items()
    ]
    return Capture(chain.from_iterable(parts), min(part.as_of for part in alone.values()), read_at, refused)


def _ask(
    entities: Sequence[str], since: datetime, deps: Deps, *, failed_before: bool
) -> tuple[ChangeSet, dict[str, GatewayError]]:
    """One answer for all entities, or one each if the books fail on it; and the entities that fail alone."""
    try:
        return deps.books.changes(entities, since), {}
    except GatewayError as error:
        if len(entities) == 1 or not _may_be_about_a_record(error, failed_before=failed_before):
            raise
        deps.note("QuickBooks cannot say what changed: asking for each kind separately", reason=error.reason)
    answers: list[ChangeSet] = []
    refused: dict[str, GatewayError] = {}
    for entity in entities:
        try:
            answers.append(deps.books.changes([entity], since))
        except GatewayError as error:
            if not _may_be_about_a_record(error, failed_before=True):
                raise
            refused[entity] = error
    if not answers:
        raise next(iter(refused.values()))
    changes = tuple(change for answer in answers for change in answer.changes)
    truncated = any(answer.possibly_truncated for answer in answers)
    return ChangeSet(changes, min(answer.as_of for answer in answers), possibly_truncated=truncated), refused


def _may_be_about_a_record(error: GatewayError, *, failed_before: bool) -> bool:
    """Whether a record in the answer may be the cause: a refusal, or a repeated internal error."""
    if isinstance(error, Permanent):
        return not isinstance(error, AuthLost)
    return failed_before and isinstance(error, Transient) and error.code == OUTAGE.code


def _look_through(entity: str, lease: str, since: datetime, as_of: datetime, deps: Deps) -> Iterator[BooksChange]:
    """Changed rows first, then linked rows that were not among them: unchanged, deleted, or moved between two pages."""
    deps.note("more changed in QuickBooks than one answer holds: looking through all of it", entity=entity, since=since)
    seen: set[str] = set()
    for change in deps.books.changed_rows(entity, since):
        if len(seen) % AT_ONCE == 0:
            cursors.renew(deps.engine, lease)
        seen.add(change.id)
        yield change
    left = (id_ for id_ in dict.fromkeys(ENTITIES[entity].known(entity, deps)) if id_ not in seen)
    while some := list(islice(left, AT_ONCE)):
        cursors.renew(deps.engine, lease)
        present = {change.id: change for change in deps.books.present_rows(entity, some, as_of)}
        yield from (present.get(id_) or BooksChange(entity, id_, as_of, deleted=True) for id_ in some)


# --- one change ---


def _to_change(change: BooksChange, flow: Flow, operation: str, version: str, deps: Deps) -> Change:
    # A deletion is permanent; its time is not always known.
    return Change(
        key=f"qbo:cdc:{deps.connection}:{change.entity}:{change.id}:{operation if change.deleted else version}",
        flow=flow,
        source=cursors.BOOKS,
        entity=change.entity,
        entity_id=change.id,
        connection=deps.connection,
        operation=operation,
        occurred_at=change.updated_at,
    )


def _subject_of_item(item_id: str, deps: Deps) -> str:
    return Change("", Flow.PRODUCTS, "", ITEM, item_id, connection=deps.connection).subject


def _item_event(change: BooksChange, read_at: datetime, deps: Deps) -> Change | None:
    """Unless exactly this was already handled; the books date changes by the second only."""
    if change.deleted:
        return _to_change(change, Flow.PRODUCTS, "deleted", "", deps)
    link = deps.read(links.find, LinkKind.ITEM, change.id)
    content = items.content(change)
    if link and link.detail.get("content") == content:
        return None
    version = f"{change.updated_at.isoformat()}:{content}"
    event = _to_change(change, Flow.PRODUCTS, "changed", version, deps)
    return event._replace(hint=items.to_hint(change, read_at))


def _document_event(change: BooksChange, _read_at: datetime, deps: Deps) -> Change | None:
    operation = books_documents.find_operation(change, deps)
    return _updated(change, Flow.ORDERS, deps, operation) if operation else None


def _payment_event(change: BooksChange, _read_at: datetime, deps: Deps) -> Change | None:
    """That somebody removed a payment of ours, unless that was told: when it was is not always known; or edited it."""
    operation = "deleted" if change.deleted else "voided" if shows_void(change) else None
    found = deps.read(links.find_by_target, LinkKind.PAYMENT, change.id)
    ours = [each for each in found if not (each.status.is_gone or each.status.is_our_doing)]
    if operation is None:
        is_edited = any(settlement.is_edited(each, payment_of(change)) for each in ours)
        return _updated(change, Flow.ORDERS, deps, EDITED) if is_edited else None
    event = _to_change(change, Flow.ORDERS, operation, operation, deps)
    with reading(deps.engine) as session:
        told = event_history.last_received(session, event.subject, operations=GONE)
    return event if told is None and ours else None


def _updated(change: BooksChange, flow: Flow, deps: Deps, operation: str = "updated") -> Change:
    return _to_change(change, flow, operation, f"{operation}:{change.updated_at.isoformat()}", deps)


# Customers need no known ids: they are merged or made inactive, never deleted.
ENTITIES: Final[Mapping[str, Followed]] = {
    ITEM: Followed(lambda _: True, _item_event, lambda _, deps: deps.read(links.source_ids, LinkKind.ITEM)),
    **dict.fromkeys(
        DOCUMENTS,
        Followed(
            lambda _: True,
            _document_event,
            lambda entity, deps: deps.read(links.target_ids, bookings.WRITTEN, entity),
        ),
    ),
    PAYMENT: Followed(
        lambda _: True, _payment_event, lambda entity, deps: deps.read(links.target_ids, (LinkKind.PAYMENT,), entity)
    ),
    CUSTOMER: Followed(
        lambda settings: settings.customers.enabled,
        lambda change, _, deps: _updated(change, Flow.CUSTOMERS, deps) if deps.settings.customers.to_till else None,
    ),
    ESTIMATE: Followed(
        lambda settings: settings.stock.count_estimates, lambda change, _, deps: _updated(change, Flow.STOCK, deps)
    ),
}

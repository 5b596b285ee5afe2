"""Read queries for the pages: lists of events with filters, counts, the age of waiting events, one order's history."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter

from sqlalchemy import ColumnElement, String, and_, exists, func, literal_column, or_, select, true, union, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from gateway.store import connections, sales
from gateway.store.cursors import CUSTOMERS, FAILING_SECONDS, find_failing, flows_of
from gateway.store.events import FIELDS, OPEN, SALES, TRADE, UNSETTLED, Event, Flow, State
from gateway.store.links import LinkKind
from gateway.store.requests import AGREEMENT, BACKFILLING, DOCTOR, DRY
from gateway.store.sql import Page, begins, chunks, given, holds_one, now_of, page_of
from gateway.store.tables import ConnectionRow, CursorRow, EventCountRow, InboxRow, LinkRow, TokenRow
from mapping import messages, settings_document
from mapping.sale_identity import find_numbers

PAGE = 50
LONGEST_PAGE = 200
LISTED_BACK, SEARCHED_BACK = 20_000, 2_500
BEGINNINGS = 1_000  # a search by a single digit would find half of them
_COLUMNS = tuple(getattr(InboxRow, name) for name in FIELDS)
_NAMING = (InboxRow.order_id, InboxRow.sku, InboxRow.email, InboxRow.entity_id)
_ASKED = tuple(literal_column(f"'{entity}'", String) for entity in (AGREEMENT, BACKFILLING, DOCTOR))
_NUMBER = re.compile(r"[0-9][0-9.]*")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events to list. `q` searches order, SKU, e-mail, entity id and reason; `before` is the cursor.

    An order is also found by its number in the books.
    """

    state: State | None = None
    flow: Flow | None = None
    connection: str | None = None
    code: str | None = None
    q: str | None = None
    before: int | None = None
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """The status of one flow: rows per state, seconds the oldest unsynced and the oldest parked row have waited.

    `last_done_at`: when a record was, requests and echoes of our own writes apart.
    `unseen_seconds`: how long a system or a feed of it has not answered, None while all do. Changes since then are
    unknown, so the flow is not up to date.
    """

    flow: str
    counts: dict[str, int]
    unsynced_seconds: float | None
    parked_seconds: float | None
    last_done_at: datetime | None
    unseen_seconds: float | None = None

    @property
    def behind_seconds(self) -> float | None:
        """How far the flow may be behind; None when it is up to date."""
        return max((each for each in (self.unsynced_seconds, self.unseen_seconds) if each is not None), default=None)


def find_events(session: Session, wanted: Filter) -> Page[Event, int]:
    """One page of the matching events, newest first.

    A page looks through the last `LISTED_BACK` events before its cursor, a search with `q` through `SEARCHED_BACK`, and
    through all that are open or whose order, SKU, e-mail or entity id begins with `q`. So a page may hold few events,
    or none, and still name the next one.
    """
    limit, low, id_ = max(1, min(wanted.limit, LONGEST_PAGE)), 0, col(InboxRow.id)
    equal = ((InboxRow.state, wanted.state), (InboxRow.flow, wanted.flow), (InboxRow.code, wanted.code or None))
    fits = and_(true(), *given(*equal))
    if wanted.connection:
        fits = and_(fits, col(InboxRow.connection).in_(connections.keys_of(session, wanted.connection)))
    if wanted.before is not None:
        fits = and_(fits, id_ < wanted.before)
    # Elsewhere an index holds exactly the events that are listed.
    if wanted.q or (wanted.state not in OPEN and (wanted.state or wanted.flow or wanted.connection)):
        newest = session.execute(select(func.max(id_))).scalar_one() or 0
        before = newest + 1 if wanted.before is None else min(wanted.before, newest + 1)
        low = max(0, before - 1 - (SEARCHED_BACK if wanted.q else LISTED_BACK))
    is_near = id_.in_(_search(session, wanted.q, fits, low, limit + 1)) if wanted.q else id_ > low
    page = page_of(select_events(session, fits, is_near, limit=limit + 1), limit, attrgetter("id"))
    is_more = page.next is None and low > 0 and all(event.id > low for event in page.rows)
    return page._replace(next=low + 1) if is_more else page


def select_events(session: Session, *wanted: ColumnElement[bool], limit: int | None = None) -> list[Event]:
    """The events that meet all conditions, newest first."""
    statement = select(*_COLUMNS).where(*wanted).order_by(col(InboxRow.id).desc()).limit(limit)
    return [Event(*row) for row in session.execute(statement).all()]


def _search(session: Session, q: str, fits: ColumnElement[bool], low: int, most: int) -> set[int]:
    """The ids of fitting events that hold this text, among those that `find_events` names."""
    id_, number = col(InboxRow.id), q.strip()
    says = holds_one((*_NAMING, InboxRow.reason), [q])
    spellings = dict.fromkeys((q, q.lower(), q.upper()))
    begun = [begins(col(column), spelling) for column in _NAMING for spelling in spellings]
    # Sales whose number in the books is, or begins with, this text; words are no numbers.
    begun += [
        and_(about, begins(col(InboxRow.order_id), printed))
        for about, printed in _printed_numbers(session, number)
        if _NUMBER.fullmatch(printed)
    ]
    begun += [and_(about, col(InboxRow.entity_id) == sale) for about, sale in _documents_numbered(session, number)]
    parts = [select(id_).where(each).limit(BEGINNINGS) for each in begun]
    # By an expression, so that no index on the id is read from its end in search of a match.
    parts += [select(id_).where(fits, places, says).order_by((id_ + 0).desc()).limit(most)
              for places in (id_ > low, col(InboxRow.state).in_(OPEN))]  # fmt: skip
    found = union_all(*(select(part.subquery().c.id) for part in parts))
    return {int(each) for each in session.execute(found).scalars()}


def find_known(session: Session, keys: Collection[str]) -> set[str]:
    """Those of these keys that were received before."""
    return set(session.execute(select(col(InboxRow.key)).where(col(InboxRow.key).in_(keys))).scalars())


def last_received(
    session: Session, subject: str, *, source: str | None = None, operations: Collection[str] | None = None
) -> datetime | None:
    """When this source, or any, last told of a record, or None.

    With `operations` (in lower case): of one of these, unless it needed no person, or has been put right since.
    """
    told = and_(col(InboxRow.subject) == subject, *given((InboxRow.source, source)))
    if operations is not None:
        is_over = col(InboxRow.state) == State.DONE
        told = and_(told, func.lower(col(InboxRow.operation)).in_(operations), ~is_over)
    newest = select(col(InboxRow.received_at)).where(told).order_by(col(InboxRow.id).desc()).limit(1)
    return session.execute(newest).scalar_one_or_none()


def has_come(session: Session, connection: str, *, source: str, flow: str, since: datetime) -> bool:
    about = and_(col(InboxRow.connection) == connection, col(InboxRow.source) == source, col(InboxRow.flow) == flow)
    come = select(col(InboxRow.id)).where(col(InboxRow.received_at) >= since, about).limit(1)
    return session.execute(come).scalar_one_or_none() is not None


def find_event(session: Session, event_id: int) -> Event | None:
    return next(iter(select_events(session, col(InboxRow.id) == event_id)), None)


def count_pending(session: Session, connection: str | None = None) -> dict[str, int]:
    """How many records of each flow are on their way, requests and echoes apart; by the index of the open ones."""
    trade = col(InboxRow.entity).in_(TRADE)
    mine = (col(InboxRow.state).in_(UNSETTLED), trade, *given((InboxRow.connection, connection)))
    wanted = select(col(InboxRow.flow), func.count()).where(*mine)
    return {str(flow): int(count) for flow, count in session.execute(wanted.group_by(col(InboxRow.flow)))}


def newest_of(session: Session, entity: str, connection: str | None = None, *, limit: int) -> list[Event]:
    """The last requests of a kind that `is_request` includes, newest first; of all connections or of one."""
    return select_events(session, is_request(entity), *given((InboxRow.connection, connection)), limit=limit)


def is_request(entity: str) -> ColumnElement[bool]:
    """Whether an event is this request of a person; the index's own condition stands there verbatim."""
    return and_(col(InboxRow.entity).in_(_ASKED), col(InboxRow.entity) == entity)


def newest_about(session: Session, subject: str) -> Event | None:
    return next(iter(events_about(session, subject, limit=1)), None)


def events_about(session: Session, subject: str, *, limit: int) -> list[Event]:
    """The last events of a subject, newest first."""
    return select_events(session, col(InboxRow.subject) == subject, limit=limit)


def events_of_order(session: Session, order: str, *, limit: int = PAGE) -> list[Event]:
    """All events of an order, newest first.

    `order` is its id at the till, its printed number, or the number of its document in the books.
    """
    found = _named(session, order, col(InboxRow.flow) == Flow.ORDERS, limit)
    if any(event.entity in SALES.values() for event in found):
        return found
    for about, number in (*_printed_numbers(session, order), *_documents_numbered(session, order)):
        known = {event.id for event in found}
        found += [event for event in _named(session, number, about, limit) if event.id not in known]
    return sorted(found, key=lambda event: -event.id)[:limit]


def _documents_numbered(session: Session, number: str) -> Iterator[tuple[ColumnElement[bool], str]]:
    """The sales whose document has this number, which may be cut to the length that the books allow."""
    for connection, kind, sale_id in sales.find_by_number(session, number):
        yield and_(col(InboxRow.connection) == connection, col(InboxRow.entity) == kind), sale_id


def _printed_numbers(session: Session, number: str) -> Iterator[tuple[ColumnElement[bool], str]]:
    """The till's printed number of a number in the books, and its sales, by each connection's prefixes."""
    for name in connections.names(session):
        document = settings_document.recall((connections.newest_settings(session, name) or (0, ""))[1])
        for kind, printed in find_numbers(number, document.orders):
            yield and_(col(InboxRow.connection) == name, col(InboxRow.entity) == SALES[kind]), printed


def _named(session: Session, order: str, about: ColumnElement[bool], limit: int) -> list[Event]:
    named = or_(col(InboxRow.order_id) == order, col(InboxRow.entity_id) == order)
    return select_events(session, named, about, limit=limit)


def flow_statuses(session: Session) -> list[FlowStatus]:
    """Every flow, idle ones included, in the order of the contract."""
    now = now_of(session)
    unseen = _unseen(session, now)
    is_open, about = col(InboxRow.state).in_(OPEN), (col(InboxRow.flow), col(InboxRow.state))
    waiting = select(*about, func.count(), func.min(col(InboxRow.received_at))).where(is_open).group_by(*about)
    ended, about = func.sum(col(EventCountRow.events)), (col(EventCountRow.flow), col(EventCountRow.state))
    over = select(*about, ended, func.max(col(EventCountRow.newest))).group_by(*about).having(ended > 0)
    counts: dict[str, dict[str, int]] = {}
    times: dict[tuple[str, str], datetime | None] = {}  # when the oldest came, or the newest ended
    for flow, state, count, time in (*session.execute(waiting), *session.execute(over)):
        counts.setdefault(flow, {})[state], times[flow, state] = int(count), time
    return [
        FlowStatus(
            flow=flow,
            counts=counts.get(flow, {}),
            unsynced_seconds=_age([times.get((flow, state)) for state in UNSETTLED], now),
            parked_seconds=_age([times.get((flow, State.PARKED))], now),
            last_done_at=times.get((flow, State.DONE)),
            unseen_seconds=unseen.get(flow),
        )
        for flow in Flow
    ]


def _unseen(session: Session, now: datetime) -> dict[str, float]:
    """For how many seconds changes of a flow may have been missed.

    A system is silent, a login of a connection that works has ended, or a feed fails.
    """
    spans = [(silence.seconds, set(Flow)) for silence in connections.find_silent(session, now)]
    works = and_(col(ConnectionRow.live), col(ConnectionRow.paused).is_(None), col(TokenRow.lost).is_not(None))
    lost = select(col(TokenRow.lost_at)).join(ConnectionRow, col(ConnectionRow.name) == col(TokenRow.connection))
    spans += [(_age([at], now) or 0.0, set(Flow)) for at in session.execute(lost.where(works)).scalars()]
    spans += [
        (_age([feed.polled_at], now) or FAILING_SECONDS, flows_of(feed.source)) for feed in find_failing(session, now)
    ]
    return {
        flow: max(seconds for seconds, flows in spans if flow in flows)
        for flow in Flow
        if any(flow in each for _, each in spans)
    }


def _age(moments: Iterable[datetime | None], now: datetime) -> float | None:
    """Seconds since the oldest of the known moments."""
    oldest = min(filter(None, moments), default=None)
    return None if oldest is None else max(0.0, (now - oldest).total_seconds())


def cursors(session: Session) -> Sequence[CursorRow]:
    source = col(CursorRow.source)
    polls = select(CursorRow).where(source != CUSTOMERS).order_by(col(CursorRow.connection), source)
    return session.execute(polls).scalars().all()


def tokens(session: Session) -> dict[str, TokenRow]:
    """Each connection's tokens, still sealed."""
    return {row.connection: row for row in session.execute(select(TokenRow)).scalars()}


# --- events of sales ------------------------------------------------------------------------------------------------


_AT_ONCE = 500
_IS_REAL = ~col(InboxRow.subject).endswith(DRY)
_IS_SKIPPED = col(InboxRow.state) == literal_column("'skipped'", String)  # as the index has it


def newest_events(session: Session, connection: str, entity_ids: Iterable[str]) -> dict[str, tuple[int, str, str]]:
    """By entity id (event id, state, reason or "") of the newest event of each of these sales that was no dry run."""
    found: dict[str, tuple[int, str, str]] = {}
    for some in chunks(entity_ids, _AT_ONCE):
        mine = and_(_of_sales(connection), col(InboxRow.entity_id).in_(some), _IS_REAL)
        newest = select(func.max(col(InboxRow.id))).where(mine).group_by(col(InboxRow.entity_id))
        said = (col(InboxRow.reason), col(InboxRow.messages))
        columns = (col(InboxRow.entity_id), col(InboxRow.id), col(InboxRow.state), *said)
        for entity_id, event_id, state, reason, stored in session.execute(
            select(*columns).where(col(InboxRow.id).in_(newest))
        ):
            found[str(entity_id)] = (int(event_id or 0), str(state), messages.restore(reason or "", stored))
    return found


def changed_since(session: Session, connection: str, entity: str, day: date) -> list[str]:
    """The ids of sales of one kind with an event received on or after this day of the shop."""
    begin = datetime(day.year, day.month, day.day, tzinfo=sales.AMSTERDAM)
    mine = and_(_of_sales(connection), col(InboxRow.entity) == entity, col(InboxRow.received_at) >= begin)
    found = session.execute(select(col(InboxRow.entity_id)).where(mine).order_by(col(InboxRow.received_at))).scalars()
    return list(dict.fromkeys(str(each) for each in found))


def _of_sales(connection: str) -> ColumnElement[bool]:
    return and_(col(InboxRow.connection) == connection, col(InboxRow.flow) == Flow.ORDERS)


@dataclass(frozen=True, slots=True)
class KnownSale:
    """A sale in the inbox: its newest event's state and code, and whether the books had it before a moment.

    `booked` is None when it was never booked, else whether that was before the given moment. `maybe_written`: it may
    have been booked without a record of it in this database.
    """

    entity: str
    entity_id: str
    state: str
    code: str | None
    booked: bool | None
    maybe_written: bool


def find_unposted(
    session: Session,
    connection: str,
    entities: Sequence[str],
    *,
    since: datetime,
    waiting_code: str,
    named: Sequence[str],
) -> list[KnownSale]:
    """The newest event of every sale that is open, or skipped for `waiting_code`, or booked since, or named by its id.

    It is one statement, so that a sale that is booked meanwhile is found either before or after, never missed.
    """
    newer = aliased(InboxRow)
    newest = ~exists().where(and_(col(newer.subject) == col(InboxRow.subject), col(newer.id) > col(InboxRow.id)))
    mine = and_(_of_sales(connection), col(InboxRow.entity).in_(entities), _IS_REAL)
    document = and_(
        col(LinkRow.connection) == connection,
        col(LinkRow.kind) == LinkKind.DOCUMENT,
        col(LinkRow.source_id) == col(InboxRow.entity_id),
    )
    columns = (InboxRow.entity, InboxRow.entity_id, InboxRow.state, InboxRow.code, LinkRow.created_at)
    maybe_written = or_(col(InboxRow.careful), col(InboxRow.source) == "backfill")
    known = select(*map(col, columns), maybe_written).outerjoin(LinkRow, document).where(mine, newest)
    parts = [
        known.where(col(InboxRow.state).in_(OPEN)),
        known.where(_IS_SKIPPED, col(InboxRow.code) == waiting_code),
        known.where(col(LinkRow.created_at) >= since),
    ]
    if named:
        parts.append(known.where(col(InboxRow.entity_id).in_(named)))
    return [
        KnownSale(entity, entity_id, state, code, None if booked_at is None else booked_at < since, unsure)
        for entity, entity_id, state, code, booked_at, unsure in session.execute(union(*parts))
    ]

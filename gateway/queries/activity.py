"""Events: lists with filters and search, an order's history, the log of one, the state of flows, running backfills."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import attrgetter

from sqlalchemy import ColumnElement, String, and_, case, func, literal_column, or_, select, true, union_all
from sqlmodel import Session, col

from gateway.database.sql import Page, begins, given, holds_one, moment, now_of, page_of
from gateway.store import connections, requests, sales
from gateway.store.audit import Entry
from gateway.store.cursors import CUSTOMERS, FAILING_SECONDS, FLOWS, find_failing
from gateway.store.event_history import select_events
from gateway.store.events import OPEN, SALES, SETTLED, TRADE, UNSETTLED, Event, Flow, State
from gateway.store.requests import AGREEMENT, BACKFILLING, DOCTOR, STOCK, Notes
from gateway.store.tables import CursorRow, EventCountRow, InboxRow, JournalRow, TokenRow
from mapping import settings_document
from mapping.sale_identity import find_numbers

PAGE = 50
LONGEST_PAGE = 200
LISTED_BACK, SEARCHED_BACK = 20_000, 2_500
PACE_SECONDS = 300.0
SHOWN, SHOWN_SECONDS = 20, 86_400.0
BEGINNINGS = 1_000  # a search by a single digit would find half of them
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


def find_event(session: Session, event_id: int) -> Event | None:
    return next(iter(select_events(session, col(InboxRow.id) == event_id)), None)


def find_about(session: Session, subject: str, *, limit: int) -> list[Event]:
    return select_events(session, col(InboxRow.subject) == subject, limit=limit)


def find_order(session: Session, order: str) -> list[Event]:
    """All events of an order, newest first.

    `order` is its id at the till, its printed number, or the number of its document in the books.
    """
    found = _named(session, order, col(InboxRow.flow) == Flow.ORDERS)
    if any(event.entity in SALES.values() for event in found):
        return found
    for about, number in (*_printed_numbers(session, order), *_documents_numbered(session, order)):
        known = {event.id for event in found}
        found += [event for event in _named(session, number, about) if event.id not in known]
    return sorted(found, key=lambda event: -event.id)[:PAGE]


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


def _named(session: Session, order: str, about: ColumnElement[bool]) -> list[Event]:
    named = or_(col(InboxRow.order_id) == order, col(InboxRow.entity_id) == order)
    return select_events(session, named, about, limit=PAGE)


def read_log(session: Session, event_id: int) -> list[Entry]:
    rows = session.execute(select(JournalRow).where(col(JournalRow.event_id) == event_id).order_by(col(JournalRow.id)))
    return [
        Entry(r.kind, r.title, r.system, json.loads(r.detail) if r.detail else None, r.milliseconds, r.at, r.messages)
        for r in rows.scalars()
    ]


def count_pending(session: Session, connection: str | None = None) -> dict[str, int]:
    """How many records of each flow are on their way, requests and echoes apart; by the index of the open ones."""
    trade = col(InboxRow.entity).in_(TRADE)
    mine = (col(InboxRow.state).in_(UNSETTLED), trade, *given((InboxRow.connection, connection)))
    wanted = select(col(InboxRow.flow), func.count()).where(*mine)
    return {str(flow): int(count) for flow, count in session.execute(wanted.group_by(col(InboxRow.flow)))}


def find_requests(session: Session, entity: str, connection: str | None = None, *, limit: int) -> list[Event]:
    """The last requests of a kind that `is_request` includes, newest first; of all connections or of one."""
    return select_events(session, _is_request(entity), *given((InboxRow.connection, connection)), limit=limit)


def _is_request(entity: str) -> ColumnElement[bool]:
    """Whether an event is this request of a person; the index's own condition stands there verbatim."""
    return and_(col(InboxRow.entity).in_(_ASKED), col(InboxRow.entity) == entity)


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
    works = col(TokenRow.connection).in_(connections.WORKING)
    lost = select(col(TokenRow.lost_at)).where(col(TokenRow.lost).is_not(None), works)
    spans += [(_age([at], now) or 0.0, set(Flow)) for at in session.execute(lost).scalars()]
    spans += [
        (_age([feed.polled_at], now) or FAILING_SECONDS, FLOWS.get(feed.source, {Flow.ORDERS}))
        for feed in find_failing(session, now)
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


def find_polls(session: Session) -> Sequence[CursorRow]:
    source = col(CursorRow.source)
    polls = select(CursorRow).where(source != CUSTOMERS).order_by(col(CursorRow.connection), source)
    return session.execute(polls).scalars().all()


# --- requests and their progress ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of one backfill at `now`. `seconds` is how long it has run, or ran.

    `counts`: how many of its events are in each state, `lately`: how many of them ended lately, `last`: when one last
    changed.
    """

    event: Event
    notes: Notes
    counts: Mapping[str, int]
    lately: int
    last: datetime | None
    now: datetime
    paused: bool = False
    cancelled: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended, with or without success, with all its events."""
        return self.event.state in SETTLED and not self.open

    @property
    def seconds(self) -> float:
        end = max(self.event.updated_at, self.last or self.event.updated_at) if self.over else self.now
        return max(0.0, (end - self.event.received_at).total_seconds())

    @property
    def parked(self) -> int:
        return self.counts.get(State.PARKED, 0)

    @property
    def open(self) -> int:
        """Records that were read and are not handled yet."""
        return sum(self.counts.get(state, 0) for state in UNSETTLED)

    @property
    def waits(self) -> bool:
        """Whether it waits for a later attempt, not for its own records: the reason is the event's."""
        due = self.event.due_at
        return not self.open and self.event.state not in SETTLED and due is not None and due > self.now

    @property
    def total(self) -> int:
        """The number of records, as far as known."""
        return self.notes.read if self.over else max(self.notes.total, self.notes.read)

    @property
    def done(self) -> int:
        """Records that are synchronised, or are not meant to be."""
        return max(0, self.notes.read - self.open - self.parked)

    @property
    def per_second(self) -> float:
        """The pace: of the whole time, or of the last minutes where that is better, as after an interruption."""
        if not self.seconds:
            return 0.0
        lately = 0 if self.over else self.lately
        return max(self.done / self.seconds, lately / min(self.seconds, PACE_SECONDS))

    @property
    def ends_at(self) -> datetime | None:
        """When it may be over at this pace; None when it is over, or when it cannot be estimated."""
        left = self.total - self.done - self.parked
        if self.over or not self.total or not self.per_second:
            return None
        return self.now + timedelta(seconds=left / self.per_second)

    @property
    def first_day(self) -> date | None:
        """The requested first day, None for everything."""
        return date.fromisoformat(self.since) if self.since else None

    @property
    def since(self) -> str | None:
        """The requested first day as it was stored."""
        return self.event.asked.get("since")


def look(session: Session, event: Event) -> Progress:
    rows = InboxRow.__table__.c  # type: ignore[attr-defined]
    lately = and_(rows.state.in_(SETTLED), rows.updated_at > moment(-PACE_SECONDS))
    columns = (rows.state, func.count(), func.sum(case((lately, 1), else_=0)), func.max(rows.updated_at))
    found = session.execute(select(*columns).where(requests.is_part_of(event)).group_by(rows.state)).all()
    counts = {row[0]: row[1] for row in found}
    lately_ended, last = sum(int(row[2]) for row in found), max((row[3] for row in found), default=None)
    notes, now = requests.read_notes(session, event), now_of(session)
    return Progress(event, notes, counts, lately_ended, last, now, *requests.find_holds(session, event))


def find_running(session: Session) -> list[Progress]:
    return _find_backfills(session, col(InboxRow.state).in_(UNSETTLED))


def find_recent(session: Session, connection: str | None = None) -> list[Progress]:
    """Backfills (of one connection) that run or ended within a day, newest first."""
    shown = or_(col(InboxRow.state).in_(OPEN), col(InboxRow.updated_at) > moment(-SHOWN_SECONDS))
    return _find_backfills(session, shown, *given((InboxRow.connection, connection)))


def _find_backfills(session: Session, *shown: ColumnElement[bool]) -> list[Progress]:
    found = select_events(session, _is_request(BACKFILLING), *shown, limit=SHOWN)
    return [look(session, event) for event in found]


def find_progress(session: Session, event_id: int) -> Progress:
    (event,) = select_events(session, col(InboxRow.id) == event_id)
    return look(session, event)


def find_follower(session: Session, event: Event) -> Event | None:
    """The backfill of stock that follows this one of products, if any."""
    return next(iter(select_events(session, col(InboxRow.key) == event.key + STOCK)), None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The present event, the titles of its log lines since the last read, and the id of the newest of them."""

    event: Event
    titles: list[str]
    line: int


def take_snapshot(session: Session, event_id: int, *, after_line: int = 0) -> Snapshot:
    """The event, which must exist, and what was logged since line `after_line`."""
    (event,) = select_events(session, col(InboxRow.id) == event_id)
    lines = session.execute(
        select(col(JournalRow.id), col(JournalRow.title))
        .where(col(JournalRow.event_id) == event_id, col(JournalRow.id) > after_line)
        .order_by(col(JournalRow.id))
    ).all()
    return Snapshot(event, [str(row[1]) for row in lines], int(lines[-1][0] or 0) if lines else after_line)


def find_next(session: Session, event: Event) -> int | None:
    """The event that continues this one: the sale a look-up found, or the event that superseded it."""
    if event.superseded_by is not None:
        return event.superseded_by
    found = session.execute(select(col(InboxRow.id)).where(col(InboxRow.key) == f"{event.key}:found"))
    return found.scalar_one_or_none()

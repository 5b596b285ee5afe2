"""Round robin: connections with due events, those that must rest, and the next event of each."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import and_, bindparam, exists, func, literal, literal_column, or_, select, true, union_all, update
from sqlalchemy.sql.expression import BindParameter, ColumnElement, Select
from sqlalchemy.types import ARRAY, JSON, Integer, String
from sqlmodel import Session

from gateway.database.sql import fixed
from gateway.store.events import BACKFILL, NORMAL, PENDING, SESSION, URGENT, Event, State
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS, is_cooling
from gateway.store.tables import ConnectionRow, InboxRow, RateLimitRow, TokenRow

DUE, MOST = "due", "at_most"  # the bound names of the due connections and of how many events of each
PRIORITIES = (URGENT, NORMAL, BACKFILL)
# Literals, not bound, and verbatim: only then do both databases use the partial index. As a negation, because
# SQLite would otherwise use the index of states and read every pending row.
_SETTLED = tuple(literal_column(f"'{state}'", String) for state in State if state not in PENDING)
_WORKING = literal_column(f"'{State.WORKING}'", String)

# The tables themselves: a statement built from them costs a fraction of one built from their classes.
_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_ROWS = _INBOX.c
_CONNECTIONS = ConnectionRow.__table__.c  # type: ignore[attr-defined]
_TOKENS = TokenRow.__table__.c  # type: ignore[attr-defined]
_LIMITS = RateLimitRow.__table__.c  # type: ignore[attr-defined]

_PENDING: ColumnElement[bool] = _ROWS.state.not_in(_SETTLED)
IS_ASKED: ColumnElement[bool] = _ROWS.entity != SESSION
"""Requests of a person, as opposed to hints of a webhook."""
_STOPPED = or_(_CONNECTIONS.paused.is_not(None), _CONNECTIONS.live.is_(False))
_LOST = select(_TOKENS.connection).where(_TOKENS.lost.is_not(None))
RESTING: Any = select(_CONNECTIONS.name).where(_STOPPED).union(_LOST)
"""Connections that wait for a person: paused, not live yet, or without authorisation."""
_ACCOUNT = or_(
    and_(_LIMITS.system == QUICKBOOKS, _LIMITS.account == _CONNECTIONS.realm_id),
    and_(_LIMITS.system == MPLUSKASSA, _LIMITS.account == _CONNECTIONS.mplus_url),
)
_COOLING: Any = select(_CONNECTIONS.name).where(_ACCOUNT, is_cooling(_LIMITS))
"""Connections with an account in cooldown."""


@dataclass(frozen=True, slots=True)
class DueConnection:
    """A connection with pending events. `resting`: only what a person asked for is done (paused, disconnected)."""

    connection: str
    resting: bool


class RoundRobin:
    """The order of one process: the connection served last comes last. Threads may share it."""

    def __init__(self) -> None:
        self._last = ""
        self._lock = threading.Lock()

    def order(self, due: Sequence[DueConnection]) -> list[DueConnection]:
        """The connections, beginning after the one that was served last."""
        with self._lock:
            last = self._last
        return sorted(due, key=lambda each: (each.connection <= last, each.connection))

    def share(
        self,
        due: Sequence[DueConnection],
        count: int,
        full: Callable[[Mapping[str, int]], Collection[str]],
        begun: Counter[str],
    ) -> Counter[DueConnection]:
        """Divide so many events among the due connections in turn; `full` names those that get no more.

        It is given how many each has: those it was given, and those that were `begun` before.
        """
        shares: Counter[DueConnection] = Counter()
        ring = deque(self.order(due))
        while ring and count:
            chosen = ring.popleft()
            # One that is full stays full: the shares only grow.
            if chosen.connection not in full(begun + Counter({d.connection: number for d, number in shares.items()})):
                shares[chosen] += 1
                count -= 1
                ring.append(chosen)
                with self._lock:
                    self._last = chosen.connection
        return shares


def find_due_connections(session: Session) -> list[DueConnection]:
    """Connections with pending events that may be handled; those whose accounts are in cooldown are left out.

    Costs one look into the index per connection, however many events wait.
    """
    return [DueConnection(str(name), bool(resting)) for name, resting in session.execute(_DUE_CONNECTIONS).all()]


def _least_name(*, after: ColumnElement[Any]) -> ColumnElement[str]:
    pending = select(_ROWS.connection).where(_PENDING, _ROWS.connection > after)
    return pending.order_by(_ROWS.connection).limit(1).correlate_except(_INBOX).scalar_subquery()


def find_next(session: Session, wanted: Mapping[DueConnection, int]) -> list[int]:
    """The ids of the events to claim next, of each connection at most so many: urgent first, then the longest due.

    Of a subject it is the newest due event, which reads the present state for the older ones, too; only of the same
    priority: a person's request is not superseded by a later webhook. Subjects that are being handled are left out, and
    where rows are locked (PostgreSQL) those that another worker is claiming. One statement for all connections.
    """
    dialect, found = session.get_bind().dialect.name, []
    for resting in (False, True):
        left = {due.connection: count for due, count in wanted.items() if due.resting == resting}
        if not left:
            continue
        bound = {DUE: list(left), MOST: max(left.values())}
        subjects = set()
        for name, subject, _, newest in sorted(
            session.execute(next_of(dialect, resting=resting), bound), key=itemgetter(2)
        ):
            if left[name] and newest is not None and subject not in subjects:
                left[name] -= 1
                subjects.add(subject)
                found.append(int(newest))
    return found


@cache
def next_of(dialect: str, *, resting: bool) -> Select[Any]:
    """Of the connections bound as `DUE`: connection, subject, priority and newest event of the first `MOST` of each."""
    at_most = bindparam(MOST, type_=Integer())
    arms = [_due_of(priority, resting=resting, connection=_WANTED).limit(at_most) for priority in _priorities(resting)]
    if dialect == "postgresql":
        locked = [arm.with_for_update(skip_locked=True).subquery() for arm in arms]
        first = union_all(*map(select, locked)).limit(at_most).lateral("first")
        listed = func.unnest(bindparam(DUE, type_=ARRAY(String()))).table_valued("value")
        return _newest_of(first.c).select_from(listed.render_derived(name="wanted").join(first, true()))
    ids = union_all(*(select(arm.subquery().c.id) for arm in arms)).limit(at_most).subquery()
    chosen = func.json_each(select(func.json_group_array(ids.c.id)).scalar_subquery()).table_valued("value")
    names = func.json_each(bindparam(DUE, type_=JSON())).table_valued("value", name="wanted")
    rows = _INBOX.alias("first")
    return _newest_of(rows.c).select_from(names.join(chosen, true()).join(rows, rows.c.id == chosen.c.value))


_WANTED: ColumnElement[str] = literal_column("wanted.value", String)


def _newest_of(first: Any) -> Select[Any]:
    newest = (
        select(func.max(_ROWS.id))
        .where(_ROWS.subject == first.subject, _ROWS.priority == first.priority, _ROWS.id >= first.id)
        .where(_PENDING, _ROWS.turn_at <= fixed())
        .correlate_except(_INBOX)
        .scalar_subquery()
    )
    return select(first.connection, first.subject, first.priority, newest)


def find_due(session: Session, of: DueConnection, *, limit: int) -> list[int]:
    """The ids of the connection's first due events, most urgent first."""
    found: list[int] = []
    for priority in _priorities(of.resting):
        if len(found) < limit:
            due = _due_of(priority, resting=of.resting, connection=_ONE).limit(limit - len(found))
            found += [int(row[0]) for row in session.execute(due, {DUE: of.connection})]
    return found


def find_waiting(session: Session, connection: str, *, entity: str, source: str, limit: int) -> dict[str, str]:
    """Of the connection's next so many events, those of this kind that nobody tried: what each is about, by its key."""
    first = _NEXT.limit(limit).subquery()
    mine = (first.c.entity == entity, first.c.source == source, first.c.attempts == 0)
    wanted = select(first.c.key, first.c.entity_id).where(*mine)
    return {str(key): str(id_) for key, id_ in session.execute(wanted, {DUE: connection})}


_ONE: BindParameter[str] = bindparam(DUE, type_=String())
_NEXT = (
    select(_ROWS.key, _ROWS.entity_id, _ROWS.entity, _ROWS.source, _ROWS.attempts)
    .where(_ROWS.connection == _ONE, _ROWS.priority == NORMAL, _ROWS.state.not_in(_SETTLED))
    .order_by(_ROWS.turn_at, _ROWS.id)
)


def _priorities(resting: bool) -> Sequence[int]:
    return (URGENT,) if resting else PRIORITIES


@cache
def _due_of(priority: int, *, resting: bool, connection: ColumnElement[str]) -> Select[Any]:
    other = _INBOX.alias("other")
    busy = exists().where(and_(other.c.subject == _ROWS.subject, other.c.state == _WORKING))
    return (
        select(_ROWS.id, _ROWS.connection, _ROWS.subject, _ROWS.priority)
        .where(_ROWS.connection == connection, _ROWS.priority == priority, _PENDING, ~busy)
        .where(_ROWS.turn_at <= fixed(), IS_ASKED if resting else true())
        .order_by(_ROWS.turn_at, _ROWS.id)
    )


def may_run(excluded: BindParameter[Any]) -> ColumnElement[bool]:
    """Whether an event may be claimed by its id: its connection neither rests nor cools down nor is `excluded`."""
    name = func.coalesce(_ROWS.connection, "")
    free = or_(and_(_ROWS.priority == URGENT, IS_ASKED), name.not_in(RESTING))
    return and_(free, name.not_in(_COOLING), name.not_in(excluded))


def give_back(session: Session, events: Sequence[Event]) -> None:
    """Release claimed events that were not started: they are due at once, and keep their turn."""
    if not events:
        return
    held = and_(_ROWS.id == bindparam("of"), _ROWS.lease == bindparam("by"), _ROWS.state == State.WORKING)
    free = {"state": State.RECEIVED, "attempts": _ROWS.attempts - 1, "lease": None}
    released = update(_INBOX).where(held).values(**free, leased_until=None)
    session.execute(released, [{"of": each.id, "by": each.lease} for each in events])


_FIRST_NAME = select(_least_name(after=literal("")).label("name")).cte("names", recursive=True)
_NAMES = _FIRST_NAME.union_all(select(_least_name(after=_FIRST_NAME.c.name)).where(_FIRST_NAME.c.name.is_not(None))).c
_DUE_CONNECTIONS = (
    select(_NAMES.name, _NAMES.name.in_(RESTING))
    .where(_NAMES.name.is_not(None), _NAMES.name.not_in(_COOLING))
    .order_by(_NAMES.name)
)

"""Whose turn it is: connections with something due, those that must rest, and what each would do next."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    String,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlmodel import Session

from gateway.store.clock import moment
from gateway.store.events import BACKFILL, NORMAL, PENDING, URGENT, State
from gateway.store.rate_limits import is_cooling
from gateway.store.tables import ConnectionRow, InboxRow, RateLimitRow, TokenRow

DUE = "turn"  # the bound name of the connection whose turn it is
PRIORITIES = (URGENT, NORMAL, BACKFILL)
# Written out, not bound, and word for word: only then do both databases see that a partial index fits. Said as what
# it is not, because SQLite would otherwise take the index of states and go through every pending row.
_SETTLED = tuple(literal_column(f"'{state}'", String) for state in State if state not in PENDING)
_WORKING = literal_column(f"'{State.WORKING}'", String)

# The tables themselves: a statement made of them costs a fraction of one made of their classes.
_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_ROWS = _INBOX.c
_CONNECTIONS = ConnectionRow.__table__.c  # type: ignore[attr-defined]
_TOKENS = TokenRow.__table__.c  # type: ignore[attr-defined]
_LIMITS = RateLimitRow.__table__.c  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class DueConnection:
    """A connection with pending events. `resting`: only what a person asked for is done (paused, disconnected)."""

    connection: str
    resting: bool


class RoundRobin:
    """One process's round: who was served last comes last. Threads may share it."""

    def __init__(self) -> None:
        self._last = ""
        self._lock = threading.Lock()

    def order(self, turns: Sequence[DueConnection]) -> list[DueConnection]:
        """The turns, beginning after the connection that was served last."""
        with self._lock:
            last = self._last
        return sorted(turns, key=lambda turn: (turn.connection <= last, turn.connection))

    def serve(self, connection: str) -> None:
        """Note that this connection has had its turn."""
        with self._lock:
            self._last = connection


def find_due_connections(session: Session) -> list[DueConnection]:
    """Connections with pending events that may be worked for; those whose accounts asked for a pause are left out.

    Costs one look into the index per connection, however many events wait.
    """
    return [DueConnection(str(name), bool(resting)) for name, resting in session.execute(_select_turns()).all()]


@cache
def _select_turns() -> Select[Any]:
    first = select(_least_name(after=literal("")).label("name")).cte("names", recursive=True)
    names = first.union_all(select(_least_name(after=first.c.name)).where(first.c.name.is_not(None)))
    return (
        select(names.c.name, names.c.name.in_(_resting()))
        .where(names.c.name.is_not(None), names.c.name.not_in(_cooling()))
        .order_by(names.c.name)
    )


def _least_name(*, after: ColumnElement[Any]) -> ColumnElement[str]:
    following = select(_ROWS.connection).where(_pending(), _ROWS.connection > after)
    return following.order_by(_ROWS.connection).limit(1).correlate_except(_INBOX).scalar_subquery()


@cache
def next_of(*, resting: bool, lock: bool) -> ColumnElement[int]:
    """The id of a turn's first due event whose subject nobody works on: urgent first, then the longest due.

    The connection is bound as `TURN` when it is executed.
    """
    first = [_due_of(priority, resting=resting).limit(1) for priority in _priorities(resting=resting)]
    return func.coalesce(
        *((each.with_for_update(skip_locked=True) if lock else each).scalar_subquery() for each in first), None
    )


@cache
def newest_of(*, resting: bool, lock: bool) -> ColumnElement[int]:
    """The id of the newest due event about what `next_of` is about: it reads the present truth for the older ones, too.

    Only among equally urgent ones: what a person asked for is not answered by what was merely heard later. Where it is
    `lock`ed and somebody has it, there is none: waiting for it while holding an older one could never end.
    """
    first = _INBOX.alias("first")
    picked = select(first.c.id, first.c.subject, first.c.priority).where(
        first.c.id == next_of(resting=resting, lock=lock)
    )
    alike = picked.subquery("picked")
    newest = (
        select(func.max(_ROWS.id))
        .where(_ROWS.subject == alike.c.subject, _ROWS.priority == alike.c.priority, _ROWS.id >= alike.c.id)
        .where(_pending(), _ROWS.turn_at <= moment())
        .correlate(None)
        .scalar_subquery()
    )
    locked = _INBOX.alias("locked")
    found = select(locked.c.id).where(locked.c.id == newest).with_for_update(skip_locked=True)
    return found.scalar_subquery() if lock else newest


def find_due(session: Session, turn: DueConnection, *, limit: int) -> list[int]:
    """The ids of the turn's first due events, most urgent first."""
    found: list[int] = []
    for priority in _priorities(resting=turn.resting):
        if len(found) < limit:
            due = _due_of(priority, resting=turn.resting).limit(limit - len(found))
            found += [int(row[0]) for row in session.execute(due, {DUE: turn.connection})]
    return found


def _priorities(*, resting: bool) -> Sequence[int]:
    return (URGENT,) if resting else PRIORITIES


@cache
def _due_of(priority: int, *, resting: bool) -> Select[Any]:
    other = _INBOX.alias("other")
    busy = exists().where(and_(other.c.subject == _ROWS.subject, other.c.state == _WORKING))
    return (
        select(_ROWS.id)
        .where(_ROWS.connection == bindparam(DUE, type_=String()), _ROWS.priority == priority, _pending(), ~busy)
        .where(_ROWS.turn_at <= moment(), is_asked() if resting else true())
        .order_by(_ROWS.turn_at, _ROWS.id)
    )


def may_run(barred: BindParameter[Any]) -> ColumnElement[bool]:
    """Whether an event may be claimed by its id: its connection neither rests nor cools down nor is `barred`."""
    name = func.coalesce(_ROWS.connection, "")
    free = or_(and_(_ROWS.priority == URGENT, is_asked()), name.not_in(_resting()))
    return and_(free, name.not_in(_cooling()), name.not_in(barred))


def is_asked() -> ColumnElement[bool]:
    """What a person asked for, as opposed to what a webhook hinted at."""
    asked: ColumnElement[bool] = _ROWS.entity != "Session"
    return asked


def _pending() -> ColumnElement[bool]:
    pending: ColumnElement[bool] = _ROWS.state.not_in(_SETTLED)
    return pending


def _resting() -> Any:
    """Connections that wait for a person: paused, not live yet, or without authorisation."""
    stopped = or_(_CONNECTIONS.paused.is_not(None), _CONNECTIONS.live.is_(False))
    lost = select(_TOKENS.connection).where(_TOKENS.lost.is_not(None))
    return select(_CONNECTIONS.name).where(stopped).union(lost)


def _cooling() -> Any:
    """Connections one of whose accounts asked for a pause."""
    account = or_(
        and_(_LIMITS.system == "quickbooks", _LIMITS.account == _CONNECTIONS.realm_id),
        and_(_LIMITS.system == "mpluskassa", _LIMITS.account == _CONNECTIONS.mplus_url),
    )
    return select(_CONNECTIONS.name).where(account, is_cooling(_LIMITS))


def give_back(session: Session, event_id: int, lease: str | None) -> None:
    """Let go of a claimed event with which nothing was done: it is due at once, for whoever comes next."""
    held = and_(_ROWS.id == event_id, _ROWS.lease == lease, _ROWS.state == State.WORKING)
    free = {"state": State.RECEIVED, "attempts": _ROWS.attempts - 1, "lease": None, "due_at": None}
    session.execute(update(_INBOX).where(held).values(**free, leased_until=None))

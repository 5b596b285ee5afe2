"""Claiming events: a fenced lease on the newest due event of a subject; older ones are closed as superseded."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from sqlalchemy import ColumnElement, Engine, Float, and_, any_, bindparam, case, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from gateway.store import round_robin
from gateway.store.claims import LEASE_SECONDS
from gateway.store.clock import moment
from gateway.store.events import PENDING, SUPERSEDED, Event, State
from gateway.store.round_robin import DueConnection, RoundRobin
from gateway.store.session import reading, writing
from gateway.store.tables import InboxRow

# Statements that every event needs, built once and only bound again: building them is most of their cost.
_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_ROWS = _INBOX.c
_COLUMNS = tuple(f.name for f in dataclasses.fields(Event))
ABANDONED = and_(_ROWS.state == State.WORKING, _ROWS.leased_until < moment())
DUE = or_(and_(_ROWS.state.in_(PENDING), or_(_ROWS.due_at.is_(None), _ROWS.due_at <= moment())), ABANDONED)
# A clock that jumps ends every lease in SQLite, which uses the machine's clock: the holder still excludes its own.
_NOT_OURS = or_(_ROWS.lease.is_(None), _ROWS.lease.not_in(bindparam("ours", expanding=True)))
_FIRST_ABANDONED = select(_ROWS.id).limit(1).where(ABANDONED, _NOT_OURS)
_CLOSABLE = (*PENDING, State.PARKED)
_OLDER = _INBOX.alias("older")
_OPEN_BEFORE = (_OLDER.c.subject == _ROWS.subject, _OLDER.c.id < _ROWS.id, _OLDER.c.state.in_(_CLOSABLE))
_TRIED_BEFORE = exists().where(*_OPEN_BEFORE, _OLDER.c.attempts > 0)
# A newer event of the subject may crash too: it continues the count. One that was parked for it is tried once more.
_COUNTED = func.max(_OLDER.c.crashes - case((_OLDER.c.state == State.PARKED, 1), else_=0))
_INHERITED = func.coalesce(select(_COUNTED).where(*_OPEN_BEFORE, _OLDER.c.crashes > 0).scalar_subquery(), 0)


def _taking(which: Any) -> Any:
    """The claim of one event, if it is still due."""
    return (
        update(_INBOX)
        .where(_ROWS.id == which, DUE)
        .values(
            state=State.WORKING,
            lease=bindparam("by"),
            leased_until=moment(bindparam("seconds", type_=Float())),
            attempts=_ROWS.attempts + 1,
            # Still 'working' when it is claimed: its worker was killed.
            crashes=_ROWS.crashes + case((_ROWS.state == State.WORKING, 1), else_=_INHERITED),
            # A write of an older one may have been sent.
            careful=or_(_ROWS.careful, _TRIED_BEFORE),
            updated_at=moment(),
        )
        .returning(*(_ROWS[name] for name in _COLUMNS))
    )


def _newest_of_subject() -> Any:
    subject = select(_ROWS.subject).where(_ROWS.id == bindparam("of")).scalar_subquery()
    # An abandoned row still holds the subject's lock, so it is taken over before anything newer. A person's request
    # is not superseded by a later webhook.
    order = (case((_ROWS.state == State.WORKING, 0), else_=1), _ROWS.priority, _ROWS.id.desc())
    wanted = and_(_ROWS.subject == subject, DUE, _NOT_OURS, round_robin.may_run(bindparam("excluded", expanding=True)))
    return select(_ROWS.id).where(wanted).order_by(*order).limit(1).scalar_subquery()


_TAKE_ONE = _taking(bindparam("of"))
_TAKE_NEWEST = _taking(_newest_of_subject())


@cache
def _taking_next(*, resting: bool, lock: bool) -> Any:
    return _taking(round_robin.newest_of(resting=resting, lock=lock))


_Begin = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Claimable:
    """What may be claimed next: an event whose worker was killed, if there is one, and the connections with due ones.

    `lock`: whether rows are locked one by one (PostgreSQL).
    """

    abandoned: int | None
    waiting: Sequence[DueConnection]
    lock: bool

    def __bool__(self) -> bool:
        return self.abandoned is not None or bool(self.waiting)


def claim(
    engine: Engine,
    event_id: int,
    *,
    seconds: float = LEASE_SECONDS,
    excluded: Collection[str] = (),
    ours: Collection[str] = (),
) -> Event | None:
    """Claim the newest of the most urgent due events of the subject of `event_id`, or None if there is none.

    Older pending events of the subject are closed as superseded: the claimed one reads the present state. Events of a
    connection that rests or is `excluded` are not claimed, nor those this process holds by a lease of `ours`.
    """
    return _take(partial(writing, engine), _TAKE_NEWEST, seconds, of=event_id, excluded=[*excluded], ours=[*ours])


def claim_next(
    engine: Engine,
    *,
    seconds: float = LEASE_SECONDS,
    rotation: RoundRobin | None = None,
    excluded: Collection[str] = (),
    ours: Collection[str] = (),
) -> Event | None:
    """Claim the next due event, or None: those of killed workers first, then one connection after the other.

    Within a connection the most urgent comes first, and of a subject the newest of that priority: it supersedes the
    older ones. The thousands of one connection do not delay the one event of another.
    """
    with reading(engine) as session:
        found = find_claimable(session, ours=ours)
    return _take_next(partial(writing, engine), found, rotation or RoundRobin(), seconds, excluded)


def find_claimable(session: Session, *, ours: Collection[str] = ()) -> Claimable:
    """What `claim_next` chooses from; events that this process holds by a lease of `ours` are not abandoned."""
    abandoned = session.execute(_FIRST_ABANDONED, {"ours": list(ours)}).scalar_one_or_none()
    lock = session.get_bind().dialect.name == "postgresql"
    return Claimable(abandoned, round_robin.find_due_connections(session), lock)


def claim_within(
    session: Session,
    found: Claimable,
    rotation: RoundRobin,
    *,
    seconds: float = LEASE_SECONDS,
    excluded: Collection[str] = (),
) -> Event | None:
    """As `claim_next`, in the caller's transaction, whose other changes stay whatever comes of it."""
    return _take_next(partial(_nested, session), found, rotation, seconds, excluded)


@contextmanager
def _nested(session: Session) -> Iterator[Session]:
    # A conflict undoes its own statement in SQLite, in PostgreSQL everything since the savepoint.
    with session.begin_nested() if session.get_bind().dialect.name == "postgresql" else nullcontext():
        yield session


def _take_next(
    begin: _Begin, found: Claimable, rotation: RoundRobin, seconds: float, excluded: Collection[str]
) -> Event | None:
    if found.abandoned is not None and (event := _take(begin, _TAKE_ONE, seconds, of=found.abandoned)):
        return event
    for due in rotation.order([each for each in found.waiting if each.connection not in excluded]):
        taking = _taking_next(resting=due.resting, lock=found.lock)
        if event := _take(begin, taking, seconds, **{round_robin.DUE: due.connection}):
            rotation.serve(due.connection)
            return event
    return None


def _take(begin: _Begin, taking: Any, seconds: float, **bound: Any) -> Event | None:
    try:
        with begin() as session:
            row = session.execute(taking, {"by": uuid.uuid4().hex, "seconds": seconds, **bound}).one_or_none()
            if row is None:
                return None
            event = Event(*row)
            _supersede(session, event)
            return event
    except IntegrityError:
        return None  # another worker has this subject; when it finishes, the next is notified


def _supersede(session: Session, event: Event) -> None:
    bound = {"of": event.subject, "before": event.id, "why": f"{SUPERSEDED}{event.id}", "by": event.id}
    session.execute(close_older(session.get_bind().dialect.name), bound)


@cache
def close_older(dialect: str) -> Any:
    """Close older events of a subject, except one locked by another claimer, which waits for our lock."""
    wanted = (_OLDER.c.subject == bindparam("of"), _OLDER.c.id < bindparam("before"), _OLDER.c.state.in_(_CLOSABLE))
    older = select(_OLDER.c.id).where(*wanted)
    free: ColumnElement[bool] = _ROWS.id.in_(older)
    if dialect == "postgresql":
        # As an array: with a lookup of rows by id, the planner never scans the whole table.
        free = _ROWS.id == any_(func.array(older.with_for_update(skip_locked=True).scalar_subquery()))
    closed: dict[str, Any] = {
        "state": State.SKIPPED,
        "reason": bindparam("why"),
        "superseded_by": bindparam("by"),
        "updated_at": moment(),
        "due_at": None,
    }
    return update(_INBOX).where(free).values(closed)

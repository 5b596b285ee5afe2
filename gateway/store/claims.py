"""Claims of events: a worker may write, here and to both systems, only while it holds the claim of its event.

A claim is a fenced lease on the newest due event of a subject; older ones are closed as superseded. It does not wait
for the disk: if a power cut undoes it, its event is handled again. Before the first write to a system `confirm` waits
for the disk, so an event that may have written is never taken for a new one.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Engine, all_, and_, any_, bindparam, case, cast, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.expression import ColumnElement, literal_column
from sqlalchemy.types import ARRAY, JSON, BigInteger, Boolean, Float, String
from sqlmodel import Session

from gateway.database.session import reading, writing
from gateway.database.sql import change, moment
from gateway.errors import GatewayError
from gateway.store import leases, round_robin
from gateway.store.events import FIELDS, LASTING, PENDING, SUPERSEDED, Event, State, weigh
from gateway.store.round_robin import DueConnection, RoundRobin
from gateway.store.tables import InboxRow

LEASE_SECONDS = 10.0
MARGIN_SECONDS = 2.0  # a claim that ends sooner is prolonged before a write to a system

_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_MINE = and_(_INBOX.c.id == bindparam("of"), _INBOX.c.lease == bindparam("by"), _INBOX.c.state == State.WORKING)
_ENDS = moment(bindparam("seconds", type_=Float()))
_HELD = select(_INBOX.c.id).where(_MINE)
_HOLD = _HELD.with_for_update()  # SQLite's compiler leaves that out: its one writer has the lock
_HELD_A_WHILE = _HELD.where(_INBOX.c.leased_until > _ENDS)
_PROLONG = update(_INBOX).where(_MINE).values(leased_until=_ENDS).returning(_INBOX.c.id)


@dataclass(frozen=True, slots=True)
class Claim:
    event_id: int
    lease: str


class LeaseLost(GatewayError):
    """Another worker has taken this event over; what this one did must not be recorded."""

    @classmethod
    def of(cls, event_id: int) -> LeaseLost:
        return cls(f"event {event_id} was taken over by another worker")


def hold(session: Session, claim: Claim | None) -> None:
    """Hold the claim until the caller's transaction ends. Raises `LeaseLost` if another worker has the event."""
    if claim is None:
        return
    if session.execute(_HOLD, {"of": claim.event_id, "by": claim.lease}).scalar_one_or_none() is None:
        raise LeaseLost.of(claim.event_id)


def confirm(engine: Engine, claim: Claim, *, first: bool = True) -> None:
    """Check that the claim is still ours just before a write to a system; prolong it when it runs out.

    Before the `first` write it is prolonged in any case: this transaction makes the claim durable. Raises `LeaseLost`.
    """
    held = {"of": claim.event_id, "by": claim.lease, "seconds": MARGIN_SECONDS}
    if not first:
        with reading(engine) as session:
            if session.execute(_HELD_A_WHILE, held).scalar_one_or_none() is not None:
                return
    with writing(engine) as session:
        if session.execute(_PROLONG, {**held, "seconds": LEASE_SECONDS}).scalar_one_or_none() is None:
            raise LeaseLost.of(claim.event_id)


def end_of(engine: Engine, process: str) -> int:
    """End the leases of a process that has ended: others may go on with its events and polls; returns their events."""
    left = and_(_INBOX.c.state == State.WORKING, func.substr(_INBOX.c.lease, 1, len(process)) == process)
    with writing(engine) as session:
        leases.end_of(session, process)
        return change(session, update(_INBOX).where(left).values(leased_until=moment(-1.0)))


# Statements that every event needs, built once and only bound again: building them is most of their cost.
_ROWS = _INBOX.c
ABANDONED = and_(_ROWS.state == State.WORKING, _ROWS.leased_until < moment())
# What is due since before it came has a head start, which a clock that is set back must not turn into a wait.
_AHEAD = and_(_ROWS.state == State.RECEIVED, _ROWS.due_at < _ROWS.received_at)
_IS_DUE = or_(_ROWS.due_at.is_(None), _ROWS.due_at <= moment(), _AHEAD)
DUE = or_(and_(_ROWS.state.in_(PENDING), _IS_DUE), ABANDONED)
# A clock that jumps ends every lease in SQLite, which uses the machine's clock: the holder still excludes its own.
_NOT_OURS = or_(_ROWS.lease.is_(None), _ROWS.lease.not_in(bindparam("ours", expanding=True)))
# As literals: a list that is bound cannot be executed for several events at once.
_CLOSABLE = tuple(literal_column(f"'{state}'", String) for state in (*PENDING, State.PARKED))
_TRIES = 3
_OLDER = _INBOX.alias("older")
_OPEN_BEFORE = (_OLDER.c.subject == _ROWS.subject, _OLDER.c.id < _ROWS.id, _OLDER.c.state.in_(_CLOSABLE))
_TRIED_BEFORE = exists().where(*_OPEN_BEFORE, _OLDER.c.attempts > 0)
# A newer event of the subject may crash too: it continues the count. One that was parked for it is tried once more.
_COUNTED = func.max(_OLDER.c.crashes - case((_OLDER.c.state == State.PARKED, 1), else_=0))
_INHERITED = func.coalesce(select(_COUNTED).where(*_OPEN_BEFORE, _OLDER.c.crashes > 0).scalar_subquery(), 0)


# As text: SQLAlchemy leaves out the names of tables here for SQLite, which uses the index of subjects only if it knows
# the type.
_HAS_OLDER = literal_column(
    "EXISTS (SELECT 1 FROM inbox AS older WHERE older.subject = CAST(inbox.subject AS TEXT) AND older.id < inbox.id"
    " AND older.state || '' IN ('received', 'waiting', 'uncertain', 'parked'))",
    Boolean,
)


def _taking(*which: ColumnElement[bool]) -> Any:
    """The claim of these events; with each, whether an older one of its subject is open."""
    return (
        update(_INBOX)
        .where(*which)
        .values(
            state=State.WORKING,
            lease=bindparam("by", type_=String()).concat(cast(_ROWS.id, String)),
            leased_until=moment(bindparam("seconds", type_=Float())),
            attempts=_ROWS.attempts + 1,
            # Still 'working' when it is claimed: its worker was killed.
            crashes=_ROWS.crashes + case((_ROWS.state == State.WORKING, 1), else_=_INHERITED),
            # A write of an older one may have been sent.
            maybe_written=or_(_ROWS.maybe_written, _TRIED_BEFORE),
            updated_at=moment(),
        )
        .returning(*(_ROWS[name] for name in FIELDS), _HAS_OLDER)
    )


_OF_SUBJECT = _ROWS.subject == select(_ROWS.subject).where(_ROWS.id == bindparam("of")).scalar_subquery()
_CLAIMABLE = and_(_OF_SUBJECT, DUE, _NOT_OURS, round_robin.may_run(bindparam("excluded", expanding=True)))
# An abandoned row still holds the subject's lock, so it is taken over before anything newer. A person's request is not
# superseded by a later webhook.
_FIRST = (case((_ROWS.state == State.WORKING, 0), else_=1), _ROWS.priority, _ROWS.id.desc())
_NEWEST = select(_ROWS.id).where(_CLAIMABLE).order_by(*_FIRST).limit(1).scalar_subquery()
_TAKE_ONE = _taking(_ROWS.id == bindparam("of"), DUE)
_TAKE_NEWEST = _taking(_ROWS.id == _NEWEST, DUE)


@cache
def _taking_these(dialect: str) -> Any:
    if dialect == "postgresql":
        # As an array: with a look-up of rows by id, PostgreSQL's planner never scans the whole table. It is asked again
        # whether they are due: another worker may have ended one just before it was locked.
        named = _ROWS.id == any_(bindparam("ids", type_=ARRAY(BigInteger())))
        free = select(_ROWS.id).where(named).with_for_update(skip_locked=True).scalar_subquery()
        return _taking(_ROWS.id == any_(func.array(free)), DUE)
    ids = func.json_each(bindparam("ids", type_=JSON())).table_valued("value")
    return _taking(_ROWS.id.in_(select(ids.c.value)))  # they are due: this transaction found them, and has the lock


@dataclass(frozen=True, slots=True)
class Claimable:
    """What may be claimed next: an event whose worker was killed, if there is one, and connections with due ones."""

    abandoned: int | None
    waiting: Sequence[DueConnection]

    def __bool__(self) -> bool:
        return self.abandoned is not None or bool(self.waiting)


def claim(
    engine: Engine,
    event_id: int,
    *,
    seconds: float = LEASE_SECONDS,
    excluded: Collection[str] = (),
    ours: Collection[str] = (),
    process: str = "",
) -> Event | None:
    """Claim the newest of the most urgent due events of the subject of `event_id`, or None if there is none.

    Older pending events of the subject are closed as superseded: the claimed one reads the present state, and takes
    over an operation that only they tell of (`LASTING`). Events of a connection that rests or is `excluded` are not
    claimed, nor those this process holds by a lease of `ours`. Leases begin with the name of the `process`.
    """
    try:
        with writing(engine, synced=False) as session:
            bound = {"of": event_id, "excluded": [*excluded], "ours": [*ours]}
            taken = _take(session, _TAKE_NEWEST, (seconds, process), bound)
    except IntegrityError:
        return None  # another worker has this subject; when it finishes, the next is notified
    return next(iter(taken), None)


def find_claimable(session: Session, *, ours: Collection[str] = ()) -> Claimable:
    """What `claim_several` chooses from; events that this process holds by a lease of `ours` are not abandoned."""
    first = _first_abandoned(session.get_bind().dialect.name)
    abandoned = session.execute(first, {"ours": list(ours)}).scalar_one_or_none()
    return Claimable(abandoned, round_robin.find_due_connections(session))


@cache
def _first_abandoned(dialect: str) -> Any:
    not_ours: ColumnElement[bool] = _NOT_OURS
    if dialect == "postgresql":  # an array: one text, planned once, however many they are
        not_ours = or_(_ROWS.lease.is_(None), _ROWS.lease != all_(bindparam("ours", type_=ARRAY(String()))))
    return select(_ROWS.id).limit(1).where(ABANDONED, not_ours)


def claim_several(
    session: Session,
    found: Claimable,
    rotation: RoundRobin,
    *,
    sizes: Sequence[int],
    full: Callable[[Mapping[str, int]], Collection[str]],
    seconds: float = LEASE_SECONDS,
    process: str = "",
) -> list[list[Event]]:
    """Claim due events for several threads, for each at most so many: one list for each that gets any.

    First those of killed workers, then one connection after the other. Within a connection the most urgent comes first,
    and of a subject the newest of that priority: it supersedes the older ones. The thousands of one connection do not
    delay the one event of another. `full` names the connections that get no more threads, given how many threads begin
    with an event of each. It is in the caller's transaction, whose other changes stay whatever comes of it.
    """
    connection = session.connection()
    for _ in range(_TRIES):
        connection.exec_driver_sql("SAVEPOINT claiming")
        try:
            return _take_several(session, found, rotation, sizes, full, (seconds, process))
        except IntegrityError:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT claiming")
    return []  # other workers have these subjects; when they finish, the next are notified


def _take_several(
    session: Session,
    found: Claimable,
    rotation: RoundRobin,
    sizes: Sequence[int],
    full: Callable[[Mapping[str, int]], Collection[str]],
    lease: tuple[float, str],
) -> list[list[Event]]:
    first: list[Event] = []
    others: list[Event] = []
    if found.abandoned is not None:
        first += _take(session, _TAKE_ONE, lease, {"of": found.abandoned})
    waiting, dialect = [*found.waiting], session.get_bind().dialect.name
    while len(first) < len(sizes):
        begun = Counter(each.connection or "" for each in first)
        shares = rotation.share(waiting, len(sizes) - len(first), full, begun)
        if not shares:
            break
        wanted = sum(sizes[len(first) :][: shares.total()]) - shares.total() - len(others)
        occupied = full({}) if wanted > 0 else ()
        free = [each for each in waiting if each in shares or each.connection not in occupied]
        counts = shares + rotation.share(free, max(0, wanted), lambda _chosen: (), Counter())
        ids = round_robin.find_next(session, counts)
        taken: dict[str | None, list[Event]] = {}
        for each in _take(session, _taking_these(dialect), lease, {"ids": ids}) if ids else []:
            taken.setdefault(each.connection, []).append(each)
        for due in counts:
            # Fewer than asked for, when several of the first are of one subject.
            events = sorted(taken.get(due.connection, ()), key=attrgetter("priority", "id"))
            first += events[: shares[due]]
            others += events[shares[due] :]
            if not events:
                waiting.remove(due)
    if others and not first:
        first.append(others.pop(0))
    return [[each, *others[number :: len(first)]] for number, each in enumerate(first)]


def _take(session: Session, taking: Any, lease: tuple[float, str], bound: Mapping[str, Any]) -> list[Event]:
    seconds, process = lease
    rows = session.execute(taking, {"by": leases.make_token(process), "seconds": seconds, **bound}).all()
    taken = [Event(*row[:-1]) for row in rows]
    followers = [event for event, row in zip(taken, rows, strict=True) if row[-1]]
    if not followers:
        return taken
    inherited = inherit(session, followers)
    older = [{"of": e.subject, "before": e.id, "why": f"{SUPERSEDED}{e.id}", "by": e.id} for e in followers]
    session.execute(close_older(session.get_bind().dialect.name), older)
    return [inherited.get(event.id, event) for event in taken]


_LASTING = select(_ROWS.subject, _ROWS.id, _ROWS.operation, _ROWS.hint).where(
    _ROWS.subject.in_(bindparam("of", expanding=True)),
    # As a term, or SQLite looks up the rows of several subjects by their states, and reads all that wait.
    literal_column("inbox.state || ''", String).in_(_CLOSABLE),
    func.lower(_ROWS.operation).in_([*LASTING]),
)
_TAKE_OVER = (
    update(_INBOX).where(_ROWS.id == bindparam("event")).values(operation=bindparam("said"), hint=bindparam("brought"))
)


def inherit(session: Session, followers: Sequence[Event]) -> dict[int, Event]:
    """Those that supersede what only an older event says (a record was removed, edited, merged): they say it now."""
    found = session.execute(_LASTING, {"of": [event.subject for event in followers]}).all()
    changed: dict[int, Event] = {}
    for event in followers if found else ():
        rows = [row for row in found if row.subject == event.subject and row.id < event.id]
        weightiest = max(rows, key=lambda row: (weigh(row.operation), row.id), default=None)
        if weightiest is None or weigh(weightiest.operation) <= weigh(event.operation):
            continue
        changed[event.id] = dataclasses.replace(
            event, operation=weightiest.operation, hint=weightiest.hint or event.hint
        )
    if changed:
        values = [{"event": each.id, "said": each.operation, "brought": each.hint} for each in changed.values()]
        session.execute(_TAKE_OVER, values)
    return changed


@cache
def close_older(dialect: str) -> Any:
    """Close older events of a subject, except one locked by another claimer, which waits for our lock."""
    wanted = (_OLDER.c.subject == bindparam("of"), _OLDER.c.id < bindparam("before"), _OLDER.c.state.in_(_CLOSABLE))
    older = select(_OLDER.c.id).where(*wanted)
    free: ColumnElement[bool] = _ROWS.id.in_(older)
    if dialect == "postgresql":
        # As an array: with a lookup of rows by id, the planner never scans the whole table.
        free = _ROWS.id == any_(func.array(older.with_for_update(skip_locked=True).scalar_subquery()))
    closed: dict[str, Any] = {"state": State.SKIPPED, "reason": bindparam("why"), "superseded_by": bindparam("by")}
    return update(_INBOX).where(free).values(**closed, updated_at=moment(), due_at=None)

"""The rate limiter's state: how often and how many at once an account may be called, for all processes.

An account is a company of the books (its realm id) or an installation of the till (its address). It has a fixed number
of call slots. A caller holds one slot for the duration of the call, and a slot starts at most one call in each
`interval` seconds. So no more calls run at once than there are slots, and no more start in any `interval` seconds.
A slot that may start later is reserved at once, so processes are served in the order in which they ask. The leases
of a killed process expire.

A slot is taken and released without a wait for the disk: after a power cut no call of before runs any more.

Times are seconds since 1970 by the database's clock. A time too far ahead was written before that clock was set
back, and counts as past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Float, and_, bindparam, case, func, not_, or_, select, update
from sqlmodel import Session, col

from gateway.database.session import changing, writing
from gateway.database.sql import epoch, upsert
from gateway.store.tables import CallSlotRow, ConnectionRow, RateLimitRow

QUICKBOOKS, MPLUSKASSA = "quickbooks", "mpluskassa"
NAMES = {MPLUSKASSA: "MplusKASSA", QUICKBOOKS: "QuickBooks"}
LEASE_SECONDS: Final = 10.0
"""How long a slot stays taken when its process is killed."""
WANTED_SECONDS: Final = 0.3
"""How long a process that found every slot taken has priority over those that took one."""
FIRST_COOLDOWN, LONGEST_COOLDOWN = 2.0, 60.0
"""Seconds of cooldown after a refusal that names no time: doubled while refusals go on."""
RECOVERY_SECONDS: Final = 15.0
"""The time without a refusal after which the pace doubles again, and the next cooldown halves."""
_MAX_LEVEL: Final = 6.0
_SLOWEST: Final = 8.0
_CLOCK_SLACK: Final = 60.0
_ROUNDING: Final = 1e-6  # of sums of seconds since 1970: a wait of this length would cost one more look


@dataclass(frozen=True, slots=True, order=True)
class Account:
    system: str
    name: str


def accounts_of(connection: Any) -> dict[str, Account]:
    """The accounts of a connection (or its row), by system."""
    named = {QUICKBOOKS: connection.realm_id, MPLUSKASSA: connection.mplus_url}
    return {system: Account(system, name or "") for system, name in named.items()}


@dataclass(frozen=True, slots=True)
class Limit:
    """`slots` calls at once; each slot starts at most one call in `interval` seconds."""

    slots: int
    interval: float = 0.0

    @classmethod
    def of(cls, *, at_once: int, per_second: int, per_minute: int) -> Limit:
        """The limit that keeps all three: calls at once, starts in any second, and starts in any minute.

        A minute has `per_minute` starts, and those left unused by a pause before it: at most one for each slot. In
        a second that begins with a slot's start the slot starts once more than its interval fits into the second.
        """
        slots = min(at_once, per_second)
        of_a_slot = max(1, per_second // slots - 1)
        return cls(slots, max(1.0 / of_a_slot, slots * 60.0 / per_minute))


@dataclass(frozen=True, slots=True)
class Slot:
    """A reserved slot; its call may start in `wait` seconds."""

    number: int
    wait: float


@dataclass(frozen=True, slots=True)
class Taken:
    """Every slot is taken by running calls, or another process asked first: ask again soon."""


@dataclass(frozen=True, slots=True)
class Later:
    """No call can start within the caller's patience; `cooling` during a cooldown."""

    seconds: float
    cooling: bool


def open_account(engine: Engine, account: Account, limit: Limit) -> None:
    """Make the rows of an account, unless they exist."""
    key = {"system": account.system, "account": account.name}
    with writing(engine) as session:
        upsert(session, RateLimitRow, key)
        upsert(session, CallSlotRow, [{**key, "number": number} for number in range(limit.slots)])


def take_slot(engine: Engine, account: Account, limit: Limit, holder: str, *, patience: float) -> Slot | Taken | Later:
    """A slot for one call of process `holder` that starts within `patience` seconds; `release_slot` ends it."""
    bound = {"of_system": account.system, "of_account": account.name, "by": holder, "patience": patience}
    bound |= {"slots": limit.slots, "ahead": limit.interval * _SLOWEST + _CLOCK_SLACK}
    with changing(engine) as connection:
        found = connection.execute(_TAKE_UNHINDERED, {**bound, "interval": limit.interval}).one_or_none()
        if found is not None:
            return _to_slot(found, limit.interval)
        state = connection.execute(_STATE, bound).one()
        if state.cooldown > 0:
            return Later(float(state.cooldown), cooling=True)
        if state.wanted_by not in (None, holder) and state.wanted > 0:
            return Taken()
        interval = limit.interval * min(_SLOWEST, 2.0 ** _decayed(state.refusal_level, state.since_refusal))
        found = connection.execute(_TAKE, {**bound, "interval": interval}).one_or_none()
        if found is not None:
            if state.wanted_by == holder:
                connection.execute(_WANT.values(wanted_by=None), bound)
            return _to_slot(found, interval)
        start = connection.execute(_NEXT_START, bound).scalar()
        if start is not None and float(start) > patience:
            return Later(float(start), cooling=False)
        connection.execute(_WANT.values(wanted_by=holder, wanted_until=epoch() + WANTED_SECONDS), bound)
        return Taken()


def _to_slot(taken: Any, interval: float) -> Slot:
    return Slot(int(taken.number), max(0.0, float(taken.ready_in) - interval - _ROUNDING))


def release_slot(engine: Engine, account: Account, holder: str, number: int, *, rest: float = 0.0) -> None:
    """The call has ended: its slot is free when its interval is over, in `rest` seconds at least.

    A thread may start its call late; the interval counts from the actual start.
    """
    bound = {"of_system": account.system, "of_account": account.name, "of_number": number, "by": holder}
    with changing(engine) as connection:
        if rest > 0:
            connection.execute(_RELEASE_RESTING, {**bound, "rest": rest})
        else:
            connection.execute(_RELEASE, bound)


def renew_slots(engine: Engine, holder: str) -> None:
    """Prolong the lease of every slot this process holds: its calls are still running."""
    with writing(engine, synced=False) as session:
        ours = col(CallSlotRow.holder) == holder
        session.execute(update(CallSlotRow).where(ours).values(leased_until=epoch() + LEASE_SECONDS))


def release_slots(engine: Engine, holder: str) -> None:
    """A process has ended: its slots are free, and those of a scheduler in it, whose name begins with its own."""
    its = func.substr(col(CallSlotRow.holder), 1, len(holder)) == holder
    with writing(engine) as session:
        session.execute(update(CallSlotRow).where(its).values(holder=None))


def cool_down(engine: Engine, account: Account, seconds: float | None = None) -> float:
    """The other system refused a call: start a cooldown of the account; returns its seconds.

    With `seconds`, exactly that long. Without, two seconds, doubled up to a minute while refusals go on; afterwards
    calls start at half the pace, which recovers. Refusals of calls that were running when the cooldown began count
    as one.
    """
    with writing(engine) as session:
        bound = {"of_system": account.system, "of_account": account.name}
        state = session.execute(_STATE, bound).one_or_none()
        if state is None:
            return 0.0
        left = max(0.0, float(state.cooldown))
        if left and (seconds is None or left >= seconds):
            return left
        level = min(_MAX_LEVEL, _decayed(state.refusal_level, state.since_refusal) + 1.0)
        pause = seconds if seconds is not None else min(LONGEST_COOLDOWN, FIRST_COOLDOWN * 2.0 ** (level - 1.0))
        values = {"refusal_level": level, "refused_at": epoch()}
        values |= {"cooldown_from": epoch(), "cooldown_until": epoch() + pause}
        session.execute(update(_LIMITS).where(_THE_ACCOUNT).values(values), bound)
        return pause


def _decayed(level: float, seconds: float) -> float:
    """The level of refusals as it is `seconds` after the last one: one less for every recovery time."""
    return max(0.0, float(level) - max(0.0, float(seconds)) / RECOVERY_SECONDS)


def is_cooling(row: Any) -> ColumnElement[bool]:
    """Whether the account of this row (the table or its columns) is in cooldown."""
    begun: ColumnElement[bool] = row.cooldown_from <= epoch() + _CLOCK_SLACK
    return and_(row.cooldown_until > epoch(), begun)


def find_cooldowns(session: Session) -> dict[Account, float]:
    return {Account(*key): float(seconds) for *key, seconds in session.execute(_COOLDOWNS)}


def find_cooldowns_of(session: Session, connection: str) -> Iterator[tuple[str, float]]:
    """Each system's name and the seconds its cooldown still lasts, where one of this connection's accounts has one."""
    row = session.get(ConnectionRow, connection)
    cooldowns = find_cooldowns(session)
    for system, account in accounts_of(row).items() if row else ():
        if account in cooldowns:
            yield NAMES[system], cooldowns[account]


@dataclass(frozen=True, slots=True)
class Use:
    """The use of an account's limit: seconds of cooldown left, slots held, slots that start later, all slots."""

    account: Account
    cooldown: float
    held: int
    resting: int
    slots: int


def find_uses(session: Session) -> list[Use]:
    """Every account that was ever called."""
    cooldowns = find_cooldowns(session)
    held = and_(col(CallSlotRow.holder).is_not(None), _is_leased())
    resting = and_(col(CallSlotRow.ready_at) > epoch(), col(CallSlotRow.ready_at) <= epoch() + _CLOCK_SLACK)
    about = (col(CallSlotRow.system), col(CallSlotRow.account))
    counts = (func.sum(case((held, 1), else_=0)), func.sum(case((resting, 1), else_=0)), func.count())
    rows = session.execute(select(*about, *counts).group_by(*about)).all()
    accounts = [(Account(row[0], row[1]), row) for row in rows]
    return [Use(each, cooldowns.get(each, 0.0), int(row[2]), int(row[3]), int(row[4])) for each, row in accounts]


def _is_leased() -> ColumnElement[bool]:
    until = _SLOTS.c.leased_until
    return and_(until > epoch(), until <= epoch() + LEASE_SECONDS + _CLOCK_SLACK)


# The statements of every call are built once: building them would cost more than the database does.
_SLOTS = CallSlotRow.__table__  # type: ignore[attr-defined]
_LIMITS = RateLimitRow.__table__  # type: ignore[attr-defined]
_OF_ACCOUNT = and_(_SLOTS.c.system == bindparam("of_system"), _SLOTS.c.account == bindparam("of_account"))
_THE_ACCOUNT = and_(_LIMITS.c.system == bindparam("of_system"), _LIMITS.c.account == bindparam("of_account"))
_FREE = and_(_OF_ACCOUNT, _SLOTS.c.number < bindparam("slots"), or_(_SLOTS.c.holder.is_(None), not_(_is_leased())))
# When a slot may start its next call: now, unless its interval is not over.
_IS_AHEAD = and_(_SLOTS.c.ready_at > epoch(), _SLOTS.c.ready_at <= epoch() + bindparam("ahead", type_=Float()))
_START = case((_IS_AHEAD, _SLOTS.c.ready_at), else_=epoch())
_WANTED = _LIMITS.c.wanted_until - epoch()
_STATE = select(
    case((is_cooling(_LIMITS.c), _LIMITS.c.cooldown_until - epoch()), else_=0.0).label("cooldown"),
    case((and_(_WANTED > 0, _WANTED <= _CLOCK_SLACK), _WANTED), else_=0.0).label("wanted"),
    _LIMITS.c.wanted_by,
    _LIMITS.c.refusal_level,
    (epoch() - _LIMITS.c.refused_at).label("since_refusal"),
).where(_THE_ACCOUNT)
_FIRST = (
    select(_SLOTS.c.number)
    .where(_FREE, _START - epoch() <= bindparam("patience", type_=Float()))
    .order_by(_SLOTS.c.ready_at)
    .limit(1)
    .with_for_update(skip_locked=True)  # SQLite's compiler leaves that out
)


# Nothing holds calls up: no cooldown, nobody who asked first, and the pace has recovered.
_UNHINDERED = (
    select(_LIMITS.c.system)
    .where(
        _THE_ACCOUNT,
        not_(is_cooling(_LIMITS.c)),
        or_(_LIMITS.c.wanted_by.is_(None), _WANTED <= 0),
        _LIMITS.c.refusal_level * RECOVERY_SECONDS <= epoch() - _LIMITS.c.refused_at,
    )
    .exists()
)


def _take(*provided: ColumnElement[bool]) -> Any:
    """Take the free slot that may start first, and move its next start by one interval."""
    return (
        update(_SLOTS)
        .where(_FREE, _SLOTS.c.number == _FIRST.scalar_subquery(), *provided)
        .values(
            holder=bindparam("by"),
            leased_until=_START + LEASE_SECONDS,
            ready_at=_START + bindparam("interval", type_=Float()),
        )
        .returning(_SLOTS.c.number, (_SLOTS.c.ready_at - epoch()).label("ready_in"))
    )


_TAKE = _take()
_TAKE_UNHINDERED = _take(_UNHINDERED)  # the usual case, in one statement
_NEXT_START = select(func.min(_START) - epoch()).where(_FREE)
_COOLDOWNS = select(_LIMITS.c.system, _LIMITS.c.account, _LIMITS.c.cooldown_until - epoch()).where(
    is_cooling(_LIMITS.c)
)
_WANT = update(_LIMITS).where(_THE_ACCOUNT)
_RELEASE = (
    update(_SLOTS)
    .where(_OF_ACCOUNT, _SLOTS.c.number == bindparam("of_number"), _SLOTS.c.holder == bindparam("by"))
    .values(holder=None)
)
_EARLIEST = epoch() + bindparam("rest", type_=Float())
_RELEASE_RESTING = _RELEASE.values(ready_at=case((_SLOTS.c.ready_at < _EARLIEST, _EARLIEST), else_=_SLOTS.c.ready_at))

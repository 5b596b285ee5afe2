"""How often and how many at once an outside account may be called, decided in the database for all processes.

An account is a company of the books (its realm id) or an installation of the till (its address). It has a fixed number
of call slots. Whoever calls holds one slot for as long as the call takes, and a slot starts at most one call in each
`interval` seconds. So never more calls run at once than there are slots, and in any `interval` seconds never more start
than there are slots. A slot whose turn lies in the future is reserved at once, so processes are served in the order in
which they ask. A process that dies leaves leases that end by themselves.

Times are seconds since 1970 by the database's clock. What lies further ahead than it can was written before that clock
was set back, and counts as past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Select, and_, case, func, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.clock import epoch
from gateway.store.session import writing
from gateway.store.tables import CallSlotRow, RateLimitRow

QUICKBOOKS, QUICKBOOKS_BATCHES, MPLUSKASSA = "quickbooks", "quickbooks-batches", "mpluskassa"
LEASE_SECONDS: Final = 10.0
"""How long a slot stays taken when the process that holds it dies."""
WANTED_SECONDS: Final = 0.3
"""How long a process that found every slot taken is preferred to those that took one."""
FIRST_COOLDOWN, LONGEST_COOLDOWN = 2.0, 60.0
"""Seconds without calls after a refusal that names no time: doubled while refusals go on."""
RECOVERY_SECONDS: Final = 15.0
"""How long it takes without a refusal until the pace is doubled again, and the next cooldown halved."""
_MOST_LEVEL: Final = 6.0
_SLOWEST: Final = 8.0
_CLOCK_SLACK: Final = 60.0


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """Whom the calls go to."""

    system: str
    name: str


@dataclass(frozen=True, slots=True)
class Limit:
    """`slots` calls at once, and each slot starts one call in `interval` seconds at most."""

    slots: int
    interval: float = 0.0

    @classmethod
    def of(cls, *, at_once: int, per_second: int, per_minute: int) -> Limit:
        """The limit that keeps all three: calls at once, starts in any second, and starts in any minute.

        A minute sees `per_minute` starts, and those that a rest before it left unused: at most one for each slot. In
        a second that begins with a slot's start the slot starts once more than its interval fits into the second.
        """
        slots = min(at_once, per_second)
        of_a_slot = max(1, per_second // slots - 1)
        return cls(slots, max(1.0 / of_a_slot, slots * 60.0 / per_minute))


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of ours; its call may start in `wait` seconds."""

    number: int
    wait: float


@dataclass(frozen=True, slots=True)
class Taken:
    """Every slot is taken by running calls, or somebody else asked first: ask again soon."""


@dataclass(frozen=True, slots=True)
class Later:
    """No call can start within the caller's patience; `cooling` when the other side asked for the pause."""

    seconds: float
    cooling: bool


def open_account(engine: Engine, account: Account, limit: Limit) -> None:
    """Make the rows of an account, unless they exist."""
    key = {"system": account.system, "account": account.name}
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    with writing(engine) as session:
        session.execute(insert(RateLimitRow).values(key).on_conflict_do_nothing())
        slots = [{**key, "number": number} for number in range(limit.slots)]
        session.execute(insert(CallSlotRow).values(slots).on_conflict_do_nothing())


def take_slot(engine: Engine, account: Account, limit: Limit, holder: str, *, patience: float) -> Slot | Taken | Later:
    """A slot for one call of process `holder`, its turn at most `patience` seconds away; `release_slot` ends it."""
    with writing(engine) as session:
        state = session.execute(_select_state(account)).one()
        if state.cooldown > 0:
            return Later(float(state.cooldown), cooling=True)
        if state.wanted_by not in (None, holder) and state.wanted > 0:
            return Taken()
        interval = limit.interval * min(_SLOWEST, 2.0 ** _decayed(state.refusal_level, state.since_refusal))
        found = session.execute(_take(engine, account, limit, holder, interval, patience)).one_or_none()
        if found is not None:
            if state.wanted_by == holder:
                session.execute(update(RateLimitRow).where(_is(account)).values(wanted_by=None))
            return Slot(int(found.number), max(0.0, float(found.ready_in) - interval))
        turn = session.execute(select(func.min(_turn(limit)) - epoch()).where(_free(account, limit))).scalar()
        if turn is not None and float(turn) > patience:
            return Later(float(turn), cooling=False)
        wanted = {"wanted_by": holder, "wanted_until": epoch() + WANTED_SECONDS}
        session.execute(update(RateLimitRow).where(_is(account)).values(wanted))
        return Taken()


def release_slot(engine: Engine, account: Account, holder: str, number: int, *, rest: float = 0.0) -> None:
    """The call has ended: others may have its slot when its interval is over, in `rest` seconds at least.

    A thread may come late to its turn; the interval then counts from the moment at which it really began.
    """
    ours = and_(_of(account), col(CallSlotRow.number) == number, col(CallSlotRow.holder) == holder)
    ready, earliest = col(CallSlotRow.ready_at), epoch() + rest
    values: dict[Any, Any] = {col(CallSlotRow.holder): None}
    if rest > 0:
        values[ready] = case((ready < earliest, earliest), else_=ready)
    with writing(engine) as session:
        session.execute(update(CallSlotRow).where(ours).values(values))


def renew_slots(engine: Engine, holder: str) -> None:
    """Prolong the lease of every slot this process holds: its calls are still running."""
    with writing(engine) as session:
        ours = col(CallSlotRow.holder) == holder
        session.execute(update(CallSlotRow).where(ours).values(leased_until=epoch() + LEASE_SECONDS))


def cool_down(engine: Engine, account: Account, seconds: float | None = None) -> float:
    """The other side refused a call: nobody calls this account for a while; answers for how many seconds.

    With `seconds` for as long as it asked, however long that is. Without, two seconds, doubled up to a minute while
    refusals go on; afterwards calls start at half the pace, which recovers. Refusals of calls that were under way when
    a pause began count as one.
    """
    with writing(engine) as session:
        state = session.execute(_select_state(account)).one_or_none()
        if state is None:
            return 0.0
        left = max(0.0, float(state.cooldown))
        if left and (seconds is None or left >= seconds):
            return left
        level = min(_MOST_LEVEL, _decayed(state.refusal_level, state.since_refusal) + 1.0)
        pause = seconds if seconds is not None else min(LONGEST_COOLDOWN, FIRST_COOLDOWN * 2.0 ** (level - 1.0))
        refused = {"refusal_level": level, "refused_at": epoch()}
        cooling = {"cooldown_from": epoch(), "cooldown_until": epoch() + pause}
        session.execute(update(RateLimitRow).where(_is(account)).values({**refused, **cooling}))
        return pause


def _decayed(level: float, seconds: float) -> float:
    """The level of refusals as it is `seconds` after the last one: one less for every recovery time."""
    return max(0.0, float(level) - max(0.0, float(seconds)) / RECOVERY_SECONDS)


def is_cooling(row: Any) -> ColumnElement[bool]:
    """Whether the account of this row (the table or its columns) is not to be called now."""
    begun: ColumnElement[bool] = row.cooldown_from <= epoch() + _CLOCK_SLACK
    return and_(row.cooldown_until > epoch(), begun)


def find_cooldowns(session: Session) -> dict[Account, float]:
    """Seconds each account that asked for a pause is still left alone."""
    left = col(RateLimitRow.cooldown_until) - epoch()
    rows = session.execute(
        select(col(RateLimitRow.system), col(RateLimitRow.account), left).where(is_cooling(RateLimitRow))
    ).all()
    return {Account(row[0], row[1]): float(row[2]) for row in rows}


@dataclass(frozen=True, slots=True)
class Use:
    """How much of an account's limit is used now: seconds of cooldown left, slots held, waiting for their turn, all."""

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


def _select_state(account: Account) -> Select[Any]:
    cooldown = case((is_cooling(RateLimitRow), col(RateLimitRow.cooldown_until) - epoch()), else_=0.0)
    wanted = col(RateLimitRow.wanted_until) - epoch()
    still_wanted = case((and_(wanted > 0, wanted <= _CLOCK_SLACK), wanted), else_=0.0)
    return select(
        cooldown.label("cooldown"),
        still_wanted.label("wanted"),
        col(RateLimitRow.wanted_by),
        col(RateLimitRow.refusal_level),
        (epoch() - col(RateLimitRow.refused_at)).label("since_refusal"),
    ).where(_is(account))


def _take(engine: Engine, account: Account, limit: Limit, holder: str, interval: float, patience: float) -> Any:
    """Take the free slot whose turn is next, and put its turn one interval further."""
    turn = _turn(limit)
    fitting = and_(_free(account, limit), turn <= epoch() + patience)
    first = select(col(CallSlotRow.number)).where(fitting).order_by(col(CallSlotRow.ready_at)).limit(1)
    if engine.dialect.name == "postgresql":
        first = first.with_for_update(skip_locked=True)
    ready_in = col(CallSlotRow.ready_at) - epoch()
    return (
        update(CallSlotRow)
        .where(and_(_free(account, limit), col(CallSlotRow.number) == first.scalar_subquery()))
        .values(holder=holder, leased_until=turn + LEASE_SECONDS, ready_at=turn + interval)
        .returning(col(CallSlotRow.number), ready_in.label("ready_in"))
    )


def _turn(limit: Limit) -> ColumnElement[float]:
    """When a slot may start its next call: now, unless its interval is not over."""
    ready = col(CallSlotRow.ready_at)
    ahead = and_(ready > epoch(), ready <= epoch() + limit.interval * _SLOWEST + _CLOCK_SLACK)
    return case((ahead, ready), else_=epoch())


def _free(account: Account, limit: Limit) -> ColumnElement[bool]:
    unheld = or_(col(CallSlotRow.holder).is_(None), not_(_is_leased()))
    return and_(_of(account), col(CallSlotRow.number) < limit.slots, unheld)


def _is_leased() -> ColumnElement[bool]:
    until = col(CallSlotRow.leased_until)
    return and_(until > epoch(), until <= epoch() + LEASE_SECONDS + _CLOCK_SLACK)


def _is(account: Account) -> ColumnElement[bool]:
    return and_(col(RateLimitRow.system) == account.system, col(RateLimitRow.account) == account.name)


def _of(account: Account) -> ColumnElement[bool]:
    return and_(col(CallSlotRow.system) == account.system, col(CallSlotRow.account) == account.name)

"""What all processes together may ask of an outside account: budgets leased in blocks, slots leased, one brake for all.

An account is a company of the books (its realm id) or an installation of the till (its address). A budget is kept as
one number, the moment up to which calls are spoken for: a process moves it on by a block of calls in one statement, so
blocks are given out in the order in which they are asked for, and nothing needs to be given back after a crash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, case, func, literal, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col

from gateway.store.clock import epoch, moment
from gateway.store.session import reading, writing
from gateway.store.tables import LimitRow, SlotRow

QUICKBOOKS, MPLUSKASSA = "quickbooks", "mpluskassa"
SLOT_SECONDS = 10.0  # a dead process's slots are free after so long
WANT_SECONDS = 1.5
MINUTE = 60.0
HORIZON_SECONDS = 5.0  # a leased call is made within this, or not at all
# What lies further ahead than it can was written before the clock was set back, and would hold up everybody until then.
LONGEST_BRAKE, MOST_AHEAD = 3700.0, MINUTE


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """Whom the calls go to."""

    system: str
    name: str


@dataclass(frozen=True, slots=True)
class Budget:
    """So many calls a minute. In no minute more than 1.15 times as many are made, whatever is leased when."""

    per_minute: int

    @property
    def interval(self) -> float:
        """Seconds between two calls when the budget is used to the full."""
        return (MINUTE + HORIZON_SECONDS) / (0.9 * self.per_minute)

    @property
    def burst(self) -> float:
        """Calls that may be made at once after a rest."""
        return max(1.0, self.per_minute / 4)


@dataclass(frozen=True, slots=True)
class Block:
    """`count` leased calls: the first may be made in `first` seconds (or since then), each next `interval` later."""

    count: int
    first: float
    interval: float


@dataclass(frozen=True, slots=True)
class Refused:
    """No calls now; ask again in `seconds`. `braked`: the other side asked for the pause."""

    seconds: float
    braked: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A slot of ours: whether another process waits for it, and for how long the account is braked."""

    account: Account
    number: int
    wanted: bool
    braked: float


def open_account(engine: Engine, account: Account, *, places: int) -> None:
    """Make the rows of an account, unless they exist; `places` is how many calls may run at once."""
    key = {"system": account.system, "account": account.name}
    with writing(engine) as session:
        conflict_insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        fresh = {"calls_at": 0.0, "batches_at": 0.0, "braked_until": 0.0}
        session.execute(conflict_insert(LimitRow).values(**key, **fresh).on_conflict_do_nothing())
        slots = [{**key, "number": number} for number in range(places)]
        session.execute(conflict_insert(SlotRow).values(slots).on_conflict_do_nothing())


def lease_calls(
    engine: Engine, account: Account, budget: Budget, *, most: int, batches: bool = False, patience: float
) -> Block | Refused:
    """Up to `most` calls of the budget, a few when it is short; refused when the first is further off than `patience`.

    One statement when there is room, two when it is short, three when the account is braked.
    """
    few = min(most, 4)
    for count, wait in ((most, 0.0), (few, patience)):
        if (block := _lease(engine, account, budget, count, batches=batches, patience=wait)) is not None:
            return block
    with reading(engine) as session:
        braked = _brake_of(session, account)
    return Refused(braked, braked=True) if braked > 0 else Refused(patience, braked=False)


def _lease(
    engine: Engine, account: Account, budget: Budget, count: int, *, batches: bool, patience: float
) -> Block | None:
    """All of `count` within `patience`, or None. With no patience the whole block can be used at once."""
    at = col(LimitRow.batches_at) if batches else col(LimitRow.calls_at)
    ahead = and_(at > epoch(), at <= epoch() + budget.burst * budget.interval + MOST_AHEAD)
    spoken_for = case((ahead, at), else_=epoch())
    needed = 1 if patience else count
    wait = spoken_for + (needed - budget.burst) * budget.interval - epoch()
    fits = and_(_is(account), not_(is_braked(col(LimitRow.braked_until))), wait <= patience)
    statement = update(LimitRow).where(fits).values({at: spoken_for + count * budget.interval})
    with writing(engine) as session:
        row = session.execute(statement.returning(at - epoch())).one_or_none()
    if row is None:
        return None
    first = float(row[0]) - (count - 1 + budget.burst) * budget.interval
    return Block(count, first, budget.interval)


def brake(engine: Engine, account: Account, seconds: float, *, budget: Budget | None = None) -> None:
    """Nobody asks this account anything for so long; afterwards the budget starts without its burst."""
    until = epoch() + seconds
    now = col(LimitRow.braked_until)
    later = case((and_(is_braked(now), now > until), now), else_=until)
    values: dict[Any, Any] = {col(LimitRow.braked_until): later}
    if budget is not None:
        values[col(LimitRow.calls_at)] = later + (budget.burst - 1) * budget.interval
    with writing(engine) as session:
        session.execute(update(LimitRow).where(_is(account)).values(values))


def is_braked(until: ColumnElement[float] | Mapped[float]) -> ColumnElement[bool]:
    """Whether an account that is to be left alone `until` then is so now."""
    return and_(until > epoch(), until <= epoch() + LONGEST_BRAKE)


def find_brakes(session: Session) -> dict[Account, float]:
    """Seconds each braked account still is to be left alone."""
    left = col(LimitRow.braked_until) - epoch()
    braked = is_braked(col(LimitRow.braked_until))
    rows = session.execute(select(col(LimitRow.system), col(LimitRow.account), left).where(braked)).all()
    return {Account(row[0], row[1]): float(row[2]) for row in rows}


@dataclass(frozen=True, slots=True)
class Use:
    """How much of an account's limits is used now: seconds of brake left, share of the burst, slots held and all."""

    account: Account
    braked: float
    budget: float
    held: int
    places: int


def find_uses(session: Session, budget: Budget) -> list[Use]:
    """Every account that was ever asked; `budget` is what a company of the books is asked by."""
    braked, spoken = col(LimitRow.braked_until) - epoch(), col(LimitRow.calls_at) - epoch()
    accounts = session.execute(select(col(LimitRow.system), col(LimitRow.account), braked, spoken)).all()
    held = and_(col(SlotRow.holder).is_not(None), col(SlotRow.leased_until) > moment())
    counts = (func.sum(case((held, 1), else_=0)), func.count())
    about = (col(SlotRow.system), col(SlotRow.account))
    slots = {Account(row[0], row[1]): row for row in session.execute(select(*about, *counts).group_by(*about)).all()}
    burst = budget.burst * budget.interval
    uses = []
    for system, name, left, ahead in accounts:
        account = Account(system, name)
        _, _, taken, places = slots.get(account, (system, name, 0, 0))
        uses.append(Use(account, max(0.0, float(left)), max(0.0, float(ahead)) / burst, int(taken), int(places)))
    return uses


def _brake_of(session: Session, account: Account) -> float:
    left = select(col(LimitRow.braked_until) - epoch()).where(_is(account), is_braked(col(LimitRow.braked_until)))
    return max(0.0, float(session.execute(left).scalar_one_or_none() or 0.0))


def take_slot(engine: Engine, account: Account, holder: str, *, places: int) -> int | None:
    """A slot that is free and that nobody else waits for, or None."""
    over = or_(col(SlotRow.leased_until) < moment(), col(SlotRow.leased_until) > moment(SLOT_SECONDS + MOST_AHEAD))
    free = or_(col(SlotRow.holder).is_(None), over)
    not_promised = or_(_unwanted(), col(SlotRow.wanted_by) == holder)
    number = _first_slot(and_(_of(account), col(SlotRow.number) < places, free, not_promised), engine)
    statement = (
        update(SlotRow)
        .where(and_(_of(account), col(SlotRow.number) == number, free))
        .values(holder=holder, leased_until=moment(SLOT_SECONDS), wanted_by=None, wanted_until=None)
        .returning(col(SlotRow.number))
    )
    with writing(engine) as session:
        found: int | None = session.execute(statement).scalar_one_or_none()
    return found


def want_slot(engine: Engine, account: Account, holder: str, *, places: int) -> None:
    """Say that we wait for a slot: its holder yields it after the call it is used for."""
    others = or_(col(SlotRow.holder).is_(None), col(SlotRow.holder) != holder)
    mine = col(SlotRow.wanted_by) == holder
    fitting = and_(_of(account), col(SlotRow.number) < places, others, or_(_unwanted(), mine))
    number = _first_slot(fitting, engine, case((mine, 0), else_=1))
    statement = update(SlotRow).where(and_(_of(account), col(SlotRow.number) == number))
    with writing(engine) as session:
        session.execute(statement.values(wanted_by=holder, wanted_until=moment(WANT_SECONDS)))


def keep_slots(engine: Engine, holder: str) -> list[Held]:
    """Prolong every slot we hold, of all accounts, in one transaction; answers what each is to know."""
    wanted = and_(col(SlotRow.wanted_by) != holder, col(SlotRow.wanted_until) > moment())
    statement = (
        update(SlotRow)
        .where(col(SlotRow.holder) == holder)
        .values(leased_until=moment(SLOT_SECONDS))
        .returning(col(SlotRow.system), col(SlotRow.account), col(SlotRow.number), case((wanted, 1), else_=0))
    )
    with writing(engine) as session:
        rows = session.execute(statement).all()
        # Not as a part of RETURNING: SQLite is given column names without their tables there, so every brake would fit.
        brakes = find_brakes(session) if rows else {}
    held = ((Account(row[0], row[1]), row) for row in rows)
    return [Held(account, int(row[2]), bool(row[3]), brakes.get(account, 0.0)) for account, row in held]


def give_slots(engine: Engine, account: Account, holder: str, numbers: Sequence[int]) -> None:
    """Let go of slots, if they are still ours."""
    ours = and_(_of(account), col(SlotRow.holder) == holder, col(SlotRow.number).in_(numbers))
    with writing(engine) as session:
        session.execute(update(SlotRow).where(ours).values(holder=None, leased_until=None))


def _first_slot(fitting: ColumnElement[bool], engine: Engine, *order: ColumnElement[Any]) -> ColumnElement[int]:
    first = select(col(SlotRow.number)).where(fitting).order_by(*order, col(SlotRow.number)).limit(1)
    if engine.dialect.name == "postgresql":
        first = first.with_for_update(skip_locked=True)
    return func.coalesce(first.scalar_subquery(), literal(-1))


def _unwanted() -> ColumnElement[bool]:
    until = col(SlotRow.wanted_until)
    return or_(col(SlotRow.wanted_by).is_(None), until < moment(), until > moment(WANT_SECONDS + MOST_AHEAD))


def _is(account: Account) -> ColumnElement[bool]:
    return and_(col(LimitRow.system) == account.system, col(LimitRow.account) == account.name)


def _of(account: Account) -> ColumnElement[bool]:
    return and_(col(SlotRow.system) == account.system, col(SlotRow.account) == account.name)

"""Cursors: the position of each poll, and the lease by which one process at a time polls a source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, case, delete, func, or_, select, update
from sqlmodel import Session, col

from gateway.database.session import writing
from gateway.database.sql import moment, upsert
from gateway.errors import RateLimited
from gateway.store import connections, leases, tokens
from gateway.store.events import Flow
from gateway.store.tables import CursorRow
from mapping.records import SyncMarkers

# As long as a page takes; every page renews it. Two pollers do no harm; a killed one must not block a source for long.
LEASE_SECONDS = 12.0
# How long records of a till's feed are read again at least: a record may become visible after a later one.
OVERLAP_SECONDS = 300.0
_LATE_RECORDS = 200  # so many records below the newest one may be among them, where no time tells

RECEIPTS = "mpluskassa.receipt"
INVOICES = "mpluskassa.invoice"
ORDERS = "mpluskassa.deposits"
RELATIONS = "mpluskassa.relation"
_MARKERS = {RECEIPTS: "receipt", INVOICES: "invoice", ORDERS: "order", RELATIONS: "relation"}
"""The marker at the till of each of these feeds."""
BOOKS = "quickbooks.cdc"
CUSTOMERS = "quickbooks.customers"
"""No poll: its position is the time since when the index of the customers' addresses is complete."""
_HELD = "quickbooks.cdc.sales."
"""Begins the cursors of the entities of the books that stay behind."""
FAILING_SECONDS = 60.0  # one failed poll soon followed by another is no outage
_POLLED: Mapping[str, Any] = {"polled_at": moment(), "failure": None}
FLOWS = {
    RECEIPTS: {Flow.ORDERS},
    INVOICES: {Flow.ORDERS},
    ORDERS: {Flow.ORDERS},
    RELATIONS: {Flow.CUSTOMERS},
    BOOKS: set(Flow),
    f"{_HELD}Item": {Flow.PRODUCTS, Flow.CATEGORIES, Flow.STOCK},
    f"{_HELD}Customer": {Flow.CUSTOMERS},
    f"{_HELD}Estimate": {Flow.STOCK},
}
"""The flows whose changes come through a feed; those of sales through the others."""


def ensure(session: Session, connection: str, source: str, position: str | None) -> None:
    """Create the cursor at `position` unless it exists: polling starts at the moment of connecting."""
    row = {"connection": connection, "source": source, "position": position}
    upsert(session, CursorRow, {**row, "generation": 0, "reread_to": 0, "began_at": moment()})


def begin(session: Session, connection: str, markers: SyncMarkers, *, at: datetime) -> None:
    """Start every cursor of a connection that has none: the till's at its markers, the books' at this moment."""
    ensure(session, connection, BOOKS, at.isoformat())
    for source, name in _MARKERS.items():
        ensure(session, connection, source, str(getattr(markers, name) or 0))


def begin_again(session: Session, connection: str, markers: SyncMarkers, *, at: datetime) -> None:
    """Like `begin`, but existing cursors of the till are moved: earlier changes are skipped."""
    ensure(session, connection, BOOKS, at.isoformat())
    for source, name in _MARKERS.items():
        move_to(session, connection, source, str(getattr(markers, name) or 0))
        session.execute(update(CursorRow).where(_is(connection, source)).values(began_at=moment()))


def find(session: Session, connection: str, source: str) -> str | None:
    """The position of this cursor, or None when polling has not begun."""
    return session.execute(select(col(CursorRow.position)).where(_is(connection, source))).scalar_one_or_none()


def is_behind(session: Session, connection: str, source: str, *, seconds: float) -> bool:
    """Whether the last successful poll is longer ago than this; False before the first."""
    late = and_(_is(connection, source), col(CursorRow.polled_at) < moment(-seconds))
    return session.execute(select(col(CursorRow.source)).where(late)).one_or_none() is not None


def began_at(session: Session, connection: str, source: str) -> datetime | None:
    return session.execute(select(col(CursorRow.began_at)).where(_is(connection, source))).scalar_one_or_none()


def polled_at(session: Session, connection: str, source: str) -> datetime | None:
    return session.execute(select(col(CursorRow.polled_at)).where(_is(connection, source))).scalar_one_or_none()


def failure(session: Session, connection: str, source: str) -> str | None:
    return session.execute(select(col(CursorRow.failure)).where(_is(connection, source))).scalar_one_or_none()


def find_failing(session: Session, now: datetime) -> list[CursorRow]:
    """The feeds of live, authorised connections whose last poll failed, without a success for a while."""
    earlier = now - timedelta(seconds=FAILING_SECONDS)
    last = func.coalesce(col(CursorRow.polled_at), col(CursorRow.began_at))
    late = or_(last.is_(None), last < earlier)
    failing = and_(col(CursorRow.failure).is_not(None), late)
    works = and_(col(CursorRow.connection).in_(connections.WORKING), col(CursorRow.connection).not_in(tokens.LOST))
    return list(session.execute(select(CursorRow).where(failing, works)).scalars())


def find_stretch(session: Session, connection: str) -> int:
    """How many times as long as the setting it is between two polls of the books."""
    found = select(col(CursorRow.stretch)).where(_is(connection, BOOKS))
    return int(session.execute(found).scalar_one_or_none() or 1)


def set_stretch(session: Session, connection: str, stretch: int) -> None:
    session.execute(update(CursorRow).where(_is(connection, BOOKS)).values(stretch=stretch))


def held_back(session: Session, connection: str) -> dict[str, str]:
    """The entities of the books that cannot be read and stay behind, with their own positions."""
    rest = and_(col(CursorRow.connection) == connection, col(CursorRow.source).startswith(_HELD, autoescape=True))
    rows = session.execute(select(col(CursorRow.source), col(CursorRow.position)).where(rest)).all()
    return {str(row[0]).removeprefix(_HELD): str(row[1]) for row in rows}


def part_of(source: str) -> str | None:
    """The entity of the books whose own cursor this is."""
    return source.removeprefix(_HELD) if source.startswith(_HELD) else None


def hold_back(session: Session, connection: str, entities: Mapping[str, tuple[str, str]]) -> None:
    """Set the entities of the books that stay behind, with position and reason; all others are read again."""
    known = held_back(session, connection)
    for entity in known.keys() - entities.keys():
        session.execute(delete(CursorRow).where(_is(connection, f"{_HELD}{entity}")))
    for entity, (position, why) in entities.items():
        each = f"{_HELD}{entity}"
        if entity not in known:
            move_to(session, connection, each, position)
        session.execute(update(CursorRow).where(_is(connection, each)).values(failure=why))


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a feed of the till; `at` is None when it has not begun. See `CursorRow`."""

    at: int | None
    settled: int
    witness: frozenset[str]
    generation: int
    reread_to: int
    reread_at: int | None
    began_at: datetime | None


def find_position(session: Session, connection: str, source: str) -> Position:
    row = session.execute(select(CursorRow).where(_is(connection, source))).scalar_one_or_none()
    if row is None or row.position is None:
        return Position(None, 0, frozenset(), 0, 0, None, None)
    at = int(row.position)
    settled = at if row.settled is None else min(int(row.settled), at)
    witness = frozenset(filter(None, (row.witness or "").split(",")))
    return Position(at, settled, witness, row.generation, row.reread_to, row.reread_at, row.began_at)


def follow(
    session: Session, connection: str, source: str, position: int, *, witness: Collection[str], lease: str
) -> bool:
    """Like `advance`, for a feed of the till: records before a position reached long enough ago are not read again."""
    if not leases.renew(session, lease, seconds=LEASE_SECONDS):
        return False
    row = CursorRow
    late = or_(col(row.marked_at).is_(None), col(row.marked_at) < moment(-OVERLAP_SECONDS))
    before, newest = col(row.position), newest_generation(session, connection)
    values = {
        "position": str(position),
        "witness": ",".join(sorted(witness)) or None,
        "settled": func.coalesce(case((late, col(row.marked)), else_=col(row.settled)), before),
        # A feed that is read for the first time has nothing to read again.
        "generation": case((before.is_(None), newest), else_=col(row.generation)),
        "marked": case((late, str(position)), else_=col(row.marked)),
        "marked_at": case((late, moment()), else_=col(row.marked_at)),
        **_POLLED,
    }
    session.execute(update(row).where(_is(connection, source)).values(**values))
    return True


def newest_generation(session: Session, connection: str) -> int:
    """How often the markers of this till have begun again, as one of its feeds has shown."""
    found = select(func.max(col(CursorRow.generation))).where(col(CursorRow.connection) == connection)
    return session.execute(found).scalar_one() or 0


def rewind(session: Session, connection: str, source: str, *, newest: int, lease: str, after: int) -> int | None:
    """The markers of a feed restarted: it goes on at the newest one, and everything is read again beside it.

    Returns the generation, which is higher than `after`; None without the lease.
    """
    if not leases.renew(session, lease, seconds=LEASE_SECONDS):
        return None
    this = _is(connection, source)
    before = session.execute(select(col(CursorRow.position)).where(this)).scalar_one()
    late = str(max(0, newest - _LATE_RECORDS))
    place = {"position": str(newest), "witness": None, "settled": late, "marked": late, "marked_at": moment()}
    reread = {"reread_to": max(newest, int(before or 0)), "reread_at": 0, "reread_until": moment(OVERLAP_SECONDS)}
    session.execute(update(CursorRow).where(this).values(**place, **reread, generation=after + 1))
    return after + 1


def read_again(session: Session, connection: str, source: str, at: int, *, ended: bool, lease: str) -> bool:
    """Everything was read again up to here; False if the lease was lost.

    Where nothing comes behind it (`ended`), the last records are read once more for a while: some may be visible late.
    """
    if not leases.renew(session, lease, seconds=LEASE_SECONDS):
        return False
    late = case((col(CursorRow.reread_until) > moment(), max(0, at - _LATE_RECORDS)))
    values = {"reread_at": late if ended else at, **_POLLED}
    session.execute(update(CursorRow).where(_is(connection, source)).values(**values))
    return True


def take(engine: Engine, connection: str, source: str, *, process: str = "") -> str | None:
    """A lease of this process on polling this source, or None while another process polls it."""
    lease = leases.make_token(process)
    with writing(engine, synced=False) as session:
        ensure(session, connection, source, None)
        return leases.take(session, connection, f"poll {source}", seconds=LEASE_SECONDS, lease=lease)


def advance(session: Session, connection: str, source: str, position: str, *, lease: str) -> bool:
    """Move the cursor, in the transaction that stored what was found; False if the lease was lost."""
    if not leases.renew(session, lease, seconds=LEASE_SECONDS):
        return False
    session.execute(update(CursorRow).where(_is(connection, source)).values(position=position, **_POLLED))
    return True


def renew(engine: Engine, lease: str) -> None:
    with writing(engine, synced=False) as session:
        leases.renew(session, lease, seconds=LEASE_SECONDS)


def move_to(session: Session, connection: str, source: str, position: str | None) -> None:
    """Set a cursor that only one event moves, or the start of a feed."""
    ensure(session, connection, source, position)
    values = {
        "position": position,
        "polled_at": moment(),
        **dict.fromkeys(("settled", "marked", "marked_at", "witness")),
    }
    session.execute(update(CursorRow).where(_is(connection, source)).values(**values))


def release(engine: Engine, connection: str, source: str, lease: str, *, failure: str | None = None) -> None:
    """Give the lease back; without `failure` the poll counts as done now."""
    done = {"failure": failure} if failure else _POLLED
    with writing(engine, synced=False) as session:
        if leases.release(session, lease):
            session.execute(update(CursorRow).where(_is(connection, source)).values(**done))


@contextmanager
def recorded(engine: Engine, connection: str, source: str, lease: str) -> Iterator[None]:
    """A poll: at its end the lease is given back, and its success or failure is recorded.

    A poll that is not let through, by our limits or by the system's, is neither: it is repeated soon.
    """
    try:
        yield
    except RateLimited:
        with writing(engine, synced=False) as session:
            leases.release(session, lease)
        raise
    except Exception as error:
        release(engine, connection, source, lease, failure=str(error))
        raise
    release(engine, connection, source, lease)


def _is(connection: str, source: str) -> ColumnElement[bool]:
    return and_(col(CursorRow.connection) == connection, col(CursorRow.source) == source)

"""Whether the two systems of a connection answer: every caller notes it; a long silence is an alert."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, and_, func, or_, select
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS
from gateway.store.session import writing
from gateway.store.tables import ConnectionRow, SystemRow
from gateway.store.upserts import upsert

NAMES = {MPLUSKASSA: "MplusKASSA", QUICKBOOKS: "QuickBooks"}
FAILING_SECONDS = 40.0  # one failed call is no outage
GRACE_SECONDS = 60.0  # how much later than expected an answer may come


@dataclass(frozen=True, slots=True)
class Silence:
    """A system that has not answered since a moment; `failure` is the error instead, None when there was none."""

    connection: str
    system: str
    since: datetime
    seconds: float
    failure: str | None


def answered(engine: Engine, connection: str, system: str, *, again_in: float) -> None:
    """The system answered, and is called again in so many seconds."""
    overdue = moment(again_in + GRACE_SECONDS)
    _put(engine, connection, system, answered_at=moment(), overdue_at=overdue, failing_since=None, failure=None)


def failed(engine: Engine, connection: str, system: str, failure: str) -> None:
    """The system could not be called, or did not answer."""
    since = func.coalesce(col(SystemRow.failing_since), moment())
    _put(engine, connection, system, first={"failing_since": moment()}, failing_since=since, failure=failure)


def _put(engine: Engine, connection: str, system: str, *, first: dict[str, Any] | None = None, **values: Any) -> None:
    row = {"connection": connection, "system": system, **values, **(first or {})}
    with writing(engine) as session:
        upsert(session, SystemRow, row, values)


def find_silent(session: Session, now: datetime) -> list[Silence]:
    """The systems of live connections that have failed for a while, or have not answered in time."""
    live = select(col(ConnectionRow.name)).where(col(ConnectionRow.live), col(ConnectionRow.paused).is_(None))
    failing = col(SystemRow.failing_since) < now - timedelta(seconds=FAILING_SECONDS)
    silent = and_(or_(failing, col(SystemRow.overdue_at) < now), col(SystemRow.connection).in_(live))
    rows = session.execute(select(SystemRow).where(silent).order_by(col(SystemRow.connection), col(SystemRow.system)))
    return [_to_silence(row, now) for row in rows.scalars()]


def _to_silence(row: SystemRow, now: datetime) -> Silence:
    since = row.answered_at or row.failing_since or now
    return Silence(row.connection, row.system, since, max(0.0, (now - since).total_seconds()), row.failure)


def all_of(session: Session) -> list[SystemRow]:
    """The state of every system."""
    return list(session.execute(select(SystemRow)).scalars())

"""What is known of the two systems of a connection: whether they answer, their lists, and their first webhook.

Every caller notes an answer; a long silence is an alert. Pages show the lists as a worker last read them, because the
web process calls neither system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Engine, and_, case, func, or_, select
from sqlmodel import Session, col

from gateway.store import connections, rate_limits
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS
from gateway.store.session import writing
from gateway.store.sql import moment, upsert
from gateway.store.tables import ConnectionRow, SystemRow
from gateway.store.tables_of_records import FirstWebhookRow, SystemListRow
from mapping.choices import ListName, ListOption

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


def note_answers(session: Session, ages: Mapping[tuple[str, str], float]) -> None:
    """Systems of connections answered calls of this process so many seconds ago; what is newer stays.

    Only who calls at fixed times begins to set when a system is overdue.
    """
    row = SystemRow
    for (connection, system), age in sorted(ages.items()):
        at, due = moment(-age), moment(GRACE_SECONDS - age)
        values = {
            "answered_at": case((col(row.answered_at) > at, col(row.answered_at)), else_=at),
            "overdue_at": case((col(row.overdue_at) < due, due), else_=col(row.overdue_at)),
            "failing_since": case((col(row.failing_since) > at, col(row.failing_since))),
            "failure": case((col(row.failing_since) > at, col(row.failure))),
        }
        upsert(session, row, {"connection": connection, "system": system, "answered_at": at}, values)


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
    failing = col(SystemRow.failing_since) < now - timedelta(seconds=FAILING_SECONDS)
    silent = and_(or_(failing, col(SystemRow.overdue_at) < now), col(SystemRow.connection).in_(connections.WORKING))
    rows = session.execute(select(SystemRow).where(silent).order_by(col(SystemRow.connection), col(SystemRow.system)))
    found = [(row, row.answered_at or row.failing_since or now) for row in rows.scalars()]
    return [
        Silence(row.connection, row.system, since, max(0.0, (now - since).total_seconds()), row.failure)
        for row, since in found
    ]


def find_cooldowns(session: Session, connection: str) -> Iterator[tuple[str, float]]:
    """Each system's name and the seconds its cooldown still lasts, where one of this connection's accounts has one."""
    row = session.get(ConnectionRow, connection)
    cooldowns = rate_limits.find_cooldowns(session)
    for system, account in rate_limits.accounts_of(row).items() if row else ():
        if account in cooldowns:
            yield NAMES[system], cooldowns[account]


def all_of(session: Session) -> list[SystemRow]:
    return list(session.execute(select(SystemRow)).scalars())


_OPTIONS = TypeAdapter(tuple[ListOption, ...])


@dataclass(frozen=True, slots=True)
class KnownList:
    options: tuple[ListOption, ...]
    read_at: datetime


def save_list(session: Session, connection: str, name: ListName, options: Iterable[ListOption]) -> None:
    values = {"options": _OPTIONS.dump_json(tuple(options), exclude_none=True).decode(), "read_at": moment()}
    upsert(session, SystemListRow, {"connection": connection, "name": name, **values}, values)


def without_lists(session: Session) -> list[str]:
    """The live connections of which no list was ever read."""
    known, name = select(col(SystemListRow.connection)), col(ConnectionRow.name)
    live = and_(col(ConnectionRow.live), name.not_in(known), col(ConnectionRow.removed_at).is_(None))
    return list(session.execute(select(name).where(live).order_by(name)).scalars())


def read_lists(session: Session, connection: str) -> dict[ListName, KnownList]:
    rows = session.execute(select(SystemListRow).where(col(SystemListRow.connection) == connection)).scalars()
    return {
        ListName(row.name): KnownList(_OPTIONS.validate_json(row.options), row.read_at)
        for row in rows
        if row.name in set(ListName)
    }


def company_names(session: Session) -> dict[tuple[str, str], str]:
    """What the books call their company, by connection and the company's id; none before it was read."""
    mine = col(SystemListRow.name) == ListName.COMPANY
    rows = session.execute(select(SystemListRow).where(mine)).scalars()
    found = [(row.connection, company) for row in rows for company in _OPTIONS.validate_json(row.options)]
    return {(connection, company.id): company.name for connection, company in found}


def note_webhook(session: Session, connections: Iterable[str], system: str) -> None:
    """One arrived; only the first counts."""
    for connection in sorted(connections):
        upsert(session, FirstWebhookRow, {"connection": connection, "system": system, "arrived_at": moment()})


def first_webhooks(session: Session, connection: str) -> dict[str, datetime]:
    """When the first one of each system arrived."""
    rows = session.execute(select(FirstWebhookRow).where(col(FirstWebhookRow.connection) == connection)).scalars()
    return {row.system: row.arrived_at for row in rows}

"""Alert causes of the comparison of till and books: days that differ, and days that were not compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from gateway.store.agreements import WATCHED, AgreementStatus
from gateway.store.tables import AgreementDayRow, AgreementRecordRow, ConnectionRow
from mapping.messages import message

OVERDUE = timedelta(hours=6)
_MAX_NAMED = 5
_FIX = "open the agreement in the dashboard, or run `./run agree`: every record is named with what to do"


def find(session: Session, now: datetime) -> Iterator[tuple[str, str, str, str, str, str]]:
    """(key, title, detail, fix, connection, stage) of each; sent again when other records differ."""
    yield from _differing(session, now)
    yield from _not_compared(session, now)


def _differing(session: Session, now: datetime) -> Iterator[tuple[str, str, str, str, str, str]]:
    day, record = AgreementDayRow, AgreementRecordRow
    watched = and_(col(day.status) == AgreementStatus.DIFFERS, col(day.day) >= (now - WATCHED).date())
    wrong = and_(
        col(record.connection) == col(day.connection), col(record.day) == col(day.day), col(record.by_policy).is_(False)
    )
    columns = (col(day.connection), col(day.day), col(record.record), col(record.cause), col(record.cents))
    rows = session.execute(select(*columns).join(record, wrong).where(watched).order_by(*columns[:3])).all()
    by_connection: dict[str, list[tuple[date, str, str, int]]] = {}
    for name, when, what, cause, cents in rows:
        by_connection.setdefault(name, []).append((when, what, cause, cents))
    for name, found in by_connection.items():
        days = sorted({str(when) for when, *_ in found})
        more_days = "till and books differ on {day} and {n} other days"
        title = message(more_days if days[1:] else "till and books differ on {day}", day=days[0], n=len(days) - 1)
        named = [f"{when} {what}: {cause}, {cents / 100:.2f}" for when, what, cause, cents in found[:_MAX_NAMED]]
        more = [f"and {len(found) - _MAX_NAMED} more"] if len(found) > _MAX_NAMED else []
        stage = hashlib.sha256(repr(found).encode()).hexdigest()[:16]
        yield f"agreement/{name}", title, "; ".join([*named, *more]), _FIX, name, stage


def _not_compared(session: Session, now: datetime) -> Iterator[tuple[str, str, str, str, str, str]]:
    day = AgreementDayRow
    working = select(col(ConnectionRow.name)).where(col(ConnectionRow.live), col(ConnectionRow.paused).is_(None))
    # The first row of a connection is never compared, and today not yet.
    opened = aliased(AgreementDayRow)
    first = select(func.min(col(opened.day))).where(col(opened.connection) == col(ConnectionRow.name)).scalar_subquery()
    waits = and_(col(day.status) == AgreementStatus.NOT_CLOSED, col(day.due_at) < now - OVERDUE)
    lost = and_(
        col(day.status) == AgreementStatus.NOT_CLOSED,
        col(day.due_at).is_(None),
        col(day.day) < (now - timedelta(days=2)).date(),
    )
    about = (col(day.connection), func.min(col(day.day)), func.count())
    late = (
        select(*about)
        .join(ConnectionRow, col(ConnectionRow.name) == col(day.connection))
        .where(col(day.connection).in_(working), col(day.day) > first, col(day.day) >= (now - WATCHED).date())
        .where(or_(col(day.status) == AgreementStatus.FAILED, waits, lost))
        .group_by(col(day.connection))
    )
    for name, when, count in session.execute(late).all():
        detail = message("{count} days wait for it, the oldest is {when}", count=count, when=when)
        fix = "look at the newest event Agreement and the log of the clock process; ./run agree tries it again"
        yield f"comparison/{name}", "till and books could not be compared", detail, fix, name, str(when)

"""Results of the agreement of till and books per day: stored, due again after a change, certified and signed off.

A connection's first row is the day it was first seen working. The till may have sales of that day from before, so
that day and earlier ones are not compared.

A certificate is never changed. Another result of the same day is a new one of the connection's chain, which says what
it supersedes. The keys they are signed with are Ed25519, the secret half sealed, made when first needed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import ColumnElement, Engine, and_, bindparam, delete, func, insert, or_, select, update
from sqlmodel import Session, col

from gateway.database.sealing import Seal, SealedColumn
from gateway.database.session import reading, writing
from gateway.database.sql import between, change, given, moment, upsert
from gateway.store.events import ENDED
from gateway.store.tables import (
    AgreementDayRow,
    AgreementRecordRow,
    CertificateRow,
    ConnectionRow,
    InboxRow,
    SigningKeyRow,
    SignOffRow,
)
from mapping import agreement, messages

SETTLE = timedelta(minutes=10)
"""How long after a change a day is compared: related changes may still follow."""
REST = timedelta(hours=6)
"""The shortest time between two comparisons of a day: reads are metered."""
WATCHED = timedelta(days=31)
"""Older differences give no alert and are not compared again."""
MAX_DAYS = 7
"""The most days compared in one run."""
SEALED: Final = ("secret_sealed",)
_HEADER = frozenset(
    ["format", "installation", "connection", "company", "number", "previous", "supersedes", "compared_at"]
)


class AgreementStatus(StrEnum):
    """The state of a day. `explained`: all differences follow from the settings."""

    AGREES = "agrees"
    DIFFERS = "differs"
    EXPLAINED = "explained"
    NOT_CLOSED = "not_closed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """A record that causes a difference, and why; `event_id` should have booked it."""

    cause: str
    by_policy: bool
    record: str
    reason: str
    fix: str
    event_id: int | None
    cents: int


@dataclass(frozen=True, slots=True)
class DayResult:
    """The result of one day, in cents; the difference is what the settings do not explain."""

    day: date
    status: AgreementStatus
    till_cents: int = 0
    books_cents: int = 0
    difference_cents: int = 0
    records: tuple[Record, ...] = ()


def first_day(session: Session, connection: str) -> date | None:
    """The day this connection was first seen working; only later ones are compared."""
    first: date | None = session.execute(select(func.min(col(AgreementDayRow.day))).where(_of(connection))).scalar_one()
    return first


def open_days(session: Session, connection: str, today: date, *, due_at: datetime) -> None:
    """Make the row of every day up to today: due at this time when it is over, at once when it was missed.

    Days that differed within the last week are compared along with it.
    """
    row, day = AgreementDayRow, col(AgreementDayRow.day)
    newest = session.execute(select(func.max(day)).where(_of(connection))).scalar_one()
    first = today - timedelta(days=1) if newest is None else max(newest, today - WATCHED)
    fresh: dict[str, Any] = {"connection": connection, "status": AgreementStatus.NOT_CLOSED, "due_at": None}
    fresh |= dict.fromkeys(("till_cents", "books_cents", "difference_cents"), 0)
    for number in range((today - first).days):
        upsert(session, row, {**fresh, "day": first + timedelta(days=number + 1)})
    if newest is None or newest >= today:
        return
    # The newest day until now is over; so are the days without a row since.
    open_ones = (AgreementStatus.NOT_CLOSED, AgreementStatus.DIFFERS, AgreementStatus.FAILED)
    unsure = and_(col(row.status).in_(open_ones), day >= today - timedelta(days=MAX_DAYS))
    late = and_(col(row.checked_at).is_(None), day >= today - WATCHED)
    over = (_of(connection), day < today, _is_compared(session, connection), or_(unsure, late))
    session.execute(update(row).where(*over).values(due_at=due_at))


def mark(session: Session, connection: str, days: Iterable[date], *, now: datetime, at_once: bool = False) -> None:
    """These days changed: they are compared soon, at most every six hours unless `at_once`."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(set(days)), _is_watched(session, connection, now))
    _put_forward(session, mine, now, at_once=at_once)


def mark_differing(session: Session, connection: str, *, now: datetime, at_once: bool = False) -> None:
    """A document of the books changed that may be part of a difference: like `mark`, for every differing day."""
    is_differing = col(AgreementDayRow.status) == AgreementStatus.DIFFERS
    mine = and_(_of(connection), is_differing, _is_watched(session, connection, now))
    _put_forward(session, mine, now, at_once=at_once)


_DAYS = AgreementDayRow.__table__.c  # type: ignore[attr-defined]
_DIFFERING = (
    select(_DAYS.connection)
    .where(_DAYS.connection.in_(bindparam("of", expanding=True)), _DAYS.status == AgreementStatus.DIFFERS)
    .distinct()
)  # asked for documents that are not ours: built once


def find_differing(session: Session, connections: Collection[str]) -> set[str]:
    """Those for which `mark_differing` may have something to do: most often none, and then nothing is written."""
    return set(session.execute(_DIFFERING, {"of": sorted(connections)}).scalars())


def _put_forward(session: Session, which: ColumnElement[bool], now: datetime, *, at_once: bool) -> None:
    for row in session.execute(select(AgreementDayRow).where(which)).scalars().all():
        due = now + SETTLE
        if row.checked_at and not at_once:
            due = max(due, row.checked_at + REST)
        if row.due_at is None or row.due_at > due:
            same = and_(_of(row.connection), col(AgreementDayRow.day) == row.day)
            session.execute(update(AgreementDayRow).where(same).values(due_at=due))


def mark_since(session: Session, connection: str, since: date, *, now: datetime) -> None:
    """An outage began on this day: this day and all later ones are compared after the missed changes have come in."""
    mine = and_(_of(connection), col(AgreementDayRow.day) >= since, _is_watched(session, connection, now))
    session.execute(update(AgreementDayRow).where(mine).values(due_at=now + SETTLE))


def find_repaired(session: Session, connection: str, *, now: datetime) -> list[date]:
    """Differing days with an event that should have booked a record and has ended since: they may agree now."""
    day, record = AgreementDayRow, AgreementRecordRow
    cause, later = InboxRow.__table__.alias("cause"), InboxRow.__table__.alias("later")  # type: ignore[attr-defined]
    ended = and_(later.c.state.in_(ENDED), later.c.updated_at > col(day.checked_at))
    same = or_(later.c.id == cause.c.id, and_(cause.c.order_id.is_not(None), later.c.order_id == cause.c.order_id))
    query = (
        select(col(day.day))
        .join(record, and_(col(record.connection) == col(day.connection), col(record.day) == col(day.day)))
        .join(cause, cause.c.id == col(record.event_id))
        .join(later, and_(same, ended))
        .where(col(day.connection) == connection, col(day.status) == AgreementStatus.DIFFERS, col(day.due_at).is_(None))
        .where(col(day.day) >= (now - WATCHED).date())
        .distinct()
    )
    return list(session.execute(query).scalars())


def take_due(session: Session, connection: str, *, now: datetime) -> list[date]:
    """The days to compare now, at most a week, claimed for this process."""
    due = and_(_of(connection), col(AgreementDayRow.due_at) <= now)
    day = col(AgreementDayRow.day)
    first = session.execute(select(func.min(day)).where(due)).scalar_one()
    if first is None:
        return []
    taking = update(AgreementDayRow).where(due, day < first + timedelta(days=MAX_DAYS)).values(due_at=None)
    return sorted(session.execute(taking.returning(day)).scalars())


def save(
    session: Session, connection: str, results: Sequence[DayResult], *, event_id: int | None, at: datetime
) -> list[date]:
    """Store the results of these days; a result older than the stored one is dropped, as are days not compared.

    Returns the days that were stored.
    """
    stored: list[date] = []
    for result in results:
        found = {name: getattr(result, name) for name in ("status", "till_cents", "books_cents", "difference_cents")}
        values = {**found, "checked_at": at, "event_id": event_id}
        mine = and_(_of(connection), col(AgreementDayRow.day) == result.day, _is_compared(session, connection))
        newer = or_(col(AgreementDayRow.checked_at).is_(None), col(AgreementDayRow.checked_at) <= at)
        if not change(session, update(AgreementDayRow).where(mine, newer).values(**values)):
            continue
        stored.append(result.day)
        known = given((AgreementRecordRow.connection, connection), (AgreementRecordRow.day, result.day))
        session.execute(delete(AgreementRecordRow).where(*known))
        rows = []
        for each in result.records:
            row = {name: getattr(each, name) for name in Record.__slots__}
            said = messages.store(each.record, each.reason, each.fix)
            rows.append({**row, "connection": connection, "day": result.day, "messages": said})
        if rows:
            session.execute(insert(AgreementRecordRow), rows)
    return stored


def fail(session: Session, connection: str, days: Iterable[date], *, event_id: int, at: datetime) -> None:
    """The comparison of these days could not be made; their stored results are no longer valid."""
    mine = and_(_of(connection), col(AgreementDayRow.day).in_(list(days)), _is_compared(session, connection))
    values = {"status": AgreementStatus.FAILED, "checked_at": at, "event_id": event_id}
    session.execute(update(AgreementDayRow).where(mine).values(**values))


def _of(connection: str) -> ColumnElement[bool]:
    return col(AgreementDayRow.connection) == connection


def _is_compared(session: Session, connection: str) -> ColumnElement[bool]:
    return col(AgreementDayRow.day) > (first_day(session, connection) or date.max)


def _is_watched(session: Session, connection: str, now: datetime) -> ColumnElement[bool]:
    return and_(_is_compared(session, connection), col(AgreementDayRow.day) >= (now - WATCHED).date())


# --- certificates ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its signature; `superseded_by` is the number of the next one of its day."""

    connection: str
    number: int
    day: date
    result: str
    document: str
    digest: str
    signature: str
    public_key: str
    created_at: datetime
    superseded_by: int | None = None

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.document)
        return content


def issue(
    session: Session,
    connection: str,
    days: Iterable[Mapping[str, Any]],
    *,
    at: datetime,
    key: SigningKey,
    installation: str,
) -> list[int]:
    """Sign these days of `mapping.agreement.describe_day`; returns the numbers of the new certificates.

    A day whose newest certificate says the same gets none.
    """
    issued: list[int] = []
    # The chain has one end: one transaction at a time adds to it. (SQLite has one writer anyway.)
    mine = select(col(ConnectionRow.realm_id)).where(col(ConnectionRow.name) == connection).with_for_update()
    company = session.execute(mine).scalar_one_or_none()
    end = select(col(CertificateRow.number), col(CertificateRow.digest)).where(
        col(CertificateRow.connection) == connection
    )
    last = session.execute(end.order_by(col(CertificateRow.number).desc()).limit(1)).one_or_none()
    number, previous = (int(last[0]), str(last[1])) if last else (0, None)
    for day in days:
        when = date.fromisoformat(day["day"])
        earlier = find_certificates(session, connection=connection, start=when, through=when, newest_only=True)
        if earlier and {k: v for k, v in earlier[0].content.items() if k not in _HEADER} == day:
            continue
        number += 1
        place = {"connection": connection, "number": number}
        document = {
            **day,
            **place,
            "format": agreement.FORMAT,
            "installation": installation,
            "company": company,
            "previous": previous,
            "supersedes": earlier[0].number if earlier else None,
            "compared_at": at.isoformat(timespec="seconds"),
        }
        text, previous = agreement.to_canonical(document), agreement.digest(document)
        signed = {"document": text, "digest": previous, "signature": key.sign(text), "public_key": key.public}
        row = {**place, "day": when, "result": day["result"], **signed, "created_at": moment()}
        session.execute(insert(CertificateRow).values(**row))
        issued.append(number)
    return issued


def find_certificates(
    session: Session,
    *,
    connection: str | None = None,
    start: date | None = None,
    through: date | None = None,
    newest_only: bool = False,
) -> list[Certificate]:
    """The certificates of these days, by connection and number."""
    table: Any = CertificateRow.__table__  # type: ignore[attr-defined]
    later = table.alias("later")
    same_day = and_(later.c.connection == table.c.connection, later.c.day == table.c.day)
    after = select(func.min(later.c.number)).where(same_day, later.c.number > table.c.number).scalar_subquery()
    wanted = [*given((table.c.connection, connection)), *between(table.c.day, start, through)]
    wanted += [after.is_(None)] if newest_only else []
    columns = [table.c[name] for name in Certificate.__dataclass_fields__ if name != "superseded_by"]
    query = select(*columns, after).where(*wanted).order_by(table.c.connection, table.c.number)
    return [Certificate(*row) for row in session.execute(query)]


def sign_off(session: Session, signed: Sequence[Certificate], *, signed_by: str) -> None:
    """A person signs these days off; who signed a certificate first stays."""
    for each in signed:
        row = {"connection": each.connection, "day": each.day, "certificate": each.number, "signed_by": signed_by}
        keys = ("connection", "day", "certificate")
        upsert(session, SignOffRow, {**row, "signed_at": moment()}, keys=keys)


def withdraw_sign_off(session: Session, signed: Certificate) -> None:
    """The day is open again; the audit trail keeps who signed it and who took that back."""
    row = SignOffRow
    mine = and_(col(row.connection) == signed.connection, col(row.day) == signed.day)
    session.execute(delete(row).where(mine, col(row.certificate) == signed.number))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair; `public` is its public half in base64."""

    public: str
    secret: Ed25519PrivateKey = field(repr=False)

    def sign(self, text: str) -> str:
        return base64.b64encode(self.secret.sign(text.encode())).decode()


def find_key(engine: Engine, seal: Seal) -> SigningKey:
    """The key that signs now: the oldest whose secret half is still there, or a new one.

    Raises `Permanent` when it cannot be opened with the present SECRET_KEY.
    """
    with reading(engine) as session:
        found = _oldest(session)
    if found is None:
        made = Ed25519PrivateKey.generate()
        public = base64.b64encode(made.public_key().public_bytes_raw()).decode()
        sealed = seal.seal(base64.b64encode(made.private_bytes_raw()).decode(), _place(public))
        with writing(engine) as session:
            row = {"public_key": public, "secret_sealed": sealed, "created_at": moment()}
            session.execute(insert(SigningKeyRow).values(**row))
            found = _oldest(session)  # of two processes at once, both take the same
    public, sealed = found or ("", "")
    secret = base64.b64decode(seal.open(sealed, _place(public)))
    return SigningKey(public, Ed25519PrivateKey.from_private_bytes(secret))


def _oldest(session: Session) -> tuple[str, str] | None:
    row = SigningKeyRow
    usable = select(col(row.public_key), col(row.secret_sealed)).where(col(row.secret_sealed).is_not(None))
    found = session.execute(usable.order_by(col(row.created_at), col(row.public_key)).limit(1)).one_or_none()
    return (str(found[0]), str(found[1])) if found else None


def _place(public: str) -> SealedColumn:
    return SealedColumn("signing_keys", *SEALED, public)

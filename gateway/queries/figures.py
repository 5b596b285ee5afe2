"""Figures of days: charts of what was booked and read, till and books compared, certificates with their files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import ColumnElement, and_, case, func, select
from sqlmodel import Session, col

from gateway.database.sql import between, given
from gateway.store.agreements import AgreementStatus, Certificate, SigningKey
from gateway.store.counts import BookedDayRow, HourRow, ReadDayRow
from gateway.store.tables import (
    AgreementDayRow,
    AgreementRecordRow,
    CertificateRow,
    ConnectionRow,
    MeterRow,
    SigningKeyRow,
    SignOffRow,
)
from mapping import agreement

EXPORT: Final = "kassabridge certificates 1"
_DAYS = AgreementDayRow.__table__.c  # type: ignore[attr-defined]


# --- charts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hour:
    """The highest lag of any connection within an hour, and their open causes."""

    at: datetime
    lag_seconds: int
    causes: int


def read_calls_by_month(
    session: Session, months: Collection[str], connection: str | None = None
) -> dict[str, dict[str, int]]:
    """The calls to QuickBooks of some months by kind, over all connections or of one."""
    about = (col(MeterRow.month), col(MeterRow.kind))
    mine = given((MeterRow.system, "quickbooks"), (MeterRow.connection, connection))
    sums = select(*about, func.sum(col(MeterRow.calls))).where(col(MeterRow.month).in_(months), *mine).group_by(*about)
    found: dict[str, dict[str, int]] = {}
    for month, kind, calls in session.execute(sums):
        found.setdefault(str(month), {})[str(kind)] = int(calls)
    return found


def reads(session: Session, start: date, through: date, connection: str | None = None) -> dict[tuple[date, str], int]:
    within = [col(ReadDayRow.day).between(start, through), *_of(ReadDayRow, session, connection)]
    about = (col(ReadDayRow.day), col(ReadDayRow.what))
    found = select(*about, func.sum(col(ReadDayRow.reads))).where(*within).group_by(*about)
    return {(day, str(what)): int(count) for day, what, count in session.execute(found).all()}


def booked(
    session: Session, start: date, through: date, connection: str | None = None
) -> dict[tuple[date, str, int], int]:
    """Cents that were booked, by day, connection and location, of all connections or of one."""
    within = [col(BookedDayRow.day).between(start, through), *_of(BookedDayRow, session, connection)]
    columns = (col(BookedDayRow.day), col(BookedDayRow.connection), col(BookedDayRow.branch), col(BookedDayRow.cents))
    rows = session.execute(select(*columns).where(*within)).all()
    return {(day, str(key), int(branch)): int(cents) for day, key, branch, cents in rows}


def hours(session: Session, start: datetime, connection: str | None = None) -> list[Hour]:
    """Every hour since a moment of which something is known, oldest first."""
    sums = (func.max(col(HourRow.lag_seconds)), func.sum(col(HourRow.causes)))
    within = [col(HourRow.at) >= start, *_of(HourRow, session, connection)]
    found = select(col(HourRow.at), *sums).where(*within).group_by(col(HourRow.at)).order_by(col(HourRow.at))
    return [Hour(at, int(lag), int(causes)) for at, lag, causes in session.execute(found).all()]


def _of(table: Any, session: Session, connection: str | None) -> list[Any]:
    """The connections as a list: the keys of these tables begin with the connection."""
    if connection is not None:
        return [col(table.connection) == connection]
    names = session.execute(select(col(ConnectionRow.name))).scalars().all()
    return [col(table.connection).in_(names)]


# --- till and books compared ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AgreementSum:
    """Some compared days: their totals on both sides, how many differ, and how many could not be compared."""

    days: int = 0
    differing: int = 0
    failed: int = 0
    till_cents: int = 0
    books_cents: int = 0
    difference_cents: int = 0


def find_compared(
    session: Session, *, connection: str | None, start: date | None, through: date | None, limit: int
) -> list[AgreementDayRow]:
    day = col(AgreementDayRow.day)
    wanted = [*given((AgreementDayRow.connection, connection)), *between(day, start, through)]
    newest = select(AgreementDayRow).where(*wanted).order_by(day.desc(), col(AgreementDayRow.connection)).limit(limit)
    return list(session.execute(newest).scalars())


def sum_up(session: Session, start: date, through: date, connection: str | None = None) -> AgreementSum:
    """The compared days of a period, over all connections or of one."""
    mine = given((AgreementDayRow.connection, connection))
    sums = session.execute(select(*_SUMS).where(_has_result(start, through), *mine)).one()
    return AgreementSum(*(int(each or 0) for each in sums))


def sum_up_each(session: Session, start: date, through: date) -> dict[str, AgreementSum]:
    """The compared days of a period, of each connection that has any."""
    by_name = select(_DAYS.connection, *_SUMS).group_by(_DAYS.connection)
    rows = session.execute(by_name.where(_has_result(start, through)))
    return {name: AgreementSum(*map(int, sums)) for name, *sums in rows}


_FAILED = _DAYS.status == AgreementStatus.FAILED
_COUNTED = (~_FAILED, _DAYS.status == AgreementStatus.DIFFERS, _FAILED)
_ADDED = (_DAYS.till_cents, _DAYS.books_cents, _DAYS.difference_cents)
_SUMS = (
    *(func.sum(case((each, 1), else_=0)) for each in _COUNTED),
    *(func.sum(case((_FAILED, 0), else_=each)) for each in _ADDED),
)
"""In the order of `AgreementSum`."""


def _has_result(start: date, through: date) -> ColumnElement[bool]:
    compared = and_(_DAYS.checked_at.is_not(None), _DAYS.status != AgreementStatus.NOT_CLOSED)
    return and_(_DAYS.day.between(start, through), compared)


def records_of(session: Session, days: Sequence[AgreementDayRow]) -> dict[tuple[str, date], list[AgreementRecordRow]]:
    found: dict[tuple[str, date], list[AgreementRecordRow]] = {(each.connection, each.day): [] for each in days}
    if not days:
        return found
    span = and_(
        col(AgreementRecordRow.connection).in_({each.connection for each in days}),
        col(AgreementRecordRow.day).between(min(each.day for each in days), max(each.day for each in days)),
    )
    for row in session.execute(select(AgreementRecordRow).where(span).order_by(col(AgreementRecordRow.id))).scalars():
        if (row.connection, row.day) in found:
            found[row.connection, row.day].append(row)
    return found


# --- certificates ---------------------------------------------------------------------------------------------------


def sign_offs(session: Session, connection: str, start: date, through: date) -> dict[date, SignOffRow]:
    """The newest sign-off of each day."""
    row = SignOffRow
    mine = and_(col(row.connection) == connection, col(row.day).between(start, through))
    found = session.execute(select(row).where(mine).order_by(col(row.certificate))).scalars()
    return {each.day: each for each in found}


def known_keys(session: Session) -> set[str]:
    """The public halves of every key this installation signed with."""
    return set(session.execute(select(col(SigningKeyRow.public_key))).scalars())


def export_certificates(found: Sequence[Certificate], *, key: SigningKey, at: datetime) -> dict[str, Any]:
    """The certificates as a file. Its statement is signed, too: one that is taken out later is missed."""
    digests = [each.digest for each in found]
    statement = {"format": EXPORT, "exported_at": at.isoformat(timespec="seconds"), "certificates": digests}
    return {
        "statement": statement,
        "signature": key.sign(agreement.to_canonical(statement)),
        "public_key": key.public,
        "certificates": [
            {"certificate": each.content, "signature": each.signature, "public_key": each.public_key} for each in found
        ],
    }


def find_faults(file: Any) -> Iterator[str]:
    """Why a file is not valid, sentence by sentence; nothing if it is. Needs no database and no network."""
    try:
        statement, entries = file["statement"], file["certificates"]
        if statement["format"] != EXPORT:
            yield f"its format is {statement['format']}, not {EXPORT}"
            return
        if not is_signed(agreement.to_canonical(statement), file["signature"], file["public_key"]):
            yield "the signature of the file does not fit its content: the list of its certificates was changed"
        digests = [agreement.digest(each["certificate"]) for each in entries]
        if digests != statement["certificates"]:
            yield "its certificates are not those it was exported with: one was changed, added, removed or moved"
        known = {each["certificate"]["connection"]: {} for each in entries}  # type: dict[str, dict[int, str]]
        for each, digest in zip(entries, digests, strict=True):
            certificate = each["certificate"]
            name = f"certificate {certificate['connection']} {certificate['number']} of {certificate['day']}"
            chain = known[certificate["connection"]]
            yield from (f"{name}: {fault}" for fault in _find_faults_of(each, chain))
            chain[certificate["number"]] = digest
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"it is not a file of certificates, or something of it is missing ({type(error).__name__}: {error})"


def _find_faults_of(entry: Mapping[str, Any], chain: Mapping[int, str]) -> Iterator[str]:
    certificate = entry["certificate"]
    number = certificate["number"]
    if certificate["format"] != agreement.FORMAT:
        yield f"its format is {certificate['format']}, not {agreement.FORMAT}"
        return
    if not is_signed(agreement.to_canonical(certificate), entry["signature"], entry["public_key"]):
        yield "its signature does not fit its content"
    if number in chain or (chain and number < max(chain)):
        yield "its number stands in the file before"
    before = chain.get(number - 1, certificate["previous"])
    if certificate["previous"] != before or (number == 1) != (certificate["previous"] is None):
        yield f"it does not follow certificate {number - 1}: the chain is broken"
    yield from agreement.find_faults(certificate)


def find_conflicts(session: Session, contents: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Which of these certificates are others in this database: somebody changed it, or a backup was restored."""
    row = CertificateRow
    for each in contents:
        same = and_(col(row.connection) == each["connection"], col(row.number) == each["number"])
        kept = session.execute(select(col(row.digest)).where(same)).scalar_one_or_none()
        if kept not in {None, agreement.digest(each)}:
            yield f"certificate {each['connection']} {each['number']} is another one in this installation's database"


def keys_of(file: Mapping[str, Any]) -> set[str]:
    return {str(file["public_key"]), *(str(each["public_key"]) for each in file["certificates"])}


def is_signed(text: str, signature: str, public: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), text.encode())
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True

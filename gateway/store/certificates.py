"""Certificates of compared days: signed, issued in a chain for each connection, exported, verified, and signed off.

A certificate is never changed. Another result of the same day is a new one, which says what it supersedes. The keys
they are signed with are Ed25519, the secret half sealed, made when first needed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import ColumnElement, Engine, and_, delete, func, insert, select
from sqlmodel import Session, col

from gateway.store.sealing import Seal, SealedColumn
from gateway.store.session import reading, writing
from gateway.store.sql import between, given, moment, upsert
from gateway.store.tables import CertificateRow, ConnectionRow, SigningKeyRow, SignOffRow
from mapping import agreement

EXPORT: Final = "kassabridge certificates 1"
_HEADER = frozenset(
    ["format", "installation", "connection", "company", "number", "previous", "supersedes", "compared_at"]
)


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
    end = select(col(CertificateRow.number), col(CertificateRow.digest)).where(_of(connection))
    last = session.execute(end.order_by(col(CertificateRow.number).desc()).limit(1)).one_or_none()
    number, previous = (int(last[0]), str(last[1])) if last else (0, None)
    for day in days:
        when = date.fromisoformat(day["day"])
        earlier = find(session, connection=connection, start=when, through=when, newest_only=True)
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


def find(
    session: Session,
    *,
    connection: str | None = None,
    start: date | None = None,
    through: date | None = None,
    newest_only: bool = False,
    limit: int | None = None,
) -> list[Certificate]:
    """The certificates of these days, by connection and number; `limit` keeps the newest ones."""
    table: Any = CertificateRow.__table__  # type: ignore[attr-defined]
    later = table.alias("later")
    same_day = and_(later.c.connection == table.c.connection, later.c.day == table.c.day)
    after = select(func.min(later.c.number)).where(same_day, later.c.number > table.c.number).scalar_subquery()
    wanted = [*given((table.c.connection, connection)), *between(table.c.day, start, through)]
    wanted += [after.is_(None)] if newest_only else []
    columns = [table.c[name] for name in Certificate.__dataclass_fields__ if name != "superseded_by"]
    query = select(*columns, after).where(*wanted).order_by(table.c.id.desc()).limit(limit)
    found = [Certificate(*row) for row in session.execute(query)]
    return sorted(found, key=lambda each: (each.connection, each.number))


def _of(connection: str) -> ColumnElement[bool]:
    return col(CertificateRow.connection) == connection


# --- sign-off ----------------------------------------------------------------------------------------------------


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


def sign_offs(session: Session, connection: str, start: date, through: date) -> dict[date, SignOffRow]:
    """The newest sign-off of each day."""
    row = SignOffRow
    mine = and_(col(row.connection) == connection, col(row.day).between(start, through))
    found = session.execute(select(row).where(mine).order_by(col(row.certificate))).scalars()
    return {each.day: each for each in found}


# --- files -------------------------------------------------------------------------------------------------------


def export(found: Sequence[Certificate], *, key: SigningKey, at: datetime) -> dict[str, Any]:
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
        same = and_(_of(each["connection"]), col(row.number) == each["number"])
        kept = session.execute(select(col(row.digest)).where(same)).scalar_one_or_none()
        if kept not in {None, agreement.digest(each)}:
            yield f"certificate {each['connection']} {each['number']} is another one in this installation's database"


def keys_of(file: Mapping[str, Any]) -> set[str]:
    return {str(file["public_key"]), *(str(each["public_key"]) for each in file["certificates"])}


SEALED: Final = ("secret_sealed",)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair; `public` is its public half in base64."""

    public: str
    secret: Ed25519PrivateKey = field(repr=False)

    def sign(self, text: str) -> str:
        """The signature, in base64."""
        return base64.b64encode(self.secret.sign(text.encode())).decode()


def is_signed(text: str, signature: str, public: str) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), text.encode())
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


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


def known_keys(session: Session) -> set[str]:
    """The public halves of every key this installation signed with."""
    return set(session.execute(select(col(SigningKeyRow.public_key))).scalars())


def _oldest(session: Session) -> tuple[str, str] | None:
    row = SigningKeyRow
    usable = select(col(row.public_key), col(row.secret_sealed)).where(col(row.secret_sealed).is_not(None))
    found = session.execute(usable.order_by(col(row.created_at), col(row.public_key)).limit(1)).one_or_none()
    return (str(found[0]), str(found[1])) if found else None


def _place(public: str) -> SealedColumn:
    return SealedColumn("signing_keys", *SEALED, public)

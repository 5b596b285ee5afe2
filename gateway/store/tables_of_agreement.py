"""The tables of the agreement of till and books: the result of each day, its certificates, and who signed it off."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from gateway.store.clock import time_field

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


def _row_id() -> Any:
    return Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))


def _long_text() -> Any:
    return Field(default=None, sa_column=Column(Text(), nullable=True))


class AgreementDayRow(SQLModel, table=True):
    """The result of the comparison of till and books for one day of a connection, and when it is due (again)."""

    __tablename__ = "agreement_days"
    __table_args__ = (Index("agreement_days_due", "connection", "due_at"),)

    connection: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    status: str
    checked_at: datetime | None = time_field(nullable=True)
    due_at: datetime | None = time_field(nullable=True)
    event_id: int | None = Field(default=None, sa_column=Column(_ROW_ID, nullable=True))
    till_cents: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False))
    books_cents: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False))
    difference_cents: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False))


class AgreementRecordRow(SQLModel, table=True):
    """A record that causes a difference on a day, and why; `event_id` is the event that should have booked it."""

    __tablename__ = "agreement_records"
    __table_args__ = (Index("agreement_records_day", "connection", "day"),)

    id: int | None = _row_id()
    connection: str
    day: date
    cause: str
    by_policy: bool = False
    record: str
    reason: str | None = _long_text()
    fix: str | None = _long_text()
    event_id: int | None = Field(default=None, sa_column=Column(_ROW_ID, nullable=True))
    cents: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False))


class CertificateRow(SQLModel, table=True):
    """A signed result of a closed day. Rows are only added: a later one of the same day supersedes it.

    `document` is canonical JSON, `digest` its SHA-256, which the next certificate of the connection repeats.
    `signature` and `public_key` are Ed25519, in base64.
    """

    __tablename__ = "certificates"
    __table_args__ = (
        UniqueConstraint("connection", "number", name="certificates_number"),
        Index("certificates_day", "connection", "day", "number"),
    )

    id: int | None = _row_id()
    connection: str
    number: int
    day: date
    result: str
    document: str = Field(sa_column=Column(Text(), nullable=False))
    digest: str
    signature: str
    public_key: str
    created_at: datetime = time_field()


class SignOffRow(SQLModel, table=True):
    """A person's statement that a day is checked, about the certificate of that number."""

    __tablename__ = "day_sign_offs"
    __table_args__ = (UniqueConstraint("connection", "day", "certificate", name="day_sign_offs_once"),)

    id: int | None = _row_id()
    connection: str
    day: date
    certificate: int
    signed_by: str
    signed_at: datetime = time_field()


class SigningKeyRow(SQLModel, table=True):
    """A key that certificates of this installation are or were signed with; only its secret half is sealed."""

    __tablename__ = "signing_keys"

    public_key: str = Field(primary_key=True)
    secret_sealed: str | None = _long_text()
    created_at: datetime = time_field()

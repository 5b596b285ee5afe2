"""The tables of records: links, sales, agreements, feeds and users. `tables` has the others, and names all of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, Integer, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from gateway.database.sql import time_field

# SQLite numbers rows automatically only for a column of type INTEGER.
ROW_ID: Final = BigInteger().with_variant(Integer, "sqlite")


def row_id() -> Any:
    """A primary key that the database numbers."""
    return Field(default=None, sa_column=Column(ROW_ID, primary_key=True, autoincrement=True))


def long_text(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(Text(), nullable=nullable))


def only_where(condition: str) -> Any:
    """The condition of a partial index, for both databases."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class LinkRow(SQLModel, table=True):
    """The counterpart of a record in the other system, with the fingerprint of the last write.

    `status`, `adopted` and `day` are of documents and payments of sales: see `links.Link`.
    """

    __tablename__ = "links"
    __table_args__ = (
        UniqueConstraint("connection", "kind", "source_id", name="links_source"),
        Index("links_target", "connection", "kind", "target_id"),
        Index("links_created", "connection", "kind", "created_at"),
        Index("links_of_day", "connection", "day", **only_where("day IS NOT NULL")),
    )

    id: int | None = row_id()
    connection: str
    kind: str
    source_id: str
    target_entity: str
    target_id: str
    sync_token: str | None = None
    fingerprint: str | None = None
    detail: str | None = long_text()
    generation: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    status: str = Field(default="booked", sa_column_kwargs={"server_default": "booked"})
    adopted: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    day: str | None = None
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class NumberRow(SQLModel, table=True):
    """A permanent article number of an item whose SKU is no number; `item_id` is empty for one found taken."""

    __tablename__ = "numbers"
    __table_args__ = (UniqueConstraint("connection", "item_id", name="numbers_item"),)

    connection: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(BigInteger(), primary_key=True, autoincrement=False))
    item_id: str | None = None
    given_at: datetime = time_field()


class SaleRow(SQLModel, table=True):
    """A sale of the till. `sale_id` is the till's id, `number` the printed one; `event_id` is its newest event.

    The amounts are empty until the till's record was read; until then `day` is the day on which its event came.
    `tenders` are pairs of name and cents, `vat_rates` of rate and cents (tax included), as JSON; `turnover_groups` is
    a JSON list of numbers. `document_cents` and what follows it is what the books said when the document was last read
    or written, a refund negative as at the till.
    """

    __tablename__ = "sales"
    __table_args__ = (
        UniqueConstraint("connection", "sale_id", name="sales_sale"),
        Index("sales_day", "day", "id"),
        Index("sales_connection", "connection", "day", "id"),
        Index("sales_branch", "connection", "branch", "day", "id"),
        Index("sales_status", "status", "day", "id"),
        Index("sales_standing", "connection", "status", "day", "id"),
        Index("sales_amount", "amount_cents"),
        Index("sales_number", "number"),
        Index("sales_kind", "kind", "day", "id"),
        Index("sales_document", "document_id"),
        Index("sales_document_number", "document_number"),
        Index("sales_event", "event_id"),
        # Sales with a customer's name: few, and only of the last RETENTION_DAYS.
        Index("sales_named", "updated_at", **only_where("customer IS NOT NULL")),
    )

    id: int | None = row_id()
    connection: str
    kind: str
    sale_id: str
    number: str | None = None
    day: date
    branch: int | None = None
    branch_name: str | None = None
    customer: str | None = None
    amount_cents: int | None = Field(default=None, sa_column=Column(BigInteger(), nullable=True))
    vat_cents: int | None = Field(default=None, sa_column=Column(BigInteger(), nullable=True))
    tenders: str | None = long_text()
    vat_rates: str | None = long_text()
    turnover_groups: str | None = long_text()
    status: str
    document_entity: str | None = None
    document_id: str | None = None
    document_number: str | None = None
    event_id: int | None = Field(default=None, sa_column=Column(ROW_ID, nullable=True))
    updated_at: datetime = time_field()
    document_cents: int | None = Field(default=None, sa_column=Column(BigInteger(), nullable=True))
    document_vat_cents: int | None = Field(default=None, sa_column=Column(BigInteger(), nullable=True))
    document_day: date | None = None
    document_read_at: datetime | None = time_field(nullable=True)


class AgreementDayRow(SQLModel, table=True):
    """The result of the comparison of till and books for one day of a connection, and when it is due (again)."""

    __tablename__ = "agreement_days"
    __table_args__ = (Index("agreement_days_due", "connection", "due_at"),)

    connection: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    status: str
    checked_at: datetime | None = time_field(nullable=True)
    due_at: datetime | None = time_field(nullable=True)
    event_id: int | None = Field(default=None, sa_column=Column(ROW_ID, nullable=True))
    till_cents: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False))
    books_cents: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False))
    difference_cents: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False))


class AgreementRecordRow(SQLModel, table=True):
    """A record that causes a difference on a day, and why; `event_id` is the event that should have booked it."""

    __tablename__ = "agreement_records"
    __table_args__ = (Index("agreement_records_day", "connection", "day"),)

    id: int | None = row_id()
    connection: str
    day: date
    cause: str
    by_policy: bool = False
    record: str
    reason: str | None = long_text()
    fix: str | None = long_text()
    messages: str | None = long_text()
    event_id: int | None = Field(default=None, sa_column=Column(ROW_ID, nullable=True))
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

    id: int | None = row_id()
    connection: str
    number: int
    day: date
    result: str
    document: str = long_text(nullable=False)
    digest: str
    signature: str
    public_key: str
    created_at: datetime = time_field()


class SignOffRow(SQLModel, table=True):
    """A person's statement that a day is checked, about the certificate of that number."""

    __tablename__ = "day_sign_offs"
    __table_args__ = (UniqueConstraint("connection", "day", "certificate", name="day_sign_offs_once"),)

    id: int | None = row_id()
    connection: str
    day: date
    certificate: int
    signed_by: str
    signed_at: datetime = time_field()


class SigningKeyRow(SQLModel, table=True):
    """A key that certificates of this installation are or were signed with; only its secret half is sealed."""

    __tablename__ = "signing_keys"

    public_key: str = Field(primary_key=True)
    secret_sealed: str | None = long_text()
    created_at: datetime = time_field()


class CursorRow(SQLModel, table=True):
    """The position of a poll in one source of a connection.

    A feed of the till is read again from `settled` on, which follows `position` at a distance in time by way of
    `marked`. `witness` are the ids of the records that had the marker `position`. `generation` counts how often the
    markers restarted; those up to `reread_to` were used before. Then everything is read again, beside the feed, which
    goes on at the newest marker: `reread_at` is how far that came, and until `reread_until` it begins again with its
    last page, for what becomes visible late; both are None when it is done. The books are polled every `stretch` times
    the setting. Only releases before the table `leases` use `lease` and `leased_until`.
    """

    __tablename__ = "cursors"

    connection: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    position: str | None = None
    polled_at: datetime | None = time_field(nullable=True)
    lease: str | None = None
    leased_until: datetime | None = time_field(nullable=True)
    failure: str | None = None
    began_at: datetime | None = time_field(nullable=True)
    settled: str | None = None
    marked: str | None = None
    marked_at: datetime | None = time_field(nullable=True)
    witness: str | None = None
    generation: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    reread_to: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False, server_default="0"))
    reread_at: int | None = Field(default=None, sa_column=Column(BigInteger(), nullable=True))
    reread_until: datetime | None = time_field(nullable=True)
    stretch: int = Field(default=1, sa_column_kwargs={"server_default": "1"})


class BackfillRow(SQLModel, table=True):
    """The progress of a backfill, by the key of its event: where it goes on, and how many records it has read.

    `total` are the records in the other system, `unchanged` those without anything to do. `paused_at`: a person paused
    it; `cancelled_at`: one that was being worked on was cancelled as well, and ends with its page.
    """

    __tablename__ = "backfills"

    event_key: str = Field(primary_key=True)
    connection: str
    position: str | None = None
    total: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    read: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    unchanged: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    paused_at: datetime | None = time_field(nullable=True)
    cancelled_at: datetime | None = time_field(nullable=True)


class SystemRow(SQLModel, table=True):
    """Whether a system of a connection answers: when it last did, until when it has to answer again, and since when it
    does not.
    """

    __tablename__ = "systems"

    connection: str = Field(primary_key=True)
    system: str = Field(primary_key=True)
    answered_at: datetime | None = time_field(nullable=True)
    overdue_at: datetime | None = time_field(nullable=True)
    failing_since: datetime | None = time_field(nullable=True)
    failure: str | None = None


class SystemListRow(SQLModel, table=True):
    """A small list of one of the systems (tax codes, branches ...) as it was last read; `options` is JSON."""

    __tablename__ = "system_lists"

    connection: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    options: str = long_text(nullable=False)
    read_at: datetime = time_field()


class FirstWebhookRow(SQLModel, table=True):
    """When the first webhook of a system arrived that belongs to this connection."""

    __tablename__ = "first_webhooks"

    connection: str = Field(primary_key=True)
    system: str = Field(primary_key=True)
    arrived_at: datetime = time_field()


class UserRow(SQLModel, table=True):
    """A person with a role, for one connection (its key) or, where that is empty, for all.

    `login` is the name without regard to case. `invitation` is the SHA-256 of the secret in its link. Without
    `password` (Argon2id, PHC format) the person logs in by single sign-on only, if at all: `email` (lower case) is the
    address that the provider verifies, `subject` the issuer and account of their first such login.
    """

    __tablename__ = "users"
    __table_args__ = (
        Index("users_connection", "connection"),
        Index("users_email", "email", unique=True),
        Index("users_subject", "subject", unique=True),
    )

    id: int | None = Field(default=None, primary_key=True)
    login: str = Field(unique=True)
    name: str
    role: str
    connection: str | None = None
    password: str | None = None
    invitation: str | None = Field(default=None, unique=True)
    invitation_ends_at: datetime | None = time_field(nullable=True)
    created_at: datetime = time_field()
    disabled_at: datetime | None = time_field(nullable=True)
    email: str | None = None
    subject: str | None = None


class WebSessionRow(SQLModel, table=True):
    """A session that a login began, by the SHA-256 of its id; without its row it has ended.

    `user_id` is empty for ADMIN_TOKEN; `browser` is the beginning of the User-Agent.
    """

    __tablename__ = "web_sessions"
    __table_args__ = (Index("web_sessions_user", "user_id"), Index("web_sessions_ends", "ends_at"))

    digest: str = Field(primary_key=True)
    user_id: int | None = None
    address: str
    browser: str
    began_at: datetime = time_field()
    ends_at: datetime = time_field()


class RecordRow(SQLModel, table=True):
    """A product or customer as it was last seen in both systems. `source_id` is an item's id, `relation:12`, or
    `customer:5` for a customer of the books without a relation.

    `name` is the one that lists show, `code` the SKU or the e-mail address. `fields` and `stock` are JSON lists;
    `differs` says whether they name a difference that is not wanted. `looked_at` is when both sides were read,
    `written_at` when the gateway last wrote, `changed_at` when the record was last changed in the books, `altered_at`
    when a change by hand at the till was noticed.
    """

    __tablename__ = "records"
    __table_args__ = (
        UniqueConstraint("connection", "kind", "source_id", name="records_source"),
        Index("records_name", "kind", "name", "id"),
        Index("records_connection", "connection", "kind", "name", "id"),
        Index("records_status", "kind", "status", "name", "id"),
        Index("records_code", "code"),
        Index("records_till", "till_number"),
        Index("records_event", "event_id"),
        Index("records_differing", "kind", "differs", "name", "id"),
        Index("records_active", "kind", "active", "name", "id"),
        # Customers: few of all records, and only of the last RETENTION_DAYS.
        Index("records_personal", "updated_at", **only_where("kind = 'customer'")),
    )

    id: int | None = row_id()
    connection: str
    kind: str
    source_id: str
    name: str = ""
    code: str | None = None
    books_id: str | None = None
    books_name: str | None = None
    till_number: str | None = None
    till_name: str | None = None
    active: bool | None = None
    status: str
    differs: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    fields: str | None = long_text()
    stock: str | None = long_text()
    changed_at: datetime | None = time_field(nullable=True)
    looked_at: datetime | None = time_field(nullable=True)
    written_at: datetime | None = time_field(nullable=True)
    altered_at: datetime | None = time_field(nullable=True)
    event_id: int | None = Field(default=None, sa_column=Column(ROW_ID, nullable=True))
    updated_at: datetime = time_field()

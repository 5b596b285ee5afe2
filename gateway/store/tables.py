"""Every table of the gateway, except those of one module alone. Migrations create them; a test compares both."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, Computed, Index, Integer, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from gateway.database.sql import Instant, time_field
from gateway.store import tables_of_records
from gateway.store.tables_of_records import ROW_ID, long_text, only_where, row_id
from mapping.records import LineAmounts

_RESTING = "('working', 'done', 'skipped', 'parked')"
# Agreements and the like hold days and amounts, which are looked up later.
_ENDED = (
    "state NOT IN ('received', 'working', 'waiting', 'uncertain', 'parked')"
    " AND entity NOT IN ('Agreement', 'Backfill', 'Doctor', 'Poll')"
)
HOLDS = f"{_ENDED} AND (email IS NOT NULL OR hint IS NOT NULL OR result IS NOT NULL)"
"""An ended event holds what may be personal. Verbatim, because only then do both databases use the index."""
PROVES_NOTHING = (
    f"{_ENDED} AND (superseded_by IS NOT NULL OR entity NOT IN ('Receipt', 'TillInvoice', 'TillOrder', 'Day'))"
)
"""An ended event that is not the newest of a sale, or of a day's summary."""

AgreementDayRow = tables_of_records.AgreementDayRow
AgreementRecordRow = tables_of_records.AgreementRecordRow
CertificateRow = tables_of_records.CertificateRow
SignOffRow = tables_of_records.SignOffRow
SigningKeyRow = tables_of_records.SigningKeyRow
BackfillRow = tables_of_records.BackfillRow
CursorRow = tables_of_records.CursorRow
LinkRow = tables_of_records.LinkRow
NumberRow = tables_of_records.NumberRow
RecordRow = tables_of_records.RecordRow
SystemRow = tables_of_records.SystemRow
SaleRow = tables_of_records.SaleRow
UserRow = tables_of_records.UserRow
WebSessionRow = tables_of_records.WebSessionRow


class InboxRow(SQLModel, table=True):
    """One change to handle, with its state and outcome. `subject` orders rows of one entity.

    In PostgreSQL the columns that are searched by their beginning have the collation "C", as SQLite's have, so that one
    index serves a beginning and the whole text.
    """

    __tablename__ = "inbox"
    __table_args__ = (
        # The lock of one entity: at most one row of a subject is claimed.
        Index("inbox_one_working", "subject", unique=True, **only_where("state = 'working'")),
        # The first due row of a connection and priority, found without reading rows that are not due.
        Index("inbox_turn", *("connection", "priority", "turn_at", "id"), **only_where(f"state NOT IN {_RESTING}")),
        Index("inbox_subject", "subject", "id"),
        Index("inbox_state", "state", "id"),
        Index("inbox_order", "order_id"),
        Index("inbox_received", "received_at"),
        Index("inbox_entity_id", "entity_id", "id"),
        Index("inbox_sku", "sku", **only_where("sku IS NOT NULL")),
        Index("inbox_email", "email", **only_where("email IS NOT NULL")),
        Index("inbox_asked", "entity", "id", **only_where("entity IN ('Agreement', 'Backfill', 'Doctor')")),
        Index("inbox_holds", "updated_at", **only_where(HOLDS)),
        Index("inbox_proves_nothing", "updated_at", **only_where(PROVES_NOTHING)),
        Index("inbox_left_out", "connection", "code", **only_where("state = 'skipped' AND code IS NOT NULL")),
    )

    id: int | None = row_id()
    key: str = Field(unique=True)
    connection: str | None = None
    account: str | None = None
    flow: str
    source: str
    entity: str
    entity_id: str
    operation: str | None = None
    subject: str
    priority: int = 0
    state: str
    reason: str | None = None
    code: str | None = None
    record: str | None = None
    cause: str | None = None
    field: str | None = None
    fix: str | None = None
    attempts: int = 0
    crashes: int = 0
    maybe_written: bool = Field(
        default=False, sa_column=Column("careful", Boolean(), key="maybe_written", nullable=False, default=False)
    )
    due_at: datetime | None = time_field(nullable=True)
    turn_at: datetime | None = Field(
        default=None,
        sa_column=Column(Instant(), Computed("coalesce(due_at, received_at)", persisted=True), nullable=True),
    )
    lease: str | None = None
    leased_until: datetime | None = time_field(nullable=True)
    order_id: str | None = None
    sku: str | None = None
    email: str | None = None
    target_entity: str | None = None
    target_id: str | None = None
    superseded_by: int | None = Field(default=None, sa_column=Column(ROW_ID, nullable=True))
    hint: str | None = long_text()
    result: str | None = long_text()
    messages: str | None = long_text()
    correlation: str
    occurred_at: datetime | None = time_field(nullable=True)
    received_at: datetime = time_field()
    updated_at: datetime = time_field()


class JournalRow(SQLModel, table=True):
    """One line of the activity log of an event: received, read, decided, sent, answered."""

    __tablename__ = "journal"
    __table_args__ = (Index("journal_event", "event_id", "id"), Index("journal_at", "at"))

    id: int | None = row_id()
    event_id: int | None = Field(default=None, sa_column=Column(ROW_ID, nullable=True))
    connection: str | None = None
    at: datetime = time_field()
    kind: str
    system: str | None = None
    title: str
    messages: str | None = long_text()
    detail: str | None = long_text()
    milliseconds: int | None = None


class ConnectionRow(SQLModel, table=True):
    """One company of the books joined to one till installation. `*_sealed` columns are encrypted.

    `name` is the key used by every other table, and never changes; `display_name` is the name shown.
    """

    __tablename__ = "connections"

    name: str = Field(primary_key=True)
    display_name: str | None = None
    realm_id: str | None = Field(default=None, unique=True)
    mplus_url: str | None = None
    mplus_ident_sealed: str | None = long_text()
    mplus_secret_sealed: str | None = long_text()
    mplus_subscription_id: str | None = None
    mplus_webhook_secrets_sealed: str | None = long_text()
    live: bool = False
    paused: str | None = None
    line_amounts: str = Field(default=LineAmounts.ROUNDED, sa_column_kwargs={"server_default": LineAmounts.ROUNDED})
    status: str = Field(default="active", sa_column_kwargs={"server_default": "active"})
    removed_at: datetime | None = time_field(nullable=True)
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class TokenRow(SQLModel, table=True):
    """The OAuth tokens of a connection, encrypted; `lease` is for releases before `leases` had them.

    `lost`: why QuickBooks is not called, NULL while it is; with `lost_code` the login is good and calls are refused.
    """

    __tablename__ = "tokens"

    connection: str = Field(primary_key=True)
    access_sealed: str | None = long_text()
    access_expires_at: datetime | None = time_field(nullable=True)
    refresh_sealed: str | None = long_text()
    refresh_expires_at: datetime | None = time_field(nullable=True)
    hard_expires_at: datetime | None = time_field(nullable=True)
    seed: str | None = None
    lease: str | None = None
    leased_until: datetime | None = time_field(nullable=True)
    lost: str | None = None
    lost_code: str | None = None
    lost_at: datetime | None = time_field(nullable=True)
    updated_at: datetime = time_field()


class LeaseRow(SQLModel, table=True):
    """Work that one owner at a time may do, while it lasts."""

    __tablename__ = "leases"
    __table_args__ = (Index("leases_of", "lease"),)

    connection: str = Field(primary_key=True)
    work: str = Field(primary_key=True)
    lease: str
    leased_until: datetime = time_field()


class SettingsRow(SQLModel, table=True):
    """One version of a connection's settings document (TOML); the newest is in force."""

    __tablename__ = "settings_documents"
    __table_args__ = (UniqueConstraint("connection", "version", name="settings_version"),)

    id: int | None = row_id()
    connection: str
    version: int
    document: str = long_text(nullable=False)
    author: str
    created_at: datetime = time_field()


class MeterRow(SQLModel, table=True):
    """Calls made to a system in a month: `kind` is "read" (metered by Intuit) or "call" (any other)."""

    __tablename__ = "meters"

    connection: str = Field(primary_key=True)
    system: str = Field(primary_key=True)
    month: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    calls: int = 0


class AuditRow(SQLModel, table=True):
    """What a person did through the admin API, the dashboard or the command line, and why."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_actor", "actor", "id"),
        Index("audit_action", "action", "id"),
        Index("audit_both", "actor", "action", "id"),
        Index("audit_at", "at"),
    )

    id: int | None = row_id()
    at: datetime = time_field()
    actor: str
    action: str
    target: str
    reason: str | None = long_text()
    messages: str | None = long_text()


class ProcessRow(SQLModel, table=True):
    """A running process of ours, by boot id; `seen_at` shows whether it still runs."""

    __tablename__ = "processes"

    boot: str = Field(primary_key=True)
    role: str
    version: str
    started_at: datetime = time_field()
    seen_at: datetime = time_field()
    pool_size: int | None = None
    pool_used: int | None = None


class CounterTotalRow(SQLModel, table=True):
    """The total over all processes of one sample (a name and its labels, as JSON)."""

    __tablename__ = "tallies"

    name: str = Field(primary_key=True)
    labels: str = Field(primary_key=True)
    value: float = 0.0


class EventCountRow(SQLModel, table=True):
    """Events of a flow that ended in a state, as one connection to the server counted them; the sum is the number.

    `newest` is when the last of them ended that was trade: no request, dry run, or echo of our own write.
    """

    __tablename__ = "event_counts"

    flow: str = Field(primary_key=True)
    state: str = Field(primary_key=True)
    shard: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    events: int = Field(sa_column=Column(BigInteger(), nullable=False))
    newest: datetime | None = time_field(nullable=True)


class RateLimitRow(SQLModel, table=True):
    """The rate limit of an account of a system: a company of the books, an installation of the till.

    Times are seconds since 1970 by the database's clock. No call starts between `cooldown_from` and `cooldown_until`;
    `refusal_level` is how many refusals came close to each other; `wanted_by` is the process that takes a slot next.
    """

    __tablename__ = "rate_limits"

    system: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    cooldown_from: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})
    cooldown_until: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})
    refusal_level: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})
    refused_at: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})
    wanted_by: str | None = None
    wanted_until: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})


class CallSlotRow(SQLModel, table=True):
    """One of the calls that may run at once; `holder` is a process, `ready_at` when the slot's next call may start."""

    __tablename__ = "call_slots"

    system: str = Field(primary_key=True)
    account: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    holder: str | None = None
    leased_until: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})
    ready_at: float = Field(default=0.0, sa_column_kwargs={"server_default": text("0")})


class AlertRow(SQLModel, table=True):
    """An alert, from when its cause was found until it was gone; `*_told` name the channels that took it."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("alerts_open", "cause", unique=True, **only_where("cleared_at IS NULL")),
        Index("alerts_cleared", "cleared_at"),
        Index("alerts_connection", "connection", "id"),
    )

    id: int | None = row_id()
    cause: str
    stage: str = ""
    connection: str | None = None
    title: str
    detail: str | None = long_text()
    fix: str | None = None
    messages: str | None = long_text()
    first_seen: datetime = time_field()
    seen_at: datetime = time_field()
    sent_at: datetime | None = time_field(nullable=True)
    cleared_at: datetime | None = time_field(nullable=True)
    clear_sent_at: datetime | None = time_field(nullable=True)
    told: str = ""
    clear_told: str = ""
    sending_until: datetime | None = time_field(nullable=True)


class UsedOnceRow(SQLModel, table=True):
    """An OAuth state that was used, by its SHA-256, until it expires."""

    __tablename__ = "spent"
    __table_args__ = (Index("spent_ends", "ends_at"),)

    digest: str = Field(primary_key=True)
    ends_at: datetime = time_field()


class LoginFailureRow(SQLModel, table=True):
    """Wrong tokens of one source, counted until `ends_at`: seconds since 1970 by the database's clock."""

    __tablename__ = "guesses"
    __table_args__ = (Index("guesses_ends", "ends_at"),)

    source: str = Field(primary_key=True)
    failures: int = 0
    ends_at: float = 0.0


class InstallationRow(SQLModel, table=True):
    """One row: the name that this installation writes on its documents; a restored backup keeps it."""

    __tablename__ = "installations"

    only: int = Field(default=1, sa_column=Column(Integer, primary_key=True, autoincrement=False))
    name: str


class SaleTagRow(SQLModel, table=True):
    """What sales are found by: an article (`key` its number, `code` its SKU) or a way to pay (`key` its name)."""

    __tablename__ = "sale_tags"
    __table_args__ = (
        UniqueConstraint("connection", "kind", "key", name="sale_tags_key"),
        Index("sale_tags_number", "kind", "key"),
        Index("sale_tags_code", "code"),
    )

    id: int | None = row_id()
    connection: str
    kind: str
    key: str
    code: str | None = None
    name: str


class TaggedSaleRow(SQLModel, table=True):
    """A sale has, or once had, this article or way to pay."""

    __tablename__ = "tagged_sales"
    __table_args__ = (UniqueConstraint("tag_id", "sale_id", name="tagged_sales_tag"),)

    id: int | None = row_id()
    connection: str
    tag_id: int = Field(sa_column=Column(ROW_ID, nullable=False))
    sale_id: int = Field(sa_column=Column(ROW_ID, nullable=False))

"""The table of sales: one row per receipt and invoice of the till, as people look for it, and what became of it."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, Column, Index, Integer, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from gateway.store.clock import Instant

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


class SaleRow(SQLModel, table=True):
    """A sale of the till. `sale_id` is the till's id, `number` the printed one; `event_id` is its newest event.

    The amounts are empty until the till's record was read; until then `day` is the day on which its event came.
    `tenders` are pairs of name and cents, `vat_rates` of rate and cents (tax included), as JSON; `turnover_groups` is
    a JSON list of numbers.
    """

    __tablename__ = "sales"
    __table_args__ = (
        UniqueConstraint("connection", "sale_id", name="sales_sale"),
        Index("sales_day", "day", "id"),
        Index("sales_connection", "connection", "day", "id"),
        Index("sales_branch", "connection", "branch", "day", "id"),
        Index("sales_status", "status", "day", "id"),
        Index("sales_amount", "amount_cents"),
        Index("sales_number", "number"),
        Index("sales_document", "document_id"),
        Index("sales_document_number", "document_number"),
        Index("sales_event", "event_id"),
        # Sales with a customer's name: few, and only of the last RETENTION_DAYS.
        Index(
            "sales_named",
            "updated_at",
            sqlite_where=text("customer IS NOT NULL"),
            postgresql_where=text("customer IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
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
    tenders: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
    vat_rates: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
    turnover_groups: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
    status: str
    document_entity: str | None = None
    document_id: str | None = None
    document_number: str | None = None
    event_id: int | None = Field(default=None, sa_column=Column(_ROW_ID, nullable=True))
    updated_at: datetime = Field(default=None, sa_column=Column(Instant(), nullable=False))

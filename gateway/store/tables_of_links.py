"""The tables of links between records of both systems, and of the article numbers given to items."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from gateway.store.clock import Instant


class LinkRow(SQLModel, table=True):
    """The counterpart of a record in the other system, with the fingerprint of the last write.

    `status`, `adopted` and `day` are of documents and payments of sales: see `links.Link`.
    """

    __tablename__ = "links"
    __table_args__ = (
        UniqueConstraint("connection", "kind", "source_id", name="links_source"),
        Index("links_target", "connection", "kind", "target_id"),
        Index("links_created", "connection", "kind", "created_at"),
        Index(
            "links_of_day",
            "connection",
            "day",
            sqlite_where=text("day IS NOT NULL"),
            postgresql_where=text("day IS NOT NULL"),
        ),
    )

    id: int | None = Field(
        default=None,
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    )
    connection: str
    kind: str
    source_id: str
    target_entity: str
    target_id: str
    sync_token: str | None = None
    fingerprint: str | None = None
    detail: str | None = Field(default=None, sa_column=Column(Text(), nullable=True))
    generation: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    status: str = Field(default="booked", sa_column_kwargs={"server_default": "booked"})
    adopted: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    day: str | None = None
    created_at: datetime = Field(default=None, sa_column=Column(Instant(), nullable=False))
    updated_at: datetime = Field(default=None, sa_column=Column(Instant(), nullable=False))


class NumberRow(SQLModel, table=True):
    """A permanent article number of an item whose SKU is no number; `item_id` is empty for one found taken."""

    __tablename__ = "numbers"
    __table_args__ = (UniqueConstraint("connection", "item_id", name="numbers_item"),)

    connection: str = Field(primary_key=True)
    number: int = Field(sa_column=Column(BigInteger(), primary_key=True, autoincrement=False))
    item_id: str | None = None
    given_at: datetime = Field(default=None, sa_column=Column(Instant(), nullable=False))

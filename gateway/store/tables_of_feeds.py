"""The tables of repeated calls to the two systems: polls, backfills, and whether the systems answer."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Column, Text
from sqlmodel import Field, SQLModel

from gateway.store.clock import Instant, time_field


class CursorRow(SQLModel, table=True):
    """The position of a poll in one source of a connection.

    A feed of the till is read again from `settled` on, which follows `position` at a distance in time by way of
    `marked`. `witness` are the ids of the records that had the marker `position`. `generation` counts how often the
    markers restarted; those up to `reread_to` were used before. `lease` and `leased_until` are not used
    any more, except by a release before `leases` had them.
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
    options: str = Field(sa_column=Column(Text(), nullable=False))
    read_at: datetime = Field(default=None, sa_column=Column(Instant(), nullable=False))


class FirstWebhookRow(SQLModel, table=True):
    """When the first webhook of a system arrived that belongs to this connection."""

    __tablename__ = "first_webhooks"

    connection: str = Field(primary_key=True)
    system: str = Field(primary_key=True)
    arrived_at: datetime = Field(default=None, sa_column=Column(Instant(), nullable=False))

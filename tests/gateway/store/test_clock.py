"""Times by the database's clock: aware, in UTC, comparable with what the program wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import StatementError
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.store.tables import ProcessRow


def keep(engine: Engine, boot: str, seen_at: datetime) -> None:
    with writing(engine) as session:
        session.add(ProcessRow(boot=boot, role="web", version="1", started_at=seen_at, seen_at=seen_at))


def test_71_a_moment_is_the_databases_now_and_an_offset_in_seconds(engine: Engine) -> None:
    with reading(engine) as session:
        now, later, earlier = session.execute(select(moment(), moment(90.5), moment(-3600))).one()
    assert now.tzinfo is not None
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
    assert timedelta(seconds=90) < later - now < timedelta(seconds=91)
    assert timedelta(seconds=-3601) < earlier - now < timedelta(seconds=-3599)


def test_a_time_is_read_as_the_same_moment_in_any_zone(engine: Engine) -> None:
    summer_night = datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=ZoneInfo("Europe/Amsterdam"), fold=1)
    keep(engine, "a", summer_night)
    with reading(engine) as session:
        kept = session.execute(select(col(ProcessRow.seen_at))).scalar_one()
    assert kept == summer_night.astimezone(UTC)
    assert kept.utcoffset() == timedelta(0)


def test_71_times_of_the_program_and_the_database_agree_to_a_millisecond(engine: Engine) -> None:
    with reading(engine) as session:
        now = session.execute(select(moment())).scalar_one()
    keep(engine, "past", now - timedelta(seconds=2))
    keep(engine, "future", now + timedelta(seconds=60))
    with reading(engine) as session:
        over = select(col(ProcessRow.boot)).where(col(ProcessRow.seen_at) < moment())
        assert session.execute(over).scalars().all() == ["past"]


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="aware"):
        keep(engine, "a", datetime(2026, 11, 20))  # noqa: DTZ001 - exactly what is refused

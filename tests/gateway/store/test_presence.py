"""Presence: a process that reported within the last minute runs; one that ended long ago has no row."""

from __future__ import annotations

from sqlalchemy import Engine, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.store import installation
from gateway.store.tables import ProcessRow


def roles(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [row.role for row in installation.alive(session)]


def age(engine: Engine, role: str, seconds: float) -> None:
    with writing(engine) as session:
        session.execute(update(ProcessRow).where(col(ProcessRow.role) == role).values(seen_at=moment(-seconds)))


def test_a_process_that_reports_twice_is_one_and_keeps_its_start(engine: Engine) -> None:
    installation.report(engine, "worker")
    with reading(engine) as session:
        (before,) = installation.alive(session)
    installation.report(engine, "worker")
    with reading(engine) as session:
        (after,) = installation.alive(session)
    assert (after.started_at, after.boot) == (before.started_at, before.boot)
    assert after.seen_at >= before.seen_at


def test_72_a_silent_process_is_not_alive_and_its_row_is_deleted_later(engine: Engine) -> None:
    installation.report(engine, "web")
    installation.report(engine, "worker")
    assert roles(engine) == ["web", "worker"]
    age(engine, "web", installation.ALIVE_SECONDS + 1)
    assert roles(engine) == ["worker"]
    age(engine, "web", 11 * installation.ALIVE_SECONDS)
    installation.report(engine, "worker")
    installation.report(engine, "web")
    assert roles(engine) == ["web", "worker"]

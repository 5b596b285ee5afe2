"""Meters: monthly sums that several processes add to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from gateway.database.session import reading, writing
from gateway.store import counts


def add(engine: Engine, calls: int, *, month: str = "2026-11", kind: str = "read", connection: str = "c") -> None:
    with writing(engine) as session:
        counts.add_calls(session, connection, system="quickbooks", month=month, kind=kind, calls=calls)


def test_counts_of_several_processes_add_up(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda calls: add(engine, calls), range(1, 11)))
    with reading(engine) as session:
        (row,) = counts.calls_of_month(session, "2026-11")
    assert (row.connection, row.system, row.kind, row.calls) == ("c", "quickbooks", "read", 55)


def test_months_kinds_and_connections_are_counted_apart(engine: Engine) -> None:
    add(engine, 1)
    add(engine, 2, kind="write")
    add(engine, 3, month="2026-12")
    add(engine, 4, connection="other")
    with reading(engine) as session:
        counted = sorted((row.connection, row.kind, row.calls) for row in counts.calls_of_month(session, "2026-11"))
        assert counted == [("c", "read", 1), ("c", "write", 2), ("other", "read", 4)]
        assert [row.calls for row in counts.calls_of_month(session, "2026-12")] == [3]
        assert counts.calls_of_month(session, "2027-01") == []

"""The group commit of the ingress: durable, deduplicated, bounded in time, recovering without a restart."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from sqlalchemy import Engine, select
from sqlmodel import Session, col

from gateway.database.session import reading, sqlite_path, writing
from gateway.errors import Transient
from gateway.store import inbox
from gateway.store.events import URGENT, Change, Flow, Received, State
from gateway.store.ingress import CHANGES_AT_ONCE, Ingress
from gateway.store.tables import InboxRow
from tests.servers import find_free_port

T = TypeVar("T")


def a_change(key: str, **more: Any) -> Change:
    return Change(
        **{"key": key, "flow": Flow.PRODUCTS, "source": "webhook", "entity": "Item", "entity_id": key, "account": "1"}
        | more
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def receive(url: str, *changes: Change) -> list[Received]:
    ingress = Ingress(url)
    try:
        return await ingress.receive(changes)
    finally:
        await ingress.close()


def rows(engine: Engine) -> list[InboxRow]:
    with reading(engine) as session:
        return list(session.execute(select(InboxRow).order_by(col(InboxRow.id))).scalars())


def test_many_changes_are_numbered_in_order_known_ones_among_them(engine: Engine, migrated_url: str) -> None:
    (known,) = run(receive(migrated_url, a_change("k70")))
    assert [row.key for row in rows(engine)] == ["k70"]
    received = run(receive(migrated_url, *(a_change(f"k{n}") for n in range(86)), a_change("k3")))
    numbers = {row.key: row.id for row in rows(engine)}
    assert [each.id for each in received] == [*(numbers[f"k{n}"] for n in range(86)), numbers["k3"]]
    assert [n for n, each in enumerate(received) if not each.created] == [70, 86]
    assert received[70] == replace(known, created=False)


def test_a_change_becomes_a_row_with_everything_it_says(engine: Engine, migrated_url: str) -> None:
    seen = datetime(2026, 5, 4, 12, 30, 1, 250, tzinfo=UTC)
    change = a_change(
        "k",
        connection="default",
        operation="Update",
        hint='{"a": "é"}',
        occurred_at=seen,
        priority=URGENT,
        sku="9",
        order_id="o",
        email="a@b",
        reason="r",
        fix="f",
    )
    (received,) = run(receive(migrated_url, change))
    (row,) = rows(engine)
    assert received == Received(row.id or 0, created=True, pending=True)
    for name in ("key", "connection", "account", "flow", "source", "entity", "entity_id", "operation", "hint"):
        assert getattr(row, name) == getattr(change, name), name
    for name in ("subject", "priority", "state", "reason", "fix", "order_id", "sku", "email", "occurred_at"):
        assert getattr(row, name) == getattr(change, name), name
    assert (row.attempts, row.maybe_written, row.due_at) == (0, False, None)
    assert len(row.correlation) == 32
    assert abs(datetime.now(UTC) - row.received_at) < timedelta(seconds=5)


def test_both_doors_of_the_inbox_write_the_same_row(engine: Engine, migrated_url: str) -> None:
    seen = datetime(2026, 5, 4, 12, 30, 1, tzinfo=UTC)
    with writing(engine) as session:
        inbox.receive(session, [a_change("a", entity_id="1", occurred_at=seen)])
    run(receive(migrated_url, a_change("b", entity_id="1", occurred_at=seen)))
    slow, fast = (row.model_dump(exclude={"id", "key", "correlation"}) for row in rows(engine))
    for name in ("received_at", "updated_at", "turn_at"):
        assert abs(slow.pop(name) - fast.pop(name)) < timedelta(seconds=5)
    assert slow == fast
    assert len({str(row.received_at.tzinfo) for row in rows(engine)}) == 1


def test_a_known_key_returns_its_row_and_whether_it_is_pending(engine: Engine, migrated_url: str) -> None:
    changes = [a_change("open"), a_change("over", state=State.SKIPPED), a_change("parked", state=State.PARKED)]
    first = run(receive(migrated_url, *changes))
    again = run(receive(migrated_url, *changes))
    assert [r.id for r in first] == [r.id for r in again]
    assert [r.created for r in (*first, *again)] == [True] * 3 + [False] * 3
    assert [r.pending for r in again] == [True, False, False]
    assert len(rows(engine)) == 3


def test_a_key_twice_in_one_delivery_makes_one_row(engine: Engine, migrated_url: str) -> None:
    first, second = run(receive(migrated_url, a_change("k"), a_change("k")))
    assert first.id == second.id
    assert (first.created, second.created) == (True, False)
    assert len(rows(engine)) == 1


def test_deliveries_that_wait_together_share_a_transaction(engine: Engine, migrated_url: str) -> None:
    async def storm() -> int:
        ingress = Ingress(migrated_url)
        answers = await asyncio.gather(*(ingress.receive([a_change(f"k{n}")]) for n in range(200)))
        await ingress.close()
        assert all(answer[0].created for answer in answers)
        assert ingress.received == 200
        return ingress.commits

    assert run(storm()) <= 10
    assert len(rows(engine)) == 200


def test_each_delivery_gets_the_answers_of_its_own_changes(engine: Engine, migrated_url: str) -> None:
    async def storm() -> list[list[Received]]:
        ingress = Ingress(migrated_url)
        sizes = [1, 0, 3, 2]
        deliveries = [[a_change(f"{n}.{m}") for m in range(size)] for n, size in enumerate(sizes)]
        answers = await asyncio.gather(*map(ingress.receive, deliveries))
        await ingress.close()
        return list(answers)

    answers = run(storm())
    keys = {row.id: row.key for row in rows(engine)}
    assert [[keys[r.id] for r in answer] for answer in answers] == [["0.0"], [], ["2.0", "2.1", "2.2"], ["3.0", "3.1"]]


def test_a_huge_delivery_is_stored_in_portions(engine: Engine, migrated_url: str) -> None:
    many = CHANGES_AT_ONCE * 2 + 1

    async def receive_all() -> tuple[int, int]:
        ingress = Ingress(migrated_url)
        answer = await ingress.receive([a_change(f"k{n}") for n in range(many)])
        await ingress.close()
        return len({r.id for r in answer}), ingress.commits

    assert run(receive_all()) == (many, 3)
    assert len(rows(engine)) == many


def test_text_no_database_accepts_is_stored_as_escapes(engine: Engine, migrated_url: str) -> None:
    run(receive(migrated_url, a_change("bad", hint="a\0b\ud800c é"), a_change("good")))
    bad, good = rows(engine)
    assert bad.hint == "a\\x00b\\ud800c é"
    assert good.key == "good"


def test_one_impossible_change_fails_alone(engine: Engine, migrated_url: str) -> None:
    async def both() -> list[object]:
        ingress = Ingress(migrated_url)
        impossible = a_change("bad", priority=2**70)
        answers = await asyncio.gather(
            ingress.receive([impossible]), ingress.receive([a_change("good")]), return_exceptions=True
        )
        await ingress.close()
        return list(answers)

    bad, good = run(both())
    assert isinstance(bad, Exception)
    assert isinstance(good, list)
    assert [row.key for row in rows(engine)] == ["good"]


def test_a_locked_sqlite_file_is_waited_for_and_then_refused(migrated_sqlite_url: str, engine_of: Any) -> None:
    holder = sqlite3.connect(sqlite_path(migrated_sqlite_url), isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")

    async def meanwhile() -> float:
        ingress = Ingress(migrated_sqlite_url, patience=0.5)
        began = time.monotonic()
        with pytest.raises(Transient):
            await ingress.receive([a_change("k")])
        took = time.monotonic() - began
        waiting = asyncio.create_task(ingress.receive([a_change("k")]))
        await asyncio.sleep(0.1)
        holder.execute("ROLLBACK")
        assert (await waiting)[0].pending
        await ingress.close()
        return took

    assert run(meanwhile()) < 1.5
    holder.close()
    assert len(rows(engine_of(migrated_sqlite_url))) == 1


def test_an_absent_database_fails_in_time_and_is_used_again_later(engine: Engine, migrated_url: str) -> None:
    async def lose_and_find() -> None:
        ingress = Ingress(migrated_url)
        assert (await ingress.receive([a_change("before")]))[0].created
        with writing(engine) as session:
            _break(session)
        with pytest.raises(Transient):
            await ingress.receive([a_change("during")])
        with writing(engine) as session:
            _repair(session)
        assert (await ingress.receive([a_change("after")]))[0].created
        await ingress.close()

    run(lose_and_find())
    assert [row.key for row in rows(engine)] == ["before", "after"]


def _break(session: Session) -> None:
    session.execute(_sql("ALTER TABLE inbox RENAME TO elsewhere"))


def _repair(session: Session) -> None:
    session.execute(_sql("ALTER TABLE elsewhere RENAME TO inbox"))


def _sql(text: str) -> Any:
    from sqlalchemy import text as to_sql

    return to_sql(text)


def test_a_postgresql_that_ended_our_connection_is_connected_again(postgres_engine: Engine, url: str) -> None:
    async def survive() -> None:
        ingress = Ingress(url)
        await ingress.receive([a_change("before")])
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kassabridge ingress'"
                " AND datname = current_database()"
            )
        outcomes = []
        for _ in range(3):
            try:
                outcomes.append((await ingress.receive([a_change("after")]))[0].pending)
                break
            except Transient:
                continue
        assert outcomes == [True]
        await ingress.close()

    run(survive())
    assert [row.key for row in rows(postgres_engine)] == ["before", "after"]


def test_a_statement_that_hangs_in_postgresql_is_answered_in_time(postgres_engine: Engine, url: str) -> None:
    async def hang() -> float:
        ingress = Ingress(url, patience=0.4)
        with psycopg.connect(url.replace("+psycopg", "")) as blocker:
            blocker.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
            began = time.monotonic()
            with pytest.raises(Transient):
                await ingress.receive([a_change("k")])
            took = time.monotonic() - began
        assert (await ingress.receive([a_change("next")]))[0].pending
        await ingress.close()
        return took

    assert run(hang()) < 1.5
    assert "next" in [row.key for row in rows(postgres_engine)]


def test_an_unreachable_server_is_a_transient_failure() -> None:
    url = f"postgresql+psycopg://nobody@127.0.0.1:{find_free_port()}/none"
    with pytest.raises(Transient):
        run(receive(url, a_change("k")))


def test_nothing_to_receive_asks_nothing_of_the_database() -> None:
    url = f"postgresql+psycopg://nobody@127.0.0.1:{find_free_port()}/none"
    assert run(receive(url)) == []

"""Ended events are counted in the transaction that ends them, by whichever way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, delete, func, select, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.privacy import retention
from gateway.queries import activity
from gateway.store import claims, counts, inbox
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.ingress import Ingress
from gateway.store.tables import EventCountRow, InboxRow
from tests.claiming import finish


def about(number: int, *, of: str = "", state: State = State.RECEIVED, flow: Flow = Flow.ORDERS) -> Change:
    return Change(f"k{number}", flow, "test", "Item", of or str(number), "shop", state=state)


def put(engine: Engine, *changes: Change) -> list[int]:
    with writing(engine) as session:
        return [row.id for row in inbox.receive(session, changes)]


def end(engine: Engine, event_id: int, state: State, *, target_id: str | None = None) -> None:
    event = claims.claim(engine, event_id)
    assert event is not None
    wait, facts = 60 if state is State.WAITING else None, {"target_id": target_id} if target_id else {}
    with writing(engine) as session:
        finish(session, event, Outcome(state, wait_seconds=wait, facts=facts))


def check(engine: Engine) -> dict[str, dict[str, int]]:
    """The counts by flow are those of the inbox itself; answers them."""
    with reading(engine) as session:
        rows = session.execute(
            select(col(InboxRow.flow), col(InboxRow.state), func.count()).group_by(
                col(InboxRow.flow), col(InboxRow.state)
            )
        ).all()
        shown = {status.flow: status.counts for status in activity.flow_statuses(session) if status.counts}
    counted: dict[str, dict[str, int]] = {}
    for flow, state, count in rows:
        counted.setdefault(flow, {})[state] = count
    assert shown == counted
    return shown


def test_counts_follow_whatever_happens_to_an_event(engine: Engine) -> None:
    put(engine, about(1), about(2, state=State.SKIPPED), about(3, flow=Flow.STOCK, state=State.PARKED))
    assert check(engine) == {"orders": {"received": 1, "skipped": 1}, "stock": {"parked": 1}}
    first, *_, last = put(engine, *(about(number, of="one") for number in range(4, 8)))
    end(engine, last, State.DONE)  # the three older ones are superseded
    assert check(engine)["orders"] == {"received": 1, "skipped": 4, "done": 1}
    with writing(engine) as session:
        assert inbox.requeue(session, [last], states=[State.DONE])
        assert inbox.ignore(session, 3, "not needed")
    assert check(engine) == {"orders": {"received": 2, "skipped": 4}, "stock": {"skipped": 1}}
    end(engine, last, State.WAITING)
    with writing(engine) as session:
        session.execute(update(InboxRow).values(updated_at=moment(-40 * 86_400)))
        session.execute(delete(InboxRow).where(col(InboxRow.id) == first))
    check(engine)
    assert retention.purge(engine, days=30).events == 4
    assert check(engine) == {"orders": {"received": 1, "waiting": 1}}


@pytest.mark.parametrize(
    ("flow", "entity", "variant", "target_id", "expected"),
    [
        (Flow.ORDERS, "Receipt", "", "7", True),
        (Flow.ORDERS, "TillOrder", "", None, True),
        (Flow.ORDERS, "Day", "", "7", True),
        (Flow.STOCK, "Item", "", None, True),
        (Flow.CUSTOMERS, "Customer", "", "7", True),
        (Flow.ORDERS, "SalesReceipt", "", "7", False),
        (Flow.ORDERS, "Payment", "", "7", False),
        (Flow.ORDERS, "Poll", "", None, False),
        (Flow.ORDERS, "Receipt", ":dry", "7", False),
        (Flow.PRODUCTS, "Preview", "", None, False),
        (Flow.CUSTOMERS, "Customer", "", None, False),
        (Flow.CUSTOMERS, "Backfill", "", None, False),
    ],
)
def test_only_trade_moves_the_time_of_what_was_last_done(
    engine: Engine, flow: Flow, entity: str, variant: str, target_id: str | None, *, expected: bool
) -> None:
    (event_id,) = put(engine, Change("k1", flow, "test", entity, "1", "shop", variant=variant))
    end(engine, event_id, State.DONE, target_id=target_id)
    assert check(engine) == {flow: {"done": 1}}
    with reading(engine) as session:
        (status,) = [each for each in activity.flow_statuses(session) if each.counts]
    assert (status.last_done_at is not None) is expected


def test_what_a_webhook_brings_ended_is_counted(engine: Engine, migrated_url: str) -> None:
    async def deliver() -> None:
        ingress = Ingress(migrated_url)
        await ingress.receive([about(1, state=State.SKIPPED), about(2)])
        await ingress.receive([about(1, state=State.SKIPPED), about(3, state=State.SKIPPED)])
        await ingress.close()

    asyncio.run(deliver())
    assert check(engine) == {"orders": {"received": 1, "skipped": 2}}


def test_a_transaction_that_is_rolled_back_is_not_counted(engine: Engine) -> None:
    with writing(engine) as session:
        inbox.receive(session, [about(1, state=State.SKIPPED)])
        session.rollback()
    assert check(engine) == {}


def test_workers_that_end_events_at_once_lose_no_count(engine: Engine) -> None:
    ids = put(engine, *(about(number) for number in range(80)))
    with ThreadPoolExecutor(8) as pool:
        ending = [pool.submit(end, engine, each, State.DONE) for each in ids]
        for _ in range(5):
            counts.fold_ended(engine)
        for each in ending:
            each.result()
    assert check(engine) == {"orders": {"done": 80}}
    counts.fold_ended(engine)
    assert check(engine) == {"orders": {"done": 80}}
    with reading(engine) as session:
        (status,) = [each for each in activity.flow_statuses(session) if each.counts]
        assert status.last_done_at is not None
        assert session.execute(select(func.count()).select_from(EventCountRow)).scalar_one() == 1

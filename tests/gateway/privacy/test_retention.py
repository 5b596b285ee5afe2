"""Ended events leave after their days; what proves that a sale was handled once stays."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.privacy import retention
from gateway.privacy.retention import Purged
from gateway.store import claims, inbox, requests
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.tables import InboxRow
from tests.claiming import finish


def handle(engine: Engine, key: str, *, state: State = State.DONE, **said: Any) -> int:
    given: dict[str, Any] = {"flow": Flow.ORDERS, "source": "poll", "entity": "Receipt", "entity_id": key}
    with writing(engine) as session:
        (received,) = inbox.receive(session, [Change(key, connection="shop", **{**given, **said})])
    event = claims.claim(engine, received.id)
    assert event is not None
    with writing(engine) as session:
        finish(session, event, Outcome(state))
    return received.id


def age(engine: Engine) -> None:
    with writing(engine) as session:
        session.execute(update(InboxRow).values(received_at=moment(-40 * 86_400), updated_at=moment(-31 * 86_400)))


def keys(engine: Engine) -> set[str]:
    with reading(engine) as session:
        return set(session.execute(select(col(InboxRow.key))).scalars())


def test_the_newest_event_of_a_sale_stays_and_what_it_superseded_leaves(engine: Engine) -> None:
    with writing(engine) as session:
        older = [Change(f"old{n}", Flow.ORDERS, "poll", "Receipt", "17", "shop") for n in range(3)]
        inbox.receive(session, older)
    handle(engine, "new", entity_id="17")
    handle(engine, "skipped", state=State.SKIPPED)
    handle(engine, "day", entity="Day", hint="{}", email="somebody@example.nl")
    age(engine)
    assert retention.purge(engine, days=30) == Purged(events=3, emptied=1)
    assert keys(engine) == {"new", "skipped", "day"}


def test_other_records_leave_whole_and_open_or_young_ones_stay(engine: Engine) -> None:
    handle(engine, "item", flow=Flow.PRODUCTS, entity="Item")
    handle(engine, "session", entity="Session", hint="{}")
    handle(engine, "echo", entity="SalesReceipt", source="webhook")
    handle(engine, "parked", flow=Flow.PRODUCTS, entity="Item", state=State.PARKED)
    with writing(engine) as session:
        inbox.receive(session, [Change("waiting", Flow.PRODUCTS, "poll", "Item", "9", "shop")])
    age(engine)
    handle(engine, "young", flow=Flow.PRODUCTS, entity="Item")
    assert retention.purge(engine, days=30) == Purged(events=3)
    assert keys(engine) == {"parked", "waiting", "young"}
    assert retention.purge(engine, days=30) == Purged()


def test_what_holds_days_and_amounts_stays(engine: Engine) -> None:
    asked = [requests.agree(connection="shop"), requests.backfill(Flow.STOCK, connection="shop"),
             requests.check_up(connection="shop"), requests.poll(connection="shop")]  # fmt: skip
    with writing(engine) as session:
        received = inbox.receive(session, asked)
        ended = update(InboxRow).where(col(InboxRow.id).in_([row.id for row in received]))
        session.execute(ended.values(state=State.DONE, result="{}"))
    age(engine)
    assert retention.purge(engine, days=30) == Purged()
    assert len(keys(engine)) == 4


def test_a_repetition_of_what_has_left_is_one_new_event(engine: Engine) -> None:
    handle(engine, "item", flow=Flow.PRODUCTS, entity="Item")
    age(engine)
    retention.purge(engine, days=30)
    change = Change("item", Flow.PRODUCTS, "poll", "Item", "item", "shop")
    with writing(engine) as session:
        first, again = inbox.receive(session, [change, change])
    assert (first.created, again.created) == (True, False)

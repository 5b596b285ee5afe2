"""A person is exported and erased from a large log while webhooks come in without delay."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from gateway.database.session import writing
from gateway.privacy import people
from gateway.store import inbox
from gateway.store.events import Change, Flow
from gateway.store.tables import InboxRow, JournalRow

ROWS = 10_000
EMAIL = "somebody@example.nl"
LONGEST_SECONDS = 1.0  # of one insert beside it; on a quiet machine 0.05


def fill(engine: Engine, rows: int) -> None:
    """Events and log lines, every hundredth of the person."""
    now = datetime.now(UTC)
    event = {"flow": "orders", "source": "poll", "entity": "Receipt", "connection": "shop", "state": "done",
             "correlation": "c", "received_at": now, "updated_at": now}  # fmt: skip
    line = {"connection": "shop", "at": now, "kind": "sent", "title": "sale"}
    for start in range(1, rows, 1_000):
        ids = range(start, start + 1_000)
        events = [{**event, "key": f"k{n}", "entity_id": f"{n}", "subject": f"s{n}"} for n in ids]
        with writing(engine) as session:
            session.execute(insert(InboxRow), events)
            session.execute(insert(JournalRow), [{**line, "event_id": n, "detail": to_detail(n)} for n in ids])


def to_detail(number: int) -> str:
    email = EMAIL if number % 100 == 0 else "other@example.nl"
    return json.dumps({"request": {"BillEmail": {"Address": email}, "x": "-" * 1_500}})


def waits_during(engine: Engine, work: Callable[[], object]) -> float:
    """The longest an insert took beside the work."""
    done, longest = threading.Event(), [0.0]

    def deliver() -> None:
        number = 0
        while not done.is_set():
            began = time.monotonic()
            with writing(engine) as session:
                inbox.receive(session, [Change(f"hook{began}:{number}", Flow.ORDERS, "webhook", "Item", str(number))])
            longest[0] = max(longest[0], time.monotonic() - began)
            number += 1
            time.sleep(0.002)

    sender = threading.Thread(target=deliver)
    sender.start()
    try:
        work()
    finally:
        done.set()
        sender.join()
    return longest[0]


@pytest.mark.timeout(180)
def test_webhooks_do_not_wait_for_an_export_or_an_erasure(engine: Engine) -> None:
    fill(engine, ROWS)
    found: list[dict[str, list[dict[str, object]]]] = []
    assert waits_during(engine, lambda: found.append(people.export(engine, EMAIL))) < LONGEST_SECONDS
    assert [len(found[0][name]) for name in ("events", "journal")] == [ROWS // 100, ROWS // 100]
    done: list[dict[str, Any]] = []
    assert waits_during(engine, lambda: done.append(people.erase(engine, EMAIL))) < LONGEST_SECONDS
    assert (done[0]["erased"]["journal"], done[0]["left"]) == (ROWS // 100, [])

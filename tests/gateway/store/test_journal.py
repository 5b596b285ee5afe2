"""The activity log: in order, with long details clipped, and purged after its days, in batches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine

from gateway.database.session import reading, writing
from gateway.privacy import retention
from gateway.queries import activity
from gateway.store import audit
from gateway.store.audit import DETAIL_CHARACTERS, Entry


def test_lines_come_back_in_the_order_they_were_written_with_their_details(engine: Engine) -> None:
    at = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    entries = [
        Entry("read", "GET item", "quickbooks", {"status": 200, "total": Decimal("1.10"), "name": "Käse"}, 12, at),
        Entry("decided", "an earlier moment, a later line", at=at - timedelta(hours=1)),
    ]
    with writing(engine) as session:
        audit.write_log(session, [("c", 1, entries)])
        audit.write_log(session, [("c", 2, [Entry("decided", "another event's")])])
        audit.write_log(session, [("c", 1, [])])
    with reading(engine) as session:
        first, second = activity.read_log(session, 1)
    assert (first.kind, first.title, first.system, first.milliseconds, first.at) == (
        "read",
        "GET item",
        "quickbooks",
        12,
        at,
    )
    assert first.detail == {"status": 200, "total": "1.10", "name": "Käse"}
    assert second.title == "an earlier moment, a later line"


def test_a_line_without_a_time_gets_the_databases(engine: Engine) -> None:
    with writing(engine) as session:
        audit.write_log(session, [(None, 1, [Entry("decided", "now")])])
    with reading(engine) as session:
        (line,) = activity.read_log(session, 1)
    assert line.at is not None
    assert abs(datetime.now(UTC) - line.at) < timedelta(minutes=1)


def test_an_endless_detail_is_clipped_and_says_how_long_it_was(engine: Engine) -> None:
    with writing(engine) as session:
        audit.write_log(
            session, [("c", 1, [Entry("sent", "POST batch", detail={"body": "x" * (2 * DETAIL_CHARACTERS)})])]
        )
    with reading(engine) as session:
        (line,) = activity.read_log(session, 1)
    assert line.detail is not None
    assert len(line.detail["clipped"]) == DETAIL_CHARACTERS
    assert line.detail["characters"] > 2 * DETAIL_CHARACTERS


def test_79_old_lines_are_purged_in_batches_and_young_ones_stay(engine: Engine) -> None:
    now = datetime.now(UTC)
    old = [Entry("decided", "old", at=now - timedelta(days=31)) for _ in range(5)]
    with writing(engine) as session:
        audit.write_log(session, [("c", 1, [*old, Entry("decided", "young", at=now - timedelta(days=29))])])
    gone = []
    for _ in range(3):
        with writing(engine) as session:
            gone.append(retention.forget(session, "lines", days=30, limit=3))
    assert gone == [3, 2, 0]
    with reading(engine) as session:
        assert [line.title for line in activity.read_log(session, 1)] == ["young"]

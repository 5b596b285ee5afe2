"""A database that holds rows of an earlier release is upgraded, and every row is still there, with its values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy import Connection, Engine, MetaData, Table
from sqlmodel import col

from gateway.database.session import open_engine, reading, writing
from gateway.queries import activity
from gateway.store import claims, cursors, event_history, inbox, installation, links
from gateway.store.events import Change, Flow
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.tables import BackfillRow, EventCountRow, SaleRow

RELEASED = "0011"
DROPPED = {"limits", "slots"}  # the calls in progress of a rate limiter before 0006
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture
def released(database_url: str) -> Iterator[Engine]:
    """A database as the release before left it, with two rows in every table."""
    engine = open_engine(database_url)
    with engine.begin() as connection:
        command.upgrade(installation.migration_config(connection), RELEASED)
        fill(connection)
    yield engine
    engine.dispose()


def fill(connection: Connection) -> None:
    tables = MetaData()
    tables.reflect(connection)
    for table in tables.sorted_tables:
        if table.name != "alembic_version":
            for number in (901, 902):
                connection.execute(table.insert().values(to_row(table, number)))


def to_row(table: Table, number: int) -> dict[str, Any]:
    """A value of its kind for every column that is written by us."""
    return {column.name: to_value(column, number) for column in table.columns if column.computed is None}


def to_value(column: sa.Column[Any], number: int) -> Any:
    kind = column.type
    if isinstance(kind, sa.DateTime | sa.types.DATETIME):
        return NOW
    if isinstance(kind, sa.Boolean):
        return True
    if isinstance(kind, sa.Date):
        return NOW.date()
    if isinstance(kind, sa.Integer | sa.Float | sa.Numeric):
        return number
    return {"state": "done", "status": "active"}.get(column.name, f"{column.name} {number}")


def read(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(table.select())]
            for table in tables.sorted_tables
            if table.name != "alembic_version"
        }


def test_no_row_and_no_value_is_lost_by_an_upgrade(released: Engine) -> None:
    before = read(released)
    assert all(len(rows) == 2 for rows in before.values())
    installation.upgrade(released)
    after = read(released)
    for name, rows in before.items():
        if name in DROPPED:
            continue
        kept = [{key: row[key] for key in rows[0]} for row in after[name]]
        assert kept == rows, name


REASONS = {"superseded by event 902": 902, "superseded by event 902, ask Piet": None, "superseded by event ": None}


def test_what_superseded_an_event_is_read_out_of_its_reason_once(released: Engine) -> None:
    with released.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        inbox_then = tables.tables["inbox"]
        for number, reason in enumerate(REASONS, 1):
            row = {**to_row(inbox_then, number), "state": "skipped", "reason": reason}
            connection.execute(inbox_then.insert().values(row))
    installation.upgrade(released)
    with reading(released) as session:
        events = [activity.find_event(session, number) for number in (*range(1, len(REASONS) + 1), 902)]
    assert [event and event.superseded_by for event in events] == [*REASONS.values(), None]
    assert None not in events


def test_the_progress_of_a_backfill_is_read_out_of_the_cursors(released: Engine) -> None:
    insert = sa.text(
        "INSERT INTO cursors (connection, source, position, generation, reread_to) VALUES (:c, :s, :p, 0, 0)"
    )
    notes = '{"total": 20, "read": 10, "unchanged": 4, "unknown": 1}'
    old = [("backfill/a:b", "1001"), ("backfill/a:b/notes", notes), ("backfill/c", "rest"), ("mpluskassa.receipt", "7")]
    with released.begin() as connection:
        for source, position in old:
            connection.execute(insert, {"c": "default", "s": source, "p": position})
    installation.upgrade(released)
    with reading(released) as session:
        rows = session.execute(sa.select(BackfillRow).order_by(BackfillRow.__table__.c.event_key)).scalars()  # type: ignore[attr-defined]
        found = [(row.event_key, row.connection, row.position, row.total, row.read, row.unchanged) for row in rows]
        left = [(row.source, row.position) for row in activity.find_polls(session) if row.connection == "default"]
    assert found == [("a:b", "default", "1001", 20, 10, 4), ("c", "default", "rest", 0, 0, 0)]
    assert left == [("mpluskassa.receipt", "7")]


def test_booked_and_waiting_sales_get_their_rows(released: Engine) -> None:
    detail = {"number": "1.2.2026.7", "document_number": "R7", "total_cents": 1210, "dated": "2026-11-20"}
    booked = [("sale-1", detail), ("sale-2", {**detail, "gone": "deleted"}), ("sale-3", detail)]
    events = [
        ("Receipt", "sale-1", "done", ""),
        ("TillInvoice", "sale-3", "done", ""),
        ("TillInvoice", "sale-3", "parked", ""),
        ("Receipt", "sale-4", "waiting", ""),
        ("Receipt", "sale-5", "parked", ":dry"),
        ("Item", "7", "parked", ""),
    ]
    with released.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for number, (sale_id, kept) in enumerate(booked, 1):
            row = {
                **to_row(tables.tables["links"], number),
                "connection": "shop",
                "kind": "document",
                "source_id": sale_id,
            }
            connection.execute(tables.tables["links"].insert().values({**row, "detail": json.dumps(kept)}))
        for number, (entity, entity_id, state, variant) in enumerate(events, 1):
            named = {"connection": "shop", "flow": "orders", "entity": entity, "entity_id": entity_id, "state": state}
            subject = f"shop/orders/{entity}/{entity_id}{variant}"
            row = {**to_row(tables.tables["inbox"], number), **named, "subject": subject, "order_id": "8"}
            connection.execute(tables.tables["inbox"].insert().values(row))
    installation.upgrade(released)
    with reading(released) as session:
        found = {row.sale_id: row for row in session.execute(sa.select(SaleRow)).scalars() if row.connection == "shop"}
    assert {key: (row.kind, row.status, row.event_id, row.amount_cents) for key, row in found.items()} == {
        "sale-1": ("Receipt", "booked", 1, 1210),
        "sale-2": ("Receipt", "voided", None, 1210),
        "sale-3": ("TillInvoice", "needs_attention", 3, 1210),
        "sale-4": ("Receipt", "waiting", 4, None),
    }
    assert (found["sale-1"].day, found["sale-1"].document_number) == (date(2026, 11, 20), "R7")
    assert (found["sale-4"].day, found["sale-4"].number) == (NOW.date(), "8")


FLAGS: list[tuple[str, dict[str, Any] | None, tuple[BookingStatus, bool, str | None]]] = [
    ("document", None, (BookingStatus.BOOKED, False, None)),
    ("document", {"number": "7", "adopted": True}, (BookingStatus.BOOKED, True, None)),
    ("document", {"gone": "deleted", "withdrawn": True, "adopted": True}, (BookingStatus.DELETED, True, None)),
    ("document", {"gone": "voided"}, (BookingStatus.VOIDED, False, None)),
    ("document", {"withdrawn": True}, (BookingStatus.WITHDRAWN, False, None)),
    ("document", {"replacing": True, "withdrawn": True}, (BookingStatus.REPLACING, False, None)),
    ("document", {"day": "1:2026-11-20", "left_out": False}, (BookingStatus.BOOKED, False, "1:2026-11-20")),
    ("document", {"day": "1:2026-11-20", "left_out": True}, (BookingStatus.LEFT_OUT, False, "1:2026-11-20")),
    ("day_document", {"day": "1:2026-11-20", "number": "D1"}, (BookingStatus.BOOKED, False, "1:2026-11-20")),
    ("payment", {"voiding": True}, (BookingStatus.RELEASING, False, None)),
    ("payment", {"voided": True}, (BookingStatus.RELEASED, False, None)),
    ("payment", {"gone": "deleted"}, (BookingStatus.DELETED, False, None)),
    ("money", {"removing": True, "number": "7"}, (BookingStatus.REMOVED, False, None)),
    ("deposit", {"gone": "deleted", "number": 'a "gone": "voided" one'}, (BookingStatus.DELETED, False, None)),
    ("item", {"gone": "deleted"}, (BookingStatus.BOOKED, False, None)),
]
BEFORE_0021 = sa.text(
    "INSERT INTO links (connection, kind, source_id, target_entity, target_id, detail, created_at, updated_at)"
    " VALUES ('shop', :kind, :id, 'Invoice', '1', :detail, :now, :now)"
)


def write_flags(engine: Engine) -> None:
    """Write the links as releases before 0021 did."""
    with engine.begin() as connection:
        for number, (kind, detail, _) in enumerate(FLAGS):
            row = {"kind": kind, "id": str(number), "now": NOW, "detail": detail and json.dumps(detail)}
            connection.execute(BEFORE_0021, row)


def read_links(engine: Engine) -> list[Link]:
    with reading(engine) as session:
        found = [links.find(session, "shop", LinkKind(kind), str(number)) for number, (kind, _, _) in enumerate(FLAGS)]
    return [link for link in found if link]


def test_flags_of_bookings_become_columns(released: Engine) -> None:
    with released.begin() as connection:
        command.upgrade(installation.migration_config(connection), "0017")
    write_flags(released)
    installation.upgrade(released)
    upgraded = read_links(released)
    assert [(link.status, link.adopted, link.day) for link in upgraded] == [columns for _, _, columns in FLAGS]
    assert {number: link.detail for number, link in enumerate(upgraded) if link.detail} == {
        1: {"number": "7"},
        8: {"number": "D1"},
        12: {"number": "7"},
        13: {"number": 'a "gone": "voided" one'},
        14: {"gone": "deleted"},
    }
    with reading(released) as session:
        assert links.source_ids(session, "shop", LinkKind.DOCUMENT, day="1:2026-11-20") == ["6", "7"]


def test_a_status_changes_although_the_details_stay(released: Engine) -> None:
    installation.upgrade(released)
    booked = Link("document", "1", "Invoice", "7", detail={"number": "7"}, day="1:2026-11-20")
    replacing = replace(booked, status=BookingStatus.REPLACING)
    with writing(released) as session:
        links.save(session, "shop", booked)
        links.save(session, "shop", replacing)
        assert links.find(session, "shop", LinkKind.DOCUMENT, "1") == replacing


def test_two_cursors_of_the_books_become_the_older_one(released: Engine) -> None:
    insert = sa.text(
        "INSERT INTO cursors (connection, source, position, generation, reread_to) VALUES (:c, :s, :p, 0, 0)"
    )
    older, newer = "2026-11-27T12:00:00+00:00", "2026-11-28T12:00:00+00:00"
    both = {"a": (newer, older), "b": (older, newer), "c": (None, older)}  # of c, no poll has ended yet
    with released.begin() as connection:
        for name, positions in both.items():
            for source, position in zip(("quickbooks.cdc", "quickbooks.cdc.sales"), positions, strict=True):
                connection.execute(insert, {"c": name, "s": source, "p": position})
    installation.upgrade(released)
    with reading(released) as session:
        found = [row for row in activity.find_polls(session) if row.connection in both]
    assert {(row.connection, row.source, row.position) for row in found} == {(n, cursors.BOOKS, older) for n in both}
    assert len(found) == len(both)


def test_an_upgrade_forgets_echoes_as_what_was_last_done(released: Engine) -> None:
    with released.begin() as connection:
        command.upgrade(installation.migration_config(connection), "0034")
        connection.execute(sa.text("DELETE FROM inbox"))
        tables = MetaData()
        tables.reflect(connection)
        events = [
            ("orders", "Receipt", "7", -3),
            ("orders", "SalesReceipt", "7", -1),
            ("orders", "Poll", None, 0),
            ("customers", "Relation", "9", -4),
            ("customers", "Customer", None, 0),
            ("stock", "Preview", None, -2),
        ]
        for number, (flow, entity, target_id, days) in enumerate(events, 1):
            named = {"flow": flow, "entity": entity, "target_id": target_id, "state": "done", "subject": entity}
            times = {"updated_at": NOW + timedelta(days=days)}
            connection.execute(
                tables.tables["inbox"].insert().values({**to_row(tables.tables["inbox"], number), **named, **times})
            )
    with reading(released) as session:
        name, total = col(EventCountRow.flow), sa.func.sum(col(EventCountRow.events))
        newest = sa.select(name, sa.func.max(col(EventCountRow.newest))).group_by(name).having(total > 0)
        before = {str(flow): last for flow, last in session.execute(newest)}
    assert before == {"orders": NOW, "customers": NOW, "stock": NOW - timedelta(days=2)}
    installation.upgrade(released)
    with reading(released) as session:
        after = {each.flow: (each.counts, each.last_done_at) for each in activity.flow_statuses(session) if each.counts}
    assert after == {
        "orders": ({"done": 3}, NOW - timedelta(days=3)),
        "customers": ({"done": 2}, NOW - timedelta(days=4)),
        "stock": ({"done": 1}, NOW - timedelta(days=2)),
    }


def test_an_event_leads_to_the_one_that_superseded_it(engine: Engine) -> None:
    change = Change(key="a", flow=Flow.PRODUCTS, source="test", entity="Item", entity_id="1", connection="default")
    with writing(engine) as session:
        first, second = (inbox.receive(session, [change._replace(key=key)])[0] for key in "ab")
    assert claims.claim(engine, second.id) is not None
    with reading(engine) as session:
        older = activity.find_event(session, first.id)
        newer = activity.find_event(session, second.id)
        assert older is not None
        assert newer is not None
        assert activity.find_next(session, older) == second.id
        assert [each.id for each in event_history.replaced_by(session, newer)] == [first.id]


def test_the_upgrade_reads_the_inbox_once_however_many_workers_counted(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    read = sa.text("SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables WHERE relname = 'inbox'")
    counted = "INSERT INTO event_counts (flow, state, shard, events) SELECT 'orders', 'done', n, 1 FROM"
    with engine.begin() as connection:
        command.upgrade(installation.migration_config(connection), "0034")
        connection.execute(sa.text(f"{counted} generate_series(1, 40) AS n"))
        before = connection.execute(read).scalar_one()
        command.upgrade(installation.migration_config(connection), "0035")
        assert connection.execute(read).scalar_one() - before <= 2
    engine.dispose()

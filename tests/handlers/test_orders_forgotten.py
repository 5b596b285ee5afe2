"""A database without history (a restored backup, another deployment): no sale is booked twice, with few reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert, select, text, update
from sqlmodel import SQLModel

from gateway import settings, startup
from gateway.database.session import open_engine, reading, writing
from gateway.store import connections
from handlers.polling import books_feed, polls
from handlers.stock.quantities import PATIENCE
from sandbox.mpluskassa.documents import Tender
from tests.handlers.counter import add_stocked, hear, physical
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_orders_repair import void
from workers.connections import ConnectionRegistry
from workers.worker import Worker

SALES = 4


@pytest.fixture(params=[True, False], ids=["own numbers", "automatic numbers"])
def forgetful(request: pytest.FixtureRequest, shop: Shop) -> Shop:
    """Books that do not store request ids."""
    shop.books.switches.request_ids = "forgotten"
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=request.param)
    return shop


Backup = dict[str, list[dict[str, Any]]]
NAMES = ("inbox", "links", "cursors", "journal", "numbers")
TABLES = [SQLModel.metadata.tables[name] for name in NAMES]


def take_backup(shop: Shop) -> Backup:
    """Copy the database."""
    with reading(shop.engine) as session:
        return {
            table.name: [
                {column.key: row[column] for column in table.c if column.computed is None}
                for row in session.execute(select(table)).mappings()
            ]
            for table in TABLES
        }


def restore(shop: Shop, backup: Backup) -> None:
    """Restore the backup and restart every process."""
    with writing(shop.engine) as session:
        for table in TABLES:
            session.execute(delete(table))
            if rows := backup[table.name]:
                session.execute(insert(table), rows)
    shop.restart()


def reads(shop: Shop) -> int:
    """Metered reads of the books so far."""
    return shop.books.ledger.metered.total()


def test_a_backup_restored_at_once_books_nothing_twice(forgetful: Shop) -> None:
    forgetful.till.sell(lines=[sold(1001)])
    forgetful.settle()
    backup = take_backup(forgetful)
    for _ in range(SALES):
        forgetful.till.sell(lines=[sold(1002)])
    forgetful.settle()
    restore(forgetful, backup)
    forgetful.till.sell(lines=[sold(1003)])
    forgetful.settle()
    assert len(forgetful.rows("SalesReceipt")) == SALES + 2
    assert forgetful.parked() == []


def test_what_waited_in_a_restored_inbox_is_booked_once(forgetful: Shop) -> None:
    forgetful.till.sell(lines=[sold(1001)])
    forgetful.poll()
    backup = take_backup(forgetful)
    forgetful.work()
    restore(forgetful, backup)
    forgetful.settle()
    assert len(forgetful.rows("SalesReceipt")) == 1


def test_a_page_searched_first_costs_a_read_per_kind_not_per_sale(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    before = reads(shop)
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    plain = reads(shop) - before
    shop.restart()
    for _ in range(SALES):
        shop.till.sell(lines=[sold(1001)])
    shop.poll()
    assert plain == 0
    assert reads(shop) - before <= 4  # two kinds of document, and the company's profile for a new process
    shop.work()
    assert len(shop.rows("SalesReceipt")) == SALES + 2


def test_a_sale_cancelled_after_a_lost_answer_leaves_no_document(forgetful: Shop) -> None:
    sale = forgetful.till.sell(lines=[sold(1001)])
    forgetful.books.injected.plan("POST salesreceipt", "lost_reply")
    forgetful.settle()
    forgetful.till.withdraw_receipt(sale["receiptId"])
    forgetful.settle()
    assert forgetful.retry(forgetful.newest(sale["receiptId"])).state in ("done", "skipped")
    assert [row for row in forgetful.rows("SalesReceipt") if row["TotalAmt"]] == []
    assert forgetful.parked() == []


class Beside:
    """A second deployment for the same company and till, with another connection name."""

    def __init__(self, shop: Shop, engine: Engine) -> None:
        grant = shop.books.connect(REALM, "client")
        given = settings.read({**shop.environment, "QUICKBOOKS_REFRESH_TOKEN": str(grant["refresh_token"])})
        startup.seed(engine, given)
        assert startup.begin_cursors(engine, given)
        with writing(engine) as session:
            session.execute(text("UPDATE connections SET display_name = 'second'"))
        self.contexts = ConnectionRegistry(engine, given, lambda _: None)
        self._worker = Worker(engine, self.contexts, lambda _: None)
        self._engine = engine

    def settle(self) -> None:
        """Poll the till and handle everything that is due."""
        polls.poll_till(self.contexts.deps("default"))
        while self._worker.drain():
            pass

    def set_document(self, document: str) -> None:
        """Store these settings."""
        with writing(self._engine) as session:
            connections.save_settings(session, "default", document, author="test")

    def parked(self) -> list[tuple[str, str]]:
        """The parked events."""
        with self._engine.connect() as connection:
            found = connection.execute(text("SELECT entity, reason FROM inbox WHERE state = 'parked'")).all()
        return [(str(row[0]), str(row[1])) for row in found]


@pytest.fixture
def beside(shop: Shop, migrated_sqlite: Path, tmp_path: Path) -> Iterator[Beside]:
    """A deployment beside the shop's own."""
    engine = open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'second.db')}")
    second = Beside(shop, engine)
    yield second
    second.contexts.close()
    engine.dispose()


@pytest.mark.parametrize("numbered", [True, False], ids=["own numbers", "automatic numbers"])
def test_a_second_deployment_doubles_no_sale_and_is_reported(shop: Shop, beside: Beside, numbered: bool) -> None:
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=numbered)
    for _ in range(3):
        shop.till.sell(lines=[sold(1001)])
        shop.settle()
        beside.settle()
    for _ in range(3):
        shop.till.sell(lines=[sold(1002)])
        beside.settle()
        shop.settle()
    assert len(shop.rows("SalesReceipt")) == 6
    (parked,) = beside.parked()
    assert parked[0] == "Installation"
    assert "another installation" in parked[1]
    assert [event.entity for event in shop.parked()] == ["Installation"]


def test_a_second_deployment_settles_an_invoice_that_the_first_began(shop: Shop, beside: Beside) -> None:
    shop.books.injected.plan("POST payment", "reset", skip=1)
    sale = shop.till.sell(lines=[sold(1001)], payments=[Tender("CONTANT", 625), Tender("PIN", 625)])
    shop.settle()
    assert shop.only("Invoice")["Balance"] == Decimal("6.25")
    beside.set_document('[orders]\nnumber_prefix = { receipt = "NEW-" }')
    beside.settle()
    shop.retry(shop.newest(sale["receiptId"]))
    assert [payment["UnappliedAmt"] for payment in shop.rows("Payment")] == [0, 0]
    assert shop.only("Invoice")["Balance"] == 0


def outcomes(shop: Shop, entity: str) -> list[tuple[str, str]]:
    """Webhooks of the books about every deleted or voided row of an entity: how each event ended."""
    gone = [
        each
        for each in shop.books.ledger.effects
        if (each.entity, each.operation) in ((entity, "void"), (entity, "delete"))
    ]
    return [
        (event.state, event.code or "")
        for each in gone
        for event in [shop.hear_of(entity, each.id, each.operation.title(), key=f"gone-{each.sequence}")]
    ]


TENDERS = {
    "one tender": [Tender("PIN", 1250)],
    "two tenders": [Tender("CONTANT", 250), Tender("PIN", 1000)],
}


@pytest.mark.parametrize("tenders", TENDERS.values(), ids=TENDERS)
def test_a_cancellation_handled_by_another_deployment_raises_no_alert(
    shop: Shop, beside: Beside, tenders: list[Tender]
) -> None:
    sale = shop.till.sell(lines=[sold(1001)], payments=tenders)
    shop.settle()
    beside.settle()
    shop.till.withdraw_receipt(sale["receiptId"])
    beside.settle()
    heard = [each for entity in ("Payment", "SalesReceipt", "Invoice") for each in outcomes(shop, entity)]
    assert heard
    assert {state for state, _ in heard} == {"done"}
    shop.settle()
    assert "gone-in-books" not in [event.code for event in shop.parked()]


def test_a_void_that_a_restored_backup_lacks_raises_no_alert(forgetful: Shop) -> None:
    sale = forgetful.till.sell(lines=[sold(1001)])
    forgetful.settle()
    backup = take_backup(forgetful)
    forgetful.till.withdraw_receipt(sale["receiptId"])
    forgetful.settle()
    restore(forgetful, backup)
    assert outcomes(forgetful, "SalesReceipt") == [("done", "")]
    forgetful.settle()
    assert forgetful.parked() == []
    forgetful.till.edit_receipt(sale["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)])
    forgetful.settle()
    assert forgetful.only("SalesReceipt")["TotalAmt"] == Decimal(100)
    assert forgetful.parked() == []


@pytest.mark.parametrize("first", ["books", "till"])
def test_a_change_that_a_restored_backup_lacks_raises_no_alert(forgetful: Shop, first: str) -> None:
    sale = forgetful.till.sell(lines=[sold(1001)])
    forgetful.settle()
    backup = take_backup(forgetful)
    forgetful.till.edit_receipt(sale["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)])
    forgetful.settle()
    restore(forgetful, backup)
    follow_both(forgetful, first)
    assert forgetful.only("SalesReceipt")["TotalAmt"] == Decimal(100)
    assert forgetful.parked() == []


@pytest.mark.parametrize("first", ["books", "till"])
@pytest.mark.parametrize("cents", [10000, -2500, 0], ids=["sale", "return", "cancelled"])
def test_a_sale_changed_twice_around_a_restored_backup_raises_no_alert(forgetful: Shop, first: str, cents: int) -> None:
    sale = forgetful.till.sell(lines=[sold(1001)])
    forgetful.settle()
    backup = take_backup(forgetful)
    forgetful.till.edit_receipt(sale["receiptId"], lines=[sold(1001, 2)], payments=[Tender("PIN", 2500)])
    forgetful.settle()
    restore(forgetful, backup)
    if cents:
        line = sold(1003) if cents > 0 else sold(1001, -2)
        forgetful.till.edit_receipt(sale["receiptId"], lines=[line], payments=[Tender("PIN", cents)])
    else:
        forgetful.till.withdraw_receipt(sale["receiptId"])
    follow_both(forgetful, first)
    forgetful.settle()
    booked = [row["TotalAmt"] for kind in ("SalesReceipt", "RefundReceipt") for row in forgetful.rows(kind)]
    assert [total for total in booked if total] == ([Decimal(abs(cents)) / 100] if cents else [])
    assert forgetful.parked() == []


def sell_and_lose(shop: Shop) -> dict[str, Any]:
    """A sale that is booked, voided, and unknown again by a restored backup."""
    shop.books.switches.request_ids = "forgotten"
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    backup = take_backup(shop)
    sale = shop.till.sell(lines=[sold(1002)])
    shop.settle()
    void(shop, "SalesReceipt", shop.find("SalesReceipt", DocNumber=f"R{sale['transactionString']}"))
    restore(shop, backup)
    return sale


def test_a_voided_document_of_another_version_of_its_sale_is_used_again(shop: Shop) -> None:
    sale = sell_and_lose(shop)
    shop.till.edit_receipt(sale["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)])
    shop.settle()
    assert [(event.code, event.reason) for event in shop.parked()] == []
    assert sorted(row["TotalAmt"] for row in shop.rows("SalesReceipt")) == [Decimal("12.50"), Decimal("100.00")]


def test_a_voided_document_of_the_sale_as_it_is_waits_for_a_person(shop: Shop) -> None:
    sale = sell_and_lose(shop)
    shop.settle()
    (event,) = shop.parked()
    assert (event.entity_id, event.code) == (sale["receiptId"], "gone-in-books")
    assert sorted(row["TotalAmt"] for row in shop.rows("SalesReceipt")) == [0, Decimal("12.50")]


def test_an_edit_by_a_person_after_a_restored_backup_is_reported(forgetful: Shop) -> None:
    sale = forgetful.till.sell(lines=[sold(1001)])
    forgetful.settle()
    backup = take_backup(forgetful)
    forgetful.till.edit_receipt(sale["receiptId"], lines=[sold(1001, 2)], payments=[Tender("PIN", 2500)])
    forgetful.settle()
    booked = forgetful.only("SalesReceipt")
    lines = [{**line, "Amount": Decimal(1)} if index == 0 else line for index, line in enumerate(booked["Line"])]
    lines[0]["SalesItemLineDetail"] = {**lines[0]["SalesItemLineDetail"], "UnitPrice": 1, "Qty": 1}
    change = {key: value for key, value in booked.items() if key not in ("TxnTaxDetail", "TotalAmt")}
    forgetful.books.put(REALM, "SalesReceipt", {**change, "Line": lines})
    restore(forgetful, backup)
    follow_both(forgetful, "books")
    assert {event.code for event in forgetful.parked()} == {"edited-in-books"}


@pytest.mark.parametrize("first", ["books", "till"])
def test_a_change_handled_by_another_deployment_raises_no_alert(shop: Shop, beside: Beside, first: str) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    beside.settle()
    shop.till.edit_receipt(sale["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)])
    beside.settle()
    follow_both(shop, first)
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(100)
    assert {event.entity for event in shop.parked()} <= {"Installation"}


def follow_both(shop: Shop, first: str) -> None:
    """Poll both systems in the given order, and handle the events of each poll."""
    looks = [lambda: books_feed.poll(shop.deps()), shop.poll]
    for look in looks if first == "books" else reversed(looks):
        look()
        shop.work()


def test_a_document_deleted_by_hand_is_nothing_if_its_sale_is_cancelled(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
    assert outcomes(shop, "SalesReceipt") == [("parked", "gone-in-books")]
    shop.till.withdraw_receipt(sale["receiptId"])
    shop.settle()
    assert shop.parked() == []


def test_stock_measured_before_a_sale_is_linked_again_heals(shop: Shop) -> None:
    item = add_stocked(shop, "5001", 1000)
    hear(shop, item["Id"], "Create")
    backup = take_backup(shop)
    shop.till.sell(lines=[sold(5001, 27)])
    shop.settle()
    assert physical(shop, 5001) == Decimal(973)
    restore(shop, backup)
    shop.poll()
    with writing(shop.engine) as session:
        # The sale waits, and meanwhile the maximum number of measurements is reached.
        session.execute(update(TABLES[0]).values(due_at=shop.deps().now() + timedelta(hours=1)))
    hear(shop, item["Id"])
    for _ in range(PATIENCE):
        with writing(shop.engine) as session:
            session.execute(update(TABLES[0]).where(TABLES[0].c.flow == "stock").values(due_at=None))
        shop.work()
    assert physical(shop, 5001) == Decimal(946)
    with writing(shop.engine) as session:
        session.execute(update(TABLES[0]).values(due_at=None))
    shop.work()
    assert len(shop.rows("SalesReceipt")) == 1
    assert physical(shop, 5001) == Decimal(973)

"""The row of each sale: what the till says, what became of it, and which document it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlmodel import Session, col

from gateway.database.session import reading, writing
from gateway.errors import AUTH_LOST
from gateway.privacy import retention
from gateway.queries import sales as sales_queries
from gateway.queries.sales import SaleFilter
from gateway.store import inbox, sales, tokens
from gateway.store.events import Event, State
from gateway.store.tables import InboxRow, LinkRow, SaleRow
from sandbox.mpluskassa.documents import Tender
from tests.handlers import test_summaries
from tests.handlers.shop import REALM, Shop, on_both_databases, sold
from workers import retry_policy


def row(shop: Shop, sale_id: str) -> SaleRow:
    with reading(shop.engine) as session:
        found: SaleRow = session.execute(select(SaleRow).where(col(SaleRow.sale_id) == sale_id)).scalar_one()
        return found


def rows(shop: Shop) -> list[SaleRow]:
    with reading(shop.engine) as session:
        return list(session.execute(select(SaleRow).order_by(col(SaleRow.id))).scalars())


def sell_unknown(shop: Shop) -> str:
    """A sale of an article that is no item of the books yet."""
    article = {"articleNumber": 1009, "description": "New", "priceIncl": 1210, "vatCode": 2, "turnoverGroup": 1}
    shop.till.add_product({"description": "New", "articleList": {"article": [article]}})
    receipt = str(shop.till.sell(lines=[sold(1009)])["receiptId"])
    shop.settle()
    return receipt


def ignore(shop: Shop, event: Event) -> None:
    with writing(shop.engine) as session:
        assert inbox.ignore(session, event.id, "ignored by a person")
        sales.ignore(session, event.id)


@on_both_databases
def test_a_booked_sale_has_a_row_with_its_money_and_document(shop: Shop) -> None:
    tenders = [Tender("CONTANT", 1000), Tender("PIN", 2499)]
    receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002, 3)], payments=tenders)
    shop.settle()
    found, document = row(shop, receipt["receiptId"]), shop.only("Invoice")
    assert (found.status, found.kind, found.branch) == ("booked", "Receipt", 1)
    assert (found.amount_cents, found.vat_cents) == (receipt["totalInclAmount"], 516)
    assert (found.document_entity, found.document_id) == ("Invoice", document["Id"])
    assert found.document_number == document["DocNumber"]
    assert found.branch_name is not None
    assert [cents for _, cents in json.loads(found.tenders or "[]")] == [1000, 2499]
    assert dict(json.loads(found.vat_rates or "[]")) == {"21": 2500, "9": 999}
    assert json.loads(found.turnover_groups or "[]") == [1]
    assert found.event_id == shop.newest(receipt["receiptId"]).id


def test_a_parked_sale_has_its_amount_and_is_booked_on_the_same_row(shop: Shop) -> None:
    receipt = sell_unknown(shop)
    found = row(shop, receipt)
    assert (found.status, found.amount_cents, found.document_id) == ("needs_attention", 1210, None)
    shop.add_item("1009", "12.10")
    shop.retry(shop.newest(receipt))
    assert [(each.status, each.document_entity) for each in rows(shop)] == [("booked", "SalesReceipt")]


AGAIN: dict[str, Callable[[Session, Event], object]] = {
    "a person": lambda session, event: inbox.requeue(session, [event.id], states=[State.PARKED]),
    "a login": lambda session, event: inbox.requeue_parked(session, connection="default", code=event.code or ""),
    "a cause": lambda session, event: inbox.requeue_by_code(
        session, "default", code=event.code or "", cause=inbox.find_causes(session, "default", [event.code or ""])[0][1]
    ),
}


@pytest.mark.parametrize("who", AGAIN)
@on_both_databases
def test_a_sale_tried_again_waits_whoever_asked_for_it(shop: Shop, who: str) -> None:
    receipt = sell_unknown(shop)
    assert row(shop, receipt).status == "needs_attention"
    with writing(shop.engine) as session:
        assert AGAIN[who](session, shop.newest(receipt))
    assert (shop.newest(receipt).state, row(shop, receipt).status) == ("received", "waiting")


@on_both_databases
def test_a_sale_whose_login_is_lost_needs_attention_until_it_is_found(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.poll()
    shop.cut_off("books")
    shop.work()
    assert row(shop, receipt).status == "waiting"
    shop.bring_back("books")
    with writing(shop.engine) as session:
        tokens.mark_refused(session, "default", "the subscription has ended", "6190")
        inbox.park_lost(session, code=AUTH_LOST)
    assert row(shop, receipt).status == "needs_attention"
    manager = shop.contexts.token_manager("default")
    with writing(shop.engine) as session:
        tokens.retry_at_once(session, [shop.newest(receipt).id])
    assert manager.try_again(shop.deps().books.try_token)
    assert row(shop, receipt).status == "waiting"
    shop.work()
    assert row(shop, receipt).status == "booked"


def test_a_sale_that_could_not_be_read_has_a_row_without_an_amount(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.poll()
    shop.cut_off("till")
    shop.work()
    (found,) = rows(shop)
    assert (found.status, found.amount_cents) == ("waiting", None)
    assert found.number
    shop.bring_back("till")
    with writing(shop.engine) as session:
        inbox.requeue(session, [found.event_id or 0], states=tuple(State))
    shop.work()
    assert [(each.status, each.amount_cents) for each in rows(shop)] == [("booked", 1250)]


def test_an_unpaid_receipt_is_open_and_a_drawer_movement_left_out(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)], payments=[])
    shop.settle()
    assert row(shop, receipt["receiptId"]).status == "open"
    moved = shop.till.move_cash(5000, "change")
    shop.settle()
    assert row(shop, moved["receiptId"]).status == "skipped"


def test_a_dry_run_leaves_no_row_and_an_order_has_none(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])
    assert shop.resend(receipt["receiptId"], dry_run=True).result is not None
    shop.till.take_order(lines=[sold(1003)])
    assert rows(shop) == []
    shop.settle()
    assert [each.sale_id for each in rows(shop)] == [receipt["receiptId"]]


def test_a_cancelled_sale_is_voided_and_stays_so_when_seen_again(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    shop.till.withdraw_receipt(receipt)
    shop.settle()
    assert row(shop, receipt).status == "voided"
    shop.retry(shop.newest(receipt))
    assert (row(shop, receipt).status, row(shop, receipt).amount_cents) == ("voided", 0)


def test_a_document_deleted_in_the_books_calls_for_a_person(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    first = shop.only("SalesReceipt")["Id"]
    shop.books.delete(REALM, "SalesReceipt", first)
    event = shop.hear_of("SalesReceipt", first, "delete", key="gone")
    assert (row(shop, receipt).status, row(shop, receipt).event_id) == ("needs_attention", event.id)
    shop.resend(receipt)
    assert (row(shop, receipt).status, row(shop, receipt).document_id) == ("booked", shop.only("SalesReceipt")["Id"])


def test_an_own_event_does_not_end_a_call_for_a_person_about_the_document(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    document = shop.only("SalesReceipt")
    shop.books.put(REALM, "SalesReceipt", {"Id": document["Id"], "PrivateNote": "changed by hand"})
    edit = shop.hear_of("SalesReceipt", document["Id"], "edited", key="edit")
    assert (edit.state, row(shop, receipt).status) == ("parked", "needs_attention")
    shop.retry(shop.newest(receipt))
    assert row(shop, receipt).status == "needs_attention"
    ignore(shop, edit)
    assert row(shop, receipt).status == "booked"


@on_both_databases
def test_a_sale_whose_event_parks_unread_when_tried_again_does_not_wait(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    document = shop.only("SalesReceipt")
    shop.books.put(REALM, "SalesReceipt", {"Id": document["Id"], "PrivateNote": "changed by hand"})
    edit = shop.hear_of("SalesReceipt", document["Id"], "edited", key="edit")
    with writing(shop.engine) as session:
        inbox.requeue(session, [edit.id], states=[State.PARKED])
        session.execute(update(InboxRow).where(col(InboxRow.id) == edit.id).values(crashes=retry_policy.MAX_CRASHES))
    assert row(shop, receipt).status == "waiting"
    shop.work()
    assert [(each.id, each.code) for each in shop.parked()] == [(edit.id, "crashed")]
    assert row(shop, receipt).status == "needs_attention"


def test_an_ignored_sale_without_a_document_is_ignored(shop: Shop) -> None:
    receipt = sell_unknown(shop)
    ignore(shop, shop.newest(receipt))
    assert row(shop, receipt).status == "ignored"


@on_both_databases
def test_the_sales_of_a_day_document_point_at_it(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(test_summaries.SETTINGS)
    receipts = [shop.till.sell(lines=[sold(1001, n)], when=test_summaries.NOON)["receiptId"] for n in (1, 2)]
    shop.settle()
    assert {each.status for each in rows(shop)} <= {"waiting", "booked"}
    test_summaries.handle(shop)
    document = shop.only("SalesReceipt")["Id"]
    assert [(row(shop, each).status, row(shop, each).document_id) for each in receipts] == [("booked", document)] * 2
    assert row(shop, receipts[1]).day == test_summaries.NOON.date()


@on_both_databases
def test_a_customers_name_is_kept_for_the_days_of_retention_only(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation)["invoiceId"]
    shop.settle()
    assert row(shop, invoice).customer == "Bakkerij Jansen"
    retention.purge(shop.engine, days=30)
    assert row(shop, invoice).customer == "Bakkerij Jansen"
    with writing(shop.engine) as session:
        aged = row(shop, invoice).updated_at - timedelta(days=31)
        session.execute(update(SaleRow).values(updated_at=aged))
    retention.purge(shop.engine, days=30)
    assert (row(shop, invoice).customer, row(shop, invoice).amount_cents) == (None, 10000)


def test_a_status_of_a_later_release_parks_the_sale_and_writes_nothing(shop: Shop) -> None:
    sale = str(shop.till.sell(lines=[sold(1001)])["receiptId"])
    shop.settle()
    before, document = shop.documents(), shop.only("SalesReceipt")
    known = update(LinkRow).where(col(LinkRow.source_id) == sale)
    with writing(shop.engine) as session:
        session.execute(known.values(status="reserved"))
    event = shop.resend(str(row(shop, sale).number))
    assert (event.state, event.code) == (State.PARKED, "unknown-status")
    assert event.record == f"sales receipt {document['DocNumber']}"
    assert "reserved" in (event.reason or "")
    assert "later release" in (event.fix or "")
    assert (row(shop, sale).status, row(shop, sale).document_id) == ("needs_attention", document["Id"])
    assert shop.documents() == before
    ignore(shop, event)
    assert row(shop, sale).status == "ignored"
    with writing(shop.engine) as session:
        session.execute(known.values(status="booked"))
    assert shop.resend(str(row(shop, sale).number)).state is not State.PARKED
    assert (row(shop, sale).status, shop.documents()) == ("booked", before)


@on_both_databases
def test_a_sale_is_found_by_its_articles_and_its_ways_to_pay(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002)], payments=[Tender("PIN", 3449), Tender("CONTANT", 50)])
    shop.settle()
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)])
    shop.settle()
    name = str(shop.till.till["articles"].get(1002)["description"])

    def find(**wanted: str) -> list[str]:
        with reading(shop.engine) as session:
            return [each.row.sale_id for each in sales_queries.find(session, SaleFilter(**wanted)).rows]  # type: ignore[arg-type]

    mine = [receipt["receiptId"]]
    assert (find(q="1002"), find(q=name[1:]), find(q="1003"), find(q="1009")) == (mine, mine, mine, [])
    assert find(kind="TillInvoice") == []
    with reading(shop.engine) as session:
        assert sales_queries.tenders(session)

"""A sale whose linked document is gone and whose next one is in the books: it is linked, and nobody is alarmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete
from sqlmodel import col

from gateway.database.session import writing
from gateway.store.links import LinkKind
from gateway.store.tables import LinkRow
from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, SALES, Shop, sold
from tests.handlers.test_orders_forgotten import follow_both, outcomes, restore, take_backup
from tests.handlers.test_orders_tenders import agree, books_money

Sold = tuple[list[Any], list[Tender]]
RECEIPT: Sold = [sold(1001)], [Tender("PIN", 1250)]
CHANGED: Sold = [sold(1001, 2)], [Tender("PIN", 2500)]
INVOICE: Sold = [sold(1001)], [Tender("PIN", 1000), Tender("CONTANT", 250)]
REFUND: Sold = [sold(1001, -1)], [Tender("PIN", -1250)]
MONEY_BESIDE: Sold = [sold(1001)], [Tender("PIN", 2000), Tender("CONTANT", -750)]
MORE_BESIDE: Sold = [sold(1001)], [Tender("PIN", 2500), Tender("CONTANT", -1250)]
KINDS = {
    "receipt to invoice": (RECEIPT, INVOICE),
    "receipt to refund": (RECEIPT, REFUND),
    "refund to receipt": (REFUND, RECEIPT),
    "invoice to refund": (INVOICE, REFUND),
    "receipt to money beside": (RECEIPT, MONEY_BESIDE),
    "money beside to refund": (MONEY_BESIDE, REFUND),
}
SIGNS = {"SalesReceipt": 1, "Invoice": 1, "RefundReceipt": -1, "CreditMemo": -1}


@pytest.fixture(params=[True, False], ids=["own numbers", "automatic numbers"])
def forgetful(request: pytest.FixtureRequest, open_shop: Callable[..., Shop]) -> Shop:
    """Books that do not store request ids, and a shop whose returns are credit memos on request."""
    shop = open_shop('[orders]\nsplit = "invoice"')
    shop.books.switches.request_ids = "forgotten"
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=request.param)
    return shop


def edit(shop: Shop, sale: Mapping[str, Any], becomes: Sold) -> None:
    lines, payments = becomes
    shop.till.edit_receipt(sale["receiptId"], lines=lines, payments=payments)


def sell(shop: Shop, was: Sold) -> dict[str, Any]:
    sale = shop.till.sell(lines=was[0], payments=was[1])
    shop.settle()
    return dict(sale)


def worth(shop: Shop) -> Decimal:
    """The signed total of all documents of the books."""
    return sum((SIGNS[entity] * row["TotalAmt"] for entity in SALES for row in shop.rows(entity)), Decimal(0))


def assert_in_books(shop: Shop, *becomes: Sold) -> None:
    """Every cent of these sales, and only of these, is in the books; nothing is parked, and the next poll is silent."""
    shop.settle()
    books_feed.poll(shop.deps())
    shop.work()
    assert [(event.entity, event.reason) for event in shop.parked()] == []
    paid = sum(each.amount_cents for _, tenders in becomes for each in tenders)
    assert sum(books_money(shop).values(), Decimal(0)) == Decimal(paid) / 100
    report = agree(shop)
    assert report["agrees"], report


@pytest.mark.parametrize("first", ["books", "till"])
def test_sales_of_another_kind_after_a_restored_backup_are_linked(forgetful: Shop, first: str) -> None:
    sales = [sell(forgetful, was) for was, _ in KINDS.values()]
    backup = take_backup(forgetful)
    for sale, (_, becomes) in zip(sales, KINDS.values(), strict=True):
        edit(forgetful, sale, becomes)
    forgetful.settle()
    documents = forgetful.documents()
    restore(forgetful, backup)
    follow_both(forgetful, first)
    assert_in_books(forgetful, *(becomes for _, becomes in KINDS.values()))
    assert {entity: len(rows) for entity, rows in forgetful.documents().items()} == {
        entity: len(rows) for entity, rows in documents.items()
    }


@pytest.mark.parametrize("first", ["books", "till"])
def test_sales_that_changed_their_kind_twice_around_a_restored_backup(forgetful: Shop, first: str) -> None:
    then = (CHANGED, INVOICE, REFUND)
    sales = [sell(forgetful, RECEIPT) for _ in then]
    backup = take_backup(forgetful)
    for sale in sales:
        edit(forgetful, sale, REFUND)
    forgetful.settle()
    restore(forgetful, backup)
    for sale, last in zip(sales, then, strict=True):
        edit(forgetful, sale, last)
    follow_both(forgetful, first)
    assert_in_books(forgetful, *then)


@pytest.mark.parametrize("first", ["books", "till"])
def test_sales_of_another_kind_that_are_then_cancelled_leave_nothing(forgetful: Shop, first: str) -> None:
    kinds = (INVOICE, REFUND)
    sales = [sell(forgetful, RECEIPT) for _ in kinds]
    backup = take_backup(forgetful)
    for sale, becomes in zip(sales, kinds, strict=True):
        edit(forgetful, sale, becomes)
    forgetful.settle()
    restore(forgetful, backup)
    for sale in sales:
        forgetful.till.withdraw_receipt(sale["receiptId"])
    follow_both(forgetful, first)
    assert_in_books(forgetful)


def test_a_deletion_reported_before_the_next_document_is_made_up_for(forgetful: Shop) -> None:
    sale = sell(forgetful, RECEIPT)
    backup = take_backup(forgetful)
    edit(forgetful, sale, REFUND)
    forgetful.settle()
    (made,) = forgetful.rows("RefundReceipt")
    forgetful.books.delete(REALM, "RefundReceipt", made["Id"])
    restore(forgetful, backup)
    assert outcomes(forgetful, "SalesReceipt") == [("parked", "gone-in-books")]
    again = {key: value for key, value in made.items() if key not in ("Id", "SyncToken", "MetaData")}
    forgetful.books.put(REALM, "RefundReceipt", again)
    books_feed.poll(forgetful.deps())
    forgetful.work()
    assert_in_books(forgetful, REFUND)


VERSIONS = [(RECEIPT, CHANGED), (RECEIPT, MONEY_BESIDE), (MONEY_BESIDE, MORE_BESIDE), (MONEY_BESIDE, RECEIPT)]


def test_a_version_that_another_installation_booked_is_brought_up_to_date(shop: Shop) -> None:
    shop.books.switches.request_ids = "forgotten"
    sales = [sell(shop, was) for was, _ in VERSIONS]
    with writing(shop.engine) as session:
        session.execute(delete(LinkRow).where(col(LinkRow.kind).in_([LinkKind.DOCUMENT, LinkKind.MONEY])))
    for sale, (_, becomes) in zip(sales, VERSIONS, strict=True):
        edit(shop, sale, becomes)
    assert_in_books(shop, *(becomes for _, becomes in VERSIONS))
    assert len(shop.rows("SalesReceipt")) == len(VERSIONS)


@pytest.mark.parametrize("how", ["changes nothing", "is resent", "is changed"])
def test_a_document_that_is_gone_with_no_other_one_is_reported(shop: Shop, how: str) -> None:
    sale = sell(shop, RECEIPT)
    shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
    if how == "is changed":
        edit(shop, sale, REFUND)
        shop.settle()
    else:
        assert outcomes(shop, "SalesReceipt") == [("parked", "gone-in-books")]
    assert [event.code for event in shop.parked()] == ["gone-in-books"]
    assert worth(shop) == 0
    if how == "is resent":
        assert shop.resend(sale["receiptId"]).state == "done"
        assert_in_books(shop, RECEIPT)


def test_the_next_document_that_a_person_edited_is_not_overwritten(forgetful: Shop) -> None:
    sale = sell(forgetful, RECEIPT)
    backup = take_backup(forgetful)
    edit(forgetful, sale, REFUND)
    forgetful.settle()
    (made,) = forgetful.rows("RefundReceipt")
    forgetful.books.put(REALM, "RefundReceipt", {"Id": made["Id"], "PrivateNote": f"seen {made['PrivateNote']}"})
    restore(forgetful, backup)
    follow_both(forgetful, "till")
    assert {event.code for event in forgetful.parked()} == {"edited-in-books"}
    assert forgetful.only("RefundReceipt")["PrivateNote"].startswith("seen")


TENDERS = {
    "money beside": ([("PIN", 2000), ("CONTANT", -750)], [("PIN", 2500), ("CONTANT", -1250)]),
    "money beside, dropped": ([("PIN", 2000), ("CONTANT", -750)], [("PIN", 1250)]),
    "money beside, new": ([("PIN", 1250)], [("PIN", 2000), ("CONTANT", -750)]),
    "payments": ([("PIN", 1000), ("CONTANT", 250)], [("PIN", 500), ("CONTANT", 750)]),
    "payments, one dropped": ([("PIN", 1000), ("CONTANT", 250)], [("PIN", 500), ("BON", 750)]),
}
THIRD = {
    "nothing": None,
    "back again": "was",
    "once more": [("PIN", 3000), ("CONTANT", -1750)],
    "in payments": [("PIN", 250), ("CONTANT", 1000)],
}


def by_tenders(tenders: list[tuple[str, int]]) -> Sold:
    return [sold(1001)], [Tender(method, cents) for method, cents in tenders]


@pytest.mark.parametrize("forgetful", [True], indirect=True, ids=["own numbers"])
@pytest.mark.parametrize("first", ["till", "webhooks"])
@pytest.mark.parametrize("third", THIRD.values(), ids=THIRD)
def test_money_that_changed_after_a_restored_backup_is_linked(forgetful: Shop, third: Any, first: str) -> None:
    sales = [sell(forgetful, by_tenders(was)) for was, _ in TENDERS.values()]
    backup = take_backup(forgetful)
    for sale, (_, becomes) in zip(sales, TENDERS.values(), strict=True):
        edit(forgetful, sale, by_tenders(becomes))
    forgetful.settle()
    restore(forgetful, backup)
    last = [by_tenders(was if third == "was" else third or becomes) for was, becomes in TENDERS.values()]
    if third:
        for sale, now in zip(sales, last, strict=True):
            edit(forgetful, sale, now)
    if first == "webhooks":
        for entity in ("Payment", *SALES):
            assert ("parked", "doubled") not in outcomes(forgetful, entity)
    follow_both(forgetful, first)
    assert_in_books(forgetful, *last)

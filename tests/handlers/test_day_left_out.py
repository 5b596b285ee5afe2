"""A sale that its day's document contained, and that is of another kind now: it gets a document of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from gateway.database.session import writing
from gateway.errors import Unanswered
from gateway.store import links
from gateway.store.links import BookingStatus, LinkKind
from handlers.deps import Deps
from handlers.polling import books_feed
from handlers.sales import booking, summaries
from handlers.sales.steps import Context
from handlers.sales.summaries import DayContext, Step
from handlers.sales.writers import UNLINKED
from mapping import sale_identity
from mapping.records import SaleKind
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import to_date
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_summaries import NOON, SETTINGS, handle, in_agreement

CARDS = f'{SETTINGS}[mapping]\nspecial_items = {{gift_card = "1002"}}\ngift_card_tenders = ["BON"]\n'


@pytest.mark.parametrize("later", [True, False])
def test_a_sale_of_a_day_that_becomes_a_debt_is_booked_alone(open_shop: Callable[..., Shop], *, later: bool) -> None:
    shop = open_shop(CARDS)
    shop.till.sell(lines=[sold(1001)], when=NOON)
    receipt = shop.till.sell(lines=[sold(1003)], when=NOON)
    handle(shop)
    cards = [Tender("BON", 10500), Tender("CONTANT", -500)]
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=cards, when=NOON)
    handle(shop)
    assert shop.parked() == []
    alone = [row for row in shop.rows("SalesReceipt") if receipt["receiptId"] in row["PrivateNote"]]
    assert [row["TotalAmt"] for row in alone] == [0]
    if later:  # it keeps its own document
        paid = [Tender("PIN", 10000)]
        shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=paid, when=NOON)
        shop.till.sell(lines=[sold(1001)], when=NOON)
        handle(shop)
        (kept,) = [row for row in shop.rows("SalesReceipt") if receipt["receiptId"] in row["PrivateNote"]]
        assert kept["TotalAmt"] == 100
    books_feed.poll(shop.deps())
    handle(shop)
    assert shop.parked() == []
    in_agreement(shop)


def leave(shop: Shop) -> str:
    """A day of two sales is booked, then one of them is paid by a gift card; its id."""
    shop.till.sell(lines=[sold(1001)], when=NOON)
    receipt = shop.till.sell(lines=[sold(1003)], when=NOON)
    handle(shop)
    cards = [Tender("BON", 10500), Tender("CONTANT", -500)]
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=cards, when=NOON)
    return str(receipt["receiptId"])


def alone(shop: Shop, sale_id: str) -> list[dict[str, Any]]:
    return [row for row in shop.rows("SalesReceipt") if sale_id in row["PrivateNote"]]


def test_its_document_that_is_seen_before_it_is_linked_stays(
    open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop(CARDS)
    sale_id, died = leave(shop), list[str]()

    def die_once(known: Context, deps: Deps) -> Context:
        if not died:
            died.append(known.document.id)
            raise Unanswered("the worker died")
        return booking.store_link(known, deps)

    stages = tuple(die_once if stage is booking.store_link else stage for stage in booking.BOOK)
    monkeypatch.setattr(booking, "BOOK", stages)
    shop.poll()
    while not died:
        with writing(shop.engine) as session:
            session.execute(text("UPDATE inbox SET due_at = NULL WHERE state = 'waiting'"))
        shop.work()
    books_feed.poll(shop.deps())  # before the sale is tried again
    shop.work()
    handle(shop)
    assert [row["Id"] for row in alone(shop, sale_id)] == died
    assert [(event.code, event.reason) for event in shop.parked()] == []
    in_agreement(shop)


def test_a_summary_that_counted_before_it_was_booked_keeps_its_document(
    open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop(CARDS)
    sale_id, link, others = leave(shop), summaries.STEPS[Step.LINK], list[DayContext]()

    def link_and_count_again(known: DayContext, deps: Deps) -> Any:
        result = link(known, deps)
        if known.left and not others:
            other: Any = summaries.STEPS[Step.COUNT](known, deps)
            others.append(other)
            shop.work_abreast(shop.newest(sale_id).id)
            while isinstance(other, DayContext):
                other = summaries.STEPS[summaries.decide(other)](other, deps)
        return result

    monkeypatch.setattr(summaries, "STEPS", {**summaries.STEPS, Step.LINK: link_and_count_again})
    handle(shop)
    assert [[sale.id for sale in other.left] for other in others] == [[sale_id]]
    shop.till.edit_receipt(sale_id, lines=[sold(1003)], payments=[Tender("PIN", 10000)], when=NOON)
    handle(shop)
    books_feed.poll(shop.deps())
    handle(shop)
    assert [row["TotalAmt"] for row in alone(shop, sale_id)] == [100]
    assert [(event.code, event.reason) for event in shop.parked()] == []
    in_agreement(shop)


@pytest.mark.parametrize("paid", ["by a gift card", "as before", "not at all"])
def test_a_sale_that_the_till_moves_to_another_day_does_not_wait_for_ever(
    open_shop: Callable[..., Shop], paid: str
) -> None:
    shop = open_shop(CARDS)
    shop.till.sell(lines=[sold(1001)], when=NOON)
    receipt = shop.till.sell(lines=[sold(1003)], when=NOON)
    handle(shop)
    later, lines, payments = NOON + timedelta(days=1), [sold(1003)], [Tender("PIN", 10000)]
    if paid == "by a gift card":
        payments = [Tender("BON", 10500), Tender("CONTANT", -500)]
    if paid == "not at all":
        lines, payments = [], []
    shop.till.till["receipts"].get(receipt["receiptId"])["financialDate"] = to_date(later.date())
    shop.till.edit_receipt(receipt["receiptId"], lines=lines, payments=payments, when=later)
    handle(shop)
    assert {event.state for event in shop.events(flow="orders")} == {"done"}
    assert len(alone(shop, receipt["receiptId"])) == (paid == "by a gift card")
    shop.till.sell(lines=[sold(1001)], when=later)
    handle(shop)
    assert {event.state for event in shop.events(flow="orders")} == {"done"}
    in_agreement(shop)


def test_a_late_document_of_a_sale_whose_former_day_has_none_is_linked(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(CARDS)
    sale_id = leave(shop)
    handle(shop)
    (document,) = alone(shop, sale_id)
    link = shop.deps().read(links.find, LinkKind.DOCUMENT, sale_id)
    assert link is not None
    left = dataclasses.replace(link, status=BookingStatus.LEFT_OUT, day=f"1:{NOON.date()}")
    shop.deps().save_links(dataclasses.replace(left, target_entity="", target_id=""))
    event = shop.hear_of("SalesReceipt", document["Id"], UNLINKED, key="late")
    handle(shop)
    assert (event.state, event.reason, shop.parked()) == ("done", "its sale is handled again", [])
    assert alone(shop, sale_id) == [document]
    now = shop.deps().read(links.find, LinkKind.DOCUMENT, sale_id)
    assert now is not None
    assert (now.target_entity, now.target_id) == ("SalesReceipt", document["Id"])


def test_a_late_document_of_a_sale_in_a_day_of_nothing_is_removed(
    open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, made = open_shop(CARDS), list[str]()

    def lose_answer(known: Context, _: Deps) -> Context:
        made.append(known.document.id)
        raise Unanswered("the worker died")

    stages = tuple(lose_answer if stage is booking.store_link else stage for stage in booking.BOOK)
    monkeypatch.setattr(booking, "BOOK", stages)
    cards = [Tender("BON", 10500), Tender("CONTANT", -500)]
    receipt = shop.till.sell(lines=[sold(1003)], payments=cards, when=NOON)
    shop.settle()
    assert [row["Id"] for row in alone(shop, receipt["receiptId"])] == made
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)], when=NOON)
    shop.till.sell(lines=[sold(1003, -1)], payments=[Tender("PIN", -10000)], when=NOON)
    handle(shop)
    for _ in range(2):
        books_feed.poll(shop.deps())
        handle(shop)
    (told,) = shop.parked()
    assert (told.code, told.entity, told.target_id) == ("doubled-removed", "SalesReceipt", None)
    assert shop.documents() == {}
    in_agreement(shop)


def test_a_late_document_of_a_cancelled_sale_without_a_day_is_removed(
    open_shop: Callable[..., Shop],
) -> None:
    shop = open_shop(CARDS)
    sale_id = leave(shop)
    handle(shop)
    (document,) = alone(shop, sale_id)
    (beside,) = [row for row in shop.rows("RefundReceipt") if sale_id in row["PrivateNote"]]
    shop.books.delete(REALM, "RefundReceipt", beside["Id"])  # its writer died before this
    shop.till.withdraw_receipt(sale_id)
    sale = shop.deps().till.sales(SaleKind.RECEIPT, [sale_id])[0]
    link = shop.deps().read(links.find, LinkKind.DOCUMENT, sale_id)
    assert link is not None
    left = dataclasses.replace(link, status=BookingStatus.LEFT_OUT, day=f"1:{NOON.date()}")
    left = dataclasses.replace(left, target_entity="", target_id="", fingerprint=sale_identity.content(sale))
    shop.deps().save_links(left)
    shop.hear_of("SalesReceipt", document["Id"], UNLINKED, key="late")
    handle(shop)
    assert alone(shop, sale_id) == []
    assert [event.code for event in shop.parked()] == ["doubled-removed"]
    in_agreement(shop)

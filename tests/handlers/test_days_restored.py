"""A day whose documents a restored backup does not know: they are linked, and only what is missing is booked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_day_left_out import CARDS
from tests.handlers.test_orders_forgotten import Backup, restore, take_backup
from tests.handlers.test_summaries import NOON, SETTINGS, ask, handle, in_agreement


@pytest.fixture(params=[True, False], ids=["own numbers", "automatic numbers"])
def shop(request: pytest.FixtureRequest, open_shop: Callable[..., Shop]) -> Shop:
    """A document per day, in books that do not store request ids."""
    shop = open_shop(SETTINGS)
    shop.books.switches.request_ids = "forgotten"
    shop.books.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", value=request.param)
    return shop


def book(shop: Shop, *parts: int, branch: int = 1) -> None:
    """A part of the day for each of these pieces sold."""
    for pieces in parts:
        shop.till.sell(branch, 1, lines=[sold(1002, pieces), sold(1001)], when=NOON)
        handle(shop)


def by_tag(shop: Shop) -> dict[str, dict[str, Any]]:
    """Every document of the books, by what its marker names after the word day."""
    rows = [row for found in shop.documents().values() for row in found]
    return {row["PrivateNote"].partition("[kassabridge:day:")[2].partition("]")[0]: row for row in rows}


def assert_whole(shop: Shop, *parts: str, branch: int = 1) -> None:
    """These parts are in the books, each once, and the day is the till's to the cent; nothing waits or is parked."""
    first = f"{branch}:{NOON.date()}"
    assert [tag for tag in sorted(by_tag(shop)) if tag.startswith(first)] == [first + part for part in parts]
    assert [(each.code, each.reason) for each in shop.parked()] == []
    assert {event.state for event in shop.events(entity="Day")} == {"done"}
    in_agreement(shop)


@pytest.mark.parametrize("parts", [(3, 1), (3, 1, 2)])
def test_a_day_with_corrections_is_linked_after_a_restored_backup(shop: Shop, parts: tuple[int, ...]) -> None:
    backup = take_backup(shop)
    book(shop, *parts)
    before = by_tag(shop)
    restore(shop, backup)
    handle(shop)
    assert by_tag(shop) == before
    assert_whole(shop, "", *[f":{n}" for n in range(2, len(parts) + 1)])


def test_a_backup_between_two_corrections_loses_none_of_them(shop: Shop) -> None:
    book(shop, 3)
    backup = take_backup(shop)
    book(shop, 1, 2)
    restore(shop, backup)
    handle(shop)
    assert_whole(shop, "", ":2", ":3")


@pytest.mark.parametrize(("deleted", "present"), [(":2", ("", ":2")), ("", (":2", ":3"))])
def test_a_part_that_was_deleted_is_booked_again(shop: Shop, deleted: str, present: tuple[str, ...]) -> None:
    backup = take_backup(shop)
    book(shop, 3, 1)
    shop.books.delete(REALM, "SalesReceipt", by_tag(shop)[f"1:{NOON.date()}{deleted}"]["Id"])
    restore(shop, backup)
    handle(shop)
    assert_whole(shop, *present)


@pytest.mark.parametrize("booked_before", [(), (3,)])
def test_a_hole_between_parts_is_filled_behind_them(shop: Shop, booked_before: tuple[int, ...]) -> None:
    book(shop, *booked_before)
    backup = take_backup(shop)
    book(shop, *(3, 1, 2)[len(booked_before) :])
    shop.books.delete(REALM, "SalesReceipt", by_tag(shop)[f"1:{NOON.date()}:2"]["Id"])
    restore(shop, backup)
    handle(shop)
    assert_whole(shop, "", ":3", ":4")


def test_what_is_sold_after_the_restore_is_the_next_correction(shop: Shop) -> None:
    backup = take_backup(shop)
    book(shop, 3, 1)
    restore(shop, backup)
    shop.till.sell(lines=[sold(1003)], when=NOON)
    handle(shop)
    assert by_tag(shop)[f"1:{NOON.date()}:3"]["TotalAmt"] == 100
    assert_whole(shop, "", ":2", ":3")


def test_a_sale_taken_back_leaves_a_refund_that_is_found(shop: Shop) -> None:
    backup = take_backup(shop)
    receipt = shop.till.sell(lines=[sold(1003)], when=NOON)
    book(shop, 3)
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1002)], when=NOON)
    handle(shop)
    assert len(shop.rows("RefundReceipt")) == 1
    restore(shop, backup)
    handle(shop)
    assert_whole(shop, "", ":2")


@pytest.mark.parametrize("sold_meanwhile", [(), (2,)])
def test_a_refund_that_alone_is_left_of_a_day_counts(shop: Shop, sold_meanwhile: tuple[int, ...]) -> None:
    backup = take_backup(shop)
    receipt = shop.till.sell(lines=[sold(1003)], when=NOON)
    book(shop, 3)
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1002)], when=NOON)
    handle(shop)
    shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
    restore(shop, backup)
    book(shop, *sold_meanwhile)
    handle(shop)
    assert_whole(shop, ":2", ":3")


@pytest.mark.parametrize("sold_meanwhile", [(), (2,)])
@pytest.mark.parametrize("corrected", [False, True])
def test_money_that_alone_is_left_of_a_day_counts(
    shop: Shop, sold_meanwhile: tuple[int, ...], *, corrected: bool
) -> None:
    backup = take_backup(shop)
    if corrected:
        book(shop, 3)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 12000), Tender("CONTANT", -2000)], when=NOON)
    handle(shop)
    for row in shop.rows("SalesReceipt"):
        shop.books.delete(REALM, "SalesReceipt", row["Id"])
    assert len(shop.rows("RefundReceipt")) == 1
    restore(shop, backup)
    book(shop, *sold_meanwhile)
    handle(shop)
    in_agreement(shop)
    assert [(each.code, each.reason) for each in shop.parked()] == []


def test_a_day_paid_in_several_ways_is_read_back_by_its_payments(shop: Shop) -> None:
    backup = take_backup(shop)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 12000), Tender("CONTANT", -2000)], when=NOON)
    handle(shop)
    rows = sum(map(len, shop.documents().values())), len(shop.rows("Payment"))
    restore(shop, backup)
    shop.till.sell(lines=[sold(1001)], payments=[Tender("CONTANT", 1250)], when=NOON)
    handle(shop)
    assert (sum(map(len, shop.documents().values())), len(shop.rows("Payment"))) == (rows[0] + 1, rows[1])
    assert all(row["Balance"] == 0 for row in shop.rows("Invoice"))
    assert_whole(shop, *sorted(tag.removeprefix(f"1:{NOON.date()}") for tag in by_tag(shop)))


@pytest.mark.parametrize("sold_meanwhile", [(), (2,)])
def test_a_part_whose_payments_were_never_posted_is_booked_anew(shop: Shop, sold_meanwhile: tuple[int, ...]) -> None:
    backup = take_backup(shop)
    shop.books.injected.plan("POST payment", "reset", times=-1, skip=1)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)], when=NOON)
    handle(shop)
    assert shop.only("Invoice")["Balance"] > 0
    shop.books.injected.planned.clear()
    restore(shop, backup)
    book(shop, *sold_meanwhile)
    handle(shop)
    assert_whole(shop, ":2" if sold_meanwhile else "")
    assert shop.only("Invoice")["Balance"] == 0


def test_a_payment_that_a_person_entered_on_an_unfinished_part_stays(shop: Shop) -> None:
    backup = take_backup(shop)
    shop.books.injected.plan("POST payment", "reset", times=-1, skip=1)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)], when=NOON)
    handle(shop)
    shop.books.injected.planned.clear()
    invoice = shop.only("Invoice")
    line = {"Amount": Decimal(15), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
    body = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": Decimal(15), "Line": [line]}
    entered = shop.books.put(REALM, "Payment", body)
    restore(shop, backup)
    book(shop, 2)
    (told,) = [each for each in shop.parked() if each.entity == "Day"]
    assert told.code == "incident"
    assert (shop.only("Invoice")["Balance"], sorted(row["TotalAmt"] for row in shop.rows("Payment"))) == (25, [15, 60])
    shop.books.delete(REALM, "Payment", entered["Id"])
    shop.retry(told)
    handle(shop)
    assert_whole(shop, ":2")


def test_the_days_of_two_branches_are_told_apart(shop: Shop) -> None:
    backup = take_backup(shop)
    book(shop, 3, 1)
    book(shop, 2, 4, 1, branch=2)
    restore(shop, backup)
    handle(shop)
    assert_whole(shop, "", ":2")
    assert_whole(shop, "", ":2", ":3", branch=2)


def test_books_that_tax_a_sum_leave_no_correction_of_cents(shop: Shop) -> None:
    shop.books.switches.tax_rounding, shop.books.switches.tax_override = "code", "ignore"
    backup = take_backup(shop)
    for price in (1000, 333, 1999, 7, 101, 103):
        shop.till.sell(lines=[sold(1001, price_cents=price), sold(1002, price_cents=price)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1001, price_cents=77)], when=NOON)
    handle(shop)
    restore(shop, backup)
    handle(shop)
    assert len(by_tag(shop)) == 2
    restore(shop, backup)
    shop.till.sell(lines=[sold(1001, price_cents=605)], when=NOON)
    handle(shop)
    assert shop.parked() == []
    assert by_tag(shop)[f"1:{NOON.date()}:3"]["TotalAmt"] == Decimal("6.05")
    assert len(by_tag(shop)) == 3


def test_a_rate_and_a_way_to_pay_that_the_day_has_no_more_are_read_back(shop: Shop) -> None:
    backup = take_backup(shop)
    both = [Tender("CONTANT", 100), Tender("PIN", 567)]
    receipt = shop.till.sell(lines=[sold(1002), sold(1002)], payments=both, when=NOON)
    book(shop, 3)
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1001)], payments=[Tender("PIN", 1250)], when=NOON)
    handle(shop)
    parts = [tag.removeprefix(f"1:{NOON.date()}") for tag in sorted(by_tag(shop))]
    restore(shop, backup)
    handle(shop)
    assert_whole(shop, *parts)


@pytest.mark.parametrize("sold_meanwhile", [(), (2,)])
def test_two_vat_codes_of_one_rate_are_read_back_as_one(shop: Shop, sold_meanwhile: tuple[int, ...]) -> None:
    backup = take_backup(shop)
    shop.till.sell(lines=[sold(1001, vat_rate=2100), sold(1002, 9, vat_rate=2100)], when=NOON)
    handle(shop)
    before = by_tag(shop)
    restore(shop, backup)
    for pieces in sold_meanwhile:
        shop.till.sell(lines=[sold(1002, pieces, vat_rate=2100)], when=NOON)
    handle(shop)
    assert {tag: row for tag, row in by_tag(shop).items() if tag in before} == before
    assert_whole(shop, "", *[":2" for _ in sold_meanwhile])


def test_tenders_that_are_one_way_to_pay_in_the_books_move_no_money(shop: Shop) -> None:
    shop.books.put(REALM, "PaymentMethod", {"Name": "Card"})
    shop.switch(f'{SETTINGS}[mapping.payment_methods]\nmode = "force"\nvalue = "Card"\n')
    backup = take_backup(shop)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)], when=NOON)
    shop.till.sell(lines=[sold(1001)], payments=[Tender("CONTANT", 1250)], when=NOON)
    handle(shop)
    shop.till.sell(lines=[sold(1001)], payments=[Tender("CONTANT", 1250)], when=NOON)
    handle(shop)
    restore(shop, backup)
    handle(shop)
    assert sorted(by_tag(shop)) == [f"1:{NOON.date()}", f"1:{NOON.date()}:2"]
    assert shop.parked() == []


def restored(shop: Shop) -> Backup:
    """A day of two parts that a restored backup does not know, and that is linked again; returns the backup."""
    backup = take_backup(shop)
    book(shop, 3, 1)
    restore(shop, backup)
    handle(shop)
    return backup


def test_a_part_that_was_linked_again_comes_back_by_a_resend(shop: Shop) -> None:
    restored(shop)
    shop.books.delete(REALM, "SalesReceipt", by_tag(shop)[f"1:{NOON.date()}:2"]["Id"])
    ask(shop, f"1:{NOON.date()}")
    assert_whole(shop, "", ":2")


def test_a_document_edited_by_hand_is_told_and_all_deleted_is_booked_anew(shop: Shop) -> None:
    backup = take_backup(shop)
    book(shop, 3, 1)
    first = by_tag(shop)[f"1:{NOON.date()}"]
    more = {"Id": first["Id"], "Line": [*first["Line"], first["Line"][0]], "TxnTaxDetail": None}
    shop.books.put(REALM, "SalesReceipt", more)
    restore(shop, backup)
    handle(shop)
    (told,) = [each for each in shop.parked() if each.entity == "Day"]
    assert (told.code, "delete all documents of this day" in (told.fix or "")) == ("incident", True)
    for row in by_tag(shop).values():
        shop.books.delete(REALM, "SalesReceipt", row["Id"])
    shop.retry(told)
    handle(shop)
    assert_whole(shop, "")


def test_an_ordinary_day_costs_a_read_per_kind_of_document(shop: Shop) -> None:
    book(shop, 3)
    before = shop.books.ledger.metered.total()
    book(shop, 1)
    assert shop.books.ledger.metered.total() - before == 3


@pytest.mark.parametrize("updated", [False, True])
def test_a_sale_alone_that_its_day_has_after_a_restore_is_removed(shop: Shop, *, updated: bool) -> None:
    shop.switch(CARDS)
    backup = take_backup(shop)
    cards = [Tender("BON", 10500), Tender("CONTANT", -500)]
    receipt = shop.till.sell(lines=[sold(1003)], payments=cards, when=NOON)
    handle(shop)
    assert len(shop.rows("RefundReceipt")) == 1
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1003)], payments=[Tender("PIN", 10000)], when=NOON)
    if updated:
        handle(shop)
    restore(shop, backup)
    handle(shop)
    for _ in range(2):
        books_feed.poll(shop.deps())
        handle(shop)
    assert sorted(by_tag(shop)) == [f"1:{NOON.date()}"]
    in_agreement(shop)

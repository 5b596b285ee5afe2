"""A day's document that arrives twice, because a request was late: one of them is removed, and it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_orders_identity import number_by_themselves, pass_time
from tests.handlers.test_summaries import NOON, SETTINGS, handle, in_agreement


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with a document per day, in books that forget request ids and number by themselves."""
    shop = open_shop(SETTINGS)
    number_by_themselves(shop)
    shop.books.switches.request_ids = "forgotten"
    shop.till.sell(lines=[sold(1001)], when=NOON)
    return shop


def copy(shop: Shop, row: dict[str, Any], **fields: object) -> str:
    """A second document with the same content and marker."""
    names = ("CustomerRef", "Line", "PrivateNote", "TxnDate", "TxnTaxDetail", "DepartmentRef", "PaymentMethodRef")
    again = {name: row[name] for name in names if name in row}
    made = shop.books.put(REALM, "SalesReceipt", {**again, "GlobalTaxCalculation": "TaxExcluded", **fields})
    return str(made["Id"])


def test_a_day_whose_first_request_arrives_late_ends_with_one_document(shop: Shop) -> None:
    shop.books.injected.plan("POST salesreceipt", "hold")
    handle(shop)
    assert len(shop.rows("SalesReceipt")) == 1
    shop.books.injected.let_go()
    assert len(shop.rows("SalesReceipt")) == 2
    pass_time(shop, 20)
    (kept,) = shop.rows("SalesReceipt")
    assert [(each.code, each.target_id) for each in shop.parked()] == [("doubled-removed", kept["Id"])]
    in_agreement(shop)


@pytest.mark.parametrize(("touched", "code"), [(False, "doubled-removed"), (True, "doubled")])
def test_a_second_document_of_a_day_is_found_by_change_data_capture(shop: Shop, touched: bool, code: str) -> None:
    handle(shop)
    books_feed.poll(shop.deps())
    row = shop.only("SalesReceipt")
    twin = copy(shop, row)
    if touched:
        shop.books.put(REALM, "SalesReceipt", {"Id": twin, "CustomerMemo": {"value": "touched"}})
    books_feed.poll(shop.deps())
    shop.work()
    (told,) = shop.parked()
    assert (told.code, told.record) == (code, f"day {NOON.date()} of branch 1")
    assert len(shop.rows("SalesReceipt")) == 1 + touched


def test_a_correction_of_a_day_is_no_second_document(shop: Shop) -> None:
    handle(shop)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 10000)], when=NOON)
    handle(shop)
    books_feed.poll(shop.deps())
    handle(shop)
    assert shop.parked() == []
    assert len(shop.rows("SalesReceipt")) == 2
    in_agreement(shop)

"""A sale that its day's document contained, and that is of another kind now: it gets a document of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import Shop, sold
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

"""A history that is doctored in any one way must not pass; one that is in order must."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tests.chaos.checker import check
from tests.chaos.history import Entry, History, Money, Row, Sale, Twin

NET = ("branch 1", "2026-03-14", "net", "21 %")
PAID = ("branch 1", "2026-03-14", "paid", "Pinbetaling")
MONEY: Money = {NET: 1033, PAID: 1250}
SALE = Sale("r1", "1.1.2026.1", 1, date(2026, 3, 14), counts=True, money=MONEY)
EMPTIED = Sale("r2", "1.1.2026.2", 1, date(2026, 3, 14), counts=False)
INVOICE = Entry("Invoice", "7", "r1", "[kassabridge:receipt:r1]", {NET: 1033})
PAYMENT = Entry("Payment", "8", "r1", "[kassabridge:receipt:r1] {pay:p1}", {PAID: 1250})
MONEY_BESIDE = Entry("SalesReceipt", "10", "r1:CASH:2026-03-15", "[kassabridge:receipt:r1:CASH:2026-03-15]", {})
ARTICLE = Twin("article", "4001", "Mug at 1250 cents", ("Mug at 1250 cents",))
DONE = Row(1, "qbo:1:a", "done")
PARKED = Row(2, "qbo:1:b", "parked", reason="the article is unknown", fix="add it, then retry")
GOOD = History(
    acknowledged=frozenset({"qbo:1:a", "qbo:1:b"}),
    rows=(DONE, PARKED),
    sales=(SALE, EMPTIED),
    entries=(INVOICE, PAYMENT),
    twins=(ARTICLE,),
    texts={"web.log": b"nothing to see"},
    secrets={"the till's secret": "open sesame"},
)
DOCTORED = {
    "an acknowledged event is not stored": ("lost", replace(GOOD, rows=(DONE,))),
    "a parked event says nothing": ("lost", replace(GOOD, rows=(DONE, replace(PARKED, reason=None)))),
    "a parked event knows no way out": ("lost", replace(GOOD, rows=(DONE, replace(PARKED, fix="")))),
    "a sale is not in the books": ("lost", replace(GOOD, entries=(PAYMENT,))),
    "an article is not there": ("lost", replace(GOOD, twins=(replace(ARTICLE, found=()),))),
    "an article has an old price": ("lost", replace(GOOD, twins=(replace(ARTICLE, found=("Mug at 5 cents",)),))),
    "a sale has two documents": ("doubled", replace(GOOD, entries=(INVOICE, PAYMENT, replace(INVOICE, id="9")))),
    "a payment stands twice": ("doubled", replace(GOOD, entries=(INVOICE, PAYMENT, replace(PAYMENT, id="9")))),
    "a document of no sale stands": ("doubled", replace(GOOD, entries=(INVOICE, PAYMENT, replace(INVOICE, sale="r2")))),
    "money beside a sale stands twice": (
        "doubled",
        replace(GOOD, entries=(INVOICE, PAYMENT, MONEY_BESIDE, replace(MONEY_BESIDE, id="11"))),
    ),
    "an event is stored twice": ("doubled", replace(GOOD, rows=(DONE, PARKED, replace(DONE, id=3)))),
    "two articles have one number": ("doubled", replace(GOOD, twins=(replace(ARTICLE, found=ARTICLE.found * 2),))),
    "an event waits for ever": ("unsettled", replace(GOOD, rows=(DONE, PARKED, Row(3, "k", "received")))),
    "an event is worked on by nobody": ("unsettled", replace(GOOD, rows=(DONE, PARKED, Row(3, "k", "working")))),
    "a secret is in a log": ("leaked", replace(GOOD, texts={"web.log": b"he said open sesame"})),
    "a cent is missing in the books": (
        "different",
        replace(GOOD, entries=(INVOICE, replace(PAYMENT, money={PAID: 1249}))),
    ),
    "a day too many is in the books": ("different", replace(GOOD, sales=(replace(SALE, money={NET: 1033}), EMPTIED))),
    "the gateway itself sees a difference": ("different", replace(GOOD, agreed="1 difference")),
}


def test_a_history_in_order_passes() -> None:
    assert not any(check(GOOD).values())
    assert not any(check(replace(GOOD, entries=(*GOOD.entries, MONEY_BESIDE))).values())


@pytest.mark.parametrize("how", DOCTORED)
def test_a_doctored_history_fails_for_its_invariant(how: str) -> None:
    invariant, history = DOCTORED[how]
    assert check(history)[invariant], how


def test_what_is_worked_on_without_a_lease_is_said_so() -> None:
    kept, left = Row(1, "k", "working", leased=True), Row(2, "l", "working")
    told = check(History(rows=(kept, left)))["unsettled"]
    assert ["without a lease" in each for each in told] == [False, True]


def test_a_return_outweighs_a_sale_cell_by_cell() -> None:
    back = replace(SALE, id="r3", money={NET: -1033, PAID: -1250})
    history = History(sales=(SALE, back))
    assert check(history)["different"] == []

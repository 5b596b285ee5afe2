"""A document is changed, removed or replaced by its last SyncToken, without a metered read; an edited one is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from gateway.database.session import writing
from gateway.store.tables import InboxRow
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold

CASH_BACK = (Tender("PIN", 2000), Tender("CONTANT", -750))
HALVES = (Tender("PIN", 1000), Tender("CONTANT", 250))
OTHER_HALVES = (Tender("PIN", 250), Tender("CONTANT", 1000))
Act = Callable[[Shop, dict[str, Any]], Any]


def withdraw(shop: Shop, made: dict[str, Any]) -> None:
    shop.till.withdraw_receipt(made["receiptId"])


def pay(*tenders: Tender) -> Act:
    return lambda shop, made: shop.till.edit_receipt(made["receiptId"], lines=[sold(1001)], payments=tenders)


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop whose lists are read, and in which each way to pay was seen."""
    opened = open_shop()
    for tenders in (CASH_BACK, HALVES):
        opened.till.sell(lines=[sold(1001)], payments=tenders)
    opened.settle()
    return opened


def sell(shop: Shop, *tenders: Tender) -> tuple[dict[str, Any], dict[str, Any]]:
    """A sale and its document."""
    made = shop.till.sell(lines=[sold(1001)], payments=tenders or None)
    shop.settle()
    event = shop.newest(made["receiptId"])
    return dict(made), shop.find(event.target_entity or "", Id=event.target_id)


def reads_of(shop: Shop, act: Act, made: dict[str, Any]) -> dict[str, int]:
    before = shop.books.ledger.counts[REALM].copy()
    act(shop, made)
    shop.settle()
    found = shop.books.ledger.counts[REALM] - before
    return {call: n for call, n in found.items() if call.split()[0] in {"read", "query"}}


ACTS: dict[str, tuple[tuple[Tender, ...], Act, dict[str, int]]] = {
    "cancelled, with cash beside it": (CASH_BACK, withdraw, {}),
    "its cash given back is not any more": (CASH_BACK, pay(Tender("PIN", 1250)), {"read SalesReceipt": 1}),
    "paid in two ways now": ((), pay(*HALVES), {}),
    "paid otherwise": (HALVES, pay(*OTHER_HALVES), {"read Invoice": 2}),
}


@pytest.mark.parametrize(("tenders", "act", "reads"), ACTS.values(), ids=ACTS)
def test_a_changed_sale_is_written_with_the_fewest_reads(
    shop: Shop, tenders: tuple[Tender, ...], act: Act, reads: dict[str, int]
) -> None:
    made, _ = sell(shop, *tenders)
    assert reads_of(shop, act, made) == reads
    assert not shop.parked()


@pytest.mark.parametrize("act", [withdraw, pay(*HALVES)], ids=["cancelled", "of another kind"])
@pytest.mark.parametrize("tenders", [(), CASH_BACK], ids=["alone", "with cash beside it"])
def test_an_edited_document_is_not_removed_unread(shop: Shop, act: Act, tenders: tuple[Tender, ...]) -> None:
    made, document = sell(shop, *tenders)
    shop.books.put(REALM, "SalesReceipt", edited(document))
    before = shop.documents()
    act(shop, made)
    shop.settle()
    (parked,) = shop.parked()
    assert "was edited in QuickBooks" in (parked.reason or "")
    assert shop.documents() == before


def edited(document: dict[str, Any]) -> dict[str, Any]:
    lines = [dict(line) for line in document["Line"] if line["DetailType"] == "SalesItemLineDetail"]
    amount = lines[0]["Amount"] + 1
    lines[0] |= {"Amount": amount, "SalesItemLineDetail": lines[0]["SalesItemLineDetail"] | {"UnitPrice": amount}}
    return {"Id": document["Id"], "Line": lines, "TxnTaxDetail": None}


def test_money_that_a_person_edited_is_removed_with_its_sale(shop: Shop) -> None:
    made, _ = sell(shop, *CASH_BACK)
    (*_, beside) = shop.rows("RefundReceipt")
    shop.books.put(REALM, "RefundReceipt", {"Id": beside["Id"], "CustomerMemo": {"value": "thank you"}})
    withdraw(shop, made)
    shop.settle()
    assert beside["Id"] not in {row["Id"] for row in shop.rows("RefundReceipt")}
    assert not shop.parked()


def test_money_beside_a_voided_sale_is_removed_by_a_later_attempt(shop: Shop) -> None:
    made, document = sell(shop, *CASH_BACK)
    (*_, beside) = shop.rows("RefundReceipt")
    shop.books.injected.plan("POST refundreceipt", "error_500")
    withdraw(shop, made)
    shop.settle()
    assert shop.find("SalesReceipt", Id=document["Id"])["TotalAmt"] == 0
    with writing(shop.engine) as session:
        session.execute(update(InboxRow).values(due_at=None))
    shop.work()
    assert shop.books.injected.struck == 1
    assert beside["Id"] not in {row["Id"] for row in shop.rows("RefundReceipt")}
    assert not shop.parked()

"""Webhooks about one document in any order: that it was removed is told, whatever else is heard of it."""

from __future__ import annotations

import pytest

from gateway.store.events import Change, Flow
from sandbox.mpluskassa.documents import Tender
from tests.handlers.counter import capture
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_dry_runs import void

LATER = pytest.mark.parametrize("later", ["Create", "Update", "Emailed"])
REMOVED = pytest.mark.parametrize("operation", ["Delete", "Void"])


def remove(shop: Shop, operation: str) -> str:
    """A booked sale whose document is removed in the books; returns its id."""
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    row = shop.only("SalesReceipt")
    if operation == "Void":
        void(shop, "SalesReceipt", row)
    else:
        shop.books.delete(REALM, "SalesReceipt", row["Id"])
    return str(row["Id"])


def webhook(entity: str, row_id: str, operation: str) -> Change:
    key = f"heard-{operation}"
    return Change(key, Flow.ORDERS, "webhook", entity, row_id, connection="default", operation=operation)


@REMOVED
@LATER
def test_a_removal_told_stays_told_when_an_older_hint_comes(shop: Shop, operation: str, later: str) -> None:
    document = remove(shop, operation)
    shop.hear_of("SalesReceipt", document, operation, key="removal")
    shop.hear_of("SalesReceipt", document, later, key="late")
    assert [event.code for event in shop.parked()] == ["gone-in-books"]


@REMOVED
@LATER
def test_a_removal_heard_with_another_hint_is_told(shop: Shop, operation: str, later: str) -> None:
    document = remove(shop, operation)
    shop.receive(webhook("SalesReceipt", document, operation))
    shop.hear_of("SalesReceipt", document, later, key="late")
    assert [event.code for event in shop.parked()] == ["gone-in-books"]


@LATER
def test_an_edit_told_stays_told_when_an_older_hint_comes(shop: Shop, later: str) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    capture(shop)
    row = shop.only("SalesReceipt")
    shop.books.put(REALM, "SalesReceipt", {"Id": row["Id"], "TxnDate": "2026-01-02"})
    capture(shop)
    assert [event.code for event in shop.parked()] == ["edited-in-books"]
    shop.hear_of("SalesReceipt", row["Id"], later, key="late")
    assert [event.code for event in shop.parked()] == ["edited-in-books"]


@LATER
def test_a_payment_removed_is_told_with_another_hint(shop: Shop, later: str) -> None:
    shop.till.sell(lines=[sold(1001)], payments=[Tender("PIN", 1000), Tender("CONTANT", 250)])
    shop.settle()
    payment = shop.rows("Payment")[0]["Id"]
    shop.books.delete(REALM, "Payment", payment)
    shop.receive(webhook("Payment", payment, "Delete"))
    shop.hear_of("Payment", payment, later, key="late")
    capture(shop)
    assert [event.code for event in shop.parked()] == ["gone-in-books"]

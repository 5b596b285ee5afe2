"""One read of change data capture for everything that is followed in the books."""

from __future__ import annotations

import pytest

from gateway.errors import Transient
from handlers.polling import books_feed
from tests.handlers.shop import REALM, Shop, sold

TOO_MANY = 1100


def book(shop: Shop) -> str:
    shop.till.sell(lines=[sold(1003)])
    shop.settle()
    return str(shop.rows("SalesReceipt")[-1]["Id"])


def happen(shop: Shop) -> tuple[str, str]:
    """A document is deleted and an item made, and no webhook tells of either."""
    deleted = book(shop)
    shop.books.delete(REALM, "SalesReceipt", deleted)
    return deleted, str(shop.add_item("4001")["Id"])


def look(shop: Shop) -> set[tuple[str, str]]:
    found = [shop.event(each) for each in books_feed.poll(shop.deps())]
    return {(event.entity, event.entity_id) for event in found}


def reads(shop: Shop) -> int:
    return shop.books.ledger.metered.total()


def test_a_deleted_document_and_a_new_item_are_found_with_one_read(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    before = reads(shop)
    assert {("SalesReceipt", deleted), ("Item", item)} <= look(shop)
    assert reads(shop) == before + 1
    shop.work()
    before = reads(shop)
    assert look(shop) == set()
    assert reads(shop) == before + 1


def test_when_one_answer_has_no_room_each_is_read_by_itself_and_nothing_is_missed(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    body = {"Type": "Service", "IncomeAccountRef": {"value": shop.account("Sales of Product Income")}}
    many = {shop.books.put(REALM, "Item", {**body, "Name": f"Service {n}"})["Id"] for n in range(TOO_MANY)}
    assert {("SalesReceipt", deleted), ("Item", item), *(("Item", id_) for id_ in many)} <= look(shop)


def test_what_one_feed_cannot_read_does_not_hold_up_the_other(shop: Shop) -> None:
    look(shop)
    deleted, item = happen(shop)
    shop.books.tricks.plan("GET cdc", "error_500")
    with pytest.raises(Transient):
        books_feed.poll(shop.deps())
    assert [event.entity_id for event in shop.events(entity="SalesReceipt")] == [deleted]
    assert {("Item", item)} <= look(shop)

"""Two people resend at the same moment, with hints in between: one effect, and both get the result."""

from __future__ import annotations

import pytest

from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.store import inbox, requests
from gateway.store.events import Change, Event, Flow
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

pytestmark = on_both_databases


@pytest.fixture
def deleted(shop: Shop) -> str:
    """A booked sale whose document was deleted in the books."""
    receipt = shop.till.sell(lines=[sold(1001, 2)])
    shop.settle()
    document = shop.only("SalesReceipt")["Id"]
    shop.books.delete(REALM, "SalesReceipt", document)
    assert shop.hear_of("SalesReceipt", document, "Delete", key="gone").code == "gone-in-books"
    return str(receipt["receiptId"])


def press(shop: Shop, order: str, *people: str) -> list[int]:
    """Receive a request for the order from each of these; it is not handled yet."""
    with writing(shop.engine) as session:
        earlier = activity.find_order(session, order)
        asked = [requests.resend(order, connection="default", earlier=earlier, actor=person) for person in people]
        return [received.id for received in inbox.receive(session, asked)]


def outcome(shop: Shop, event_id: int) -> Event:
    """The result for the requester: the event, or the one that replaced it."""
    with reading(shop.engine) as session:
        event = activity.take_snapshot(session, event_id).event
        after = activity.find_next(session, event)
    return outcome(shop, after) if after else event


def test_two_resends_at_once_make_one_document_and_both_get_the_result(shop: Shop, deleted: str) -> None:
    asked = press(shop, deleted, "admin", "cli")
    shop.work_abreast(*asked)
    reported = [outcome(shop, each) for each in asked]
    assert [event.state for event in reported] == ["done", "done"]
    assert {event.target_id for event in reported} == {shop.only("SalesReceipt")["Id"]}


def test_an_unknown_sale_looked_up_by_id_and_by_number_is_booked_once(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Jan", email="jan@example.nl")
    made = shop.till.invoice(lines=[sold(1001)], relation=relation["relationNumber"])
    number = "{year}.{number}".format(**made["invoiceNumber"])
    asked = [*press(shop, made["invoiceId"], "admin"), *press(shop, number, "cli")]
    shop.work_abreast(*asked)
    reported = [outcome(shop, each) for each in asked]
    assert [event.state for event in reported] == ["done", "done"]
    assert {event.target_id for event in reported} == {shop.only("Invoice")["Id"]}


def test_a_request_is_not_lost_when_a_newer_hint_replaces_it(shop: Shop, deleted: str) -> None:
    (asked,) = press(shop, deleted, "admin")
    hint = Change("hint", Flow.ORDERS, "mpluskassa.poll", "Receipt", deleted, "default")
    second = shop.receive(Change("hint 2", Flow.ORDERS, "mpluskassa.poll", "Receipt", deleted, "default"))
    assert shop.receive(hint) > second > asked
    shop.work_abreast(second)
    assert outcome(shop, asked).state == "done"
    assert outcome(shop, asked).target_id == shop.only("SalesReceipt")["Id"]

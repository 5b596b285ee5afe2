"""A refusal by the books is reported with the field and the fix, and the event continues after the fix."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import AUTH_LOST, GatewayError
from gateway.store import inbox, requests
from gateway.store.alerts import AlertCause, Thresholds, find_causes
from gateway.store.events import State
from gateway.store.tables import InboxRow, LinkRow
from tests.handlers.shop import REALM, Shop, sold

WRONG = "keys and address belong to different environments"


def find_all_causes(shop: Shop) -> list[AlertCause]:
    """The messages about the connection and what is parked."""
    with reading(shop.engine) as session:
        return [
            cause
            for cause in find_causes(session, Thresholds(timedelta(hours=1), 500_000))
            if not cause.key.startswith("process/")
        ]


def find_parked_causes(shop: Shop) -> list[AlertCause]:
    """The messages about parked events."""
    return [cause for cause in find_all_causes(shop) if cause.key.startswith("parked/")]


def test_a5_a_wrong_environment_is_reported_and_no_login_is_lost(shop: Shop) -> None:
    shop.books.companies[REALM].elsewhere = True
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code) == ("parked", "130")
    assert WRONG in (event.reason or "")
    assert "QUICKBOOKS_ENVIRONMENT" in (event.fix or "")
    (cause,) = find_parked_causes(shop)
    assert "QUICKBOOKS_ENVIRONMENT" in cause.fix
    shop.books.companies[REALM].elsewhere = False
    assert shop.retry(event).state == "done"


def test_a5_the_check_names_the_wrong_environment(shop: Shop) -> None:
    shop.books.companies[REALM].elsewhere = True
    event_id = shop.receive(requests.check_up(connection="default"))
    shop.work()
    found = {row["check"]: row for row in json.loads(shop.event(event_id).result or "[]")}
    assert WRONG in found["QuickBooks"]["said"]
    assert "login refused" not in found["QuickBooks"]["said"]
    assert "QUICKBOOKS_ENVIRONMENT" in found["QuickBooks"]["fix"]


def test_a_kind_of_document_the_plan_lacks_is_named(shop: Shop) -> None:
    shop.books.companies[REALM].denied = ["SalesReceipt"]
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code, event.field) == ("parked", "5020", "SalesReceipt")
    assert "SalesReceipt: Permission Denied Error" in (event.reason or "")
    assert "plan" in (event.fix or "")
    shop.books.companies[REALM].denied = []
    assert shop.retry(event).state == "done"


def test_an_ended_subscription_is_reported_though_the_token_is_valid(shop: Shop) -> None:
    shop.books.companies[REALM].subscription_ended = True
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    with writing(shop.engine) as session:
        inbox.park_lost(session, code=AUTH_LOST)  # as the clock does
    assert shop.event(event.id).state == "parked"
    (cause,) = find_all_causes(shop)
    assert (cause.key, cause.detail) == ("refused/default", "the company's QuickBooks subscription has ended")
    shop.books.companies[REALM].subscription_ended = False
    assert shop.retry(event).state == "done"


def test_a_sale_parked_long_ago_for_a_login_is_booked_once(shop: Shop) -> None:
    """Such events were left parked by the release before, and are tried again at the first poll of this one."""
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    with writing(shop.engine) as session:  # it was booked, by this gateway or by hand, and nothing is known of it here
        session.execute(delete(LinkRow).where(col(LinkRow.source_id) == receipt["receiptId"]))
        ago = {"state": "parked", "code": AUTH_LOST, "received_at": moment(-9e6), "updated_at": moment(-9e6)}
        session.execute(update(InboxRow).where(col(InboxRow.id) == event.id).values(ago))
        assert inbox.find_refused(session, "default") == [event.id]
        inbox.requeue(session, [event.id], states=[State.PARKED])
    shop.work()
    assert (shop.event(event.id).state, len(shop.rows("SalesReceipt"))) == ("done", 1)


def test_a_kind_of_document_refused_alone_lets_others_go_on(shop: Shop) -> None:
    shop.books.injected.plan("POST salesreceipt", "forbidden", times=-1)
    receipt = shop.till.sell(lines=[sold(1001)])
    relation = shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1001)], relation=relation)
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code) == ("parked", AUTH_LOST)
    assert "QuickBooks takes other calls of this connection" in (event.reason or "")
    assert shop.newest(invoice["invoiceId"]).state == "done"
    with writing(shop.engine) as session:
        assert inbox.park_lost(session, code=AUTH_LOST) == 0
        session.execute(update(InboxRow).values(received_at=moment(-60), updated_at=moment(-40)))
        assert inbox.find_refused(session, "default") == [event.id]
    shop.books.injected.clear()
    assert shop.retry(event).state == "done"


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"DisplayName": "x" * 501}, "2050", "DisplayName: String length specified does not match"),
        ({"DisplayName": "Jansen: en zoon"}, "2040", "Unsupported characters in DisplayName"),
        ({"DisplayName": "A", "PrimaryEmailAddr": {"Address": "jansen bij huis"}}, "2210", "RFC 822"),
        ({"DisplayName": "A", "BillAddr": {"PostalCode": "x" * 31}}, "2050", "Max:30 supported. Supplied length:31"),
    ],
)
def test_a_value_the_books_do_not_take_is_named(shop: Shop, body: dict[str, object], code: str, said: str) -> None:
    with pytest.raises(GatewayError) as refused:
        shop.deps().books.write("Customer", body, "r1", dict)
    assert refused.value.code == code
    assert said in refused.value.reason
    assert "jansen" not in refused.value.reason.lower()

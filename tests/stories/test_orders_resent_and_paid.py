"""Orders through the real processes: two people press at once, an invoice is paid in parts, a document is deleted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from tests.servers import wait_until
from tests.stories.stage import REALM, Stage

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def test_two_people_who_press_resend_at_once_get_one_document(stage: Stage) -> None:
    stage.add_item("3001", "7.77")
    stage.add_article(3001, 777, 2)
    receipt = stage.sell(ItemSold(3001))  # before the gateway knew the till: never polled
    stage.migrate()
    stage.start()

    def press(who: int) -> httpx.Response:
        return stage.post(f"orders/{receipt['receiptId']}/resend?wait=40", {"reason": f"asked by {who}"})

    with ThreadPoolExecutor(4) as people:
        answers = list(people.map(press, range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["state"] for answer in answers} <= {"done", "skipped"}
    assert [document["TotalAmt"] for document in stage.documents()] == [Decimal("7.77")]


def test_an_invoice_is_booked_paid_in_parts_and_comes_back_when_deleted(stage: Stage) -> None:
    stage.add_item("3002", "100.00")
    stage.add_article(3002, 10000, 2)
    relation = stage.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    sold = [ItemSold(3002)]
    invoice = stage.till.invoice(lines=sold, relation=relation["relationNumber"])
    wait_until(lambda: stage.documents("Invoice"), seconds=20, what="the invoice in the books")
    stage.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 4000)])
    wait_until(lambda: stage.documents("Invoice")[0]["Balance"] == 60, seconds=20, what="the first payment")
    stage.till.pay_invoice(invoice["invoiceId"], [Tender("CONTANT", 6000)])
    wait_until(lambda: stage.documents("Invoice")[0]["Balance"] == 0, seconds=20, what="the second payment")
    wait_until(lambda: not _open(stage), seconds=20, what="all events to end")
    assert len(stage.documents("Payment")) == 2
    for payment in stage.documents("Payment"):
        stage.books.delete(REALM, "Payment", payment["Id"])
    stage.books.delete(REALM, "Invoice", stage.documents("Invoice")[0]["Id"])
    wait_until(lambda: len(stage.events(state="parked")) == 3, seconds=20, what="the losses to be shown")
    again = stage.post(f"orders/{invoice['invoiceId']}/resend?wait=30", {"reason": "deleted by mistake"})
    assert again.json()["state"] == "done", again.text
    assert [(row["TotalAmt"], row["Balance"]) for row in stage.documents("Invoice")] == [(100, 0)]


def _open(stage: Stage) -> list[object]:
    return [event for event in stage.events() if event["state"] not in {"done", "skipped", "parked"}]

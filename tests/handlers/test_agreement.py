"""Compare till and books after trade: equal to the cent, or every difference is reported with its record."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from gateway import catalogue
from gateway.database.session import writing
from gateway.database.sql import moment
from gateway.store import requests
from gateway.store.tables import InboxRow
from mapping.agreement import to_text
from mapping.records import DocumentKind
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, Shop, sold

Report = dict[str, Any]


def agree(shop: Shop, days_back: int = 6) -> Report:
    today = datetime.now(AMSTERDAM).date()
    change = requests.agree(connection="default", start=today - timedelta(days=days_back), through=today)
    event_id = shop.receive(change)
    shop.work()
    event = shop.event(event_id)
    assert event.state == "done", event.reason
    report: Report = json.loads(event.result or "{}")
    assert report["unexplained_cents"] == 0
    assert explained(report) == different(report)
    return report


def explained(report: Report) -> dict[tuple[Any, ...], int]:
    sums: dict[tuple[Any, ...], int] = {}
    for row in report["rows"]:
        for each in row["differences"]:
            key = (each["branch"], each["day"], each["measure"], each["key"])
            sums[key] = sums.get(key, 0) + each["cents"]
    return {key: cents for key, cents in sums.items() if cents}


def different(report: Report) -> dict[tuple[Any, ...], int]:
    return {
        (c["branch"], c["day"], c["measure"], c["key"]): c["difference"] for c in report["cells"] if c["difference"]
    }


def causes(report: Report) -> list[str]:
    return [row["cause"] for row in report["rows"]]


@pytest.mark.parametrize("rates", ["zero", "own"])
@pytest.mark.parametrize("method", ["VAT-METHOD-SHIFTED", "VAT-METHOD-NONE"])
def test_sales_without_vat_agree_and_the_journals_own_rows_confirm_them(
    open_shop: Callable[..., Shop], method: str, rates: str
) -> None:
    shop = open_shop('[mapping]\nshifted_tax_code = "0% BTW"\n')
    shop.till.till.switches.untaxed_rates = rates
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    shop.till.invoice(lines=[sold(1003), sold(1002)], relation=relation, vat_method=method)
    shop.till.sell(lines=[sold(1001)], vat_method=method)
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert shop.parked() == []
    report = agree(shop)
    assert report["journal"] == {"asked": True, "agrees": True, "differences": []}
    assert report["agrees"], to_text(report)


def test_a_vat_code_whose_rate_changed_is_booked_at_both_rates(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001, 3), sold(1001, vat_rate=900), sold(1002, 2)])
    shop.settle()
    assert shop.parked() == []
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(sale["totalInclAmount"]) / 100
    report = agree(shop)
    assert report["agrees"], to_text(report)


@pytest.mark.parametrize("counts", ["moved_money", "sales"])
def test_a_journal_may_leave_out_what_the_drawer_took_and_gave(shop: Shop, counts: str) -> None:
    shop.till.till.switches.journals_count = counts
    shop.till.sell(lines=[sold(1001)])
    shop.till.move_cash(5000, "Wisselgeld")
    shop.settle()
    assert agree(shop)["agrees"]
    hidden = shop.till.sell(lines=[sold(1001)])
    hidden["_hidden"] = True
    report = agree(shop)
    assert {(each["measure"], each["cents"] > 0) for each in report["journal"]["differences"]} == {
        ("net", True), ("vat", True), ("tender", True)
    }  # fmt: skip


def test_a_mixed_day_agrees_to_the_cent_and_the_journal_confirms_it(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    first = shop.till.sell(lines=[sold(1001, 3, discount_percent=Decimal(10)), sold(1002, 7)])
    shop.till.sell(2, 1, lines=[sold(1002)], payments=[Tender("CONTANT", 333)])
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)])
    shop.till.refund(first["receiptId"], {1002: Decimal(2)}, "PIN")
    shop.till.invoice(lines=[sold(1003, 2)], relation=relation, payments=[Tender("IDEAL", 5000)])
    shop.till.move_cash(-2000, "Naar de bank")
    shop.settle()
    report = agree(shop)
    assert report["rows"] == []
    assert report["journal"] == {"asked": True, "agrees": True, "differences": []}
    assert report["agrees"]
    assert {cell["branch"] for cell in report["cells"]} == {1, 2}
    assert {cell["key"] for cell in report["cells"] if cell["measure"] == "tender"} == {
        "Pinbetaling",
        "Contant",
        "iDEAL",
    }
    assert "cash taken out" in report["not_sales"]
    assert "AGREES" in to_text(report)


def test_a_parked_sale_is_reported_with_its_event_and_reason(shop: Shop) -> None:
    shop.till.add_product({"description": "New", "articleList": {"article": [
        {"articleNumber": 1999, "description": "New", "priceIncl": 500, "vatCode": 2, "turnoverGroup": 1}
    ]}})  # fmt: skip
    receipt = shop.till.sell(lines=[sold(1999)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    shop.resend(receipt["receiptId"], dry_run=True)  # says nothing of why it is not booked
    (row,) = agree(shop)["rows"]
    assert (row["cause"], row["event"], row["state"]) == ("not booked", event.id, "parked")
    assert "1999" in row["reason"]
    said = catalogue.say("de", row["reason"], shop.newest("default").messages)
    assert said.startswith(f"Ereignis {event.id}: bitte prüfen: ")
    assert said.removeprefix(f"Ereignis {event.id}: bitte prüfen: ") == catalogue.say(
        "de", event.reason, event.messages
    )
    assert sum(each["cents"] for each in row["differences"] if each["measure"] != "tender") == -500


def test_an_unknown_sale_is_reported_as_such(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    report = agree(shop)
    assert causes(report) == ["not booked"]
    assert "never heard of" in report["rows"][0]["reason"]
    assert not report["agrees"]
    assert report["journal"]["agrees"]


def test_voids_deletions_and_edits_in_the_books_are_reported_per_document(shop: Shop) -> None:
    for _ in range(4):
        shop.till.sell(lines=[sold(1001, 2), sold(1002)])
    shop.settle()
    assert agree(shop)["agrees"]
    voided, deleted, changed, moved = shop.rows("SalesReceipt")
    void(shop, voided)
    shop.books.delete(REALM, "SalesReceipt", deleted["Id"])
    line = changed["Line"][0]
    shop.books.put(REALM, "SalesReceipt", {"Id": changed["Id"], "Line": [line], "TxnTaxDetail": None})
    day = datetime.now(AMSTERDAM).date() - timedelta(days=1)
    shop.books.put(REALM, "SalesReceipt", {"Id": moved["Id"], "TxnDate": day.isoformat(), "PrivateNote": "by hand"})
    report = agree(shop)
    assert sorted(causes(report)) == [
        "amounts differ",
        "booked on another day",
        "deleted in the books",
        "voided in the books",
    ]
    named = {row["cause"]: row["documents"] for row in report["rows"]}
    assert [each["id"] for each in named["deleted in the books"]] == [deleted["Id"]]
    assert named["booked on another day"] == [
        {"entity": "SalesReceipt", "id": moved["Id"], "number": moved["DocNumber"]}
    ]


def test_a_document_moved_out_of_the_days_asked_for_is_looked_up(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    document = shop.only("SalesReceipt")
    later = datetime.now(AMSTERDAM).date() - timedelta(days=40)
    shop.books.put(REALM, "SalesReceipt", {"Id": document["Id"], "TxnDate": later.isoformat()})
    assert causes(agree(shop)) == ["booked on another day"]


def test_a_double_is_reported_with_both_documents(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    document = shop.only("SalesReceipt")
    keep = (
        "Line",
        "CustomerRef",
        "TxnDate",
        "PrivateNote",
        "DepartmentRef",
        "PaymentMethodRef",
        "GlobalTaxCalculation",
    )
    shop.books.put(REALM, "SalesReceipt", {name: document[name] for name in keep if name in document})
    report = agree(shop)
    assert causes(report) == ["booked twice"]
    assert len(report["rows"][0]["documents"]) == 2


def test_another_branch_and_another_payment_method_are_reported_as_such(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.till.sell(lines=[sold(1002)])
    shop.settle()
    first, second = shop.rows("SalesReceipt")
    amersfoort = shop.find("Department", Name="Winkel Amersfoort")["Id"]
    cash = shop.find("PaymentMethod", Name="Cash")["Id"]
    shop.books.put(REALM, "SalesReceipt", {"Id": first["Id"], "DepartmentRef": {"value": amersfoort}})
    shop.books.put(REALM, "SalesReceipt", {"Id": second["Id"], "PaymentMethodRef": {"value": cash}})
    assert sorted(causes(agree(shop))) == ["booked at another branch", "paid by another method"]


def test_a_document_with_our_marker_and_no_sale_at_the_till_is_reported(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    document = shop.only("SalesReceipt")
    keep = ("Line", "CustomerRef", "TxnDate", "DepartmentRef", "PaymentMethodRef", "GlobalTaxCalculation")
    body = {name: document[name] for name in keep if name in document}
    shop.books.put(REALM, "SalesReceipt", {**body, "PrivateNote": "x [kassabridge:receipt:no-such-sale]"})
    shop.books.put(REALM, "SalesReceipt", {**body, "PrivateNote": "entered by hand"})
    report = agree(shop)
    assert causes(report) == ["not known at the till"]
    assert (report["others_in_books"]["documents"], report["others_in_books"]["cents"]) == (1, 1250)


def test_unpaid_receipts_are_left_out_by_the_settings(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], payments=[])
    shop.settle()
    (row,) = agree(shop)["rows"]
    assert row["cause"] == "left out by the settings"
    assert "not paid yet" in row["reason"]


def test_a_receipt_with_an_edited_payment_method_is_reported(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 10000)])
    shop.settle()
    receipt, cash = shop.only("SalesReceipt"), shop.find("PaymentMethod", Name="Cash")
    shop.books.put(REALM, "SalesReceipt", {"Id": receipt["Id"], "PaymentMethodRef": {"value": cash["Id"]}})
    (row,) = agree(shop)["rows"]
    assert row["cause"] == "paid by another method"
    assert sum(each["cents"] for each in row["differences"]) == 0


def test_the_reads_are_counted_and_do_not_grow_with_the_number_of_sales(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    few = agree(shop)["reads"]["quickbooks"]
    for _ in range(12):
        shop.till.sell(lines=[sold(1001)])
    shop.settle()
    report = agree(shop)
    assert report["agrees"]
    assert 0 < report["reads"]["quickbooks"] <= few


def test_a_sale_that_is_being_booked_this_moment_is_waited_for(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.poll()
    asked = shop.receive(requests.agree(connection="default", start=None, through=None))
    with writing(shop.engine) as session:
        session.execute(update(InboxRow).where(col(InboxRow.id) != asked).values(due_at=moment(3600)))
    shop.work()
    assert shop.event(asked).state == "waiting"
    assert "on their way" in (shop.event(asked).reason or "")
    with writing(shop.engine) as session:
        session.execute(update(InboxRow).values(due_at=None))
    shop.work()
    shop.retry(shop.event(asked))
    assert json.loads(shop.event(asked).result or "{}")["agrees"]


def test_a_way_to_pay_that_is_added_while_we_look_has_its_name(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    document = shop.only("SalesReceipt")

    def pay_otherwise() -> None:
        added = shop.books.put(REALM, "PaymentMethod", {"Name": "Tikkie"})
        shop.books.put(REALM, "SalesReceipt", {"Id": document["Id"], "PaymentMethodRef": {"value": added["Id"]}})

    shop.till.misbehaviour.meanwhile["getJournals"] = [pay_otherwise]
    report = agree(shop)
    assert {cell["key"] for cell in report["cells"] if cell["measure"] == "tender"} == {"Pinbetaling", "Tikkie"}


def test_too_long_a_period_is_refused_in_words(shop: Shop) -> None:
    today = datetime.now(AMSTERDAM).date()
    change = requests.agree(connection="default", start=today - timedelta(days=200), through=today)
    event_id = shop.receive(change)
    shop.work()
    event = shop.event(event_id)
    assert event.state == "parked"
    assert "92 days" in (event.reason or "")


def void(shop: Shop, document: dict[str, Any]) -> None:
    """Edit like a bookkeeper: the marker stays in the note."""
    deps = shop.deps()
    deps.books.void_document(DocumentKind.SALES_RECEIPT, document["Id"], document["SyncToken"], "by-hand")

"""A person edits the books, or another program books too: every cent is assigned to its record."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.database.session import open_engine
from mapping.agreement import to_text
from mapping.records import DocumentKind
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.quickbooks.demo import tax_code_id
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_agreement import Report, agree, causes

Document = dict[str, Any]
_KEPT = ("Line", "CustomerRef", "TxnDate", "DepartmentRef", "PaymentMethodRef", "GlobalTaxCalculation")


def delete(shop: Shop, document: Document) -> None:
    shop.books.delete(REALM, "SalesReceipt", document["Id"])


def void(shop: Shop, document: Document) -> None:
    shop.deps().books.void_document(
        DocumentKind.SALES_RECEIPT, document["Id"], document["SyncToken"], f"by-hand-{document['Id']}"
    )


def change(shop: Shop, document: Document, **fields: Any) -> None:
    shop.books.put(REALM, "SalesReceipt", {"Id": document["Id"], **fields})


def lower(shop: Shop, document: Document) -> None:
    change(shop, document, Line=document["Line"][:1], TxnTaxDetail=None)


def move(shop: Shop, document: Document) -> None:
    change(shop, document, TxnDate=(datetime.now(AMSTERDAM).date() - timedelta(days=3)).isoformat())


def tax_otherwise(shop: Shop, document: Document) -> None:
    """The same total, as if it were all taxed at 9 %."""
    line = document["Line"][0]
    net = (document["TotalAmt"] / Decimal("1.09")).quantize(Decimal("0.01"))
    code = {"value": tax_code_id(shop.company, 9)}
    own = {"ItemRef": line["SalesItemLineDetail"]["ItemRef"], "TaxCodeRef": code}
    change(shop, document, Line=[{**line, "Amount": net, "SalesItemLineDetail": own}], TxnTaxDetail=None)


def pay_in_cash(shop: Shop, document: Document) -> None:
    change(shop, document, PaymentMethodRef={"value": shop.find("PaymentMethod", Name="Cash")["Id"]})


def put_elsewhere(shop: Shop, document: Document) -> None:
    change(shop, document, DepartmentRef={"value": shop.find("Department", Name="Winkel Amersfoort")["Id"]})


def book_beside(shop: Shop, document: Document) -> None:
    """Another connector books the same sale, under the same number, without our marker."""
    body = {name: document[name] for name in _KEPT if name in document}
    number = document["DocNumber"].removeprefix("R")
    shop.books.put(REALM, "SalesReceipt", {**body, "DocNumber": number, "PrivateNote": "imported"})


DAMAGES: dict[str, Callable[[Shop, Document], None]] = {
    "deleted in the books": delete,
    "voided in the books": void,
    "amounts differ": lower,
    "booked on another day": move,
    "another VAT rate": tax_otherwise,
    "paid by another method": pay_in_cash,
    "booked at another branch": put_elsewhere,
    "booked twice": book_beside,
}


def ring_up(shop: Shop, sales: int) -> None:
    for _ in range(sales):
        shop.till.sell(lines=[sold(1001, 2), sold(1003)])
    shop.settle()


@pytest.mark.timeout(240)
@settings(max_examples=5, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(sorted(DAMAGES)), min_size=1, max_size=8))
def test_each_damaged_record_is_named_with_its_cents_and_the_remedy(migrated_sqlite: Path, done: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="kb"))
    shutil.copy(migrated_sqlite, folder / "shop.db")
    engine = open_engine(f"sqlite:///{folder / 'shop.db'}")
    shop = Shop(engine)
    try:
        ring_up(shop, len(done) + 1)
        for what, document in zip(done, shop.rows("SalesReceipt"), strict=False):
            DAMAGES[what](shop, document)
        report = agree(shop)
        assert sorted(causes(report)) == sorted(done)
        assert len({row["record"] for row in report["rows"]}) == len(done)
        assert all(row["fix"] and row["documents"] and row["differences"] for row in report["rows"])
    finally:
        shop.close()
        engine.dispose()
        shutil.rmtree(folder, ignore_errors=True)


def only_row(report: Report) -> dict[str, Any]:
    (row,) = report["rows"]
    return dict(row)


def named(record: dict[str, Any]) -> str:
    return record.get("DocNumber") or f"with the id {record['Id']}"


def test_a_sale_another_connector_booked_too_names_documents_and_cents(shop: Shop) -> None:
    ring_up(shop, 1)
    ours = shop.only("SalesReceipt")
    book_beside(shop, ours)
    report = agree(shop)
    row = only_row(report)
    theirs = next(each for each in shop.rows("SalesReceipt") if each["Id"] != ours["Id"])
    assert {each["id"] for each in row["documents"]} == {ours["Id"], theirs["Id"]}
    assert f"sales receipt {named(theirs)} was booked by something else" in row["reason"]
    assert sum(each["cents"] for each in row["differences"] if each["measure"] != "tender") == 12500
    assert "void all but one" in row["fix"]
    assert report["others_in_books"]["documents"] == 0


def test_an_unknown_document_is_named_beside_the_sale_it_looks_like(shop: Shop) -> None:
    ring_up(shop, 1)
    ours = shop.only("SalesReceipt")
    body = {name: ours[name] for name in _KEPT if name in ours}
    shop.books.put(REALM, "SalesReceipt", {**body, "PrivateNote": "entered by hand"})
    report = agree(shop)
    assert report["agrees"]
    (other,) = report["others_in_books"]["records"]
    assert (other["cents"], other["like"]) == (12500, f"receipt {ours['DocNumber'].removeprefix('R')}")
    assert f"sales receipt {named({'Id': other['id']})} of " in to_text(report)
    assert "same day and amount as receipt" in to_text(report)


def pay_invoice(shop: Shop) -> dict[str, Any]:
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    shop.till.invoice(lines=[sold(1003)], relation=relation, payments=[Tender("PIN", 4000)])
    shop.settle()
    return shop.only("Payment")


def test_a_changed_payment_is_named_with_what_it_misses(shop: Shop) -> None:
    payment = pay_invoice(shop)
    line = {**payment["Line"][0], "Amount": Decimal(25)}
    shop.books.put(REALM, "Payment", {"Id": payment["Id"], "TotalAmt": Decimal(25), "Line": [line]})
    row = only_row(agree(shop))
    assert row["cause"] == "payments differ"
    assert row["reason"] == f"the till took 40.00, the books hold 25.00 (payment {payment['PaymentRefNum']})"
    assert row["fix"].startswith(f"correct payment {payment['PaymentRefNum']}")


def test_a_payment_on_another_day_is_not_taken_for_a_moved_sale(shop: Shop) -> None:
    payment = pay_invoice(shop)
    day = datetime.now(AMSTERDAM).date() - timedelta(days=2)
    shop.books.put(REALM, "Payment", {"Id": payment["Id"], "TxnDate": day.isoformat()})
    row = only_row(agree(shop))
    assert (row["cause"], f"the money on {day}" in row["reason"]) == ("paid on another day", True)


def test_a_payment_by_bank_makes_no_difference_but_is_reported(shop: Shop) -> None:
    pay_invoice(shop)
    invoice = shop.only("Invoice")
    link = {"Amount": Decimal(60), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
    today = datetime.now(AMSTERDAM).date().isoformat()
    body = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": Decimal(60), "Line": [link], "TxnDate": today}
    made = shop.books.put(REALM, "Payment", body)
    report = agree(shop)
    assert report["agrees"]
    assert report["payments_in_books_only"]["cents"] == 6000
    assert f"payment {made.get('PaymentRefNum') or named(made)}" in to_text(report)


def test_an_open_receipt_paid_on_a_later_day_agrees_on_both_days(shop: Shop) -> None:
    now = datetime.now(AMSTERDAM)
    receipt = shop.till.sell(lines=[sold(1001)], payments=[], when=now - timedelta(days=3))
    shop.settle()
    assert causes(agree(shop)) == ["left out by the settings"]
    shop.till.pay_receipt(receipt["receiptId"], [Tender("PIN", 1250)], when=now - timedelta(days=1))
    shop.settle()
    assert shop.only("Invoice")["TxnDate"] == (now - timedelta(days=3)).date().isoformat()
    assert shop.only("Payment")["TxnDate"] == (now - timedelta(days=1)).date().isoformat()
    assert agree(shop)["agrees"]


def test_money_given_back_on_a_later_day_agrees_on_both_days(shop: Shop) -> None:
    """The goods are on the day of the return, the money in a separate document on the day of the refund."""
    now = datetime.now(AMSTERDAM)
    receipt = shop.till.sell(lines=[sold(1001, -1)], payments=[], when=now - timedelta(days=3))
    shop.till.pay_receipt(receipt["receiptId"], [Tender("PIN", -1250)], when=now - timedelta(days=1))
    shop.settle()
    report = agree(shop)
    assert report["agrees"], to_text(report)
    paid = {cell["day"]: cell["books"] for cell in report["cells"] if cell["measure"] == "tender"}
    assert paid == {(now - timedelta(days=1)).date().isoformat(): -1250}

"""Sales documents are booked exact to the cent, and booked documents are read back as they are."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from gateway.connectors.quickbooks.fields import find_object, to_bytes
from gateway.connectors.quickbooks.wire_documents import to_booked, to_document_body, to_document_change, to_void
from gateway.errors import Permanent
from mapping.records import DocumentKind, PostalAddress, SalesDocument
from tests.gateway.connectors.quickbooks.examples import answer_of
from tests.gateway.connectors.quickbooks.sales import line, sale, sales, tax


def body_of(document: SalesDocument, *, send_number: bool = True) -> dict[str, Any]:
    """The body as the books will read it, through JSON."""
    body = to_document_body(document, send_number=send_number)
    return dict(find_object(to_bytes(body)) or {})


SENT_LINES = [
    {
        "LineNum": 1,
        "DetailType": "SalesItemLineDetail",
        "Amount": Decimal("100.00"),
        "Description": "Pomp",
        "SalesItemLineDetail": {
            "ItemRef": {"value": "19"},
            "TaxCodeRef": {"value": "5"},
            "Qty": 2,
            "UnitPrice": Decimal("50.00"),
            "ClassRef": {"value": "8"},
        },
    }
]
SENT_TAX = {
    "TotalTax": Decimal("21.00"),
    "TaxLine": [
        {
            "Amount": Decimal("21.00"),
            "DetailType": "TaxLineDetail",
            "TaxLineDetail": {
                "TaxRateRef": {"value": "3"},
                "PercentBased": True,
                "TaxPercent": 21,
                "NetAmountTaxable": Decimal("100.00"),
            },
        }
    ],
}


def test_a_sales_receipt_is_sent_net_with_the_tills_own_tax() -> None:
    document = sale(
        lines=(line("100.00", description="Pomp", quantity=Decimal(2), unit_price=Decimal("50.00"), class_id="8"),),
        payment_method_id="2",
        payment_reference="PIN-1",
        department_id="4",
        currency="EUR",
        customer_memo="Bedankt",
    )
    assert body_of(document) == {
        "TxnDate": "2026-08-01",
        "GlobalTaxCalculation": "TaxExcluded",
        "CustomerRef": {"value": "58"},
        "DocNumber": "1.1.2026.123",
        "CurrencyRef": {"value": "EUR"},
        "DepartmentRef": {"value": "4"},
        "CustomerMemo": {"value": "Bedankt"},
        "PrivateNote": "mplus:R-1",
        "PaymentMethodRef": {"value": "2"},
        "PaymentRefNum": "PIN-1",
        "DepositToAccountRef": {"value": "35"},
        "Line": SENT_LINES,
        "TxnTaxDetail": SENT_TAX,
    }


def test_a_line_of_an_amount_alone_sends_no_quantity() -> None:
    (sent,) = body_of(sale())["Line"]
    assert sent["SalesItemLineDetail"] == {"ItemRef": {"value": "19"}, "TaxCodeRef": {"value": "5"}}


def test_tax_amounts_go_along_only_when_every_rate_is_known() -> None:
    two = sale(taxes=(tax(), tax("0", "0", rate_id=None)))
    assert "TxnTaxDetail" in body_of(sale())
    assert "TxnTaxDetail" not in body_of(two)
    assert "TxnTaxDetail" not in body_of(sale(taxes=(), total=Decimal(100)))


@pytest.mark.parametrize(
    ("code", "stated"), [("5", "TaxExcluded"), ("", "NotApplicable"), ("NON", None), ("TAX", None)]
)
def test_a_company_in_the_united_states_is_told_no_way_of_taxing(code: str, stated: str | None) -> None:
    untaxed = sale(lines=(line("100.00", tax_code_id=code),), taxes=(), total=Decimal(100))
    assert body_of(untaxed).get("GlobalTaxCalculation") == stated


def test_two_tax_codes_of_one_rate_become_one_tax_line() -> None:
    two = sale(lines=(line("60.00"), line("40.00")), taxes=(tax("60.00", "12.60"), tax("40.00", "8.40")))
    (sent,) = body_of(two)["TxnTaxDetail"]["TaxLine"]
    assert sent["Amount"] == Decimal("21.00")
    assert sent["TaxLineDetail"]["NetAmountTaxable"] == Decimal("100.00")


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (DocumentKind.SALES_RECEIPT, {"PaymentMethodRef", "PaymentRefNum", "DepositToAccountRef", "ShipMethodRef"}),
        (DocumentKind.INVOICE, {"SalesTermRef", "DueDate", "ShipMethodRef"}),
        (DocumentKind.REFUND_RECEIPT, {"PaymentMethodRef", "PaymentRefNum", "DepositToAccountRef"}),
        (DocumentKind.CREDIT_MEMO, {"InvoiceRef"}),
    ],
)
def test_every_kind_gets_the_fields_it_has(kind: DocumentKind, own: set[str]) -> None:
    everything = sale(
        kind,
        payment_method_id="2",
        payment_reference="r",
        term_id="3",
        due_date=date(2026, 8, 31),
        shipping_method="PostNL",
        linked_invoice_id="130",
        email="jan@x.nl",
        billing=PostalAddress(("Dorpsstraat 1",), "3511 AA", "Utrecht", "NLD"),
    )
    common = {
        "TxnDate", "GlobalTaxCalculation", "CustomerRef", "Line", "PrivateNote", "DocNumber", "BillEmail",
        "EmailStatus", "BillAddr", "TxnTaxDetail",
    }  # fmt: skip
    assert set(body_of(everything)) == common | own
    assert body_of(everything)["EmailStatus"] == "NotSet"


def test_a_refund_without_its_account_names_what_is_missing() -> None:
    with pytest.raises(Permanent) as raised:
        body_of(sale(DocumentKind.REFUND_RECEIPT, deposit_account_id=None))
    assert raised.value.field == "DepositToAccountRef"


def test_a_company_that_numbers_by_itself_gets_no_number() -> None:
    assert "DocNumber" not in body_of(sale(), send_number=False)


def test_a_number_that_is_too_long_is_refused_not_cut() -> None:
    with pytest.raises(Permanent) as raised:
        body_of(sale(document_number="x" * 22))
    assert raised.value.field == "DocNumber"


@pytest.mark.parametrize(
    ("note", "sent"),
    [
        (None, "mplus:R-1"),
        ("Kassa 1", "mplus:R-1\nKassa 1"),
        ("bon mplus:R-1", "bon mplus:R-1"),
        ("x" * 5000, "mplus:R-1\n" + "x" * 3989 + "…"),
        ("x" * 5000 + "mplus:R-1", "mplus:R-1\n" + "x" * 3989 + "…"),
    ],
)
def test_the_marker_always_stands_in_the_note(note: str | None, sent: str) -> None:
    assert body_of(sale(private_note=note))["PrivateNote"] == sent


@pytest.mark.parametrize(
    "changed",
    [
        {"total": Decimal("121.01")},
        {"lines": ()},
        {"taxes": (tax(amount="20.99"),)},
        {"lines": (line("100.00", quantity=Decimal(3), unit_price=Decimal("33.33")),)},
    ],
)
def test_a_document_that_does_not_add_up_never_leaves(changed: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="does not add up"):
        body_of(sale(**changed))


@given(sales())
def test_the_sums_of_every_body_are_exact(document: SalesDocument) -> None:
    body = body_of(document)
    nets = sum((Decimal(sent["Amount"]) for sent in body["Line"]), Decimal(0))
    detail = body.get("TxnTaxDetail", {"TotalTax": 0, "TaxLine": []})
    assert nets + Decimal(detail["TotalTax"]) == document.total
    assert sum((Decimal(sent["Amount"]) for sent in detail["TaxLine"]), Decimal(0)) == detail["TotalTax"]
    for sent in (one["SalesItemLineDetail"] | one for one in body["Line"]):
        assert "Qty" not in sent or Decimal(sent["Qty"]) * Decimal(sent["UnitPrice"]) == sent["Amount"]


def test_an_update_is_full_so_that_nothing_old_stays() -> None:
    body = to_document_change(sale(taxes=(tax(rate_id=None),)), "266", "4")
    assert (body["Id"], body["SyncToken"], body["sparse"]) == ("266", "4", False)
    assert "TxnTaxDetail" not in body


def test_a_recorded_invoice_is_read_back() -> None:
    found = to_booked(DocumentKind.INVOICE, answer_of("invoice-create-exchange-recorded.json")["Invoice"])
    assert (found.id, found.sync_token, found.document_number) == ("266", "0", "1043")
    assert (found.total, found.tax) == (Decimal(100), Decimal(0))
    assert (found.business_date, found.voided) == (date(2020, 9, 29), False)


def test_a_recorded_void_is_recognised() -> None:
    source = answer_of("invoice-void-exchange-recorded.json")["Invoice"]
    assert to_booked(DocumentKind.INVOICE, source).voided
    assert not to_booked(DocumentKind.INVOICE, {**source, "PrivateNote": "Niets betaald"}).voided
    assert not to_booked(DocumentKind.INVOICE, {**source, "TotalAmt": 5}).voided
    assert not to_booked(DocumentKind.INVOICE, {**source, "Line": [{"Amount": 5}, {"Amount": -5}]}).voided


def test_recorded_receipts_are_read_one_by_one() -> None:
    rows = answer_of("salesreceipt-query-exchange-recorded.json")["QueryResponse"]["SalesReceipt"]
    found = [to_booked(DocumentKind.SALES_RECEIPT, row) for row in rows]
    assert len(found) == len(rows) > 0
    assert all(one.total > 0 and one.id for one in found)


def test_an_invoice_has_its_own_void_and_the_others_are_updated_to_it() -> None:
    assert to_void("Invoice", "1", "0") == ({"operation": "void"}, {"Id": "1", "SyncToken": "0"})
    parameters, body = to_void("SalesReceipt", "1", "0")
    assert parameters == {"operation": "update", "include": "void"}
    assert body == {"Id": "1", "SyncToken": "0", "sparse": True}

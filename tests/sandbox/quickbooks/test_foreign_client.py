"""The whole API through python-quickbooks, a client that nobody here wrote."""

from __future__ import annotations

from typing import Any

import pytest
from intuitlib.client import AuthClient
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete, batch_update
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import (
    AuthorizationException,
    ObjectNotFoundException,
    QuickbooksException,
    ValidationException,
)
from quickbooks.objects import CreditMemo, Customer, Invoice, Item, Payment, SalesReceipt, TaxCode
from quickbooks.objects.base import EmailAddress, Ref
from quickbooks.objects.company_info import CompanyInfo
from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail
from quickbooks.objects.payment import PaymentLine
from quickbooks.objects.preferences import Preferences
from quickbooks.objects.taxservice import TaxRateDetails, TaxService

from tests.sandbox.quickbooks.desk import CLIENT_ID, CLIENT_SECRET, REALM, REDIRECT, Desk


@pytest.fixture
def books(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Any:
    """python-quickbooks pointed at the simulator by its own settings; a variable of its library allows plain HTTP."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    auth = AuthClient(CLIENT_ID, CLIENT_SECRET, REDIRECT, f"{desk.url}/.well-known/openid_configuration")
    client = QuickBooks(auth_client=auth, refresh_token=desk.tokens["refresh_token"], company_id=REALM, minorversion=75)
    client.api_url_v3 = f"{desk.url}/v3"
    return client


def _ref(value: str) -> Any:
    reference = Ref()
    reference.value = value
    return reference


def _line(desk: Desk, amount: float, item_id: str | None = None) -> Any:
    line = SalesItemLine()
    line.Amount = amount
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = _ref(item_id or desk.service_id)
    line.SalesItemLineDetail.TaxCodeRef = _ref(desk.code(21))
    return line


def _sale(desk: Desk, kind: Any, amount: float) -> Any:
    sale = kind()
    sale.CustomerRef = _ref(desk.customer_id)
    sale.Line = [_line(desk, amount)]
    return sale


def test_a_customer_is_created_read_changed_and_found(desk: Desk, books: Any) -> None:
    customer = Customer()
    customer.DisplayName = "O'Neill & Zn."
    customer.PrimaryEmailAddr = EmailAddress()
    customer.PrimaryEmailAddr.Address = "oneill@example.nl"
    made = customer.save(qb=books)
    made.CompanyName = "O'Neill B.V."
    made.save(qb=books)
    (found,) = Customer.filter(DisplayName="O'Neill & Zn.", qb=books)
    assert (found.Id, found.CompanyName, found.SyncToken) == (made.Id, "O'Neill B.V.", "1")
    assert Customer.count(qb=books) == 2
    assert Customer.get(desk.customer_id, qb=books).DisplayName == "Jan de Vries"


def test_items_are_listed_with_their_sku_and_chosen_by_id(desk: Desk, books: Any) -> None:
    assert {item.Name: item.Sku for item in Item.all(qb=books)} == {"Mug": "1001", "Repair": "2001"}
    assert [item.Name for item in Item.choose([desk.item_id], qb=books)] == ["Mug"]
    assert [item.Name for item in Item.where("Active = True", order_by="Name DESC", max_results=1, qb=books)] == [
        "Repair"
    ]


def test_a_receipt_is_posted_voided_and_deleted(desk: Desk, books: Any) -> None:
    receipt = _sale(desk, SalesReceipt, 10.0).save(qb=books, request_id="r-1")
    assert float(receipt.TotalAmt) == 12.1
    voided = receipt.void(qb=books)["SalesReceipt"]
    assert voided["TotalAmt"] == 0
    current = SalesReceipt.get(receipt.Id, qb=books)
    assert current.delete(qb=books)["SalesReceipt"]["status"] == "Deleted"
    with pytest.raises(ObjectNotFoundException):
        SalesReceipt.get(receipt.Id, qb=books)


def test_an_invoice_is_paid_and_voided(desk: Desk, books: Any) -> None:
    invoice = _sale(desk, Invoice, 100.0).save(qb=books)
    payment = Payment()
    payment.TotalAmt = 121
    payment.CustomerRef = _ref(desk.customer_id)
    line = PaymentLine()
    line.Amount = 121
    line.LinkedTxn = [invoice.to_linked_txn()]
    payment.Line = [line]
    payment.save(qb=books)
    paid = Invoice.get(invoice.Id, qb=books)
    assert float(paid.Balance) == 0
    assert paid.void(qb=books)["Invoice"]["PrivateNote"] == "Voided"


def test_a_credit_memo_as_the_library_fills_it_is_accepted(desk: Desk, books: Any) -> None:
    assert float(_sale(desk, CreditMemo, 10.0).save(qb=books).TotalAmt) == 12.1


def test_a_batch_gives_each_object_its_own_fate(desk: Desk, books: Any) -> None:
    names = ["Anna", "Jan de Vries", "Bea"]
    customers = []
    for name in names:
        customer = Customer()
        customer.DisplayName = name
        customers.append(customer)
    result = batch_create(customers, qb=books)
    assert [each.DisplayName for each in result.successes] == ["Anna", "Bea"]
    assert [fault.Error[0].code for fault in result.faults] == ["6240"]
    for each in result.successes:
        each.Notes = "batched"
    assert {each.Notes for each in batch_update(result.successes, qb=books).successes} == {"batched"}
    receipts = batch_create([_sale(desk, SalesReceipt, 1.0)], qb=books).successes
    assert batch_delete(receipts, qb=books).faults == []


def test_changes_are_captured_since_a_moment(desk: Desk, books: Any) -> None:
    _sale(desk, Invoice, 5.0).save(qb=books)
    found = change_data_capture([Invoice, Customer, SalesReceipt], "2026-01-01T00:00:00Z", qb=books)
    assert (len(found.Invoice), len(found.Customer)) == (1, 1)
    assert not hasattr(found, "SalesReceipt")


def test_company_tax_and_preferences_are_read_and_a_tax_code_is_made(desk: Desk, books: Any) -> None:
    assert CompanyInfo.get(REALM, qb=books).Country == "NL"
    assert Preferences.get(qb=books).SalesFormsPrefs.CustomTxnNumbers is True
    detail = TaxRateDetails()
    detail.TaxRateName, detail.RateValue = "6% Sales", 6
    detail.TaxAgencyId = desk.simulation.rows(REALM, "TaxAgency")[0]["Id"]
    service = TaxService()
    service.TaxCode, service.TaxRateDetails = "6% old", [detail]
    service.save(qb=books)
    assert "6% old" in {code.Name for code in TaxCode.all(qb=books)}


def test_faults_arrive_as_the_exceptions_their_codes_mean(desk: Desk, books: Any) -> None:
    with pytest.raises(QuickbooksException) as stale:
        Customer.from_json({"Id": desk.customer_id, "SyncToken": "7", "DisplayName": "X"}).save(qb=books)
    assert stale.value.error_code == 5010
    with pytest.raises(ValidationException):
        books.query("select * from Nothing")
    desk.simulation.grants.end_realm(REALM)
    with pytest.raises(AuthorizationException):
        CompanyInfo.get(REALM, qb=books)

"""Every call of the client sends exactly its request, and returns records."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.connectors.exchange import Exchange
from gateway.connectors.quickbooks.calls import select
from gateway.connectors.quickbooks.client import QuickBooks
from gateway.errors import Conflict, DuplicateName, DuplicateNumber, NotFound, Permanent
from mapping.records import BooksPayment, Customer, DocumentKind, PaymentLink
from tests.gateway.connectors.quickbooks.conftest import REALM
from tests.gateway.connectors.quickbooks.examples import answer_of, read_json
from tests.gateway.connectors.quickbooks.peer import Peer, Reply, reply
from tests.gateway.connectors.quickbooks.sales import DAY, sale

RECEIPT = DocumentKind.SALES_RECEIPT
INVOICE = DocumentKind.INVOICE


def item(number: int) -> dict[str, Any]:
    return {"Id": str(number), "SyncToken": "0", "Name": f"Item {number}", "Type": "Service", "Sku": str(number)}


def receipt(number: int, **more: Any) -> dict[str, Any]:
    return {"Id": str(number), "SyncToken": "0", "TotalAmt": 121, "DocNumber": f"N{number}", **more}


def found(entity: str, *rows: dict[str, Any]) -> Reply:
    return reply({"QueryResponse": {entity: list(rows)} if rows else {}, "time": "2026-08-01T02:00:00-07:00"})


def fault(code: str, detail: str = "") -> Reply:
    return reply({"Fault": {"Error": [{"code": code, "Detail": detail}]}}, 400)


def asked(peer: Peer) -> list[str]:
    return [request.query["query"] for request in peer.requests]


def test_items_are_found_by_sku_inactive_ones_too(books: QuickBooks, peer: Peer) -> None:
    peer.answers(found("Item", item(1), item(2)), found("Item"))
    assert [one.id for one in books.items_by_sku("A'1&+#%")] == ["1", "2"]
    assert books.items_by_sku("none") == ()
    assert asked(peer)[0] == "SELECT * FROM Item WHERE Sku = 'A\\'1&+#%' AND Active IN (true,false)"


def test_a_page_of_items_is_ordered_and_may_start_at_a_moment(books: QuickBooks, peer: Peer) -> None:
    peer.answers(found("Item", item(1)), found("Item"))
    assert len(books.items_page(1, 1000)) == 1
    since = datetime(2026, 8, 1, tzinfo=UTC)
    assert books.items_page(1001, 1000, include_inactive=True, changed_since=since) == ()
    assert asked(peer) == [
        "SELECT * FROM Item ORDERBY Id STARTPOSITION 1 MAXRESULTS 1000",
        (
            "SELECT * FROM Item WHERE Active IN (true,false) AND MetaData.LastUpdatedTime >= '2026-08-01T00:00:00Z'"
            " ORDERBY Id STARTPOSITION 1001 MAXRESULTS 1000"
        ),
    ]


def test_many_ids_are_asked_in_few_reads_with_long_statements_in_the_body(books: QuickBooks, peer: Peer) -> None:
    peer.answers(found("Item", item(1)), found("Item", item(300)))
    assert [one.id for one in books.items_by_ids([str(n) for n in range(100_001, 100_302)])] == ["1", "300"]
    first, second = peer.requests
    assert (first.method, first.path) == ("POST", f"/v3/company/{REALM}/query")
    assert first.headers["content-type"] == "application/text"
    assert b"'100200'" in first.body
    assert b"'100201'" not in first.body
    assert second.method == "GET"
    assert "'100201'" in second.query["query"]
    assert books.items_by_ids([]) == ()


def test_a_deleted_stub_is_not_found(books: QuickBooks, peer: Peer) -> None:
    peer.answers(reply({"Item": {"Id": "1", "status": "Deleted", "domain": "QBO"}}))
    with pytest.raises(NotFound):
        books.item("1")


def test_a_customer_is_looked_up_by_email_as_given_and_then_in_lower_case(books: QuickBooks, peer: Peer) -> None:
    source = answer_of("customer-query-escaped-apostrophe-exchange.json")["QueryResponse"]["Customer"]
    peer.answers(found("Customer"), found("Customer", *source), found("Customer"))
    source_id = books.customers_by_email(" Birds@Intuit.com ")[0].id
    assert source_id == source[0]["Id"]
    assert books.customers_by_email("none@x.nl") == ()
    assert [text.split("'")[1] for text in asked(peer)] == ["Birds@Intuit.com", "birds@intuit.com", "none@x.nl"]


def test_a_customer_is_looked_up_by_the_name_it_would_be_created_with(books: QuickBooks, peer: Peer) -> None:
    peer.answers(found("Customer"))
    books.customers_by_name("Jan: de Vries")
    assert "DisplayName IN ('Jan- de Vries','Jan- de Vries (deleted)')" in asked(peer)[0]


def test_a_taken_name_and_a_stale_token_have_their_own_errors(books: QuickBooks, peer: Peer) -> None:
    peer.answers(fault("6240"), fault("5010"))
    with pytest.raises(DuplicateName):
        books.create_customer(Customer("Jan"), "r1")
    with pytest.raises(Conflict):
        books.update_customer(Customer("Jan", id="1", sync_token="0"), "r2")
    assert peer.requests[1].json["sparse"] is True


def test_tax_codes_are_joined_from_two_reads(books: QuickBooks, peer: Peer) -> None:
    details = [{"TaxRateRef": {"value": "3"}, "TaxTypeApplicable": "TaxOnAmount"}]
    code = {"Id": "5", "Name": "21% S", "SalesTaxRateList": {"TaxRateDetail": details}}
    peer.answers(found("TaxCode", code), found("TaxRate", {"Id": "3", "Name": "21", "RateValue": 21}))
    (joined,) = books.tax_table().on(DAY)
    assert (joined.id, joined.percentage, joined.rate_id) == ("5", Decimal(21), "3")
    assert all("Active IN (true,false)" in text for text in asked(peer))


def test_lists_are_read_whole_and_grown_by_name(books: QuickBooks, peer: Peer) -> None:
    pin = {"Id": "2", "Name": "Pin", "Type": "NON_CREDIT_CARD"}
    peer.answers(found("PaymentMethod", pin), reply({"PaymentMethod": pin}))
    assert [one.name for one in books.entries("PaymentMethod")] == ["Pin"]
    assert books.create_entry("PaymentMethod", "Pin", "r1").id == "2"
    assert [one.path.rsplit("/", 1)[1] for one in peer.requests] == ["query", "paymentmethod"]


def test_the_company_is_its_info_and_its_preferences(books: QuickBooks, peer: Peer) -> None:
    peer.answers(
        reply({"CompanyInfo": {"CompanyName": "De Fietsenwinkel", "Country": "NL"}}),
        reply({"Preferences": {"SalesFormsPrefs": {"CustomTxnNumbers": True}}}),
    )
    profile = books.company()
    assert (profile.name, profile.custom_document_numbers) == ("De Fietsenwinkel", True)
    assert [one.path for one in peer.requests] == [
        f"/v3/company/{REALM}/companyinfo/{REALM}",
        f"/v3/company/{REALM}/preferences",
    ]


def test_changes_are_asked_since_a_moment_in_utc(books: QuickBooks, peer: Peer) -> None:
    peer.answers(reply(read_json("cdc-response-with-deleted-constructed.json")))
    seen = books.changes(["Item", "Invoice"], datetime(2026, 8, 1, 9, 0, tzinfo=UTC))
    assert [one.entity for one in seen.changes] == ["Item", "Invoice"]
    assert peer.requests[0].query == {
        "entities": "Item,Invoice",
        "changedSince": "2026-08-01T09:00:00Z",
        "minorversion": "75",
    }


def test_rows_and_counts_serve_what_has_no_record(books: QuickBooks, peer: Peer) -> None:
    peer.answers(found("Estimate", {"Id": "1"}), reply({"QueryResponse": {"totalCount": 4711}}))
    assert books.rows(select("Estimate").page(1, 10)) == ({"Id": "1"},)
    assert books.count("Item") == 4711


def test_a_document_is_booked_with_and_without_its_number(books: QuickBooks, peer: Peer) -> None:
    answer = {"SalesReceipt": receipt(7, TxnTaxDetail={"TotalTax": 21})}
    peer.answers(reply(answer), reply(answer))
    booked = books.create_document(sale(), "r1")
    books.create_document(sale(), "r2", send_number=False)
    assert (booked.id, booked.total, booked.tax) == ("7", Decimal(121), Decimal(21))
    assert [sorted(one.json.keys() & {"TxnTaxDetail", "DocNumber"}) for one in peer.requests] == [
        ["DocNumber", "TxnTaxDetail"],
        ["TxnTaxDetail"],
    ]


def test_a_used_number_names_the_other_document(books: QuickBooks, peer: Peer) -> None:
    peer.answers(fault("6140", "DocNumber=1 is assigned to TxnType=Sales Receipt with TxnId=9"))
    with pytest.raises(DuplicateNumber) as raised:
        books.create_document(sale(), "r1")
    assert (raised.value.existing_kind, raised.value.existing_id) == ("SalesReceipt", "9")


def test_a_document_is_updated_whole(books: QuickBooks, peer: Peer) -> None:
    peer.answers(reply({"Invoice": receipt(7)}))
    books.update_document(sale(INVOICE), "r1", document_id="7", sync_token="4")
    sent = peer.requests[0].json
    assert (sent["Id"], sent["SyncToken"], sent["sparse"]) == ("7", "4", False)


def test_documents_are_found_by_number_in_one_read(books: QuickBooks, peer: Peer) -> None:
    peer.answers(found("SalesReceipt", receipt(1), receipt(2)))
    assert [one.document_number for one in books.documents_by_number(RECEIPT, ["N1", "N2", "N3"])] == ["N1", "N2"]
    (text,) = asked(peer)
    assert text.startswith("SELECT * FROM SalesReceipt WHERE DocNumber IN ('N1','N2','N3') ORDERBY Id")


def test_a_day_is_read_page_by_page_and_no_document_comes_twice(books: QuickBooks, peer: Peer) -> None:
    pages = [[receipt(n) for n in range(500)], [receipt(n) for n in range(499, 999)], []]
    peer.answers(*(found("SalesReceipt", *rows) for rows in pages))
    day = books.documents_on(RECEIPT, date(2026, 8, 1))
    assert [one.id for one in day] == [str(n) for n in range(999)]
    assert [text.split("STARTPOSITION ")[1] for text in asked(peer)] == [
        "1 MAXRESULTS 500",
        "501 MAXRESULTS 500",
        "1001 MAXRESULTS 500",
    ]


def test_books_that_give_fewer_rows_than_asked_are_read_to_their_end(books: QuickBooks, peer: Peer) -> None:
    pages = [[receipt(n) for n in range(first, min(first + 100, 230))] for first in (0, 100, 200)]
    peer.answers(*(found("SalesReceipt", *rows) for rows in pages))
    assert len(books.documents_on(RECEIPT, date(2026, 8, 1))) == 230
    assert [text.split("STARTPOSITION ")[1].split()[0] for text in asked(peer)] == ["1", "101", "201"]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [(INVOICE, {"operation": "void"}), (RECEIPT, {"operation": "update", "include": "void"})],
)
def test_a_void_leaves_a_document_of_nothing(
    books: QuickBooks, peer: Peer, kind: DocumentKind, parameters: dict[str, str]
) -> None:
    peer.answers(reply({kind.value: receipt(7, TotalAmt=0, PrivateNote="Voided")}))
    assert books.void_document(kind, "7", "0", "r1").voided
    assert peer.requests[0].query == {"minorversion": "75", "requestid": "r1", **parameters}


def test_a_void_that_did_nothing_is_not_taken_for_one(books: QuickBooks, peer: Peer) -> None:
    peer.answers(reply({"CreditMemo": receipt(7)}))
    with pytest.raises(Permanent, match="did not void"):
        books.void_document(DocumentKind.CREDIT_MEMO, "7", "0", "r1")


def test_a_delete_says_which_version_it_means(books: QuickBooks, peer: Peer, exchanges: list[Exchange]) -> None:
    peer.answers(reply(answer_of("invoice-delete-exchange-recorded.json")))
    books.delete_document(INVOICE, "266", "0", "r1")
    assert peer.requests[0].query["operation"] == "delete"
    assert peer.requests[0].json == {"Id": "266", "SyncToken": "0"}
    assert exchanges[0].operation == "POST invoice delete"


def test_payments_are_booked_found_and_voided(books: QuickBooks, peer: Peer) -> None:
    payment = {"Id": "9", "SyncToken": "0", "TotalAmt": 121, "TxnDate": "2026-08-01", "CustomerRef": {"value": "58"}}
    peer.answers(reply({"Payment": payment}), found("Payment", payment), found("Payment", payment))
    peer.answers(reply({"Payment": {**payment, "TotalAmt": 0, "PrivateNote": "Voided"}}), reply({"Payment": payment}))
    links = (PaymentLink("Invoice", "130", Decimal(121)),)
    created = books.create_payment(BooksPayment("58", Decimal(121), DAY, links), "r1")
    assert created.id == "9"
    assert [one.id for one in books.payments_by_reference(["POS-1"])] == ["9"]
    assert [one.id for one in books.payments_between(DAY, DAY)] == ["9"]
    assert books.void_payment("9", "0", "r2").voided
    assert books.payment("9").total == 121
    assert "PaymentRefNum IN ('POS-1')" in peer.requests[1].query["query"]


@pytest.mark.parametrize(
    "misuse",
    [
        lambda books: books.create_customer(Customer("Jan"), ""),
        lambda books: books.create_customer(Customer("Jan"), "x" * 51),
        lambda books: books.changes(["Item"], datetime(2026, 8, 1)),  # noqa: DTZ001 - the point of the test
    ],
)
def test_a_request_the_books_would_refuse_is_a_mistake_of_ours(
    books: QuickBooks, peer: Peer, misuse: Callable[[QuickBooks], object]
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        misuse(books)
    assert peer.requests == []

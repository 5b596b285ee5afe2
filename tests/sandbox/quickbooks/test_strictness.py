"""What the real books take and refuse, where a lenient or a fussy simulator would teach us the wrong thing."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from sandbox.quickbooks.demo import PAYMENT_METHODS
from tests.sandbox.quickbooks.desk import CLIENT_ID, CLIENT_SECRET, REALM, Desk, error_of

NAMESPACE = "{http://schema.intuit.com/finance/v3}"


@pytest.mark.parametrize("name", ["customer", "Customer", "CUSTOMER"])
def test_an_entity_is_known_in_any_case(desk: Desk, name: str) -> None:
    found = desk.query(
        f"select * from {name} where Metadata.LastUpdatedTime > '2020-01-01' orderby Metadata.CreateTime"  # noqa: S608
    )
    assert [row["DisplayName"] for row in found["Customer"]] == ["Jan de Vries"]


def test_an_entity_of_several_words_is_known_in_lower_case(desk: Desk) -> None:
    assert len(desk.query("select * from paymentmethod")["PaymentMethod"]) == len(PAYMENT_METHODS)
    assert desk.query("select count(*) from salesreceipt") == {"totalCount": 0}


@pytest.mark.parametrize("condition", ["Id = 1", "Id IN ('1', 2)", "Balance > 0.5", "Balance >= -1"])
def test_a_number_without_quotes_is_not_in_the_language(desk: Desk, condition: str) -> None:
    assert desk.refused_query(f"select * from Customer where {condition}")["code"] == "4000"  # noqa: S608


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN", "many", "1e999999999999999999999"])
def test_a_number_that_is_none_is_a_fault(desk: Desk, number: str) -> None:
    for operator in ("<", "=", ">="):
        assert desk.refused_query(f"select * from Customer where Balance {operator} '{number}'")["code"] == "4001"  # noqa: S608


def test_a_control_character_is_refused_in_a_body_and_in_a_query(desk: Desk) -> None:
    for character in ("\x1b", "\x7f", "\ufffe", "\ud83c"):
        assert desk.fault("customer", {"DisplayName": f"Jan{character}"})["code"] == "2040"
    assert desk.refused_query("select * from Customer where DisplayName = 'Jan\x1b'")["code"] == "2040"


def test_a_quantity_alone_is_refused_and_with_its_day_taken(desk: Desk) -> None:
    item = desk.get(f"item/{desk.item_id}")["Item"]
    bare = {"Id": item["Id"], "SyncToken": item["SyncToken"], "sparse": True, "QtyOnHand": 7}
    assert desk.fault("item", bare)["code"] == "2020"
    dated = {**bare, "TrackQtyOnHand": True, "InvStartDate": "2026-11-01"}
    assert desk.post("item", dated)["Item"]["QtyOnHand"] == 7


@pytest.mark.parametrize("item", ["text", 5, None, ["a"]])
def test_a_batch_of_what_is_no_object_is_a_fault(desk: Desk, item: Any) -> None:
    answer = desk.call("POST", "batch", {"BatchItemRequest": [item]})
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "2010"


def test_a_change_request_that_is_no_object_is_a_fault_of_its_own(desk: Desk) -> None:
    body = {"BatchItemRequest": [{"bId": "1", "CDCQuery": "Item"}]}
    (answer,) = desk.call("POST", "batch", body).json()["BatchItemResponse"]
    assert answer["Fault"]["Error"][0]["code"] == "2010"


@pytest.mark.parametrize(
    "body",
    [
        {"TaxCode": 5, "TaxRateDetails": [{}]},
        {"TaxCode": "New", "TaxRateDetails": ["x"]},
        {"TaxCode": "New", "TaxRateDetails": [{"TaxApplicableOn": {}}]},
    ],
)
def test_a_wrong_type_at_the_tax_service_is_a_fault(desk: Desk, body: Any) -> None:
    answer = desk.call("POST", "taxservice/taxcode", body)
    assert answer.status_code == 400
    assert error_of(answer)["code"] in ("2010", "2020", "2270")


@pytest.mark.parametrize("day", ["99999-01-01", "0000-00-00", "2026-13-45", "0001-01-01T00:00:00+14:00"])
def test_a_day_that_is_none_is_a_fault(desk: Desk, day: str) -> None:
    answers = [
        desk.call("GET", "cdc", entities="Item", changedSince=day),
        desk.call("GET", "query", query=f"select * from Customer where MetaData.CreateTime > '{day}'"),  # noqa: S608
    ]
    assert [answer.status_code for answer in answers] == [400, 400]
    if not day.startswith("0001"):
        assert desk.call("POST", "salesreceipt", desk.receipt(desk.line("1"), TxnDate=day)).status_code == 400


def test_a_sparse_update_of_preferences_keeps_the_neighbours(desk: Desk) -> None:
    before = desk.get("preferences")["Preferences"]
    group = before["SalesFormsPrefs"]
    assert len(group) > 1
    sent = {
        "Id": before["Id"],
        "SyncToken": before["SyncToken"],
        "sparse": True,
        "SalesFormsPrefs": {"CustomTxnNumbers": not group["CustomTxnNumbers"]},
    }
    after = desk.post("preferences", sent)["Preferences"]
    assert after["SalesFormsPrefs"] == {**group, "CustomTxnNumbers": not group["CustomTxnNumbers"]}


def test_a_token_is_revoked_by_json_and_by_a_form(desk: Desk) -> None:
    auth = (CLIENT_ID, CLIENT_SECRET)
    address = f"{desk.url}/v2/oauth2/tokens/revoke"
    assert desk.http.post(address, data={"token": "unknown"}, auth=auth).status_code == 400
    assert desk.http.post(address, data={"token": desk.tokens["refresh_token"]}, auth=auth).status_code == 200
    assert desk.call("GET", "preferences").status_code == 401


def _xml(desk: Desk, path: str, **params: str) -> ET.Element:
    headers = {"Authorization": f"Bearer {desk.tokens['access_token']}"}
    answer = desk.http.get(f"{desk.url}/v3/company/{REALM}/{path}", headers=headers, params=params)
    assert answer.headers["content-type"].startswith("application/xml")
    return ET.fromstring(answer.content)  # noqa: S314 - our own answer


def test_an_xml_fault_has_its_code_as_an_attribute(desk: Desk) -> None:
    root = _xml(desk, "customer/9999")
    fault = root[0]
    assert (fault.tag, fault.get("type")) == (f"{NAMESPACE}Fault", "ValidationFault")
    assert fault[0].get("code") == "610"
    assert [child.tag for child in fault[0]] == [f"{NAMESPACE}Message", f"{NAMESPACE}Detail"]


def test_an_xml_page_has_its_numbers_as_attributes(desk: Desk) -> None:
    (page,) = _xml(desk, "query", query="select * from Customer")
    assert (page.get("startPosition"), page.get("maxResults")) == ("1", "1")
    assert page[0].get("domain") == "QBO"

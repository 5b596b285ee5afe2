"""Recorded exchanges of the real sandbox, played again: the simulator's answers have the same shape."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import simplejson

from sandbox.quickbooks import faults
from tests.sandbox.quickbooks import xsd
from tests.sandbox.quickbooks.desk import REALM, Desk, parse

EXAMPLES = xsd.SHARED / "qbo-examples"


def _read(name: str) -> Any:
    path = EXAMPLES / name
    if not path.exists():
        pytest.skip(f"shared data is not here: {name} cannot be replayed")
    return simplejson.loads(path.read_text(), use_decimal=True)


def _shape(value: Any) -> Any:
    """Keys and JSON types, without values."""
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape(each) for each in value[:1]]
    return "text" if isinstance(value, str) else "null" if value is None else type(value).__name__


def _error(body: Any) -> Any:
    return body["Fault"]["Error"][0]


def test_an_unknown_property_is_refused_in_the_recorded_shape(desk: Desk) -> None:
    recorded = _read("error-400-2010-unknown-property-exchange.json")
    answer = desk.call("POST", "invoice", recorded["request"]["body"])
    assert answer.status_code == recorded["response"]["status"]
    ours, theirs = parse(answer), recorded["response"]["body"]
    assert _shape(ours) == _shape(theirs)
    assert (_error(ours)["Message"], _error(ours)["code"]) == (_error(theirs)["Message"], "2010")
    assert _error(ours)["Detail"].startswith('Property Name:Unrecognized field "BadJson" (class com.intuit.schema')


def test_a_wrong_entity_in_a_query_is_refused_word_for_word(desk: Desk) -> None:
    recorded = _read("error-400-4001-invalid-query-exchange.json")["response"]
    answer = desk.call("GET", "query", query="SELECT * FROM Custmoer")
    assert parse(answer)["Fault"] == recorded["body"]["Fault"]


def test_a_duplicate_name_is_refused_word_for_word(desk: Desk) -> None:
    recorded = _read("error-400-6240-duplicate-name-exchange.json")
    desk.simulation.put_customer(REALM, recorded["request"]["body"])
    answer = desk.call("POST", "customer", recorded["request"]["body"])
    assert parse(answer)["Fault"] == recorded["response"]["body"]["Fault"]


def test_an_id_that_is_no_number_is_refused_word_for_word(desk: Desk) -> None:
    recorded = _read("error-400-2030-invalid-id-exchange.json")["response"]
    assert parse(desk.call("GET", "customer/1.5"))["Fault"] == recorded["body"]["Fault"]


def test_an_unsupported_address_is_refused_in_the_recorded_shape(desk: Desk) -> None:
    recorded = _read("error-400-500-unsupported-operation-exchange.json")["response"]
    assert _shape(parse(desk.call("GET", "customer/1/5"))) == _shape(recorded["body"])


def test_an_expired_token_gets_the_recorded_body(desk: Desk) -> None:
    recorded = _read("error-401-3200-token-expired-exchange.json")["response"]
    desk.simulation.clock.advance(4000)
    answer = desk.call("GET", "customer/1")
    assert answer.status_code == recorded["status"]
    assert answer.headers["www-authenticate"] == recorded["headers"]["Www-Authenticate"]
    assert _shape(parse(answer)) == _shape(recorded["body"])


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ("error-400-610-not-found.json", faults.not_found()),
        ("error-400-5010-stale.json", faults.stale("<user>")),
        ("error-400-2020-required.json", faults.missing("AccountRef")),
        ("error-400-6140-duplicate-docnumber.json", faults.duplicate_number("POS-000123", "Invoice", "17984")),
        (
            "error-400-6000-vat-rate-missing.json",
            faults.business("Make sure all your transactions have a VAT rate before you save."),
        ),
        ("error-429-3001-throttle-second-hand.json", faults.throttled()),
    ],
)
def test_published_faults_are_ours_word_for_word(file: str, fault: faults.Fault) -> None:
    assert fault.to_json() == _read(file)["Fault"]


def test_a_created_customer_has_all_recorded_properties(desk: Desk) -> None:
    recorded = _read("customer-create-exchange-recorded.json")
    made = desk.post("customer", recorded["request"]["body"])["Customer"]
    theirs = recorded["response"]["body"]["Customer"]
    assert theirs.keys() - made.keys() == {"DefaultTaxCodeRef"}
    for name in ("DisplayName", "FullyQualifiedName", "PrintOnCheckName", "Active", "SyncToken", "sparse", "Balance"):
        assert made[name] == theirs[name]


def test_a_full_update_of_a_customer_answers_as_recorded(desk: Desk) -> None:
    recorded = _read("customer-full-update-exchange-recorded.json")
    made = desk.post("customer", {"DisplayName": "Jack Doe", "Notes": "will be cleared"})["Customer"]
    changed = desk.post("customer", recorded["request"]["body"] | {"Id": made["Id"]})["Customer"]
    theirs = recorded["response"]["body"]["Customer"]
    assert changed.keys() == theirs.keys() - {"DefaultTaxCodeRef"}
    assert (changed["SyncToken"], changed["PrimaryPhone"]) == (theirs["SyncToken"], theirs["PrimaryPhone"])


def test_a_voided_invoice_has_the_recorded_properties(desk: Desk) -> None:
    recorded = _read("invoice-void-exchange-recorded.json")
    made = desk.post("invoice", desk.receipt(desk.line("10.00"), DocNumber="1041"))["Invoice"]
    voided = desk.post("invoice", recorded["request"]["body"] | {"Id": made["Id"]}, operation="void")["Invoice"]
    theirs = recorded["response"]["body"]["Invoice"]
    not_ours = {"BillAddr", "ShipAddr", "CustomField"} | {name for name in theirs if name.startswith("Allow")}
    assert theirs.keys() - voided.keys() <= not_ours
    for name in ("TotalAmt", "Balance", "PrivateNote", "TxnTaxDetail", "LinkedTxn", "SyncToken"):
        assert voided[name] == theirs[name]


def test_a_deleted_invoice_answers_as_recorded(desk: Desk) -> None:
    recorded = _read("invoice-delete-exchange-recorded.json")
    made = desk.post("invoice", desk.receipt(desk.line("10.00")))["Invoice"]
    gone = desk.post("invoice", recorded["request"]["body"] | {"Id": made["Id"]}, operation="delete")["Invoice"]
    assert gone == recorded["response"]["body"]["Invoice"] | {"Id": made["Id"]}


def test_an_update_with_a_requestid_keeps_number_and_defaults_as_recorded(desk: Desk) -> None:
    recorded = _read("salesreceipt-update-with-requestid-exchange-recorded.json")["response"]["body"]["SalesReceipt"]
    desk.simulation.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", False)
    made = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
    line = desk.line("337.50", UnitPrice=75, Qty=Decimal("4.5"))
    body = {"Line": [line], "Id": made["Id"], "SyncToken": made["SyncToken"]}
    changed = desk.post("salesreceipt", body, requestid="a90bfae9-9c6b-4179-9c7e-d8f538d09f6f")["SalesReceipt"]
    assert recorded.keys() - changed.keys() == {"CustomField"}
    assert changed["DocNumber"] == made["DocNumber"]
    assert [each["DetailType"] for each in changed["Line"]] == [each["DetailType"] for each in recorded["Line"]]
    assert changed["DepositToAccountRef"]["name"] == recorded["DepositToAccountRef"]["name"]


def test_the_documented_item_requests_are_accepted(desk: Desk) -> None:
    names = {row["Name"]: {"value": row["Id"]} for row in desk.simulation.rows(REALM, "Account")}
    accounts = {
        "IncomeAccountRef": names["Sales of Product Income"],
        "AssetAccountRef": names["Inventory Asset"],
        "ExpenseAccountRef": names["Cost of Goods Sold"],
    }
    made = desk.post("item", _read("item-create-inventory-request-docs.json") | accounts)["Item"]
    theirs = _read("item-create-inventory-response-docs.json")["Item"]
    assert theirs.keys() <= made.keys()
    trees = desk.post("item", {"Name": "Trees", "Type": "Category"})["Item"]
    body = _read("item-create-category-request-docs.json") | {"ParentRef": {"value": trees["Id"], "name": "Trees"}}
    cedar = desk.post("item", body)["Item"]
    wanted = _read("item-create-category-response-docs.json")["Item"]
    assert cedar.keys() == wanted.keys()
    assert (cedar["FullyQualifiedName"], cedar["Level"]) == (wanted["FullyQualifiedName"], wanted["Level"])


def test_the_constructed_vat_inclusive_receipt_comes_to_the_till_total(desk: Desk) -> None:
    body = _read("salesreceipt-create-vat-inclusive-constructed.json")
    desk.simulation.set_preference(REALM, "SalesFormsPrefs", "AllowShipping", True)
    bank = next(row["Id"] for row in desk.simulation.rows(REALM, "Account") if row["Name"] == "Bank")
    body |= {"CustomerRef": {"value": desk.customer_id}, "DepositToAccountRef": {"value": bank}}
    body["Line"][0]["SalesItemLineDetail"]["ItemRef"]["value"] = desk.service_id
    for line in body["Line"]:
        line["SalesItemLineDetail"]["TaxCodeRef"]["value"] = desk.code(21)
    del body["_note"]
    receipt = desk.post("salesreceipt", body)["SalesReceipt"]
    assert receipt["TotalAmt"] == 126


def test_an_inactive_account_reads_as_recorded(desk: Desk) -> None:
    recorded = _read("account-inactive-deleted-suffix-exchange-recorded.json")
    made = desk.post("account", {"Name": "Fees Billed", "AccountType": "Income"})["Account"]
    body = recorded["request"]["body"] | {"Id": made["Id"], "SyncToken": made["SyncToken"]}
    account = desk.post("account", body)["Account"]
    theirs = recorded["response"]["body"]["Account"]
    assert (account["Name"], account["Active"]) == (theirs["Name"], theirs["Active"])
    assert theirs.keys() - account.keys() == {"AccountSubType", "SubAccount"}

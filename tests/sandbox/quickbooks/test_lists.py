"""Items, people and the small lists: names, trees, inactive rows, rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.quickbooks.faults import Fault
from tests.sandbox.quickbooks.desk import REALM, Desk


def test_a_name_may_be_held_by_one_customer_vendor_or_employee_only(desk: Desk) -> None:
    desk.post("vendor", {"DisplayName": "Bakker & Zn"})
    error = desk.fault("customer", {"DisplayName": "BAKKER & zn"})
    assert error == {
        "Message": "Duplicate Name Exists Error",
        "Detail": "The name supplied already exists. : null",
        "code": "6240",
    }
    assert desk.fault("employee", {"GivenName": "Jan", "FamilyName": "de Vries"})["code"] == "6240"


def test_a_display_name_is_made_of_the_parts_of_the_name(desk: Desk) -> None:
    customer = desk.post("customer", {"GivenName": "Piet", "FamilyName": "Smit"})["Customer"]
    assert customer["DisplayName"] == customer["FullyQualifiedName"] == customer["PrintOnCheckName"] == "Piet Smit"
    assert desk.fault("customer", {"Notes": "nobody"})["code"] == "6080"


@pytest.mark.parametrize("name", ["A:B", "A\tB", "A\nB"])
def test_a_name_with_a_colon_tab_or_newline_is_refused(desk: Desk, name: str) -> None:
    assert desk.fault("customer", {"DisplayName": name})["code"] == "2040"
    assert desk.fault("item", {"Name": name})["code"] == "2040"


def test_an_email_address_has_to_be_one(desk: Desk) -> None:
    assert desk.fault("customer", {"DisplayName": "X", "PrimaryEmailAddr": {"Address": "nope"}})["code"] == "2210"


def test_an_inactive_row_is_suffixed_hidden_and_frees_its_name(desk: Desk) -> None:
    made = desk.post("customer", {"DisplayName": "Fees"})["Customer"]
    gone = desk.post("customer", {"Id": made["Id"], "SyncToken": "0", "sparse": True, "Active": False})["Customer"]
    assert (gone["DisplayName"], gone["Active"]) == ("Fees (deleted)", False)
    assert desk.query("select * from Customer where DisplayName = 'Fees (deleted)'") == {}
    found = desk.query("select * from Customer where DisplayName = 'Fees (deleted)' and Active in (true, false)")
    assert [each["Id"] for each in found["Customer"]] == [made["Id"]]
    desk.post("customer", {"DisplayName": "Fees"})
    back = {"Id": made["Id"], "SyncToken": "1", "sparse": True, "Active": True}
    assert desk.fault("customer", back)["code"] == "6240"


def test_items_are_unique_under_one_parent_and_carry_their_full_name(desk: Desk) -> None:
    account = {"value": desk.company.get("Item", desk.service_id)["IncomeAccountRef"]["value"]}
    tops = [desk.post("item", {"Name": each, "Type": "Category"})["Item"] for each in ("Shirts", "Hats")]

    def child(parent: dict[str, Any], name: str = "Red") -> dict[str, Any]:
        common = {"Type": "Service", "IncomeAccountRef": account, "SubItem": True}
        return {"Name": name, "ParentRef": {"value": parent["Id"]}, **common}

    first = desk.post("item", child(tops[0]))["Item"]
    assert (first["FullyQualifiedName"], first["Level"]) == ("Shirts:Red", 1)
    desk.post("item", child(tops[1]))
    assert desk.fault("item", child(tops[0], "red"))["code"] == "6240"
    desk.post("item", {"Id": tops[0]["Id"], "SyncToken": "0", "sparse": True, "Name": "T-shirts"})
    assert desk.get(f"item/{first['Id']}")["Item"]["FullyQualifiedName"] == "T-shirts:Red"
    assert desk.fault("item", {"Name": "Y", "Type": "Category", "SubItem": True})["code"] == "2020"
    assert (
        desk.fault("item", {"Id": tops[1]["Id"], "SyncToken": "0", "sparse": True, "Active": False})["code"] == "6000"
    )


def test_only_a_category_is_above_an_item_and_categories_nest_four_deep(desk: Desk) -> None:
    account = {"value": desk.company.get("Item", desk.service_id)["IncomeAccountRef"]["value"]}
    service = {"Type": "Service", "IncomeAccountRef": account, "SubItem": True}
    under_item = {"Name": "Red", "ParentRef": {"value": desk.service_id}, **service}
    assert desk.fault("item", under_item)["code"] == "6000"
    with pytest.raises(Fault):
        desk.simulation.put(REALM, "Item", under_item)
    above: dict[str, Any] = {}
    for name in "ABCD":
        made = desk.post("item", {"Name": name, "Type": "Category", **above})["Item"]
        above = {"SubItem": True, "ParentRef": {"value": made["Id"]}}
    assert desk.fault("item", {"Name": "E", "Type": "Category", **above})["code"] == "6000"
    item = desk.post("item", {"Name": "Red", **service, **above})["Item"]
    assert (item["FullyQualifiedName"], item["Level"]) == ("A:B:C:D:Red", 4)
    other = desk.post("item", {"Name": "Z", "Type": "Category"})["Item"]
    top = desk.simulation.find(REALM, "Item", Name="A")
    assert top is not None
    moved = {"Id": top["Id"], "SyncToken": top["SyncToken"], "sparse": True, "SubItem": True}
    assert desk.fault("item", {**moved, "ParentRef": {"value": other["Id"]}})["code"] == "6000"


def test_an_inventory_item_needs_its_accounts_quantity_and_start(desk: Desk) -> None:
    whole = desk.company.get("Item", desk.item_id)
    wanted = ("Type", "TrackQtyOnHand", "QtyOnHand", "InvStartDate", "AssetAccountRef", "IncomeAccountRef")
    body = {name: whole[name] for name in (*wanted, "ExpenseAccountRef")} | {"Name": "Plate"}
    for name in ("QtyOnHand", "InvStartDate", "AssetAccountRef"):
        assert desk.fault("item", {key: value for key, value in body.items() if key != name})["element"] == name
    wrong = body | {"AssetAccountRef": body["IncomeAccountRef"]}
    assert desk.fault("item", wrong)["code"] == "6430"
    assert desk.post("item", body)["Item"]["FullyQualifiedName"] == "Plate"


def test_counting_stock_needs_a_date_after_the_start_and_keeps_the_start(desk: Desk) -> None:
    tracked = {"sparse": True, "TrackQtyOnHand": True, "QtyOnHand": Decimal("4.5")}
    key = {"Id": desk.item_id, "SyncToken": "0", **tracked}
    assert desk.fault("item", {**key, "InvStartDate": "2023-01-01"})["code"] == "6270"
    counted = desk.post("item", {**key, "InvStartDate": "2026-05-01"})["Item"]
    assert (counted["QtyOnHand"], counted["InvStartDate"]) == (Decimal("4.5"), "2024-01-01")


def test_a_tax_number_is_masked_when_it_is_read(desk: Desk) -> None:
    body = {"DisplayName": "Firma", "PrimaryTaxIdentifier": "NL123456789B01"}
    made = desk.post("customer", body)["Customer"]
    assert made["PrimaryTaxIdentifier"] == "XXXXXXXXX89B01"
    shown = desk.query("select * from Customer where DisplayName = 'Firma'")["Customer"][0]
    assert shown["PrimaryTaxIdentifier"] == "XXXXXXXXX89B01"


def test_a_tax_code_is_made_with_its_rates_and_can_be_used(desk: Desk) -> None:
    agency = desk.simulation.rows(REALM, "TaxAgency")[0]["Id"]
    detail = {"TaxRateName": "17% Sales", "RateValue": 17, "TaxAgencyId": agency, "TaxApplicableOn": "Sales"}
    made = desk.post("taxservice/taxcode", {"TaxCode": "17% TVA", "TaxRateDetails": [detail]})
    assert desk.get(f"taxcode/{made['TaxCodeId']}")["TaxCode"]["Name"] == "17% TVA"
    receipt = desk.post("salesreceipt", desk.receipt(desk.line("100.00", TaxCodeRef={"value": made["TaxCodeId"]})))
    assert receipt["SalesReceipt"]["TotalAmt"] == 117
    assert desk.fault("taxservice/taxcode", {"TaxCode": "17% tva", "TaxRateDetails": [detail]})["code"] == "6240"


def test_small_lists_can_be_added_to_but_never_deleted_from(desk: Desk) -> None:
    for path, body in (
        ("paymentmethod", {"Name": "iDEAL", "Type": "NON_CREDIT_CARD"}),
        ("term", {"Name": "Net 30", "DueDays": 30}),
        ("class", {"Name": "Retail"}),
        ("department", {"Name": "Delft"}),
        ("account", {"Name": "Sales DE", "AccountType": "Income", "AccountSubType": "SalesOfProductIncome"}),
    ):
        (made,) = (value for key, value in desk.post(path, body).items() if key != "time")
        assert made["Active"] is True
        assert desk.fault(path, {"Id": made["Id"], "SyncToken": "0"}, operation="delete")["code"] == "500"
        assert desk.fault(path, body)["code"] == "6240"


def test_a_merge_moves_references_to_the_survivor_and_tells_both_ids(desk: Desk) -> None:
    twin = desk.simulation.put_customer(REALM, {"DisplayName": "Jan d. Vries"})
    invoice = desk.post("invoice", desk.receipt(desk.line("1.00"), CustomerRef={"value": twin["Id"]}))["Invoice"]
    desk.control("POST", "merge", {"entity": "Customer", "survivor": desk.customer_id, "vanished": twin["Id"]})
    assert desk.get(f"invoice/{invoice['Id']}")["Invoice"]["CustomerRef"]["value"] == desk.customer_id
    event = desk.simulation.outbox.waiting[-1]
    assert (event.operation, event.id, event.vanished) == ("Merge", desk.customer_id, twin["Id"])


def test_company_info_and_preferences_tell_how_the_company_works(desk: Desk) -> None:
    info = desk.get(f"companyinfo/{REALM}")["CompanyInfo"]
    assert (info["CompanyName"], info["Country"]) == ("Koffie en Zo", "NL")
    preferences = desk.get("preferences")["Preferences"]
    assert preferences["SalesFormsPrefs"]["CustomTxnNumbers"] is True
    assert preferences["AccountingInfoPrefs"]["TrackDepartments"] is True
    assert preferences["CurrencyPrefs"]["HomeCurrency"]["value"] == "EUR"

"""Sales documents over HTTP: totals, tax, rules, stock, voiding and deleting."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox.quickbooks.desk import REALM, Desk

D = Decimal


def test_a_receipt_without_tax_in_its_prices_gets_tax_per_rate_and_a_total(desk: Desk) -> None:
    body = desk.receipt(desk.line("10.00", 21), desk.line("5.00", 9), DocNumber="POS-1")
    receipt = desk.post("salesreceipt", body)["SalesReceipt"]
    assert receipt["TotalAmt"] == D("17.55")
    assert receipt["TxnTaxDetail"]["TotalTax"] == D("2.55")
    lines = receipt["TxnTaxDetail"]["TaxLine"]
    assert [(each["Amount"], each["TaxLineDetail"]["NetAmountTaxable"]) for each in lines] == [
        (D("2.10"), D("10.00")),
        (D("0.45"), D("5.00")),
    ]
    assert receipt["Balance"] == 0
    assert receipt["DepositToAccountRef"]["name"] == "Undeposited Funds"
    assert receipt["Line"][-1] == {"Amount": D("15.00"), "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}


def test_prices_with_tax_inside_make_the_gross_total_exactly(desk: Desk) -> None:
    lines = [desk.line("8.26", 21, TaxInclusiveAmt=D("9.99")), desk.line("2.29", 9, TaxInclusiveAmt=D("2.50"))]
    receipt = desk.post("salesreceipt", desk.receipt(*lines, GlobalTaxCalculation="TaxInclusive"))["SalesReceipt"]
    assert receipt["TotalAmt"] == D("12.49")
    assert receipt["TxnTaxDetail"]["TotalTax"] == D("1.94")
    assert [line["Amount"] for line in receipt["Line"][:2]] == [D("8.26"), D("2.29")]


def test_a_net_that_does_not_belong_to_its_gross_is_refused(desk: Desk) -> None:
    line = desk.line("9.99", 21, TaxInclusiveAmt=D("9.99"))
    assert desk.fault("salesreceipt", desk.receipt(line, GlobalTaxCalculation="TaxInclusive"))["code"] == "6070"


def test_rounding_per_line_and_per_code_differ_where_the_switch_says_so(desk: Desk) -> None:
    lines = [desk.line("0.33", 21) for _ in range(3)]
    by_line = desk.post("salesreceipt", desk.receipt(*lines))["SalesReceipt"]["TxnTaxDetail"]["TotalTax"]
    desk.control("POST", "switches", {"tax_rounding": "code"})
    by_code = desk.post("salesreceipt", desk.receipt(*lines))["SalesReceipt"]["TxnTaxDetail"]["TotalTax"]
    lines = [desk.line("0.35", 21) for _ in range(3)]
    assert (by_line, by_code) == (D("0.21"), D("0.21"))
    assert desk.post("salesreceipt", desk.receipt(*lines))["SalesReceipt"]["TxnTaxDetail"]["TotalTax"] == D("0.22")
    desk.control("POST", "switches", {"tax_rounding": "line"})
    assert desk.post("salesreceipt", desk.receipt(*lines))["SalesReceipt"]["TxnTaxDetail"]["TotalTax"] == D("0.21")


def _override(desk: Desk, amount: str, total: str) -> dict[str, Any]:
    code = desk.company.get("TaxCode", desk.code(21))
    rate = code["SalesTaxRateList"]["TaxRateDetail"][0]["TaxRateRef"]["value"]
    detail = {"TaxRateRef": {"value": rate}, "PercentBased": True, "TaxPercent": 21, "NetAmountTaxable": D("10.00")}
    line = {"Amount": D(amount), "DetailType": "TaxLineDetail", "TaxLineDetail": detail}
    return {"TotalTax": D(total), "TaxLine": [line]}


def test_tax_amounts_of_the_client_are_honoured_within_five_cents(desk: Desk) -> None:
    body = desk.receipt(desk.line("10.00"), TxnTaxDetail=_override(desk, "2.11", "2.11"))
    receipt = desk.post("salesreceipt", body)["SalesReceipt"]
    assert (receipt["TxnTaxDetail"]["TotalTax"], receipt["TotalAmt"]) == (D("2.11"), D("12.11"))


@pytest.mark.parametrize(("amount", "total"), [("2.20", "2.20"), ("2.11", "2.12")])
def test_tax_amounts_that_are_far_off_or_do_not_add_up_are_refused(desk: Desk, amount: str, total: str) -> None:
    body = desk.receipt(desk.line("10.00"), TxnTaxDetail=_override(desk, amount, total))
    assert desk.fault("salesreceipt", body)["code"] == "6000"


def test_tax_amounts_of_the_client_can_be_ignored_or_refused(desk: Desk) -> None:
    body = desk.receipt(desk.line("10.00"), TxnTaxDetail=_override(desk, "2.11", "2.11"))
    desk.control("POST", "switches", {"tax_override": "ignore"})
    assert desk.post("salesreceipt", body)["SalesReceipt"]["TotalAmt"] == D("12.10")
    desk.control("POST", "switches", {"tax_override": "refuse"})
    assert desk.fault("salesreceipt", body)["code"] == "6000"


def test_a_line_without_tax_code_is_refused_with_the_recorded_words(desk: Desk) -> None:
    line = desk.line("10.00")
    del line["SalesItemLineDetail"]["TaxCodeRef"]
    error = desk.fault("salesreceipt", desk.receipt(line))
    assert error["code"] == "6000"
    assert "Make sure all your transactions have a VAT rate before you save." in error["Detail"]


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("unknown property", {"BadJson": True}, "2010"),
    ("object for text", {"DocNumber": {"a": 1}}, "2010"),
    ("no lines", {"Line": []}, "2020"),
    ("long number", {"DocNumber": "X" * 22}, "2050"),
    ("unknown customer", {"CustomerRef": {"value": "999"}}, "2500"),
    ("wrong mode", {"GlobalTaxCalculation": "Sometimes"}, "2170"),
    ("bad date", {"TxnDate": "yesterday"}, "2060"),
    ("foreign currency", {"CurrencyRef": {"value": "USD"}}, "6000"),
    ("unpaid into income", {"DepositToAccountRef": {"value": "10"}}, "6430"),
    ("class tracking off", {"ClassRef": {"value": "1"}}, "2500"),
]


@pytest.mark.parametrize(("change", "code"), [each[1:] for each in REFUSALS], ids=[each[0] for each in REFUSALS])
def test_a_receipt_that_breaks_a_rule_is_refused_with_its_code(desk: Desk, change: dict[str, Any], code: str) -> None:
    assert desk.fault("salesreceipt", {**desk.receipt(desk.line("10.00")), **change})["code"] == code
    assert desk.simulation.rows(REALM, "SalesReceipt") == []


def test_where_currencies_are_kept_each_transaction_names_its_customers(desk: Desk) -> None:
    desk.simulation.set_preference(REALM, "CurrencyPrefs", "MultiCurrencyEnabled", True)
    customer = desk.post("customer", {"DisplayName": "Joe", "CurrencyRef": {"value": "USD"}})["Customer"]
    body = {**desk.receipt(desk.line("10.00")), "CustomerRef": {"value": customer["Id"]}}
    assert desk.fault("salesreceipt", body)["code"] == "2020"
    assert desk.fault("salesreceipt", {**body, "CurrencyRef": {"value": "EUR"}})["code"] == "6000"
    made = desk.post("salesreceipt", {**body, "CurrencyRef": {"value": "USD"}})["SalesReceipt"]
    assert made["CurrencyRef"]["value"] == "USD"
    payment = {"CustomerRef": body["CustomerRef"], "TotalAmt": D("1.00")}
    assert desk.fault("payment", payment)["code"] == "2020"


def test_a_customer_keeps_its_currency(desk: Desk) -> None:
    desk.simulation.set_preference(REALM, "CurrencyPrefs", "MultiCurrencyEnabled", True)
    made = desk.post("customer", {"DisplayName": "Joe", "CurrencyRef": {"value": "USD"}})["Customer"]
    change = {"Id": made["Id"], "SyncToken": made["SyncToken"], "sparse": True, "CurrencyRef": {"value": "EUR"}}
    assert desk.fault("customer", change)["code"] == "6000"


def test_an_amount_has_to_be_quantity_times_price(desk: Desk) -> None:
    error = desk.fault("salesreceipt", desk.receipt(desk.line("10.00", Qty=3, UnitPrice=D("3.30"))))
    assert error["code"] == "6070"
    good = desk.line("9.90", Qty=3, UnitPrice=D("3.30"))
    assert desk.post("salesreceipt", desk.receipt(good))["SalesReceipt"]["TotalAmt"] == D("11.98")


def test_the_product_of_quantity_and_price_is_rounded_to_cents(desk: Desk) -> None:
    weighed = desk.line("8.98", Qty=D("0.435"), UnitPrice=D("20.6436782"), ItemRef={"value": desk.item_id})
    kept = desk.post("salesreceipt", desk.receipt(weighed))["SalesReceipt"]["Line"][0]["SalesItemLineDetail"]
    assert (kept["Qty"], kept["UnitPrice"]) == (D("0.435"), D("20.6436782"))
    assert desk.get(f"item/{desk.item_id}")["Item"]["QtyOnHand"] == D("9.565")
    dearer = desk.line("8.98", Qty=D("0.435"), UnitPrice=D("20.6600000"))
    assert desk.fault("salesreceipt", desk.receipt(dearer))["code"] == "6070"


def test_quantity_and_price_have_seven_decimals(desk: Desk) -> None:
    line = desk.line("99.99", Qty=D(3_000_000), UnitPrice=D("0.00003333"))
    assert desk.fault("salesreceipt", desk.receipt(line))["code"] == "6070"
    kept = desk.line("99.90", Qty=D(3_000_000), UnitPrice=D("0.00003333"))
    detail = desk.post("salesreceipt", desk.receipt(kept))["SalesReceipt"]["Line"][0]["SalesItemLineDetail"]
    assert detail["UnitPrice"] == D("0.0000333")


def test_a_company_can_take_exact_products_only(desk: Desk) -> None:
    desk.simulation.switches.line_amounts = "exact"
    rounded = desk.line("10.00", Qty=3, UnitPrice=D("3.3333333"))
    assert desk.fault("salesreceipt", desk.receipt(rounded))["code"] == "6070"
    desk.post("salesreceipt", desk.receipt(desk.line("9.99", Qty=3, UnitPrice=D("3.33"))))


def test_a_category_cannot_be_sold(desk: Desk) -> None:
    category = desk.post("item", {"Name": "Drinks", "Type": "Category"})["Item"]
    line = desk.line("1.00", ItemRef={"value": category["Id"]})
    error = desk.fault("salesreceipt", desk.receipt(line))
    assert error["code"] == "2500"
    assert "set up as a category" in error["Detail"]


def test_an_inactive_item_cannot_be_sold_any_more(desk: Desk) -> None:
    desk.simulation.put(REALM, "Item", {"Id": desk.service_id, "Active": False})
    assert desk.fault("salesreceipt", desk.receipt(desk.line("1.00")))["code"] == "610"


def test_a_document_number_in_use_is_refused_unless_duplicates_are_allowed(desk: Desk) -> None:
    body = desk.receipt(desk.line("1.00"), DocNumber="POS-7")
    first = desk.post("salesreceipt", body)["SalesReceipt"]
    error = desk.fault("salesreceipt", body)
    assert error["code"] == "6140"
    assert f"DocNumber=POS-7 is assigned to TxnType=SalesReceipt with TxnId={first['Id']}" in error["Detail"]
    second = desk.post("salesreceipt", body, include="allowduplicatedocnum")["SalesReceipt"]
    assert second["Id"] != first["Id"]


def test_a_company_that_numbers_itself_keeps_a_number_that_is_sent(desk: Desk) -> None:
    desk.simulation.set_preference(REALM, "SalesFormsPrefs", "CustomTxnNumbers", False)
    numbers = [
        desk.post("salesreceipt", desk.receipt(desk.line("1.00"), **more))["SalesReceipt"]["DocNumber"]
        for more in ({}, {"DocNumber": "POS-1"}, {})
    ]
    assert numbers == ["1001", "POS-1", "1002"]


def test_closed_books_refuse_new_changed_voided_and_deleted_documents(desk: Desk) -> None:
    old = desk.post("salesreceipt", desk.receipt(desk.line("1.00"), TxnDate="2026-03-31"))["SalesReceipt"]
    desk.control(
        "POST", "preferences", {"group": "AccountingInfoPrefs", "name": "BookCloseDate", "value": "2026-03-31"}
    )
    key = {"Id": old["Id"], "SyncToken": old["SyncToken"]}
    assert desk.fault("salesreceipt", desk.receipt(desk.line("1.00"), TxnDate="2026-03-31"))["code"] == "6210"
    assert desk.fault("salesreceipt", {**key, "sparse": True, "PrivateNote": "x"})["code"] == "6210"
    assert desk.fault("salesreceipt", key, operation="update", include="void")["code"] == "6210"
    assert desk.fault("salesreceipt", key, operation="delete")["code"] == "6210"
    desk.post("salesreceipt", desk.receipt(desk.line("1.00"), TxnDate="2026-04-01"))


def test_stock_falls_with_a_sale_and_comes_back_when_voided_or_returned(desk: Desk) -> None:
    def on_hand() -> Any:
        return desk.get(f"item/{desk.item_id}")["Item"]["QtyOnHand"]

    line = desk.line("16.52", Qty=2, UnitPrice=D("8.26"), ItemRef={"value": desk.item_id})
    sale = desk.post("salesreceipt", desk.receipt(line))["SalesReceipt"]
    assert on_hand() == 8
    deposit = next(row["Id"] for row in desk.simulation.rows(REALM, "Account") if row["Name"] == "Bank")
    desk.post("refundreceipt", desk.receipt(line, DepositToAccountRef={"value": deposit}))
    assert on_hand() == 10
    key = {"Id": sale["Id"], "SyncToken": sale["SyncToken"], "sparse": True}
    desk.post("salesreceipt", key, operation="update", include="void")
    assert on_hand() == 12


def test_a_sale_moves_the_time_of_its_item_but_sends_no_item_event(desk: Desk) -> None:
    before = desk.simulation.find(REALM, "Item", Id=desk.item_id)
    desk.control("POST", "clock", {"seconds": 60})
    desk.post("salesreceipt", desk.receipt(desk.line("8.26", Qty=1, ItemRef={"value": desk.item_id})))
    after = desk.simulation.find(REALM, "Item", Id=desk.item_id)
    assert before is not None
    assert after is not None
    assert after["MetaData"]["LastUpdatedTime"] > before["MetaData"]["LastUpdatedTime"]
    assert after["SyncToken"] == before["SyncToken"]
    assert desk.simulation.outbox.waiting[-1].entity == "SalesReceipt"


def test_an_adjustment_changes_the_stock_by_its_difference(desk: Desk) -> None:
    account = next(row["Id"] for row in desk.simulation.rows(REALM, "Account") if row["Name"] == "Inventory Shrinkage")
    line = {
        "DetailType": "ItemAdjustmentLineDetail",
        "ItemAdjustmentLineDetail": {"ItemRef": {"value": desk.item_id}, "QtyDiff": -3},
    }
    desk.post("inventoryadjustment", {"AdjustAccountRef": {"value": account}, "Line": [line]})
    assert desk.company.get("Item", desk.item_id)["QtyOnHand"] == 7


def test_a_full_update_clears_what_it_leaves_out_and_a_sparse_one_does_not(desk: Desk) -> None:
    body = desk.receipt(desk.line("1.00"), PrivateNote="marker", DocNumber="A1", TxnDate="2026-05-01")
    first = desk.post("salesreceipt", body)["SalesReceipt"]
    sparse = {"Id": first["Id"], "SyncToken": "0", "sparse": True, "DocNumber": "A2"}
    second = desk.post("salesreceipt", sparse)["SalesReceipt"]
    assert (second["PrivateNote"], second["DocNumber"], second["SyncToken"]) == ("marker", "A2", "1")
    full = {**desk.receipt(desk.line("2.00")), "Id": first["Id"], "SyncToken": "1", "TxnDate": "2026-05-01"}
    third = desk.post("salesreceipt", full)["SalesReceipt"]
    assert "PrivateNote" not in third
    assert third["TotalAmt"] == D("2.42")
    assert desk.fault("salesreceipt", full)["code"] == "5010"


def test_a_voided_invoice_stays_with_zero_amounts_as_recorded(desk: Desk) -> None:
    invoice = desk.post("invoice", desk.receipt(desk.line("100.00")))["Invoice"]
    key = {"Id": invoice["Id"], "SyncToken": invoice["SyncToken"]}
    voided = desk.post("invoice", key, operation="void")["Invoice"]
    assert (voided["TotalAmt"], voided["Balance"], voided["PrivateNote"], voided["SyncToken"]) == (0, 0, "Voided", "1")
    assert [line["Amount"] for line in voided["Line"]] == [0, 0]
    assert voided["TxnTaxDetail"] == {"TotalTax": 0}
    assert voided["LinkedTxn"] == []


def test_a_deleted_receipt_is_gone_and_captured_as_a_tombstone(desk: Desk) -> None:
    receipt = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
    key = {"Id": receipt["Id"], "SyncToken": "0"}
    answer = desk.post("salesreceipt", key, operation="delete")
    assert answer["SalesReceipt"] == {"domain": "QBO", "status": "Deleted", "Id": receipt["Id"]}
    assert desk.call("GET", f"salesreceipt/{receipt['Id']}").json()["Fault"]["Error"][0]["code"] == "610"
    (found,) = desk.get("cdc", entities="SalesReceipt", changedSince="2026-01-01")["CDCResponse"]
    (stub,) = found["QueryResponse"][0]["SalesReceipt"]
    assert (stub["status"], stub["Id"]) == ("Deleted", receipt["Id"])


def test_a_bundle_brings_its_components(desk: Desk) -> None:
    members = {"ItemGroupLine": [{"ItemRef": {"value": desk.item_id}, "Qty": 2}]}
    bundle = desk.simulation.put_item(REALM, {"Name": "Mug set", "Type": "Group", "ItemGroupDetail": members})
    line = {
        "DetailType": "GroupLineDetail",
        "GroupLineDetail": {"GroupItemRef": {"value": bundle["Id"]}, "Quantity": 2},
    }
    receipt = desk.post("salesreceipt", desk.receipt(line))["SalesReceipt"]
    assert receipt["TotalAmt"] == D("39.98")
    assert desk.company.get("Item", desk.item_id)["QtyOnHand"] == 6
    assert desk.fault("item", {"Name": "Own bundle", "Type": "Group"})["code"] == "6000"


def test_a_discount_lowers_the_total_and_its_tax(desk: Desk) -> None:
    discount = {
        "DetailType": "DiscountLineDetail",
        "DiscountLineDetail": {"PercentBased": True, "DiscountPercent": 10, "TaxCodeRef": {"value": desk.code(21)}},
    }
    receipt = desk.post("salesreceipt", desk.receipt(desk.line("100.00"), discount))["SalesReceipt"]
    assert receipt["TotalAmt"] == D("108.90")

"""Doctor's checks of both systems, against both simulators: each line names the fault and the fix."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.store import connections, requests
from gateway.store.connections import Connection
from mapping.choices import BY_CATEGORY, BY_VAT_CODE
from tests.handlers.counter import add_category
from tests.handlers.shop import REALM, Shop

Row = dict[str, Any]


def look(shop: Shop, connection: str = "default") -> dict[str, Row]:
    """Doctor's findings by what was checked."""
    event_id = shop.receive(requests.check_up(connection=connection))
    shop.work()
    rows: list[Row] = json.loads(shop.event(event_id).result or "[]")
    assert rows
    return {row["check"]: row for row in rows}


def prefer(shop: Shop, group: str, name: str, value: object) -> None:
    shop.books.set_preference(REALM, group, name, value)


ANSWERED = "[products]\nturnover_group = 1\n"


def test_a_shop_in_order_has_nothing_to_do(shop: Shop) -> None:
    shop.switch(ANSWERED)
    found = look(shop)
    assert [row for row in found.values() if not row["good"]] == []
    assert {"MplusKASSA", "QuickBooks", "branches", "items", "clock", "VAT 21 %", "VAT 9 %", "VAT 0 %"} <= found.keys()
    assert found["document numbers"]["said"] == "the till's number is kept"


# --- logins ----------------------------------------------------------------------------------------------------


def test_a_till_with_a_wsdl_but_a_wrong_login_is_distinguished(shop: Shop) -> None:
    shop.till.secret = "another"
    found = look(shop)
    assert found["MplusKASSA"]["said"].startswith("login refused")
    assert "MPLUS_SECRET" in found["MplusKASSA"]["fix"]
    assert found["QuickBooks"]["good"]
    assert "VAT 21 %" not in found


def test_books_that_refuse_the_token_point_at_the_other_environment(shop: Shop) -> None:
    shop.books.grants.end_realm(REALM)
    found = look(shop)
    assert "QUICKBOOKS_ENVIRONMENT" in found["QuickBooks"]["fix"]
    assert found["MplusKASSA"]["good"]


def test_an_ended_subscription_is_not_taken_for_wrong_keys(shop: Shop) -> None:
    shop.books.injected.plan("*", "subscription", times=-1, skip=1)  # the login is taken
    for _ in range(2):
        found = look(shop)["QuickBooks"]
        assert "subscription has ended" in found["said"]
        assert found["fix"].startswith("see in QuickBooks whether its subscription"), found["fix"]


def test_a_side_that_was_never_connected_is_not_called_refused(shop: Shop) -> None:
    with writing(shop.engine) as session:
        connections.save(session, Connection("second", display_name="second"), Seal(["a-secret-key-for-tests"]))
    rows = look(shop, "second")
    assert {name: row["said"] for name, row in rows.items() if not row["good"]} == {
        "MplusKASSA": "not connected yet",
        "QuickBooks": "not connected yet",
    }
    assert rows["MplusKASSA"]["fix"].startswith("enter the till's address, ident and secret")
    assert rows["QuickBooks"]["fix"].startswith("connect QuickBooks in the set-up")


# --- the company -----------------------------------------------------------------------------------------------


PREFERENCES = (
    ("SalesFormsPrefs", "CustomTxnNumbers", False, "document numbers", True, "custom transaction numbers on"),
    ("CurrencyPrefs", "MultiCurrencyEnabled", True, "multicurrency", True, "booked in EUR"),
    ("AccountingInfoPrefs", "BookCloseDate", "2026-01-31", "closed books", True, "2026-01-31"),
    ("ProductAndServicesPrefs", "QuantityOnHand", False, "stock", False, "does not track"),
)


def test_every_preference_that_matters_is_reported(shop: Shop) -> None:
    for group, name, value, _, _, _ in PREFERENCES:
        prefer(shop, group, name, value)
    found = look(shop)
    for _, name, _, check, good, said in PREFERENCES:
        assert (name, found[check]["good"], said in found[check]["said"]) == (name, good, True)
    prefer(shop, "TaxPrefs", "UsingSalesTax", False)
    assert "switched off" in look(shop)["sales tax"]["said"]


def test_books_that_compute_sales_tax_themselves_are_reported(shop: Shop) -> None:
    prefer(shop, "TaxPrefs", "PartnerTaxEnabled", True)
    assert "sales tax" not in look(shop)
    shop.books.put(REALM, "CompanyInfo", {"Id": "1", "Country": "US"})
    assert "overrules" in look(shop)["sales tax"]["said"]


def test_books_of_another_currency_are_reported(shop: Shop) -> None:
    shop.switch('version = 1\n[products]\ncurrency = "USD"')
    found = look(shop)["currency"]
    assert "products.currency" in found["fix"]
    assert {"EUR", "USD:"} <= set(found["said"].replace(",", " ").split())


def test_an_account_for_deposits_of_another_currency_is_reported(shop: Shop) -> None:
    prefer(shop, "CurrencyPrefs", "MultiCurrencyEnabled", True)
    dollars = {"Name": "Dollars", "AccountType": "Bank", "CurrencyRef": {"value": "USD"}}
    shop.books.put(REALM, "Account", dollars)
    shop.switch('[mapping.deposit_accounts]\ntable = { "PIN" = "Dollars" }')
    assert look(shop)["mapping.deposit_accounts"]["said"] == "Dollars keeps USD"


def test_a_company_without_income_or_money_accounts_is_reported(shop: Shop) -> None:
    for row in shop.rows("Account"):
        if row["AccountType"] in {"Income", "Bank", "Other Current Asset"}:
            shop.books.put(REALM, "Account", {"Id": row["Id"], "Active": False})
    found = look(shop)
    assert "type Income" in found["income account"]["fix"]
    assert "type Bank" in found["deposit account"]["fix"]


def test_a_clock_that_differs_from_quickbooks_is_reported(shop: Shop) -> None:
    assert look(shop)["clock"]["good"]
    shop.books.clock.advance(120)
    assert "NTP" in look(shop)["clock"]["fix"]


# --- items -----------------------------------------------------------------------------------------------------


def test_items_that_cannot_be_synchronised_are_reported(shop: Shop) -> None:
    shop.add_item("2001")
    shop.add_item("ABC-1")
    income = {"value": shop.account("Sales of Product Income")}
    for name, sku in (("Another 2001", {"Sku": "2001"}), ("Nameless", {})):
        shop.books.put(REALM, "Item", {"Name": name, "Type": "Service", "IncomeAccountRef": income, **sku})
    tomorrow = (date.today() + timedelta(days=5)).isoformat()  # noqa: DTZ011 - days apart
    shop.add_item(
        "2003",
        Type="Inventory",
        TrackQtyOnHand=True,
        QtyOnHand=Decimal(1),
        InvStartDate=tomorrow,
        AssetAccountRef={"value": shop.account("Inventory Asset")},
        ExpenseAccountRef={"value": shop.account("Cost of Goods Sold")},
    )
    found = look(shop)
    assert found["double SKUs"]["said"] == "2001"
    assert "Nameless" in found["items without SKU"]["said"]
    assert "ABC-1" in found["SKUs that are no number"]["said"]
    assert "6270" in found["inventory start"]["fix"]
    shop.switch('version = 1\n[products]\nsku_with_letters = "allocate"')
    assert "SKUs that are no number" not in look(shop)


def test_no_sku_is_asked_of_an_item_named_for_own_lines(shop: Shop) -> None:
    shop.add_item("", Name="Takings", Type="Service")
    assert look(shop)["items without SKU"]["said"] == "1: Takings"
    shop.switch('[orders]\nsummary_item = "takings"\n')
    found = look(shop)
    assert "items without SKU" not in found
    assert "Takings" not in found["articles"]["said"]


# --- what the settings name, and what must exist on both sides ---------------------------------------------------


MISNAMED = (
    ('[mapping.deposit_accounts]\nmode = "table"\ntable = { PIN = "Nowhere" }', "mapping.deposit_accounts", "Nowhere"),
    ('[mapping.deposit_accounts]\nmode = "table"\ntable = { PIN = "Sales EU" }', "mapping.deposit_accounts", "Income"),
    ('[mapping.payment_methods]\nmode = "force"\nvalue = "Shells"', "mapping.payment_methods", "Shells"),
    ('[mapping.tax_codes]\nmode = "table"\ntable = { 21 = "High" }', "mapping.tax_codes", "High"),
    ('[mapping]\nno_vat_tax_code = "Nil"', "mapping.no_vat_tax_code", "Nil"),
    ('[mapping.special_items]\ntip = "Tips"', "mapping.special_items.tip", "Tips"),
    ('[orders]\nmissing_item = "fallback"\nfallback_item = "Sundry"', "orders.fallback_item", "Sundry"),
    ('[orders]\nsummary = "day"\nsummary_item = "Takings"', "orders.summary_item", "Takings"),
    ("[stock]\nmain_branch = 9", "stock.main_branch", "branch 9"),
    ("[stock.branches.8]\nshare = 100", "stock.branches", "branch 8"),
    ("[products]\nturnover_group = 777", "products.turnover_group", "777"),
    (f'[{BY_CATEGORY}]\ntable = {{ Nowhere = "1" }}', BY_CATEGORY, "Nowhere"),
    (f'[{BY_CATEGORY}]\ntable = {{ "(no category)" = "778" }}', BY_CATEGORY, "778"),
    (f'[{BY_VAT_CODE}]\ntable = {{ 88 = "1" }}', BY_VAT_CODE, "VAT code 88"),
)


def test_names_in_the_settings_that_do_not_exist_are_reported(shop: Shop) -> None:
    for document, check, said in MISNAMED:
        shop.switch(f"version = 1\n{document}\n")
        row = look(shop)[check]
        assert (check, said in row["said"], bool(row["fix"])) == (check, True, True), row
    shop.switch(ANSWERED)
    assert [row for row in look(shop).values() if not row["good"]] == []


def test_the_turnover_groups_of_new_articles_are_asked_for_until_chosen(shop: Shop) -> None:
    food = add_category(shop, "Food")
    add_category(shop, "Cheese", food["Id"])
    question = look(shop)["products.turnover_group"]
    assert "new articles get the first one of their VAT code" in question["said"]
    assert question["fix"]
    shop.switch(f'[{BY_CATEGORY}]\ntable = {{ "(no category)" = "1" }}\non_miss = "skip"')
    assert "is chosen for Food, Food:Cheese" in look(shop)["products.turnover_group"]["said"]
    codes = ", ".join(f'{code} = "1"' for code in sorted({row["vatCode"] for row in shop.till.till["vat_groups"]}))
    for answer in (
        f'[{BY_CATEGORY}]\ntable = {{ "(no category)" = "1", food = "2" }}\non_miss = "skip"',
        f'[{BY_CATEGORY}]\nmode = "force"\nvalue = "1"',
        f"[{BY_VAT_CODE}]\ntable = {{ {codes} }}\n",
        ANSWERED,
    ):
        shop.switch(answer)
        assert "products.turnover_group" not in look(shop), answer


def test_a_rate_booked_on_a_code_of_another_rate_is_reported(shop: Shop) -> None:
    shop.switch('version = 1\n[mapping.tax_codes]\nmode = "table"\ntable = { 21 = "9% BTW", 9 = "9% BTW" }')
    found = look(shop)
    assert "a code of 9" in found["VAT 21 %"]["said"]
    assert found["VAT 9 %"]["good"]
    assert "no active tax code" in found["VAT 0 %"]["said"]


def test_a_branch_without_a_location_is_reported_as_the_settings_say(shop: Shop) -> None:
    (utrecht,) = [row for row in shop.rows("Department") if row["Name"] == "Winkel Utrecht"]
    shop.books.put(REALM, "Department", {"Id": utrecht["Id"], "Name": "Elsewhere"})
    row = look(shop)["branch 1"]
    assert (row["good"], "booked without one" in row["said"]) == (True, True)
    shop.switch('version = 1\n[mapping.departments]\non_miss = "park"')
    assert "mapping.departments" in look(shop)["branch 1"]["fix"]


def test_ways_to_pay_that_may_not_be_made_must_exist(shop: Shop) -> None:
    assert not any(check.startswith("payment method ") for check in look(shop))
    shop.switch("version = 1\n[mapping]\ncreate_payment_methods = false")
    # A sale looks for what the till calls it, not for its code.
    shop.books.put(REALM, "PaymentMethod", {"Name": "STORTING", "Active": True})
    found = look(shop)
    assert "mapping.payment_methods" in found["payment method IDEAL"]["fix"]
    assert "mapping.payment_methods" in found["payment method STORTING"]["fix"]


def test_a_setting_that_was_taken_out_is_reported(shop: Shop) -> None:
    shop.switch("[orders]\nsales_orders = true")
    found = look(shop)
    assert not found["orders.sales_orders"]["good"]
    assert "taken out" in found["orders.sales_orders"]["said"]


def test_stock_beside_documents_by_day_is_reported_until_it_is_off(shop: Shop) -> None:
    by_day = '[orders]\nsummary = "day"\nsummary_item = "1001"\n'
    shop.switch(by_day)
    found = look(shop)
    assert "stock.enabled = false" in found["orders.summary"]["fix"]
    shop.switch(f"{by_day}[stock]\nenabled = false")
    assert "orders.summary" not in look(shop)

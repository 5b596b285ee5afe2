"""Items, tax codes, list entries and the company come out of the books' JSON exactly."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.connectors.quickbooks import wire
from gateway.connectors.quickbooks.fields import find_object, to_bytes
from gateway.errors import Permanent
from mapping.records import TaxCode
from tests.gateway.connectors.quickbooks.examples import read_json

ON = date(2026, 8, 1)


def item(**changed: Any) -> dict[str, Any]:
    return {"Id": "11", "SyncToken": "3", "Name": "Pump", "Type": "Inventory", **changed}


def rate(rate_id: str, value: str, *periods: dict[str, Any], **more: Any) -> dict[str, Any]:
    effective = {"EffectiveTaxRate": list(periods)} if periods else {}
    return {"Id": rate_id, "Name": rate_id, "RateValue": Decimal(value), **effective, **more}


def period(value: str, start: str, end: str | None = None) -> dict[str, Any]:
    return {"RateValue": Decimal(value), "EffectiveDate": start} | ({"EndDate": end} if end else {})


def code(*rate_ids: str, applicable: str = "TaxOnAmount", **more: Any) -> dict[str, Any]:
    details = [{"TaxRateRef": {"value": one}, "TaxTypeApplicable": applicable, "TaxOrder": 0} for one in rate_ids]
    return {"Id": "5", "Name": "21% S", "SalesTaxRateList": {"TaxRateDetail": details}, **more}


def join(code_row: dict[str, Any], *rates: dict[str, Any]) -> TaxCode:
    (found,) = wire.TaxTable((code_row,), tuple(rates)).on(ON)
    return found


def test_a_documented_item_is_read_with_its_stock() -> None:
    found = wire.to_item(read_json("item-create-inventory-response-docs.json")["Item"])
    assert (found.id, found.sync_token, found.name, found.type) == ("19", "0", "Garden Supplies", "Inventory")
    assert found.quantity_on_hand == 10
    assert found.updated_at == datetime(2015, 12, 9, 19, 12, 41, tzinfo=UTC)
    assert found.raw["AssetAccountRef"]["value"] == "81"


def test_prices_keep_every_digit_and_say_whether_tax_is_in_them() -> None:
    found = wire.to_item(item(UnitPrice=Decimal("12.3456789"), SalesTaxIncluded=True, SalesTaxCodeRef={"value": "5"}))
    assert (found.unit_price, found.price_includes_tax, found.tax_code_id) == (Decimal("12.3456789"), True, "5")


@pytest.mark.parametrize("quantity", [Decimal("-2.5"), 0, 24])
def test_fractional_and_negative_quantities_survive(quantity: Decimal) -> None:
    assert wire.to_item(item(TrackQtyOnHand=True, QtyOnHand=quantity)).quantity_on_hand == quantity


def test_an_item_that_is_not_tracked_has_no_quantity() -> None:
    assert wire.to_item(item(QtyOnHand=0)).quantity_on_hand is None


def test_the_suffix_of_an_inactive_item_is_not_part_of_its_name() -> None:
    assert wire.to_item(item(Name="Pump (deleted)", Active=False)).name == "Pump"
    assert wire.to_item(item(Name="Pump (deleted)", Active=True)).name == "Pump (deleted)"


@pytest.mark.parametrize(
    ("bad", "field"),
    [({"Id": None}, "Id"), ({"UnitPrice": "x"}, "UnitPrice"), ({"ParentRef": "7"}, "ParentRef"), ({"Sku": []}, "Sku")],
)
def test_a_field_of_the_wrong_shape_is_named(bad: dict[str, Any], field: str) -> None:
    with pytest.raises(Permanent) as raised:
        wire.to_item(item(**bad))
    assert raised.value.field == field


@pytest.mark.parametrize("price", [b'"12.10"', b"12.1", b"1.21E1", b"1.21E+01", b'"0012.1"'])
def test_a_number_counts_however_it_is_written(price: bytes) -> None:
    read = find_object(b'{"UnitPrice": %s, "QtyOnHand": "-3.5"}' % price)
    assert read is not None
    found = wire.to_item(item(**read, TrackQtyOnHand=True))
    assert (found.unit_price, found.quantity_on_hand) == (Decimal("12.1"), Decimal("-3.5"))


@pytest.mark.parametrize("price", ["12,10", "1e3", "NaN", "", " ", "\u0661\u0662", True])
def test_what_is_no_number_is_not_guessed(price: Any) -> None:
    with pytest.raises(Permanent) as raised:
        wire.to_item(item(UnitPrice=price))
    assert raised.value.field == "UnitPrice"


def test_a_tax_code_has_the_rate_in_force_on_the_day() -> None:
    periods = [
        period("19", "2001-01-01T00:00:00-08:00", "2012-09-30"),
        period("21", "2012-10-01"),
        period("23", "2027-01-01"),
    ]
    found = join(code("3"), rate("3", "23", *periods))
    assert found == TaxCode(id="5", name="21% S", active=True, percentage=Decimal(21), rate_id="3")


@pytest.mark.parametrize(("day", "value"), [(date(2012, 9, 30), 19), (date(2012, 10, 1), 21)])
def test_a_rate_changes_with_its_day(day: date, value: int) -> None:
    rates = [rate("3", "21", period("19", "2001-01-01", "2012-09-30"), period("21", "2012-10-01"))]
    assert wire.TaxTable((code("3"),), tuple(rates)).on(day)[0].percentage == value


def test_of_two_rates_in_force_the_later_start_counts() -> None:
    assert join(code("3"), rate("3", "0", period("19", "2001-01-01"), period("21", "2012-10-01"))).percentage == 21


def test_a_rate_without_periods_is_always_in_force() -> None:
    assert join(code("3"), rate("3", "9")).percentage == 9


def test_several_rates_add_up_and_leave_no_single_rate() -> None:
    found = join(code("3", "4"), rate("3", "5"), rate("4", "9.975"))
    assert (found.percentage, found.rate_id) == (Decimal("14.975"), None)


def test_zero_percent_is_a_rate() -> None:
    assert join(code("3"), rate("3", "0")).percentage == 0


@pytest.mark.parametrize(
    ("code_row", "rates"),
    [
        (code(), []),
        ({"Id": "5", "Name": "NON"}, []),
        (code("3"), []),
        (code("3"), [rate("3", "21", period("21", "2030-01-01"))]),
        (code("3", "4"), [rate("3", "5")]),
        (code("3", applicable="TaxOnTax"), [rate("3", "5")]),
    ],
)
def test_a_rate_that_cannot_be_said_is_not_guessed(code_row: dict[str, Any], rates: list[dict[str, Any]]) -> None:
    assert join(code_row, *rates).percentage is None


def test_list_entries_have_the_fields_of_their_list() -> None:
    account = {"Id": "79", "Name": "Sales", "AccountType": "Income", "AccountSubType": "SalesOfProductIncome"}
    found = wire.to_entry("Account", {**account, "FullyQualifiedName": "Income:Sales"})
    assert (found.type, found.subtype) == ("Income", "SalesOfProductIncome")
    assert found.full_name == "Income:Sales"
    assert wire.to_entry("Term", {"Id": "3", "Name": "Net 30", "DueDays": 30}).due_days == 30
    assert (
        wire.to_entry("PaymentMethod", {"Id": "1", "Name": "Pin", "Type": "NON_CREDIT_CARD"}).type == "NON_CREDIT_CARD"
    )


def test_a_new_payment_method_has_a_name_the_books_take() -> None:
    assert wire.to_entry_body("PaymentMethod", " Pin:\tcontactloos ") == {
        "Name": "Pin- contactloos",
        "Type": "NON_CREDIT_CARD",
    }
    assert wire.to_entry_body("Department", "Utrecht") == {"Name": "Utrecht"}
    with pytest.raises(Permanent, match="31 characters"):
        wire.to_entry_body("PaymentMethod", "x" * 32)


def test_the_company_says_what_it_switched_on() -> None:
    preferences = {
        "SalesFormsPrefs": {"CustomTxnNumbers": True, "AllowShipping": True},
        "AccountingInfoPrefs": {
            "TrackDepartments": True,
            "ClassTrackingPerTxnLine": True,
            "BookCloseDate": "2026-06-30",
        },
        "ProductAndServicesPrefs": {"QuantityOnHand": True},
        "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": "EUR"}},
        "TaxPrefs": {"UsingSalesTax": True, "PartnerTaxEnabled": False},
    }
    found = wire.to_profile({"CompanyName": "De Fietsenwinkel", "Country": "NL"}, preferences)
    assert (found.name, found.country, found.home_currency) == ("De Fietsenwinkel", "NL", "EUR")
    assert found.books_closed_through == date(2026, 6, 30)
    assert (found.custom_document_numbers, found.tracks_departments, found.tracks_stock) == (True, True, True)
    assert (found.uses_tax, found.tracks_classes, found.allows_shipping) == (True, True, True)
    assert (found.multi_currency, found.computes_tax_itself) == (False, False)


def test_ids_that_come_as_numbers_are_the_same_ids() -> None:
    row = {"Id": 7, "SyncToken": 3, "Name": "Kaas", "Type": "NonInventory", "ParentRef": {"value": 12}}
    found = wire.to_item(row)
    assert (found.id, found.sync_token, found.parent_id) == ("7", "3", "12")
    with pytest.raises(Permanent, match="Id"):
        wire.to_item({**row, "Id": True})


@pytest.mark.parametrize(("country", "computes"), [("US", True), (None, True), ("NL", False), ("GB", False)])
def test_automated_sales_tax_exists_in_the_united_states_only(country: str | None, computes: bool) -> None:
    found = wire.to_profile({"Country": country}, {"TaxPrefs": {"PartnerTaxEnabled": True}})
    assert found.computes_tax_itself is computes


def test_a_company_that_says_nothing_has_everything_off() -> None:
    found = wire.to_profile({}, {})
    assert (found.custom_document_numbers, found.uses_tax, found.books_closed_through) == (False, False, None)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"NaN", b"\xff", b"{", b'{"a":' * 50_000, b'{"a":1e99999999999999999999}']
)
def test_what_is_no_json_object_is_none(body: bytes) -> None:
    assert find_object(body) is None


def test_money_survives_the_wire_in_both_directions() -> None:
    assert to_bytes({"Amount": Decimal("0.10"), "Name": "€"}) == b'{"Amount": 0.10, "Name": "\\u20ac"}'
    assert find_object(b'{"Amount": 0.10}') == {"Amount": Decimal("0.10")}

"""References: does what a body names exist, may it be used here, and what is it called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company, to_name
from sandbox.quickbooks.entities import Entity
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.fields import Field, Fields, Kind

SHIPPING_ITEM = "SHIPPING_ITEM_ID"
GRATUITY_ITEM = "GRATUITY_ITEM_ID"
CURRENCIES = {
    "EUR": "Euro",
    "USD": "United States Dollar",
    "GBP": "British Pound Sterling",
    "CHF": "Swiss Franc",
    "DKK": "Danish Krone",
    "SEK": "Swedish Krona",
    "CAD": "Canadian Dollar",
}


def resolve(company: Company, entity: Entity, row: Json, old: Json | None) -> None:
    """Check every reference in `row` and write the target's name beside it.

    Raises 2500 for one that does not exist, 610 for an inactive one that `old` did not hold already.
    """
    held = {_key(field, value) for field, value, _ in _walk(entity.fields, old or {}, "")}
    for field, value, path in _walk(entity.fields, row, ""):
        _resolve_one(company, field, value, path, known=_key(field, value) in held)


def _walk(fields: Fields, body: Json, path: str) -> Iterator[tuple[Field, Json, str]]:
    for name, value in body.items():
        field = fields.get(name)
        if field is None or field.kind not in (Kind.REFERENCE, Kind.OBJECT) or value is None:
            continue
        for each in value if field.many else [value]:
            yield from _visit(field, each, f"{path}.{name}" if path else name)


def _visit(field: Field, value: Any, path: str) -> Iterator[tuple[Field, Json, str]]:
    if field.kind is Kind.REFERENCE:
        yield field, value, path
    elif field.fields is not None:
        yield from _walk(field.fields, value, path)


def _key(field: Field, value: Json) -> tuple[str, str]:
    return field.to, str(value["value"])


def _resolve_one(company: Company, field: Field, value: Json, path: str, *, known: bool) -> None:
    match field.to:
        case "":
            return
        case "Currency":
            _resolve_currency(company, value)
        case "TaxCode" if company.is_us and value["value"] in ("TAX", "NON"):
            return
        case "Item" if value["value"] in (SHIPPING_ITEM, GRATUITY_ITEM):
            _check_special_item(company, value["value"], path)
        case _:
            _resolve_row(company, field.to, value, path, known=known)


def _resolve_row(company: Company, entity: str, value: Json, path: str, *, known: bool) -> None:
    row = company.find(entity, value["value"])
    if row is None:
        raise faults.invalid_reference(f"{entity}s", value["value"], path)
    if row.get("Active") is False and not known:
        raise faults.not_found()
    name = to_name(row)
    if name:
        value["name"] = name


def _resolve_currency(company: Company, value: Json) -> None:
    code = value["value"]
    if code != company.home_currency and not company.keeps_currencies:
        raise faults.business("You have to switch on multicurrency before you can use another currency.")
    if code not in CURRENCIES:
        raise faults.invalid_reference("Currency", code, "CurrencyRef")
    value["name"] = CURRENCIES[code]


def _check_special_item(company: Company, item: str, path: str) -> None:
    allowed = item == SHIPPING_ITEM and company.preference("SalesFormsPrefs", "AllowShipping", False)
    if item == GRATUITY_ITEM:
        pairs = company.preference("OtherPrefs", "NameValue", [])
        allowed = {"Name": "SalesFormsPrefs.AllowGratuity", "Value": "true"} in pairs
    if not allowed:
        raise faults.invalid_reference("Items", item, path)


def refuse_switched_off(company: Company, row: Json) -> None:
    """Departments and classes may be named only where the company tracks them."""
    if row.get("DepartmentRef") and not company.preference("AccountingInfoPrefs", "TrackDepartments", False):
        raise faults.business("Location tracking is switched off in this company.")
    if row.get("ClassRef") and not company.preference("AccountingInfoPrefs", "ClassTrackingPerTxn", False):
        raise faults.business("Class tracking per transaction is switched off in this company.")
    details = (line.get("SalesItemLineDetail") or {} for line in row.get("Line", []))
    named = any(detail.get("ClassRef") for detail in details)
    if named and not company.preference("AccountingInfoPrefs", "ClassTrackingPerTxnLine", False):
        raise faults.business("Class tracking per line is switched off in this company.")

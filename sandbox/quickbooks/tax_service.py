"""The tax service: makes a tax code together with its rates."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.entities import ENTITIES
from sandbox.quickbooks.faults import Json

_KNOWN = frozenset({"TaxCode", "TaxCodeId", "TaxRateDetails", "Id"})
_LISTS = {"Sales": "SalesTaxRateList", "Purchase": "PurchaseTaxRateList"}


def create(company: Company, body: Json) -> Json:
    """Create a tax code. Answers the code's id and its rates' ids. Raises 6240 for a name in use."""
    for name in body:
        if name not in _KNOWN:
            raise faults.unknown_property("TaxService", name, sorted(_KNOWN))
    code_name, details = body.get("TaxCode"), body.get("TaxRateDetails")
    if not code_name:
        raise faults.missing("TaxCode")
    if not isinstance(code_name, str):
        raise faults.unreadable("failed to parse json object; a property")
    if not isinstance(details, list) or not details:
        raise faults.missing("TaxRateDetails")
    if not all(isinstance(detail, dict) for detail in details):
        raise faults.unreadable("failed to parse json object; a property")
    if any(row["Name"].casefold() == code_name.casefold() for row in company.table("TaxCode").values()):
        raise faults.duplicate_name()
    rates = [_settle_rate(company, each) for each in details]
    code = company.insert(ENTITIES["TaxCode"], _to_code(code_name, rates))
    return {"TaxCode": code["Name"], "TaxCodeId": code["Id"], "TaxRateDetails": rates}


def _settle_rate(company: Company, detail: Json) -> Json:
    applies_to = detail.get("TaxApplicableOn") or "Sales"
    if not isinstance(applies_to, str) or applies_to not in _LISTS:
        raise faults.Fault("2270", "MissingTaxApplicableOn", "TaxApplicableOn has to be Sales or Purchase", "")
    rate = _get_rate(company, detail) if detail.get("TaxRateId") else _create_rate(company, detail)
    return {
        "TaxRateName": rate["Name"],
        "TaxRateId": rate["Id"],
        "RateValue": rate["RateValue"],
        "TaxAgencyId": rate["AgencyRef"]["value"],
        "TaxApplicableOn": applies_to,
    }


def _get_rate(company: Company, detail: Json) -> Json:
    rate = company.find("TaxRate", str(detail["TaxRateId"]))
    if rate is None:
        raise faults.invalid_reference("TaxRates", str(detail["TaxRateId"]), "TaxRateId")
    return rate


def _create_rate(company: Company, detail: Json) -> Json:
    for name in ("TaxRateName", "RateValue", "TaxAgencyId"):
        if detail.get(name) in (None, ""):
            raise faults.missing(name)
    agency = company.find("TaxAgency", str(detail["TaxAgencyId"]))
    if agency is None:
        raise faults.invalid_reference("TaxAgencies", str(detail["TaxAgencyId"]), "TaxAgencyId")
    value = _read_percent(detail["RateValue"])
    row: Json = {
        "Name": str(detail["TaxRateName"]),
        "Description": str(detail["TaxRateName"]),
        "Active": True,
        "RateValue": value,
        "AgencyRef": {"value": agency["Id"]},
        "SpecialTaxType": "NONE" if value else "ZERO_RATE",
        "EffectiveTaxRate": [{"RateValue": value, "EffectiveDate": "2012-01-01T00:00:00-08:00"}],
    }
    return company.insert(ENTITIES["TaxRate"], row)


def _read_percent(value: Any) -> Decimal:
    try:
        percent = Decimal(value)
    except (InvalidOperation, TypeError) as error:
        raise faults.invalid_number("RateValue", value) from error
    if not 0 <= percent <= 100:
        raise faults.invalid_number("RateValue", value)
    return percent


def _to_code(name: str, rates: list[Json]) -> Json:
    code: Json = {"Name": name, "Description": name, "Active": True, "Taxable": True, "TaxGroup": True, "Hidden": False}
    for applies_to, list_name in _LISTS.items():
        chosen = [rate for rate in rates if rate["TaxApplicableOn"] == applies_to]
        code[list_name] = {"TaxRateDetail": [_to_detail(rate, order) for order, rate in enumerate(chosen)]}
    return code


def _to_detail(rate: Json, order: int) -> Json:
    reference = {"value": rate["TaxRateId"], "name": rate["TaxRateName"]}
    return {"TaxRateRef": reference, "TaxTypeApplicable": "TaxOnAmount", "TaxOrder": order}

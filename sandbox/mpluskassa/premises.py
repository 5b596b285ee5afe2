"""What an installation has before anything is sold: two branches, VAT codes, groups, ways to pay, employees."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.mpluskassa.markers import raise_marker
from sandbox.mpluskassa.structs import Record, to_moment
from sandbox.mpluskassa.till import Till

SUPPORT_EMPLOYEE = 999999
ROUNDING_GROUP = 91
CASH_IN_GROUP = 95
CASH_OUT_GROUP = 96

DEFAULT_RATES: Mapping[int, int] = {0: 0, 1: 900, 2: 2100}
"""VAT code to hundredths of a per cent."""

BRANCHES = ((1, "Winkel Utrecht", "UTR", 2), (2, "Winkel Amersfoort", "AMF", 1))

TURNOVER_GROUPS = (
    (1, "Kleding", "TURNOVER", 8000, 2),
    (2, "Accessoires", "TURNOVER", 8010, 2),
    (3, "Boeken en cadeaus", "TURNOVER", 8020, 1),
    (4, "Eten en drinken", "TURNOVER", 8030, 1),
    (5, "Diensten", "TURNOVER", 8040, 2),
    (80, "Statiegeld", "REFUNDABLE-DEPOSIT", 1610, 0),
    (90, "Cadeaubonnen", "PAYMENT", 1620, 0),
    (ROUNDING_GROUP, "Afrondingsverschillen", "TURNOVER", 4990, 0),
    (CASH_IN_GROUP, "Kas in", "CASH-INFLOW", 2000, 0),
    (CASH_OUT_GROUP, "Kas uit", "CASH-OUTFLOW", 2010, 0),
)

PAYMENT_METHODS = (
    ("CONTANT", "Contant", "PAYMENT", 1000, True),
    ("PIN", "Pinbetaling", "EFT", 1100, True),
    ("CREDITCARD", "Creditcard", "EFT", 1110, True),
    ("BON", "Cadeaubon", "PAYMENT", 1120, False),
    ("IDEAL", "iDEAL", "PAYMENT", 1130, False),
    ("OP REKENING", "Op rekening", "SUSPENSE", 1300, True),
    ("AANBETALING", "Aanbetaling", "SUSPENSE", 1310, True),
    ("STORTING", "Storting bank", "DEPOSIT", 1200, True),
)

EMPLOYEES = ((1, "Anna de Vries", "anna"), (2, "Bram Jansen", "bram"), (SUPPORT_EMPLOYEE, "Mplus Support", "support"))


def furnish(till: Till, rates: Mapping[int, int] = DEFAULT_RATES) -> None:
    """Fill the look-up tables of a new installation; `rates` are hundredths of a per cent by VAT code."""
    for branch in BRANCHES:
        till["branches"].put(_branch(*branch))
        for code, rate in rates.items():
            till["vat_groups"].put(_vat_group(branch[0], code, rate))
    for group in TURNOVER_GROUPS:
        till["turnover_groups"].put(_turnover_group(*group))
    for method in PAYMENT_METHODS:
        till["payment_methods"].put(_payment_method(*method))
    for employee in EMPLOYEES:
        till["employees"].put(_employee(till, *employee))
    _furnish_cards(till)


def _branch(number: int, name: str, abbreviation: str, workplaces: int) -> Record:
    return {
        "branchNumber": number,
        "branchName": name,
        "abbreviation": abbreviation,
        "extBranchId": "",
        "workplaces": {"workplace": [_workplace(place) for place in range(1, workplaces + 1)]},
        "countryCode": 528,
        "countryIso3": "NLD",
        "countryName": "Nederland",
    }


def _workplace(number: int) -> Record:
    return {"workplaceNumber": number, "workplaceName": f"Kassa {number}", "isMobile": False}


def _vat_group(branch: int, code: int, rate: int) -> Record:
    return {
        "_key": f"{branch}/{code}",
        "branchNumber": branch,
        "countryCode": 528,
        "countryIso3": "NLD",
        "vatCode": code,
        "vatPercentage": rate,
        "accountNumber": 1500 + code,
    }


def _turnover_group(number: int, name: str, kind: str, account: int, vat_code: int) -> Record:
    return {
        "turnoverGroupType": f"TURNOVER-GROUP-TYPE-{kind}",
        "turnoverGroup": number,
        "turnoverGroupName": name,
        "defaultAccountNumber": account,
        "accountNumber": account,
        "allowDiscount": kind == "TURNOVER",
        "branchAccountNumberList": {"branchAccountNumber": []},
        "defaultVatCode": vat_code,
    }


def _payment_method(method: str, description: str, kind: str, account: int, negative: bool) -> Record:
    return {
        "method": method,
        "description": description,
        "buttonText": description,
        "allowNegativeAmount": negative,
        "active": True,
        "type": f"PAYMENT-METHOD-TYPE-{kind}",
        "accountNumber": account,
        "branchAccountNumberList": {"branchAccountNumber": []},
    }


def _employee(till: Till, number: int, name: str, username: str) -> Record:
    moment = to_moment(till.clock())
    return {
        "employeeNumber": number,
        "syncMarker": raise_marker(till, "employee"),
        "createTimestamp": moment,
        "changeTimestamp": moment,
        "name": name,
        "username": username,
        "active": True,
    }


def _furnish_cards(till: Till) -> None:
    for method, description in (("AFHALEN", "Afhalen in de winkel"), ("VERZENDEN", "Verzenden met pakketpost")):
        till["delivery_methods"].put(
            {"deliveryMethod": method, "description": description, "buttonText": description, "enabled": True}
        )
    for name, data_type in (("Materiaal", "STRING"), ("Seizoen", "STRING"), ("Gewicht", "DECIMAL")):
        definition = {"fieldName": name, "dataType": f"DATA-TYPE-{data_type}", "isRequired": False}
        till["custom_fields"].put({"_key": f"article/{name}", **definition})
    till["card_categories"].put(
        {"_key": "relation/1", "categoryId": 1, "name": "Klanten", "isVipGroup": False, "isSupplierGroup": False}
    )
    till["sales_prices"].put({"salesPriceNumber": 1, "description": "Actieprijs"})
    till["price_groups"].put({"priceGroupNumber": 1, "description": "Personeel", "discountPercentage": 1000})

"""A Dutch demo company: accounts, tax codes, payment methods, departments and preferences, no items yet."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.quickbooks import tax_service
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.entities import ENTITIES
from sandbox.quickbooks.faults import Json

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation

ACCOUNTS: tuple[tuple[str, str, str, str], ...] = (
    ("Bank", "Bank", "Checking", "1100"),
    ("Cash on hand", "Bank", "CashOnHand", "1000"),
    ("Undeposited Funds", "Other Current Asset", "UndepositedFunds", "1290"),
    ("Debtors", "Accounts Receivable", "AccountsReceivable", "1300"),
    ("Inventory Asset", "Other Current Asset", "Inventory", "3000"),
    ("Gift Cards Outstanding", "Other Current Liability", "OtherCurrentLiabilities", "1620"),
    ("Customer Deposits", "Other Current Liability", "OtherCurrentLiabilities", "1630"),
    ("Tips Payable", "Other Current Liability", "OtherCurrentLiabilities", "1640"),
    ("VAT Payable", "Other Current Liability", "GlobalTaxPayable", "1500"),
    ("Sales of Product Income", "Income", "SalesOfProductIncome", "8000"),
    ("Sales EU", "Income", "SalesOfProductIncome", "8100"),
    ("Discounts given", "Income", "DiscountsRefundsGiven", "8900"),
    ("Rounding differences", "Other Income", "OtherMiscellaneousIncome", "9100"),
    ("Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs", "7000"),
    ("Inventory Shrinkage", "Cost of Goods Sold", "SuppliesMaterialsCogs", "7100"),
)
"""Name, type, sub-type, number."""

TAX_CODES: tuple[tuple[str, str], ...] = (("21% BTW", "21"), ("9% BTW", "9"), ("0% BTW", "0"))
PAYMENT_METHODS: tuple[tuple[str, str], ...] = (("Cash", "NON_CREDIT_CARD"), ("PIN", "NON_CREDIT_CARD"))
DEPARTMENTS = ("Amsterdam", "Utrecht")


def new_company(
    simulation: Simulation,
    realm_id: str,
    name: str,
    *,
    country: str = "NL",
    currency: str = "EUR",
    departments: tuple[str, ...] = DEPARTMENTS,
) -> Company:
    """Add a company to the simulation, furnished as a Dutch shop would have it. Making it sends no webhooks."""
    company = simulation.add_company(realm_id)
    with simulation.lock:
        waiting = len(simulation.outbox.waiting)
        _furnish(simulation, company, name, country, currency)
        for department in departments:
            simulation.put(realm_id, "Department", {"Name": department})
        simulation.outbox.drop(list(simulation.outbox.waiting)[waiting:])
    return company


def _furnish(simulation: Simulation, company: Company, name: str, country: str, currency: str) -> None:
    company.insert(ENTITIES["CompanyInfo"], _company_info(name, country))
    company.insert(ENTITIES["Preferences"], _preferences(currency))
    for account, kind, subtype, number in ACCOUNTS:
        body = {"Name": account, "AccountType": kind, "AccountSubType": subtype, "AcctNum": number}
        simulation.put(company.realm, "Account", body)
    for method, kind in PAYMENT_METHODS:
        simulation.put(company.realm, "PaymentMethod", {"Name": method, "Type": kind})
    simulation.put(company.realm, "Term", {"Name": "Net 14", "DueDays": 14, "Type": "STANDARD"})
    _add_tax_codes(company)


def _add_tax_codes(company: Company) -> None:
    agency: Json = {"DisplayName": "Belastingdienst", "TaxTrackedOnSales": True, "TaxTrackedOnPurchases": True}
    agency_id = company.insert(ENTITIES["TaxAgency"], agency)["Id"]
    for name, percent in TAX_CODES:
        rates = [
            {"TaxRateName": f"{name} ({on})", "RateValue": percent, "TaxAgencyId": agency_id, "TaxApplicableOn": on}
            for on in ("Sales", "Purchase")
        ]
        tax_service.create(company, {"TaxCode": name, "TaxRateDetails": rates})
    company.insert(ENTITIES["TaxCode"], _exempt())


def _exempt() -> Json:
    lists: Json = {name: {"TaxRateDetail": []} for name in ("SalesTaxRateList", "PurchaseTaxRateList")}
    return {
        "Name": "Vrijgesteld",
        "Description": "Exempt",
        "Active": True,
        "Taxable": False,
        "TaxGroup": False,
        **lists,
    }


def _company_info(name: str, country: str) -> Json:
    return {
        "Id": "1",
        "CompanyName": name,
        "LegalName": f"{name} B.V.",
        "CompanyAddr": {
            "Id": "1",
            "Line1": "Damrak 1",
            "City": "Amsterdam",
            "PostalCode": "1012 LG",
            "Country": country,
        },
        "Country": country,
        "SupportedLanguages": "en,nl",
        "FiscalYearStartMonth": "January",
        "CompanyStartDate": "2024-01-01",
        "NameValue": [
            {"Name": "OfferingSku", "Value": "QuickBooks Online Plus"},
            {"Name": "SubscriptionStatus", "Value": "PAID"},
            {"Name": "ItemCategoriesFeature", "Value": "true"},
        ],
    }


def _preferences(currency: str) -> Json:
    return {
        "Id": "1",
        "AccountingInfoPrefs": {
            "TrackDepartments": True,
            "DepartmentTerminology": "Location",
            "ClassTrackingPerTxn": False,
            "ClassTrackingPerTxnLine": False,
            "UseAccountNumbers": True,
            "FirstMonthOfFiscalYear": "January",
        },
        "SalesFormsPrefs": {
            "CustomTxnNumbers": True,
            "AllowDeposit": True,
            "AllowDiscount": True,
            "AllowShipping": False,
            "AllowEstimates": True,
            "AutoApplyCredit": False,
        },
        "ProductAndServicesPrefs": {
            "ForSales": True,
            "ForPurchase": True,
            "QuantityWithPriceAndRate": True,
            "QuantityOnHand": True,
        },
        "TaxPrefs": {"UsingSalesTax": True, "PartnerTaxEnabled": False},
        "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": currency}},
        "OtherPrefs": {"NameValue": [{"Name": "SalesFormsPrefs.AllowGratuity", "Value": "false"}]},
    }


def tax_code_id(company: Company, percent: Decimal | int) -> str:
    """The id of the active sales tax code with that rate. Raises KeyError."""
    for code in company.table("TaxCode").values():
        details = code["SalesTaxRateList"]["TaxRateDetail"]
        values = [company.get("TaxRate", each["TaxRateRef"]["value"])["RateValue"] for each in details]
        if values == [percent]:
            return str(code["Id"])
    raise KeyError(percent)

"""What all transactions share: dates and closed books, document numbers, accounts, custom fields."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.entities import SALES, Entity
from sandbox.quickbooks.faults import Json

_ZONES = {"NL": ZoneInfo("Europe/Amsterdam"), "US": ZoneInfo("America/Los_Angeles")}
_PAID_INTO = frozenset({"Bank", "Other Current Asset"})
_FIRST_NUMBER = 1000


def settle_date(company: Company, row: Json) -> None:
    """Date the transaction today in the company's zone, unless it says otherwise."""
    zone = _ZONES.get(company.country, _ZONES["NL"])
    row["TxnDate"] = row.get("TxnDate") or company.clock.now().astimezone(zone).date().isoformat()


def refuse_closed(company: Company, *rows: Json | None) -> None:
    """Refuse any change that touches a closed period (6210)."""
    closed = company.preference("AccountingInfoPrefs", "BookCloseDate")
    for row in rows:
        if closed and row and row["TxnDate"] <= closed:
            raise faults.books_closed(closed)


def settle_number(company: Company, entity: Entity, row: Json, old: Json | None, *, allow_duplicate: bool) -> None:
    """Number a sales document the way the company does, and refuse a number in use where it warns (6140)."""
    automatic = not company.preference("SalesFormsPrefs", "CustomTxnNumbers", False)
    if automatic and not row.get("DocNumber"):
        row["DocNumber"] = (old or {}).get("DocNumber") or _next_number(company)
    number = row.get("DocNumber")
    if not number or allow_duplicate or not company.warn_duplicates or (old and old.get("DocNumber") == number):
        return
    for name, other in _numbered(company, entity):
        if other.get("DocNumber") == number and other["Id"] != row.get("Id"):
            raise faults.duplicate_number(number, name, other["Id"])


def _next_number(company: Company) -> str:
    return str(_FIRST_NUMBER + int(company.next_id("DocNumber")))


def _numbered(company: Company, entity: Entity) -> Iterator[tuple[str, Json]]:
    names = SALES if company.switches.duplicate_scope == "sales" else (entity.name,)
    for name in names:
        for row in company.table(name).values():
            yield name, row


def settle_deposit(company: Company, row: Json, *, default: bool) -> None:
    """Money goes to (or leaves) a bank or other current asset account; undeposited funds by default."""
    if "DepositToAccountRef" in row:
        account = company.get("Account", row["DepositToAccountRef"]["value"])
        if account["AccountType"] not in _PAID_INTO:
            raise faults.wrong_account_type("DepositToAccountRef", account["AccountType"])
        if account["CurrencyRef"]["value"] not in (row["CurrencyRef"]["value"], company.home_currency):
            raise faults.business("The currency of the account is not the currency of the transaction.")
    elif default:
        funds = next(company.select("Account", lambda each: each.get("AccountSubType") == "UndepositedFunds"), None)
        if funds:
            row["DepositToAccountRef"] = {"value": funds["Id"], "name": funds["Name"]}


def settle_currency(company: Company, row: Json) -> None:
    """Hold the currency to the customer's. Raises 2020 where the company keeps several and none is named."""
    customer = company.find("Customer", row.get("CustomerRef", {}).get("value", ""))
    wanted = customer["CurrencyRef"]["value"] if customer else company.home_currency
    if company.keeps_currencies and not row.get("CurrencyRef"):
        raise faults.missing("CurrencyRef")
    given = row.setdefault("CurrencyRef", {"value": wanted})["value"]
    if customer and given != wanted:
        raise faults.business("The currency of the transaction is not the currency of the customer.")
    if not company.keeps_currencies:
        row.pop("ExchangeRate", None)


def choose_currency(company: Company, row: Json) -> None:
    """What the forms of the books do for a user: a transaction is in its customer's currency."""
    customer = company.find("Customer", row.get("CustomerRef", {}).get("value", ""))
    if customer:
        row.setdefault("CurrencyRef", {"value": customer["CurrencyRef"]["value"]})


def settle_custom_fields(company: Company, row: Json) -> None:
    """Keep the custom fields the company has defined; others vanish silently, as with Intuit."""
    sent = row.get("CustomField")
    if sent is None:
        return
    kept = [each for each in sent if each.get("DefinitionId") in company.custom_fields]
    for each in kept:
        each.update(Name=company.custom_fields[each["DefinitionId"]], Type="StringType")
    row["CustomField"] = kept


def void_note(row: Json) -> str:
    """The private note of a voided transaction."""
    note = row.get("PrivateNote")
    return f"Voided - {note}"[:4000] if note else "Voided"

"""The small lists of both systems, and what the settings choose of them for a sale: codes, methods, places. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from mapping.choices import plain
from mapping.control import Control, ControlQuestion, resolve
from mapping.errors import MappingError
from mapping.messages import message
from mapping.money import show_number
from mapping.records import (
    Branch,
    CompanyProfile,
    ListEntry,
    Relation,
    Sale,
    SaleKind,
    TaxCode,
    TillPaymentMethod,
    VatAmount,
)
from mapping.sale_identity import name_record
from mapping.sections import MappingSettings

FOREIGN = "foreign-currency"
_LONGEST_METHOD = 31
_NEW = "(to be created)"
NO_TAX: Final = TaxCode("", "(no tax code)", active=True, percentage=Decimal(0))
"""Stands for the missing tax code in a company that has switched VAT off, as a shop does that charges none."""


@dataclass(frozen=True, slots=True)
class KnownLists:
    """The lists as they were read for one decision; one that was not read, or is not kept, is empty."""

    company: CompanyProfile
    branches: tuple[Branch, ...] = ()
    till_methods: tuple[TillPaymentMethod, ...] = ()
    tax_codes: tuple[TaxCode, ...] = ()
    entries: Mapping[str, tuple[ListEntry, ...]] = field(default_factory=dict)

    def of(self, kind: str) -> tuple[ListEntry, ...]:
        """A list of the books: PaymentMethod, Department, Class, Term, Account."""
        return self.entries.get(kind, ())


@dataclass(frozen=True, slots=True)
class NewMethod:
    """A payment method that the books do not have yet."""

    name: str

    @property
    def shortened(self) -> str:
        """The name as the books can hold it."""
        return " ".join(self.name.split())[:_LONGEST_METHOD].rstrip()


def with_untaxed(codes: tuple[TaxCode, ...], company: CompanyProfile) -> tuple[TaxCode, ...]:
    """The tax codes of the books; where VAT is switched off and there is none, the one that stands for none."""
    if company.uses_tax or any(code.active for code in codes):
        return codes
    return (replace(NO_TAX, id="NON") if company.country == "US" else NO_TAX,)


def tax_code(
    amount: VatAmount, known: Sequence[TaxCode], rule: Control, *, country: str | None, source: Sale, place: str
) -> TaxCode:
    """The tax code for a VAT code of a sale, of those that are active. Raises `MappingError` naming the rate.

    A row "DEU:19" of the table, for the buyer's `country`, comes before a row "19". `place` is the branch as messages
    name it.
    """
    active = [code for code in known if code.active]
    if amount.percentage and [code.name for code in active] == [NO_TAX.name]:
        raise MappingError(
            message("VAT is switched off in QuickBooks, and the sale has VAT of {rate} %", rate=amount.percentage),
            code="vat-switched-off",
            record=name_record(source),
            field="mapping.tax_codes",
            fix="switch VAT on in QuickBooks and make its tax codes, or sell without VAT at the till; then retry",
        )
    plain = show_number(amount.percentage)
    foreign = f"{country}:{plain}"
    rate = foreign if foreign in rule.table else plain
    same_rate = sorted((c for c in active if c.percentage == amount.percentage), key=lambda c: (len(c.id), c.id))
    chosen = resolve(
        rule,
        ControlQuestion(
            setting="mapping.tax_codes",
            key=rate,
            automatic=same_rate[0].id if same_rate else None,
            record=name_record(source),
            source=source,
            what=message("VAT rate {rate} % of {place}", rate=plain, place=country if rate == foreign else place),
        ),
    ).value
    found = next((c for c in active if chosen in {c.id, c.name}), None)
    if found is None:
        said = "QuickBooks has no active tax code {chosen}, which the settings choose for VAT rate {plain} %"
        raise MappingError(
            message(said, chosen=chosen, plain=plain),
            code="chosen-tax-code-gone",
            record=name_record(source),
            field="mapping.tax_codes",
            fix="name an active tax code in mapping.tax_codes",
        )
    return found


def untaxed(name: str | None, known: Iterable[TaxCode]) -> TaxCode | None:
    """The 0 % code of rounding lines and of sales without VAT: the one that is named, else the first one."""
    if name:
        return named_tax_code(name, known)
    zero = [code for code in known if code.active and code.percentage == 0]
    return min(zero, key=lambda code: (len(code.id), code.id), default=None)


def named_tax_code(name: str | None, known: Iterable[TaxCode]) -> TaxCode | None:
    """The active tax code of this id or name; None if it is not set or does not exist."""
    return next((code for code in known if name and code.active and name in {code.id, code.name}), None)


def named(name: str, entries: Iterable[ListEntry]) -> ListEntry | None:
    """The active entry of this name: spelled exactly so, else capitals and space aside, as on the page Mapping."""
    found = [e for e in entries if e.active and plain(e.name) == plain(name)]
    return min(found, key=lambda e: e.name != name, default=None)


def former_ids(name: str, entries: Iterable[ListEntry]) -> list[str]:
    """The ids of the inactive entries that had this name: the books write " (deleted)" behind it."""
    names = {plain(name), f"{plain(name)} (deleted)"}
    return sorted(e.id for e in entries if not e.active and plain(e.name) in names)


def by_name_or_id(chosen: str, entries: Iterable[ListEntry]) -> str:
    found = list(entries)
    if any(e.id == chosen for e in found):
        return chosen
    entry = named(chosen, found)
    return entry.id if entry else chosen


# --- what the settings choose of them ----------------------------------------------------------------------------


def choose(rule: Control, question: ControlQuestion, entries: Iterable[ListEntry]) -> str | None:
    """The id of the entry that the settings choose; None if the value is left out. Raises as `resolve` does."""
    chosen = resolve(rule, question).value
    return by_name_or_id(chosen, entries) if chosen else None


def require_home(company: CompanyProfile, currency: str) -> str:
    """The till's `currency`, which must be the company's. Raises `MappingError` naming both; nothing is converted."""
    if company.home_currency not in (None, currency):
        said = "the company keeps its books in {home}, the till sells in {currency}; amounts are not converted"
        raise MappingError(
            message(said, home=company.home_currency, currency=currency),
            code=FOREIGN,
            record=message("company {name}", name=company.name),
            field="products.currency",
            fix=message(
                "connect a company that keeps {currency}, or correct products.currency when the till sells in {home}; "
                "then retry",
                currency=currency,
                home=company.home_currency,
            ),
        )
    return currency


def named_currency(company: CompanyProfile, currency: str) -> str | None:
    """The currency that every document must name, where the company keeps several; raises like `require_home`."""
    home = require_home(company, currency)
    return home if company.multi_currency else None


def wanted(sale: Sale, tenders: Collection[str], mapping: MappingSettings) -> list[str]:
    """The lists of the books that a document of this sale may name entries of."""
    needed = {
        "PaymentMethod": bool(tenders),
        "Account": (bool(tenders) and names_accounts(mapping.deposit_accounts)) or _pays_back(sale),
        "Department": True,
        "Class": mapping.classes.mode != "off",
        "Term": sale.kind is SaleKind.INVOICE and mapping.terms.mode != "off",
    }
    return [kind for kind, is_needed in needed.items() if is_needed]


def names_accounts(rule: Control) -> bool:
    """Whether a control of accounts names any: nothing is matched without it."""
    return rule.mode not in ("off", "default") or bool(rule.table) or rule.on_miss == "default"


def tax_codes(
    sale: Sale, amounts: Sequence[VatAmount], known: KnownLists, rule: Control, *, country: str | None = None
) -> dict[Decimal, TaxCode]:
    """The books' tax code for every VAT rate of a sale. Raises `MappingError` naming the rate without one."""
    # What a line of a company in the United States can say is "taxed" or "not taxed".
    itself = known.company.computes_tax_itself or known.company.country == "US"
    if itself and any(amount.percentage for amount in amounts):
        raise MappingError(
            "QuickBooks computes the sales tax of this company itself and overrules the till's",
            code="tax-computed-by-books",
            record=name_record(sale),
            field="mapping.tax_codes",
            fix="connect a company that takes the till's VAT by tax code, or book its sales with tax by hand",
        )
    place = name_branch(sale.branch, known.branches)
    return {
        amount.percentage: tax_code(amount, known.tax_codes, rule, country=country, source=sale, place=place)
        for amount in amounts
    }


def name_branch(number: int, branches: Iterable[Branch]) -> str:
    name = next((branch.name for branch in branches if branch.number == number), "")
    return message("branch {number} ({name})" if name else "branch {number}", number=number, name=name)


def payment_method(code: str, known: KnownLists, mapping: MappingSettings) -> str | NewMethod | None:
    """The id of the books' payment method for a tender of the till; a new one by name when the settings allow it."""
    name = next((m.description for m in known.till_methods if m.code == code), None) or code
    entries = known.of("PaymentMethod")
    entry = named(name, entries) or named(NewMethod(name).shortened, entries)  # the books may hold it shortened
    missing = _NEW if mapping.create_payment_methods else None
    question = ControlQuestion(
        setting="mapping.payment_methods",
        key=code,
        automatic=entry.id if entry else missing,
        what=message(
            'payment method "{name}"' if name == code else 'payment method "{name}" ({code} at the till)',
            name=name,
            code=code,
        ),
    )
    chosen = resolve(mapping.payment_methods, question).value
    if chosen == _NEW:
        return NewMethod(name)
    return by_name_or_id(chosen, entries) if chosen else None


def deposit_accounts(tenders: Iterable[str], accounts: Sequence[ListEntry], rule: Control) -> dict[str, str]:
    """The id of the account that receives the money of each tender, where the settings name one."""
    found: dict[str, str] = {}
    for code in tenders:
        what = message('the account of payment method "{code}"', code=code)
        account = choose(rule, ControlQuestion(setting="mapping.deposit_accounts", key=code, what=what), accounts)
        if account:
            found[code] = account
    return found


def money_account(sale: Sale, known: KnownLists) -> str | None:
    """The account for money without an account of its own: only refunds must name one, for sales the books choose."""
    if not _pays_back(sale):
        return None
    home = known.company.home_currency
    accounts = [a for a in known.of("Account") if a.active and a.currency in (None, home)]
    undeposited = (a for a in accounts if a.subtype == "UndepositedFunds" or a.name == "Undeposited Funds")
    banks = (a for a in accounts if a.type == "Bank")
    entry = next(undeposited, None) or next(banks, None)
    return entry.id if entry else None


def _pays_back(sale: Sale) -> bool:
    return sale.total_incl_cents < 0 or any(payment.amount_cents < 0 for payment in sale.payments)


def department(branch: int, known: KnownLists, mapping: MappingSettings) -> str | None:
    """The id of the books' department (location) for a branch of the till, where the company keeps locations."""
    if not known.company.tracks_departments:
        return None
    return _of_branch(branch, "mapping.departments", mapping.departments, known.of("Department"), known.branches)


def class_id(branch: int, known: KnownLists, mapping: MappingSettings) -> str | None:
    """The id of the books' class for a branch, where the company tracks classes and the settings map them."""
    if mapping.classes.mode == "off" or not known.company.tracks_classes:
        return None
    return _of_branch(branch, "mapping.classes", mapping.classes, known.of("Class"), known.branches)


def _of_branch(
    branch: int, setting: str, rule: Control, entries: Sequence[ListEntry], branches: Sequence[Branch]
) -> str | None:
    """The entry the settings choose for a branch; the one of the branch's own name by default."""
    name = next((b.name for b in branches if b.number == branch), "")
    entry = named(name, entries)
    question = ControlQuestion(
        setting=setting, key=str(branch), automatic=entry.id if entry else None, what=name_branch(branch, branches)
    )
    return choose(rule, question, entries)


def days_to_pay(sale: Sale, relation: Relation | None) -> int | None:
    """The days in which a sale on account is to be paid, where the sale or the relation says."""
    if sale.kind is not SaleKind.INVOICE:
        return None
    return (sale.due_date - sale.business_date).days if sale.due_date else relation.payment_days if relation else None


def term(sale: Sale, relation: Relation | None, terms: Sequence[ListEntry], rule: Control) -> str | None:
    """The id of the books' payment term of a sale on account: the one with the same number of days."""
    days = days_to_pay(sale, relation)
    if days is None or rule.mode == "off":
        return None
    same = next((entry.id for entry in terms if entry.active and entry.due_days == days), None)
    what = message("a term of {days} days", days=days)
    return choose(rule, ControlQuestion(setting="mapping.terms", key=str(days), automatic=same, what=what), terms)


def shipping_method(method: str, rule: Control) -> str | None:
    """How the goods were delivered, in the books' words."""
    what = message('delivery method "{method}"', method=method)
    asked = ControlQuestion(setting="mapping.shipping_methods", key=method, automatic=method, what=what)
    return resolve(rule, asked).value

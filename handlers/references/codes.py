"""The books' ids for what a sale refers to: tax codes by rate, payment methods, departments, classes, terms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.connectors.quickbooks.client import ListEntity
from handlers.deps import Deps
from handlers.identity import request_id
from mapping import control, list_entries
from mapping.control import Control, ControlQuestion
from mapping.list_entries import by_name_or_id, named
from mapping.messages import message
from mapping.records import ListEntry, Relation, Sale, SaleKind, TaxCode, VatAmount

_LONGEST_METHOD = 31
_NEW = "(to be created)"


def tax_codes(
    sale: Sale, amounts: Sequence[VatAmount], deps: Deps, *, country: str | None = None
) -> dict[int, TaxCode]:
    """The books' tax code for every VAT code of a sale. Raises `MappingError` naming the rate without one.

    A row "DEU:19" of the table, for the buyer's `country`, comes before a row "19".
    """
    known, rule = deps.lists.tax_codes(sale.business_date), deps.settings.mapping.tax_codes
    return {
        amount.code: list_entries.tax_code(
            amount, known, rule, country=country, source=sale, place=name_branch(sale.branch, deps)
        )
        for amount in amounts
    }


def name_branch(number: int, deps: Deps) -> str:
    """A branch as messages name it."""
    name = next((branch.name for branch in deps.lists.branches() if branch.number == number), "")
    return message("branch {number} ({name})" if name else "branch {number}", number=number, name=name)


def untaxed(sale: Sale, deps: Deps) -> TaxCode | None:
    """The 0 % code of rounding lines and of sales without VAT: from the settings, else the first one."""
    return list_entries.untaxed(deps.settings.mapping.no_vat_tax_code, deps.lists.tax_codes(sale.business_date))


def named_tax_code(name: str | None, sale: Sale, deps: Deps) -> TaxCode | None:
    """The tax code in the settings, by id or name; None if it is not set or does not exist."""
    return list_entries.named_tax_code(name, deps.lists.tax_codes(sale.business_date))


def payment_methods(tenders: Iterable[str], deps: Deps) -> dict[str, str]:
    """The id of the books' payment method for each of these tenders."""
    found = {code: payment_method(code, deps) for code in tenders}
    return {code: id_ for code, id_ in found.items() if id_}


def deposit_accounts(tenders: Iterable[str], deps: Deps) -> dict[str, str]:
    """The id of the account that receives the money of each tender, where the settings name one."""
    found: dict[str, str] = {}
    for code in tenders:
        chosen = control.resolve(
            deps.settings.mapping.deposit_accounts,
            ControlQuestion(
                setting="mapping.deposit_accounts",
                key=code,
                what=message('the account of payment method "{code}"', code=code),
            ),
        ).value
        if chosen:
            found[code] = by_name_or_id(chosen, deps.lists.entries("Account"))
    return found


def money_account(sale: Sale, deps: Deps) -> str | None:
    """The account for money without an account of its own: only refunds must name one, for sales the books choose."""
    if sale.total_incl_cents >= 0 and all(payment.amount_cents >= 0 for payment in sale.payments):
        return None
    home = deps.lists.company().home_currency
    accounts = [a for a in deps.lists.entries("Account") if a.active and a.currency in (None, home)]
    undeposited = (a for a in accounts if a.subtype == "UndepositedFunds" or a.name == "Undeposited Funds")
    banks = (a for a in accounts if a.type == "Bank")
    entry = next(undeposited, None) or next(banks, None)
    return entry.id if entry else None


def payment_method(code: str, deps: Deps) -> str | None:
    """The id of the books' payment method for a tender of the till; created by name when the settings allow it."""
    name = next((m.description for m in deps.lists.payment_methods() if m.code == code), None) or code
    entry = method_named(name, deps)
    missing = _NEW if deps.settings.mapping.create_payment_methods else None
    chosen = control.resolve(
        deps.settings.mapping.payment_methods,
        ControlQuestion(
            setting="mapping.payment_methods",
            key=code,
            automatic=entry.id if entry else missing,
            what=message(
                'payment method "{name}"' if name == code else 'payment method "{name}" ({code} at the till)',
                name=name,
                code=code,
            ),
        ),
    ).value
    if chosen == _NEW:
        return _create(name, deps)
    return by_name_or_id(chosen, deps.lists.entries("PaymentMethod")) if chosen else None


def method_named(name: str, deps: Deps) -> ListEntry | None:
    """The books' active payment method of this name, which they may hold shortened."""
    known = deps.lists.entries("PaymentMethod")
    return named(name, known) or named(_to_method_name(name), known)


def _to_method_name(name: str) -> str:
    return " ".join(name.split())[:_LONGEST_METHOD].rstrip()


def _create(name: str, deps: Deps) -> str:
    made = deps.books.create_payment_method(
        _to_method_name(name), request_id(deps.books.realm_id, "payment method", name)
    )
    if deps.dry_run:
        return made.id
    deps.lists.add("PaymentMethod", made)
    deps.say("created a payment method in QuickBooks", name=name, id=made.id)
    return made.id


def department(branch: int, deps: Deps) -> str | None:
    """The id of the books' department (location) for a branch of the till, where the company keeps locations."""
    if not deps.lists.company().tracks_departments:
        return None
    return _of_branch(branch, "Department", "mapping.departments", deps.settings.mapping.departments, deps)


def class_id(branch: int, deps: Deps) -> str | None:
    """The id of the books' class for a branch, where the company tracks classes and the settings map them."""
    if deps.settings.mapping.classes.mode == "off" or not deps.lists.company().tracks_classes:
        return None
    return _of_branch(branch, "Class", "mapping.classes", deps.settings.mapping.classes, deps)


def _of_branch(branch: int, kind: ListEntity, setting: str, rule: Control, deps: Deps) -> str | None:
    """The entry the settings choose for a branch; the one of the branch's own name by default."""
    name = next((b.name for b in deps.lists.branches() if b.number == branch), "")
    known = deps.lists.entries(kind)
    entry = named(name, known)
    question = ControlQuestion(
        setting=setting, key=str(branch), automatic=entry.id if entry else None, what=name_branch(branch, deps)
    )
    chosen = control.resolve(rule, question).value
    return by_name_or_id(chosen, known) if chosen else None


def term(sale: Sale, relation: Relation | None, deps: Deps) -> str | None:
    """The id of the books' payment term of a sale on account: the one with the same number of days."""
    if sale.kind is not SaleKind.INVOICE or deps.settings.mapping.terms.mode == "off":
        return None
    days = (sale.due_date - sale.business_date).days if sale.due_date else relation.payment_days if relation else None
    if days is None:
        return None
    known = deps.lists.entries("Term")
    same = next((entry.id for entry in known if entry.active and entry.due_days == days), None)
    chosen = control.resolve(
        deps.settings.mapping.terms,
        ControlQuestion(
            setting="mapping.terms", key=str(days), automatic=same, what=message("a term of {days} days", days=days)
        ),
    ).value
    return by_name_or_id(chosen, known) if chosen else None


def shipping_method(sale: Sale, deps: Deps) -> str | None:
    """How the goods were delivered, in the books' words, where the company ships and the settings map it."""
    rule = deps.settings.mapping.shipping_methods
    if rule.mode == "off" or not deps.lists.company().allows_shipping:
        return None
    # Receipts and invoices do not contain it, the delivered order does.
    orders = deps.till.orders(sale.order_ids) if sale.order_ids and not sale.delivery_method else ()
    method = next((each.delivery_method for each in (sale, *orders) if each.delivery_method), None)
    if method is None:
        return None
    asked = ControlQuestion(
        setting="mapping.shipping_methods",
        key=method,
        automatic=method,
        what=message('delivery method "{method}"', method=method),
    )
    return control.resolve(rule, asked).value

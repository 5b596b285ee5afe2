"""What a record of either system adds to a branch's day: net and VAT per rate, money per payment method and account."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mapping import money_documents
from mapping.errors import MappingError
from mapping.money import add, round_to_cents, show_number
from mapping.money_documents import redeemed
from mapping.records import PAID_AT_ONCE, RETURNS, BookedDocument, BooksPayment, Journal, Payment, Sale, VatAmount
from mapping.sale_lines import is_without_vat, paid_difference

UNKNOWN = "unknown"
"""The key of an amount whose rate or payment method cannot be read."""


class Measure(StrEnum):
    """The kind of amount."""

    NET = "net"
    VAT = "vat"
    TENDER = "tender"
    ACCOUNT = "account"


TURNOVER: Final = (Measure.NET, Measure.VAT)


@dataclass(frozen=True, slots=True)
class Cell:
    """One sum that must agree. `key` is a rate in per cent, a payment method, or the account that the settings name for
    a tender's money; `branch` None: not assigned.
    """

    branch: int | None
    day: date
    measure: Measure
    key: str


Figures = Mapping[Cell, int]
"""Signed cents by cell; zero cells are left out."""


@dataclass(frozen=True, slots=True)
class Names:
    """The meaning of both systems' codes. `tenders`: the till's method to the shared name; `methods`: the books' method
    id to it; `rates`: the books' tax code id to its percentage. `clearing`: ids of the books' items whose lines only
    move money between documents. `accounts`: the till's methods with an account in the settings, to the account's
    id; `account_names`: the books' account id to its name.
    """

    tenders: Mapping[str, str]
    methods: Mapping[str, str]
    rates: Mapping[str, Decimal | None]
    clearing: Collection[str] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    account_names: Mapping[str, str] = field(default_factory=dict)


def subtract(left: Figures, right: Figures) -> dict[Cell, int]:
    return add([left, {cell: -cents for cell, cents in right.items()}])


def within(figures: Figures, start: date, through: date) -> dict[Cell, int]:
    """The part on these days, both included."""
    return {cell: cents for cell, cents in figures.items() if start <= cell.day <= through}


def total_of(figures: Figures, *measures: Measure) -> int:
    return sum(cents for cell, cents in figures.items() if cell.measure in measures)


# --- the till ----------------------------------------------------------------------------------------------------


def of_sale(
    sale: Sale, names: Names, *, cash_rounding_cap: int | None = None, gift_cards: Collection[str] = ()
) -> dict[Cell, int]:
    """A sale's VAT totals on its day and its payments on theirs.

    Without VAT everything counts at 0 %, as in the books. With `cash_rounding_cap` Dutch cash rounding counts as
    an untaxed amount, as it is booked by default; so do payments by one of `gift_cards`, and marked deposits, which
    settle a debt and are no money.
    """
    day, branch = sale.business_date, sale.branch
    rounding = 0
    if cash_rounding_cap is not None:
        with suppress(MappingError):
            rounding = paid_difference(sale, cap_cents=cash_rounding_cap)
    debts = redeemed(sale, gift_cards) + money_documents.settled(sale)
    untaxed = _lone(Cell(branch, day, Measure.NET, "0"), rounding - debts)
    in_money = money_documents.in_money(sale, gift_cards)
    stated = (VatAmount(0, Decimal(0), sale.total_incl_cents, 0),) if is_without_vat(sale) else sale.vat
    paid = _tender_figures(in_money.payments, sale, names)
    received = _account_figures(in_money.payments, sale, names)
    return add([*_vat_figures(stated, branch, day), untaxed, *paid, *received])


def as_stated(sale: Sale, names: Names) -> dict[Cell, int]:
    """A sale's VAT totals under the till's own codes and rates, and its payments, as in its journal."""
    paid = _tender_figures(sale.payments, sale, names)
    return add([*_vat_figures(sale.vat, sale.branch, sale.business_date), *paid])


def of_order(order: Sale, names: Names) -> dict[Cell, int]:
    """The payments of an order that is not delivered: money on its days, and the same amount of debt without VAT."""
    debts = (
        _lone(Cell(order.branch, payment.business_date or order.business_date, Measure.NET, "0"), payment.amount_cents)
        for payment in order.payments
    )
    paid = [*_tender_figures(order.payments, order, names), *_account_figures(order.payments, order, names)]
    return add([*debts, *paid])


def payments_of(order: Sale, names: Names) -> dict[Cell, int]:
    """The payments of an order by method only, as in the till's journal of orders."""
    return add(_tender_figures(order.payments, order, names))


def of_journal(journal: Journal, names: Names) -> dict[Cell, int]:
    vat = _vat_figures(journal.vat, journal.branch, journal.business_date)
    return add([*vat, payments_of_journal(journal, names)])


def payments_of_journal(journal: Journal, names: Names) -> dict[Cell, int]:
    return add(_tender(journal.branch, journal.business_date, payment, names) for payment in journal.payments)


def _vat_figures(amounts: Iterable[VatAmount], branch: int, day: date) -> Iterable[Figures]:
    for amount in amounts:
        rate = show_number(amount.percentage)
        yield _lone(Cell(branch, day, Measure.NET, rate), amount.net_cents)
        yield _lone(Cell(branch, day, Measure.VAT, rate), amount.vat_cents)


def _tender_figures(payments: Iterable[Payment], sale: Sale, names: Names) -> Iterable[Figures]:
    return (_tender(sale.branch, payment.business_date or sale.business_date, payment, names) for payment in payments)


def _account_figures(payments: Iterable[Payment], sale: Sale, names: Names) -> Iterator[Figures]:
    for payment in payments:
        if account := names.accounts.get(payment.method):
            day = payment.business_date or sale.business_date
            yield _lone(_account(sale.branch, day, account, names), payment.amount_cents)


def _account(branch: int | None, day: date, account: str | None, names: Names) -> Cell:
    return Cell(branch, day, Measure.ACCOUNT, names.account_names.get(account or "", account or UNKNOWN))


def _tender(branch: int, day: date, payment: Payment, names: Names) -> Figures:
    name = names.tenders.get(payment.method, payment.method)
    return _lone(Cell(branch, day, Measure.TENDER, name), payment.amount_cents)


# --- the books ---------------------------------------------------------------------------------------------------


def of_document(document: BookedDocument, branch: int | None, names: Names) -> dict[Cell, int]:
    """A document's net and tax per rate and, where it was paid at once, its money; returns are negative.

    The part of its total that its lines and taxes do not explain is under the rate "unknown".
    """
    if document.voided or document.business_date is None:
        return {}
    day, sign = document.business_date, -1 if document.kind in RETURNS else 1
    lines = [(rate, sign * cents, clears) for rate, cents, clears in _nets(document, names)]
    nets = add(_lone(Cell(branch, day, Measure.NET, rate), cents) for rate, cents, clears in lines if not clears)
    taxes = add(
        _lone(
            Cell(branch, day, Measure.VAT, UNKNOWN if percentage is None else show_number(percentage)),
            sign * round_to_cents(tax),
        )
        for percentage, tax in document.tax_lines
    )
    total = sign * round_to_cents(document.total)
    rest = total - sum(cents for _, cents, _ in lines) - sum(taxes.values())
    found = [nets, taxes, _lone(Cell(branch, day, Measure.NET, UNKNOWN), rest)]
    if document.kind in PAID_AT_ONCE:
        chosen = document.payment_method_id
        method = names.methods.get(chosen, chosen) if chosen else UNKNOWN
        found.append(_lone(Cell(branch, day, Measure.TENDER, method), total))
        found.append(_received(branch, day, method, document.deposit_account_id, total, names))
    return add(found)


def _received(branch: int | None, day: date, method: str, account: str | None, cents: int, names: Names) -> Figures:
    """The money by account, if the settings name one for its method."""
    named = {names.tenders.get(each, each) for each in names.accounts}
    return _lone(_account(branch, day, account, names), cents) if method in named else {}


def of_payment(payment: BooksPayment, branch: int | None, names: Names) -> dict[Cell, int]:
    if payment.voided:
        return {}
    method = names.methods.get(payment.payment_method_id or "", payment.payment_method_id or UNKNOWN)
    day, cents = payment.business_date, round_to_cents(payment.total)
    paid = _lone(Cell(branch, day, Measure.TENDER, method), cents)
    return add([paid, _received(branch, day, method, payment.deposit_account_id, cents, names)])


def _nets(document: BookedDocument, names: Names) -> Iterable[tuple[str, int, bool]]:
    """Rate and amount of every line, and whether it only moves money between documents."""
    for amount, item, code in document.content.lines:
        if amount is not None:
            code_id = code or ""  # known where the company has no tax codes: `list_entries.NO_TAX`
            rate = show_number(names.rates[code_id] or Decimal(0)) if code_id in names.rates else UNKNOWN
            yield rate, round_to_cents(amount), item in names.clearing


def _lone(cell: Cell, cents: int) -> Figures:
    return {cell: cents} if cents else {}

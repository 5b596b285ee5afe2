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
from mapping.records import PAID_AT_ONCE, RETURNS, BookedDocument, BooksPayment, Journal, Sale, VatAmount
from mapping.sale_lines import is_without_vat, paid_difference

UNKNOWN = "unknown"
"""The key of an amount whose rate or payment method cannot be read."""


class Measure(StrEnum):
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
    untaxed = {Cell(branch, day, Measure.NET, "0"): rounding - debts}
    in_money = money_documents.in_money(sale, gift_cards)
    stated = (VatAmount(0, Decimal(0), sale.total_incl_cents, 0),) if is_without_vat(sale) else sale.vat
    money = (*_by_tender(in_money, names), *_by_account(in_money, names))
    return add([*_by_rate(stated, branch, day), untaxed, *money])


def as_stated(record: Sale | Journal, names: Names, *, vat: bool = True) -> dict[Cell, int]:
    """VAT totals under the till's own codes and rates, and payments, as in its journal; without `vat` payments only."""
    stated = record.vat if vat else ()
    return add([*_by_rate(stated, record.branch, record.business_date), *_by_tender(record, names)])


def of_order(order: Sale, names: Names) -> dict[Cell, int]:
    """The payments of an order that is not delivered: money on its days, and the same amount of debt without VAT."""
    debts = (
        {Cell(order.branch, payment.business_date or order.business_date, Measure.NET, "0"): payment.amount_cents}
        for payment in order.payments
    )
    return add([*debts, *_by_tender(order, names), *_by_account(order, names)])


def _by_rate(amounts: Iterable[VatAmount], branch: int, day: date) -> Iterator[Figures]:
    for amount in amounts:
        rate = show_number(amount.percentage)
        yield {Cell(branch, day, Measure.NET, rate): amount.net_cents}
        yield {Cell(branch, day, Measure.VAT, rate): amount.vat_cents}


def _by_tender(record: Sale | Journal, names: Names) -> Iterator[Figures]:
    for payment in record.payments:
        day, name = payment.business_date or record.business_date, names.tenders.get(payment.method, payment.method)
        yield {Cell(record.branch, day, Measure.TENDER, name): payment.amount_cents}


def _by_account(sale: Sale, names: Names) -> Iterator[Figures]:
    for payment in sale.payments:
        if account := names.accounts.get(payment.method):
            day, name = payment.business_date or sale.business_date, names.account_names.get(account, account)
            yield {Cell(sale.branch, day, Measure.ACCOUNT, name): payment.amount_cents}


# --- the books ---------------------------------------------------------------------------------------------------


def of_document(document: BookedDocument, branch: int | None, names: Names) -> dict[Cell, int]:
    """A document's net and tax per rate and, where it was paid at once, its money; returns are negative.

    The part of its total that its lines and taxes do not explain is under the rate "unknown".
    """
    if document.voided or document.business_date is None:
        return {}
    day, sign = document.business_date, -1 if document.kind in RETURNS else 1
    amounts, nets = 0, []
    for amount, item, code in document.content.lines:
        cents = sign * round_to_cents(amount or Decimal(0))
        code_id = code or ""  # known where the company has no tax codes: `list_entries.NO_TAX`
        amounts += cents
        if item not in names.clearing:  # the other lines only move money between documents
            rate = show_number(names.rates[code_id] or Decimal(0)) if code_id in names.rates else UNKNOWN
            nets.append({Cell(branch, day, Measure.NET, rate): cents})
    rates = [(UNKNOWN if rate is None else show_number(rate), tax) for rate, tax in document.tax_lines]
    taxes = add({Cell(branch, day, Measure.VAT, rate): sign * round_to_cents(tax)} for rate, tax in rates)
    total = sign * round_to_cents(document.total)
    rest = total - amounts - sum(taxes.values())
    money = _received(branch, day, document, total, names) if document.kind in PAID_AT_ONCE else ()
    return add([*nets, taxes, {Cell(branch, day, Measure.NET, UNKNOWN): rest}, *money])


def of_payment(payment: BooksPayment, branch: int | None, names: Names) -> dict[Cell, int]:
    if payment.voided:
        return {}
    return add(_received(branch, payment.business_date, payment, round_to_cents(payment.total), names))


def _received(
    branch: int | None, day: date, record: BookedDocument | BooksPayment, cents: int, names: Names
) -> Iterator[Figures]:
    """The money by method and, if the settings name an account for that, by account."""
    chosen, account = record.payment_method_id or UNKNOWN, record.deposit_account_id or UNKNOWN
    method = names.methods.get(chosen, chosen)
    yield {Cell(branch, day, Measure.TENDER, method): cents}
    if method in {names.tenders.get(each, each) for each in names.accounts}:
        yield {Cell(branch, day, Measure.ACCOUNT, names.account_names.get(account, account)): cents}

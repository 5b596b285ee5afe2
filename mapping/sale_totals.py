"""A sale's own totals: net and VAT per code, and what was paid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from mapping.errors import MappingError
from mapping.messages import Amount, message
from mapping.records import Sale, SaleLine, VatAmount
from mapping.sale_identity import name_record

SHIFTED, NONE = "VAT-METHOD-SHIFTED", "VAT-METHOD-NONE"


def is_without_vat(sale: Sale) -> bool:
    """Whether no VAT is due on this sale: reverse-charged or outside VAT."""
    return sale.vat_method in (SHIFTED, NONE)


def read_totals(sale: Sale) -> tuple[VatAmount, ...]:
    """Net and VAT per code as the till states them, in its own sign; they add up to the sale's total.

    Without VAT everything counts under one 0 % code (the first the till states, else 0). A code that only lines
    without an amount use gets a total of zero. MappingError names both amounts if the VAT totals and the total differ.
    """
    if is_without_vat(sale):
        return (VatAmount(sale.vat[0].code if sale.vat else 0, Decimal(0), sale.total_incl_cents, 0),)
    stated = sum(amount.net_cents + amount.vat_cents for amount in sale.vat)
    if stated != sale.total_incl_cents:
        raise MappingError(
            message(
                "the VAT totals add up to {amount}, the sale's total is {total}",
                amount=Amount(stated),
                total=Amount(sale.total_incl_cents),
            ),
            record=name_record(sale),
            field="vat",
            fix="open the sale in the till and compare its VAT totals with its total; report it to MplusKASSA",
        )
    return tuple(amount for amount in (*sale.vat, *_unstated(sale)))


def _unstated(sale: Sale) -> Iterator[VatAmount]:
    seen = {amount.code for amount in sale.vat}
    for line in _all_lines(sale.lines):
        if line.vat_code is not None and line.vat_percentage is not None and line.vat_code not in seen:
            seen.add(line.vat_code)
            yield VatAmount(line.vat_code, line.vat_percentage, 0, 0)


def _all_lines(lines: Iterable[SaleLine]) -> Iterator[SaleLine]:
    for line in lines:
        yield line
        yield from _all_lines(line.sublines)


def paid_difference(sale: Sale, *, cap_cents: int) -> int:
    """Cents by which a paid sale was paid above (or, negative, below) its total: Dutch cash rounding.

    MappingError if it is more than the cap. 0 for sales that are not (fully) paid, or that state no payments.
    """
    paid = sum(payment.amount_cents for payment in sale.payments)
    if not sale.payments or not sale.state.endswith("-PAID") or "PARTLY" in sale.state:
        return 0
    difference = paid - sale.total_incl_cents
    if abs(difference) > cap_cents:
        raise MappingError(
            message(
                "{amount} was paid for a total of {total}",
                amount=Amount(paid),
                total=Amount(sale.total_incl_cents),
            ),
            record=name_record(sale),
            field="payments",
            fix="open the sale in the till and look at its payments; book it by hand if they are right",
        )
    return difference

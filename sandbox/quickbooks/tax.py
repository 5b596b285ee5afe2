"""Value-added tax of a document, as pure arithmetic on Decimal: per line or per rate, on net or on gross amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")
HUNDRED = Decimal(100)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Rate:
    """One tax rate: its id and percentage."""

    id: str
    percent: Decimal


@dataclass(frozen=True, slots=True)
class TaxedLine:
    """A line to be taxed: its net amount, the rates of its tax code, and its gross amount where it was given."""

    net: Decimal
    rates: tuple[Rate, ...]
    gross: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LineTax:
    """What came of one line: net, tax and gross, each in whole cents."""

    net: Decimal
    tax: Decimal
    gross: Decimal


@dataclass(frozen=True, slots=True)
class RateTax:
    """What came of one rate over the whole document."""

    rate: Rate
    net: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class DocumentTax:
    """Lines in the order given, one entry per rate used, and the total of the tax."""

    lines: tuple[LineTax, ...]
    rates: tuple[RateTax, ...]
    total: Decimal


def to_cents(amount: Decimal) -> Decimal:
    """Round half up (away from zero) to whole cents."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def compute(lines: Sequence[TaxedLine], *, inclusive: bool, rounding: str) -> DocumentTax:
    """Tax a document. `rounding` is "line" (each line is rounded) or "code" (the sum per rate is rounded)."""
    taxed = tuple(_tax_line(line, inclusive=inclusive) for line in lines)
    rates = _per_rate(lines, taxed, inclusive=inclusive, rounding=rounding)
    return DocumentTax(taxed, rates, sum((each.tax for each in rates), ZERO))


def _tax_line(line: TaxedLine, *, inclusive: bool) -> LineTax:
    if inclusive and line.gross is not None:
        tax = sum((to_cents(share) for share in _shares_of_gross(line).values()), ZERO)
        gross = to_cents(line.gross)
        return LineTax(gross - tax, tax, gross)
    net = to_cents(line.net)
    tax = sum((to_cents(net * rate.percent / HUNDRED) for rate in line.rates), ZERO)
    return LineTax(net, tax, net + tax)


def _shares_of_gross(line: TaxedLine) -> Mapping[Rate, Decimal]:
    whole = HUNDRED + sum((rate.percent for rate in line.rates), ZERO)
    gross = to_cents(line.gross or ZERO)
    return {rate: gross * rate.percent / whole for rate in line.rates}


def _per_rate(
    lines: Sequence[TaxedLine], taxed: Sequence[LineTax], *, inclusive: bool, rounding: str
) -> tuple[RateTax, ...]:
    nets: dict[Rate, Decimal] = {}
    taxes: dict[Rate, Decimal] = {}
    for line, result in zip(lines, taxed, strict=True):
        for rate, exact in _exact_shares(line, inclusive=inclusive).items():
            nets[rate] = nets.get(rate, ZERO) + result.net
            taxes[rate] = taxes.get(rate, ZERO) + (to_cents(exact) if rounding == "line" else exact)
    return tuple(RateTax(rate, nets[rate], to_cents(taxes[rate])) for rate in nets)


def _exact_shares(line: TaxedLine, *, inclusive: bool) -> Mapping[Rate, Decimal]:
    if inclusive and line.gross is not None:
        return _shares_of_gross(line)
    net = to_cents(line.net)
    return {rate: net * rate.percent / HUNDRED for rate in line.rates}

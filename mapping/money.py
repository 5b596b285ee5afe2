"""Exact money: integer cents, Decimal euros, commercial rounding, and splitting an amount to the cent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import TypeVar

Key = TypeVar("Key")
Cents = TypeVar("Cents", int, Decimal)
CENT = Decimal("0.01")


def to_euros(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def to_cents(euros: Decimal) -> int:
    """Euros as cents; ValueError when the amount is not a whole number of cents (nothing is rounded here)."""
    cents = euros.scaleb(2)
    if not cents.is_finite() or cents != cents.to_integral_value():
        raise ValueError(f"{euros} is not a whole number of cents")
    return int(cents)


def round_to_cents(euros: Decimal) -> int:
    """Euros as cents, half a cent rounded away from zero; ValueError for an infinity or a NaN."""
    if not euros.is_finite():
        raise ValueError(f"{euros} is not an amount")
    return int(euros.scaleb(2).to_integral_value(rounding=ROUND_HALF_UP))


def divide_half_up(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest whole number, halves away from zero; `denominator` is positive."""
    doubled = 2 * abs(numerator) + denominator
    quotient = doubled // (2 * denominator)
    return quotient if numerator >= 0 else -quotient


def ratio_of(percentage: Decimal) -> tuple[int, int]:
    """A percentage as an exact fraction: 21 is (21, 100)."""
    numerator, denominator = percentage.as_integer_ratio()
    return numerator, denominator * 100


def gross_to_tax(gross_cents: int, percentage: Decimal) -> int:
    """The tax in an amount that includes it, in cents: how a till with inclusive prices computes its VAT."""
    numerator, denominator = ratio_of(percentage)
    return divide_half_up(gross_cents * numerator, numerator + denominator)


def gross_to_net(gross_cents: int, percentage: Decimal) -> int:
    """An amount that includes tax, without it; `gross_to_net + gross_to_tax` is the gross again, to the cent."""
    return gross_cents - gross_to_tax(gross_cents, percentage)


def allocate(total_cents: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Split an amount in proportion to the weights' sizes; the parts add up to it exactly (largest remainder).

    Signs of weights do not matter; when all are zero the parts are equal. ValueError without any weight.
    """
    if not weights:
        raise ValueError("an amount cannot be split over nothing")
    shares = [abs(weight) for weight in weights]
    whole = sum(shares)
    if whole == 0:
        shares, whole = [1] * len(weights), len(weights)
    size, sign = abs(total_cents), -1 if total_cents < 0 else 1
    parts = [size * share // whole for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: -(size * shares[index] % whole))
    for index in by_remainder[: size - sum(parts)]:
        parts[index] += 1
    return tuple(sign * part for part in parts)


def show_cents(cents: int) -> str:
    """An amount for people: "12.34", "-0.05"."""
    return f"{to_euros(cents):.2f}"


def show_number(number: Decimal) -> str:
    """A rate or a quantity without the zeros behind it: "21", "0.5", "1000"."""
    return f"{number.normalize():f}"


def add(many: Iterable[Mapping[Key, Cents]]) -> dict[Key, Cents]:
    """The sums of cents by key, without those that are zero."""
    sums: dict[Key, Cents] = {}
    for amounts in many:
        for key, cents in amounts.items():
            sums[key] = sums[key] + cents if key in sums else cents
    return {key: cents for key, cents in sums.items() if cents}

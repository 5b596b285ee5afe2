"""Exact money: integer cents, Decimal euros, commercial rounding, splitting an amount to the cent, and unit prices.

The books keep seven decimals of quantity and price and round the product to cents, halves away from zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from typing import TypeVar

Key = TypeVar("Key")
Cents = TypeVar("Cents", int, Decimal)
CENT = Decimal("0.01")
DECIMALS = 7
_UNIT = Decimal(1).scaleb(-DECIMALS)
_DIGITS = 60  # enough for any quantity of the till times any price


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


def split(total_cents: int, count: int) -> tuple[int, ...]:
    """Equal parts of an amount that add up to it exactly; the first ones are a cent larger where it does not divide."""
    size, left = divmod(abs(total_cents), count)
    sign = -1 if total_cents < 0 else 1
    return tuple(sign * (size + (number < left)) for number in range(count))


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


def to_quantity(pieces: Decimal) -> Decimal:
    with localcontext(prec=_DIGITS):
        kept = pieces.quantize(_UNIT, ROUND_HALF_UP)
        return pieces if kept == pieces else kept


def multiply(quantity: Decimal, price: Decimal) -> Decimal:
    """The amount in euros that the books compute from a quantity and a price."""
    with localcontext(prec=_DIGITS):
        return (quantity * price).quantize(CENT, ROUND_HALF_UP)


def divide(net_cents: int, quantity: Decimal, rounding: str = ROUND_HALF_UP) -> Decimal:
    """The unit price in euros, with as many decimals as the books keep; `quantity` is not zero."""
    with localcontext(prec=_DIGITS):
        return (to_euros(net_cents) / quantity).quantize(_UNIT, rounding)


def find_unit_price(net_cents: int, quantity: Decimal) -> Decimal | None:
    """The unit price in euros whose product with the quantity is the net; None if there is none.

    There is none for zero pieces, and sometimes none for a hundred thousand pieces and more.
    """
    if not quantity:
        return None
    net = to_euros(net_cents)
    with localcontext(prec=_DIGITS):
        nearest = (divide(net_cents, quantity, rounding) for rounding in (ROUND_HALF_UP, ROUND_DOWN, ROUND_UP))
        price = next((price for price in nearest if multiply(quantity, price) == net), None)
        if price is None:
            return None
        # Whole cents with two decimals, finer amounts with as many as needed; zero without a sign.
        price = price.quantize(CENT) if price == price.quantize(CENT) else price.normalize()
        return price or abs(price)


def is_rigid(net_cents: int, quantity: Decimal) -> bool:
    """Whether quantity times price is the net without any rounding, and would not be for a cent more."""
    if not quantity:
        return False
    with localcontext(prec=_DIGITS):
        nets = to_euros(net_cents), to_euros(net_cents + 1)
        exact, one_more = ((net / quantity).quantize(_UNIT) * quantity == net for net in nets)
    return exact and not one_more

"""Unit prices: a line keeps its quantity, and quantity times price gives its amount in the books.

The books keep seven decimals of quantity and price and round the product to cents, halves away from zero. A company
that has refused such a product once (fault 6070) gets a price in whole cents whose product needs no rounding, and the
remainder of the amount on a second line.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from enum import StrEnum

from mapping.money import CENT, to_cents, to_euros
from mapping.sale_lines import FlatLine

DECIMALS = 7
_UNIT = Decimal(1).scaleb(-DECIMALS)
_SURE_BELOW = Decimal(100_000)  # half of the last decimal times fewer pieces is less than half a cent
_DIGITS = 60  # enough for any quantity of the till times any price


class LineAmounts(StrEnum):
    """What a company of the books accepts as the amount of a line: the rounded product, or only an exact one."""

    ROUNDED = "rounded"
    EXACT = "exact"


def to_quantity(pieces: Decimal) -> Decimal:
    with localcontext(prec=_DIGITS):
        kept = pieces.quantize(_UNIT, ROUND_HALF_UP)
        return pieces if kept == pieces else kept


def multiply(quantity: Decimal, price: Decimal) -> Decimal:
    """The amount in euros that the books compute from a quantity and a price."""
    with localcontext(prec=_DIGITS):
        return (quantity * price).quantize(CENT, ROUND_HALF_UP)


def find_unit_price(net_cents: int, quantity: Decimal) -> Decimal | None:
    """The unit price in euros whose product with the quantity is the net; None if there is none.

    There is none for zero pieces, and sometimes none for a hundred thousand pieces and more.
    """
    if not quantity:
        return None
    net = to_euros(net_cents)
    with localcontext(prec=_DIGITS):
        nearest = ((net / quantity).quantize(_UNIT, way) for way in (ROUND_HALF_UP, ROUND_DOWN, ROUND_UP))
        price = next((price for price in nearest if multiply(quantity, price) == net), None)
        if price is None:
            return None
        # Whole cents with two decimals, finer amounts with as many as needed; zero without a sign.
        price = price.quantize(CENT) if price == price.quantize(CENT) else price.normalize()
        return price or abs(price)


def is_rigid(net_cents: int, quantity: Decimal) -> bool:
    """Whether quantity times price is the net without any rounding, and would not be for a cent more."""
    return _is_exact(net_cents, quantity) and not _is_exact(net_cents + 1, quantity)


def _is_exact(net_cents: int, quantity: Decimal) -> bool:
    net = to_euros(net_cents)
    with localcontext(prec=_DIGITS):
        return bool(quantity) and (net / quantity).quantize(_UNIT) * quantity == net


def split_line(flat: FlatLine, amounts: LineAmounts) -> tuple[FlatLine, ...]:
    """The line alone if any amount has a price; else its pieces with an amount that has one, and the remainder.

    The remainder has no quantity and may be zero: the solver changes it instead of the pieces' amount.
    """
    quantity = flat.line.quantity
    if not quantity or (amounts is LineAmounts.ROUNDED and abs(quantity) < _SURE_BELOW):
        return (flat,)
    if amounts is LineAmounts.EXACT:
        # The largest part that is the quantity times whole cents: of its fraction in lowest terms only multiples are.
        unit, _ = abs(quantity).as_integer_ratio()
        part = abs(flat.net_cents) // unit * unit
        net = part if flat.net_cents >= 0 else -part
    else:
        with localcontext(prec=_DIGITS):
            price = (to_euros(flat.net_cents) / quantity).quantize(_UNIT, ROUND_HALF_UP)
            net = to_cents(multiply(quantity, price))
    rest = replace(flat.line, quantity=Decimal(0), text=f"Remainder: {flat.line.text}")
    return replace(flat, net_cents=net, fixed=True), FlatLine(rest, flat.vat, flat.net_cents - net, remainder=True)

"""Unit prices the books can multiply out: quantity times price is the amount exactly, or there is no price."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from mapping.money import CENT, to_euros
from mapping.sale_lines import FlatLine

UNIT_PRICE_DECIMALS = 7
_UNIT = Decimal(1).scaleb(-UNIT_PRICE_DECIMALS)


def find_unit_price(net_cents: int, quantity: Decimal) -> Decimal | None:
    """The unit price in euros that times the quantity is exactly the net; None when no 7 decimals do it."""
    if not quantity:
        return None
    net = to_euros(net_cents)
    price = (net / quantity).quantize(_UNIT)
    return _shortest(price) if price * quantity == net else None


def _shortest(price: Decimal) -> Decimal:
    """Whole cents with two decimals, anything finer with as many as it needs."""
    return price.quantize(CENT) if price == price.quantize(CENT) else price.normalize()


def split_line(flat: FlatLine) -> tuple[FlatLine, ...]:
    """The line as two, a cent apart per piece, when its pieces have no exact price: 3 for 10.00 is 2 x 3.33 + 1 x 3.34.

    So the books still count every piece. A quantity that is not of whole pieces stays one line.
    """
    count = abs(flat.line.quantity)
    if (
        not count
        or count != count.to_integral_value()
        or find_unit_price(flat.net_cents, flat.line.quantity) is not None
    ):
        return (flat,)
    unit, dearer = divmod(abs(flat.net_cents), int(count))
    cheaper = _part(flat, int(count) - dearer, unit)
    return cheaper, replace(_part(flat, dearer, unit + 1), notes=())


def _part(flat: FlatLine, pieces: int, unit_cents: int) -> FlatLine:
    quantity = Decimal(pieces).copy_sign(flat.line.quantity)
    net = pieces * unit_cents if flat.net_cents >= 0 else -pieces * unit_cents
    return replace(flat, line=replace(flat.line, quantity=quantity), net_cents=net)

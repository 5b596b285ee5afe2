"""A sale's own totals, and its lines as a flat list that adds up to them per VAT code, as the books take them.

It is undocumented whether a line's total includes its sublines (preparations, components). Each reading is compared
with the till's totals, which are authoritative; if none adds up the sale is refused, naming both amounts.

A company that has refused a line once (fault 6070) gets a price in whole cents whose product needs no rounding, and the
remainder of the amount on a second line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from mapping.errors import MappingError
from mapping.messages import Amount, message
from mapping.money import divide, gross_to_net, multiply, round_to_cents, show_number, to_cents, to_euros
from mapping.records import LineAmounts, Sale, SaleLine, VatAmount, VatKey, sum_vat
from mapping.sale_identity import name_record

_LAYOUT_KINDS = ("LINE-KIND-SUBTOTAL", "LINE-KIND-HEADER", "LINE-KIND-SECONDARY-HEADER")
_SURE_BELOW = Decimal(100_000)  # half of the last decimal times fewer pieces is less than half a cent
_UNKNOWN: Final[VatKey] = (-1, Decimal(0))
_SPECIAL_PRICES = {"PRICE-TYPE-GIFT-CARD": "gift_card"}
_SPECIAL_GROUPS = {
    "TURNOVER-GROUP-TYPE-REFUNDABLE-DEPOSIT": "deposit",
    "TURNOVER-GROUP-TYPE-BALANCE-UPGRADE": "gift_card",
}


@dataclass(frozen=True, slots=True)
class FlatLine:
    """A line with an amount of its own: its VAT code and rate, its net in signed cents, and texts that belong to it.

    A `remainder` is the amount that the pieces of the line before it do not cover, if any; that line is `fixed`: its
    amount is never changed.
    """

    line: SaleLine
    vat: VatKey
    net_cents: int
    notes: tuple[str, ...] = ()
    remainder: bool = False
    fixed: bool = False


def needed_articles(
    sale: Sale, *, tolerance_cents: int = 5, special_items: Collection[str] = (), tip_articles: Collection[int] = ()
) -> frozenset[int]:
    """Numbers of the articles whose items the document needs; MappingError if its lines do not add up.

    Lines of a special kind ("tip", "gift_card", "deposit") that `special_items` has an item for need no article's item.
    """
    lines = [flat.line for flat in flatten(sale, read_totals(sale), tolerance_cents=tolerance_cents)]
    return frozenset(
        line.article for line in lines if line.article and special_kind(line, tip_articles) not in special_items
    )


def special_kind(line: SaleLine, tip_articles: Collection[int]) -> str | None:
    """Whether a line is a "tip", a "gift_card" or a "deposit" rather than a sale of goods."""
    if line.article in tip_articles:
        return "tip"
    return _SPECIAL_PRICES.get(line.price_type or "") or _SPECIAL_GROUPS.get(line.turnover_group_type or "")


def flatten(sale: Sale, totals: Sequence[VatAmount], *, tolerance_cents: int) -> tuple[FlatLine, ...]:
    """The lines that are booked, text folded into the line above it.

    The reading nearest to the totals is used; per code it may differ by `tolerance_cents`, or a cent per line (the
    tax solver corrects that). MappingError names both amounts if even the best reading differs more.
    """
    record = name_record(sale)
    readings = _READINGS if any(line.sublines for line in sale.lines) else _READINGS[:1]
    candidates: list[tuple[FlatLine, ...]] = []
    for reading in readings:
        noted = [(line, notes, _vat_of(line, totals)) for line, notes in reading(sale.lines)]
        taxed = [(line, notes, vat) for line, notes, vat in noted if vat is not None]
        candidates += [
            tuple(FlatLine(line, vat, _net(line, vat[1], stated=stated), notes) for line, notes, vat in taxed)
            for stated in (True, False)
        ]
    best = min(candidates, key=lambda lines: _distance(lines, totals))
    for flat in best:
        if flat.vat == _UNKNOWN:
            raise _unknown_code(flat.line, totals, record)
    for total, gap, count in _gaps(best, totals):
        if abs(gap) > max(tolerance_cents, count):
            said = "the lines of VAT code {code} add up to {amount} without VAT, the sale's own total says {total}"
            raise MappingError(
                message(said, code=total.code, amount=Amount(total.net_cents + gap), total=Amount(total.net_cents)),
                code="net-total-differs",
                record=record,
                field="lines",
                fix="open the sale in the till and compare its lines with its VAT totals; book it by hand if they "
                "differ there",
            )
    return best


def _distance(lines: Sequence[FlatLine], totals: Sequence[VatAmount]) -> int:
    astray = sum(abs(flat.net_cents) for flat in lines if flat.vat == _UNKNOWN)
    return astray + sum(abs(gap) for _, gap, _ in _gaps(lines, totals))


def _gaps(lines: Sequence[FlatLine], totals: Sequence[VatAmount]) -> Iterator[tuple[VatAmount, int, int]]:
    for total in totals:
        nets = [line.net_cents for line in lines if line.vat == total.key]
        yield total, sum(nets) - total.net_cents, len(nets)


Noted = tuple[SaleLine, tuple[str, ...]]


_READINGS: tuple[Callable[[Iterable[SaleLine]], list[Noted]], ...] = (
    # A parent's total leaves its sublines out: all of them count.
    lambda lines: _fold(_walk(lines, keep=lambda _: True)),
    # A parent's total includes its sublines: only parents count.
    lambda lines: _fold([(line, False) for line in lines]),
    # A parent with sublines that have amounts is only a heading (components with different VAT).
    lambda lines: _fold(_walk(lines, keep=lambda line: not any(map(has_amount, line.sublines)))),
)


def _walk(
    lines: Iterable[SaleLine], *, keep: Callable[[SaleLine], bool], nested: bool = False
) -> list[tuple[SaleLine, bool]]:
    found: list[tuple[SaleLine, bool]] = []
    for line in lines:
        if keep(line):
            found.append((line, nested))
        found += _walk(line.sublines, keep=keep, nested=True)
    return found


def _fold(lines: Iterable[tuple[SaleLine, bool]]) -> list[Noted]:
    """Remove layout lines; a text line, or a subline without an amount, becomes a note of the line above."""
    folded: list[Noted] = []
    for line, nested in lines:
        if line.kind in _LAYOUT_KINDS:
            continue
        if has_amount(line) or (line.article and not nested):
            folded.append((line, ()))
        elif folded and line.text:
            above, notes = folded[-1]
            folded[-1] = above, (*notes, line.text)
    return folded


def has_amount(line: SaleLine) -> bool:
    return bool(_gross(line) or line.total_excl_cents or _extended(line.unit_excl_cents, line.quantity))


def _unknown_code(line: SaleLine, totals: Sequence[VatAmount], record: str) -> MappingError:
    rates = [f"{show_number(total.percentage)} %" for total in totals if total.code == line.vat_code]
    if rates:
        why = 'the sale states VAT code {code} at {rates}, and line "{text}" (article {article}) names none of them'
        return MappingError(
            message(why, code=line.vat_code, rates=", ".join(rates), text=line.text, article=line.article),
            code="line-vat-rate-unknown",
            record=record,
            field="vat",
            fix="book this sale by hand, and give each VAT rate a VAT code of its own in the till",
        )
    said = 'line "{text}" (article {article}) has VAT code {code}, for which the sale states no total'
    return MappingError(
        message(said, text=line.text, article=line.article, code=line.vat_code),
        code="line-vat-code-unknown",
        record=record,
        field="vat",
        fix="correct the VAT code of this article in the till",
    )


def _vat_of(line: SaleLine, totals: Sequence[VatAmount]) -> VatKey | None:
    """The VAT code and rate of the line; None for a line without an amount in a sale without any code."""
    same_code = [total.key for total in totals if total.code == line.vat_code]
    same_rate = [key for key in same_code or [total.key for total in totals] if key[1] == line.vat_percentage]
    if len(same_code) == 1 or len(totals) == 1:
        return same_code[0] if same_code else totals[0].key
    if len(same_rate) == 1:
        return same_rate[0]
    if not has_amount(line):
        return totals[0].key if totals else None
    return _UNKNOWN


def _net(line: SaleLine, percentage: Decimal, *, stated: bool) -> int:
    """As the till states it, or (`stated` false) from the amount with VAT, where the line has that."""
    gross = _gross(line)
    if line.total_excl_cents is not None and (stated or gross is None):
        return line.total_excl_cents
    if gross is not None:
        return gross_to_net(gross, percentage)
    return _extended(line.unit_excl_cents, line.quantity) or 0


def _gross(line: SaleLine) -> int | None:
    stated = line.total_incl_cents
    return _extended(line.unit_incl_cents, line.quantity) if stated is None else stated


def _extended(unit_cents: int | None, quantity: Decimal) -> int | None:
    return None if unit_cents is None else round_to_cents(to_euros(unit_cents) * quantity)


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
        net = to_cents(multiply(quantity, divide(flat.net_cents, quantity)))
    rest = replace(flat.line, quantity=Decimal(0), text=f"Remainder: {flat.line.text}")
    return replace(flat, net_cents=net, fixed=True), FlatLine(rest, flat.vat, flat.net_cents - net, remainder=True)


SHIFTED, NONE = "VAT-METHOD-SHIFTED", "VAT-METHOD-NONE"


def is_without_vat(sale: Sale) -> bool:
    """Whether no VAT is due on this sale: reverse-charged or outside VAT."""
    return sale.vat_method in (SHIFTED, NONE)


def read_totals(sale: Sale) -> tuple[VatAmount, ...]:
    """Net and VAT per code and rate as the till states them, in its own sign; they add up to the sale's total.

    Without VAT everything counts under one 0 % code (the first the till states, else 0). A code that only lines
    without an amount use gets a total of zero. What is stated twice is added up.
    MappingError names both amounts if the VAT totals and the total differ.
    """
    if is_without_vat(sale):
        return (VatAmount(sale.vat[0].code if sale.vat else 0, Decimal(0), sale.total_incl_cents, 0),)
    stated = sum(amount.net_cents + amount.vat_cents for amount in sale.vat)
    if stated != sale.total_incl_cents:
        said = "the VAT totals add up to {amount}, the sale's total is {total}"
        raise MappingError(
            message(said, amount=Amount(stated), total=Amount(sale.total_incl_cents)),
            code="vat-total-differs",
            record=name_record(sale),
            field="vat",
            fix="open the sale in the till and compare its VAT totals with its total; report it to MplusKASSA",
        )
    totals = sum_vat(sale.vat, lambda amount: amount.key)
    seen = {amount.code for amount in sale.vat}
    for line in sale.every_line:
        if line.vat_code is not None and line.vat_percentage is not None and line.vat_code not in seen:
            seen.add(line.vat_code)
            totals[line.vat_code, line.vat_percentage] = VatAmount(line.vat_code, line.vat_percentage, 0, 0)
    return tuple(totals.values())


def is_paid(sale: Sale) -> bool:
    """Whether the till calls it paid, and not only in part."""
    return sale.state.endswith("-PAID") and "PARTLY" not in sale.state


def paid_difference(sale: Sale, *, cap_cents: int) -> int:
    """Cents by which a paid sale was paid above (or, negative, below) its total: Dutch cash rounding.

    MappingError if it is more than the cap. 0 for sales that are not (fully) paid, or that state no payments.
    """
    paid = sum(payment.amount_cents for payment in sale.payments)
    if not sale.payments or not is_paid(sale):
        return 0
    difference = paid - sale.total_incl_cents
    if abs(difference) > cap_cents:
        raise MappingError(
            message("{amount} was paid for a total of {total}", amount=Amount(paid), total=Amount(paid - difference)),
            code="paid-differs",
            record=name_record(sale),
            field="payments",
            fix="open the sale in the till and look at its payments; book it by hand if they are right",
        )
    return difference

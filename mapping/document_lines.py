"""The lines and taxes of a document: the sale's lines, adjusted by the tax solver, plus named rounding lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from mapping.money import to_cents, to_euros
from mapping.records import DocumentLine, DocumentTax, Sale, TaxCode, VatAmount
from mapping.references import (
    References,
    get_clearing_item,
    get_gift_card_item,
    get_item,
    get_order_deposit_item,
    get_rounding_item,
    get_tax_code,
    get_untaxed,
)
from mapping.sale_identity import name_record
from mapping.sale_lines import SHIFTED, FlatLine, flatten, is_without_vat, negate, read_totals
from mapping.sections import OrderSettings
from mapping.tax import RoundingModel, Solution, SolverLimits, WantedTotals, solve
from mapping.unit_prices import find_unit_price, is_rigid, split_line, to_quantity

DESCRIPTION_LENGTH = 4000
GIFT_CARDS = "Gift cards redeemed"
_MOVE = 12  # a plateau of equal tax is 11 cents wide at 9 %: a remainder must be able to reach its edge
CLEARING = "Money by another way to pay"
DEPOSITS = "Deposit settled"
_ITEMS: Mapping[str, Callable[[References, str], str]] = {
    GIFT_CARDS: get_gift_card_item,
    DEPOSITS: get_order_deposit_item,
    CLEARING: get_clearing_item,
}


@dataclass(frozen=True, slots=True)
class DocumentBody:
    """The parts of a document, in the document's sign; nets and taxes add up to `total_cents`."""

    lines: tuple[DocumentLine, ...]
    taxes: tuple[DocumentTax, ...]
    total_cents: int


@dataclass(frozen=True, slots=True)
class Extras:
    """Lines without VAT beside the goods, in cents and the till's sign.

    Dutch cash rounding, gift cards redeemed, deposits on orders that are settled, and money in separate documents.
    """

    cash_rounding: int = 0
    gift_cards: int = 0
    deposits: int = 0
    clearing: int = 0

    @property
    def total(self) -> int:
        return self.cash_rounding + self.gift_cards + self.deposits + self.clearing


NOTHING_EXTRA = Extras()


def to_body(
    sale: Sale, references: References, settings: OrderSettings, *, sign: int, extras: Extras = NOTHING_EXTRA
) -> DocumentBody:
    """Build lines and taxes; `sign` is -1 for returns, whose amounts are positive in the books.

    MappingError if something is not mapped or does not add up.
    """
    totals, whole = _read(sale, settings, sign)
    parts = [split_line(line, references.line_amounts) for line in whole]
    flat = [part for line in parts for part in line]
    wanted = [_to_wanted(part, fixed=len(line) > 1 and part is line[0]) for line in parts for part in line]
    limits = SolverLimits(cap=settings.rounding_cap_cents, model=RoundingModel(settings.rounding_model))
    if any(each.fixed for each in wanted):
        limits = replace(limits, move=_MOVE)
    solution = solve(totals, wanted, limits=limits, record=name_record(sale))
    codes = {total.code: _tax_code(sale, references, total) for total in totals}
    lines = [
        each
        for line, net in zip(flat, solution.nets, strict=True)
        if net or not line.remainder
        for each in _to_lines(line, net, references, codes[line.code], name_record(sale))
    ]
    untaxed = {
        "Tax rounding": solution.untaxed,
        "Cash rounding": sign * extras.cash_rounding,
        GIFT_CARDS: sign * extras.gift_cards,
        DEPOSITS: sign * extras.deposits,
        CLEARING: sign * extras.clearing,
    }
    lines += _rounding_lines(sale, references, solution, codes)
    lines += _untaxed_lines(sale, references, untaxed)
    taxes = _merge_taxes([*_taxes(solution, codes), *_untaxed_taxes(sale, references, sum(untaxed.values()))])
    total_cents = sum(to_cents(line.net) for line in lines) + sum(to_cents(tax.tax) for tax in taxes)
    return DocumentBody(tuple(lines), taxes, total_cents)


def _read(sale: Sale, settings: OrderSettings, sign: int) -> tuple[list[VatAmount], list[FlatLine]]:
    totals = read_totals(sale)
    flat = flatten(sale, totals, tolerance_cents=settings.rounding_cap_cents)
    used = {line.code for line in flat}
    stated = [total for total in totals if total.net_cents or total.vat_cents or total.code in used]
    if sign < 0:
        stated = [replace(total, net_cents=-total.net_cents, vat_cents=-total.vat_cents) for total in stated]
        flat = tuple(negate(line) for line in flat)
    return stated, [replace(line, line=replace(line.line, quantity=to_quantity(line.line.quantity))) for line in flat]


def _to_wanted(flat: FlatLine, *, fixed: bool) -> WantedTotals:
    """The wanted totals of a line. Lines whose unit price is short are moved last; one with a remainder never."""
    return WantedTotals(flat.code, flat.net_cents, is_rigid(flat.net_cents, flat.line.quantity), fixed)


def _tax_code(sale: Sale, references: References, total: VatAmount) -> TaxCode:
    record = name_record(sale)
    if is_without_vat(sale):
        return get_untaxed(references, shifted=sale.vat_method == SHIFTED, record=record)
    return get_tax_code(references, total.code, total.percentage, record)


def _to_lines(
    flat: FlatLine, net_cents: int, references: References, code: TaxCode, record: str
) -> Iterator[DocumentLine]:
    """The line, and a line of pieces without an amount if only the pieces belong to an item that keeps stock."""
    price = find_unit_price(net_cents, flat.line.quantity)
    texts = [flat.line.text, *flat.notes]
    line = DocumentLine(
        net=to_euros(net_cents),
        item_id=get_item(references, flat.line, record),
        tax_code_id=code.id,
        description=" | ".join(text for text in texts if text)[:DESCRIPTION_LENGTH] or None,
        quantity=None if price is None else flat.line.quantity,
        unit_price=price,
        class_id=references.class_id,
    )
    yield line
    stocked = references.stock_items.get(flat.line.article)
    if stocked and stocked != line.item_id and flat.line.quantity:
        yield replace(line, net=to_euros(0), item_id=stocked, quantity=flat.line.quantity, unit_price=to_euros(0))


def _rounding_lines(
    sale: Sale, references: References, solution: Solution, codes: dict[int, TaxCode]
) -> Iterator[DocumentLine]:
    for code, cents in solution.rounding:
        item = get_rounding_item(references, name_record(sale))
        yield DocumentLine(to_euros(cents), item, codes[code].id, "Tax rounding", class_id=references.class_id)


def _untaxed_lines(sale: Sale, references: References, untaxed: dict[str, int]) -> Iterator[DocumentLine]:
    for name, cents in untaxed.items():
        if cents:
            record = name_record(sale)
            find_item = _ITEMS.get(name, get_rounding_item)
            item, code = find_item(references, record), get_untaxed(references, shifted=False, record=record)
            yield DocumentLine(to_euros(cents), item, code.id, name, class_id=references.class_id)


def _taxes(solution: Solution, codes: dict[int, TaxCode]) -> Iterator[DocumentTax]:
    for amount in solution.booked:
        code = codes[amount.code]
        net, tax = to_euros(amount.net_cents), to_euros(amount.vat_cents)
        yield DocumentTax(code.id, net, tax, amount.percentage, code.rate_id)


def _untaxed_taxes(sale: Sale, references: References, cents: int) -> Iterator[DocumentTax]:
    if cents:
        code = get_untaxed(references, shifted=False, record=name_record(sale))
        yield DocumentTax(code.id, to_euros(cents), to_euros(0), Decimal(0), code.rate_id)


def _merge_taxes(taxes: Sequence[DocumentTax]) -> tuple[DocumentTax, ...]:
    """One row per tax code of the books; several VAT codes of the till may share one."""
    merged: dict[str, DocumentTax] = {}
    for tax in taxes:
        known = merged.get(tax.tax_code_id)
        merged[tax.tax_code_id] = replace(known, net=known.net + tax.net, tax=known.tax + tax.tax) if known else tax
    return tuple(merged.values())

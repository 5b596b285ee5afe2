"""A sale as one side has it, without personal data: its lines and sums; what differs between both, or two versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal

from mapping.errors import MappingError
from mapping.money import add, gross_to_net, round_to_cents, show_number
from mapping.records import RETURNS, BookedDocument, Sale, SaleLine
from mapping.sale_lines import flatten, has_amount, is_without_vat, read_totals

LONGEST_NAME: Final = 200
MOST_LINES: Final = 500
"""Of a sale with more lines the first are kept."""
_ROUNDING: Final = 1
_MOST_COMPARED: Final = 10_000


@dataclass(frozen=True, slots=True)
class SideLine:
    """A line: `code` is the number of its article, or the id of its item; `net_cents` are without VAT.

    A line of the till without an article is free text, which may name somebody: it has no name here.
    """

    name: str
    code: str | None
    sku: str | None
    quantity: str | None
    net_cents: int
    rate: str | None


@dataclass(frozen=True, slots=True)
class SaleSide:
    """One side of a sale. A refund is negative on both. `taxes` are rates and their VAT in cents.

    `customer` is the number of the relation, or the id of the customer.
    """

    day: str
    total_cents: int
    vat_cents: int
    taxes: tuple[tuple[str, int], ...] = ()
    tenders: tuple[tuple[str, int], ...] = ()
    customer: str | None = None
    lines: tuple[SideLine, ...] = ()


def of_sale(sale: Sale) -> SaleSide:
    taxes: dict[str, int] = {}
    for amount in () if is_without_vat(sale) else sale.vat:
        rate = show_number(amount.percentage)
        taxes[rate] = taxes.get(rate, 0) + amount.vat_cents
    tenders = add({payment.description or payment.method: payment.amount_cents} for payment in sale.payments)
    lines = []
    for line, net_cents, percentage in _read_lines(sale)[:MOST_LINES]:
        number = str(line.article) if line.article else None
        name = line.text[:LONGEST_NAME] if number else ""
        lines.append(SideLine(name, number, line.plu or None, show_number(line.quantity), net_cents, _show(percentage)))
    return SaleSide(
        day=sale.business_date.isoformat(),
        total_cents=sale.total_incl_cents,
        vat_cents=sum(taxes.values()),
        taxes=tuple(taxes.items()),
        tenders=tuple(tenders.items()),
        customer=str(sale.relation_number) if sale.relation_number else None,
        lines=tuple(lines),
    )


def _read_lines(sale: Sale) -> list[tuple[SaleLine, int, Decimal | None]]:
    """The lines as they are booked; as they stand where they do not add up."""
    try:
        flat = flatten(sale, read_totals(sale), tolerance_cents=5)
        return [(each.line, each.net_cents, each.vat[1]) for each in flat]
    except MappingError:
        found = []
        for line in filter(has_amount, sale.every_line):
            net = line.total_excl_cents
            if net is None:
                net = gross_to_net(line.total_incl_cents or 0, line.vat_percentage or Decimal(0))
            found.append((line, net, line.vat_percentage))
        return found


def of_document(booked: BookedDocument, rates: Mapping[str, Decimal | None]) -> SaleSide:
    """A document of the books; `rates` are those of the tax codes, by their ids, as far as they are known."""
    sign = -1 if booked.kind in RETURNS else 1
    taxes: dict[str, int] = {}
    for rate, tax in booked.tax_lines:
        if rate is not None:
            taxes[show_number(rate)] = taxes.get(show_number(rate), 0) + sign * round_to_cents(tax)
    lines = []
    for line in booked.lines[:MOST_LINES]:
        quantity = _show(None if line.quantity is None else sign * line.quantity)
        net_cents = sign * round_to_cents(line.net or Decimal(0))
        name = (line.item_name or "")[:LONGEST_NAME]
        lines.append(SideLine(name, line.item_id, None, quantity, net_cents, _show(rates.get(line.tax_code_id or ""))))
    return SaleSide(
        day=booked.business_date.isoformat() if booked.business_date else "",
        total_cents=sign * round_to_cents(booked.total),
        vat_cents=sign * round_to_cents(booked.tax),
        taxes=tuple(taxes.items()),
        customer=booked.customer_id,
        lines=tuple(lines),
    )


def _show(number: Decimal | None) -> str | None:
    return None if number is None else show_number(number)


# --- stored -------------------------------------------------------------------------------------------------------


def dump(side: SaleSide) -> str:
    """The side as compact JSON, its fields in their order; equal for equal sides."""
    return json.dumps(astuple(side), ensure_ascii=False, separators=(",", ":"))


def load(stored: str) -> SaleSide:
    day, total, vat, taxes, tenders, customer, lines = json.loads(stored)
    return SaleSide(
        day,
        total,
        vat,
        taxes=tuple((rate, cents) for rate, cents in taxes),
        tenders=tuple((name, cents) for name, cents in tenders),
        customer=customer,
        lines=tuple(SideLine(*line) for line in lines),
    )


# --- compared -----------------------------------------------------------------------------------------------------


class LineMatch(StrEnum):
    SAME = "same"
    ROUNDED = "rounded"
    DIFFERS = "differs"
    ONLY_TILL = "only at the till"
    ONLY_BOOKS = "only in QuickBooks"


@dataclass(frozen=True, slots=True)
class Pair:
    """A line of the till beside its line in the books; `gap_cents` is by how much the books have more."""

    till: SideLine | None
    books: SideLine | None

    @property
    def gap_cents(self) -> int:
        return (self.books.net_cents if self.books else 0) - (self.till.net_cents if self.till else 0)

    @property
    def match(self) -> LineMatch:
        """What they are to each other. A cent is moved where the books would round the VAT to another sum."""
        if self.books is None:
            return LineMatch.ONLY_TILL
        if self.till is None:
            return LineMatch.ONLY_BOOKS
        known = None not in (self.till.quantity, self.books.quantity)
        if (known and self.till.quantity != self.books.quantity) or abs(self.gap_cents) > _ROUNDING:
            return LineMatch.DIFFERS
        return LineMatch.ROUNDED if self.gap_cents else LineMatch.SAME


@dataclass(frozen=True, slots=True)
class SideComparison:
    """Both sides of a sale: their lines in pairs, VAT of each rate (till, books), and by how much the books differ."""

    pairs: tuple[Pair, ...]
    taxes: tuple[tuple[str, int, int], ...]
    total_gap: int
    vat_gap: int
    is_explained: bool


def compare(till: SaleSide, books: SaleSide, items: Mapping[str, str]) -> SideComparison:
    """Match the lines: by `items`, the item of an article by its number, else by name, quantity and amount.

    A difference of the total is explained by lines that only the books have: cash rounding, deposits, gift cards.
    """
    pairs = tuple(_match(till.lines, books.lines, items))
    taxes, booked = dict(till.taxes), dict(books.taxes)
    rates = [rate for rate in dict.fromkeys([*taxes, *booked]) if taxes.get(rate) or booked.get(rate)]
    gap, vat_gap = books.total_cents - till.total_cents, books.vat_cents - till.vat_cents
    added = sum(pair.gap_cents for pair in pairs if pair.match is LineMatch.ONLY_BOOKS)
    return SideComparison(
        pairs,
        tuple((rate, taxes.get(rate, 0), booked.get(rate, 0)) for rate in rates),
        gap,
        vat_gap,
        is_explained=bool(gap) and not vat_gap and added == gap,
    )


def _match(till: Sequence[SideLine], books: Sequence[SideLine], items: Mapping[str, str]) -> Iterator[Pair]:
    """In the till's order; what only the books have comes last. Of a very long sale only near lines are compared."""
    reach = _MOST_COMPARED // max(1, len(till))
    wanted = sorted(
        ((score, -mine, -other) for mine, line in enumerate(till)
         for other in range(max(0, mine - reach), min(len(books), mine + reach + 1))
         if (score := _score(line, books[other], items, is_level=mine == other))),
        reverse=True,
    )  # fmt: skip
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, mine, other in wanted:
        if -mine not in found and -other not in taken:
            found[-mine] = -other
            taken.add(-other)
    left = [number for number in range(len(books)) if number not in taken]
    for number, line in enumerate(till):
        booked = books[found[number]] if number in found else None
        for other in list(left):
            # A second line of the same item is for what its pieces at a whole price do not cover.
            rest, gap = books[other], line.net_cents - booked.net_cents if booked else 0
            if booked and rest.code == booked.code and gap and abs(gap - rest.net_cents) <= _ROUNDING:
                booked = replace(booked, net_cents=booked.net_cents + rest.net_cents)
                left.remove(other)
        yield Pair(line, booked)
    yield from (Pair(None, books[other]) for other in left)


def _score(line: SideLine, booked: SideLine, items: Mapping[str, str], *, is_level: bool) -> int:
    """How well two lines fit, 0 for not at all."""
    item = items.get(line.code or "")
    if item and booked.code and item != booked.code:
        return 0
    same_item = (item is not None and item == booked.code) or bool(line.name and line.name == booked.name)
    amount = abs(line.net_cents - booked.net_cents) <= _ROUNDING
    if not (same_item or amount):
        return 0
    return 8 * same_item + 4 * amount + 2 * (line.quantity == booked.quantity) + is_level


@dataclass(frozen=True, slots=True)
class SideChange:
    """What a later version has otherwise; amounts are cents, and of an added or removed line its own."""

    what: Literal["line", "total", "vat", "day", "tender", "customer"]
    kind: Literal["added", "removed", "changed"]
    name: str = ""
    before: Any = None
    after: Any = None


def find_changes(before: SaleSide, after: SaleSide) -> tuple[SideChange, ...]:
    old, new = dict(before.tenders), dict(after.tenders)
    return (
        *_change("total", before.total_cents, after.total_cents),
        *_change("vat", before.vat_cents, after.vat_cents),
        *_change("day", before.day, after.day),
        *_change("customer", before.customer, after.customer),
        *_changed_lines(before.lines, after.lines),
        *(each for name in {**old, **new} for each in _change("tender", old.get(name), new.get(name), name)),
    )


def _change(
    what: Literal["total", "vat", "day", "tender", "customer"], before: Any, after: Any, name: str = ""
) -> Iterator[SideChange]:
    if before == after:
        return
    if before is None:
        yield SideChange(what, "added", name, after=after)
    elif after is None:
        yield SideChange(what, "removed", name, before=before)
    else:
        yield SideChange(what, "changed", name, before=before, after=after)


def _changed_lines(before: Sequence[SideLine], after: Sequence[SideLine]) -> Iterator[SideChange]:
    """Lines that are equal but for their places count as the same."""
    old, new = _without(before, after), _without(after, before)
    for line in old:
        same = next((each for each in new if (each.code, each.name) == (line.code, line.name)), None)
        if same is None:
            yield SideChange("line", "removed", line.name, before=line)
        else:
            new.remove(same)
            yield SideChange("line", "changed", line.name, before=line, after=same)
    yield from (SideChange("line", "added", line.name, after=line) for line in new)


def _without(some: Iterable[SideLine], others: Iterable[SideLine]) -> list[SideLine]:
    left = list(others)
    found = []
    for line in some:
        if line in left:
            left.remove(line)
        else:
            found.append(line)
    return found

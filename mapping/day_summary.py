"""A branch's day as one posting: the sum of its sales, less what was booked before, as documents.

The sums are exact: net per kind of goods and VAT code, VAT per code, money per tender. If a tender has more refunds
than receipts, a separate refund receipt contains that money, so that every tender's total equals the till's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from mapping.messages import message
from mapping.money import add as sum_cents
from mapping.money_documents import SETTLED
from mapping.records import Sale, SaleKind, VatAmount, VatKey
from mapping.sale_lines import FlatLine, flatten, is_without_vat, paid_difference, read_totals, special_kind
from mapping.sections import OrderSettings
from mapping.tenders import by_method

_Key = TypeVar("_Key")
_Number = TypeVar("_Number", int, Decimal)
GOODS = "group"


@dataclass(frozen=True, slots=True)
class Day:
    """A branch and a business day: what one summary is about."""

    branch: int
    date: date

    @property
    def key(self) -> str:
        """The key in markers and links: "1:2026-03-14"."""
        return f"{self.branch}:{self.date.isoformat()}"

    @property
    def name(self) -> str:
        return message("day {day} of branch {branch}", day=self.date, branch=self.branch)

    @staticmethod
    def parse(key: str) -> Day:
        """The day of a key. ValueError for anything else."""
        branch, _, day = key.partition(":")
        return Day(int(branch), date.fromisoformat(day))


@dataclass(frozen=True, slots=True)
class Goods:
    """The goods of a line of a summary: a turnover group or a special kind ("deposit"), at one VAT code and rate."""

    kind: str
    code: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class DayTotals:
    """Signed cents: net per goods, VAT per (code, rate), money per tender, and Dutch cash rounding.

    `drift`: how far the VAT is from its rate of the net because each sale rounded it, per (code, rate).
    """

    nets: Mapping[Goods, int] = field(default_factory=dict)
    vat: Mapping[VatKey, int] = field(default_factory=dict)
    tenders: Mapping[str, int] = field(default_factory=dict)
    rounding: int = 0
    drift: Mapping[VatKey, Decimal] = field(default_factory=dict, compare=False)

    @property
    def total(self) -> int:
        """The total of the goods, VAT and rounding included."""
        return sum(self.nets.values()) + sum(self.vat.values()) + self.rounding

    @property
    def is_nothing(self) -> bool:
        return not (self.nets or self.vat or self.tenders or self.rounding)


def is_summarised(sale: Sale, settings: OrderSettings, gift_card_tenders: Collection[str] = ()) -> bool:
    """Whether a sale, read with its lines, belongs to its day's document.

    Receipts paid on their own day do. A sale on account, without VAT, with gift cards sold or redeemed (a debt, not
    turnover), or with a marked deposit gets a separate document.
    """
    if settings.summary != "day" or sale.kind is not SaleKind.RECEIPT or is_without_vat(sale):
        return False
    paid = sale.state in {"RECEIPT-STATE-PAID", "RECEIPT-STATE-HANDLED"}
    same_day = all(payment.business_date in (None, sale.business_date) for payment in sale.payments)
    by_card = any(payment.method in gift_card_tenders or payment.method == SETTLED for payment in sale.payments)
    return paid and same_day and not by_card and not any(special_kind(line, ()) == "gift_card" for line in sale.lines)


def total_of(sales: Iterable[Sale], settings: OrderSettings, tip_articles: Iterable[int] = ()) -> DayTotals:
    """The sum of these sales. MappingError names the first sale that does not add up."""
    tips = frozenset(tip_articles)
    return add(_of_sale(sale, settings, tips) for sale in sales)


def add(many: Iterable[DayTotals]) -> DayTotals:
    listed = list(many)
    return DayTotals(
        nets=sum_cents(totals.nets for totals in listed),
        vat=sum_cents(totals.vat for totals in listed),
        tenders=sum_cents(totals.tenders for totals in listed),
        rounding=sum(totals.rounding for totals in listed),
        drift=sum_cents(totals.drift for totals in listed),
    )


def subtract(left: DayTotals, right: DayTotals) -> DayTotals:
    """What `left` has more than `right`."""
    return add([left, negate(right)])


def negate(totals: DayTotals) -> DayTotals:
    minus = (_minus(totals.nets), _minus(totals.vat), _minus(totals.tenders))
    return DayTotals(*minus, -totals.rounding, _minus(totals.drift))


def _minus(amounts: Mapping[_Key, _Number]) -> dict[_Key, _Number]:
    return {key: -cents for key, cents in amounts.items()}


def _of_sale(sale: Sale, settings: OrderSettings, tips: frozenset[int]) -> DayTotals:
    totals = read_totals(sale)
    flat = flatten(sale, totals, tolerance_cents=settings.rounding_cap_cents)
    booked_as_line = settings.cash_rounding == "line"
    difference = paid_difference(sale, cap_cents=settings.rounding_cap_cents)
    tenders = by_method(sale.payments)
    if difference and not booked_as_line:
        largest = max(tenders, key=lambda method: abs(tenders[method]))
        tenders[largest] -= difference
    nets = [
        net
        for total in totals
        for net in _nets([line for line in flat if line.vat == total.key], total.net_cents, tips)
    ]
    return DayTotals(
        nets=sum_cents(nets),
        vat=sum_cents({total.key: total.vat_cents} for total in totals),
        tenders=sum_cents([tenders]),
        rounding=difference if booked_as_line else 0,
        drift=sum_cents({each.key: _drift(each, sum(line.vat == each.key for line in flat))} for each in totals),
    )


def _drift(total: VatAmount, lines: int) -> Decimal:
    """How far a sale's VAT is from its rate of the net, as far as rounding explains that.

    The till rounds once for all lines of a rate, or once for each. Half a cent of VAT too much is half a cent of net
    too little, of which the rate is missing too.
    """
    share = total.percentage / 100
    most = max(1, lines) * (1 + share) / 2
    return max(-most, min(most, total.vat_cents - total.net_cents * share))


def _nets(lines: list[FlatLine], net_cents: int, tips: frozenset[int]) -> Iterator[dict[Goods, int]]:
    """The lines of one VAT code by goods; the remainder to the till's net is added to the largest."""
    if not lines:
        return
    rest = net_cents - sum(line.net_cents for line in lines)
    largest = max(lines, key=lambda line: abs(line.net_cents))
    for line in lines:
        kind = special_kind(line.line, tips) or f"{GOODS}:{line.line.turnover_group or 0}"
        yield {Goods(kind, *line.vat): line.net_cents + (rest if line is largest else 0)}


# --- kept beside the link of a day -------------------------------------------------------------------------------


def to_json(totals: DayTotals) -> dict[str, Any]:
    """JSON-able data that `from_json` reads back."""
    return {
        "nets": [[goods.kind, goods.code, str(goods.rate), cents] for goods, cents in totals.nets.items()],
        "vat": [[code, str(rate), cents] for (code, rate), cents in totals.vat.items()],
        "tenders": dict(totals.tenders),
        "rounding": totals.rounding,
        "drift": [[code, str(rate), str(cents)] for (code, rate), cents in totals.drift.items()],
    }


def from_json(data: Mapping[str, Any]) -> DayTotals:
    """What `to_json` wrote."""
    return DayTotals(
        nets=sum_cents({Goods(kind, code, Decimal(rate)): cents} for kind, code, rate, cents in data["nets"]),
        vat=sum_cents({(code, Decimal(rate)): cents} for code, rate, cents in data["vat"]),
        tenders=dict(data["tenders"]),
        rounding=data["rounding"],
        drift={(code, Decimal(rate)): Decimal(cents) for code, rate, cents in data.get("drift", ())},
    )

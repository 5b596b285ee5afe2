"""A branch's day as one posting: the sum of its sales, less what was booked before, as documents.

The sums are exact: net per kind of goods and VAT code, VAT per code, money per tender. There is one document for the
goods; if a tender has more refunds than receipts, a separate refund receipt contains that money, so that every
tender's total equals the till's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from mapping import money_documents, sale_lines, tax
from mapping.errors import MappingError, naming
from mapping.messages import Amount, message
from mapping.money import add as sum_cents
from mapping.money import show_number, split, to_cents, to_euros
from mapping.orders import MOVE, Posting, to_model, to_taxes
from mapping.records import (
    PAID_AT_ONCE,
    RETURNS,
    DocumentKind,
    DocumentLine,
    Payment,
    Sale,
    SalesDocument,
    VatAmount,
    VatKey,
)
from mapping.references import References, get_tax_code, get_untaxed, to_line
from mapping.sale_identity import fit_number
from mapping.sections import OrderSettings

GOODS = "group"
MOVED = "Money moved between payment methods"
_PARTS = (1, 2, 4, 8, 16, 32, 64)


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
    """The goods of a line of a summary: a turnover group or a special kind ("deposit"), at a VAT code and its rate."""

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


def total_of(sales: Iterable[Sale], settings: OrderSettings, tip_articles: Iterable[int] = ()) -> DayTotals:
    """The sum of these sales. MappingError names the first sale that does not add up."""
    tips = frozenset(tip_articles)
    return add(_of_sale(sale, settings, tips) for sale in sales)


def add(many: Iterable[DayTotals]) -> DayTotals:
    """The sum, with one VAT code per rate: the books have a tax code for a rate, and do not show which code it was."""
    listed = list(many)
    known = [key for totals in listed for key in (*totals.vat, *((goods.code, goods.rate) for goods in totals.nets))]
    codes = {rate: code for code, rate in reversed(known)}
    return DayTotals(
        nets=sum_cents(
            {replace(goods, code=codes[goods.rate]): cents} for t in listed for goods, cents in t.nets.items()
        ),
        vat=sum_cents({(codes[rate], rate): cents} for t in listed for (_, rate), cents in t.vat.items()),
        tenders=sum_cents(totals.tenders for totals in listed),
        rounding=sum(totals.rounding for totals in listed),
        drift=sum_cents({(codes.get(rate, code), rate): c} for t in listed for (code, rate), c in t.drift.items()),
    )


def subtract(left: DayTotals, right: DayTotals) -> DayTotals:
    less = DayTotals(
        nets={goods: -cents for goods, cents in right.nets.items()},
        vat={key: -cents for key, cents in right.vat.items()},
        tenders={tender: -cents for tender, cents in right.tenders.items()},
        rounding=-right.rounding,
        drift={key: -cents for key, cents in right.drift.items()},
    )
    return add([left, less])


def _of_sale(sale: Sale, settings: OrderSettings, tips: frozenset[int]) -> DayTotals:
    totals = sale_lines.read_totals(sale)
    flat = sale_lines.flatten(sale, totals, tolerance_cents=settings.rounding_cap_cents)
    booked_as_line = settings.cash_rounding == "line"
    difference = sale_lines.paid_difference(sale, cap_cents=settings.rounding_cap_cents)
    tenders = money_documents.by_method(sale.payments)
    if difference and not booked_as_line:
        # What was rounded to nothing has no tender with an amount.
        largest = max(tenders, key=lambda method: abs(tenders[method]), default=sale.payments[0].method)
        tenders[largest] = tenders.get(largest, 0) - difference
    nets = []
    for total in totals:
        lines = [line for line in flat if line.vat == total.key]
        # The remainder to the till's net is added to the largest line.
        rest = total.net_cents - sum(line.net_cents for line in lines)
        largest_line = max(lines, key=lambda line: abs(line.net_cents), default=None)
        for line in lines:
            kind = sale_lines.special_kind(line.line, tips) or f"{GOODS}:{line.line.turnover_group or 0}"
            nets.append({Goods(kind, *line.vat): line.net_cents + (rest if line is largest_line else 0)})
    return DayTotals(
        nets=sum_cents(nets),
        vat=sum_cents({total.key: total.vat_cents} for total in totals),
        tenders=sum_cents([tenders]),
        rounding=difference if booked_as_line else 0,
        drift=tax.find_drift(totals, [line.vat for line in flat]),
    )


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
    return DayTotals(
        nets=sum_cents({Goods(kind, code, Decimal(rate)): cents} for kind, code, rate, cents in data["nets"]),
        vat=sum_cents({(code, Decimal(rate)): cents} for code, rate, cents in data["vat"]),
        tenders=dict(data["tenders"]),
        rounding=data["rounding"],
        drift={(code, Decimal(rate)): Decimal(cents) for code, rate, cents in data.get("drift", ())},
    )


# --- as documents of the books -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DayPlan:
    """The input of a day's postings. `sequence` is 1 for the day itself, higher for its corrections.

    `references` hold the summary item as fallback; `groups` are the names of the till's turnover groups.
    """

    day: Day
    sequence: int
    totals: DayTotals
    references: References
    settings: OrderSettings
    groups: Mapping[int, str]

    @property
    def name(self) -> str:
        if self.sequence == 1:
            return self.day.name
        return message("{day}, correction {n}", day=self.day.name, n=self.sequence - 1)

    def marker(self, tender: str = "") -> str:
        more = [str(self.sequence)] if self.sequence > 1 or tender else []
        tag = ":".join([self.day.key, *more, *([tender.replace(" ", "_")] if tender else [])])
        return f"MplusKASSA {self.name} [kassabridge:day:{tag}]"

    def number(self, tender: str = "") -> str:
        """The document's number; it never changes."""
        again = f"-{self.sequence}" if self.sequence > 1 else ""
        text = f"D{self.day.branch}-{self.day.date:%Y%m%d}{again}"
        return fit_number(f"{text}-{tender}" if tender else text, self.marker(tender))


def to_postings(plan: DayPlan) -> tuple[Posting, ...]:
    """The day's document first, then a document per tender with money in the other direction.

    Its money is divided like that of a sale. MappingError if the money is not the total of the goods, or something is
    not mapped.
    """
    with naming(record=plan.name):
        totals, day = plan.totals, plan.day.date
        paid = sum(totals.tenders.values())
        if totals.tenders and paid != totals.total:
            raise MappingError(
                message("{amount} was paid for {total}", amount=Amount(paid), total=Amount(totals.total)),
                code="day-paid-differs",
                field="payments",
                fix='open the day in the till and compare its payments; orders.summary = "sale" books sale by sale',
            )
        # A receipt or a refund holds one payment method, an invoice takes a payment of each.
        came = sum(cents > 0 for cents in totals.tenders.values())
        kind = DocumentKind.SALES_RECEIPT if came == 1 else DocumentKind.INVOICE
        if totals.total < 0 and totals.tenders:
            kind = DocumentKind.REFUND_RECEIPT
        sign = -1 if kind in RETURNS else 1
        payments = [Payment(method, cents, f"{plan.number()}/{method}") for method, cents in totals.tenders.items()]
        divided = money_documents.divide(kind, payments, day, totals.total)
        document = _goods_document(plan, kind, sign=sign, clearing=sign * divided.clearing)
        # A payment whose account the settings do not name leaves that to the books.
        accounts = replace(plan.references, default_deposit_account_id=None)
        main = (
            Posting(money_documents.paid_at_once(document, plan.references, divided.method))
            if kind in PAID_AT_ONCE
            else Posting(document, money_documents.to_payments(divided.payments, document, accounts))
        )
        # Money received or (negative) refunded: what the goods' document has too little or too much.
        beside = []
        for tender, cents in divided.beside.items():
            marker, number = plan.marker(tender.method), plan.number(tender.method)
            line = _line(plan, None, MOVED, abs(cents))
            money = money_documents.of_money(cents, tender, line, plan.references, marker=marker, number=number)
            beside.append(Posting(money))
        return main, *beside


def _goods_document(plan: DayPlan, kind: DocumentKind, *, sign: int, clearing: int) -> SalesDocument:
    parts, solution = _solve(plan, sign)
    lines = [_line(plan, *part, net) for part, net in zip(parts, solution.nets, strict=True) if net]
    lines += [_line(plan, Goods("rounding", *vat), "Tax rounding", cents) for vat, cents in solution.rounding]
    untaxed = {
        "Tax rounding": solution.untaxed,
        "Cash rounding": sign * plan.totals.rounding,
        MOVED: clearing,
    }
    lines += [_line(plan, None, name, cents) for name, cents in untaxed.items() if cents]
    codes = {each.key: get_tax_code(plan.references, *each.key) for each in solution.booked}
    taxes = to_taxes(plan.references, codes, solution.booked, sum(untaxed.values()))
    cents = sum(to_cents(line.net) for line in lines) + sum(to_cents(each.tax) for each in taxes)
    return SalesDocument(
        kind=kind,
        marker=plan.marker(),
        document_number=plan.number(),
        business_date=plan.day.date,
        customer_id=plan.references.customer_id,
        lines=tuple(lines),
        taxes=taxes,
        total=to_euros(cents),
        currency=plan.references.currency,
        department_id=plan.references.department_id,
        class_id=plan.references.document_class_id,
        private_note=plan.marker(),
    )


_Parts = list[tuple[Goods, str]]
"""The goods and the text of each line."""


def _solve(plan: DayPlan, sign: int) -> tuple[_Parts, tax.Solution]:
    """The nets of the lines. The more sales a day has, the more lines it takes to reach the sum of their VAT."""
    nets = dict.fromkeys([*plan.totals.vat, *((goods.code, goods.rate) for goods in plan.totals.nets)], 0)
    for goods, cents in plan.totals.nets.items():
        nets[goods.code, goods.rate] += sign * cents
    vat = [VatAmount(*key, net, sign * plan.totals.vat.get(key, 0)) for key, net in nets.items()]
    model = to_model(plan.references, plan.settings)
    cap = plan.settings.rounding_cap_cents
    if model is tax.RoundingModel.SUM:
        vat, cap = tax.by_rate(vat), cap + tax.find_reach(plan.totals.drift)
    limits = tax.SolverLimits(move=MOVE, cap=cap, model=model)
    best: tuple[_Parts, tax.Solution] | None = None
    failures: list[MappingError] = []
    for count in _PARTS:
        parts, wanted = _split(plan, sign, count)
        try:
            solution = tax.solve(vat, wanted, limits=limits)
        except MappingError as error:
            failures.append(error)
            continue
        # A cent too much at one rate and one too little at another leave no untaxed rest, but are still wrong.
        if list(solution.booked) == vat and not solution.rounding:
            return parts, solution
        best = best or (parts, solution)
    if best is None:
        raise failures[-1]
    return best


def _split(plan: DayPlan, sign: int, count: int) -> tuple[_Parts, list[tax.WantedTotals]]:
    parts: _Parts = []
    wanted: list[tax.WantedTotals] = []
    for goods, cents in sorted(plan.totals.nets.items(), key=lambda item: (item[0].kind, item[0].rate)):
        kind, _, group = goods.kind.partition(":")
        name = plan.groups.get(int(group), f"Turnover group {group}") if kind == GOODS else kind.replace("_", " ")
        text = f"{name}, {show_number(goods.rate)} % VAT"
        for number, net in enumerate(split(sign * cents, count), 1):
            parts.append((goods, f"{text} ({number} of {count})" if count > 1 else text))
            wanted.append(tax.WantedTotals((goods.code, goods.rate), net))
    return parts, wanted


def _line(plan: DayPlan, goods: Goods | None, text: str, cents: int) -> DocumentLine:
    """A line of these goods; without goods it is one without VAT."""
    references = plan.references
    tax_code = goods and get_tax_code(references, goods.code, goods.rate)
    code = tax_code or get_untaxed(references)
    item = references.special_items.get(goods.kind if goods else "rounding") or references.fallback_item_id
    if item is None:
        raise MappingError(
            "there is no item for the lines of a day's document",
            code="no-summary-item",
            field="orders.summary_item",
            fix="name an item (SKU) in orders.summary_item",
        )
    return to_line(references, cents, item, code, text)

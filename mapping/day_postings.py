"""The sums of a branch's day as documents of the books: one for the goods, more only for refunds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from mapping import tenders
from mapping.day_summary import GOODS, Day, DayTotals, Goods
from mapping.errors import MappingError
from mapping.messages import Amount, message
from mapping.money import allocate, show_number, to_cents, to_euros
from mapping.money_documents import to_payments
from mapping.orders import MOVE, Posting, merge_taxes, paid_at_once, to_model
from mapping.records import DocumentKind, DocumentLine, DocumentTax, Payment, SalesDocument, TaxCode, VatAmount, VatKey
from mapping.references import References, get_tax_code, get_untaxed, to_line, to_tax
from mapping.sale_identity import fit_number
from mapping.sections import OrderSettings
from mapping.tax import RoundingModel, Solution, SolverLimits, WantedTotals, find_reach, solve
from mapping.tenders import PAID_AT_ONCE, RETURNS

_PARTS = (1, 2, 4, 8, 16, 32, 64)


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
        """The marker by which the document is recognised in the books."""
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
    totals, day = plan.totals, plan.day.date
    paid = sum(totals.tenders.values())
    if totals.tenders and paid != totals.total:
        raise MappingError(
            message("{amount} was paid for {total}", amount=Amount(paid), total=Amount(totals.total)),
            code="day-paid-differs",
            record=plan.name,
            field="payments",
            fix='open the day in the till and compare its payments; orders.summary = "sale" books sale by sale',
        )
    kind = _to_kind(totals)
    sign = -1 if kind in RETURNS else 1
    payments = [Payment(method, cents, f"{plan.number()}/{method}") for method, cents in totals.tenders.items()]
    divided = tenders.divide(kind, payments, day, totals.total, record=plan.name)
    document = _goods_document(plan, kind, sign=sign, clearing=sign * divided.clearing)
    # A payment whose account the settings do not name leaves that to the books.
    accounts = replace(plan.references, default_deposit_account_id=None)
    main = (
        Posting(paid_at_once(document, plan.references, divided.method, plan.name))
        if kind in PAID_AT_ONCE
        else Posting(document, to_payments(divided.payments, document, accounts))
    )
    return main, *(_money_only(plan, tender.method, cents) for tender, cents in divided.beside.items())


def _to_kind(totals: DayTotals) -> DocumentKind:
    """A receipt or a refund holds one payment method, an invoice takes a payment of each."""
    if totals.total < 0 and totals.tenders:
        return DocumentKind.REFUND_RECEIPT
    came = sum(cents > 0 for cents in totals.tenders.values())
    return DocumentKind.SALES_RECEIPT if came == 1 else DocumentKind.INVOICE


def _money_only(plan: DayPlan, method: str, cents: int) -> Posting:
    """Money received or (negative) refunded: what the goods' document has too little or too much."""
    kind = DocumentKind.SALES_RECEIPT if cents > 0 else DocumentKind.REFUND_RECEIPT
    lines = (_untaxed_line(plan, "Money moved between payment methods", abs(cents)),)
    taxes = (to_tax(get_untaxed(plan.references, plan.name), abs(cents)),)
    document = _document(plan, kind, lines, taxes, tender=method)
    return Posting(paid_at_once(document, plan.references, method, plan.name))


def _goods_document(plan: DayPlan, kind: DocumentKind, *, sign: int, clearing: int) -> SalesDocument:
    keys = dict.fromkeys([*plan.totals.vat, *((goods.code, goods.rate) for goods in plan.totals.nets)])
    parts, solution = _solve(plan, keys, sign)
    lines = [*_goods_lines(plan, parts, solution), *_rounding_lines(plan, solution)]
    untaxed = {
        "Tax rounding": solution.untaxed,
        "Cash rounding": sign * plan.totals.rounding,
        "Money moved between payment methods": clearing,
    }
    lines += [_untaxed_line(plan, name, cents) for name, cents in untaxed.items() if cents]
    booked = [(get_tax_code(plan.references, *each.key, plan.name), each) for each in solution.booked]
    taxes = [to_tax(code, each.net_cents, each.vat_cents, each.percentage) for code, each in booked]
    if rest := sum(untaxed.values()):
        taxes.append(to_tax(get_untaxed(plan.references, plan.name), rest))
    return _document(plan, kind, tuple(lines), merge_taxes(taxes))


# --- the lines, such that the books' own rounding gives the till's VAT -------------------------------------------


def _solve(plan: DayPlan, keys: Iterable[VatKey], sign: int) -> tuple[list[tuple[Goods, str]], Solution]:
    """The nets of the lines. The more sales a day has, the more lines it takes to reach the sum of their VAT."""
    nets = dict.fromkeys(keys, 0)
    for goods, cents in plan.totals.nets.items():
        nets[goods.code, goods.rate] += sign * cents
    vat = [VatAmount(*key, net, sign * plan.totals.vat.get(key, 0)) for key, net in nets.items()]
    model = to_model(plan.references, plan.settings)
    cap = plan.settings.rounding_cap_cents
    if model is RoundingModel.SUM:
        cap += find_reach(plan.totals.drift)
    limits = SolverLimits(move=MOVE, cap=cap, model=model)
    best: tuple[list[tuple[Goods, str]], Solution] | None = None
    failure: MappingError | None = None
    for count in _PARTS:
        parts, wanted = _split(plan, sign, count)
        try:
            solution = solve(vat, wanted, limits=limits, record=plan.name)
        except MappingError as error:
            failure = error
            continue
        # A cent too much at one rate and one too little at another leave no untaxed rest, but are still wrong.
        if list(solution.booked) == vat and not solution.rounding:
            return parts, solution
        best = best or (parts, solution)
    if best is None:
        raise failure or MappingError("there is nothing to book", code="nothing-to-book", record=plan.name)
    return best


def _split(plan: DayPlan, sign: int, count: int) -> tuple[list[tuple[Goods, str]], list[WantedTotals]]:
    parts: list[tuple[Goods, str]] = []
    wanted: list[WantedTotals] = []
    for goods, cents in sorted(plan.totals.nets.items(), key=lambda item: (item[0].kind, item[0].rate)):
        for number, net in enumerate(allocate(sign * cents, [1] * count), 1):
            parts.append((goods, f" ({number} of {count})" if count > 1 else ""))
            wanted.append(WantedTotals((goods.code, goods.rate), net))
    return parts, wanted


def _goods_lines(plan: DayPlan, parts: list[tuple[Goods, str]], solution: Solution) -> Iterator[DocumentLine]:
    for (goods, part), net in zip(parts, solution.nets, strict=True):
        if net:
            yield _line(plan, goods, f"{_name(plan, goods)}{part}", net)


def _rounding_lines(plan: DayPlan, solution: Solution) -> Iterator[DocumentLine]:
    for vat, cents in solution.rounding:
        yield _line(plan, Goods("rounding", *vat), "Tax rounding", cents)


def _name(plan: DayPlan, goods: Goods) -> str:
    kind, _, number = goods.kind.partition(":")
    name = plan.groups.get(int(number), f"Turnover group {number}") if kind == GOODS else kind.replace("_", " ")
    return f"{name}, {show_number(goods.rate)} % VAT"


def _line(plan: DayPlan, goods: Goods, text: str, cents: int) -> DocumentLine:
    code = get_tax_code(plan.references, goods.code, goods.rate, plan.name)
    return _to_line(plan, goods.kind, code, text, cents)


def _untaxed_line(plan: DayPlan, text: str, cents: int) -> DocumentLine:
    return _to_line(plan, "rounding", get_untaxed(plan.references, plan.name), text, cents)


def _to_line(plan: DayPlan, kind: str, code: TaxCode, text: str, cents: int) -> DocumentLine:
    references = plan.references
    item = references.special_items.get(kind) or references.fallback_item_id
    if item is None:
        raise MappingError(
            "there is no item for the lines of a day's document",
            code="no-summary-item",
            record=plan.name,
            field="orders.summary_item",
            fix="name an item (SKU) in orders.summary_item",
        )
    return to_line(references, cents, item, code, text)


# --- the document and its money ----------------------------------------------------------------------------------


def _document(
    plan: DayPlan,
    kind: DocumentKind,
    lines: tuple[DocumentLine, ...],
    taxes: tuple[DocumentTax, ...],
    *,
    tender: str = "",
) -> SalesDocument:
    cents = sum(to_cents(line.net) for line in lines) + sum(to_cents(tax.tax) for tax in taxes)
    return SalesDocument(
        kind=kind,
        marker=plan.marker(tender),
        document_number=plan.number(tender),
        business_date=plan.day.date,
        customer_id=plan.references.customer_id,
        lines=lines,
        taxes=taxes,
        total=to_euros(cents),
        currency=plan.references.currency,
        department_id=plan.references.department_id,
        class_id=plan.references.document_class_id,
        private_note=plan.marker(tender),
    )

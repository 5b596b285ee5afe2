"""The till's side of the agreement: its sales of some days, read without lines, and its own journal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from gateway.database.session import reading
from gateway.errors import Permanent
from gateway.store import event_history, links
from handlers.deps import Deps
from handlers.sales import money_documents, till_sales
from mapping import figures
from mapping.agreement_causes import SaleState, TillRecord
from mapping.figures import Cell, Names
from mapping.messages import join, message
from mapping.money import add
from mapping.money_documents import uncovered
from mapping.orders import Assessment
from mapping.records import Journal, Payment, Sale, SaleKind
from mapping.sale_identity import MOVEMENTS, counted_elsewhere, find_refusal, name_record

_DAYS_AT_ONCE = 31


@dataclass
class TillSide:
    """What was read from the till, by sale id; more is added if the books name sales of other days."""

    start: date
    through: date
    sales: dict[str, Sale] = field(default_factory=dict)

    def add(self, found: Iterable[Sale]) -> None:
        for sale in found:
            self.sales[sale.id] = sale


def read(deps: Deps, start: date, through: date) -> TillSide:
    """Every sale of these days, and the invoices and orders of earlier days that changed since."""
    side = TillSide(start, through)
    for day in days(start, through):
        for kind in _kinds(deps):
            side.add(deps.till.sales_of_day(kind, day))
    # A list without lines may have no payments either.
    if not any(sale.payments for sale in side.sales.values()):
        for kind in _kinds(deps):
            _read(side, kind, [sale.id for sale in side.sales.values() if sale.kind is kind], deps)
    late = [kind for kind in _kinds(deps) if kind is not SaleKind.RECEIPT]
    with reading(deps.engine) as session:
        changed: dict[SaleKind, list[str]] = {
            kind: event_history.changed_since(session, deps.connection, till_sales.ENTITIES[kind], start)
            for kind in late
        }
    read_more(side, changed, deps)
    # A list without lines names no orders either, and what a sale settles of their deposits is no money of its own.
    taken = {_looks(paid) for sale in side.sales.values() if sale.kind is SaleKind.ORDER for paid in sale.payments}
    for kind in (SaleKind.RECEIPT, SaleKind.INVOICE):
        wanted = [sale.id for sale in side.sales.values() if sale.kind is kind and _settles(sale, taken)]
        _read(side, kind, wanted, deps)
    return side


def _settles(sale: Sale, deposits: Collection[tuple[str, int]]) -> bool:
    """Whether a sale without references to orders may settle one of their deposits."""
    days_paid = [paid.business_date or sale.business_date for paid in sale.payments]
    earlier = any(day < sale.business_date for day in days_paid)
    alike = any(_looks(paid) in deposits for paid in sale.payments)
    return not sale.order_ids and bool(earlier or alike or uncovered(sale))


def _looks(payment: Payment) -> tuple[str, int]:
    return payment.method, payment.amount_cents


def read_more(side: TillSide, wanted: Mapping[SaleKind, Iterable[str]], deps: Deps) -> None:
    for kind, ids in wanted.items():
        _read(side, kind, [each for each in ids if each not in side.sales], deps)


def _read(side: TillSide, kind: SaleKind, ids: Sequence[str], deps: Deps) -> None:
    if ids:
        side.add(till_sales.read_all(till_sales.ENTITIES[kind], ids, deps))


def days(start: date, through: date) -> Iterator[date]:
    """Every day from the first to the last, both included."""
    return (start + timedelta(days=number) for number in range((through - start).days + 1))


def _kinds(deps: Deps) -> Sequence[SaleKind]:
    orders = (SaleKind.ORDER,) if deps.settings.orders.deposits else ()
    return (SaleKind.RECEIPT, SaleKind.INVOICE, *orders)


def to_records(side: TillSide, groups: Mapping[str, str], names: Names, deps: Deps) -> list[TillRecord]:
    """The sales that count, each with what it adds and, without a document, the reason."""
    settings = deps.settings.orders
    cap = settings.rounding_cap_cents if settings.cash_rounding == "line" else None
    cards = deps.settings.mapping.gift_card_tenders
    with reading(deps.engine) as session:
        events = event_history.newest_events(session, deps.connection, side.sales)
        counted = [sale for sale in side.sales.values() if counted_elsewhere(sale, settings) is None]
        marked = [
            Assessment(sale, deps.settings, links.find_deposits(session, deps.connection, sale)).marked
            for sale in counted
        ]
    states = {id_: SaleState(number, state, code or None) for id_, (number, state, code) in events.items()}
    records: list[TillRecord] = []
    for sale in marked:
        if sale.kind is SaleKind.ORDER:
            refusal, shown = None, figures.of_order(money_documents.booked_payments(sale, deps), names)
        else:
            refusal = find_refusal(sale, settings)
            shown = figures.of_sale(sale, names, cash_rounding_cap=cap, gift_cards=cards)
        records.append(
            TillRecord(
                group=groups[sale.id],
                name=name_record(sale),
                figures=shown,
                left_out=refusal.reason if refusal else None,
                sale_state=states.get(sale.id),
                number=sale.number,
            )
        )
    return records


def describe_others(side: TillSide, deps: Deps) -> str:
    """The records of these days that are no sales of their own, by reason, in words."""
    sums: dict[str, int] = {}
    for sale in side.sales.values():
        reason = counted_elsewhere(sale, deps.settings.orders)
        if reason and sale.kind is not SaleKind.ORDER and side.start <= sale.business_date <= side.through:
            sums[reason] = sums.get(reason, 0) + 1
    named = [
        message("{count} × {reason}", count=count, reason=message(reason)) for reason, count in sorted(sums.items())
    ]
    return join(named, "{first}; {second}") if named else ""


def read_journal(side: TillSide, names: Names, deps: Deps) -> dict[Cell, int] | None:
    """What the till's journal has more than the documents we read; None if it cannot be read.

    Only payments of orders count: their turnover comes with the sale that delivers them. Whether a journal counts what
    was put into a drawer or taken out, or its money only, is undocumented: the reading that fits best is used.
    """
    try:
        journals = list(_journals(side, deps))
        on_orders = list(_journals(side, deps, of_orders=True)) if SaleKind.ORDER in _kinds(deps) else []
    except Permanent as error:
        deps.note("the till's journal cannot be asked", reason=error.reason)
        return None
    own = add(figures.as_stated(journal, names) for journal in journals)
    orders = [sale for sale in side.sales.values() if sale.kind is SaleKind.ORDER]
    sales = [sale for sale in side.sales.values() if sale.kind is not SaleKind.ORDER]
    read_ = add(figures.as_stated(sale, names) for sale in sales)
    paid = figures.subtract(
        add(figures.as_stated(journal, names, vat=False) for journal in on_orders),
        figures.within(add(figures.as_stated(order, names, vat=False) for order in orders), side.start, side.through),
    )
    moves = add(figures.as_stated(sale, names) for sale in sales if sale.type in MOVEMENTS)
    moved = figures.within(moves, side.start, side.through)
    untaxed = {cell: cents for cell, cents in moved.items() if cell.measure is not figures.Measure.TENDER}
    difference = add([figures.subtract(own, figures.within(read_, side.start, side.through)), paid])
    readings = (add([difference, left_out]) for left_out in ({}, untaxed, moved))
    return min(readings, key=lambda reading: sum(map(abs, reading.values())))


def _journals(side: TillSide, deps: Deps, *, of_orders: bool = False) -> Iterator[Journal]:
    branches = [branch.number for branch in deps.lists.branches()]
    first = side.start
    while first <= side.through:
        last = min(first + timedelta(days=_DAYS_AT_ONCE - 1), side.through)
        yield from deps.till.journals(first, last, branches, of_orders=of_orders)
        first = last + timedelta(days=1)

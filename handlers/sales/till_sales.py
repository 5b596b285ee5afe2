"""Read one sale of any kind from the till, and name it for the inbox.

The till and the books both have an "Invoice": in the inbox the till's invoices and orders have other names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.store import requests, sales
from gateway.store.events import SALES, Event
from gateway.store.sales import SaleFacts
from handlers.deps import Deps
from mapping import golden_records
from mapping.records import Sale, SaleKind
from mapping.sale_lines import every_line, is_without_vat

ENTITIES: Final = SALES
_KINDS: Final = {entity: kind for kind, entity in ENTITIES.items()}
_READ: Final[Mapping[SaleKind, Callable[[Deps, Sequence[str]], Sequence[Sale]]]] = {
    SaleKind.RECEIPT: lambda deps, ids: deps.till.receipts(ids),
    SaleKind.INVOICE: lambda deps, ids: deps.till.invoices(ids),
    SaleKind.ORDER: lambda deps, ids: deps.till.orders(ids),
}


def read_of(event: Event, deps: Deps) -> Sale | None:
    """The sale of this event as the poll that found it has just read it, else as it is now; None if there is none.

    Whoever looks again, or asks for the sale, gets it as it is now. A later change at the till has its own event.
    """
    again = event.attempts > 1 or event.crashes or event.careful
    sale = None if again else deps.process.just_read.take(event.key)
    if sale is None:
        return read(event.entity, event.entity_id, deps)
    deps.say("as the till showed it to the poll that found it", sale=golden_records.dump(sale))
    return sale


def read(entity: str, sale_id: str, deps: Deps) -> Sale | None:
    """The sale of an event of this entity as it is now, or None."""
    return next(iter(read_all(entity, [sale_id], deps)), None)


def read_all(entity: str, ids: Sequence[str], deps: Deps) -> Sequence[Sale]:
    """The sales of events of this entity as they are now; those unknown to the till are left out."""
    return _READ[_KINDS[entity]](deps, ids) if ids else ()


def find(number_or_id: str, deps: Deps) -> Sale | None:
    """The receipt, invoice or order with this id or printed number, or None."""
    for entity in _KINDS:
        if sale := read(entity, number_or_id, deps):
            return sale
    return deps.till.find_sale(number_or_id)


def find_facts(event: Event, deps: Deps | None) -> Mapping[str, SaleFacts | None]:
    """The sales of an attempt, by the till's id; None for one that was not read. A dry run has none."""
    if event.subject.endswith(requests.DRY):
        return {}
    if deps is not None and deps.sales:
        return {sale_id: to_facts(sale, deps) if sale else None for sale_id, sale in deps.sales.items()}
    return {event.entity_id: None} if event.entity in sales.KINDS else {}


def to_facts(sale: Sale, deps: Deps) -> SaleFacts:
    """The facts of one sale. A branch has its name once the till's branches were read for something else."""
    tenders: dict[str, int] = {}
    for payment in sale.payments:
        name = payment.description or payment.method
        tenders[name] = tenders.get(name, 0) + payment.amount_cents
    branches = deps.lists.known_branches()
    return SaleFacts(
        number=sale.number,
        day=sale.business_date,
        branch=sale.branch,
        branch_name=next((branch.name for branch in branches if branch.number == sale.branch), None),
        customer=sale.relation_name or None,
        amount_cents=sale.total_incl_cents,
        vat_cents=0 if is_without_vat(sale) else sum(amount.vat_cents for amount in sale.vat),
        tenders=tuple((name, cents) for name, cents in tenders.items() if cents),
        vat_rates=_to_rates(sale),
        turnover_groups=tuple(sorted({each.turnover_group for each in every_line(sale.lines) if each.turnover_group})),
    )


def _to_rates(sale: Sale) -> tuple[tuple[str, int], ...]:
    """What was sold at each VAT rate, tax included; without VAT nothing has a rate."""
    rates: dict[str, int] = {}
    for amount in () if is_without_vat(sale) else sale.vat:
        rate = f"{amount.percentage.normalize():f}"
        rates[rate] = rates.get(rate, 0) + amount.net_cents + amount.vat_cents
    return tuple(rates.items())

"""What a sale is to people: the facts of the till's record that the list of sales shows."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.store import requests, sales
from gateway.store.events import Event
from gateway.store.sales import SaleFacts
from handlers.deps import Deps
from handlers.references.account_items import every_line
from mapping.records import Sale
from mapping.sale_totals import is_without_vat


def find(event: Event, deps: Deps | None) -> Mapping[str, SaleFacts | None]:
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

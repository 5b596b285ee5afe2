"""Read one sale of any kind from the till, or find it by what a person calls it, and name it for the inbox.

The till and the books both have an "Invoice": in the inbox the till's invoices and orders have other names. A person
may give an id or a number, also the one in the books, with its prefix. An unknown one is a result; no action is needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.database.session import reading
from gateway.errors import Permanent
from gateway.store import requests, sales
from gateway.store.events import DRY, SALES, URGENT, Change, Event, Flow, Outcome, State
from gateway.store.sales import SaleFacts
from handlers.deps import Deps
from handlers.result import Result, done
from mapping import golden_records, side_by_side
from mapping.messages import message
from mapping.money import show_number
from mapping.records import DocumentKind, Sale
from mapping.sale_identity import SALE_KINDS, find_numbers, name_record, read_tag
from mapping.sale_lines import is_without_vat
from mapping.side_by_side import SaleSide

ENTITIES: Final = SALES
LONGEST_NAME: Final = 200
_KINDS: Final = {entity: kind for kind, entity in ENTITIES.items()}


def read_of(event: Event, deps: Deps) -> Sale | None:
    """The sale of this event as the poll that found it has just read it, else as it is now; None if there is none.

    A later read gets the sale as it is now. A later change at the till has its own event.
    """
    again = event.attempts > 1 or event.crashes or event.maybe_written
    sale = None if again else deps.process.sales_read.take(event.key)
    if sale is None:
        return read(event.entity, event.entity_id, deps)
    deps.note("as the till showed it to the poll that found it", sale=golden_records.dump(sale))
    return sale


def read(entity: str, sale_id: str, deps: Deps) -> Sale | None:
    return next(iter(read_all(entity, [sale_id], deps)), None)


def read_all(entity: str, ids: Sequence[str], deps: Deps) -> Sequence[Sale]:
    """The sales of events of this entity as they are now; those unknown to the till are left out."""
    return deps.till.sales(_KINDS[entity], ids) if ids else ()


def find(number_or_id: str, deps: Deps) -> Sale | None:
    """The receipt, invoice or order with this id or printed number, or None."""
    for kind in ENTITIES:
        if found := deps.till.sales(kind, [number_or_id], searched=True):
            return found[0]
    return deps.till.find_sale(number_or_id)


def find_facts(event: Event, deps: Deps | None) -> Mapping[str, SaleFacts | None]:
    """The sales of an attempt, by the till's id; None for one that was not read. A dry run has none."""
    if event.subject.endswith(DRY):
        return {}
    if deps is not None and deps.sales:
        return {sale_id: to_facts(sale, deps) if sale else None for sale_id, sale in deps.sales.items()}
    return {event.entity_id: None} if event.entity in sales.KINDS else {}


def find_document(deps: Deps | None, kind: str, document_id: str) -> SaleSide | None:
    booked = deps.documents.get((kind, document_id)) if deps else None
    if deps is None or booked is None:
        return None
    return side_by_side.of_document(booked, deps.lists.known_rates(booked.business_date or deps.now().date()))


def to_facts(sale: Sale, deps: Deps) -> SaleFacts:
    """The facts of one sale. A branch has its name once the till's branches were read for something else."""
    side = side_by_side.of_sale(sale)
    branches = deps.lists.known_branches()
    # Number, SKU and name of each article, once. A line without an article is free text, which may name somebody.
    found = {line.article: line for line in sale.every_line if line.article}
    # What was sold at each VAT rate, tax included; without VAT nothing has a rate.
    rates: dict[str, int] = {}
    for amount in () if is_without_vat(sale) else sale.vat:
        rate = show_number(amount.percentage)
        rates[rate] = rates.get(rate, 0) + amount.net_cents + amount.vat_cents
    return SaleFacts(
        number=sale.number,
        day=sale.business_date,
        branch=sale.branch,
        branch_name=next((branch.name for branch in branches if branch.number == sale.branch), None),
        customer=sale.relation_name or None,
        amount_cents=sale.total_incl_cents,
        vat_cents=side.vat_cents,
        tenders=side.tenders,
        vat_rates=tuple(rates.items()),
        articles=tuple((str(number), line.plu or None, line.text[:LONGEST_NAME]) for number, line in found.items()),
        side=side,
        turnover_groups=tuple(sorted({each.turnover_group for each in sale.every_line if each.turnover_group})),
    )


_UNKNOWN = (
    "nothing was found under {order}: the till has no receipt, invoice or order with this id or number, and the "
    "books no document of one"
)
_FIX = (
    "look for a typing error; give the receiptId, invoiceId or orderId of the till, or the number on the receipt, the "
    "invoice or the document in QuickBooks. A receipt from before the connection is found when the orders since its "
    "day were backfilled"
)


def look_up(event: Event, deps: Deps) -> Result:
    """Find the sale and put it into the inbox as what it is, with the request that came with the lookup."""
    sale = find_anywhere(event.entity_id, deps)
    if sale is None:
        reason = message(_UNKNOWN, order=event.entity_id)
        return Result(Outcome(State.SKIPPED, reason=reason, code=requests.UNKNOWN_ORDER, fix=_FIX))
    found = Change(
        key=f"{event.key}:found",
        flow=Flow.ORDERS,
        source=event.source,
        entity=ENTITIES[sale.kind],
        entity_id=sale.id,
        connection=deps.connection,
        order_id=sale.number,
        hint=event.hint,
        priority=URGENT,
        variant=DRY if event.subject.endswith(DRY) else "",
    )
    return dataclasses.replace(
        done(message("found: {record}", record=name_record(sale)), order_id=sale.number), changes=(found,)
    )


def find_anywhere(order: str, deps: Deps) -> Sale | None:
    """The sale with this id or printed number, or with this number in the books."""
    if sale := find(order, deps):
        return sale
    with reading(deps.engine) as session:
        known = sales.find_by_number(session, order)
    for connection, kind, sale_id in known:
        if connection == deps.connection and (sale := read(kind, sale_id, deps)):
            return sale
    return next(_find_by_number_in_books(order, deps), None)


def _find_by_number_in_books(number: str, deps: Deps) -> Iterator[Sale]:
    for kind, printed in find_numbers(number, deps.settings.orders):
        sale = find(printed, deps)
        if sale is not None and sale.kind is kind:
            yield sale
    # A receipt cannot be searched by number at the till, but its document in the books names it.
    prefixed = [f"{deps.settings.orders.number_prefix.receipt}{number}", number]
    for each in DocumentKind:
        try:
            booked = deps.books.documents_by_number(each, prefixed)
        except Permanent as refusal:
            deps.note("the books could not be asked for this number", reason=refusal.reason)
            return
        for what, sale_id, _ in (read_tag(document.private_note) for document in booked):
            named = SALE_KINDS.get(what)
            sale = read(ENTITIES[named], sale_id, deps) if named else None
            if sale is not None:
                yield sale

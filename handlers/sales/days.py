"""The sales of daily summaries: which sales are summed up, and waiting until the day's document contains them.

And the documents of a day as they are in the books.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import TypeAlias
from zoneinfo import ZoneInfo

from sqlmodel import Session

from gateway.connectors.quickbooks.wire_documents import is_as_signed
from gateway.database.session import reading
from gateway.errors import Incident
from gateway.store import event_history, links
from gateway.store.events import PENDING, PEOPLE, Change, Event, Flow, State
from gateway.store.links import Link, LinkKind
from handlers.deps import Deps
from handlers.result import Result, done, waiting
from handlers.sales import bookings, documents, repairs, settlement
from mapping import list_entries, sale_identity
from mapping.day_summary import GOODS, Day, DayPlan, DayTotals, Goods, add, subtract
from mapping.errors import MappingError
from mapping.messages import Amount, message
from mapping.money import to_cents
from mapping.money_documents import find_source_id
from mapping.orders import Assessment
from mapping.records import RETURNS, BookedDocument, BooksPayment, DocumentKind, Sale, SaleKind, SalesDocument
from mapping.sale_identity import find_installation
from mapping.tax import find_reach

ENTITY = "Day"
_AMSTERDAM = ZoneInfo("Europe/Amsterdam")
_PATIENCE = 30.0
_BUSY = frozenset({*PENDING, State.WORKING, State.PARKED})
_KINDS = (DocumentKind.SALES_RECEIPT, DocumentKind.INVOICE, DocumentKind.REFUND_RECEIPT)
_AT_ONCE = 20  # parts of a day that one search finds by number
Parts: TypeAlias = dict[int, Sequence[BookedDocument]]
"""The documents of each part by its sequence, that of the goods first."""


def hand_over(sale: Sale, link: Link | None, event: Event, deps: Deps) -> Result:
    """Done if the day's document contains the sale as it is; else request the summary of the day and wait."""
    day = Day(sale.branch, sale.business_date)
    before = Day.parse(link.day) if link and link.day else day
    # A summary that is parked continues when a person retries it.
    newest = deps.read(event_history.newest_events, list(dict.fromkeys((day.key, before.key))))
    busy = {key for key, (_, state, _) in newest.items() if state in _BUSY}
    idle = [each for each in dict.fromkeys((day, before)) if each.key not in busy]
    if link and before == day and link.fingerprint == sale_identity.content(sale):
        if event.source not in PEOPLE or (idle and is_complete(day, deps)):
            said = message("summed up in the document of {key}", key=link.day)
            return done(said, target_entity=link.target_entity, target_id=link.target_id)
        deps.note("its day is looked at again: something of it was removed in QuickBooks", day=day.key)
    changes = tuple(to_change(each, sale, event, deps) for each in idle)
    wait = max(seconds_until_close(day, deps), 0.0) + _PATIENCE
    return waiting(message("waits for the document of its day, {key}", key=day.key), wait, changes=changes)


def seconds_until_close(day: Day, deps: Deps) -> float:
    """How long the day is still open: it closes on the next morning, in the shop's time zone."""
    closing = time.fromisoformat(deps.settings.orders.day_closes)
    moment = datetime.combine(day.date + timedelta(days=1), closing, _AMSTERDAM)
    return (moment - deps.now()).total_seconds()


def to_change(day: Day, sale: Sale, event: Event, deps: Deps) -> Change:
    version = sale_identity.content(sale)[:12]
    key = f"day:{deps.connection}:{day.key}:{sale.id}:{version}:{event.id}:{deps.now():%Y%m%d%H%M}"
    hint = json.dumps({"because": sale.number})
    change = deps.to_change(key, Flow.ORDERS, ENTITY, day.key, order_id=day.key, hint=hint, maybe_written=True)
    return change._replace(source=event.source) if event.source in PEOPLE else change


def read_sales(day: Day, deps: Deps) -> tuple[list[Sale], list[Sale]]:
    """The complete sales of the day, and those that belonged to it before and now to no day."""
    heads = deps.till.sales_of_day(SaleKind.RECEIPT, day.date, [day.branch])
    with reading(deps.engine) as session:
        summed = links.source_ids(session, deps.connection, LinkKind.DOCUMENT, day=day.key)
        ids = [*(sale.id for sale in heads), *summed]
        before = links.find_all(session, deps.connection, LinkKind.DOCUMENT, ids)
    wanted = [sale_id for sale_id in ids if sale_id not in before or before[sale_id].day is not None]
    present = deps.till.sales(SaleKind.RECEIPT, dict.fromkeys(wanted))
    with reading(deps.engine) as session:
        known = links.find_each(session, deps.connection, {key for sale in present for key in links.of_other(sale)})
        counted = [
            sale
            for sale in present
            if is_summarised(session, sale, before.get(sale.id), deps)
            and (sale.id in before or bookings.find_other(sale, known) is None)
        ]
    kept = {sale.id for sale in counted}
    mine = [sale for sale in counted if Day(sale.branch, sale.business_date) == day]
    return mine, [sale for sale in present if sale.id in summed and sale.id not in kept]


def is_summarised(session: Session, sale: Sale, link: Link | None, deps: Deps) -> bool:
    """Whether a sale belongs to its day's document. One that was summed up stays so under a document per sale."""
    settings = deps.settings
    if link is not None:
        settings = settings.model_copy(update={"orders": settings.orders.model_copy(update={"summary": "day"})})
    return Assessment(sale, settings, links.find_deposits(session, deps.connection, sale)).is_summarised


def is_complete(day: Day, deps: Deps) -> bool:
    """Whether all documents and payments of a day are in the books; reads each of them."""
    for link in find_documents(day, deps):
        if is_gone(link, deps):
            return False
        repairs.look(link, deps)
        if _lost_payments(link, deps):
            return False
    return True


def find_documents(day: Day, deps: Deps) -> list[Link]:
    return deps.read(links.find_under, LinkKind.DAY_DOCUMENT, f"{day.key}/")


def is_gone(link: Link, deps: Deps) -> bool:
    """Whether the document was deleted or voided in the books."""
    current = documents.read(link.target_entity, link.target_id, deps)
    return current is None or current.voided


def _lost_payments(link: Link, deps: Deps) -> list[str]:
    posted = settlement.posted_on(link.target_entity, link.target_id, deps)
    return [key for key, each in posted.items() if each.status.is_gone]


def drop_lost_payments(day: Day, deps: Deps) -> None:
    """Remove links of payments that are gone and not posted again, because another one settles their document."""
    for link in find_documents(day, deps):
        for key in _lost_payments(link, deps):
            deps.delete_link(LinkKind.PAYMENT, key)


def forget(link: Link, deps: Deps) -> None:
    """Remove the link of a document that is gone; the payments on it are searched by their notes."""
    for key in settlement.posted_on(link.target_entity, link.target_id, deps):
        deps.delete_link(LinkKind.PAYMENT, key)
    deps.delete_link(LinkKind.DAY_DOCUMENT, link.source_id)


# --- documents of a day without a link: of a restored backup, or of an answer that got lost ---


def find_parts(plan: DayPlan, wanted: SalesDocument, deps: Deps) -> Parts:
    """The day's documents in the books from the plan's sequence on; `wanted` is about to be booked.

    A read per kind, because any of them may be all that is left; the days are read only if there is something.
    """
    numbers = [plan.number()]
    for sequence in range(plan.sequence + 1, plan.sequence + _AT_ONCE):
        part = replace(plan, sequence=sequence)
        # What moves money between payment methods has a number of its own; that of `wanted` is searched when written.
        numbers += [part.number(tender) for tender in ("", *plan.totals.tenders)]
    days = [wanted.business_date, plan.day.date]
    found = _arrange((row for kind in _KINDS for row in documents.rows(kind, numbers, days, deps)), plan)
    if not found:
        return {}
    present = [row for each in found.values() for row in each]
    days = list(dict.fromkeys([*days, *(row.business_date for row in present if row.business_date)]))
    present += [row for kind in _KINDS for day in days for row in deps.books.documents_on(kind, day)]
    return _arrange(present, plan)


def _arrange(rows: Iterable[BookedDocument], plan: DayPlan) -> Parts:
    parts: dict[int, dict[str, BookedDocument]] = {}
    for row in rows:
        sequence, tender = _find_part(row.private_note, plan.day) or (0, "")
        if sequence >= plan.sequence and not row.voided:
            parts.setdefault(sequence, {}).setdefault(tender, row)
    return {sequence: [each[tender] for tender in sorted(each)] for sequence, each in sorted(parts.items())}


def remove_unfinished(found: Parts, deps: Deps) -> int:
    """Take parts out of the books, and out of `found`, whose payments were not all posted; the last of them, or 0.

    What they were to be paid by is not known any more. A part that was edited stays, one of another installation, and
    one with a payment that is not ours: `read_parts` tells of it.
    """
    last = 0
    for sequence, rows in [(sequence, rows) for sequence, rows in found.items() if _is_unfinished(rows, deps)]:
        posted = {row.id: deps.books.payments_by_id(row.payment_ids) if row.payment_ids else [] for row in rows}
        if not all(find_source_id(each.private_note) for some in posted.values() for each in some if not each.voided):
            continue
        for row in rows:
            for payment in posted[row.id]:
                settlement.void(Link(LinkKind.PAYMENT, "", "Payment", payment.id or "", payment.sync_token), deps)
            _delete(row, deps, token=None if posted[row.id] else row.sync_token)
            deps.note("removed a part of the day that was not finished", entity=row.kind, id=row.id)
        del found[sequence]
        last = max(last, sequence)
    return last


def _is_unfinished(rows: Sequence[BookedDocument], deps: Deps) -> bool:
    ours = all(find_installation(row.private_note) == deps.installation and is_as_signed(row.content) for row in rows)
    return ours and any(row.kind is DocumentKind.INVOICE and row.balance for row in rows)


def _delete(row: BookedDocument, deps: Deps, *, token: str | None) -> None:
    settlement.remove_by_token(
        token,
        lambda: deps.books.document(row.kind, row.id).sync_token,
        lambda current: documents.delete(row.kind, row.id, current, deps),
    )


def _with_former(plan: DayPlan, found: Mapping[int, Sequence[BookedDocument]], deps: Deps) -> DayPlan:
    """The plan that also knows what only these documents name: tax codes and ways to pay. None is created."""
    known = deps.lists.read("PaymentMethod", on=plan.day.date)
    used = {line.tax_code_id for rows in found.values() for row in rows for line in row.lines}
    codes = {code.percentage: code for code in known.tax_codes if code.id in used and code.percentage is not None}
    methods: dict[str, str] = {}
    for method in known.till_methods:
        with suppress(MappingError):  # one that is not mapped is on no document
            chosen = list_entries.payment_method(method.code, known, deps.settings.mapping)
            methods |= {method.code: chosen} if isinstance(chosen, str) else {}
    rates = {(group.code, group.percentage): 0 for group in deps.lists.vat_groups() if group.percentage in codes}
    totals, references = plan.totals, plan.references
    vat = {**totals.vat, **rates, **totals.vat}  # what the day has comes first
    tenders = {**totals.tenders, **dict.fromkeys(methods, 0), **totals.tenders}
    tax_codes = {**codes, **references.tax_codes}
    ways = {**methods, **references.payment_methods}
    return replace(
        plan,
        totals=replace(totals, vat=vat, tenders=tenders),
        references=replace(references, tax_codes=tax_codes, payment_methods=ways),
    )


def read_parts(found: Mapping[int, Sequence[BookedDocument]], plan: DayPlan, deps: Deps) -> dict[int, DayTotals]:
    """What each part holds; `plan` is that of the whole day. Links the payments on them.

    Raises `Incident` if a document was edited in the books, or does not show what it holds.
    """
    plan = _with_former(plan, found, deps)
    totals: dict[int, DayTotals] = {}
    for sequence, rows in found.items():
        payments = [
            (row, payment)
            for row in rows
            if row.payment_ids
            for payment in deps.books.payments_by_id(row.payment_ids)
            if not payment.voided
        ]
        held = _read_totals(rows, [payment for _, payment in payments], plan)
        edited = [
            row for row in rows if sale_identity.find_signed_content(row.private_note) and not is_as_signed(row.content)
        ]
        if held is None or edited:
            row = (edited or rows)[0]
            said = "QuickBooks has it with {total}; it was changed there, or does not show how it was paid"
            why = message(said, total=Amount.of(row.total))
            fix = "undo the change in QuickBooks, or delete all documents of this day there, then retry"
            raise to_incident(why, row, replace(plan, sequence=sequence), fix=fix)
        totals[sequence] = held
        deps.save_links(*(settlement.recognise(*each) for each in payments))
    return totals


def to_incident(reason: str, booked: BookedDocument, plan: DayPlan, *, fix: str) -> Incident:
    named = sale_identity.name_document(booked.kind, booked.document_number, booked.id)
    record = message("{document}, {name}", document=named, name=plan.name)
    return Incident(reason, code="incident", record=record, fix=fix)


# --- what a document shows: items and tax codes, not the till's turnover groups ---


def _find_part(note: str | None, day: Day) -> tuple[int, str] | None:
    """The sequence and tender (or "") of the day's document with this note; None for any other document."""
    tag, mine = sale_identity.find_tag(note) or "", f"day:{day.key}"
    if tag != mine and not tag.startswith(f"{mine}:"):
        return None
    sequence, _, tender = tag[len(mine) + 1 :].partition(":")
    return (int(sequence or 1), tender) if not sequence or sequence.isdigit() else None


def _read_totals(
    documents: Sequence[BookedDocument], payments: Iterable[BooksPayment], plan: DayPlan
) -> DayTotals | None:
    """What these documents of one part hold; `plan` has the totals and references of the whole day.

    None if they do not show it: an invoice that is not fully paid, or a tax or way to pay that the day does not have.
    """
    lines, taxes, money = Counter[tuple[str | None, str | None]](), Counter[Decimal | None](), Counter[str | None]()
    total = 0
    for each in documents:
        sign = -1 if each.kind in RETURNS else 1
        total += sign * to_cents(each.total)
        for line in each.lines:
            lines[line.item_id, line.tax_code_id] += sign * to_cents(line.net or Decimal(0))
        for rate, tax in each.tax_lines:
            taxes[rate] += sign * to_cents(tax)
        if each.kind is not DocumentKind.INVOICE:
            money[each.payment_method_id] += sign * to_cents(each.total)
    for payment in payments:
        money[payment.payment_method_id] += to_cents(payment.total)
    untaxed = _item_of("rounding", plan), plan.references.untaxed.id if plan.references.untaxed else None
    rounding = 0 if untaxed in _buckets(plan) else lines.pop(untaxed, 0)
    tenders = {_find_tender(method, plan): cents for method, cents in money.items() if cents}
    nets = {_find_goods(*bucket, plan): cents for bucket, cents in lines.items() if cents}
    vat = {_find_vat(rate, plan): cents for rate, cents in taxes.items() if cents}
    if None in tenders or None in nets or None in vat:
        return None
    found = DayTotals(
        {goods: sum(c for b, c in lines.items() if _find_goods(*b, plan) == goods) for goods in nets if goods},
        {key: cents for key, cents in vat.items() if key},
        {tender: cents for tender, cents in tenders.items() if tender},
        rounding,
    )
    return found if found.total == total == sum(found.tenders.values()) else None


def find_missing(booked: DayTotals, plan: DayPlan) -> DayTotals:
    """What of the plan's totals is not booked; nothing if only cents differ by which the books round the tax."""
    rest = subtract(plan.totals, booked)
    nets = Counter[Goods]()
    for goods, cents in rest.nets.items():
        nets[_buckets(plan).get(_bucket(goods, plan), goods)] += cents
    tenders = Counter[str]()
    for tender, cents in rest.tenders.items():  # of several that are one way to pay in the books, one is read back
        tenders[_find_tender(plan.references.payment_methods.get(tender), plan) or tender] += cents
    rest = add([replace(rest, nets=nets, tenders=tenders)])
    tolerance = plan.settings.rounding_cap_cents + find_reach(plan.totals.drift)
    small = all(abs(cents) <= tolerance for cents in (*rest.nets.values(), *rest.vat.values(), rest.rounding))
    return DayTotals() if small and not rest.total and not rest.tenders else rest


def _item_of(kind: str, plan: DayPlan) -> str | None:
    return plan.references.special_items.get(kind) or plan.references.fallback_item_id


def _bucket(goods: Goods, plan: DayPlan) -> tuple[str | None, str | None]:
    code = plan.references.tax_codes.get(goods.rate)
    return _item_of(goods.kind, plan), code.id if code else None


def _buckets(plan: DayPlan) -> dict[tuple[str | None, str | None], Goods]:
    """The largest goods of each item and tax code."""
    return {_bucket(goods, plan): goods for goods, _ in sorted(plan.totals.nets.items(), key=lambda each: abs(each[1]))}


def _find_goods(item_id: str | None, tax_code_id: str | None, plan: DayPlan) -> Goods | None:
    if known := _buckets(plan).get((item_id, tax_code_id)):
        return known
    rates = (rate for rate, code in plan.references.tax_codes.items() if code.id == tax_code_id)
    rate = next(rates, None)
    key = _find_vat(rate, plan)
    kinds = (kind for kind, item in plan.references.special_items.items() if item == item_id)
    return Goods(next(kinds, f"{GOODS}:0"), *key) if key else None


def _find_vat(rate: Decimal | None, plan: DayPlan) -> tuple[int, Decimal] | None:
    keys = (*plan.totals.vat, *((goods.code, goods.rate) for goods in plan.totals.nets))
    return next((key for key in keys if key[1] == rate), None)


def _find_tender(method_id: str | None, plan: DayPlan) -> str | None:
    known = plan.references.payment_methods
    found = (tender for tender in plan.totals.tenders if known.get(tender) == method_id)
    return next(found, None)

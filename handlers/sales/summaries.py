"""A branch's business day as one document: the sum of its sales less what is already booked.

The state of the day is loaded, a step is decided and taken, until the result is known. After a crash the next run
begins anew: it finds what is stored, and in the books what is not.

| step | when | what is done |
| --- | --- | --- |
| BOOK | amounts are stored that are about to be booked | they are written, or linked if they are there; decided again |
| RESTORE | a person requests the day, or one of its sales | what was removed of it is booked again; decided again |
| COUNT | its sales are not read yet | they are read and summed up; decided again |
| STORE | the sum is not what is booked | the difference is stored as what is about to be booked; decided again |
| LINK | the day is booked as it is | every sale is linked, and what waited for that goes on; or it is counted again |

The amounts are stored before they are written. If a run is killed, the next run writes the same amounts, even if more
was sold meanwhile; then the difference is booked as a correction. Each write is preceded by a search, and checked to
the cent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from gateway.database.session import reading, writing
from gateway.store import event_history, inbox, links
from gateway.store.events import PEOPLE, Event
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.references import goods, parties
from handlers.references.parties import Buyer
from handlers.result import Result, done, waiting
from handlers.sales import bookings, days, documents, drafts, repairs, settlement
from mapping import day_summary, orders, sale_identity
from mapping.day_summary import Day, DayPlan, DayTotals, to_postings
from mapping.errors import MappingError
from mapping.messages import Amount, join, message
from mapping.orders import Posting
from mapping.records import BookedDocument, Sale, SaleKind, VatAmount
from mapping.sale_identity import sign


@dataclass(frozen=True, slots=True)
class DayState:
    """The stored state of a day. `pending` is about to be booked as document number `sequence`.

    `parts` is what was booked, by sequence; days corrected by earlier versions may lack some.
    """

    booked: DayTotals
    pending: DayTotals | None = None
    sequence: int = 0
    target_entity: str = ""
    target_id: str = ""
    parts: Mapping[int, DayTotals] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayContext:
    """What is known of a day. `restored`: RESTORE was taken, or is not needed.

    `sales` are those that count (None: not read yet), `left` those that belonged to the day before and now to none.
    """

    day: Day
    event: Event
    state: DayState
    is_asked: bool
    restored: bool
    sales: Sequence[Sale] | None = None
    left: Sequence[Sale] = ()
    totals: DayTotals = dataclasses.field(default_factory=DayTotals)

    @property
    def rest(self) -> DayTotals:
        """What of its sales is not booked."""
        return day_summary.subtract(self.totals, self.state.booked)


Step = Enum("Step", "BOOK RESTORE COUNT STORE LINK")
"""What to do with a day: see the table at the head of this module."""


def handle(event: Event, deps: Deps) -> Result:
    """Book the sum of the day's sales after its end; later sales are booked as a correction."""
    reached = load(event, deps)
    while isinstance(reached, DayContext):
        reached = STEPS[decide(reached)](reached, deps)
    return reached


def load(event: Event, deps: Deps) -> Result | DayContext:
    """What is stored of the day; a result if it is not over yet, or for a dry run."""
    day = Day.parse(event.entity_id)
    deps.set_facts(record=day.name)
    if event.asked.get("dry_run"):
        return done(message("dry run: {name} would be summed up; nothing was written", name=day.name))
    with reading(deps.engine) as session:
        asked = event_history.with_request(session, event).source in PEOPLE
    wait = days.seconds_until_close(day, deps)
    if wait > 0:
        reason = message("the day closes at {time}", time=deps.settings.orders.day_closes)
        return waiting(reason, wait)
    state = _find(day, deps)
    if state.pending is not None:
        deps.note("an earlier run did not come to its end: finishing that first")
    return DayContext(day, event, state, is_asked=asked, restored=not asked)


def decide(known: DayContext) -> Step:
    """The next step of this day."""
    if known.state.pending is not None:
        return Step.BOOK
    if not known.restored:
        return Step.RESTORE
    if known.sales is None:
        return Step.COUNT
    return Step.LINK if known.rest.is_nothing else Step.STORE


def _store(known: DayContext, deps: Deps) -> DayContext:
    state = dataclasses.replace(known.state, pending=known.rest, sequence=known.state.sequence + 1)
    _remember(known.day, state, deps)
    return dataclasses.replace(known, state=state)


def _count(known: DayContext, deps: Deps) -> DayContext:
    sales, left = days.read_sales(known.day, deps)
    return dataclasses.replace(known, sales=sales, left=left, totals=_total_of(sales, deps))


def _book(known: DayContext, deps: Deps) -> DayContext:
    """Write the pending documents and store that they are written.

    Parts of the day that are in the books without a link (of a restored backup, or an answer that got lost) are linked
    instead; what is missing then is the next correction.
    """
    day, state, pending = known.day, known.state, known.state.pending or DayTotals()
    plan = _plan(day, state.sequence, pending, deps)
    wanted = _to_postings(plan, deps)[0].document
    found = days.find_parts(plan, wanted, deps)
    own = next(iter(found.get(state.sequence, ())), None)
    # The document to be written, or its first write, whose tax is still to be adjusted.
    is_own = own is not None and (orders.difference(own, wanted) is None or documents.is_the_write(own, wanted, deps))
    if not is_own and (removed := days.remove_unfinished(found, deps)):
        # Its number is not used again: the books may still answer with what is gone.
        state = dataclasses.replace(state, pending=None, sequence=max(state.sequence, removed))
        _remember(day, state, deps)
    elif not found or is_own:
        written = book(plan, known.event, deps, found=own)
        deps.note(message("booked {amount} as {documents}", amount=Amount(pending.total), documents=name(written)))
        state = _add(state, {state.sequence: pending}, written)
        _remember(day, state, deps, written)
        found.pop(state.sequence, None)
    return dataclasses.replace(known, state=_adopt(day, state, found, deps) if found else state)


def _add(state: DayState, booked: Mapping[int, DayTotals], written: Sequence[BookedDocument]) -> DayState:
    """The state after these parts were booked; the first document is the day's own."""
    return DayState(
        day_summary.add([state.booked, *booked.values()]),
        sequence=max(state.sequence, *booked),
        target_entity=state.target_entity or written[0].kind,
        target_id=state.target_id or written[0].id,
        parts={**state.parts, **booked},
    )


def _adopt(day: Day, state: DayState, found: days.Parts, deps: Deps) -> DayState:
    """Link parts of the day that are in the books, with what they hold. Raises `Incident` if that is not certain."""
    now = _total_of(days.read_sales(day, deps)[0], deps)
    plan = _plan(day, state.sequence, now, deps)
    totals = days.read_parts(found, plan, deps)
    booked = day_summary.add([state.booked, *totals.values()])
    # Cents by which the books round, and what they do not show (turnover groups), count to the largest part.
    rest = day_summary.subtract(day_summary.subtract(now, days.find_missing(booked, plan)), booked)
    largest = max(totals, key=lambda number: totals[number].total)
    totals[largest] = day_summary.add([totals[largest], rest])
    rows = [row for each in found.values() for row in each]
    deps.note("parts of the day were in the books already: they are linked", documents=name(rows))
    state = _add(state, totals, rows)
    _remember(day, state, deps, rows)
    return state


def _restore(known: DayContext, deps: Deps) -> DayContext:
    """Book again the documents of the day that were removed. After a crash, the next run finds what is done."""
    day, state, known = known.day, known.state, dataclasses.replace(known, restored=True)
    if days.is_complete(day, deps):
        return known
    present = days.find_documents(day, deps)
    gone = [link for link in present if days.is_gone(link, deps)]
    held = state.parts
    if not day_summary.subtract(day_summary.add(held.values()), state.booked).is_nothing:
        if len(gone) < len(present):
            raise MappingError(
                "an earlier version booked this day's corrections and did not keep what each of them held",
                code="corrections-unknown",
                record=day.name,
                fix="enter what is missing in QuickBooks by hand, with the amounts that ./run agree names",
            )
        held = {1: state.booked}
    written = {}
    for number, part in sorted(held.items()):
        written[number] = book(_plan(day, number, part, deps), known.event, deps, again=True)
    deps.note("what was removed of the day in QuickBooks is booked again", documents=len(gone))
    first = next(iter(written.values()))[0]
    state = dataclasses.replace(state, parts=held, target_entity=first.kind, target_id=first.id)
    again = [each for some in written.values() for each in some]
    _remember(day, state, deps, again)
    for link in gone:
        if link.target_id not in {each.id for each in again}:
            days.forget(link, deps)
    days.drop_lost_payments(day, deps)
    return dataclasses.replace(known, state=state)


def _total_of(sales: Sequence[Sale], deps: Deps) -> DayTotals:
    return day_summary.total_of(sales, deps.settings.orders, deps.settings.mapping.tip_articles)


def _link(known: DayContext, deps: Deps) -> Result | DayContext:
    """Link every sale to the day's document, and release the events that wait for that.

    One that got a document of its own meanwhile keeps it, and a deposit that was booked meanwhile stays: the day is
    counted again without them.
    """
    day, state, sales = known.day, known.state, known.sales or ()
    ids = [sale.id for sale in (*sales, *known.left)]
    with bookings.hold(sales, deps), writing(deps.engine) as session:
        present = links.find_all(session, deps.connection, LinkKind.DOCUMENT, ids)
        of_orders = [sale for sale in sales if sale.order_ids]
        if any(link.day is None for link in present.values()) or not all(
            days.is_summarised(session, sale, present.get(sale.id), deps) for sale in of_orders
        ):
            return replace(known, sales=None)
        for sale in (*sales, *known.left):
            held = present.get(sale.id) or state
            target = state if state.target_id else held  # a sale that left may be of a day without a document
            link = Link(
                LinkKind.DOCUMENT,
                sale.id,
                target.target_entity,
                target.target_id,
                fingerprint=sale_identity.content(sale),
                detail={"number": sale.number, "total_cents": sale.total_incl_cents},
                status=BookingStatus.LEFT_OUT if sale in known.left else BookingStatus.BOOKED,
                day=Day(sale.branch, sale.business_date).key,
            )
            claims = links.to_claims(sale, link.target_entity, link.target_id)
            links.save(session, deps.connection, link, *claims)
        woken = inbox.raise_priority(session, deps.connection, ids)
    deps.notify(woken)
    if known.is_asked:
        deps.release_waiting(bookings.GONE_IN_BOOKS, day.name)
    said = message("{n} sales, {amount} in all", n=len(sales), amount=Amount(known.totals.total))
    return done(said, target_entity=state.target_entity or None, target_id=state.target_id or None)


STEPS: Final[Mapping[Step, Callable[[DayContext, Deps], Result | DayContext]]] = {
    Step.BOOK: _book,
    Step.RESTORE: _restore,
    Step.COUNT: _count,
    Step.STORE: _store,
    Step.LINK: _link,
}


def _find(day: Day, deps: Deps) -> DayState:
    link = deps.read(links.find, LinkKind.DAY, day.key)
    if link is None:
        return DayState(DayTotals())
    kept = link.detail
    pending = day_summary.from_json(kept["pending"]) if kept.get("pending") else None
    booked, sequence = day_summary.from_json(kept["booked"]), int(kept["sequence"])
    first = {"1": kept["booked"]} if sequence == (2 if pending else 1) else {}
    held = {int(number): day_summary.from_json(part) for number, part in kept.get("parts", first).items()}
    return DayState(booked, pending, sequence, link.target_entity, link.target_id, held)


def _remember(day: Day, state: DayState, deps: Deps, written: Sequence[BookedDocument] = ()) -> None:
    detail = {
        "booked": day_summary.to_json(state.booked),
        "pending": day_summary.to_json(state.pending) if state.pending else None,
        "sequence": state.sequence,
        "parts": {str(number): day_summary.to_json(part) for number, part in state.parts.items()},
        "documents": [[each.kind, each.id] for each in written],
    }
    found = [Link(LinkKind.DAY, day.key, state.target_entity, state.target_id, detail=detail)]
    for each in written:
        shown = {"number": each.document_number, **bookings.seen(each.content)}
        key = f"{day.key}/{each.kind}/{each.id}"
        found.append(Link(LinkKind.DAY_DOCUMENT, key, each.kind, each.id, each.sync_token, detail=shown, day=day.key))
    deps.save_links(*found)


def book(
    plan: DayPlan, event: Event, deps: Deps, *, again: bool = False, found: BookedDocument | None = None
) -> list[BookedDocument]:
    """Write the documents of these totals, each once even if this is repeated; the first is the day's own.

    `found` is the first as it is in the books; it is not searched again. `again`: some were removed from the books;
    these are booked again, the others get their payments back.

    Raises `MappingError` before anything is written, `Incident` if the books' total is not ours.
    """
    first, *beside = _to_postings(plan, deps)
    if found is None and (again or deps.settings.orders.adopt):
        found = _search(first, plan, deps)
    booked = [_post(first, plan, event, deps, again=again, found=found)]
    return booked + [_post(each, plan, event, deps, again=again, found=_search(each, plan, deps)) for each in beside]


def _plan(day: Day, sequence: int, totals: DayTotals, deps: Deps) -> DayPlan:
    groups = {group.number: group.name for group in deps.lists.turnover_groups() if group.name}
    rates = dict.fromkeys([*totals.vat, *((each.code, each.rate) for each in totals.nets)])
    amounts = [VatAmount(code, rate, 0, 0) for code, rate in rates]
    buyer = Buyer(parties.default_debtor(deps))
    references = replace(
        drafts.find_listed(_to_day_sale(day), totals.tenders, buyer, deps, rates=amounts),
        fallback_item_id=goods.summary_item(deps),
        special_items=goods.special_items(deps),
    )
    return DayPlan(day, sequence, totals, references, deps.settings.orders, groups)


def _to_postings(plan: DayPlan, deps: Deps) -> list[Posting]:
    signed = [replace(each, document=sign(each.document, deps.installation)) for each in to_postings(plan)]
    return [drafts.open_up(posting, deps) for posting in signed]


def _search(posting: Posting, plan: DayPlan, deps: Deps) -> BookedDocument | None:
    # A search costs two metered reads per document; a duplicate would double a day's turnover.
    return documents.find(_to_day_sale(plan.day, posting.document.document_number), posting, deps)


def _to_day_sale(day: Day, number: str = "") -> Sale:
    """A sample sale of this day to look up references; negative, so that an account for refunds is found."""
    return Sale(
        kind=SaleKind.RECEIPT,
        id=f"day:{day.key}",
        number=number or day.key,
        type="RECEIPT-TYPE-RECEIPT",
        state="RECEIPT-STATE-PAID",
        branch=day.branch,
        business_date=day.date,
        total_incl_cents=-1,
        total_excl_cents=-1,
        vat_method="VAT-METHOD-INCLUSIVE",
        vat=(),
        lines=(),
        payments=(),
        version=1,  # its amounts never change, so its document never becomes one of the other sign
    )


def _post(
    posting: Posting, plan: DayPlan, event: Event, deps: Deps, *, again: bool, found: BookedDocument | None
) -> BookedDocument:
    named = _to_day_sale(plan.day, posting.document.document_number)
    if found and again:
        # Edits are reported elsewhere.
        repairs.restore_payments(posting, found, deps)
        return found
    if found is None:
        dates = (posting.document.business_date, named.business_date)
        documents.look_later(posting.document.marker, dates, event, deps)
    booked = found
    if again and (voided := documents.find_voided(posting, deps)):
        # It still occupies its number: its amounts are written again.
        booked = documents.update(posting, voided.id, voided.sync_token, deps)
    if booked is None:
        booked, _, _ = documents.create_or_find(named, posting, deps, generation=1 if again else 0)
    if found is None or documents.is_the_write(found, posting.document, deps):  # never over an edit by hand
        posting, booked = _adjust_tax(posting, booked, plan, deps)
    differs = orders.difference(booked, posting.document)
    if differs is not None:
        fix = "correct or delete the document in QuickBooks, then retry; report the difference"
        raise days.to_incident(differs, booked, plan, fix=fix)
    settlement.settle(posting, booked, deps, maybe_written=True)
    return booked


def _adjust_tax(posting: Posting, booked: BookedDocument, plan: DayPlan, deps: Deps) -> tuple[Posting, BookedDocument]:
    number = posting.document.document_number

    def solve() -> Posting:
        found = to_postings(replace(plan, references=replace(plan.references, taxes_sums=True)))
        fresh = next(each for each in found if each.document.document_number == number)
        return replace(fresh, document=sign(fresh.document, deps.installation))

    return documents.adjust_tax(posting, booked, deps, solve=solve)


def name(documents: Sequence[BookedDocument]) -> str:
    return join(
        [message("{kind} {id}", kind=message(each.kind), id=each.document_number or each.id) for each in documents]
    )

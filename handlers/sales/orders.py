"""A sale of the till becomes a document of the books: load what is known of it, decide on a step, take the step.

| step | when | what is done |
| --- | --- | --- |
| ORDER_PREVIEW | a dry run of an order | nothing |
| ORDER_BOOKED | an order that an earlier version booked as a document | nothing |
| DEPOSITS | an order | each payment of it is booked: `money_documents.handle` |
| SUM_UP | its day's document contains it, or will | it waits for that document: `days.hand_over` |
| PREVIEW | a dry run | the plan is stored: `dry_runs.dry_run` |
| LOOK | booked, and a person requests it | what is left of it in the books is read; then decided again |
| SEARCH | cancelled, and perhaps booked by a write whose answer was lost | its document is searched; decided again |
| REFUSE | not to be booked now, and not booked, or booked as it is | skipped with the reason |
| WITHDRAW | cancelled after it was booked | its document is voided: `changes.withdraw` |
| PARK | booked, and changed so that it is not to be booked | a person corrects the document |
| SKIP | booked as another record | nothing |
| BOOK | to be booked | `booking.book`; an earlier version that is found in the books is followed |
| RELINK | its document was removed from the books | another document of it is followed, else parked |
| AGAIN | the same, and a person requests it | another document is followed, else it is booked again |
| FOLLOW | changed since it was booked | its document is updated: `changes.follow` |
| RESTORE | booked as it is, and a person requests it | payments and credits are repaired: `changes.restore` |
| NOTHING | booked as it is | nothing |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.errors import NotFound, Permanent
from gateway.store import known_links
from gateway.store.events import Event, State
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.session import reading
from handlers.deps import Deps, on_trial
from handlers.result import Result, done, parked, skipped
from handlers.sales import (
    booking,
    bookings,
    changes,
    days,
    documents,
    drafts,
    dry_runs,
    money_documents,
    repairs,
    settlement,
    till_sales,
)
from mapping import sale_identity
from mapping.errors import NotBookable
from mapping.messages import message
from mapping.records import Sale, SaleKind
from mapping.sections import OrderSettings

Step = Enum(
    "Step",
    "ORDER_PREVIEW ORDER_BOOKED DEPOSITS SUM_UP PREVIEW LOOK SEARCH REFUSE WITHDRAW PARK SKIP BOOK RELINK AGAIN FOLLOW"
    " RESTORE NOTHING",
)
"""What to do with a sale: see the table at the head of this module."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a sale. `other`: why it must not be booked although it has no link; `refusal`: why not now.

    `maybe_written`: an earlier attempt may have booked it. `looked`: LOOK or SEARCH was taken. `records`: what events
    that this sale may settle call it.
    """

    sale: Sale
    event: Event
    link: Link | None
    other: str | None
    refusal: NotBookable | None
    summed_up: bool
    maybe_written: bool
    records: tuple[str, ...]
    looked: bool = False

    @property
    def booked(self) -> Link:
        if self.link is None:
            raise LookupError(self.sale.id)
        return self.link

    @property
    def is_asked(self) -> bool:
        return self.event.source in bookings.PEOPLE

    @property
    def is_preview(self) -> bool:
        return _wants_preview(self.event)


def handle(event: Event, deps: Deps) -> Result:
    """Book the sale once, from any source and any number of events."""
    deps = on_trial(event, deps) if _wants_preview(event) else deps
    sale = till_sales.read_of(event, deps)
    if sale is None:
        raise NotFound("the till does not know this sale any more")
    deps.learn(order_id=sale.number)
    if sale.kind is not SaleKind.ORDER:
        deps.sales[sale.id] = sale
    context = _load(sale, event, deps)
    while (step := decide(context, deps.settings.orders)) in _LOOKS:
        context = _LOOKS[step](context, deps)
        deps.links.clear()
    result = _take(step, context, deps)
    if context.is_asked and step not in _NOT_OF_A_DOCUMENT and result.outcome.state is State.DONE:
        for record in context.records:
            deps.resolve(bookings.GONE_IN_BOOKS, record)
    return result


def _load(sale: Sale, event: Event, deps: Deps) -> Context:
    """What is stored of the sale and of what it refers to, in one transaction and mostly one statement."""
    is_order, settings = sale.kind is SaleKind.ORDER, deps.settings.orders
    with reading(deps.engine) as session:
        wanted = {(LinkKind.DOCUMENT, sale.id), *known_links.of_other(sale), *known_links.of_sale(sale, deps.settings)}
        known = known_links.find(session, deps.connection, wanted)
        link = known[LinkKind.DOCUMENT, sale.id]
        if link or is_order:
            event = bookings.with_request(session, event)
        other = None if link or is_order else bookings.find_other(sale, known)
        summed_up = link is not None and link.day is not None
        if link is None and settings.summary == "day":
            summed_up = days.belongs(session, sale, other, deps)
    deps.links.update(known)
    refusal = sale_identity.find_refusal(sale, settings)
    maybe_written = bookings.is_maybe_written(event, deps)
    return Context(sale, event, link, other, refusal, summed_up, maybe_written, (f"sale {sale.number}",))


def decide(context: Context, settings: OrderSettings) -> Step:
    """The step for this sale; nothing is read or written."""
    link = context.link
    if context.sale.kind is SaleKind.ORDER:
        return Step.ORDER_PREVIEW if context.is_preview else Step.ORDER_BOOKED if link else Step.DEPOSITS
    if context.summed_up or context.is_preview:
        return Step.SUM_UP if context.summed_up else Step.PREVIEW
    if link and context.is_asked and not context.looked:
        return Step.LOOK
    if context.refusal:
        return _decide_unbookable(context, settings)
    if link is None:
        return Step.SKIP if context.other else Step.BOOK
    return _decide_booked(context, link)


def _decide_booked(context: Context, link: Link) -> Step:
    if link.status.is_gone:
        return Step.AGAIN if context.is_asked else Step.RELINK
    if link.fingerprint != sale_identity.content(context.sale):
        return Step.FOLLOW
    return Step.RESTORE if context.is_asked else Step.NOTHING


def _decide_unbookable(context: Context, settings: OrderSettings) -> Step:
    sale, link = context.sale, context.link
    is_withdrawn = sale_identity.is_withdrawn(sale)
    if link is None:
        return Step.SEARCH if is_withdrawn and context.maybe_written and not context.looked else Step.REFUSE
    if link.fingerprint == sale_identity.content(sale):
        return Step.REFUSE
    if is_withdrawn:
        return Step.WITHDRAW
    return Step.REFUSE if sale_identity.is_off(sale, settings) else Step.PARK


def _take(step: Step, context: Context, deps: Deps) -> Result:
    """Take the step; once more if the books refuse amounts in a way that is stored for the connection."""
    try:
        return _act(step, context, deps)
    except Permanent as refusal:
        learned = drafts.learn(refusal, deps) if step in _OF_A_BOOKABLE_SALE else None
        if learned is None:
            raise
        again = dataclasses.replace(_load(context.sale, context.event, learned), looked=True)
        return _act(decide(again, learned.settings.orders), again, learned)


def _act(step: Step, context: Context, deps: Deps) -> Result:
    if step is Step.REFUSE and context.refusal:
        raise context.refusal
    try:
        return _ACTS[step](context, deps)
    except booking.OutdatedDocument as earlier:
        return changes.follow(context.sale, earlier.link, context.event, deps)


def _look(context: Context, deps: Deps) -> Context:
    """Check what is left of a document, its payments, and the money beside it."""
    link = context.booked
    posted = settlement.posted_on(link.target_entity, link.target_id, deps)
    # Earlier versions named a missing payment by its link.
    records = (*context.records, *(f"payment {key}" for key in posted))
    repairs.look(link, deps)
    current = documents.read(link.target_entity, link.target_id, deps)
    if current and not current.voided:
        if not money_documents.is_complete(link.target_entity, link.target_id, deps):
            link = dataclasses.replace(link, fingerprint=None)
    elif link.status not in (BookingStatus.REPLACING, BookingStatus.WITHDRAWN):
        link = bookings.note(link, bookings.how_gone(current), deps)
    return dataclasses.replace(context, link=link, records=records, looked=True)


def _search(context: Context, deps: Deps) -> Context:
    """Search the document of a cancelled sale, booked by a write whose answer was lost."""
    booked = documents.find_marked(context.sale, deps)
    if booked is None:
        return dataclasses.replace(context, looked=True)
    settlement.recall(context.sale, booked, deps)
    link = booking.to_link(context.sale, booked, finished=False)
    return dataclasses.replace(context, link=link, looked=True)


def _park(context: Context, _deps: Deps) -> Result:
    link = context.booked
    return parked(
        message(
            "{record} is booked, and now: {reason}",
            record=sale_identity.name_record(context.sale),
            reason=message(context.refusal.reason if context.refusal else ""),
        ),
        code="changed-after-booking",
        record=bookings.name_document(link),
        fix="correct the document in QuickBooks by hand, then ignore this event",
        target_entity=link.target_entity,
        target_id=link.target_id,
    )


def _book(context: Context, deps: Deps) -> Result:
    if deps.settings.orders.deposits and context.sale.order_ids:
        money_documents.ensure(context.sale, deps, maybe_written=context.maybe_written)
    return booking.book(context.sale, None, context.event, deps, maybe_written=context.maybe_written)


def _book_again(context: Context, deps: Deps) -> Result:
    """The document was removed from the books: a person's request restores it."""
    sale, link, event = context.sale, context.booked, context.event
    if successor := changes.relink(sale, link, deps):
        return changes.follow(sale, successor, event, deps)
    deps.say("booking it again: the document was removed from the books", how=link.status, id=link.target_id)
    if link.status is BookingStatus.DELETED:
        return booking.book(sale, link, event, deps, maybe_written=True)
    return changes.revive(sale, link, event, deps)


_LOOKS: Final[Mapping[Step, Callable[[Context, Deps], Context]]] = {Step.LOOK: _look, Step.SEARCH: _search}
_NOT_OF_A_DOCUMENT: Final = {Step.ORDER_PREVIEW, Step.ORDER_BOOKED, Step.DEPOSITS, Step.SUM_UP, Step.PREVIEW}
_OF_A_BOOKABLE_SALE: Final = {Step.BOOK, Step.RELINK, Step.AGAIN, Step.FOLLOW, Step.RESTORE}
_ACTS: Final[Mapping[Step, Callable[[Context, Deps], Result]]] = {
    Step.ORDER_PREVIEW: lambda *_: done(
        "dry run: an order is booked as the receipt or invoice that delivers it; nothing was written"
    ),
    Step.ORDER_BOOKED: lambda *_: done("booked as a document of its own, by an earlier version"),
    Step.DEPOSITS: lambda known, deps: money_documents.handle(
        known.sale, deps, maybe_written=known.maybe_written, asked=known.is_asked
    ),
    Step.SUM_UP: lambda known, deps: days.hand_over(
        known.sale, known.link, known.event, deps, dry_run=known.is_preview
    ),
    Step.PREVIEW: lambda known, deps: dry_runs.dry_run(known.sale, known.link, deps),
    Step.WITHDRAW: lambda known, deps: changes.withdraw(known.sale, known.booked, known.event, deps),
    Step.PARK: _park,
    Step.SKIP: lambda known, _: skipped(known.other or ""),
    Step.BOOK: _book,
    Step.RELINK: lambda known, deps: changes.relink_or_park(
        known.sale, known.booked, known.booked.status, known.event, deps
    ),
    Step.AGAIN: _book_again,
    Step.FOLLOW: lambda known, deps: changes.follow(known.sale, known.booked, known.event, deps),
    Step.RESTORE: lambda known, deps: changes.restore(known.sale, known.booked, known.event, deps),
    Step.NOTHING: lambda known, _: done(
        "already booked", target_entity=known.booked.target_entity, target_id=known.booked.target_id
    ),
}


def _wants_preview(event: Event) -> bool:
    return bool(event.source in bookings.PEOPLE and event.asked.get("dry_run"))

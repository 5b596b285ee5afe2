"""A branch's business day as one document: the sum of its sales less what is already booked.

The amounts are stored before they are written. If a run is killed, the next run writes the same amounts, even if more
was sold meanwhile; then the difference is booked as a correction.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.store import links, sales
from gateway.store.events import Event, Outcome, State
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.sales import bookings, day_booking, days, drafts
from mapping import day_summary, sale_identity
from mapping.day_summary import Day, DayTotals
from mapping.errors import MappingError
from mapping.messages import Amount, message
from mapping.records import BookedDocument, Sale, SaleKind


@dataclass(frozen=True, slots=True)
class _State:
    """The stored state of a day. `pending` is about to be booked as document number `sequence`.

    `parts` is what was booked, by sequence; days corrected by earlier versions may lack some.
    """

    booked: DayTotals
    pending: DayTotals | None = None
    sequence: int = 0
    target_entity: str = ""
    target_id: str = ""
    parts: Mapping[int, DayTotals] = dataclasses.field(default_factory=dict)


def handle(event: Event, deps: Deps) -> Result:
    """Book the sum of the day's sales after its end; later sales are booked as a correction.

    Documents removed from the books are restored if a person requests the day, or one of its sales.
    """
    day = Day.parse(event.entity_id)
    deps.learn(record=day.name)
    if event.hint and json.loads(event.hint).get("dry_run"):
        return done(message("dry run: {name} would be summed up; nothing was written", name=day.name))
    with reading(deps.engine) as session:
        asked = bookings.with_request(session, event).source in bookings.PEOPLE
    wait = days.seconds_until_close(day, deps)
    if wait > 0:
        reason = message("the day closes at {time}", time=deps.settings.orders.day_closes)
        return Result(Outcome(State.WAITING, reason=reason, wait_seconds=wait, burn_attempt=False))
    state = _find(day, deps)
    if state.pending is not None:
        deps.say("an earlier run did not come to its end: finishing that first")
        state = _book(day, state, event, deps)
    if asked:
        state = _restore(day, state, event, deps)
    sales, others = _read(day, deps)
    now = day_summary.total_of(sales, deps.settings.orders, deps.settings.mapping.tip_articles)
    rest = day_summary.subtract(now, state.booked)
    if not rest.is_nothing:
        state = dataclasses.replace(state, pending=rest, sequence=state.sequence + 1)
        _remember(day, state, deps)
        state = _book(day, state, event, deps)
    _link(day, state, sales, others, deps)
    if asked:
        deps.resolve(bookings.GONE_IN_BOOKS, day.name)
    said = message("{n} sales, {amount} in all", n=len(sales), amount=Amount(now.total))
    return done(said, target_entity=state.target_entity or None, target_id=state.target_id or None)


def _book(day: Day, state: _State, event: Event, deps: Deps) -> _State:
    """Write the pending documents and store that they are written."""
    if state.pending is None:
        return state
    written = day_booking.book(day, state.sequence, state.pending, event, deps)
    deps.say(
        message(
            "booked {amount} as {documents}", amount=Amount(state.pending.total), documents=day_booking.name(written)
        )
    )
    booked = day_summary.add([state.booked, state.pending])
    first = written[0]
    after = _State(
        booked,
        sequence=state.sequence,
        target_entity=state.target_entity or first.kind,
        target_id=state.target_id or first.id,
        parts={**state.parts, state.sequence: state.pending},
    )
    _remember(day, after, deps, written)
    return after


def _restore(day: Day, state: _State, event: Event, deps: Deps) -> _State:
    """Book again the documents of the day that were removed. After a crash, the next run finds what is done."""
    if days.is_complete(day, deps):
        return state
    known = days.find_documents(day, deps)
    gone = [link for link in known if days.is_gone(link, deps)]
    parts = state.parts
    if day_summary.add(parts.values()) != state.booked:
        if len(gone) < len(known):
            raise MappingError(
                "an earlier version booked this day's corrections and did not keep what each of them held",
                record=day.name,
                fix="enter what is missing in QuickBooks by hand, with the amounts that ./run agree names",
            )
        parts = {1: state.booked}
    written = {
        number: day_booking.book(day, number, part, event, deps, again=True) for number, part in sorted(parts.items())
    }
    deps.say("what was removed of the day in QuickBooks is booked again", documents=len(gone))
    first = next(iter(written.values()))[0]
    state = dataclasses.replace(state, parts=parts, target_entity=first.kind, target_id=first.id)
    present = [each for some in written.values() for each in some]
    _remember(day, state, deps, present)
    for link in gone:
        if link.target_id not in {each.id for each in present}:
            days.forget(link, deps)
    days.let_go(day, deps)
    return state


def _read(day: Day, deps: Deps) -> tuple[list[Sale], list[Sale]]:
    """The complete sales of the day, and those that belonged to it before and do not any more."""
    heads = deps.till.sales_of_day(SaleKind.RECEIPT, day.date, [day.branch])
    with reading(deps.engine) as session:
        before = sales.links_of(session, deps.connection, LinkKind.DOCUMENT, [sale.id for sale in heads])
        summed = sales.summed_up_in(session, deps.connection, day.key)
    wanted = [sale.id for sale in heads if _is_of_day(before.get(sale.id))]
    present = deps.till.receipts(dict.fromkeys([*wanted, *summed]))
    mine = [sale for sale in present if _counts(sale, before.get(sale.id), day, deps)]
    kept = {sale.id for sale in mine}
    return mine, [sale for sale in present if sale.id in summed and sale.id not in kept]


def _is_of_day(link: Link | None) -> bool:
    return link is None or link.day is not None


def _counts(sale: Sale, link: Link | None, day: Day, deps: Deps) -> bool:
    if (sale.branch, sale.business_date) != (day.branch, day.date):
        return False
    if link is None:
        with reading(deps.engine) as session:
            return days.belongs(session, sale, bookings.find_other(session, sale, deps), deps)
    # A sale that was summed up stays so if the settings change back to a document per sale.
    settings = deps.settings.orders.model_copy(update={"summary": "day"})
    cards = deps.settings.mapping.gift_card_tenders
    return day_summary.is_summarised(drafts.mark(sale, deps), settings, cards) and days.is_bookable(sale, deps)


def _link(day: Day, state: _State, counted: Sequence[Sale], others: Sequence[Sale], deps: Deps) -> None:
    """Link every sale to the day's document, and release the events that wait for that."""
    with writing(deps.engine) as session:
        for sale in (*counted, *others):
            if (sale.branch, sale.business_date) == (day.branch, day.date):
                links.save(session, deps.connection, _to_link(sale, day, state, left_out=sale in others))
        woken = sales.raise_priority(session, deps.connection, [sale.id for sale in (*counted, *others)])
    deps.notify(woken)


def _to_link(sale: Sale, day: Day, state: _State, *, left_out: bool) -> Link:
    return Link(
        LinkKind.DOCUMENT,
        sale.id,
        state.target_entity,
        state.target_id,
        fingerprint=sale_identity.content(sale),
        detail={"number": sale.number, "total_cents": sale.total_incl_cents},
        status=BookingStatus.LEFT_OUT if left_out else BookingStatus.BOOKED,
        day=day.key,
    )


def _find(day: Day, deps: Deps) -> _State:
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, LinkKind.DAY, day.key)
    if link is None:
        return _State(DayTotals())
    kept = link.detail or {}
    pending = day_summary.from_json(kept["pending"]) if kept.get("pending") else None
    booked, sequence = day_summary.from_json(kept["booked"]), int(kept["sequence"])
    first = {"1": kept["booked"]} if sequence == (2 if pending else 1) else {}
    parts = {int(number): day_summary.from_json(part) for number, part in kept.get("parts", first).items()}
    return _State(booked, pending, sequence, link.target_entity, link.target_id, parts)


def _remember(day: Day, state: _State, deps: Deps, written: Sequence[BookedDocument] = ()) -> None:
    detail = {
        "booked": day_summary.to_json(state.booked),
        "pending": day_summary.to_json(state.pending) if state.pending else None,
        "sequence": state.sequence,
        "parts": {str(number): day_summary.to_json(part) for number, part in state.parts.items()},
        "documents": [[each.kind, each.id] for each in written],
    }
    known = Link(LinkKind.DAY, day.key, state.target_entity, state.target_id, detail=detail)
    deps.remember(known, *(_to_document_link(day, each) for each in written))


def _to_document_link(day: Day, document: BookedDocument) -> Link:
    detail = {"number": document.document_number, **bookings.seen(document.content)}
    key = f"{day.key}/{document.kind}/{document.id}"
    return Link(LinkKind.DAY_DOCUMENT, key, document.kind, document.id, document.sync_token, detail=detail, day=day.key)

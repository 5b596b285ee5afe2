"""The sales of daily summaries: which sales are summed up, and waiting until the day's document contains them."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import Session

from gateway.store import links, sales
from gateway.store.events import PENDING, Change, Event, Flow, State
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.result import Result, done, parked, waiting
from handlers.sales import bookings, documents, drafts, repairs, settlement
from mapping import sale_identity
from mapping.day_summary import Day, is_summarised
from mapping.messages import message
from mapping.records import Sale

ENTITY = "Day"
_AMSTERDAM = ZoneInfo("Europe/Amsterdam")
_PATIENCE = 30.0
_BUSY = frozenset({*PENDING, State.WORKING, State.PARKED})


def belongs(session: Session, sale: Sale, other: str | None, deps: Deps) -> bool:
    """Whether a sale without a link is to be booked in its day's document. `other`: it is booked as another record."""
    (marked,) = drafts.mark_all(session, [sale], deps)
    is_one = is_summarised(marked, deps.settings.orders, deps.settings.mapping.gift_card_tenders)
    return is_one and is_bookable(sale, deps) and other is None


def is_bookable(sale: Sale, deps: Deps) -> bool:
    """Whether the settings want this sale in the books now."""
    return sale_identity.find_refusal(sale, deps.settings.orders) is None


def hand_over(sale: Sale, link: Link | None, event: Event, deps: Deps) -> Result:
    """Done if the day's document contains the sale as it is; else request the summary of the day and wait."""
    day = Day(sale.branch, sale.business_date)
    before = Day.parse(link.day) if link and link.day else day
    # A summary that is parked continues when a person retries it.
    newest = deps.read(sales.newest_events, list(dict.fromkeys((day.key, before.key))))
    busy = {key for key, (_, state, _) in newest.items() if state in _BUSY}
    idle = [each for each in dict.fromkeys((day, before)) if each.key not in busy]
    if link and before == day and link.fingerprint == sale_identity.content(sale):
        if event.source not in bookings.PEOPLE or (idle and is_complete(day, deps)):
            return _ended(sale, link, deps)
        deps.say("its day is looked at again: something of it was removed in QuickBooks", day=day.key)
    changes = tuple(to_change(each, sale, event, deps) for each in idle)
    wait = max(seconds_until_close(day, deps), 0.0) + _PATIENCE
    return waiting(message("waits for the document of its day, {key}", key=day.key), wait, changes=changes)


def _ended(sale: Sale, link: Link, deps: Deps) -> Result:
    if link.status is not BookingStatus.LEFT_OUT or not is_bookable(sale, deps):
        return done(
            message("summed up in the document of {key}", key=link.day),
            target_entity=link.target_entity,
            target_id=link.target_id,
        )
    return parked(
        message(
            "{record} was summed up in the document of its day and is now of a kind that is not",
            record=sale_identity.name_record(sale),
        ),
        code="changed-after-booking",
        record=bookings.name_document(link),
        fix="its amounts were taken out of the day; book it in QuickBooks by hand, then ignore this event",
        target_entity=link.target_entity,
        target_id=link.target_id,
    )


def seconds_until_close(day: Day, deps: Deps) -> float:
    """How long the day is still open: it closes on the next morning, in the shop's time zone."""
    closing = time.fromisoformat(deps.settings.orders.day_closes)
    moment = datetime.combine(day.date + timedelta(days=1), closing, _AMSTERDAM)
    return (moment - deps.now()).total_seconds()


def to_change(day: Day, sale: Sale, event: Event, deps: Deps) -> Change:
    version = sale_identity.content(sale)[:12]
    return Change(
        key=f"day:{deps.connection}:{day.key}:{sale.id}:{version}:{event.id}:{deps.now():%Y%m%d%H%M}",
        flow=Flow.ORDERS,
        source=event.source if event.source in bookings.PEOPLE else "gateway",
        entity=ENTITY,
        entity_id=day.key,
        connection=deps.connection,
        order_id=day.key,
        hint=json.dumps({"because": sale.number}),
        careful=True,
    )


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


def let_go(day: Day, deps: Deps) -> None:
    """Remove links of payments that are gone and not posted again, because another one settles their document."""
    for link in find_documents(day, deps):
        for key in _lost_payments(link, deps):
            deps.forget(LinkKind.PAYMENT, key)


def forget(link: Link, deps: Deps) -> None:
    """Remove the link of a document that is gone; the payments on it are searched by their notes."""
    for key in settlement.posted_on(link.target_entity, link.target_id, deps):
        deps.forget(LinkKind.PAYMENT, key)
    deps.forget(LinkKind.DAY_DOCUMENT, link.source_id)

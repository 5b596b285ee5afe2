"""One sale: what the till has, its document in the books, what is to be done, and the log for technicians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import journal, links, sale_contents, sales_list, views
from gateway.store.events import OPEN, PENDING, Event, Flow, State
from gateway.store.links import Link, LinkKind
from gateway.store.sales import SaleStatus
from gateway.web import actions, queries, services
from gateway.web.dashboard import sales
from gateway.web.dashboard.events import find_reason
from gateway.web.dashboard.rendering import NOT_SENT, SentForm, render
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor
from gateway.web.visitors import refuse_others
from mapping.side_by_side import SaleSide, SideChange, SideComparison, compare, find_changes

_EVENTS = 20
_MISSING = "there is no such sale"


@dataclass(frozen=True, slots=True)
class _Version:
    """A version of one side, and what it has otherwise than the one before it."""

    version: sale_contents.SideVersion
    changes: tuple[SideChange, ...]


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both sides of a sale as they are known now, compared if they can be; `day` is the day's document it is in.

    `is_comparable`: the sums of both are known, and the document is this sale's. `versions` are those of a side that
    changed, newest first; `payments` are on the document.
    """

    till: SaleSide | None
    books: SaleSide | None
    comparison: SideComparison | None
    versions: Mapping[str, list[_Version]]
    payments: list[Link]
    day: str | None
    is_comparable: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """A sale, the event that says what became of it, that event's log, and all its events, newest first."""

    sale: sales_list.ListedSale
    event: Event | None
    log: list[journal.Entry]
    events: list[Event]
    sides: _Sides

    @property
    def is_moving(self) -> bool:
        """Whether an event about it will change the page soon."""
        return any(each.state in (State.RECEIVED, State.WORKING) for each in self.events)


async def show_sale(request: Request, visitor: Visitor, sent: SentForm = NOT_SENT) -> Response:
    found = await _read(request, visitor)
    row, event = found.sale.row, found.event
    names = await services.names_of(request)
    return render(
        request,
        "sale.html",
        sent,
        sale=found.sale,
        row=row,
        events=found.events,
        log=found.log,
        moving=found.is_moving,
        sides=found.sides,
        names=list(names),
        address=sales.find_address_of(services.of(request).settings, found.sale),
        can_retry=event is not None and event.state in (State.PARKED, State.WAITING, State.UNCERTAIN),
        can_ignore=event is not None and event.state in (*PENDING, State.PARKED),
    )


async def _read(request: Request, visitor: Visitor) -> _Found:
    sale_id = queries.to_id(request.path_params["id"])

    def look(session: Session) -> _Found:
        row = sales_list.find_one(session, sale_id)
        if row is None:
            raise Refusal(404, _MISSING)
        refuse_others(visitor, row.connection, _MISSING)
        subject = f"{row.connection}/{Flow.ORDERS}/{row.kind}/{row.sale_id}"
        events = views.events_about(session, subject, limit=_EVENTS)
        event = views.find_event(session, row.event_id) if row.event_id else next(iter(events), None)
        if event and event.id not in {each.id for each in events}:
            events = sorted([event, *events], key=lambda each: -each.id)
        log = journal.of_event(session, event.id) if event else []
        link = links.find(session, row.connection, LinkKind.DOCUMENT, row.sale_id)
        is_told = event is not None and event.state in OPEN
        sale = sales_list.ListedSale(
            row,
            event.reason if event else None,
            event.fix if event and is_told else None,
            event.messages if event else None,
            link.status if link else None,
        )
        return _Found(sale, event, log, events, _find_sides(session, sale, link))

    return await services.of(request).read(look)


def _find_sides(session: Session, sale: sales_list.ListedSale, link: Link | None) -> _Sides:
    row = sale.row
    known = sale_contents.find(session, row.connection, row.sale_id)
    till, books = (known[name][-1].side if known[name] else None for name in sale_contents.SideName)
    day = link.day if link else None
    comparison, payments = None, []
    is_there = not (day or sale.is_document_gone or row.status == SaleStatus.VOIDED)
    if till and books and is_there:
        numbers = sorted({line.code for line in till.lines if line.code})
        items = links.find_all(session, row.connection, LinkKind.ARTICLE, numbers) if numbers else {}
        comparison = compare(till, books, {number: each.target_id for number, each in items.items()})
    if row.document_id:
        under = f"{row.document_entity}/{row.document_id}/"
        payments = links.find_under(session, row.connection, LinkKind.PAYMENT, under)
    versions = {}
    for name, found in known.items():
        if len(found) > 1:
            changed = [(), *(find_changes(before.side, after.side) for before, after in pairwise(found))]
            versions[str(name)] = list(map(_Version, reversed(found), reversed(changed)))
    is_comparable = is_there and None not in (row.amount_cents, row.document_cents)
    return _Sides(till, books, comparison, versions, payments, day, is_comparable)


async def do_action(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    found, shared = await _read(request, visitor), services.of(request)
    row, reason = found.sale.row, queries.find_text(form, "reason")
    match request.path_params["action"], found.event:
        case "resend" | "preview" as action, _:
            dry_run = action == "preview"
            called = (await services.names_of(request)).get(row.connection)
            wanted = actions.Resend(row.sale_id, actor=visitor.actor, dry_run=dry_run, reason=reason, connection=called)
            event_id = await actions.resend(shared, wanted)
            return RedirectResponse(f"/preview/{event_id}" if dry_run else f"/sales/{row.id}", 303)
        case "retry", Event() as event:
            await actions.retry(shared, event.id, actor=visitor.actor, reason=reason)
        case "ignore", Event() as event:
            try:
                why = find_reason(form)
            except Refusal as refusal:
                return await show_sale(request, visitor, SentForm({}, {"reason": refusal.reason}, refusal.status))
            await actions.ignore(shared, event.id, actor=visitor.actor, reason=why)
        case _:
            raise Refusal(404, "there is no such button")
    return RedirectResponse(f"/sales/{row.id}", 303)

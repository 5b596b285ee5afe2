"""The list of sales, found by what a person has in hand, the same as CSV; and one sale, with both its sides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import Any, Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.database.sql import Page
from gateway.queries import activity, sales
from gateway.queries.sales import ListedSale, SaleFilter, SalePosition, SalesTotal
from gateway.settings import Settings
from gateway.store import audit, counts, links
from gateway.store.events import OPEN, PENDING, Event, Flow, State
from gateway.store.links import Link, LinkKind
from gateway.store.sales import KINDS as SOURCES
from gateway.store.sales import SaleStatus, SideName
from gateway.store.tables import SaleRow
from gateway.web import actions, inputs, services
from gateway.web.access import chosen_language, refuse_others
from gateway.web.dashboard import charts, rendering
from gateway.web.dashboard.events import find_reason
from gateway.web.dashboard.rendering import CSV_PAGE, NOT_SENT, CsvStyle, Rows, SentForm, defuse, render, to_older
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping.messages import message
from mapping.side_by_side import compare, find_changes

COLUMNS: Final = (
    *("number", "day", "connection", "location", "location_name", "customer", "amount", "vat", "tenders"),
    *("state", "document", "document_number", "document_id", "kind", "till_id"),
)
FIELDS: Final = (
    *("q", "from", "through", "connection", "branch", "state", "lowest", "highest", "cause", "tender"),
    "source",
)
_DAYS: Final = ("from", "through")
_AMOUNTS: Final = ("lowest", "highest")
SUMMED: Final = timedelta(days=92)
"""The longest period whose sales are summed for a page."""


async def show_sales(request: Request, visitor: Visitor) -> Response:
    faults = find_faults(request.query_params)
    shared, wanted = services.of(request), await _read_filter(request, without=faults)
    names = await services.names_of(request)
    connection = wanted.connection or (next(iter(names)) if len(names) == 1 else None)

    def look(session: Session) -> dict[str, Any]:
        found: dict[str, Any] = {
            "page": Page((), None),
            "branches": sales.branches(session, connection) if connection else [],  # clear of which connection
            "tenders": sales.tenders(session) if visitor.connection is None else [],
            "total": None,
            "chart": None,
            "locations": {},
        }
        if faults:
            return found
        searched = sales.search(session, wanted)
        total, booked = _add_up(session, searched)
        chart = _to_chart(request, booked, wanted, names) if booked and booked.days else None
        page = sales.find(session, searched)
        locations = sales.name_locations(session, (each.row for each in page.rows))
        return found | {"page": page, "total": total, "chart": chart, "locations": locations}

    found = await shared.read(look)
    query = {name: request.query_params[name] for name in FIELDS if request.query_params.get(name)}
    last = found["page"].next
    return render(
        request,
        "sales.html",
        status=400 if faults else 200,
        faults=faults,
        **found,
        wanted=wanted,
        query=query,
        address=lambda sale: find_address_of(shared.settings, sale),
        older=to_older("/sales", query, f"{last.day.isoformat()}.{last.id}" if last else None),
        csv=f"/sales.csv?{rendering.to_csv_query(request, query)}",
    )


def _is_short(wanted: SaleFilter) -> bool:
    """Whether the filter bounds how many rows a sum reads."""
    if wanted.after is not None:
        return False
    return bool(wanted.q or (wanted.start and wanted.through and wanted.through - wanted.start <= SUMMED))


def _add_up(session: Session, wanted: SaleFilter) -> tuple[SalesTotal | None, charts.BookedDays | None]:
    """The sums of the filter and of its days; without a filter of the last days, from what is added up already.

    There is a total only within a few months.
    """
    if _is_short(wanted):
        found = sales.sum_up(session, wanted, SaleRow.day)
        total = sum(found.values(), SalesTotal())
        cents = {(day, wanted.connection or "", counts.NO_BRANCH): each.booked_cents for day, each in found.items()}
        last = wanted.through or max(found, default=None)
        first = wanted.start or min(found, default=None)
        days = charts.find_days(max(first, last - SUMMED), last) if first and last else ()
        return total, charts.BookedDays(days, cents, {})
    if wanted != SaleFilter(connection=wanted.connection, branch=wanted.branch):
        return None, None
    booked = charts.read_booked(session, wanted.connection)
    mine = {key: cents for key, cents in booked.cents.items() if wanted.branch in (None, key[2])}
    return None, replace(booked, cents=mine)


def _to_chart(
    request: Request, booked: charts.BookedDays, wanted: SaleFilter, names: Mapping[str, str]
) -> charts.Chart:
    """What of the filtered sales is booked on each day; by location where nothing else is asked for."""
    if not _is_short(wanted):
        return charts.to_booked(request, booked, names)
    words = partial(catalogue.translate, chosen_language(request))
    cents = {(day, words("booked")): amount for (day, _, _), amount in booked.cents.items()}
    return charts.to_stacked(
        request, "booked", words("Booked per day, of these sales"), cents, booked.days, unit="cents"
    )


async def download_sales(request: Request, _visitor: Visitor) -> Response:
    wanted, names = await _read_filter(request), await services.names_of(request)
    style = rendering.find_csv_style(request)

    def read(session: Session, after: SalePosition | None) -> tuple[Rows, SalePosition | None]:
        page = sales.find(session, replace(wanted, after=after), limit=CSV_PAGE)
        locations = sales.name_locations(session, (each.row for each in page.rows))
        return [to_cells(sale, names, locations, style) for sale in page.rows], page.next

    return await rendering.to_download(request, "sales.csv", COLUMNS, read)


def to_cells(
    sale: ListedSale,
    names: Mapping[str, str],
    locations: Mapping[tuple[str, int | None], str | None],
    style: CsvStyle,
) -> list[str]:
    """The cells of one sale. Texts of people begin no formula."""
    row = sale.row
    location = row.branch_name or locations.get((row.connection, row.branch))
    tenders = "; ".join(f"{name} {style.show(cents)}" for name, cents in sale.tenders)
    texts = (names.get(row.connection, row.connection), "" if row.branch is None else str(row.branch))
    return [
        *(defuse(text or "") for text in (row.number, row.day.isoformat(), *texts, location, row.customer)),
        *(style.show(cents) for cents in (row.amount_cents, row.vat_cents)),
        *(defuse(text or "") for text in (tenders, row.status, row.document_entity, row.document_number)),
        *(defuse(text or "") for text in (row.document_id, row.kind, row.sale_id)),
    ]


# --- the filter, as an address has it and as the store takes it -------------------------------------------------


class SaleSource(StrEnum):
    """The kinds of sales that have a row, as the inbox calls them."""

    RECEIPT = SOURCES[0]
    INVOICE = SOURCES[1]


def find_faults(given: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the days and amounts of a filter, by field."""
    read: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, find in (*((day, inputs.find_day) for day in _DAYS), *((sum_, _find_amount) for sum_ in _AMOUNTS)):
        try:
            read[name] = find(given, name) if given.get(name) else None
        except Refusal as refusal:
            faults[name] = refusal.reason
    for (low, high), said in ((_DAYS, "this day lies before the first one"), (_AMOUNTS, "this is less than the first")):
        first, last = read.get(low), read.get(high)
        if first is not None and last is not None and last < first:
            faults[high] = said
    return faults


async def _read_filter(request: Request, without: Collection[str] = ()) -> SaleFilter:
    """The filter of the address. Raises `Refusal` 400."""
    given = {name: value for name, value in request.query_params.items() if name not in without}
    filled = inputs.only_filled(given)
    q = inputs.find_text(filled, "q")
    return SaleFilter(
        start=inputs.find_day(filled, "from"),
        through=inputs.find_day(filled, "through"),
        connection=await services.find_key(request, inputs.find_text(filled, "connection")),
        branch=inputs.find_number(filled, "branch"),
        status=inputs.find_choice(filled, "state", SaleStatus),
        lowest=_find_amount(filled, "lowest"),
        highest=_find_amount(filled, "highest"),
        cause=inputs.find_text(filled, "cause"),
        tender=inputs.find_text(filled, "tender"),
        kind=inputs.find_choice(filled, "source", SaleSource),
        q=q,
        q_cents=catalogue.to_cents(q) if q else None,
        after=_find_position(filled),
    )


def _find_amount(given: Mapping[str, Any], name: str) -> int | None:
    text = inputs.find_text(given, name)
    cents = catalogue.to_cents(text) if text else None
    if text and cents is None:
        raise Refusal(400, message("{name} should be an amount such as 12,50", name=message(name)))
    return cents


def _find_position(given: Mapping[str, Any]) -> SalePosition | None:
    text = inputs.find_text(given, "after")
    if text is None:
        return None
    day, _, number = text.partition(".")
    try:
        return SalePosition(date.fromisoformat(day), inputs.find_cursor({"after": number}) or 0)
    except ValueError:
        raise Refusal(400, "after should be the cursor of a page") from None


def find_address_of(settings: Settings, sale: ListedSale) -> str | None:
    """Where QuickBooks shows the document of a sale; None for one that is deleted there."""
    if sale.is_document_gone:
        return None
    return rendering.find_address(settings, sale.row.document_entity, sale.row.document_id)


# --- one sale: both its sides, what is to be done, and the log for technicians ---------------------------------------


_EVENTS = 20
_MISSING = "there is no such sale"


@dataclass(frozen=True, slots=True)
class _Found:
    """A sale, the event that says what became of it, that event's log, and all its events, newest first."""

    sale: sales.ListedSale
    event: Event | None
    log: list[audit.Entry]
    events: list[Event]
    sides: Mapping[str, Any]
    location: str | None


async def show_sale(request: Request, visitor: Visitor, sent: SentForm = NOT_SENT) -> Response:
    found = await _read(request, visitor)
    row, event = found.sale.row, found.event
    return render(
        request,
        "sale.html",
        sent,
        sale=found.sale,
        row=row,
        events=found.events,
        log=found.log,
        moving=any(each.state in (State.RECEIVED, State.WORKING) for each in found.events),
        sides=found.sides,
        location=found.location,
        address=find_address_of(services.of(request).settings, found.sale),
        can_retry=event is not None and event.state in (State.PARKED, State.WAITING, State.UNCERTAIN),
        can_ignore=event is not None and event.state in (*PENDING, State.PARKED),
    )


async def _read(request: Request, visitor: Visitor) -> _Found:
    sale_id = inputs.to_id(request)

    def look(session: Session) -> _Found:
        row = sales.find_one(session, sale_id)
        if row is None:
            raise Refusal(404, _MISSING)
        refuse_others(visitor, row.connection, _MISSING)
        subject = f"{row.connection}/{Flow.ORDERS}/{row.kind}/{row.sale_id}"
        events = activity.find_about(session, subject, limit=_EVENTS)
        event = activity.find_event(session, row.event_id) if row.event_id else next(iter(events), None)
        if event and event.id not in {each.id for each in events}:
            events = sorted([event, *events], key=lambda each: -each.id)
        log = activity.read_log(session, event.id) if event else []
        link = links.find(session, row.connection, LinkKind.DOCUMENT, row.sale_id)
        is_told = event is not None and event.state in OPEN
        sale = sales.ListedSale(
            row,
            event.reason if event else None,
            event.fix if event and is_told else None,
            event.messages if event else None,
            link.status if link else None,
        )
        location = row.branch_name or sales.name_locations(session, [row]).get((row.connection, row.branch))
        return _Found(sale, event, log, events, _find_sides(session, sale, link), location)

    return await services.of(request).read(look)


def _find_sides(session: Session, sale: sales.ListedSale, link: Link | None) -> dict[str, Any]:
    """Both sides of a sale as they are known now, compared if they can be; `day` is the day's document it is in.

    `is_comparable`: the sums of both are known, and the document is this sale's. `versions` are those of a side that
    changed, newest first, each with what it has otherwise than the one before it; `payments` are on the document.
    """
    row = sale.row
    known = sales.find_sides(session, row.connection, row.sale_id)
    till, books = (known[name][-1].side if known[name] else None for name in SideName)
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
            versions[str(name)] = list(zip(reversed(found), reversed(changed), strict=True))
    return {
        "till": till,
        "books": books,
        "comparison": comparison,
        "versions": versions,
        "payments": payments,
        "day": day,
        "is_comparable": is_there and None not in (row.amount_cents, row.document_cents),
    }


async def do_action(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    found, shared = await _read(request, visitor), services.of(request)
    row, reason = found.sale.row, inputs.find_text(form, "reason")
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

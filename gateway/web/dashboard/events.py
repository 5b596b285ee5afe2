"""What happened: the events with their filters and actions, and the trail of what people did, also as CSV."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.queries import activity, todo
from gateway.store import audit, requests, users
from gateway.store.events import PENDING, SESSION, Event, Flow, State
from gateway.store.sales import AMSTERDAM
from gateway.web import actions, api, inputs, services
from gateway.web.access import refuse_others
from gateway.web.dashboard import preview, rendering
from gateway.web.dashboard.rendering import render, to_older
from gateway.web.inputs import Refusal
from gateway.web.sessions import DASHBOARD, Visitor


async def show_events(request: Request, _visitor: Visitor) -> Response:
    wanted = inputs.to_filter(request.query_params)
    page = await services.of(request).read(lambda session: activity.find_events(session, wanted))
    query = to_query(wanted)
    older = to_older("/events", query, page.next)
    return render(request, "events.html", page=page, wanted=wanted, older=older, query=query)


async def retry_events(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    wanted = inputs.to_filter(form)
    await actions.retry_all(services.of(request), wanted, actor=visitor.actor)
    query = {name: value for name, value in to_query(wanted).items() if name != "state"}
    return RedirectResponse(f"/events?{urlencode(query)}", 303)


def to_query(wanted: activity.Filter) -> dict[str, str]:
    """The filter as a query string, without its cursor."""
    names = ("state", "flow", "connection", "code", "q")
    return {name: str(value) for name in names if (value := getattr(wanted, name))}


async def show_event(request: Request, visitor: Visitor) -> Response:
    """The event with its whole log, and the page that shows its result better than JSON does."""
    event, log = await _read(request, visitor)
    readable = f"/agreement/{event.id}" if event.entity == requests.AGREEMENT else None
    if preview.is_preview(event):
        readable = f"/preview/{event.id}"
    return render(
        request,
        "event.html",
        event=event,
        log=log,
        hint=api.events.parse(event.hint),
        result=api.events.parse(event.result),
        can_retry=event.state != State.WORKING,
        can_ignore=event.state in (*PENDING, State.PARKED),
        can_resend=is_order(event),
        preview_choice=preview.find_choice(event) if preview.can_preview(event) and event.flow != Flow.ORDERS else None,
        readable=readable,
    )


def is_order(event: Event) -> bool:
    """Whether an event is about one order (or a day of them): a sale, or a document in the books made of one."""
    named = event.entity in requests.RUNNABLE - {SESSION} or event.order_id is not None
    return event.flow == Flow.ORDERS and event.connection is not None and named and event.code != requests.UNKNOWN_ORDER


async def _read(request: Request, visitor: Visitor) -> tuple[Event, list[audit.Entry]]:
    event, log = await api.events.read_event(request, inputs.to_id(request))
    refuse_others(visitor, event.connection, "there is no such event")
    return event, log


async def do_action(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    action, shared = request.path_params["action"], services.of(request)
    if action not in {"retry", "ignore", "resend", "dry-run"}:
        raise Refusal(404, "there is no such button")
    event, _ = await _read(request, visitor)
    match action:
        case "retry":
            await actions.retry(shared, event.id, actor=visitor.actor)
        case "ignore":
            await actions.ignore(shared, event.id, actor=visitor.actor, reason=find_reason(form))
        case _ if not is_order(event):
            raise Refusal(409, "this event is about no order: there is nothing to resend")
        case _:
            wanted = actions.Resend(
                event.order_id or event.entity_id,
                actor=visitor.actor,
                dry_run=action == "dry-run",
                reason=inputs.find_text(form, "reason"),
                connection=event.connection,
            )
            asked = await actions.resend(shared, wanted)
            return RedirectResponse(f"/preview/{asked}" if wanted.dry_run else f"/events/{asked}", 303)
    return RedirectResponse(f"/events/{event.id}", 303)


def find_reason(form: dict[str, str]) -> str:
    """Why something is ignored. Raises `Refusal` 400 without it."""
    reason = (inputs.find_text(form, "reason") or "").strip()
    if not reason:
        raise Refusal(400, "say why it is ignored: whoever looks at it later needs the reason")
    return reason


# --- what people did -------------------------------------------------------------------------------------------------


PAGE: Final = 50
FIELDS: Final[tuple[str, ...]] = ("who", "what", "from", "through")
COLUMNS: Final = ("at", "who", "what", "target", "reason")


async def show_actions(request: Request, visitor: Visitor) -> Response:
    given = inputs.only_filled(request.query_params)
    before, wanted = inputs.find_cursor(given), _to_filter(given)

    def look(session: Session) -> dict[str, Any]:
        mine = _confine(session, visitor)
        seen = dataclasses.replace(wanted, within=mine)
        rows, following = todo.find_actions(session, seen, before=before, limit=PAGE)
        people = sorted(actor for actor, _ in mine) if mine is not None else todo.find_actors(session)
        return {"rows": rows, "following": following, "actors": people}

    found = await services.of(request).read(look)
    query = {name: given[name] for name in FIELDS if name in given}
    return render(
        request,
        "audit.html",
        rows=found["rows"],
        actors=found["actors"],
        query=query,
        older=to_older("/audit", query, found["following"]),
        csv=f"/audit.csv?{rendering.to_csv_query(request, query)}",
    )


async def download_actions(request: Request, visitor: Visitor) -> Response:
    """The actions of the filter as CSV, all pages of it; kinds and texts as they are stored."""
    given = inputs.only_filled(request.query_params)
    wanted = _to_filter(given)

    def read(session: Session, after: int | None) -> tuple[rendering.Rows, int | None]:
        confined = dataclasses.replace(wanted, within=_confine(session, visitor))
        found, following = todo.find_actions(session, confined, before=after, limit=rendering.CSV_PAGE)
        rows = []
        for row in found:
            texts = (row.actor.removeprefix(f"{DASHBOARD}: "), row.action, row.target, row.reason)
            rows.append([api.events.to_time(row.at) or "", *(rendering.defuse(text or "") for text in texts)])
        return rows, following

    return await rendering.to_download(request, "audit.csv", COLUMNS, read)


def _to_filter(given: Mapping[str, str]) -> todo.AuditFilter:
    first, last = inputs.find_day(given, "from"), inputs.find_day(given, "through")
    return todo.AuditFilter(
        actor=inputs.find_text(given, "who"),
        action=inputs.find_text(given, "what"),
        start=datetime.combine(first, time(), AMSTERDAM) if first else None,
        end=datetime.combine(last + timedelta(days=1), time(), AMSTERDAM) if last else None,
    )


def _confine(session: Session, visitor: Visitor) -> list[tuple[str, datetime]] | None:
    """For visitors of one connection: what its people did, and not what a removed person of the same name did."""
    if visitor.connection is None:
        return None
    return [(f"{DASHBOARD}: {name}", since) for name, since in users.members(session, visitor.connection)]

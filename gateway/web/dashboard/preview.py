"""The preview of a record: choose one, wait for the worker that reads both systems, then read what would be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import progress, records, requests, systems, views
from gateway.store.events import SETTLED, Event, Flow
from gateway.store.requests import Side
from gateway.web import api, queries, services, setups
from gateway.web.api import previews
from gateway.web.dashboard import preview_results, rendering
from gateway.web.dashboard.records import name_branches
from gateway.web.dashboard.rendering import NOT_SENT, SentForm, render
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor
from gateway.web.visitors import refuse_others
from mapping.choices import ListName

ITEM = "Item"
_PEOPLE: Final[Mapping[str, str]] = {"Relation": Flow.CUSTOMERS, "Customer": previews.OF_BOOKS}
_SEEN_AS: Final = {"Relation": "relation:", "Customer": "customer:"}
_RECENT, _LOOKED_AT = 5, 60
_MISSING = "there is no such preview"


async def show_form(request: Request, visitor: Visitor, sent: SentForm = NOT_SENT) -> Response:
    """What to preview: typed, or one of the latest records."""
    given = sent.typed or request.query_params
    names = list(await services.names_in_use(request))

    def look(session: Session) -> tuple[dict[Flow, Sequence[Event]], dict[int, str]]:
        found = {flow: find_recent(session, flow, visitor.connection) for flow in previews.PREVIEWED}
        events = [event for of_flow in found.values() for event in of_flow]
        keys = {each.id: (each.connection or "", _SEEN_AS.get(each.entity, "") + each.entity_id) for each in events}
        known = records.find_names(session, set(keys.values()))
        for connection in {each.connection or "" for each in found[Flow.CATEGORIES]}:
            listed = systems.read_lists(session, connection).get(ListName.CATEGORIES)
            known |= {(connection, option.id): option.name for option in listed.options} if listed else {}
        return found, {event_id: known[key] for event_id, key in keys.items() if key in known}

    recent, called_so = await services.of(request).read(look)
    asked = {name: given.get(name, "") for name in ("connection", "flow", "by", "record")}
    return render(
        request,
        "preview_form.html",
        sent,
        names=names,
        recent=recent,
        names_of=called_so,
        asked=asked,
        choice_of=find_choice,
    )


def find_recent(session: Session, flow: Flow, connection: str | None = None) -> Sequence[Event]:
    """The last few records of a flow, each once, newest first."""
    found = views.find_events(session, views.Filter(flow=flow, connection=connection, limit=_LOOKED_AT)).rows
    # In this order a later one of the same record would win, so the oldest goes first.
    once = {(event.connection, event.entity, event.entity_id): event for event in reversed(found) if can_preview(event)}
    return sorted(once.values(), key=lambda event: -event.id)[:_RECENT]


def can_preview(event: Event) -> bool:
    if event.connection is None:
        return False
    if event.flow == Flow.ORDERS:
        return event.entity in requests.RUNNABLE - {requests.SESSION}
    return find_choice(event) is not None


def find_choice(event: Event) -> str | None:
    """Which of a form's choices an event's record is, if it is any."""
    if event.flow == Flow.CUSTOMERS:
        return _PEOPLE.get(event.entity)
    return event.flow if event.flow == Flow.ORDERS or event.entity == ITEM else None


async def ask_preview(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    shared = services.of(request)
    names = list(await services.names_of(request))
    connection = queries.find_text(form, "connection") or (names[0] if len(names) == 1 else None)
    if connection is None:
        raise Refusal(409, "name the connection" if names else "nothing is connected yet")
    if not form.get("record", "").strip():
        return await show_form(request, visitor, SentForm(form, {"record": setups.MISSING}, 400))
    try:
        wanted = previews.to_request(previews.from_form(form), connection=connection, actor=visitor.actor)
    except Refusal as refusal:
        return await show_form(request, visitor, SentForm(form, {"record": refusal.reason}, refusal.status))
    return RedirectResponse(f"/preview/{await previews.ask(shared, wanted)}", 303)


async def show_preview(request: Request, visitor: Visitor) -> Response:
    """What would be done, or that it is still being looked at: of the event, or the one that its look-up became."""
    event_id = queries.to_id(request.path_params["id"])

    def look(session: Session) -> Event | None:
        event = views.find_event(session, event_id)
        following_id = progress.find_next(session, event) if event and event.state in SETTLED else None
        return views.find_event(session, following_id) if following_id else event

    event = await services.of(request).read(look)
    if event is None or not is_preview(event):
        raise Refusal(404, _MISSING)
    refuse_others(visitor, event.connection, _MISSING)
    hint = api.events.parse(event.hint)
    asked = hint if isinstance(hint, dict) else {}
    return render(
        request,
        "preview.html",
        event=event,
        waiting=event.state not in SETTLED,
        found=preview_results.read(event),
        branches=await services.of(request).read(lambda session: name_branches(session, event.connection or "")),
        raw=api.events.parse(event.result),
        is_trial=requests.SETTINGS in asked,
        by=asked.get("by", "id"),
        choice=previews.OF_BOOKS if event.flow == Flow.CUSTOMERS and asked.get("side") == Side.BOOKS else event.flow,
        asked_for=asked.get("record")
        or (rendering.to_record({}, event) if event.flow == Flow.ORDERS else event.entity_id),
    )


def is_preview(event: Event) -> bool:
    """Whether an event is a preview: of a record of the books, or an order's dry run."""
    return event.entity == requests.PREVIEW or event.subject.endswith(requests.DRY)

"""The admin API about events, orders and people: what happened, retry, ignore, resend, hand out, erase; as JSON."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.database.sql import Page
from gateway.privacy import people
from gateway.queries import activity
from gateway.store import audit, connections, links
from gateway.store.audit import Entry
from gateway.store.events import Event, State
from gateway.web import actions, inputs, services
from gateway.web.access import ADMIN
from gateway.web.inputs import Refusal
from gateway.web.services import Services
from mapping import messages

# No more is asked than what keeps a search for it from matching half the table.
WHO: Final = r"^([^@\s]{1,99}@[^@\s]{1,99}|(relation|customer):[0-9A-Za-z]{1,40})$"
_WHO = re.compile(WHO)
PERSON_ACTIONS: Final = ("export", "erase")
_ALWAYS = ("id", "connection", "flow", "source", "entity", "entity_id", "state", "reason", "attempts")
_WHEN_KNOWN = ("account", "operation", "code", "record", "field", "fix", "order_id", "sku", "email")


async def list_events(request: Request) -> Response:
    wanted = inputs.to_filter(request.query_params)
    page = await services.of(request).read(lambda session: activity.find_events(session, wanted))
    return JSONResponse(to_list(page, await services.names_of(request)))


async def show_event(request: Request) -> Response:
    return JSONResponse(await find_detail(request, inputs.to_id(request)))


async def find_detail(request: Request, event_id: int) -> dict[str, object]:
    """The event as the API shows it. Raises `Refusal` 404."""
    event, log = await read_event(request, event_id)
    return to_detail(event, log, await services.names_of(request))


async def read_event(request: Request, event_id: int) -> tuple[Event, list[Entry]]:
    """The event and its log. Raises `Refusal` 404."""
    return await services.of(request).read(
        lambda session: (actions.get_event(session, event_id), activity.read_log(session, event_id))
    )


async def answer(request: Request, event_id: int, *, seconds: float) -> Response:
    """What somebody asked for: 200 with its event if that is settled in time, else 202 and where to look."""
    settled, event_id = await actions.wait_until_settled(services.of(request), event_id, seconds=seconds)
    headers = {"Location": f"/admin/events/{event_id}"}
    return JSONResponse(await find_detail(request, event_id), 200 if settled else 202, headers=headers)


async def retry_event(request: Request) -> Response:
    event_id = inputs.to_id(request)
    reason = inputs.find_text(await read_json(request, "reason"), "reason")
    event = await actions.retry(services.of(request), event_id, actor=ADMIN, reason=reason)
    content = to_event(event, await services.names_of(request))
    return JSONResponse(content, 202, headers={"Location": f"/admin/events/{event_id}"})


async def ignore_event(request: Request) -> Response:
    event_id = inputs.to_id(request)
    reason = inputs.find_text(await read_json(request, "reason"), "reason")
    event = await actions.ignore(services.of(request), event_id, actor=ADMIN, reason=reason)
    return JSONResponse(to_event(event, await services.names_of(request)))


async def retry_events(request: Request) -> Response:
    # The filter may stand in the address as well.
    given = inputs.only(dict(request.query_params) | await _read_object(request), *inputs.FILTER, "reason")
    wanted, reason = inputs.to_filter(given), inputs.find_text(given, "reason")
    ids, more = await actions.retry_all(services.of(request), wanted, actor=ADMIN, reason=reason)
    return JSONResponse({"retried": len(ids), "ids": ids, "more": more}, 202)


async def read_json(request: Request, *names: str) -> Mapping[str, Any]:
    """A JSON object with nothing but these members; an empty body is an empty object. Raises `Refusal` 400."""
    return inputs.only(await _read_object(request), *names)


async def _read_object(request: Request) -> dict[str, Any]:
    body = await inputs.read_body(request, limit=inputs.LARGEST_FORM)
    if not body.strip():
        return {}
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise Refusal(400, "the body is not a JSON object")
    return content


async def show_order(request: Request) -> Response:
    order = to_order(request)

    def look(session: Session) -> tuple[list[Event], list[dict[str, Any]]]:
        events = activity.find_order(session, order)
        ids = sorted({order} | {event.entity_id for event in events} | {e.order_id for e in events if e.order_id})
        called = connections.display_names(session)
        documents = [
            {
                "connection": called[name],
                "source_id": link.source_id,
                "target": {"entity": link.target_entity, "id": link.target_id},
            }
            for name in connections.names(session)
            for link in links.find_all(session, name, links.LinkKind.DOCUMENT, ids).values()
        ]
        return events, documents

    events, documents = await services.of(request).read(look)
    if not events and not documents:
        raise Refusal(404, "no event and no document here has this order id or number; a resend would ask the till")
    names = await services.names_of(request)
    return JSONResponse({"id": order, "events": [to_event(each, names) for each in events], "documents": documents})


async def resend_order(request: Request) -> Response:
    """404 when the order is unknown to the gateway, the till and the books."""
    shared = services.of(request)
    given = await read_json(request, "dry_run", "reason", "connection")
    wanted = actions.Resend(
        order=to_order(request),
        actor=ADMIN,
        dry_run=inputs.find_switch(given, "dry_run"),
        reason=inputs.find_text(given, "reason"),
        connection=inputs.find_text(given, "connection"),
    )
    seconds = actions.find_seconds(request)
    began = time.monotonic()
    event_id = await actions.resend(shared, wanted, seconds=seconds or actions.LOOKUP_SECONDS)
    return await answer(request, event_id, seconds=seconds - (time.monotonic() - began))


def to_order(request: Request) -> str:
    """The order id of the address. Raises `Refusal` 400 for what no till would print."""
    order = inputs.find_text(request.path_params, "id")
    if order is None:
        raise Refusal(400, "name the order")
    return order


# --- people ----------------------------------------------------------------------------------------------------------


async def export_person(request: Request) -> Response:
    """Only the note that it was handed out is written."""
    who = str(request.path_params["email"]).strip()
    return JSONResponse({"email": who} | await _do_with_person(request, "export", who))


async def erase_person(request: Request) -> Response:
    return JSONResponse(await _do_with_person(request, "erase", str(request.path_params["email"]).strip()))


async def _do_with_person(request: Request, action: str, who: str) -> dict[str, Any]:
    if not inputs.is_line(who) or not _WHO.fullmatch(who):
        raise Refusal(400, "this is no e-mail address, and neither relation:NUMBER nor customer:ID")
    connection = inputs.find_text(request.query_params, "connection")
    return await do_with_person(services.of(request), action, who, connection=connection, actor=ADMIN)


async def do_with_person(
    shared: Services, action: str, who: str, *, connection: str | None, actor: str
) -> dict[str, Any]:
    """Hand out what is kept about a person, or erase it: one of `PERSON_ACTIONS`. Audited. Raises `Refusal` 409."""
    # Enough to prove that a request was met, not enough to read the address.
    target = f"person {hashlib.sha256(who.lower().encode()).hexdigest()[:16]}"
    engine = shared.engine

    def note(session: Session) -> None:
        audit.note(session, actor=actor, action=action, target=target)

    try:
        if action == "erase":
            return await shared.run(lambda: people.erase(engine, who, connection=connection, note=note))
        found = await shared.run(lambda: people.export(engine, who, connection=connection))
    except people.Unclear as unclear:
        raise Refusal(409, unclear.args[0]) from None
    await shared.write(note)
    return found


# --- an event as the JSON of the contract -----------------------------------------------------------------------------


def to_event(event: Event, names: Mapping[str, str]) -> dict[str, Any]:
    """An event of a list: what is known, and nothing of what the sender wrote. `names`: what connections are called."""
    content: dict[str, Any] = {name: getattr(event, name) for name in _ALWAYS}
    content["connection"] = names.get(event.connection or "", event.connection)
    if event.entity_id == event.connection:
        content["entity_id"] = content["connection"]
    content |= {name: value for name in _WHEN_KNOWN if (value := getattr(event, name)) is not None}
    if event.target_id is not None:
        content["target"] = {"entity": event.target_entity, "id": event.target_id}
    if event.due_at is not None and event.state in (State.WAITING, State.UNCERTAIN):
        content["next_attempt_at"] = to_time(event.due_at)
    content |= {"occurred_at": to_time(event.occurred_at)} if event.occurred_at else {}
    return content | {"received_at": to_time(event.received_at), "updated_at": to_time(event.updated_at)}


def to_detail(event: Event, log: Sequence[Entry], names: Mapping[str, str]) -> dict[str, Any]:
    """One event with everything: hint, result and its whole activity log."""
    more = {"priority": event.priority, "correlation": event.correlation, "key": event.key}
    content = to_event(event, names) | more | {"hint": parse(event.hint), "result": parse(event.result)}
    return content | {"log": [to_line(entry) for entry in log]}


def to_line(entry: Entry) -> dict[str, Any]:
    known = {name: value for name in ("detail", "milliseconds") if (value := getattr(entry, name)) is not None}
    return pick(entry, "at", "kind", "system", "title") | known


def to_list(page: Page[Event, int], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "events": [to_event(event, names) for event in page.rows],
        "next": str(page.next) if page.next is not None else None,
    }


def parse(text: str | None) -> Any:
    """Stored JSON text as what it says; text that is none, as it is."""
    try:
        return json.loads(text) if text is not None else None
    except ValueError:
        return text


def to_result(event: Event) -> Any:
    """The event's result with the messages in it, for a page in any language."""
    return messages.restore(parse(event.result), event.messages)


def pick(row: object, *names: str) -> dict[str, Any]:
    """Fields of a row in this order, moments as the contract writes them."""
    values = {name: getattr(row, name) for name in names}
    return {name: to_time(value) if isinstance(value, datetime) else value for name, value in values.items()}


def to_time(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with Z."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None

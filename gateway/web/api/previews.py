"""Previews: what would become of one record, step by step, asked for through API or dashboard. Audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.store import audit, connections, requests
from gateway.store.events import Flow
from gateway.store.requests import By, Side
from gateway.web import actions, queries, services
from gateway.web.access import ADMIN
from gateway.web.actions import Resend
from gateway.web.api import events
from gateway.web.api.settings import to_rows
from gateway.web.problems import Refusal
from gateway.web.services import Services
from mapping import settings_document
from mapping.messages import message

PREVIEWED: Final = tuple(Flow)
OF_BOOKS: Final = f"{Flow.CUSTOMERS}/{Side.BOOKS}"
"""What a form calls one side: only of customers there are two."""
_KNOWN_BY: Final[Mapping[Flow, frozenset[By]]] = {Flow.CUSTOMERS: frozenset({By.ID, By.NAME, By.EMAIL})}
_ITEMS: Final = frozenset({By.ID, By.SKU, By.NAME})


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """The record to preview. An order is named as the till names it; `settings` is a document to try.

    `side` is whose customer is meant; everything else has one.
    """

    flow: Flow
    record: str
    connection: str
    actor: str
    by: By = By.ID
    settings: str | None = None
    side: Side = Side.TILL


def to_request(given: Mapping[str, Any], *, connection: str, actor: str) -> PreviewRequest:
    """The request of a form: `flow`, `by` and `record`. Raises `Refusal` 400."""
    flow, record = queries.find_choice(given, "flow", Flow), queries.find_text(given, "record")
    if flow not in PREVIEWED or record is None or not record.strip():
        raise Refusal(400, message("name a flow ({flows}) and a record", flows=", ".join(PREVIEWED)))
    by = queries.find_choice(given, "by", By) or By.ID
    side = queries.find_choice(given, "side", Side) or Side.TILL
    known_by = _KNOWN_BY.get(flow, _ITEMS)
    if by not in known_by:
        known = ", ".join(each for each in By if each in known_by)
        raise Refusal(400, message("{flow} are known by {known}, not by {by}", flow=message(flow), known=known, by=by))
    return PreviewRequest(flow, record.strip(), connection, actor, by=by, side=side)


def from_form(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A form's words as those of the API: its `flow` may name a side; a customer's `by` may be left as it stood."""
    flow, _, side = str(given.get("flow", "")).partition("/")
    by, record = given.get("by"), str(given.get("record", ""))
    if flow == Flow.CUSTOMERS and by == By.SKU:
        by = By.EMAIL if "@" in record else By.ID if record.strip().isdecimal() else By.NAME
    return {**given, "flow": flow, "side": side, "by": by}


async def ask(shared: Services, wanted: PreviewRequest) -> int:
    """Have a worker look; answers the event whose result is the preview. Raises `Refusal` 404, 409."""
    if wanted.flow is Flow.ORDERS:
        dry = Resend(wanted.record, wanted.actor, dry_run=True, connection=wanted.connection, settings=wanted.settings)
        return await actions.resend(shared, dry)

    def store(session: Session) -> int:
        key = connections.find_key(session, wanted.connection)
        if key is None:
            raise Refusal(404, message("there is no connection {name}", name=wanted.connection))
        change = requests.preview(
            wanted.flow,
            wanted.record,
            connection=key,
            by=wanted.by,
            side=wanted.side if wanted.flow is Flow.CUSTOMERS else Side.BOOKS,
            settings=wanted.settings,
            actor=actions.SOURCE,
        )
        # The audit is never deleted, so it does not name a person.
        is_private = wanted.flow is Flow.CUSTOMERS and wanted.by is not By.ID
        named = message("{flow}, by {key}", flow=message(wanted.flow), key=wanted.by)
        target = named if is_private else message("{what} {record}", what=named, record=wanted.record)
        return audit.ask(session, change, actor=wanted.actor, action="preview", target=target)

    return await shared.ask(store)


# --- the admin API -----------------------------------------------------------------------------------------------


_PATIENCE: Final = 20


async def preview_record(request: Request) -> Response:
    """200 with the event whose `result` is the preview; 202 and where to look when it takes longer than `?wait`.

    The body names a flow and a record of the books, `{"flow": "products", "id": "17"}`, by `id`, `sku` or `name`, or
    an order of the till by its `id`, or a customer by `id`, `name` or `email`: a relation of the till, or with
    `"side": "books"` a customer of the books. `settings` may be a document (TOML) to try instead of the one in force.
    """
    shared = services.of(request)
    given = await events.read_json(request, "flow", "side", *By, requests.SETTINGS)
    seconds = actions.find_seconds(request.query_params, default=_PATIENCE)
    named = [by for by in By if queries.find_text(given, by)]
    if len(named) != 1:
        raise Refusal(400, f"name one record, by {', '.join(By)}")
    settings = await shared.run(lambda: _find_settings(given))
    record = {**given, "by": named[0], "record": given[named[0]]}
    wanted = to_request(record, connection=request.path_params["name"], actor=ADMIN)
    event_id = await ask(shared, replace(wanted, settings=settings))
    return await events.answer(request, event_id, seconds=seconds)


def _find_settings(given: Mapping[str, Any]) -> str | None:
    """A checked document. Raises `Refusal` 422 with every fault."""
    text = given.get(requests.SETTINGS)
    if text is None:
        return None
    if not isinstance(text, str):
        raise Refusal(400, "settings should be a document as TOML text")
    try:
        settings_document.parse(text)
    except settings_document.DocumentError as error:
        detail = "the settings document was refused; nothing was tried"
        raise Refusal(422, detail, faults=to_rows(error.faults)) from None
    return text

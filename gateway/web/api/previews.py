"""The admin API about previews: what would become of one record, step by step, without writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.store import requests
from gateway.store.requests import By
from gateway.web import bodies, previews, queries, services, waiting
from gateway.web.access import ADMIN
from gateway.web.api import events
from gateway.web.previews import PreviewRequest
from gateway.web.problems import Refusal
from mapping import settings_document

_PATIENCE: Final = 20


async def preview(request: Request) -> Response:
    """200 with the event whose `result` is the preview; 202 and where to look when it takes longer than `?wait`.

    The body names a flow and a record of the books, `{"flow": "products", "id": "17"}`, by `id`, `sku` or `name`, or
    an order of the till by its `id`, or a customer by `id`, `name` or `email`: a relation of the till, or with
    `"side": "books"` a customer of the books. `settings` may be a document (TOML) to try instead of the one in force.
    """
    shared = services.of(request)
    given = queries.only(await bodies.read_json(request), "flow", "side", *By, requests.SETTINGS)
    seconds = waiting.find_seconds(request.query_params, default=_PATIENCE)
    wanted = await shared.run(lambda: _to_request(given, request.path_params["name"]))
    event_id = await previews.ask(shared, wanted)
    return await events.answer(request, event_id, seconds=seconds)


def _to_request(given: Mapping[str, Any], connection: str) -> PreviewRequest:
    named = [by for by in By if queries.find_text(given, by)]
    if len(named) != 1:
        raise Refusal(400, f"name one record, by {', '.join(By)}")
    by, settings = named[0], _find_settings(given)
    wanted = previews.to_request({**given, "by": by, "record": given[by]}, connection=connection, actor=ADMIN)
    return replace(wanted, settings=settings)


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
        faults = [{"path": f.path, "message": f.message, "hint": f.hint} for f in error.faults]
        raise Refusal(422, "the settings document was refused; nothing was tried", faults=faults) from None
    return text

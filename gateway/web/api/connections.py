"""The admin API about connections: list them, set one up, check both systems, make it live, pause it."""

from __future__ import annotations

import dataclasses
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.removal import Data
from gateway.web import actions, bodies, queries, services, setups
from gateway.web.access import ADMIN
from gateway.web.api import events, status
from gateway.web.problems import Refusal
from mapping.messages import message


async def list_connections(request: Request) -> Response:
    overview = await _look(request)
    found = [status.to_connection(connection, overview) for connection in overview.connections]
    return JSONResponse({"connections": found})


async def show_connection(request: Request) -> Response:
    """One connection, without its secrets. Raises `Refusal` 404."""
    return JSONResponse(await _read(request))


async def put_connection(request: Request) -> Response:
    """201 for a new connection, 200 for one there is. What the body leaves out stays; secrets are never shown.

    The body is `{"mplus_url", "mplus_ident", "mplus_secret", "mplus_subscription_id", "mplus_webhook_secrets": []}`
    and, where the address of a till in use changed, `"moved": true`. A new connection is not live.
    """
    given = queries.only(await bodies.read_json(request), *setups.FIELDS, setups.SECRETS, "moved")
    if not isinstance(given.get("moved", False), bool):
        raise Refusal(400, "moved should be true or false")
    shared, name = services.of(request), request.path_params["name"]
    is_new = await setups.keep_till(shared, name, setups.to_till(given), actor=ADMIN)
    await services.settle_name(request)
    return JSONResponse(await _read(request), 201 if is_new else 200)


async def check_connection(request: Request) -> Response:
    """200 with the event whose `result` are the findings of both sides; 202 when it takes longer than `?wait`."""
    queries.only(await bodies.read_json(request))
    seconds = actions.find_seconds(request.query_params)
    event_id = await setups.check_up(services.of(request), request.path_params["name"], actor=ADMIN)
    return await events.answer(request, event_id, seconds=seconds)


async def go_live(request: Request) -> Response:
    """200 with the resumed connection, or the event that made it live; 202 when it takes longer."""
    queries.only(await bodies.read_json(request))
    seconds = actions.find_seconds(request.query_params)
    event_id = await setups.go_live(services.of(request), request.path_params["name"], actor=ADMIN)
    if event_id is not None:
        return await events.answer(request, event_id, seconds=seconds)
    here = request.url.path.removesuffix("/live")
    return JSONResponse(await _read(request), headers={"Location": quote(here)})


async def pause_connection(request: Request) -> Response:
    """200 with the connection; what comes meanwhile waits and is done afterwards."""
    queries.only(await bodies.read_json(request))
    await setups.pause(services.of(request), request.path_params["name"], actor=ADMIN)
    return JSONResponse(await _read(request))


async def _read(request: Request) -> dict[str, object]:
    name = request.path_params["name"]
    overview = await _look(request)
    found = next((each for each in overview.connections if each.name == name), None)
    if found is None:
        raise Refusal(404, message("there is no connection {name}", name=name))
    return status.to_connection(found, overview)


async def _look(request: Request) -> status.Overview:
    shared = services.of(request)
    return await shared.read(lambda session: status.look(session, shared.seal))


async def rename_connection(request: Request) -> Response:
    """200 with the connection under its new name; nothing else changes."""
    given = queries.only(await bodies.read_json(request), "name")
    wanted = queries.find_text(given, "name")
    if wanted is None:
        raise Refusal(400, "give the other name: name")
    await setups.rename(services.of(request), request.path_params["name"], wanted, actor=ADMIN)
    return JSONResponse(await _read(request), headers={"Location": f"/admin/connections/{quote(wanted, safe='')}"})


async def remove_connection(request: Request) -> Response:
    """200: it is removed, its events are ended; `revoked` says whether Intuit took the tokens back."""
    given = queries.only(await bodies.read_json(request), "data")
    data = queries.find_choice(given, "data", Data)
    if data is None:
        raise Refusal(400, f"say what becomes of the data: one of {', '.join(Data)}")
    return JSONResponse(dataclasses.asdict(await setups.remove(request, data, actor=ADMIN)))

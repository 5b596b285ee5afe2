"""The control desk under /_control: read the world's ledgers, plan misbehaviour, edit as a user, move the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.quickbooks import wire
from sandbox.quickbooks.faults import Fault, Json

if TYPE_CHECKING:
    from sandbox.quickbooks.world import World

Action = Callable[["World", Json], Json]


def _state(world: World, _body: Json) -> Json:
    return {
        "ledger": world.ledger.to_json(),
        "switches": world.switches.to_json(),
        "faults": world.tricks.to_json(),
        "struck": world.tricks.struck,
        "webhooks": world.outbox.to_json(),
        "throttles": {
            realm: {"running": each.running, "most_running": each.most_running, "refused": each.refused}
            for realm, each in world.throttles.items()
        },
        "companies": {realm: _count(company.rows) for realm, company in world.companies.items()},
    }


def _count(rows: dict[str, dict[str, Json]]) -> Json:
    return {entity: len(table) for entity, table in rows.items()}


def _rows(world: World, body: Json) -> Json:
    return {"rows": world.rows(_realm(world, body), body["entity"])}


def _plan_fault(world: World, body: Json) -> Json:
    known = {name: body[name] for name in ("times", "skip") if name in body}
    world.tricks.plan(body["operation"], body["mode"], **known, seconds=float(body.get("seconds", 1)))
    return {"faults": world.tricks.to_json()}


def _clear_faults(world: World, _body: Json) -> Json:
    world.tricks.clear()
    return {"faults": []}


def _edit(world: World, body: Json) -> Json:
    return {body["entity"]: world.put(_realm(world, body), body["entity"], body["body"])}


def _delete(world: World, body: Json) -> Json:
    world.delete(_realm(world, body), body["entity"], str(body["id"]))
    return {"deleted": body["id"]}


def _merge(world: World, body: Json) -> Json:
    world.merge(_realm(world, body), body["entity"], str(body["survivor"]), str(body["vanished"]))
    return {"survivor": body["survivor"]}


def _switch(world: World, body: Json) -> Json:
    world.switches.apply(body)
    return world.switches.to_json()


def _advance(world: World, body: Json) -> Json:
    world.clock.advance(float(body["seconds"]))
    return {"now": world.clock.now().isoformat()}


def _prefer(world: World, body: Json) -> Json:
    realm = _realm(world, body)
    world.set_preference(realm, body["group"], body["name"], body["value"])
    return {"preferences": world.rows(realm, "Preferences")[0]}


def _set_company(world: World, body: Json) -> Json:
    company = world.companies[_realm(world, body)]
    flags = ("warn_duplicates", "subscription_ended", "elsewhere")
    for name in flags:
        if name in body:
            setattr(company, name, bool(body[name]))
    company.denied = [str(name) for name in body.get("denied", company.denied)]
    return {name: getattr(company, name) for name in (*flags, "denied")}


def _change_tokens(world: World, body: Json) -> Json:
    realm = _realm(world, body)
    match body["action"]:
        case "connect":
            return world.connect(realm, body.get("client_id") or next(iter(world.grants.apps)))
        case "expire":
            world.grants.expire_accesses(realm)
        case "end":
            world.grants.end_realm(realm)
        case _:
            raise KeyError(body["action"])
    return {"done": body["action"]}


def _realm(world: World, body: Json) -> str:
    """The realm named in the body, or the only (first) one."""
    realm = str(body.get("realm") or next(iter(world.companies)))
    if realm not in world.companies:
        raise KeyError(realm)
    return realm


def _to_endpoint(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        world: World = request.app.state.world
        try:
            body = wire.load_object(await request.body() or b"{}") | dict(request.query_params)
            with world.lock:
                return Response(wire.dump(action(world, body)), 200, media_type="application/json")
        except Fault as fault:
            return Response(wire.dump(wire.to_fault_body(fault, world.clock.now())), 400, media_type="application/json")
        except (KeyError, TypeError, ValueError) as error:
            return Response(wire.dump({"error": f"not understood: {error}"}), 422, media_type="application/json")

    return endpoint


def _route(method: str, path: str, action: Action) -> Route:
    return Route(path, _to_endpoint(action), methods=[method])


ROUTES = [
    _route("GET", "/state", _state),
    _route("GET", "/rows", _rows),
    _route("POST", "/faults", _plan_fault),
    _route("DELETE", "/faults", _clear_faults),
    _route("POST", "/edit", _edit),
    _route("POST", "/delete", _delete),
    _route("POST", "/merge", _merge),
    _route("POST", "/switches", _switch),
    _route("POST", "/clock", _advance),
    _route("POST", "/preferences", _prefer),
    _route("POST", "/company", _set_company),
    _route("POST", "/tokens", _change_tokens),
]

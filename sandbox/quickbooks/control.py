"""The control API under /_control: read the ledgers, inject faults, edit as a user, move the clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.quickbooks import wire
from sandbox.quickbooks.faults import Fault, Json

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation

Action = Callable[["Simulation", Json], Json]


def _state(simulation: Simulation, _body: Json) -> Json:
    return {
        "ledger": simulation.ledger.to_json(),
        "switches": simulation.switches.to_json(),
        "faults": simulation.injected.to_json(),
        "struck": simulation.injected.struck,
        "webhooks": simulation.outbox.to_json(),
        "throttles": {
            realm: {"running": each.running, "most_running": each.most_running, "refused": each.refused}
            for realm, each in simulation.throttles.items()
        },
        "companies": {realm: _count(company.rows) for realm, company in simulation.companies.items()},
    }


def _count(rows: dict[str, dict[str, Json]]) -> Json:
    return {entity: len(table) for entity, table in rows.items()}


def _rows(simulation: Simulation, body: Json) -> Json:
    return {"rows": simulation.rows(_realm(simulation, body), body["entity"])}


def _plan_fault(simulation: Simulation, body: Json) -> Json:
    known = {name: body[name] for name in ("times", "skip") if name in body}
    simulation.injected.plan(body["operation"], body["mode"], **known, seconds=float(body.get("seconds", 1)))
    return {"faults": simulation.injected.to_json()}


def _clear_faults(simulation: Simulation, _body: Json) -> Json:
    simulation.injected.clear()
    return {"faults": []}


def _edit(simulation: Simulation, body: Json) -> Json:
    return {body["entity"]: simulation.put(_realm(simulation, body), body["entity"], body["body"])}


def _delete(simulation: Simulation, body: Json) -> Json:
    simulation.delete(_realm(simulation, body), body["entity"], str(body["id"]))
    return {"deleted": body["id"]}


def _merge(simulation: Simulation, body: Json) -> Json:
    simulation.merge(_realm(simulation, body), body["entity"], str(body["survivor"]), str(body["vanished"]))
    return {"survivor": body["survivor"]}


def _switch(simulation: Simulation, body: Json) -> Json:
    simulation.switches.apply(body)
    return simulation.switches.to_json()


def _advance(simulation: Simulation, body: Json) -> Json:
    simulation.clock.advance(float(body["seconds"]))
    return {"now": simulation.clock.now().isoformat()}


def _prefer(simulation: Simulation, body: Json) -> Json:
    realm = _realm(simulation, body)
    simulation.set_preference(realm, body["group"], body["name"], body["value"])
    return {"preferences": simulation.rows(realm, "Preferences")[0]}


def _set_company(simulation: Simulation, body: Json) -> Json:
    company = simulation.companies[_realm(simulation, body)]
    flags = ("warn_duplicates", "subscription_ended", "elsewhere", "locked_out", "view_only")
    for name in flags:
        if name in body:
            setattr(company, name, bool(body[name]))
    company.denied = [str(name) for name in body.get("denied", company.denied)]
    return {name: getattr(company, name) for name in (*flags, "denied")}


def _change_tokens(simulation: Simulation, body: Json) -> Json:
    realm = _realm(simulation, body)
    match body["action"]:
        case "connect":
            return simulation.connect(realm, body.get("client_id") or next(iter(simulation.grants.apps)))
        case "expire":
            simulation.grants.expire_accesses(realm)
        case "end":
            simulation.grants.end_realm(realm)
        case _:
            raise KeyError(body["action"])
    return {"done": body["action"]}


def _realm(simulation: Simulation, body: Json) -> str:
    """The realm named in the body, or the only (first) one."""
    realm = str(body.get("realm") or next(iter(simulation.companies)))
    if realm not in simulation.companies:
        raise KeyError(realm)
    return realm


def _to_endpoint(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        simulation: Simulation = request.app.state.simulation
        try:
            body = wire.load_object(await request.body() or b"{}") | dict(request.query_params)
            with simulation.lock:
                return Response(wire.dump(action(simulation, body)), 200, media_type="application/json")
        except Fault as fault:
            return Response(
                wire.dump(wire.to_fault_body(fault, simulation.clock.now())), 400, media_type="application/json"
            )
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

"""The HTTP side of the accounting API: tokens, throttles, misbehaviour, headers, and the call log."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from sandbox.quickbooks import calls, clock, faults, wire
from sandbox.quickbooks.calls import Answer, Call
from sandbox.quickbooks.fault_injection import with_injected_fault
from sandbox.quickbooks.faults import Fault, Json
from sandbox.quickbooks.ledger import Call as LoggedCall
from sandbox.quickbooks.xml import to_xml

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation

VERSION = "1988.128"


async def serve(request: Request) -> Response:
    """Any request under /v3/company/{realm}/."""
    simulation: Simulation = request.app.state.simulation
    call = await _read_call(request)
    if simulation.switches.latency_seconds:
        await asyncio.sleep(simulation.switches.latency_seconds)
    operation = f"{call.method} {call.resource}"
    return await with_injected_fault(simulation, request, operation, lambda: _handle(simulation, request, call))


async def _read_call(request: Request) -> Call:
    path = tuple(part for part in request.path_params["rest"].split("/") if part)
    content_type = request.headers.get("content-type", "")
    return Call(request.method, path, request.query_params, content_type, await request.body())


async def _handle(simulation: Simulation, request: Request, call: Call) -> Response:
    realm = request.path_params["realm"]
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if realm in simulation.companies and simulation.companies[realm].elsewhere:
        return _refuse_address(simulation, realm, call)
    opened = simulation.grants.find_realm(token)
    if opened is None or (realm in simulation.companies and simulation.companies[realm].locked_out):
        return _refuse_token(simulation, request, realm, call)
    try:
        if opened != realm or realm not in simulation.companies:
            raise faults.forbidden()
        with simulation.throttle(realm).admit(batch=call.resource == "batch"):
            await asyncio.sleep(simulation.switches.working_seconds)
            with simulation.lock:
                answer = calls.perform(simulation, simulation.companies[realm], call)
    except Fault as fault:
        _log(simulation, realm, call, fault.status, fault=fault.code)
        return _respond(simulation, request, fault.status, wire.to_fault_body(fault, simulation.clock.now()))
    _log(simulation, realm, call, 200, answer)
    return _respond(simulation, request, 200, answer.body)


def _refuse_token(simulation: Simulation, request: Request, realm: str, call: Call) -> Response:
    _log(simulation, realm, call, 401, fault="3200")
    body = faults.expired_token_body(int(simulation.clock.seconds() * 1000))
    response = _respond(simulation, request, 401, body)
    response.headers["WWW-Authenticate"] = 'Bearer realm="Intuit", error="invalid_token"'
    return response


def _refuse_address(simulation: Simulation, realm: str, call: Call) -> Response:
    """As XML whatever was asked for: so it was recorded."""
    fault = faults.wrong_cluster()
    _log(simulation, realm, call, fault.status, fault=fault.code)
    body = to_xml(wire.to_fault_body(fault, simulation.clock.now()))
    return Response(body, fault.status, {"intuit_tid": next_tid(simulation)}, "application/xml;charset=utf-8")


def _respond(simulation: Simulation, request: Request, status: int, body: Json) -> Response:
    """JSON where it was asked for; XML otherwise, as Intuit does by default."""
    headers = {"intuit_tid": next_tid(simulation), "QBO-Version": VERSION, "Server": "envoy"}
    if "application/json" in request.headers.get("accept", ""):
        return Response(wire.dump(body), status, headers, "application/json;charset=utf-8")
    return Response(to_xml(body), status, headers, "application/xml;charset=utf-8")


def next_tid(simulation: Simulation) -> str:
    """A trace id of Intuit's shape."""
    simulation.traces += 1
    digest = hashlib.sha256(f"{simulation.seed}/tid/{simulation.traces}".encode()).hexdigest()
    return f"1-{digest[:8]}-{digest[8:32]}"


def _log(
    simulation: Simulation,
    realm: str,
    call: Call,
    status: int,
    answer: Answer | None = None,
    *,
    fault: str | None = None,
) -> None:
    simulation.ledger.calls.append(
        LoggedCall(
            time=clock.to_envelope_time(simulation.clock.now()),
            realm=realm,
            method=call.method,
            operation="/".join(call.path),
            status=status,
            requestid=call.requestid,
            replayed=bool(answer and answer.replayed),
            fault=fault,
        )
    )

"""The HTTP side of the accounting API: tokens, throttles, misbehaviour, headers, and the call log."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from sandbox.quickbooks import calls, clock, faults, wire
from sandbox.quickbooks.calls import Answer, Call
from sandbox.quickbooks.faults import Fault, Json
from sandbox.quickbooks.ledger import Call as LoggedCall
from sandbox.quickbooks.misconduct import misbehave
from sandbox.quickbooks.xml import to_xml

if TYPE_CHECKING:
    from sandbox.quickbooks.world import World

VERSION = "1988.128"


async def serve(request: Request) -> Response:
    """Any request under /v3/company/{realm}/."""
    world: World = request.app.state.world
    call = await _read_call(request)
    if world.switches.latency_seconds:
        await asyncio.sleep(world.switches.latency_seconds)
    operation = f"{call.method} {call.resource}"
    return await misbehave(world, request, operation, lambda: _handle(world, request, call))


async def _read_call(request: Request) -> Call:
    path = tuple(part for part in request.path_params["rest"].split("/") if part)
    content_type = request.headers.get("content-type", "")
    return Call(request.method, path, request.query_params, content_type, await request.body())


async def _handle(world: World, request: Request, call: Call) -> Response:
    realm = request.path_params["realm"]
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if realm in world.companies and world.companies[realm].elsewhere:
        return _refuse_address(world, realm, call)
    opened = world.grants.find_realm(token)
    if opened is None:
        return _refuse_token(world, request, realm, call)
    try:
        if opened != realm or realm not in world.companies:
            raise faults.forbidden()
        with world.throttle(realm).admit(batch=call.resource == "batch"):
            await asyncio.sleep(world.switches.working_seconds)
            with world.lock:
                answer = calls.perform(world, world.companies[realm], call)
    except Fault as fault:
        _log(world, realm, call, fault.status, fault=fault.code)
        return _respond(world, request, fault.status, wire.to_fault_body(fault, world.clock.now()))
    _log(world, realm, call, 200, answer)
    return _respond(world, request, 200, answer.body)


def _refuse_token(world: World, request: Request, realm: str, call: Call) -> Response:
    _log(world, realm, call, 401, fault="3200")
    body = faults.expired_token_body(int(world.clock.seconds() * 1000))
    response = _respond(world, request, 401, body)
    response.headers["WWW-Authenticate"] = 'Bearer realm="Intuit", error="invalid_token"'
    return response


def _refuse_address(world: World, realm: str, call: Call) -> Response:
    """As XML whatever was asked for: so it was recorded."""
    fault = faults.wrong_cluster()
    _log(world, realm, call, fault.status, fault=fault.code)
    body = to_xml(wire.to_fault_body(fault, world.clock.now()))
    return Response(body, fault.status, {"intuit_tid": next_tid(world)}, "application/xml;charset=utf-8")


def _respond(world: World, request: Request, status: int, body: Json) -> Response:
    """JSON where it was asked for; XML otherwise, as Intuit does by default."""
    headers = {"intuit_tid": next_tid(world), "QBO-Version": VERSION, "Server": "envoy"}
    if "application/json" in request.headers.get("accept", ""):
        return Response(wire.dump(body), status, headers, "application/json;charset=utf-8")
    return Response(to_xml(body), status, headers, "application/xml;charset=utf-8")


def next_tid(world: World) -> str:
    """A trace id of Intuit's shape."""
    world.traces += 1
    digest = hashlib.sha256(f"{world.seed}/tid/{world.traces}".encode()).hexdigest()
    return f"1-{digest[:8]}-{digest[8:32]}"


def _log(
    world: World, realm: str, call: Call, status: int, answer: Answer | None = None, *, fault: str | None = None
) -> None:
    world.ledger.calls.append(
        LoggedCall(
            time=clock.to_envelope_time(world.clock.now()),
            realm=realm,
            method=call.method,
            operation="/".join(call.path),
            status=status,
            requestid=call.requestid,
            replayed=bool(answer and answer.replayed),
            fault=fault,
        )
    )

"""Injects planned faults into an HTTP exchange, down to cutting the connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.quickbooks import faults, wire
from sandbox.quickbooks.injected_faults import InjectedFault, Mode

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation

CUT = "sandbox.cut"
"""Scope key under which the application keeps the function that cuts the connection."""

_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
_SETTLE_SECONDS = 0.02
_FAULTS = {
    Mode.ERROR_500: faults.system_failure(500),
    Mode.ERROR_503: faults.system_failure(503),
    Mode.THROTTLE: faults.throttled(),
    Mode.FORBIDDEN: faults.forbidden(),
    Mode.SUBSCRIPTION: faults.company_closed(),
}


async def with_injected_fault(
    simulation: Simulation, request: Request, operation: str, work: Callable[[], Awaitable[Response]]
) -> Response:
    """Do the work, unless a fault is due for the operation: then that."""
    fault = simulation.injected.draw(operation)
    if fault is None:
        return await work()
    return await _carry_out(simulation, request, fault, work)


async def _carry_out(
    simulation: Simulation, request: Request, fault: InjectedFault, work: Callable[[], Awaitable[Response]]
) -> Response:
    match fault.mode:
        case Mode.RESET | Mode.HOLD:
            if fault.mode is Mode.HOLD:
                simulation.injected.held.append(work)
            return Cut(request)
        case Mode.DELAY:
            await asyncio.sleep(fault.seconds)
            return await work()
        case Mode.LOST_REPLY:
            await work()
            return Cut(request)
        case Mode.TRUNCATE:
            return Cut(request, await work())
        case _:
            return _refuse(simulation, fault.mode)


def _refuse(simulation: Simulation, mode: Mode) -> Response:
    """An error instead of the work."""
    match mode:
        case Mode.HTML_502:
            return Response(_HTML, 502, media_type="text/html")
        case Mode.REDIRECT:
            return Response(_HTML, 302, {"Location": "https://status.example/"}, media_type="text/html")
        case Mode.BARE:
            status, answer = 200, wire.to_answer({}, simulation.clock.now())
        case Mode.INVALID_GRANT:
            status, answer = 400, dict[str, Any](error="invalid_grant")
        case Mode.UNAUTHORISED:
            status, answer = 401, faults.expired_token_body(int(simulation.clock.seconds() * 1000))
        case _:
            fault = _FAULTS[mode]
            status, answer = fault.status, wire.to_fault_body(fault, simulation.clock.now())
    return Response(wire.dump(answer), status, media_type="application/json")


class Cut(Response):
    """No answer, or half of one; then the connection is gone."""

    def __init__(self, request: Request, answer: Response | None = None) -> None:
        super().__init__()
        self._cut: Callable[[], None] = request.scope[CUT]
        self._answer = answer

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        if self._answer is not None:
            body = bytes(self._answer.body)
            start = {
                "type": "http.response.start",
                "status": self._answer.status_code,
                "headers": self._answer.raw_headers,
            }
            await send(start)
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(_SETTLE_SECONDS)
        self._cut()
        await asyncio.sleep(_SETTLE_SECONDS)

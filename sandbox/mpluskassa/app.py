"""The simulator as a web application: SOAP at `/`, its WSDL at `/?wsdl`, orders to it under `/_control`."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.mpluskassa import control, envelope, presentation
from sandbox.mpluskassa.contract import Contract, compact_contract, read_contract
from sandbox.mpluskassa.faults import RAW_SEND, CutConnection, Plan, TruncatedAnswer
from sandbox.mpluskassa.operations import HANDLERS, find_unsupported
from sandbox.mpluskassa.refusals import Fault, fail_server, refuse_client, refuse_credentials
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import Record

XML = "text/xml; charset=utf-8"
SAVE_EVERY_SECONDS = 1.0
RESTING_SHARE = 20
"""A save that takes a second is followed by this many without one."""


class Simulator(Starlette):
    """A Starlette application that remembers the server's own `send`, so that a fault can cut the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope[RAW_SEND] = send
        await super().__call__(scope, receive, send)


def create_app(simulation: Simulation) -> Starlette:
    """The application around a simulation; with a `snapshot` it saves the state while it runs and when it stops."""
    app = Simulator(
        routes=[
            Route("/", receive_soap, methods=["POST"]),
            Route("/", show_wsdl, methods=["GET"]),
            *control.ROUTES,
        ],
        exception_handlers={Fault: answer_fault},
        lifespan=keep_snapshot,
    )
    app.state.simulation = simulation
    app.state.contract = read_contract(simulation.wsdl) if simulation.wsdl else compact_contract()
    return app


@asynccontextmanager
async def keep_snapshot(app: Starlette) -> AsyncIterator[None]:
    """Save the simulation's state every second while it changes, and at the end."""
    simulation: Simulation = app.state.simulation
    if simulation.snapshot is None:
        yield
        return
    saver = asyncio.create_task(_save_again(simulation))
    try:
        yield
    finally:
        saver.cancel()
        simulation.save(simulation.snapshot)


async def _save_again(simulation: Simulation) -> None:
    saved = -1
    while simulation.snapshot is not None:
        await asyncio.sleep(SAVE_EVERY_SECONDS)
        changes = sum(simulation.till.counters.values()) + len(simulation.till.ledger)
        if changes != saved:
            saved, began = changes, time.monotonic()
            await asyncio.to_thread(simulation.save, simulation.snapshot)
            await asyncio.sleep(RESTING_SHARE * (time.monotonic() - began))


async def show_wsdl(request: Request) -> Response:
    """The WSDL, address included as the vendor has it; a plain GET only says that POST is wanted."""
    if "wsdl" not in request.query_params:
        return Response(status_code=405, headers={"Allow": "POST"})
    contract: Contract = request.app.state.contract
    return Response(contract.document, media_type=XML)


async def receive_soap(request: Request) -> Response:
    """Carry out one operation, misbehaving as ordered."""
    simulation: Simulation = request.app.state.simulation
    contract: Contract = request.app.state.contract
    if not _knows(request, simulation):
        return _refuse_login(simulation)
    question = envelope.open_envelope(await request.body())
    operation = envelope.name_operation(question, contract)
    async with simulation.traffic.watch(operation):
        if 0 < simulation.till.switches.calls_at_once < simulation.traffic.busy:
            raise fail_server("All workers are busy, please try again later.")
        await asyncio.sleep(simulation.misbehaviour.latency_seconds)
        plan = simulation.misbehaviour.take(operation)
        refusal = await _misbehave_before(plan)
        if refusal is not None:
            return refusal
        await simulation.misbehaviour.let_happen(operation)
        started = time.perf_counter()
        body = carry_out(simulation, contract, operation, question, spoil=plan.kind if plan else "")
        return _misbehave_after(plan, _answer(body, time.perf_counter() - started))


def _knows(request: Request, simulation: Simulation) -> bool:
    if simulation.till.switches.login_refused == "never":
        return True
    given = {name: request.query_params.get(name, "").encode() for name in ("ident", "secret")}
    knows_ident = hmac.compare_digest(given["ident"], simulation.ident.encode())
    return hmac.compare_digest(given["secret"], simulation.secret.encode()) and knows_ident


def _refuse_login(simulation: Simulation) -> Response:
    match simulation.till.switches.login_refused:
        case "status":
            return Response(status_code=401)
        case "vague":
            raise refuse_client("Request denied.")
    raise refuse_credentials()


async def _misbehave_before(plan: Plan | None) -> Response | None:
    match plan:
        case Plan(kind="error_500"):
            raise fail_server("Internal server error, please try again later.")
        case Plan(kind="html_502"):
            return Response("<html><body><h1>502 Bad Gateway</h1></body></html>", 502, media_type="text/html")
        case Plan(kind="refused"):
            return Response(status_code=401)
        case Plan(kind="reset"):
            return CutConnection()
        case Plan(kind="delay", seconds=seconds):
            await asyncio.sleep(seconds)
    return None


def _misbehave_after(plan: Plan | None, answer: Response) -> Response:
    match plan:
        case Plan(kind="lost_reply"):
            return CutConnection()
        case Plan(kind="truncate"):
            return TruncatedAnswer(answer.body, headers=dict(answer.headers))
    return answer


def _answer(body: bytes, seconds: float) -> Response:
    headers = {"Mplus-Service-Version": "67.1.3", "Server-Timing": f"total;dur={seconds * 1000:.1f}"}
    return Response(body, media_type=XML, headers=headers)


def carry_out(
    simulation: Simulation, contract: Contract, operation: str, question: etree._Element, *, spoil: str = ""
) -> bytes:
    """Check a request against the schema, do what it asks, write the answer (spoilt, if asked); raises `Fault`."""
    envelope.check_request(question, contract)
    handler = HANDLERS.get(operation)
    if handler is None:
        raise refuse_client(f"Method '{operation}' is not available in this installation.")
    switches = simulation.till.switches
    asked = envelope.decode(question, contract.elements[contract.operations[operation].request], contract)
    if (unsupported := find_unsupported(asked)) is not None:
        raise refuse_client(f"'{unsupported}' is not available in this installation.")
    with simulation.lock:
        answered: Record = presentation.to_wire(
            handler(simulation.till, presentation.from_wire(asked, switches)), switches
        )
    answer = envelope.build_answer(operation, answered, contract)
    if switches.check_answers:
        envelope.check_answer(answer, contract)
    if switches.one_item_lists != "wrapped":
        fields = contract.elements[contract.operations[operation].response]
        envelope.reshape_lists(answer, fields, contract, switches.one_item_lists)
    match spoil:
        case "no_lists":
            envelope.drop_lists(answer, contract)
        case "bad_number":
            envelope.spoil_number(answer)
    return envelope.wrap(answer)


def answer_fault(_request: Request, fault: Exception) -> Response:
    """A SOAP fault is always HTTP 500, as in SOAP 1.1."""
    worded = fault if isinstance(fault, Fault) else fail_server("Internal error.")
    return Response(envelope.word_fault(worded), 500, media_type=XML)

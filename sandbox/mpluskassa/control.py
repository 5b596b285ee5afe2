"""Orders to the simulator, as JSON under `/_control`: switches, faults, webhooks, and people selling at the till."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

import simplejson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.mpluskassa import window
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.faults import Plan
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.refusals import Fault, Refused
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM, Record
from sandbox.mpluskassa.webhooks import Manners, Subscription

UNWANTED = (KeyError, TypeError, ValueError, Refused, Fault)

Order = Callable[[Simulation, Record], Any]


def read_item(fields_sent: Mapping[str, Any]) -> ItemSold:
    """An `ItemSold` from JSON: numbers may be strings or integers, `preparations` a list of the same."""
    values = dict(fields_sent)
    for name in ("quantity", "discount_percent"):
        if name in values:
            values[name] = Decimal(values[name])
    values["preparations"] = tuple(read_item(inner) for inner in values.get("preparations", ()))
    return ItemSold(**values)


def _read_payments(sent: Any) -> list[Tender] | None:
    return None if sent is None else [Tender(**payment) for payment in sent]


def _read_moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)


def _read_pieces(sent: Any) -> Any:
    """Pieces of one article, or of several by number."""
    if isinstance(sent, Mapping):
        return {int(number): Decimal(pieces) for number, pieces in sent.items()}
    return None if sent is None else Decimal(sent)


READERS: dict[str, Callable[[Any], Any]] = {
    "lines": lambda sent: [read_item(item) for item in sent],
    "payments": _read_payments,
    "pieces": _read_pieces,
    "when": _read_moment,
}
"""Arguments of the till's actions that are more than plain JSON."""

ACTIONS = frozenset(
    """
    add_product add_relation change_relation count_stock sell refund edit_receipt withdraw_receipt show_receipt
    restart_markers pay_receipt move_cash transfer_payment count_drawer invoice pay_invoice edit_invoice credit_invoice
    take_order prepay_order deliver_order edit_order cancel_order
    """.split()  # noqa: SIM905 -- names read best as words
)
"""Methods of `Simulation` that may be called from outside, with their arguments as a JSON object."""


def _act(simulation: Simulation, action: str, sent: Record) -> Any:
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}; it is one of {', '.join(sorted(ACTIONS))}")
    if action == "add_product":
        return simulation.add_product(sent)
    arguments = {name: READERS.get(name, lambda value: value)(value) for name, value in sent.items()}
    return getattr(simulation, action)(**arguments)


def _show_state(simulation: Simulation, _sent: Record) -> Record:
    return simulation.describe()


def _set_switches(simulation: Simulation, sent: Record) -> Record:
    known = {field.name for field in fields(simulation.till.switches)}
    if not known.issuperset(sent):
        raise ValueError(f"unknown switch {', '.join(sorted(set(sent) - known))}")
    with simulation.lock:
        for name, value in sent.items():
            setattr(simulation.till.switches, name, value)
    return {name: getattr(simulation.till.switches, name) for name in sorted(known)}


def _add_fault(simulation: Simulation, sent: Record) -> Record:
    sent["seconds"] = float(sent.get("seconds", 0))
    simulation.misbehaviour.plans.append(Plan(**sent))
    return simulation.misbehaviour.describe()


def _clear_faults(simulation: Simulation, _sent: Record) -> Record:
    simulation.misbehaviour.plans.clear()
    simulation.misbehaviour.latency_seconds = 0.0
    return simulation.misbehaviour.describe()


def _set_latency(simulation: Simulation, sent: Record) -> Record:
    simulation.misbehaviour.latency_seconds = float(sent["seconds"])
    return simulation.misbehaviour.describe()


def _reset_traffic(simulation: Simulation, _sent: Record) -> Record:
    simulation.traffic.reset()
    return {}


def _subscribe(simulation: Simulation, sent: Record) -> Record:
    events = {"events": tuple(sent["events"])} if "events" in sent else {}
    simulation.subscribe(Subscription(**{**sent, **events}))
    return {}


def _set_manners(simulation: Simulation, sent: Record) -> Record:
    sent["delay_seconds"] = float(sent.get("delay_seconds", 0))
    simulation.courier.manners = Manners(**sent)
    return sent


async def _respond(request: Request, order: Order) -> Response:
    body = await request.body()
    try:
        sent = simplejson.loads(body, use_decimal=True) if body else {}
        done = await run_in_threadpool(order, request.app.state.simulation, sent)
    except UNWANTED as error:
        return _json({"error": f"{type(error).__name__}: {error}"}, 422)
    return _json(done, 200)


def _json(content: Any, status: int) -> Response:
    return Response(simplejson.dumps(content, use_decimal=True), status, media_type="application/json")


def _route(path: str, method: str, order: Order) -> Route:
    async def endpoint(request: Request) -> Response:
        return await _respond(request, order)

    return Route(f"/_control/{path}", endpoint, methods=[method], name=f"{method} {path}")


async def _run_action(request: Request) -> Response:
    action = request.path_params["action"]
    return await _respond(request, lambda simulation, sent: _act(simulation, action, sent))


async def _show_window(request: Request) -> Response:
    return PlainTextResponse(window.to_text(request.app.state.simulation.till))


async def _list_rows(request: Request) -> Response:
    name = request.path_params["table"]
    return await _respond(request, lambda simulation, _sent: list(simulation.till[name]))


ROUTES = [
    _route("state", "GET", _show_state),
    _route("switches", "POST", _set_switches),
    _route("faults", "POST", _add_fault),
    _route("faults", "DELETE", _clear_faults),
    _route("latency", "POST", _set_latency),
    _route("traffic", "DELETE", _reset_traffic),
    _route("subscription", "POST", _subscribe),
    _route("webhooks", "POST", _set_manners),
    Route("/_control/till/{action}", _run_action, methods=["POST"]),
    Route("/_control/window", _show_window, methods=["GET"]),
    Route("/_control/records/{table}", _list_rows, methods=["GET"]),
]

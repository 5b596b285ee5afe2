"""Liveness, readiness, and metrics for Prometheus."""

from __future__ import annotations

import hmac

import anyio
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store.installation import OK
from gateway.web import access, gauges, services
from gateway.web.problems import Refusal
from gateway.web.services import Probe


def routes() -> list[Route]:
    """The three addresses; they need no login and show no secret."""
    return [
        Route("/livez", is_alive, methods=["GET"]),
        Route("/readyz", is_ready, methods=["GET"]),
        Route("/metrics", expose_metrics, methods=["GET"]),
    ]


async def is_alive(_request: Request) -> Response:
    """200 as long as the event loop runs; no dependency is checked."""
    return JSONResponse({"status": "alive"})


async def is_ready(request: Request) -> Response:
    """200 when something can be stored and a wake-up can be sent, else 503 naming what cannot and why."""
    shared = services.of(request)
    found: dict[str, str] = {}

    async def ask(name: str, probe: Probe[str]) -> None:
        found[name] = await probe.ask()

    async with anyio.create_task_group() as both:
        both.start_soon(ask, "database", shared.database_probe)
        both.start_soon(ask, "broker", shared.broker_probe)
    ready = all(answer == OK for answer in found.values())
    content = {"status": "ready" if ready else "unavailable", "database": found["database"], "broker": found["broker"]}
    return JSONResponse(content, 200 if ready else 503)


async def expose_metrics(request: Request) -> Response:
    """The counters of all processes and the database's gauges; without the database only this process's own."""
    shared = services.of(request)
    wanted = shared.settings.metrics_token
    if wanted and not hmac.compare_digest(access.bearer_of(request).encode("utf-8", "surrogatepass"), wanted.encode()):
        raise Refusal(401, "send Authorization: Bearer with METRICS_TOKEN", headers={"WWW-Authenticate": "Bearer"})
    text = await shared.metrics.ask() or generate_latest(gauges.PROCESS) + gauges.expose(None)
    return Response(text, media_type=CONTENT_TYPE_LATEST)

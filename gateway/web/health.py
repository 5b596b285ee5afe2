"""Is the process alive, can it work, and its numbers for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

import redis
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import Transient
from gateway.store import migrate, presence
from gateway.web import gauges, services
from gateway.web.services import Services

PROBE_SECONDS = 2.0


def routes() -> list[Route]:
    """The three addresses, for everybody: they hold no secret."""
    return [
        Route("/livez", is_alive, methods=["GET"]),
        Route("/readyz", is_ready, methods=["GET"]),
        Route("/metrics", expose_metrics, methods=["GET"]),
    ]


async def is_alive(_request: Request) -> Response:
    """200 as long as the event loop turns; no dependency is asked."""
    return JSONResponse({"status": "alive"})


async def is_ready(request: Request) -> Response:
    """200 when database and broker are usable, else 503 naming what is not."""
    shared = services.of(request)
    database = await _probe(shared, lambda: "ok" if migrate.is_current(shared.engine) else "not migrated")
    broker = await _probe(shared, lambda: "ok" if shared.redis.ping() else "no answer")
    ready = database == broker == "ok"
    content = {"status": "ready" if ready else "unavailable", "database": database, "broker": broker}
    return JSONResponse(content, 200 if ready else 503)


async def _probe(shared: Services, look: Callable[[], str]) -> str:
    try:
        return await shared.soon(look, seconds=PROBE_SECONDS)
    except (Transient, SQLAlchemyError, redis.RedisError, OSError):
        return "unreachable"


async def expose_metrics(request: Request) -> Response:
    """What all processes counted, and what the database says; without it only what this process knows of itself."""
    shared = services.of(request)
    text = generate_latest(gauges.PROCESS)
    try:
        await shared.run(lambda: presence.tally(shared.engine))
        reading = await shared.read(lambda session: gauges.read(session, shared.settings))
    except Transient:
        return Response(text + gauges.expose(None), media_type=CONTENT_TYPE_LATEST)
    return Response(text + gauges.expose(reading), media_type=CONTENT_TYPE_LATEST)

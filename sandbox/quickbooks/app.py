"""The Starlette application around a simulation: OAuth, the accounting API, the control API, and the webhook sender."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from sandbox.quickbooks import api, control, oauth, sender
from sandbox.quickbooks.fault_injection import CUT
from sandbox.quickbooks.simulation import Simulation


class Intuit(Starlette):
    """Starlette, and a way for a response to cut its own connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[CUT] = _to_cut(send)
        await super().__call__(scope, receive, send)


def create_app(simulation: Simulation) -> Intuit:
    """The application; its lifespan runs the webhook sender."""
    routes = [
        Route("/connect/oauth2", oauth.authorize, methods=["GET"]),
        Route("/connect/oauth2", oauth.decide, methods=["POST"]),
        Route("/oauth2/v1/tokens/bearer", oauth.token, methods=["POST"]),
        Route("/v2/oauth2/tokens/revoke", oauth.revoke, methods=["POST"]),
        Route("/.well-known/openid_configuration", oauth.discover),
        Route("/.well-known/openid_sandbox_configuration", oauth.discover),
        Route("/v3/company/{realm}/{rest:path}", api.serve, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        Mount("/_control", routes=control.ROUTES),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(sender.run(lambda: app.state.simulation))
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app = Intuit(routes=routes, lifespan=lifespan)
    app.state.simulation = simulation
    return app


def _to_cut(send: Send) -> Callable[[], None]:
    """uvicorn's send is a method of the exchange, which holds the transport; aborting that is a dropped line."""
    exchange: Any = getattr(send, "__self__", None)

    def cut() -> None:
        exchange.transport.abort()

    return cut

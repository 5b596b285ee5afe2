"""A small server that takes in webhooks of the books while a probe waits for one; it answers 200 to everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.connectors.quickbooks import webhook
from gateway.connectors.quickbooks.webhook import Hint

LOOK_SECONDS = 0.05


class Listener:
    """Keeps the bodies of the deliveries that came. `patience` is how long a probe waits for one, in seconds.

    Intuit sends the events of all companies of an app to one address: only those of `account` are heard.
    """

    def __init__(self, patience: float = 60.0) -> None:
        self.patience = patience
        self.account = ""
        self.bodies: list[bytes] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        return Response()

    def hints(self) -> Iterator[Hint]:
        """Every event heard of, as our own connector reads it."""
        for body in list(self.bodies):
            found = (hint for hint in webhook.parse(body) if isinstance(hint, Hint))
            yield from (hint for hint in found if hint.account == self.account)

    def wait(self, wanted: Callable[[Hint], bool]) -> Hint | None:
        """The first event that fits, or None when none came in time."""
        until = time.monotonic() + self.patience
        while time.monotonic() < until:
            found = next((hint for hint in self.hints() if wanted(hint)), None)
            if found:
                return found
            time.sleep(LOOK_SECONDS)
        return None

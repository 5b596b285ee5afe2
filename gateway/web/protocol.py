"""HTTP itself: uvicorn's protocol with limits on slow or huge requests, and the security headers of every answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol, TypeAlias, cast
from weakref import WeakSet

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
ROUND_SECONDS = 0.25  # one check of all connections; a timer for every request would cost more than its parsing
LARGEST_HEAD = 64 * 1024
MAX_HEADERS = 100
_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
DIRECT = "direct"
"""Where the application's lifespan puts what takes requests directly."""
FAILURE = "kassabridge.failure"
"""Where a request's scope has what went wrong when it was taken directly."""
_UNUSUAL = frozenset({b"content-encoding", b"transfer-encoding", b"expect", b"upgrade"})
_LONGEST_LENGTH = len(str(HIGH_WATER_LIMIT))

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
Answer: TypeAlias = Callable[[Exception | None], None]


class Direct(Protocol):
    """Takes POST requests of its address without the application; `headers` are those of its empty answer 200."""

    address: str
    headers: Headers

    def take(self, raw_headers: Headers, body: bytes, answer: Answer) -> bool:
        """Whether it takes the request and will call `answer` once; if not, the application answers."""


class TooMuch(Exception):
    """The head of a request outgrew its limit; the parser answers 400 and closes."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A head has HEAD_SECONDS to arrive, from its first byte or the connection on; a body BODY_SECONDS.

    Between requests uvicorn's own keep-alive limit holds.
    """

    deadline = math.inf
    _in_head = True
    _packet = 0
    _arrived = 0  # bytes since the head began, or since a part of the body arrived, at least
    _direct: Direct | None = None  # takes the request whose body arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(HEAD_SECONDS)
        if self.server_state not in _WATCHED:
            _WATCHED.add(self.server_state)
            self.loop.call_later(ROUND_SECONDS, _watch, self.loop, self.server_state)

    def data_received(self, data: bytes) -> None:
        self._packet = len(data)
        self._arrived += self._packet
        super().data_received(data)
        # Refused here: a head without an end, and what is no content behind it (trailers, extensions of chunks).
        if self._arrived > LARGEST_HEAD:
            self._refuse(_LARGE if self._is_next() else b"")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._arrived = True, self._packet
        self._expect(HEAD_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_HEADERS:
            raise TooMuch
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        # Counted only where the packets can hold so much.
        if self._arrived > LARGEST_HEAD:
            size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
            if size > LARGEST_HEAD:
                raise TooMuch
        self._in_head, self._arrived = False, 0
        self._expect(BODY_SECONDS)
        self._direct = self._find_direct()
        if self._direct is None:
            super().on_headers_complete()
            return
        # As uvicorn begins a request, except that the application is not called yet.
        address = self._direct.address
        self.scope |= {"method": "POST", "path": address, "raw_path": address.encode(), "query_string": b""}
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )

    def on_body(self, body: bytes) -> None:
        self._arrived = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.deadline, self._arrived = math.inf, 0
        super().on_message_complete()
        if self._direct is None:
            return
        direct, self._direct = self._direct, None
        answer = partial(self._answer, direct, self.cycle)
        try:
            taken = direct.take(self.headers, bytes(self.cycle.body), answer)
        except Exception as error:  # noqa: BLE001 - the application answers it, as every other
            answer(error)
        else:
            if not taken:
                self._start_asgi_task(self.cycle, self.app)

    def give_up(self) -> None:
        """End a connection whose deadline is over, with an answer where it cannot be taken for another request's."""
        self.deadline = math.inf
        self._refuse(_SLOW if self._is_next() else b"")

    def _find_direct(self) -> Direct | None:
        """What takes this request directly: only where no other is being answered, and nothing about it is unusual."""
        direct: Direct | None = self.app_state.get(DIRECT)
        if direct is None or self.url != direct.address.encode() or self.parser.get_method() != b"POST":
            return None
        if (self.cycle is not None and not self.cycle.response_complete) or self.flow.write_paused or self.access_log:
            return None
        given = dict(self.headers)
        length = given.get(b"content-length", b"")
        is_short = length.isdigit() and len(length) <= _LONGEST_LENGTH and int(length) <= HIGH_WATER_LIMIT
        is_usual = is_short and not self.root_path and self.limit_concurrency is None and not _UNUSUAL & given.keys()
        return direct if is_usual and self.parser.get_http_version() == "1.1" else None

    def _answer(self, direct: Direct, cycle: RequestResponseCycle, failure: Exception | None) -> None:
        if failure is not None:
            cast("dict[str, Any]", cycle.scope)[FAILURE] = failure
            self._start_asgi_task(cycle, self.app)
        elif not cycle.disconnected:
            cycle.response_started = cycle.response_complete = True
            closing = [] if cycle.keep_alive else [(b"connection", b"close")]
            self.transport.write(_write_head((*cycle.default_headers, *direct.headers, *closing)))
            if closing:
                self.transport.close()
            self.on_response_complete()

    def _is_next(self) -> bool:
        if self._in_head:
            return self.cycle is None or self.cycle.response_complete
        return not self.pipeline and not self.cycle.response_started

    def _expect(self, seconds: float) -> None:
        self.deadline = self.loop.time() + seconds

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


@lru_cache(maxsize=4)
def _write_head(headers: Headers) -> bytes:
    """An answer 200 without a body; the headers change once a second, with the date."""
    return b"".join([b"HTTP/1.1 200 OK\r\n", *(b"%s: %s\r\n" % header for header in headers), b"\r\n"])


_WATCHED: WeakSet[ServerState] = WeakSet()


def _watch(loop: asyncio.AbstractEventLoop, server: ServerState) -> None:
    """End the connections whose deadline is over, and look again every ROUND_SECONDS while there are some."""
    for connection in [*server.connections]:
        if isinstance(connection, BoundedProtocol) and connection.deadline <= loop.time():
            connection.give_up()
    if server.connections:
        loop.call_later(ROUND_SECONDS, _watch, loop, server)
    else:
        _WATCHED.discard(server)


# --- headers of answers ----------------------------------------------------------------------------------------------


def _to_raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# No browser reads a webhook's answer.
FOR_MACHINES = _to_raw({"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"})


class SecurityHeaders:
    """Middleware. `https` says that browsers reach us encrypted, and should insist on it."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        always = _ALWAYS | ({"Strict-Transport-Security": "max-age=31536000"} if https else {})
        # No endpoint sets any of these, so they are appended.
        self._fleeting = _to_raw(always | {"Cache-Control": "no-store"})
        # The address of a static file changes with its content.
        self._static = _to_raw(always | {"Cache-Control": "public, max-age=31536000, immutable"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = self._static if scope["path"].startswith("/static/") else self._fleeting
        if scope["path"].startswith("/webhooks/"):
            headers = FOR_MACHINES

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._app(scope, receive, add)

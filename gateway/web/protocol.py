"""uvicorn's HTTP protocol with limits: slow or huge requests are cut off before they use resources."""

from __future__ import annotations

import asyncio
import math
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
ROUND_SECONDS = 0.25  # one check of all connections; a timer for every request would cost more than its parsing
LARGEST_HEAD = 64 * 1024
MAX_HEADERS = 100
_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(HEAD_SECONDS)
        _watch_on(self.loop).add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        _watch_on(self.loop).discard(self)
        super().connection_lost(exc)

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
        if self._arrived > LARGEST_HEAD and self._measure_head() > LARGEST_HEAD:
            raise TooMuch
        self._in_head, self._arrived = False, 0
        self._expect(BODY_SECONDS)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._arrived = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.deadline, self._arrived = math.inf, 0
        super().on_message_complete()

    def give_up(self) -> None:
        """End a connection whose deadline is over, with an answer where it cannot be taken for another request's."""
        self.deadline = math.inf
        self._refuse(_SLOW if self._is_next() else b"")

    def _measure_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

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


class _Watch:
    """The open connections of one event loop, looked at together every ROUND_SECONDS."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: set[BoundedProtocol] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: BoundedProtocol) -> None:
        self._open.add(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(ROUND_SECONDS, self._look)

    def discard(self, connection: BoundedProtocol) -> None:
        self._open.discard(connection)

    def _look(self) -> None:
        now = self._loop.time()
        for connection in [each for each in self._open if each.deadline <= now]:
            connection.give_up()
        self._timer = self._loop.call_later(ROUND_SECONDS, self._look) if self._open else None


_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


def _watch_on(loop: asyncio.AbstractEventLoop) -> _Watch:
    if loop not in _WATCHES:
        _WATCHES[loop] = _Watch(loop)
    return _WATCHES[loop]

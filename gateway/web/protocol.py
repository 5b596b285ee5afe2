"""HTTP as uvicorn speaks it, with an end to patience: slow or huge requests are cut off before they cost anything."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
BODY_SECONDS = 30.0
LARGEST_HEAD = 64 * 1024
MOST_HEADERS = 100
_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class TooMuch(Exception):
    """The head of a request outgrew its limit; the parser answers 400 and closes."""


class PatientProtocol(HttpToolsProtocol):
    """One connection. A head has HEAD_SECONDS to arrive, from its first byte or the connection on; a body BODY_SECONDS.

    Between requests uvicorn's own keep-alive limit holds.
    """

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _unread_bytes = 0
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # What is counted here is a head without an end; a whole one is counted header by header.
        self._unread_bytes = self._unread_bytes + len(data) if self._in_head else 0
        if self._unread_bytes > LARGEST_HEAD:
            self._refuse(_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._unread_bytes, self._head_bytes = True, 0, 0
        self._expect(HEAD_SECONDS)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if len(self.headers) > MOST_HEADERS or self._head_bytes + len(self.url) > LARGEST_HEAD:
            raise TooMuch

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._expect(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._rest()
        super().on_message_complete()

    def _expect(self, seconds: float) -> None:
        self._rest()
        self._timer = self.loop.call_later(seconds, self._lose_patience)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose_patience(self) -> None:
        self._refuse(_SLOW if self._in_head else b"")

    def _refuse(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

"""A deadline for one whole exchange: every wait of a connection, for the head of an answer too, ends by it.

httpx limits each wait separately, so a head sent byte by byte could take any time.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from urllib.request import getproxies

import httpcore
import httpx

from gateway import ssrf_guard

MAX_CONNECTIONS: Final = 32
_SHORTEST: Final = 0.001  # a wait of zero would mean non-blocking, which fails differently
_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[float]:
    """Let every wait of this thread's connections end in so many seconds; yields that moment (monotonic)."""
    until = time.monotonic() + seconds
    token = _until.set(until)
    try:
        yield until
    finally:
        _until.reset(token)


def open_http() -> httpx.Client:
    """A client whose connections obey `within`. One behind a proxy (HTTPS_PROXY) does not."""
    proxied = {"all", "http", "https"} & getproxies().keys()
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
    transport = None if proxied else ssrf_guard.open_transport(backend=_Network(), most=MAX_CONNECTIONS)
    return httpx.Client(follow_redirects=False, limits=limits, transport=transport)


class _Network(ssrf_guard.GuardedBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, _left(timeout), local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """A connection's socket; no wait outlasts the deadline."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None) -> float | None:
    until = _until.get()
    if until is None:
        return timeout
    left = max(_SHORTEST, until - time.monotonic())
    return left if timeout is None else min(left, timeout)

"""One HTTP request and its whole answer, within a deadline and a size; it has no rules of the books."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from gateway.connectors.quickbooks import deadline

ACCEPT: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """The maximum duration (seconds) and size (bytes, unpacked) of an exchange.

    `total` covers the whole answer. The head of one is bounded by it where the client is `deadline.open_http`'s.
    """

    connect: float = 5.0
    read: float = 30.0
    total: float = 60.0
    size: int = 20 * 1024 * 1024

    @property
    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(self.read, connect=self.connect)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSent(Exception):
    """The connection was never made: nothing can have been done."""


class NoAnswer(Exception):
    """The request may have arrived, but no complete answer came."""


def send(http: httpx.Client, request: httpx.Request, limits: Limits) -> Reply:
    """Send a request built by the same client, never following redirects. Raises NotSent or NoAnswer."""
    with deadline.within(limits.total) as until:
        answer = _begin(http, request, limits, until)
        try:
            return Reply(answer.status_code, _to_headers(answer), _read_body(answer, limits, until))
        finally:
            answer.close()


def _begin(http: httpx.Client, request: httpx.Request, limits: Limits, until: float) -> httpx.Response:
    try:
        return http.send(request, stream=True, follow_redirects=False)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
        raise NotSent(_describe(error)) from error
    except httpx.RequestError as error:
        raise _to_no_answer(error, limits, until) from error


def _read_body(answer: httpx.Response, limits: Limits, until: float) -> bytes:
    body = bytearray()
    try:
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > limits.size:
                raise NoAnswer(f"the answer is larger than {limits.size} bytes")
            if time.monotonic() >= until:
                raise NoAnswer(_too_slow(limits))
    except httpx.RequestError as error:
        raise _to_no_answer(error, limits, until) from error
    return bytes(body)


def _to_no_answer(error: httpx.RequestError, limits: Limits, until: float) -> NoAnswer:
    return NoAnswer(_too_slow(limits) if time.monotonic() >= until else _describe(error))


def _too_slow(limits: Limits) -> str:
    return f"the answer took longer than {limits.total} s"


def _to_headers(answer: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _describe(error: httpx.RequestError) -> str:
    # The library's message may hold the address with its parameters: only the class is named.
    return type(error).__name__

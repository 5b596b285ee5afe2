"""Sends deliveries over 32 connections, each the next one as soon as it has its answer: a process of its own.

`python -m bench.peers.sender PORT FILE` prints what was acknowledged, refused, the seconds in all and the 95th
percentile of an answer in seconds, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from bench import figures

CONNECTIONS = 32
LONGEST_SECONDS = 60.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection; `over` is set when there is nothing left to send."""

    def __init__(
        self, requests: Iterator[bytes], answers: list[tuple[bool, float]], over: asyncio.Future[None]
    ) -> None:
        self._requests, self._answers, self._over = requests, answers, over
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if _is_whole(self._received):
            self._answers.append((self._received[9:12] == b"200", time.perf_counter() - self._began))
            self._received = b""
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(exc or ConnectionError("the other side hung up"))

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._over.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and (len(body) >= int(length.group(1)) if length else body.endswith(_LAST_CHUNK))


def to_request(line: str) -> bytes:
    """The bytes of one delivery, from a line of two signatures and a body."""
    plain, hexadecimal, body = line.split(" ", 2)
    head = (
        "POST /webhooks/quickbooks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"intuit-signature: {plain}\r\nX-Signature: {hexadecimal}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode("ascii")


async def send(port: int, lines: list[str]) -> dict[str, float]:
    """Send all of them."""
    loop, answers = asyncio.get_running_loop(), list[tuple[bool, float]]()
    requests = iter([to_request(line) for line in lines])
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(CONNECTIONS)]
    began, since = time.perf_counter(), time.time()
    for over in ends:
        await loop.create_connection(lambda over=over: Connection(requests, answers, over), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait_for(asyncio.gather(*ends), LONGEST_SECONDS)
    seconds = time.perf_counter() - began
    good = sum(accepted for accepted, _ in answers)
    most = figures.percentile([waited for _, waited in answers], 95)
    return {"good": good, "bad": len(answers) - good, "seconds": seconds, "most": most, "began": since}


if __name__ == "__main__":
    found = uvloop.run(send(int(sys.argv[1]), Path(sys.argv[2]).read_text("ascii").splitlines()))
    sys.stdout.write(json.dumps(found))

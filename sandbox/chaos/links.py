"""One connection through the proxy: a pipe for each direction, and what the fault of the moment does to them."""

from __future__ import annotations

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from sandbox.chaos.faults import Blackhole, Drip, Fault, Latency, LoseReply, LoseRequest, Reset, Truncate

PORTION = 65_536
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: what is not sent is thrown away, and the other end is told by a reset


class Cut(Exception):
    """The connection ends now; `rudely` by a reset."""

    def __init__(self, *, rudely: bool) -> None:
        super().__init__()
        self.rudely = rudely


class FaultSource(Protocol):
    """Which fault each connection is under."""

    def find_fault(self, link: Link, asked: bytes = b"") -> Fault | None: ...

    def strike(self, link: Link) -> bool: ...

    def jitter(self) -> float: ...


class Link:
    """Client and server of one connection. `source` says which fault it is under, and whether that may strike."""

    def __init__(self, client: StreamWriter, source: FaultSource) -> None:
        self.client = client
        self.fault: Fault | None = None
        self.calm = asyncio.Event()
        self.frozen = False
        self._source = source
        self._answered = 0
        self._losing = False

    async def run(self, requests: StreamReader, answers: StreamReader, server: StreamWriter) -> None:
        """Carry both ways until one end closes or a fault cuts the connection."""
        ways = [
            asyncio.create_task(self._carry(requests, server, self._ask, asking=True)),
            asyncio.create_task(self._carry(answers, self.client, self._answer, asking=False)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            cuts = [task.exception() for task in done]
            if any(isinstance(cut, Cut) and cut.rudely for cut in cuts):
                self.reset()
        finally:
            server.close()
            self.client.close()
            for task in ways:
                task.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def reset(self) -> None:
        """Cut the client off with a reset."""
        sock = self.client.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.client.transport.abort()

    def meet(self, fault: Fault | None) -> None:
        """Be under this fault from now on; its counts begin anew."""
        self.fault = fault
        self._answered, self._losing = 0, False
        if isinstance(fault, Blackhole):
            self.calm.clear()
        else:
            self.calm.set()

    async def _carry(
        self,
        source: StreamReader,
        sink: StreamWriter,
        meet: Callable[[bytes, StreamWriter], Awaitable[None]],
        *,
        asking: bool,
    ) -> None:
        with suppress(OSError):
            while portion := await source.read(PORTION):
                fault = self._source.find_fault(self, portion if asking else b"")
                await self._hold(fault)
                await meet(portion, sink)
        with suppress(OSError):
            sink.write_eof()

    async def _hold(self, fault: Fault | None) -> None:
        if isinstance(fault, Latency):
            await asyncio.sleep(fault.seconds + fault.jitter * self._source.jitter())
        while self.frozen or not self.calm.is_set():
            await (asyncio.Event().wait() if self.frozen else self.calm.wait())

    async def _ask(self, portion: bytes, server: StreamWriter) -> None:
        match self.fault:
            case LoseRequest(asking) if asking in portion and self._source.strike(self):
                raise Cut(rudely=True)
            case LoseReply(asking) if asking in portion:
                self._losing = True
        await _pass(portion, server)

    async def _answer(self, portion: bytes, client: StreamWriter) -> None:
        match self.fault:
            case LoseReply() if self._losing and self._source.strike(self):
                raise Cut(rudely=True)
            case Reset(after) | Truncate(after):
                await self._answer_part(portion, after, client)
            case Drip(size, seconds):
                for start in range(0, len(portion), size):
                    await _pass(portion[start : start + size], client)
                    await asyncio.sleep(seconds)
            case _:
                await _pass(portion, client)

    async def _answer_part(self, portion: bytes, after: int, client: StreamWriter) -> None:
        left = after - self._answered
        self._answered += len(portion)
        if len(portion) < left or not self._source.strike(self):
            await _pass(portion, client)
            return
        await _pass(portion[: max(0, left)], client)
        raise Cut(rudely=isinstance(self.fault, Reset))


async def _pass(portion: bytes, sink: StreamWriter) -> None:
    sink.write(portion)
    await sink.drain()

"""A TCP proxy in front of any server, misbehaving on order: for PostgreSQL, Redis and both outside systems alike."""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from sandbox.chaos.faults import LASTING, Fault, Refuse
from sandbox.chaos.links import Link

Answer = TypeVar("Answer")


@dataclass
class _Spell:
    """A fault in force: a `share` of the connections that meet it are under it; it strikes `left` times (None: any).

    Connections meet it at once, or with the first request that holds `asking`.
    """

    fault: Fault
    share: float
    left: int | None
    asking: bytes


class Proxy:
    """Listens on a loopback port of its own, on a thread; every method may be called from any thread.

    `upstream` is a host and port, or the path of a unix socket. The same `seed` and the same order of connections
    give the same faults. `struck` counts how often a connection was cut, or became slow or silent.
    """

    def __init__(self, upstream: tuple[str, int] | Path, *, seed: int = 0) -> None:
        self._upstream = upstream
        self._chance = Random(seed)
        self._spell: _Spell | None = None
        self._met: dict[Link, _Spell | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.struck = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._met)

    def begin(self, fault: Fault, *, share: float = 1.0, times: int | None = None, asking: bytes = b"") -> None:
        """Misbehave like this from now on, instead of as before: open connections and new ones.

        With `asking`, each from the first request on that holds it.
        """
        self._do(lambda: self._turn(_Spell(fault, share, times, asking)))

    def end(self) -> None:
        """Behave; what was held passes. Connections that were frozen stay so."""
        self._do(lambda: self._turn(None))

    @contextmanager
    def during(
        self, fault: Fault, *, share: float = 1.0, times: int | None = None, asking: bytes = b""
    ) -> Iterator[None]:
        """Misbehave within the block."""
        self.begin(fault, share=share, times=times, asking=asking)
        try:
            yield
        finally:
            self.end()

    def cut(self) -> int:
        """Reset every open connection; answers how many."""
        return self._do(lambda: sum(self._for_each(Link.reset)))

    def freeze(self) -> int:
        """Let every open connection fall silent for ever without telling anybody; new ones are well. Answers how many.

        So is a connection whose other end vanished behind a router.
        """

        def freeze(link: Link) -> None:
            link.frozen = True

        return self._do(lambda: sum(self._for_each(freeze)))

    def stop(self) -> None:
        """Cut everything and listen no more."""
        asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, act: Callable[[], Answer]) -> Answer:
        async def run() -> Answer:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _for_each(self, act: Callable[[Link], None]) -> Iterator[int]:
        for link in list(self._met):
            act(link)
            yield 1

    def _turn(self, spell: _Spell | None) -> None:
        self._spell = spell
        for link in self._met:
            self.find_fault(link)

    def find_fault(self, link: Link, asked: bytes = b"") -> Fault | None:
        """The fault this connection is under; whether it is, is decided when it meets a new one."""
        met, spell = self._met.get(link), self._spell
        if spell is not None and met is not spell and spell.asking not in asked:
            spell = None  # not asked for yet
        if met is not spell:
            self._met[link] = spell
            link.meet(spell.fault if spell and self._falls_on(link, spell) else None)
        return link.fault

    def strike(self, link: Link) -> bool:
        """Whether the fault may strike once more; counts it."""
        spell = self._met.get(link)
        if spell is None or spell.left == 0:
            return False
        spell.left = None if spell.left is None else spell.left - 1
        self.struck += 1
        return True

    def jitter(self) -> float:
        """From 0 to 1, by the seed."""
        return self._chance.random()

    def _falls_on(self, link: Link, spell: _Spell) -> bool:
        if self._chance.random() >= spell.share:
            return False
        return not isinstance(spell.fault, LASTING) or self.strike(link)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, requests: StreamReader, client: StreamWriter) -> None:
        link = Link(client, self)
        link.meet(None)
        self._met[link] = None
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if isinstance(self.find_fault(link), Refuse) and self.strike(link):
                link.reset()
                return
            answers, server = await self._connect()
            await link.run(requests, answers, server)
        except OSError:
            link.reset()  # nobody is behind us
        except asyncio.CancelledError:
            return  # we stop; asyncio's streams take a cancelled task for a failure and log it
        finally:
            self._tasks.discard(task)
            del self._met[link]

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        if isinstance(self._upstream, Path):
            return await asyncio.open_unix_connection(str(self._upstream))
        return await asyncio.open_connection(*self._upstream)

    async def _end_all(self) -> None:
        self._server.close()
        for link in list(self._met):
            link.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

"""Both simulators in one process: two servers on one loop, the trade beside them, and a quick end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

from sandbox.mpluskassa import app as kassa
from sandbox.quickbooks import app as intuit
from sandbox.settings import Settings, SettingsError
from sandbox.shop.trader import Trader
from sandbox.state import Simulations, TokensKept, keep_books
from sandbox.trade import Pace, Trade

HOST = "127.0.0.1"
GRACE_SECONDS = 1
STEP_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Doors:
    """The two listening sockets."""

    quickbooks: socket.socket
    mplus: socket.socket

    def describe(self) -> tuple[str, str]:
        """One line per server, for the person who started them."""
        return (
            f"QuickBooks simulator listens on http://{HOST}:{self.quickbooks.getsockname()[1]}",
            f"MplusKASSA simulator listens on http://{HOST}:{self.mplus.getsockname()[1]}",
        )


class Server(uvicorn.Server):
    """A server that leaves signals to the process: with two of them, only one would hear."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def open_doors(settings: Settings) -> Doors:
    """Listen on both ports. Raises `SettingsError` naming a port that is taken."""
    return Doors(
        _listen(settings.quickbooks_port, "SANDBOX_QUICKBOOKS_PORT"),
        _listen(settings.mplus_port, "SANDBOX_MPLUS_PORT"),
    )


def _listen(port: int, name: str) -> socket.socket:
    try:
        listening = socket.create_server((HOST, port), backlog=256)
    except OSError as error:
        raise SettingsError(f"{name} should be a free port, but {port} cannot be used ({_word(error)})") from None
    # asyncio sets it only on sockets that it has made: an answer in two parts waited 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _word(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


async def serve(settings: Settings, simulations: Simulations, doors: Doors) -> int:
    """Serve until SIGTERM or SIGINT, then save. Answers the exit code: 1 when the trade broke down."""
    loop, ended, broke = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def break_down() -> None:
        broke.set()
        ended.set()

    books = intuit.create_app(simulations.books)
    books.add_middleware(TokensKept, simulations=simulations)
    running = [_start(books, doors.quickbooks), _start(kassa.create_app(simulations.till), doors.mplus)]
    keeper = asyncio.create_task(keep_books(simulations))
    trade = _trade(settings, simulations, lambda: loop.call_soon_threadsafe(break_down))
    await ended.wait()
    trade.stop()
    keeper.cancel()
    await asyncio.gather(*(_stop(*each) for each in running))
    if trade.is_alive():
        trade.join(STEP_SECONDS)
    simulations.save()
    return int(broke.is_set())


def _start(app: Starlette, door: socket.socket) -> tuple[Server, asyncio.Task[None], socket.socket]:
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", ws="none")
    config.timeout_graceful_shutdown = GRACE_SECONDS
    server = Server(config)
    return server, asyncio.create_task(server.serve(sockets=[door])), door


async def _stop(server: Server, task: asyncio.Task[None], door: socket.socket) -> None:
    server.should_exit = True
    with suppress(asyncio.CancelledError):
        await task
    door.close()


def _trade(settings: Settings, simulations: Simulations, fell: Callable[[], object]) -> Trade:
    trader = Trader(simulations.books, simulations.till, realm=settings.realm_id, seed=settings.seed)
    trade = Trade(trader, Pace(settings.pace), settings.quickbooks_webhook_url, fell)
    if settings.trade:
        trade.start()
    return trade

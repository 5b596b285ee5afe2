"""The shop's day on a thread of its own: opens when somebody listens, then one step of the trader after another."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.shop.trader import Trader

OPENING_SECONDS = 0.28
WAITING_SECONDS = 0.5
_EARLY, _BUSY = 40, 200
_EARLY_SECONDS, _USUAL_SECONDS = 2.0, 10.0
_SLOWER = 6


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two steps; `seconds` replaces the usual rhythm."""

    seconds: float | None = None

    def after_edit(self) -> float:
        """Between two entries of the price list: quick, so that all of it is in within half a minute."""
        return min(OPENING_SECONDS, self.seconds or OPENING_SECONDS)

    def after_sale(self, sales: int) -> float:
        """Lively at first, then usual, and slow after many `sales`."""
        usual = self.seconds or (_EARLY_SECONDS if sales < _EARLY else _USUAL_SECONDS)
        return usual if sales < _BUSY else usual * _SLOWER

    def while_waiting(self) -> float:
        """Between two looks whether the till has anything to sell."""
        return min(WAITING_SECONDS, self.seconds or WAITING_SECONDS)


class Trade(threading.Thread):
    """Steps until stopped. `address` is where webhooks go: the shop opens once that answers. `fell` hears a crash."""

    def __init__(self, trader: Trader, pace: Pace, address: str, fell: Callable[[], object]) -> None:
        super().__init__(name="trade", daemon=True)
        self._trader, self._pace, self._address, self._fell = trader, pace, address, fell
        self._stopped = threading.Event()

    def stop(self) -> None:
        """No further step; does not wait for the one that is being done."""
        self._stopped.set()

    def run(self) -> None:
        """Trade."""
        try:
            self._trade()
        except BaseException:
            self._fell()
            raise

    def _trade(self) -> None:
        while not _answers(self._address):
            if self._stopped.wait(WAITING_SECONDS):
                return
        sales, wait = 0, 0.0
        while not self._stopped.wait(wait):
            opening = self._trader.is_opening
            action = self._trader.step()
            sales += action is not None and action.what == "sold"
            wait = self._find_wait(opening=opening, idle=action is None, sales=sales)

    def _find_wait(self, *, opening: bool, idle: bool, sales: int) -> float:
        if opening:
            return self._pace.after_edit()
        return self._pace.while_waiting() if idle else self._pace.after_sale(sales)


def _answers(address: str) -> bool:
    """Whether something listens there; nobody has to when there is no address."""
    if not address:
        return True
    parts = urlsplit(address)
    with closing(socket.socket()) as probe:
        probe.settimeout(WAITING_SECONDS)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return probe.connect_ex((parts.hostname or "", port)) == 0

"""The two systems of the demo shop, just furnished, with clocks that stand still unless told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.quickbooks.simulation import Simulation as Books
from sandbox.shop import Action, Trader, furnish
from tests.sandbox.shop.carrying import carry

MORNING = datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM)


@dataclass
class Shop:
    """Both systems and the trader between them."""

    books: Books
    till: Till
    seed: str
    trader: Trader = field(init=False)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        self.trader = Trader(self.books, self.till, seed=self.seed)

    def enter_prices(self) -> list[Action]:
        actions = []
        while self.trader.is_opening and (action := self.trader.step()) is not None:
            actions.append(action)
        return actions

    def trade(self, steps: int) -> list[Action]:
        actions = [self.trader.step() for _ in range(steps)]
        assert None not in actions
        return [action for action in actions if action is not None]


def open_shop(seed: str = "test") -> Shop:
    moments = iter(MORNING + timedelta(seconds=second) for second in range(1_000_000))
    books = Books(seed=seed, time_source=MORNING.timestamp)
    till = Till(seed=seed, clock=lambda: next(moments))
    furnish(books, till, seed)
    return Shop(books, till, seed)


@pytest.fixture
def shop() -> Shop:
    """The first morning: nothing edited, nothing at the till."""
    return open_shop()


@pytest.fixture
def open_for_sale(shop: Shop) -> Shop:
    """The price list is in and the till has the articles."""
    shop.enter_prices()
    carry(shop.books, shop.till)
    return shop

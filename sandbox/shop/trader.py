"""The demo shop at work: first the new price list, then sales, with a return or an edit in the books now and then."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks.simulation import Simulation as Books
from sandbox.shop.actions import Action
from sandbox.shop.bookkeeper import Bookkeeper
from sandbox.shop.counter import Counter
from sandbox.shop.furnishing import REALM, SEED

LEAST_ARTICLES = 8
_STEPS = "shop:step"
_FIRST_TIDY, _TIDY_EVERY = 9, 30
_WEIGHTS = {"sell": 860, "take_back": 50, "price": 40, "deliver": 25, "season": 13, "introduce": 12}


class Trader:
    """Does one thing at each `step`. Equal simulations and seeds give the same actions, after a restart too."""

    def __init__(
        self,
        books: Books,
        till: Till,
        *,
        realm: str = REALM,
        seed: str = SEED,
        least_articles: int = LEAST_ARTICLES,
        round_cash: bool = True,
    ) -> None:
        self._till, self._seed, self._least = till, seed, least_articles
        self._bookkeeper, self._counter = Bookkeeper(books, realm), Counter(till, round_cash)
        known = {int(row["articleNumber"]) for row in till.till["articles"]}
        self._waiting = self._bookkeeper.list_waiting(known)

    @property
    def is_opening(self) -> bool:
        """Whether the price list is still being entered."""
        return bool(self._waiting)

    def step(self) -> Action | None:
        """Do the next thing; None while the till has too few articles to sell any."""
        if self._waiting:
            return self._bookkeeper.touch(self._waiting.pop(0))
        if len(self._counter.list_articles()) < self._least:
            return None
        return self._act()

    def _act(self) -> Action:
        with self._till.lock:
            number = self._till.till.count(_STEPS)
        if number % _TIDY_EVERY == _FIRST_TIDY and (tidied := self._bookkeeper.tidy(number // _TIDY_EVERY)):
            return tidied
        chance = Random(f"{self._seed}/{number}")
        name = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        done = self._acts()[name](chance)
        return done or self._counter.sell(chance)

    def _acts(self) -> dict[str, Callable[[Random], Action | None]]:
        keeper = self._bookkeeper
        return {
            "sell": self._counter.sell,
            "take_back": self._counter.take_back,
            "price": keeper.change_price,
            "deliver": lambda _: keeper.take_delivery(),
            "season": keeper.rest_or_revive,
            "introduce": lambda _: keeper.introduce(),
        }

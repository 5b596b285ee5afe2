"""The month itself: which act comes when, one after the other, from the first day to the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random

from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.month.account import Account
from tests.month.counter import Counter
from tests.month.floor import Floor
from tests.month.goods import People
from tests.month.stockroom import Stockroom

OPENING, HOURS = 9, 9


@dataclass
class Month:
    """Trades `acts` times between two days, both included; the seed decides everything but how the till is set up.

    `late` allows what a shop rarely does: receipts corrected on a later day. What is still open is paid on the last.
    """

    till: Simulation
    seed: int
    start: date
    through: date
    acts: int
    people: People
    late: bool = True
    stockroom: Stockroom | None = None
    told: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.floor = Floor(self.till, Random(self.seed), self.people, self._moment(0))
        self.counter = Counter(self.floor, self.late)
        self.account = Account(self.floor, self.counter)

    def run(self) -> Iterator[str]:
        """One act at a time; answers its name."""
        for number in range(self.acts):
            self.floor.now = self._moment(number)
            yield self._act()
        while self.counter.open:
            self.counter.pay_open()

    def _moment(self, number: int) -> datetime:
        days = (self.through - self.start).days + 1
        share = number * days / self.acts
        morning = datetime.combine(self.start + timedelta(days=int(share)), time(OPENING), AMSTERDAM)
        return morning + timedelta(seconds=int((share % 1) * HOURS * 3600))

    def receive_goods(self) -> bool:
        """A supplier delivers what the books count."""
        return self.stockroom is not None and self.stockroom.receive(self.floor.chance)

    def add_variant(self) -> bool:
        """A shirt in another colour or size."""
        return self.stockroom is not None and self.stockroom.add_variant()

    def _act(self) -> str:
        (name,) = self.floor.chance.choices(list(_ACTS), [weight for weight, _ in _ACTS.values()])
        done = name if _ACTS[name][1](self) else "sale"
        if done != name:
            self.counter.sell()
        self.told[done] = self.told.get(done, 0) + 1
        return done


_ACTS: dict[str, tuple[int, Callable[[Month], bool]]] = {
    "sale": (50, lambda month: month.counter.sell()),
    "sale without VAT in its prices": (3, lambda month: month.counter.sell_exclusive()),
    "sale to a foreigner": (3, lambda month: month.counter.sell_abroad()),
    "sale outside VAT": (1, lambda month: month.counter.sell_without_vat()),
    "sale for nothing": (1, lambda month: month.counter.sell_for_nothing()),
    "sale without lines": (1, lambda month: month.counter.sell_nothing()),
    "bottles brought back": (1, lambda month: month.counter.bring_bottles()),
    "open receipt": (3, lambda month: month.counter.leave_open()),
    "open receipt paid": (3, lambda month: month.counter.pay_open()),
    "return": (8, lambda month: month.counter.take_back()),
    "correction": (4, lambda month: month.counter.correct()),
    "cancellation": (2, lambda month: month.counter.cancel()),
    "no sale": (3, lambda month: month.counter.move_money()),
    "invoice": (8, lambda month: month.account.invoice()),
    "payment of an invoice": (7, lambda month: month.account.pay_invoice()),
    "corrected invoice": (2, lambda month: month.account.correct_invoice()),
    "credit invoice": (2, lambda month: month.account.credit_invoice()),
    "sizes exchanged": (2, lambda month: month.counter.swap()),
    "goods come in": (3, lambda month: month.receive_goods()),
    "new variant": (2, lambda month: month.add_variant()),
    "order": (7, lambda month: month.account.order()),
}

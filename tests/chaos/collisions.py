"""Troubles by which two of something meet: two states, two writers, two requests, two items of one SKU."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random

from tests.chaos import backups, goods
from tests.chaos.arena import Arena
from tests.chaos.plan import Trouble
from tests.chaos.second import SecondDeployment
from tests.chaos.trade import Trade
from tests.stories.stage import REALM

End = Callable[[], None]
_CREATES = ("POST salesreceipt", "POST salesreceipt", "POST salesreceipt", "POST invoice", "POST payment",
            "POST refundreceipt", "POST creditmemo", "POST customer")  # fmt: skip
_SALE = "POST salesreceipt"
_LONGEST_WAIT = 20.0
_LATE_MOST = 4
_FIRST_TWIN, _FIRST_APART = 7501, 7701


class Collisions:
    """`happened` counts them. `list_acknowledged` says which events their senders have seen acknowledged up to now.

    `excused` are those that a restored backup knows nothing of: what they told of must be right all the same.
    """

    def __init__(self, arena: Arena, trade: Trade, happened: Counter[str]) -> None:
        self.arena, self.trade, self.happened = arena, trade, happened
        self.second = SecondDeployment(arena.stage)
        self.excused: set[str] = set()
        self.list_acknowledged: Callable[[], set[str]] = set
        self.release_file: End = lambda: None

    def restore_backup(self, trouble: Trouble) -> End:
        """A backup is taken now and put back later; half the time the books have forgotten request ids by then."""
        backup = self.arena.stage.folder / f"backup-{self.happened['backup restored']}.dump"
        self.happened["backup restored"] += 1
        known = self.list_acknowledged()
        backups.take(self.arena.engine, backup)
        return lambda: self._put_back(backup, known, forgetful=trouble.dice % 2 == 0)

    def _put_back(self, backup: Path, known: set[str], *, forgetful: bool) -> None:
        with self.arena.troupe.stopped():
            self.release_file()
            self.excused |= self.list_acknowledged() - known
            backups.put_back(self.arena.engine, backup)
            if forgetful:
                self.happened["request ids forgotten"] += 1
                with self.arena.stage.books.lock:
                    self.arena.stage.books.companies[REALM].answers.clear()

    def restart_markers(self, trouble: Trouble) -> None:
        """The till was moved: its markers begin again; what is there is numbered anew, or keeps the markers it has."""
        self.happened["markers begin again"] += 1
        self.arena.stage.till.restart_markers(renumber=trouble.dice % 2 == 0)

    def sell_late(self, trouble: Trouble) -> End:
        """Receipts that nobody can read until later ones were read."""
        self.happened["receipts seen late"] += 1
        till, chance = self.arena.stage.till, Random(trouble.dice)
        with till.lock, self.arena.stage.books.lock:
            receipts = [self.trade.sell_late(chance) for _ in range(chance.randrange(1, _LATE_MOST))]

        def show() -> None:
            for receipt in receipts:
                till.show_receipt(receipt["receiptId"])

        return show

    def start_second(self, _trouble: Trouble) -> End | None:
        """Another deployment books the same till into the same company for a while."""
        if self.second.runs:
            return None
        self.happened["second deployment"] += 1
        self.second.start()
        return self.second.stop

    def hold_create(self, trouble: Trouble) -> End:
        """A request stays on the wire while its worker is killed or stands still, and arrives later.

        Where none of its kind comes in half of the time, it is a sale's.
        """
        injected, chance, over = self.arena.stage.books.injected, Random(trouble.dice), threading.Event()
        operation, stopping = chance.choice(_CREATES), chance.choice(("kill", "pause", "none"))
        injected.plan(operation, "hold", times=chance.randrange(1, 3))
        planned = injected.planned[-1]

        def watch() -> None:
            half = time.monotonic() + trouble.seconds / 2
            while not over.wait(0.005):
                if time.monotonic() > half:
                    planned.operation = _SALE
                if injected.held:
                    self.happened[f"create held, worker: {stopping}"] += 1
                    self._stop_workers(stopping)
                    return

        thread = threading.Thread(target=watch, name="held", daemon=True)
        thread.start()

        def let_go() -> None:
            thread.join(_LONGEST_WAIT)  # on a busy machine the first create may still be on its way
            over.set()
            thread.join()
            planned.times = 0
            self.arena.troupe.resume("worker-1", "worker-2")
            injected.let_go()

        return let_go

    def _stop_workers(self, how: str) -> None:
        if how == "kill":
            self.arena.troupe.kill("worker-1", "worker-2")
        elif how == "pause":
            self.arena.troupe.pause("worker-1")
            self.arena.troupe.pause("worker-2")

    def introduce_twins(self, trouble: Trouble) -> End:
        """Two items with one SKU within a moment; later the bookkeeper gives one of them another SKU."""
        number = _FIRST_TWIN + self.happened["one SKU twice"]
        apart = _FIRST_APART + self.happened["one SKU twice"]
        self.happened["one SKU twice"] += 1
        books, chance = self.arena.stage.books, Random(trouble.dice)
        with books.lock:
            pair = [self._introduce(number, name, chance) for name in ("left", "right")]
        moved = chance.choice(pair)

        def move() -> None:
            books.put(REALM, "Item", {"Id": moved, "Sku": str(apart)})

        return move

    def _introduce(self, number: int, name: str, chance: Random) -> str:
        books, price = self.arena.stage.books, str(Decimal(chance.randrange(100, 9999)).scaleb(-2))
        item = goods.to_item(books, REALM, number, price)
        return str(books.put(REALM, "Item", {**item, "Name": f"Item {number} {name}"})["Id"])


BEGINNINGS: Mapping[str, Callable[[Collisions, Trouble], End | None]] = {
    "backup restored": Collisions.restore_backup,
    "markers begin again": Collisions.restart_markers,
    "receipts seen late": Collisions.sell_late,
    "second deployment": Collisions.start_second,
    "create held": Collisions.hold_create,
    "one SKU twice": Collisions.introduce_twins,
}

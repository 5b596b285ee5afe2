"""What will happen and when, made from a seed alone: acts of people at both systems, and troubles meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

SALES: Mapping[str, int] = {
    "sale": 70, "sale of stock": 40, "open receipt": 6, "invoice": 14, "sale abroad": 3, "sale without VAT": 2,
    "bottles brought back": 2,
}  # fmt: skip
"""Acts that make a sale, and how often each is chosen among them."""
AFTER: Mapping[str, int] = {
    "return": 8, "correction": 7, "cancellation": 3, "open receipt paid": 6, "payment of an invoice": 10,
    "corrected invoice": 3, "credit invoice": 2, "no sale": 3,
}  # fmt: skip
"""What follows on sales at the till."""
CHANGES: Mapping[str, int] = {
    "item priced": 34, "item renamed": 14, "item introduced": 10, "delivery of goods": 20, "customer introduced": 5,
    "customer's telephone": 8, "relation introduced": 4, "relation's telephone": 8,
}  # fmt: skip
"""What changes beside the sales, in the books and on the till's cards."""
AFTER_SHARE = 0.4
"""For each sale so many acts follow on one."""

PROCESSES = ("web", "worker-1", "worker-2", "clock")
WIRES = ("books", "till", "broker", "doors", "database")
WEATHER = ("latency", "drip", "blackhole", "refuse", "reset", "truncate", "lost reply")
TROUBLES: Mapping[str, int] = {
    "kill": 30, "pause": 9, "restart": 9, "power failure": 2, "broker flushed": 5, "broker stopped": 4,
    "database cut": 7, "wire": 30, "vendor": 34, "token expired": 6, "token rotated": 3, "again": 6,
}  # fmt: skip
COLLISIONS: Mapping[str, tuple[float, float]] = {
    "backup restored": (4.0, 15.0), "markers begin again": (0.0, 1.0), "receipts seen late": (1.0, 8.0),
    "second deployment": (25.0, 45.0), "create held": (4.0, 12.0), "one SKU twice": (2.0, 12.0),
}  # fmt: skip
"""Troubles by which two of something meet, and from how many to how many seconds each lasts."""
LONGEST = 6.0
"""Seconds that one trouble lasts at most."""


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does something `at` so many seconds; `dice` is the seed of its details."""

    at: float
    name: str
    dice: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something goes wrong with `target` for so many `seconds`, in this `way`."""

    at: float
    name: str
    target: str
    way: str
    seconds: float
    dice: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Both, in order of time; `seconds` is how long people act."""

    seed: int
    seconds: float
    acts: tuple[Act, ...]
    troubles: tuple[Trouble, ...]

    @property
    def steps(self) -> list[Act | Trouble]:
        """Everything in order of time."""
        return sorted((*self.acts, *self.troubles), key=lambda step: step.at)


def make(seed: int, *, acts: int, sales: int, seconds: float, every: float = 3.0, collisions: int = 0) -> Plan:
    """A plan of so many acts, `sales` of them sales, in so many seconds, with a trouble `every` so many seconds.

    Each kind of collision happens `collisions` times besides.
    """
    chance = Random(seed)
    names = _name_acts(chance, acts, sales)
    times = sorted(chance.uniform(0.0, seconds) for _ in names)
    done = tuple(Act(at, name, chance.getrandbits(32)) for at, name in zip(times, names, strict=True))
    troubles = [*_make_troubles(chance, seconds, every), *_make_collisions(chance, seconds, collisions)]
    return Plan(seed, seconds, done, tuple(troubles))


def _name_acts(chance: Random, acts: int, sales: int) -> list[str]:
    after = min(round(sales * AFTER_SHARE), acts - sales)
    changes = acts - sales - after
    names = [*_draw(chance, SALES, sales), *_draw(chance, AFTER, after), *_draw(chance, CHANGES, changes)]
    chance.shuffle(names)
    return names


def _draw(chance: Random, table: Mapping[str, int], count: int) -> list[str]:
    return chance.choices(list(table), list(table.values()), k=count) if count else []


def _make_troubles(chance: Random, seconds: float, every: float) -> Iterator[Trouble]:
    at = chance.uniform(0.0, every)
    while at < seconds:
        (name,) = _draw(chance, TROUBLES, 1)
        target, way = _aim(chance, name)
        yield Trouble(at, name, target, way, chance.uniform(0.5, LONGEST), chance.getrandbits(32))
        at += chance.uniform(0.3, 1.7) * every


def _make_collisions(chance: Random, seconds: float, times: int) -> Iterator[Trouble]:
    """Each kind once in each of so many equal parts of the time, at any moment of its first four fifths."""
    part = seconds / max(1, times)
    for number in range(times):
        for name, (shortest, longest) in COLLISIONS.items():
            at = part * (number + chance.uniform(0.0, 0.8))
            lasts = min(chance.uniform(shortest, longest), 0.9 * part)
            yield Trouble(at, name, "", "", lasts, chance.getrandbits(32))


def _aim(chance: Random, name: str) -> tuple[str, str]:
    match name:
        case "kill" | "pause" | "restart":
            return chance.choice(PROCESSES), ""
        case "wire":
            return chance.choice(WIRES), chance.choice(WEATHER)
        case "vendor":
            return chance.choice(("books", "till")), ""
        case _:
            return "", ""

"""The simulation's memory for checkers: every write really done, every call answered, and what a meter would charge."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass, field

from sandbox.quickbooks.faults import Json

METERED = frozenset({"read", "query", "cdc"})
"""Kinds of call that Intuit's CorePlus meter counts."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One write that really happened. `source` is "api", or "user" for a change made in the books themselves."""

    sequence: int
    time: str
    realm: str
    operation: str
    entity: str
    id: str
    sync_token: str
    requestid: str | None
    doc_number: str | None
    total: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call. `replayed` is true when a known requestid brought back its original answer."""

    time: str
    realm: str
    method: str
    operation: str
    status: int
    requestid: str | None
    replayed: bool
    fault: str | None


@dataclass
class Ledger:
    """Append-only lists and counters; `calls` keeps the newest ten thousand."""

    effects: list[Effect] = field(default_factory=list)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=10_000))
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    metered: Counter[str] = field(default_factory=Counter)

    def count(self, realm: str, kind: str, entity: str = "") -> None:
        """Count one call of `kind` (read, query, create ...) on an entity; reads are metered."""
        counter = self.counts.setdefault(realm, Counter())
        counter[f"{kind} {entity}".strip()] += 1

    def meter(self, realm: str) -> None:
        """Count one call on the CorePlus meter."""
        self.metered[realm] += 1

    def find_effects(self, **wanted: str) -> list[Effect]:
        """Effects whose attributes equal all of `wanted`, oldest first."""
        return [each for each in self.effects if all(getattr(each, k) == v for k, v in wanted.items())]

    def to_json(self) -> Json:
        """The ledger as JSON."""
        return {
            "effects": [asdict(each) for each in self.effects],
            "calls": [asdict(each) for each in self.calls],
            "counts": {realm: dict(counter) for realm, counter in self.counts.items()},
            "metered": dict(self.metered),
        }

    def restore(self, saved: Json) -> None:
        """Take over a saved ledger."""
        self.effects = [Effect(**each) for each in saved["effects"]]
        self.calls = deque((Call(**each) for each in saved["calls"]), maxlen=10_000)
        self.counts = {realm: Counter(counter) for realm, counter in saved["counts"].items()}
        self.metered = Counter(saved["metered"])

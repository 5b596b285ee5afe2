"""Totals of all processes: each adds what it counted since its last flush, so that no count is lost when it exits.

A scrape reads the totals, so any process can answer it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from sqlalchemy import Engine, select
from sqlmodel import Session, col

from gateway.store.session import writing
from gateway.store.tables import CounterTotalRow
from gateway.store.upserts import upsert

Key: TypeAlias = tuple[str, str]
"""A sample's name and its labels as JSON."""


class CounterShare:
    """One process's counts: `flush` adds what `registry` counted since the last flush."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._reported: dict[Key, float] = {}
        self._lock = threading.Lock()

    def flush(self, engine: Engine) -> None:
        """Add to the totals. Raises `Transient`; then the counts are kept for the next flush."""
        with self._lock:
            now = dict(_samples(self._registry))
            fresh = {key: value - self._reported.get(key, 0.0) for key, value in now.items()}
            fresh = {key: value for key, value in fresh.items() if value}
            if fresh:
                with writing(engine) as session:
                    _add(session, fresh)
            self._reported = now


def _samples(registry: CollectorRegistry) -> Iterator[tuple[Key, float]]:
    for family in registry.collect():
        yield from _samples_of(family)


def _samples_of(family: Metric) -> Iterator[tuple[Key, float]]:
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            yield (sample.name, json.dumps(sample.labels, sort_keys=True)), sample.value


def _add(session: Session, counts: Mapping[Key, float]) -> None:
    # In one order, so that two processes never deadlock.
    rows = [{"name": name, "labels": labels, "value": counts[name, labels]} for name, labels in sorted(counts)]
    upsert(session, CounterTotalRow, rows, lambda new: {"value": col(CounterTotalRow.value) + new.value})


def find(session: Session) -> dict[Key, float]:
    """Every sum."""
    rows = session.execute(
        select(col(CounterTotalRow.name), col(CounterTotalRow.labels), col(CounterTotalRow.value))
    ).all()
    return {(str(name), str(labels)): float(value) for name, labels, value in rows}


def to_families(registry: CollectorRegistry, sums: Mapping[Key, float]) -> Iterator[Metric]:
    """The families of `registry` with the totals instead of this process's counts."""
    for family in registry.collect():
        own = {key for key, _ in _samples_of(family)}
        known = {key for key in sums if _is_of(family, key[0])}
        summed = Metric(family.name, family.documentation, family.type)
        for name, labels in sorted(own | known, key=_order):
            summed.add_sample(name, json.loads(labels), sums.get((name, labels), 0.0))
        yield summed


def _is_of(family: Metric, name: str) -> bool:
    endings = ("_bucket", "_count", "_sum") if family.type == "histogram" else ("_total",)
    return name in {family.name + ending for ending in endings}


def _order(key: Key) -> tuple[str, str, float]:
    labels = json.loads(key[1])
    bound = labels.pop("le", "0")
    return json.dumps(labels, sort_keys=True), key[0], float(bound)

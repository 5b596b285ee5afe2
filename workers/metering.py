"""Counts outside calls per connection and month in memory and writes the sums now and then, not per call."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime

from sqlalchemy import Engine

from gateway.connectors.exchange import Exchange
from gateway.errors import Transient
from gateway.store import counts
from gateway.store.session import writing


class Meter:
    """The process's share of the monthly call counts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts: Counter[tuple[str, str, str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, connection: str, exchange: Exchange) -> None:
        """Note one call."""
        month = datetime.now(UTC).strftime("%Y-%m")
        kind = "read" if exchange.metered else "call"
        with self._lock:
            self._counts[connection, exchange.system, month, kind] += 1

    def flush(self) -> None:
        """Add what was counted to the database; kept for the next time when the database is away."""
        with self._lock:
            counted, self._counts = self._counts, Counter()
        if not counted:
            return
        try:
            with writing(self._engine) as session:
                for (connection, system, month, kind), calls in counted.items():
                    counts.add_calls(session, connection, system=system, month=month, kind=kind, calls=calls)
        except Transient:
            with self._lock:
                self._counts.update(counted)

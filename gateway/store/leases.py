"""Leases: work of which there may be one at a time per connection, over all threads and processes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from gateway.errors import RateLimited
from gateway.store import cursors

LEASE_SECONDS = 900.0  # longer than the longest exchange with the till; a process that dies leaves it that long
_LOOK_SECONDS = 0.1
_gates: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


@contextmanager
def alone(engine: Engine, connection: str, work: str, *, patience: float = 10.0) -> Iterator[None]:
    """Hold the lease on `work` for the block. Raises `RateLimited` when somebody else holds it too long."""
    until = time.monotonic() + patience
    gate = _gates[connection, work]
    if not gate.acquire(timeout=patience):
        raise _busy(work)
    try:
        lease = _take(engine, connection, f"lease.{work}", until)
        try:
            yield
        finally:
            cursors.release(engine, connection, f"lease.{work}", lease)
    finally:
        gate.release()


def _take(engine: Engine, connection: str, source: str, until: float) -> str:
    while (lease := cursors.take(engine, connection, source, seconds=LEASE_SECONDS)) is None:
        if time.monotonic() > until:
            raise _busy(source)
        time.sleep(_LOOK_SECONDS)
    return lease


def _busy(work: str) -> RateLimited:
    return RateLimited(f"another worker is busy with the same ({work})", after=3.0, code="busy")

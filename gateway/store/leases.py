"""Leases: work of which there may be one at a time per connection, over all threads and processes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine

from gateway.errors import RateLimited, Transient
from gateway.store import cursors

LEASE_SECONDS = 15.0  # what a process that dies leaves behind; one that lives prolongs it
_LOOK_SECONDS = 0.1
_gates: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)


@contextmanager
def alone(
    engine: Engine, connection: str, work: str, *, patience: float = 10.0, seconds: float = LEASE_SECONDS
) -> Iterator[None]:
    """Hold the lease on `work` for the block. Raises `RateLimited` when somebody else holds it too long."""
    until = time.monotonic() + patience
    gate = _gates[connection, work]
    if not gate.acquire(timeout=patience):
        raise _busy(work)
    try:
        lease = _take(engine, connection, f"lease.{work}", until, seconds)
        try:
            with _prolonged(engine, connection, f"lease.{work}", lease, seconds):
                yield
        finally:
            cursors.release(engine, connection, f"lease.{work}", lease)
    finally:
        gate.release()


@contextmanager
def _prolonged(engine: Engine, connection: str, source: str, lease: str, seconds: float) -> Iterator[None]:
    """Keep the lease alive from a thread of its own: an exchange with the till may outlast it."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds / 3):
            with suppress(Transient):
                cursors.renew(engine, connection, source, lease, seconds=seconds)

    thread = threading.Thread(target=beat, name=source, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _take(engine: Engine, connection: str, source: str, until: float, seconds: float) -> str:
    while (lease := cursors.take(engine, connection, source, seconds=seconds)) is None:
        if time.monotonic() > until:
            raise _busy(source)
        time.sleep(_LOOK_SECONDS)
    return lease


def _busy(work: str) -> RateLimited:
    return RateLimited(f"another worker is busy with the same ({work})", after=3.0, code="busy")

"""`doctor`: checks what can be checked from here, has a worker check the outside, and says how to fix each problem."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine

from gateway.doctor import address, broker, connected, database, environment
from gateway.doctor.finding import Finding
from gateway.settings import Settings
from gateway.store.sealing import Seal

__all__ = ["Finding", "examine"]


def examine(settings: Settings, engine: Engine, seal: Seal) -> Iterator[Finding]:
    """Every check of this side, in order; a check is skipped when an earlier one makes it pointless."""
    yield from environment.check(settings)
    yield from address.check(settings)
    yield from broker.check(settings)
    reached = database.check(settings, engine)
    yield reached
    if reached.good:
        yield from database.check_server(settings, engine)
        yield database.check_processes(engine)
        yield from connected.check(settings, engine, seal)

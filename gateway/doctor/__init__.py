"""`doctor`: checks what can be checked from here, has a worker check the outside, and says what to do about each."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine

from gateway.doctor import address, broker, connected, database, environment
from gateway.doctor.finding import Finding
from gateway.settings import Settings
from gateway.store.sealing import Seal

__all__ = ["Finding", "examine"]


def examine(settings: Settings, engine: Engine, seal: Seal) -> Iterator[Finding]:
    """Every check of this side, one after the other; a later one is left out where an earlier one makes it moot."""
    yield from environment.check(settings)
    yield from address.check(settings)
    yield from broker.check(settings)
    reached = database.check(settings, engine)
    yield reached
    if reached.good:
        yield from database.check_server(settings, engine)
        yield database.check_processes(engine)
        yield from connected.check(settings, engine, seal)

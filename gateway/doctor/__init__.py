"""`doctor`: checks what can be checked from here, has a worker check the outside, and says how to fix each problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from gateway import findings
from gateway.doctor import connected, environment, services
from gateway.findings import Check, Finding
from gateway.settings import Settings
from gateway.store.sealing import Seal


@dataclass(frozen=True, slots=True)
class Installation:
    """What this side is checked with."""

    settings: Settings
    engine: Engine
    seal: Seal


def _on_server(look: Callable[[Installation], Finding]) -> Callable[[Installation], list[Finding]]:
    return lambda at: [look(at)] if at.engine.dialect.name == "postgresql" else []


_NEEDS: Final = frozenset({"database"})
CHECKS: Final[tuple[Check[Installation], ...]] = (
    Check("settings", lambda at: environment.check(at.settings)),
    Check("PUBLIC_URL", lambda at: environment.check_address(at.settings)),
    Check("single sign-on", lambda at: environment.check_single_sign_on(at.settings)),
    Check("broker", lambda at: services.check_broker(at.settings)),
    Check("database", lambda at: [services.check_schema(at.settings, at.engine)]),
    Check("PostgreSQL", _on_server(lambda at: services.check_version(at.engine)), _NEEDS),
    Check("pooler", _on_server(lambda at: services.check_pooler(at.engine)), _NEEDS),
    Check("connections left", _on_server(lambda at: services.check_capacity(at.settings, at.engine)), _NEEDS),
    Check("clocks", lambda at: [services.check_clocks(at.engine)], _NEEDS),
    Check("processes", lambda at: [services.check_processes(at.engine)], _NEEDS),
    Check("connections", lambda at: connected.check(at.settings, at.engine, at.seal), _NEEDS),
)


def examine(settings: Settings, engine: Engine, seal: Seal) -> Iterator[Finding]:
    """Every check of this side, in order."""
    return findings.run(CHECKS, Installation(settings, engine, seal), otherwise="start it, or correct DATABASE_URL")

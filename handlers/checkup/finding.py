"""One thing that was looked at outside, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.errors import AuthLost, GatewayError
from handlers.deps import Deps
from mapping.errors import MappingError

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One thing that was looked at; `fix` is None when it is well."""

    check: str
    said: str
    fix: str | None = None


Look = Callable[[Deps], Iterator[CheckFinding]]


def guarded(check: str, look: Look, deps: Deps) -> list[CheckFinding]:
    """What a look found, up to where it failed, and then why."""
    found: list[CheckFinding] = []
    try:
        found.extend(look(deps))
    except AuthLost as error:
        found.append(CheckFinding(check, f"login refused: {error.reason}", error.fix or "enter the credentials anew"))
    except (GatewayError, MappingError) as error:
        found.append(
            CheckFinding(check, error.reason, error.fix or "look at the address and the credentials, then try again")
        )
    return found


def enumerate_some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

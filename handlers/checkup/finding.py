"""One check of an external system, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.errors import AuthLost, GatewayError
from handlers.deps import Deps
from mapping.errors import MappingError

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """The result of one check; `fix` is None if it passed."""

    check: str
    said: str
    fix: str | None = None


Look = Callable[[Deps], Iterator[CheckFinding]]


def guarded(check: str, look: Look, deps: Deps) -> list[CheckFinding]:
    """The findings of a check up to its failure, and the reason of the failure."""
    found: list[CheckFinding] = []
    try:
        found.extend(look(deps))
    except AuthLost as error:
        found.append(CheckFinding(check, f"login refused: {error.reason}", error.fix or "enter the credentials again"))
    except (GatewayError, MappingError) as error:
        found.append(
            CheckFinding(check, error.reason, error.fix or "look at the address and the credentials, then try again")
        )
    return found


def enumerate_some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

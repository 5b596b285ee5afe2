"""What checks find, and how a table of checks is run: those of `doctor` here, those of both systems by a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.errors import AuthLost, NotConnected
from mapping.errors import ProblemError
from mapping.messages import message

Given = TypeVar("Given")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. `fix` is empty when all is well, else what the person should do.

    `is_question`: it works as it is, and `fix` says where a person may choose otherwise.
    """

    subject: str
    said: str
    fix: str = ""
    is_question: bool = False

    @property
    def good(self) -> bool:
        return self.is_question or not self.fix

    def to_data(self) -> dict[str, Any]:
        return {"check": self.subject, "good": self.good, "said": self.said, "fix": self.fix or None}


@dataclass(frozen=True, slots=True)
class Check(Generic[Given]):
    """A row of a table of checks; it is left out when something that it `needs` was found not to be good."""

    subject: str
    look: Callable[[Given], Iterable[Finding]]
    needs: frozenset[str] = frozenset()


def run(checks: Iterable[Check[Given]], given: Given, *, otherwise: str) -> Iterator[Finding]:
    """The findings of each check, up to its failure, and the reason of that; `otherwise` is the fix of one without."""
    bad: set[str] = set()
    for check in checks:
        if not bad & check.needs:
            for finding in _look(check, given, otherwise):
                yield finding
                bad |= set() if finding.good else {finding.subject}


def _look(check: Check[Given], given: Given, otherwise: str) -> Iterator[Finding]:
    try:
        yield from check.look(given)
    except NotConnected as error:
        yield Finding(check.subject, "not connected yet", error.fix or otherwise)
    except AuthLost as error:
        said = message("login refused: {reason}", reason=message(error.reason))
        yield Finding(check.subject, said, error.fix or "enter the credentials again")
    except ProblemError as error:
        yield Finding(check.subject, error.reason, error.fix or otherwise)


def enumerate_some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(names[:_SHOWN])
    return message("{names} and {n} more", names=shown, n=len(names) - _SHOWN) if len(names) > _SHOWN else shown

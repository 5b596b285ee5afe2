"""Faults on demand: answers that are lost, cut, delayed or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from sandbox.quickbooks.faults import Json


class Mode(StrEnum):
    """What goes wrong.

    lost_reply   the work is done, the connection is cut without an answer
    truncate     the work is done, the answer breaks off half way
    reset        the connection is cut before the work
    delay        the answer comes `seconds` late
    bare         an answer with nothing but its time
    redirect     to a page about maintenance
    hold         the connection is cut, the request stays on the wire and arrives when it is let go
    invalid_grant, unauthorised, forbidden, subscription   the login is refused although it is good: by the token
                 endpoint, with 401, with 403 and 3100, with 403 and 6190
    """

    LOST_REPLY = "lost_reply"
    TRUNCATE = "truncate"
    RESET = "reset"
    DELAY = "delay"
    HOLD = "hold"
    ERROR_500 = "error_500"
    ERROR_503 = "error_503"
    HTML_502 = "html_502"
    THROTTLE = "throttle"
    INVALID_GRANT = "invalid_grant"
    UNAUTHORISED = "unauthorised"
    FORBIDDEN = "forbidden"
    SUBSCRIPTION = "subscription"
    BARE = "bare"
    REDIRECT = "redirect"


@dataclass
class InjectedFault:
    """One planned fault: `operation` is "POST salesreceipt", "GET query", "POST token", or "*".

    It happens to the next `times` matching calls, after letting `skip` of them pass; `times` -1 means always.
    """

    operation: str
    mode: Mode
    times: int = 1
    skip: int = 0
    seconds: float = 1.0

    def matches(self, operation: str) -> bool:
        """Whether it is for this operation."""
        return self.operation == "*" or self.operation.casefold() == operation.casefold()


@dataclass
class InjectedFaults:
    """The planned faults, and how many happened."""

    planned: list[InjectedFault] = field(default_factory=list)
    struck: int = 0
    held: list[Callable[[], Awaitable[object]]] = field(default_factory=list)

    def plan(self, operation: str, mode: str, *, times: int = 1, skip: int = 0, seconds: float = 1.0) -> None:
        """Plan a fault. Raises ValueError for an unknown mode."""
        self.planned.append(InjectedFault(operation, Mode(mode), times, skip, seconds))

    def draw(self, operation: str) -> InjectedFault | None:
        """The fault due for this call, or None; it is used up."""
        for fault in self.planned:
            if fault.times != 0 and fault.matches(operation):
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.times -= fault.times > 0
                self.struck += 1
                return fault
        return None

    def let_go(self) -> None:
        """What was held on the wire arrives now; its answers go nowhere."""
        while self.held:
            work = self.held.pop(0)
            asyncio.run(_await(work))

    def clear(self) -> None:
        """Plan nothing any more."""
        self.planned.clear()

    def to_json(self) -> list[Json]:
        """What is still planned."""
        return [asdict(each) for each in self.planned if each.times]


async def _await(work: Callable[[], Awaitable[object]]) -> None:
    await work()

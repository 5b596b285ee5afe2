"""Misbehaviour on order: which calls go wrong, how and how often, how slow the line is, how many call at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.mpluskassa.structs import Record

KINDS = ("lost_reply", "error_500", "html_502", "delay", "truncate", "reset", "no_lists", "bad_number", "refused")
RAW_SEND = "kassa.raw_send"
"""Where the application leaves the server's own `send` in the scope."""


@dataclass
class Plan:
    """One kind of trouble for an operation (`*` is any), the next `times` times; `seconds` is for `delay`.

    `refused`: as if the login were wrong, with no more than a status. `no_lists`: the answer comes without the lists
    the schema demands. `bad_number`: the first amount of the answer that says so in its name is no number.
    """

    kind: str
    operation: str = "*"
    times: int = 1
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of fault {self.kind!r}; it is one of {', '.join(KINDS)}")


@dataclass
class Misbehaviour:
    """The plans not used up yet, and the latency of every call in seconds.

    `meanwhile` is what people do in the very moment a call of this operation comes in, once each, before it is
    carried out; the place for races.
    """

    plans: list[Plan] = field(default_factory=list)
    latency_seconds: float = 0.0
    meanwhile: dict[str, list[Callable[[], object]]] = field(default_factory=dict)

    async def let_happen(self, operation: str) -> None:
        """Do what was arranged for this operation next."""
        arranged = self.meanwhile.get(operation)
        if arranged:
            await asyncio.to_thread(arranged.pop(0))

    def take(self, operation: str) -> Plan | None:
        """The first plan for this operation, counted down."""
        plan = next((plan for plan in self.plans if plan.operation in (operation, "*")), None)
        if plan is not None:
            plan.times -= 1
            self.plans = [plan for plan in self.plans if plan.times > 0]
        return plan

    def describe(self) -> Record:
        """The plans and latency as JSON."""
        return {"plans": [asdict(plan) for plan in self.plans], "latency_seconds": self.latency_seconds}


@dataclass
class Traffic:
    """How often each operation was called, and the most callers at the same moment."""

    calls: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    most_at_once: int = 0

    @asynccontextmanager
    async def watch(self, operation: str) -> AsyncIterator[None]:
        """Count a call from its first byte understood to its answer ready."""
        self.calls[operation] += 1
        self.busy += 1
        self.most_at_once = max(self.most_at_once, self.busy)
        try:
            yield
        finally:
            self.busy -= 1

    def reset(self) -> None:
        """Start counting again; calls still under way stay counted as busy."""
        self.calls.clear()
        self.most_at_once = self.busy


class CutConnection(Response):
    """No answer at all: the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Abort the transport below the server; without one (another server) the answer stays unfinished."""
        transport = getattr(getattr(scope[RAW_SEND], "__self__", None), "transport", None)
        if transport is None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class TruncatedAnswer(Response):
    """Half of the body that was promised, then the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the headers of the whole and half of the body."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await CutConnection()(scope, receive, send)

"""What the endpoints share: settings, database, inbox, notifier; made once by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import anyio
import anyio.to_thread
import redis
from sqlalchemy import Engine
from sqlmodel import Session
from starlette.requests import Request

from gateway.errors import Transient
from gateway.jobs import Notifier
from gateway.settings import Settings
from gateway.store.ingress import Ingress
from gateway.store.sealing import Seal
from gateway.store.session import reading, writing
from gateway.web.arrivals import Arrivals
from gateway.web.cached import Cached
from gateway.web.directory import Directory
from gateway.web.readiness import Probe
from gateway.web.sessions import Sessions, Visitor
from gateway.web.throttle import Throttle

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need. `threads` bounds how many requests use the database at once."""

    settings: Settings
    engine: Engine
    seal: Seal
    ingress: Ingress
    notifier: Notifier
    redis: redis.Redis
    directory: Cached[Directory]
    sessions: Sessions
    throttle: Throttle
    arrivals: Arrivals
    database_probe: Probe[str]
    broker_probe: Probe[str]
    metrics: Probe[bytes]
    threads: anyio.CapacityLimiter

    async def run(self, call: Callable[[], Answer]) -> Answer:
        """Run a blocking call on a thread of our own few."""
        return await anyio.to_thread.run_sync(call, limiter=self.threads)

    async def read(self, query: Callable[[Session], Answer]) -> Answer:
        """Run a query in a reading transaction, on a thread. Raises `Transient`."""

        def work() -> Answer:
            with reading(self.engine) as session:
                return query(session)

        return await self.run(work)

    async def write(self, change: Callable[[Session], Answer]) -> Answer:
        """Run a change in a transaction of its own, on a thread. Raises `Transient`."""

        def work() -> Answer:
            with writing(self.engine) as session:
                return change(session)

        return await self.run(work)

    async def soon(self, call: Callable[[], Answer], *, seconds: float) -> Answer:
        """Like `run`, but left behind after `seconds`. Raises `Transient` then."""
        try:
            with anyio.fail_after(seconds):
                return await anyio.to_thread.run_sync(call, limiter=self.threads, abandon_on_cancel=True)
        except TimeoutError:
            raise Transient("it did not answer in time") from None


async def settle_name(request: Request) -> None:
    """Put the key of a connection in the place of what the address calls it."""
    called, directory = request.path_params.get("name"), of(request).directory
    known = await directory.get()  # in any case: pages show what connections are called now
    if called is None:
        return
    if called not in known.keys:
        directory.forget()  # it may be new
    key = (await directory.get()).keys.get(called, called)
    request.scope["path_params"] = {**request.path_params, "name": key}


async def names_of(request: Request) -> Mapping[str, str]:
    """What each connection is called, by its key; for a visitor who may see one connection, only that one."""
    names = (await of(request).directory.get()).display_names
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor is None or visitor.connection is None:
        return names
    return {key: called for key, called in names.items() if key == visitor.connection}


def of(request: Request) -> Services:
    """The services of the app that serves this request."""
    services: Services = request.app.state.services
    return services

"""The composition root of the web process: settings in, an ASGI application out."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import redis
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from gateway import failpoints, jobs, settings
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, without_pool
from gateway.errors import Permanent, Rejected, Transient
from gateway.observability import logs
from gateway.process import heartbeat
from gateway.settings import Settings
from gateway.store import installation
from gateway.store.ingress import Ingress
from gateway.web import health, inputs, protocol, services, webhooks
from gateway.web.protocol import SecurityHeaders
from gateway.web.services import Arrivals, Cached, Services, Throttle
from gateway.web.sessions import Sessions

DATABASE_THREADS = 4
PROVIDER_THREADS = 4
DIRECTORY_SECONDS = 3.0
DIRECTORY_PATIENCE = 1.5  # a webhook is answered within two seconds, even without the database
PRESENCE_SECONDS = 20.0
BROKER_SECONDS = 1.0
WARM_UP_SECONDS = 0.5
COLLECT_EVERY = 10_000  # objects
_log = structlog.get_logger(__name__)

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[Mapping[str, Any]]]


def from_environment() -> Starlette:
    """The application configured by the environment; uvicorn's factory."""
    found = settings.read(os.environ)
    failpoints.arm(os.environ)
    heartbeat.start(os.environ)
    logs.start(found, "web")
    app = create_app(found, later=True)
    # Few objects of a delivery are in cycles: at Python's threshold of 700 the collector takes a tenth of its time.
    gc.set_threshold(COLLECT_EVERY)
    gc.freeze()  # modules live as long as the process: no collection looks at them again
    return app


def create_app(settings: Settings, *, engine: Engine | None = None, later: bool = False) -> Starlette:
    """The whole web process, its pages and API at once or `later`. The caller disposes of a given `engine`."""
    app = Starlette(
        routes=[*webhooks.routes(), *health.routes()],
        middleware=[Middleware(SecurityHeaders, https=settings.public_url.startswith("https://"))],
        exception_handlers=dict.fromkeys((Rejected, HTTPException, Transient, Permanent, Exception), inputs.answer),
        lifespan=_lifespan(settings, engine),
    )
    # Senders of webhooks treat a redirect as a failure.
    app.router.redirect_slashes = False
    if later:
        app.state.later = app.router.default = LaterRoutes(app)
    else:
        _add_routes(app)
    return app


class LaterRoutes:
    """The addresses that people and programs use, which take half of all imports: added once the process listens.

    A request for one that comes before waits for them; webhooks and health do not.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._adding: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer to whatever address is not known yet."""
        await self.add()
        await self._app.router(scope, receive, send)

    async def add(self) -> None:
        """Add them; several callers wait for one import."""
        self._adding = self._adding or asyncio.create_task(self._add())
        await asyncio.shield(self._adding)

    async def _add(self) -> None:
        try:
            await anyio.to_thread.run_sync(_add_routes, self._app)
        except BaseException:
            # As when a process cannot start: a supervisor, or the platform, sees it end.
            _log.exception("the routes cannot be loaded; the process ends")
            signal.raise_signal(signal.SIGTERM)
            raise
        self._app.router.default = self._app.router.not_found
        gc.freeze()


def _add_routes(app: Starlette) -> None:
    from gateway.web import api, dashboard, oauth

    app.state.problem_page = dashboard.show_problem
    app.router.routes.extend([*api.routes(), *oauth.routes(), *dashboard.routes()])


def _lifespan(settings: Settings, given: Engine | None) -> Lifespan:
    @asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        engine = given or open_engine(settings.database_url, pool_size=settings.web_pool)
        broker_client = jobs.open_redis(
            settings.redis_url, tls_insecure=settings.redis_tls_insecure, timeout=BROKER_SECONDS
        )
        shared = _services(settings, engine, broker_client)
        app.state.services = shared
        tasks = [asyncio.create_task(_report_presence(shared)), asyncio.create_task(_warm_up(app))]
        yield {protocol.DIRECT: webhooks.DirectDeliveries(shared)}
        for task in tasks:
            task.cancel()
        await shared.ingress.close()
        shared.arrivals.say()
        shared.notifier.close()
        broker_client.close()
        if given is None:
            engine.dispose()

    return run


def _services(settings: Settings, engine: Engine, broker_client: redis.Redis) -> Services:
    seal = Seal(settings.secret_keys)

    async def read_directory() -> services.Directory:
        return await shared.soon(lambda: services.read(engine, seal), seconds=DIRECTORY_PATIENCE)

    shared = Services(
        settings=settings,
        engine=engine,
        seal=seal,
        ingress=Ingress(settings.database_url),
        notifier=jobs.Notifier(jobs.open_broker(broker_client)),
        redis=broker_client,
        directory=Cached(read_directory, seconds=DIRECTORY_SECONDS),
        sessions=Sessions(settings.secret_keys, settings.admin_token),
        throttle=Throttle(),
        database_probe=services.of_database(without_pool(engine)),
        broker_probe=services.of_broker(broker_client),
        metrics=health.of_database(engine, settings),
        arrivals=Arrivals(),
        threads=anyio.CapacityLimiter(settings.web_pool if settings.is_postgres else DATABASE_THREADS),
        provider=services.open_provider(settings),
        provider_threads=anyio.CapacityLimiter(PROVIDER_THREADS),
    )
    return shared


async def _warm_up(app: Starlette) -> None:
    """What the first visitor would wait for, after the first webhooks."""
    later: LaterRoutes | None = getattr(app.state, "later", None)
    if later is not None:
        await asyncio.sleep(WARM_UP_SECONDS)
        await later.add()


async def _report_presence(shared: Services) -> None:
    while True:
        pause = 1.0  # the tables may be made a moment after the start
        with suppress(Transient, SQLAlchemyError):  # PostgreSQL refuses a statement without its table for good
            await shared.run(lambda: installation.report(shared.engine, "web"))
            pause = PRESENCE_SECONDS
        await asyncio.sleep(pause)

"""What the endpoints of a web process share: settings, database, inbox, notifier, readiness, limits, connections."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import anyio.to_thread
import redis
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import Session
from starlette.requests import Request

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.errors import Transient
from gateway.jobs import Notifier
from gateway.settings import Settings
from gateway.store import connections, installation
from gateway.store.events import Received
from gateway.store.ingress import Ingress
from gateway.store.users import MAX_SOURCES, NO_FAILURES, LoginFailures
from gateway.web.sessions import Sessions, Visitor

if TYPE_CHECKING:
    from gateway.connectors.openid import Provider

REST_SECONDS = 1.0
Value = TypeVar("Value")
GATHER_SECONDS = 0.1
MAX_ALONE = 5  # a line costs more than storing a delivery
MAX_TOGETHER = 200  # platforms cut lines of more than 10 kB
_log = structlog.get_logger(__name__)
FAILURES = 10
WINDOW_SECONDS = 60.0
ASKED_PER_SECOND, ASKED_AT_ONCE = 2.0, 20.0
"""How often wrong tokens of all sources together may use the database: from then on they are counted in memory."""
PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 2.0
KEY, KEY_SECONDS = "kassabridge:ready", 60
LATE = "no write succeeds in time"
SIGN_ON_CALLBACK = "/login/oidc/callback"
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Subscription:
    """The webhook subscription of a till: whose it is and the secrets that may sign for it."""

    connection: str
    id: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Subscription({self.connection!r})"


@dataclass(frozen=True, slots=True)
class Directory:
    """Connections by company, subscriptions by their id, what each is called by its key, and its key by that.

    `keys` also has what a connection was called first, so that an old address still leads to it.
    """

    names_by_realm: Mapping[str, str]
    subscriptions: Mapping[str, Subscription]
    display_names: Mapping[str, str]
    keys: Mapping[str, str]


def read(engine: Engine, seal: Seal) -> Directory:
    """The directory as the database has it now. Raises `Transient`."""
    with reading(engine) as session:
        every, called = connections.every(session, seal), connections.display_names(session)
    return Directory(
        names_by_realm={c.realm_id: c.name for c in every if c.realm_id},
        subscriptions={
            c.mplus_subscription_id: Subscription(c.name, c.mplus_subscription_id, c.mplus_webhook_secrets)
            for c in every
            if c.mplus_subscription_id and c.mplus_webhook_secrets
        },
        display_names=called,
        keys={c.name: c.name for c in every} | {c.display_name: c.name for c in every},
    )


class Cached(Generic[Value]):
    """`await fresh.get()`: a value at most `seconds` old, or an older one while reading raises `Transient`."""

    def __init__(self, read: Callable[[], Awaitable[Value]], *, seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._known: list[Value] = []
        self._until = 0.0
        self._trouble: Transient | None = None
        self._reading = asyncio.Lock()

    async def get(self) -> Value:
        """The value. Raises `Transient` when it was never read and cannot be read now."""
        if time.monotonic() >= self._until:
            async with self._reading:
                if time.monotonic() >= self._until:
                    try:
                        self._known, self._trouble = [await self._read()], None
                    except Transient as trouble:
                        self._trouble = trouble
                    # After a failure too, so that waiting requests do not fail one after another.
                    rest = min(self._seconds, REST_SECONDS) if self._trouble else self._seconds
                    self._until = time.monotonic() + rest
        if not self._known:
            raise self._trouble or Transient("nothing was read yet")
        return self._known[0]

    def find_fresh(self) -> Value | None:
        """What `get` returns without a wait, if anything."""
        return self._known[0] if self._known and time.monotonic() < self._until else None

    def peek(self) -> Value | None:
        """What was read last, if anything was."""
        return self._known[0] if self._known else None

    def forget(self) -> None:
        """Read again the next time."""
        self._until = 0.0


@dataclass(slots=True)
class Arrivals:
    """Gathers for a moment what was received; used on one event loop."""

    _waiting: list[tuple[str, Sequence[Received]]] = field(default_factory=list)
    _timer: asyncio.TimerHandle | None = None
    seen: set[tuple[str, str]] = field(default_factory=set)
    """(connection, system) of webhooks this process has seen."""

    def note(self, source: str, received: Sequence[Received]) -> None:
        """Log soon that these changes are stored, with the correlation id that workers continue."""
        self._waiting.append((source, received))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.say)

    def say(self) -> None:
        """Write the lines of what waits."""
        waiting = [(source, each) for source, received in self._waiting for each in received]
        self._timer, self._waiting = None, []
        if len(waiting) > MAX_ALONE:
            for start in range(0, len(waiting), MAX_TOGETHER):
                together = [each.correlation for _, each in waiting[start : start + MAX_TOGETHER]]
                _log.info("received", events=len(together), correlations=together)
            return
        for source, each in waiting:
            _log.info("received", source=source, correlation=each.correlation, event_id=each.id, known=not each.created)


class Throttle:
    """Counts failures per source in memory, also without the database; the least recent source is dropped first.

    It reads what other processes counted, and refuses a known source without a query.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._left, self._left_at = ASKED_AT_ONCE, clock()

    def may_ask(self) -> bool:
        """Whether the database may be asked about one more wrong token, whoever sent it."""
        now = self._clock()
        self._left = min(ASKED_AT_ONCE, self._left + ASKED_PER_SECOND * (now - self._left_at))
        self._left_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def wait(self, source: str) -> float:
        """Seconds this source has to wait before a wrong token of it is an ordinary failure again."""
        known = self._find(source)
        return known.seconds if known.failures >= FAILURES else 0.0

    def fail(self, source: str) -> None:
        """Note a failure. The window of a minute starts with the first one, and again with the one that throttles."""
        known = self._find(source)
        restarts = known.failures in {0, FAILURES - 1}
        self._keep(source, LoginFailures(known.failures + 1, WINDOW_SECONDS if restarts else known.seconds))

    def learn(self, source: str, counted: LoginFailures) -> None:
        """Take over the count of all processes, if it is higher."""
        if counted.failures > self._find(source).failures:
            self._keep(source, counted)

    def _find(self, source: str) -> LoginFailures:
        failures, until = self._known.get(source, (0, 0.0))
        left = until - self._clock()
        return LoginFailures(failures, left) if left > 0 else NO_FAILURES

    def _keep(self, source: str, counted: LoginFailures) -> None:
        self._known[source] = (counted.failures, self._clock() + counted.seconds)
        self._known.move_to_end(source)
        while len(self._known) > MAX_SOURCES:
            self._known.popitem(last=False)


class Probe(Generic[Answer]):
    """One look at a time, on a thread of its own, at most every so many seconds; requests meanwhile get its answer.

    So however many ask, they use one connection to the database. `failed` is the answer when the look fails, `late`
    while it takes longer than the patience.
    """

    def __init__(
        self, look: Callable[[], Answer], *, failed: Answer, late: Answer, seconds: float = FRESH_SECONDS
    ) -> None:
        self._look, self._failed, self._late, self._seconds = look, failed, late, seconds
        self._threads = anyio.CapacityLimiter(1)
        self._running: asyncio.Task[Answer] | None = None
        self._until = 0.0

    async def ask(self) -> Answer:
        if self._running is None or (self._running.done() and time.monotonic() >= self._until):
            self._running = asyncio.create_task(self._run())
        task = self._running
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        return task.result() if done else self._late

    async def _run(self) -> Answer:
        try:
            return await anyio.to_thread.run_sync(self._look, limiter=self._threads, abandon_on_cancel=True)
        except (Transient, SQLAlchemyError, redis.RedisError, OSError):
            return self._failed
        finally:
            self._until = time.monotonic() + self._seconds


def of_database(engine: Engine) -> Probe[str]:
    """`OK` when the schema is ours and something can be stored, or what is wrong."""

    def look() -> str:
        return installation.find_trouble(engine) if installation.is_current(engine) else "not migrated"

    return Probe(look, failed=installation.UNREACHABLE, late=LATE)


def of_broker(client: redis.Redis) -> Probe[str]:
    """`OK` when a wake-up can be sent (an expiring key is set), or what is wrong."""

    def look() -> str:
        try:
            return installation.OK if client.set(KEY, "1", ex=KEY_SECONDS) else "no answer"
        except redis.exceptions.ReadOnlyError:
            return "read-only: no write succeeds"
        except redis.exceptions.OutOfMemoryError:
            return "out of memory: no write succeeds"
        except redis.exceptions.BusyLoadingError:
            return "still loading its data"
        except (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError):
            return "refuses our user"
        except redis.exceptions.ResponseError as error:
            # MISCONF (cannot save to its disk), NOREPLICAS (too few replicas to write): the code is enough.
            return f"no write succeeds ({str(error).partition(' ')[0][:20]})"

    return Probe(look, failed=installation.UNREACHABLE, late=LATE)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need. `threads` bounds how many requests use the database at once.

    `provider` is the OpenID provider of single sign-on, if one is set up; it has threads of its own, so that a slow one
    holds up nobody else.
    """

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
    provider: Provider | None
    provider_threads: anyio.CapacityLimiter

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
        """Run a change in a transaction of its own, on a thread. Raises `Transient`.

        It runs once more if another transaction wrote the same unique row at this moment: then it sees that row, and
        answers as if it had come later.
        """

        def work() -> Answer:
            with writing(self.engine) as session:
                return change(session)

        try:
            return await self.run(work)
        except IntegrityError:
            return await self.run(work)

    async def ask(self, store: Callable[[Session], int]) -> int:
        """Store an event as `write` does, and notify a worker of it; answers the event."""
        event_id = await self.write(store)
        self.notifier.notify([event_id])
        return event_id

    async def soon(self, call: Callable[[], Answer], *, seconds: float) -> Answer:
        """Like `run`, but left behind after `seconds`. Raises `Transient` then."""
        try:
            with anyio.fail_after(seconds):
                return await anyio.to_thread.run_sync(call, limiter=self.threads, abandon_on_cancel=True)
        except TimeoutError:
            raise Transient("it did not answer in time") from None


def open_provider(settings: Settings) -> Provider | None:
    """The provider, where one is set up; its libraries are slow to import, so they are only then."""
    if not settings.oidc_issuer:
        return None
    from gateway.connectors.openid import Provider

    return Provider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        redirect_uri=settings.public_url + SIGN_ON_CALLBACK,
    )


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


async def find_key(request: Request, called: str | None) -> str | None:
    """The key of a connection by what it is called; a name that none has is answered as it is."""
    return (await of(request).directory.get()).keys.get(called, called) if called else None


async def names_of(request: Request) -> Mapping[str, str]:
    """What each connection is called, by its key; for a visitor who may see one connection, only that one."""
    names = (await of(request).directory.get()).display_names
    visitor: Visitor | None = getattr(request.state, "visitor", None)
    if visitor is None or visitor.connection is None:
        return names
    return {key: called for key, called in names.items() if key == visitor.connection}


async def names_in_use(request: Request) -> Mapping[str, str]:
    """`names_of`, without connections that were removed: something new can be begun for the others only."""
    in_use = set((await of(request).directory.get()).keys.values())
    return {key: called for key, called in (await names_of(request)).items() if key in in_use}


def of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services

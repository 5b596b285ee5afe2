"""The clock process: `python -m workers.scheduler` polls both systems and cleans up. Two of them may run."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

import structlog
from sqlalchemy import Engine

from gateway import alerts, failpoints, jobs, removal, settings, startup
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, reading, writing
from gateway.errors import AUTH_LOST, GatewayError, RateLimited
from gateway.jobs import Notifier
from gateway.observability import logs, sentry
from gateway.privacy import retention
from gateway.process import heartbeat
from gateway.settings import Settings
from gateway.store import (
    audit,
    connections,
    counts,
    event_history,
    events,
    inbox,
    leases,
    rate_limits,
    requests,
    tokens,
    users,
)
from gateway.store.events import State
from handlers.agreement import report
from handlers.deps import Deps
from handlers.polling import books_feed, polls
from workers.connections import ConnectionRegistry

TICK_SECONDS = 0.5
LISTS_SECONDS = 30.0
REFRESH_SECONDS = 3600.0
IDLE_TOKEN_SECONDS = 86_400.0
# Not at once: processes of the previous release, which have only the old key, may still run.
RESEAL_AFTER_SECONDS, RESEAL_SECONDS = 60.0, 3600.0
REPAIR_SECONDS, PRUNE_SECONDS = 3600.0, 21_600.0
PRESENCE_SECONDS = 15.0
FIGURES_SECONDS, BOOKED_SECONDS, RECOUNT_SECONDS = 60.0, 60.0, 3600.0
REACH_SECONDS = 25.0
POLL_AGAIN_SECONDS = 60.0  # a failed poll does not wait for its interval, which may be a quarter of an hour
AT_ONCE = 8
END_SECONDS = 15.0  # so long may tasks that are under way finish; a call that hangs is left behind
_log = structlog.get_logger(__name__)


@dataclass
class PeriodicTask:
    """Something done every so many seconds; `due` is monotonic time."""

    name: str
    seconds: float
    do: Callable[[], None]
    due: float = 0.0
    running: bool = False


class Scheduler:
    """Runs each periodic task when it is due, never twice at once, in a few threads. Its contexts are its maker's."""

    def __init__(self, engine: Engine, given: Settings, contexts: ConnectionRegistry, notifier: Notifier) -> None:
        self.engine = engine
        self._settings = given
        self._contexts = contexts
        self._notifier = notifier
        self._tasks: dict[str, PeriodicTask] = {}
        self._reached: dict[str, bool] = {}
        self._recount_at = 0.0
        self._queue: SimpleQueue[PeriodicTask | None] = SimpleQueue()
        self.stop = threading.Event()

    def run(self) -> None:
        self._add("repair", REPAIR_SECONDS, self._repair)
        self._add("prune", PRUNE_SECONDS, self._prune)
        self._add("presence", PRESENCE_SECONDS, partial(self._contexts.report, "clock"))
        self._add("connections", 5.0, self._follow_connections)
        self._add("lists", LISTS_SECONDS, self._ask_for_lists)
        self._add("lost", 5.0, self._park_lost)
        self._add("refused", 5.0, self._retry_refused)
        self._add("alerts", alerts.LOOK_SECONDS, self._contexts.watch.look)
        self._add("refresh", REFRESH_SECONDS, self._refresh_idle)
        self._add("removals", 5.0, self._follow_removals)
        self._add("figures", FIGURES_SECONDS, lambda: counts.keep_hour(self.engine))
        self._add("booked", BOOKED_SECONDS, self._keep_booked)
        self._add("reseal", RESEAL_SECONDS, self._reseal, after=RESEAL_AFTER_SECONDS)
        # No ThreadPoolExecutor: a process does not exit before the threads of one have ended.
        threads = [threading.Thread(target=self._work, name="task", daemon=True) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        while not self.stop.wait(TICK_SECONDS):
            for task in list(self._tasks.values()):
                if not task.running and task.due <= time.monotonic():
                    task.running = True
                    self._queue.put(task)
        deadline = time.monotonic() + END_SECONDS
        for _ in threads:
            self._queue.put(None)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while task := self._queue.get():
            if not self.stop.is_set():
                self._run(task)

    def _add(self, name: str, seconds: float, do: Callable[[], None], *, after: float = 0.0) -> None:
        self._tasks.setdefault(name, PeriodicTask(name, seconds, do, time.monotonic() + after))

    def _run(self, task: PeriodicTask) -> None:
        failed, kind = True, task.name.partition("/")[0]
        # All polls of a system report to Sentry's monitors as one.
        name = {"till": "poll-till", "books": "poll-books", "refresh": "refresh"}.get(kind)
        monitored = sentry.monitored(name, seconds=task.seconds, of=task.name) if name else nullcontext()
        try:
            with logs.correlated(events.new_correlation(), task=task.name), monitored:
                task.do()
            failed = False
        except GatewayError as error:
            _log.warning("a scheduled task could not run", task=task.name, reason=error.reason)
        except Exception as error:  # noqa: BLE001 - one failing task must not end the clock
            _log.exception("a scheduled task failed", task=task.name)
            sentry.report(error, connection=task.name.partition("/")[2] or None)
        finally:
            seconds = min(task.seconds, POLL_AGAIN_SECONDS) if failed and "/" in task.name else task.seconds
            task.due = time.monotonic() + seconds
            task.running = False

    def _follow_connections(self) -> None:
        often, seldom = self._settings.mplus_poll_seconds, self._settings.quickbooks_cdc_seconds
        names = self._contexts.names()
        for task in list(self._tasks):
            name = task.partition("/")[2]
            if name and name not in names:
                del self._tasks[task]
        for name in names:
            self._add(f"till/{name}", often, partial(self._poll, "till", name, polls.poll_till))
            self._add(f"books/{name}", seldom, partial(self._poll, "books", name, books_feed.poll))
            self._add(f"agreement/{name}", report.SECONDS, partial(self._poll, "agreement", name, report.plan))
            self._add(f"reach/{name}", REACH_SECONDS, partial(self._reach, name))

    def _poll(self, source: str, name: str, poll: Callable[[Deps], list[int]]) -> None:
        till = (rate_limits.MPLUSKASSA, float(self._settings.mplus_poll_seconds))
        sources = {"till": till, "books": (rate_limits.QUICKBOOKS, REACH_SECONDS)}
        if not self._is_followed(name):
            return
        failpoints.reach(failpoints.BEFORE_POLL, source)
        with self._noting(name, *sources[source]) if source in sources else nullcontext():
            deps = self._contexts.deps(name)
            found = poll(deps)
        failpoints.reach(failpoints.AFTER_POLL, source)
        if source == "books" and (task := self._tasks.get(f"books/{name}")):
            task.seconds = books_feed.seconds_between(deps, self._settings.quickbooks_cdc_seconds)
        if source != "till":  # which notifies of each feed by itself
            self._notifier.notify(found)
            return
        # The till has answered: what it refused before is handled again.
        with reading(self.engine) as session:
            refused = inbox.find_refused(session, name)
        if refused:
            with writing(self.engine) as session:
                again = inbox.requeue(session, refused, states=[State.PARKED])
            self._notifier.notify(again)

    def _is_followed(self, name: str) -> bool:
        connection = self._contexts.context(name).connection
        return connection.live and not connection.paused

    @contextmanager
    def _noting(self, name: str, system: str, again_in: float) -> Iterator[None]:
        """Store whether the system answered. A call stopped by our limits or by its own says nothing about it."""
        try:
            yield
        except RateLimited:
            raise
        except Exception as error:
            connections.failed(self.engine, name, system, getattr(error, "reason", type(error).__name__))
            raise
        connections.answered(self.engine, name, system, again_in=again_in)

    def _reach(self, name: str) -> None:
        """The books are seldom polled for changes, because reads are metered; whether they can be reached costs none.

        When they can be reached again, they are polled at once.
        """
        if not self._is_followed(name):
            return
        books, feed = self._contexts.deps(name).books, self._tasks.get(f"books/{name}")
        reached, self._reached[name] = self._reached.get(name, True), False
        with self._noting(name, rate_limits.QUICKBOOKS, REACH_SECONDS):
            books.reach()
        self._reached[name] = True
        if not reached and feed:
            feed.due = time.monotonic()

    def _ask_for_lists(self) -> None:
        """Have the lists of a connection read that nobody has set up by hand: pages offer them. Asked once."""
        with reading(self.engine) as session:
            wanted = [requests.refresh_lists(connection=name) for name in connections.without_lists(session)]
            wanted = [change for change in wanted if event_history.newest_about(session, change.subject) is None]
        if wanted:
            with writing(self.engine) as session:
                received = inbox.receive(session, wanted)
            self._notifier.notify([row.id for row in received])

    def _park_lost(self) -> None:
        with reading(self.engine) as session:
            lost = any(token.lost for token in tokens.every(session).values())
        if lost:
            with writing(self.engine) as session:
                inbox.park_lost(session, code=AUTH_LOST)

    def _retry_refused(self) -> None:
        """Send refresh tokens, and calls, once more that were refused: good ones are, at times."""
        with reading(self.engine) as session:
            refused = tokens.find_refused(session)
        for name in refused:
            try:
                accepted = self._contexts.token_manager(name).try_again(self._contexts.deps(name).books.try_token)
            except GatewayError as error:
                _log.warning("could not try a refused login again", connection=name, reason=error.reason)
            else:
                _log.info("tried a refused login again", connection=name, accepted=accepted)

    def _refresh_idle(self) -> None:
        """Use refresh tokens that are idle (a paused connection's), so that none expires."""
        with reading(self.engine) as session:
            idle = tokens.find_idle(session, seconds=IDLE_TOKEN_SECONDS)
        failed: list[GatewayError] = []
        for name in idle:
            try:
                self._contexts.token_manager(name).access()
            except GatewayError as error:
                _log.warning("a token could not be refreshed", connection=name, reason=error.reason)
                failed.append(error)
        if failed:
            raise failed[0]

    def _follow_removals(self) -> None:
        if count := removal.follow(self.engine, self._settings, stopped=self.stop.is_set):
            _log.info("data of a removed connection were purged", rows=count)

    def _reseal(self) -> None:
        if count := startup.reseal(self.engine, Seal(self._settings.secret_keys)):
            _log.info("sealed again with the newest key", secrets=count)

    def _repair(self) -> None:
        with writing(self.engine) as session:
            inbox.repair_times(session)
            leases.purge_marks(session)
        with writing(self.engine) as session:
            users.purge_failures(session)
        counts.fold_ended(self.engine)

    def _prune(self) -> None:
        with writing(self.engine) as session:
            audit.purge_marks(session)
        purged = retention.purge(self.engine, days=self._settings.retention_days, stopped=self.stop.is_set)
        if any(purged):
            _log.info("expired lines and events were deleted", **purged._asdict())

    def _keep_booked(self) -> None:
        """The sums of today and yesterday change all the time, those of the days before seldom."""
        recount = time.monotonic() >= self._recount_at
        counts.keep_booked(self.engine, days=counts.CHECKED_DAYS if recount else 2)
        if recount:
            self._recount_at = time.monotonic() + RECOUNT_SECONDS


def main() -> None:
    given = settings.read(os.environ)
    failpoints.arm(os.environ)
    heartbeat.start(os.environ)
    logs.start(given, "clock")
    client = jobs.open_redis(given.redis_url, tls_insecure=given.redis_tls_insecure, timeout=2)
    notifier = Notifier(jobs.open_broker(client))
    engine = open_engine(given.database_url, pool_size=given.clock_pool)
    contexts = ConnectionRegistry(engine, given, notifier.notify)
    clock = Scheduler(engine, given, contexts, notifier)
    startup.seed(clock.engine, given)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: clock.stop.set())
    clock.run()
    contexts.close()
    notifier.close()


if __name__ == "__main__":
    main()

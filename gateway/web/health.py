"""Liveness, readiness, and metrics for Prometheus."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.database import sql
from gateway.database.session import reading
from gateway.observability import counters
from gateway.queries import activity, todo
from gateway.settings import Settings
from gateway.store import alerts, connections, counts, installation, rate_limits, tokens
from gateway.store.tables import AlertRow, CursorRow, MeterRow, ProcessRow, TokenRow
from gateway.web import inputs, services
from gateway.web.inputs import Refusal
from gateway.web.sessions import is_same


def routes() -> list[Route]:
    return [
        Route("/livez", is_alive, methods=["GET"]),
        Route("/readyz", is_ready, methods=["GET"]),
        Route("/metrics", expose_metrics, methods=["GET"]),
    ]


async def is_alive(_request: Request) -> Response:
    """200 as long as the event loop runs; no dependency is checked."""
    return JSONResponse({"status": "alive"})


async def is_ready(request: Request) -> Response:
    """200 when something can be stored and a wake-up can be sent, else 503 naming what cannot and why."""
    shared = services.of(request)
    database, broker = await asyncio.gather(shared.database_probe.ask(), shared.broker_probe.ask())
    ready = database == broker == installation.OK
    content = {"status": "ready" if ready else "unavailable", "database": database, "broker": broker}
    return JSONResponse(content, 200 if ready else 503)


async def expose_metrics(request: Request) -> Response:
    """The counters of all processes and the database's gauges; without the database only this process's own."""
    shared = services.of(request)
    wanted = shared.settings.metrics_token
    if wanted and not is_same(inputs.bearer_of(request), wanted):
        raise Refusal(401, "send Authorization: Bearer with METRICS_TOKEN", headers={"WWW-Authenticate": "Bearer"})
    text = await shared.metrics.ask() or generate_latest(PROCESS) + expose(None)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


# --- what the database says about the work, at the moment of scraping --------------------------------------------


FRESH_SECONDS = 1.0
PROCESS = CollectorRegistry()
ProcessCollector(registry=PROCESS)

Labelled = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Gauge:
    """One look at the database. `names` are the connections of an account, which is not exposed."""

    now: datetime
    flows: Sequence[activity.FlowStatus] = ()
    cursors: Sequence[CursorRow] = ()
    meters: Sequence[MeterRow] = ()
    alerts: Sequence[AlertRow] = ()
    uses: Sequence[rate_limits.Use] = ()
    names: Mapping[rate_limits.Account, Sequence[str]] = field(default_factory=dict)
    processes: Sequence[ProcessRow] = ()
    tokens: Sequence[TokenRow] = ()
    totals: Mapping[installation.Key, float] = field(default_factory=dict)
    allowance: int = 0
    display_names: Mapping[str, str] = field(default_factory=dict)

    def called(self, key: str) -> str:
        return self.display_names.get(key, key)

    def age(self, then: datetime | None) -> float:
        return (self.now - then).total_seconds() if then else 0.0

    def of_uses(self, number: Callable[[rate_limits.Use], float]) -> list[Labelled]:
        """A number of each account, by the connections that have it."""
        uses = [(use, name) for use in self.uses for name in self.names.get(use.account, ())]
        return [((self.called(name), use.account.system), number(use)) for use, name in uses]

    def of_pools(self, column: str) -> list[Labelled]:
        """The sum of a number of all processes with a role. A worker that does the clock's work has one pool."""
        workers = {each.boot.removeprefix("worker-") for each in self.processes if each.role == "worker"}
        sums: Counter[str] = Counter()
        for each in self.processes:
            is_shared = each.role == "clock" and each.boot.removeprefix("clock-") in workers
            sums[each.role] += 0 if is_shared else getattr(each, column) or 0
        return [((role,), sums[role]) for role in sorted(sums)]


def read(session: Session, settings: Settings) -> Gauge:
    now = sql.now_of(session)
    return Gauge(
        now,
        activity.flow_statuses(session),
        activity.find_polls(session),
        counts.calls_of_month(session, f"{now:%Y-%m}"),
        todo.find_alerts(session),
        rate_limits.find_uses(session),
        connections.names_by_account(session),
        installation.alive(session),
        tuple(tokens.every(session).values()),
        installation.find_totals(session),
        settings.quickbooks_monthly_reads,
        connections.display_names(session),
    )


def of_database(engine: Engine, settings: Settings) -> services.Probe[bytes]:
    """The text of the numbers, read at most once a second; empty while the database cannot be read."""

    def look() -> bytes:
        installation.COUNTS.flush(engine)  # without a wait for this process's next report
        with reading(engine) as session:
            found = read(session, settings)
        return generate_latest(PROCESS) + expose(found)

    return services.Probe(look, failed=b"", late=b"", seconds=FRESH_SECONDS)


def expose(reading: Gauge | None) -> bytes:
    """The text of the numbers; None: the database cannot be read, and only that is said."""
    return generate_latest(Gauges(reading))


@dataclass(frozen=True, eq=False, slots=True)
class Gauges(Collector):
    reading: Gauge | None

    def collect(self) -> Iterator[Metric]:
        said = "Whether the database could be read; if not, other numbers are missing."
        yield _gauge("database_up", said, (), [((), self.reading is not None)])
        if self.reading is not None:
            for name, about, labels, find in GAUGES:
                yield _gauge(name, about, labels, find(self.reading))
            yield from installation.to_families(counters.REGISTRY, self.reading.totals)


def _gauge(name: str, about: str, labels: Sequence[str], values: Iterable[Labelled]) -> Metric:
    family = GaugeMetricFamily(f"kassabridge_{name}", about, labels=labels)
    for given, value in values:
        family.add_metric(given, float(value))
    return family


_OF_FLOW, _OF_FEED, _OF_SYSTEM = ("flow",), ("connection", "source"), ("connection", "system")
GAUGES: Final[Sequence[tuple[str, str, tuple[str, ...], Callable[[Gauge], Iterable[Labelled]]]]] = (
    ("events", "Inbox rows by flow and state.", ("flow", "state"), lambda at: [
        ((each.flow, state), count) for each in at.flows for state, count in each.counts.items()]),
    ("system_silent_seconds", "Seconds a system of a live connection has not answered.", (), lambda at: [
        ((), max((each.unseen_seconds or 0.0 for each in at.flows), default=0.0))]),
    ("oldest_unsynced_seconds", "Seconds the oldest unsynced event of a flow has waited.", _OF_FLOW, lambda at: [
        ((each.flow,), each.unsynced_seconds or 0.0) for each in at.flows]),
    ("oldest_parked_seconds", "Seconds the oldest parked event has waited for a person.", _OF_FLOW, lambda at: [
        ((each.flow,), each.parked_seconds or 0.0) for each in at.flows]),
    ("last_done_seconds", "Seconds since a record of the flow was last done, requests and echoes apart.", _OF_FLOW,
     lambda at: [((each.flow,), at.age(each.last_done_at)) for each in at.flows if each.last_done_at]),
    ("poll_age_seconds", "Seconds since the last good poll.", _OF_FEED, lambda at: [
        ((at.called(each.connection), each.source), at.age(each.polled_at)) for each in at.cursors if each.polled_at]),
    ("poll_failing", "1 while the last poll failed.", _OF_FEED, lambda at: [
        ((at.called(each.connection), each.source), each.failure is not None) for each in at.cursors]),
    ("calls_this_month", "Calls this month; kind read is what Intuit meters, call any other.", (*_OF_SYSTEM, "kind"),
     lambda at: [((at.called(each.connection), each.system, each.kind), each.calls) for each in at.meters]),
    ("reads_allowed", "Metered reads a month, as QUICKBOOKS_MONTHLY_READS says.", (), lambda at: [((), at.allowance)]),
    ("cooldown_seconds", "Seconds a system is not called, because it refused a call.", _OF_SYSTEM,
     lambda at: at.of_uses(lambda use: use.cooldown)),
    ("pace_used", "Share of the calls in a second that are spoken for; at 1 calls wait.", _OF_SYSTEM,
     lambda at: at.of_uses(lambda use: use.resting / use.slots)),
    ("slots_used", "Places among the calls at once that are held now.", _OF_SYSTEM,
     lambda at: at.of_uses(lambda use: use.held)),
    ("slots", "Places among the calls at once.", _OF_SYSTEM, lambda at: at.of_uses(lambda use: use.slots)),
    ("processes", "Processes that reported within a minute.", ("role",), lambda at: [
        ((role,), sum(each.role == role for each in at.processes)) for role in alerts.ROLES]),
    ("pool_connections", "Database connections the pools may open.", ("role",), lambda at: at.of_pools("pool_size")),
    ("pool_connections_used", "Database connections in use, as each process said last.", ("role",),
     lambda at: at.of_pools("pool_used")),
    ("alerts", "Alerts whose cause lasts, by kind.", ("kind",), lambda at: [
        ((kind,), sum(each.cause.partition("/")[0] == kind for each in at.alerts)) for kind in alerts.KINDS]),
    ("authorisation_lost", "1 while QuickBooks has to be connected again, or refuses calls although it is connected.",
     ("connection",), lambda at: [((at.called(each.connection),), each.lost is not None) for each in at.tokens]),
    ("authorisation_seconds", "Seconds until QuickBooks has to be connected again.", ("connection",), lambda at: [
        ((at.called(each.connection),), -at.age(end)) for each in at.tokens if (end := tokens.ends_at(each))]),
)  # fmt: skip
"""Of each number its name, what it says, its labels, and its values of one look."""

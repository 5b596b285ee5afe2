"""Liveness, readiness, and metrics for Prometheus."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.observability import counters
from gateway.settings import Settings
from gateway.store import alerts, connections, counts, installation, rate_limits, tokens, views
from gateway.store.session import reading
from gateway.store.tables import AlertRow, CursorRow, MeterRow, ProcessRow, TokenRow
from gateway.web import access, services
from gateway.web.problems import Refusal


def routes() -> list[Route]:
    """The three addresses; they need no login and show no secret."""
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
    if wanted and not hmac.compare_digest(access.bearer_of(request).encode("utf-8", "surrogatepass"), wanted.encode()):
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
    flows: Sequence[views.FlowStatus] = ()
    cursors: Sequence[CursorRow] = ()
    meters: Sequence[MeterRow] = ()
    alerts: Sequence[AlertRow] = ()
    uses: Sequence[rate_limits.Use] = ()
    names: Mapping[rate_limits.Account, Sequence[str]] | None = None
    processes: Sequence[ProcessRow] = ()
    tokens: Sequence[TokenRow] = ()
    totals: Mapping[counts.Key, float] | None = None
    allowance: int = 0
    display_names: Mapping[str, str] | None = None

    def called(self, key: str) -> str:
        return (self.display_names or {}).get(key, key)


def read(session: Session, settings: Settings) -> Gauge:
    now = views.now_of(session)
    return Gauge(
        now,
        views.flow_statuses(session),
        views.cursors(session),
        counts.calls_of_month(session, f"{now:%Y-%m}"),
        alerts.find_open(session),
        rate_limits.find_uses(session),
        connections.names_by_account(session),
        installation.alive(session),
        tuple(views.tokens(session).values()),
        counts.find_totals(session),
        settings.quickbooks_monthly_reads,
        connections.display_names(session),
    )


def of_database(engine: Engine, settings: Settings) -> services.Probe[bytes]:
    """The text of the numbers, read at most once a second; empty while the database cannot be read."""

    def look() -> bytes:
        installation.flush_counts(engine)
        with reading(engine) as session:
            found = read(session, settings)
        return generate_latest(PROCESS) + expose(found)

    return services.Probe(look, failed=b"", late=b"", seconds=FRESH_SECONDS)


def expose(reading: Gauge | None) -> bytes:
    """The text of the numbers; None: the database cannot be read, and only that is said."""
    registry = CollectorRegistry()
    registry.register(Gauges(reading))
    return generate_latest(registry)


def families(reading: Gauge) -> Iterator[Metric]:
    yield from _of_events(reading)
    yield from _of_outside(reading)
    yield from _of_ourselves(reading)
    yield from counts.to_families(counters.REGISTRY, reading.totals or {})


@dataclass(frozen=True, eq=False, slots=True)
class Gauges(Collector):
    reading: Gauge | None

    def collect(self) -> Iterator[Metric]:
        up = float(self.reading is not None)
        yield _gauge(
            "database_up", "Whether the database could be read; if not, other numbers are missing.", (), [((), up)]
        )
        if self.reading is not None:
            yield from families(self.reading)


def _of_events(reading: Gauge) -> Iterator[Metric]:
    flows = reading.flows
    counted = [((each.flow, state), float(n)) for each in flows for state, n in each.counts.items()]
    yield _gauge("events", "Inbox rows by flow and state.", ("flow", "state"), counted)
    late = [((each.flow,), each.unsynced_seconds or 0.0) for each in flows]
    silent = max((each.unseen_seconds or 0.0 for each in flows), default=0.0)
    yield _gauge("system_silent_seconds", "Seconds a system of a live connection has not answered.", (), [((), silent)])
    yield _gauge("oldest_unsynced_seconds", "Seconds the oldest unsynced event of a flow has waited.", ("flow",), late)
    parked = [((each.flow,), each.parked_seconds or 0.0) for each in flows]
    yield _gauge("oldest_parked_seconds", "Seconds the oldest parked event has waited for a person.", ("flow",), parked)
    done = [((each.flow,), _age(each.last_done_at, reading)) for each in flows if each.last_done_at]
    yield _gauge(
        "last_done_seconds",
        "Seconds since a record of the flow was last done, requests and echoes apart.",
        ("flow",),
        done,
    )


def _of_outside(reading: Gauge) -> Iterator[Metric]:
    about = ("connection", "source")
    polled = [
        ((reading.called(c.connection), c.source), _age(c.polled_at, reading)) for c in reading.cursors if c.polled_at
    ]
    yield _gauge("poll_age_seconds", "Seconds since the last good poll.", about, polled)
    failing = [((reading.called(c.connection), c.source), float(c.failure is not None)) for c in reading.cursors]
    yield _gauge("poll_failing", "1 while the last poll failed.", about, failing)
    calls = [((reading.called(m.connection), m.system, m.kind), float(m.calls)) for m in reading.meters]
    labels = ("connection", "system", "kind")
    yield _gauge(
        "calls_this_month", "Calls this month; kind read is what Intuit meters, call any other.", labels, calls
    )
    allowed = "Metered reads a month, as QUICKBOOKS_MONTHLY_READS says."
    yield _gauge("reads_allowed", allowed, (), [((), float(reading.allowance))])
    uses = [(use, name) for use in reading.uses for name in (reading.names or {}).get(use.account, ())]
    rows = [((reading.called(name), use.account.system), use) for use, name in uses]
    about = ("connection", "system")
    cooldowns = [(key, use.cooldown) for key, use in rows]
    yield _gauge("cooldown_seconds", "Seconds a system is not called, because it refused a call.", about, cooldowns)
    resting = [(key, use.resting / use.slots) for key, use in rows]
    yield _gauge("pace_used", "Share of the calls in a second that are spoken for; at 1 calls wait.", about, resting)
    held = [(key, float(use.held)) for key, use in rows]
    yield _gauge("slots_used", "Places among the calls at once that are held now.", about, held)
    yield _gauge("slots", "Places among the calls at once.", about, [(key, float(use.slots)) for key, use in rows])


def _of_ourselves(reading: Gauge) -> Iterator[Metric]:
    alive = Counter(each.role for each in reading.processes)
    running = [((role,), float(alive[role])) for role in alerts.ROLES]
    yield _gauge("processes", "Processes that reported within a minute.", ("role",), running)
    yield _gauge(
        "pool_connections", "Database connections the pools may open.", ("role",), _summed(reading, "pool_size")
    )
    used = "Database connections in use, as each process said last."
    yield _gauge("pool_connections_used", used, ("role",), _summed(reading, "pool_used"))
    open_ = Counter(alert.cause.partition("/")[0] for alert in reading.alerts)
    lasting = [((kind,), float(open_[kind])) for kind in alerts.KINDS]
    yield _gauge("alerts", "Alerts whose cause lasts, by kind.", ("kind",), lasting)
    lost = [((reading.called(token.connection),), float(token.lost is not None)) for token in reading.tokens]
    yield _gauge(
        "authorisation_lost",
        "1 while QuickBooks has to be connected again, or refuses calls although it is connected.",
        ("connection",),
        lost,
    )
    ends = [
        ((reading.called(t.connection),), -_age(end, reading)) for t in reading.tokens if (end := tokens.ends_at(t))
    ]
    yield _gauge("authorisation_seconds", "Seconds until QuickBooks has to be connected again.", ("connection",), ends)


def _summed(reading: Gauge, field: str) -> list[Labelled]:
    roles = sorted({each.role for each in reading.processes})
    return [((r,), float(sum(getattr(p, field) or 0 for p in reading.processes if p.role == r))) for r in roles]


def _age(then: datetime | None, reading: Gauge) -> float:
    return (reading.now - then).total_seconds() if then else 0.0


def _gauge(name: str, about: str, labels: Sequence[str], values: Iterable[Labelled]) -> Metric:
    family = GaugeMetricFamily(f"kassabridge_{name}", about, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family

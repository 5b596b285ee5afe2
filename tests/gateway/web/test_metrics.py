"""The numbers for Prometheus: valid, bounded, of all processes together, and honest when the database is away."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, insert, text

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.observability import counters
from gateway.store import counts, cursors, installation, rate_limits, requests
from gateway.store.installation import CounterShare
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS, Account, Limit
from gateway.store.requests import Notes
from gateway.store.tables import AlertRow
from gateway.web import health
from gateway.web.health import Gauge
from tests.conftest import on_both_databases
from tests.gateway.backfills import begin
from tests.gateway.web.conftest import Gateway, a_cloud_event

_LINE = re.compile(r'^[a-z_]+(\{[a-z_]+="[^"\\\n]*"(,[a-z_]+="[^"\\\n]*")*\})? (-?[0-9.e+-]+|\+Inf|NaN)$')
_HEAD = re.compile(r"^# (HELP [a-z_]+ \S.*|TYPE [a-z_]+ (counter|gauge|histogram))$")


def check(exposed: str) -> dict[str, dict[str, float]]:
    """Every line is well formed, every family has one HELP and TYPE before its samples; answers samples by family."""
    lines = exposed.splitlines()
    assert all(_HEAD.match(line) if line.startswith("#") else _LINE.match(line) for line in lines)
    assert len(lines) == len(set(lines))
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(named) == len(set(named))
    assert named == [line.split()[2] for line in lines if line.startswith("# HELP")]
    families = {family.name: family for family in text_string_to_metric_families(exposed)}
    return {
        name: {f"{s.name}{sorted(s.labels.items())}": s.value for s in family.samples}
        for name, family in families.items()
    }


def test_the_metrics_after_some_traffic_are_valid_and_complete(gateway: Gateway) -> None:
    gateway.deliver([a_cloud_event()])
    account = Account(QUICKBOOKS, "4620816365")
    with reading(gateway.engine) as session:
        realm = session.execute(text("SELECT realm_id FROM connections")).scalar_one()
        account = Account(QUICKBOOKS, str(realm))
    limit = Limit.of(at_once=8, per_second=10, per_minute=430)
    rate_limits.open_account(gateway.engine, account, limit)
    rate_limits.take_slot(gateway.engine, account, limit, "us", patience=1.0)
    rate_limits.open_account(gateway.engine, Account(MPLUSKASSA, "https://unknown.example:1"), Limit(1))
    with writing(gateway.engine) as session:
        times = {"first_seen": moment(), "seen_at": moment()}
        row = {"cause": "parked/shop/orders/x", "stage": "", "title": "t", "told": "", "clear_told": ""}
        session.execute(insert(AlertRow).values(**row, **times))
        counts.add_calls(
            session, "default", system="quickbooks", month=f"{datetime.now(UTC):%Y-%m}", kind="read", calls=3
        )
    installation.report(gateway.engine, "worker")
    found = check(gateway.http.get("/metrics").text)
    assert found["kassabridge_database_up"] == {"kassabridge_database_up[]": 1.0}
    assert found["kassabridge_alerts"]["kassabridge_alerts[('kind', 'parked')]"] == 1.0
    assert found["kassabridge_processes"]["kassabridge_processes[('role', 'worker')]"] == 1.0
    assert found["kassabridge_processes"]["kassabridge_processes[('role', 'clock')]"] == 0.0
    (used,) = found["kassabridge_slots_used"].values()
    (share,) = found["kassabridge_pace_used"].values()
    assert used == 1.0
    assert 0.0 < share < 1.0
    assert list(found["kassabridge_pool_connections"].values())[0] >= 1.0  # noqa: RUF015 - by role
    assert "kassabridge_webhook_deliveries" in found
    assert "process_cpu_seconds" in found
    assert "unknown.example" not in str(found)


def test_the_pool_of_a_worker_that_schedules_is_counted_once(gateway: Gateway) -> None:
    for role in ("worker", "clock"):
        installation.report(gateway.engine, role)
    found = check(gateway.http.get("/metrics").text)["kassabridge_pool_connections"]
    pools = {role: found[f"kassabridge_pool_connections[('role', '{role}')]"] for role in ("worker", "clock")}
    assert pools["worker"] >= 1
    assert pools["clock"] == 0


def test_neither_a_backfill_nor_an_index_is_exposed_as_a_poll(gateway: Gateway) -> None:
    event = begin(gateway.engine)
    with writing(gateway.engine) as session:
        requests.note(session, event, Notes(total=9, read=4))
        cursors.move_to(session, "default", cursors.RECEIPTS, "7")
        cursors.move_to(session, "default", cursors.CUSTOMERS, "2026-11-01T00:00:00+00:00")
    found = check(gateway.http.get("/metrics").text)
    for family in ("kassabridge_poll_age_seconds", "kassabridge_poll_failing"):
        assert list(found[family]) == [f"{family}[('connection', 'default'), ('source', 'mpluskassa.receipt')]"]


def test_neither_an_account_nor_what_a_record_says_becomes_a_label() -> None:
    allowed = {"connection", "flow", "state", "system", "kind", "source", "result", "position", "settles", "role",
               "outcome", "why", "channel", "le"}  # fmt: skip
    families = set(counters.REGISTRY._names_to_collectors.values())
    of_counters = {name for family in families for name in getattr(family, "_labelnames", ())}
    assert len(of_counters) > 5
    found = health.Gauges(Gauge(datetime.now(UTC))).collect()
    of_gauges = {name for family in found for name in getattr(family, "_labelnames", ())}
    assert of_counters | of_gauges <= allowed


def test_while_the_database_is_away_only_that_is_said() -> None:
    found = check(health.expose(None).decode())
    assert found == {"kassabridge_database_up": {"kassabridge_database_up[]": 0.0}}


@on_both_databases
def test_processes_add_up_and_a_restarted_one_takes_nothing_away(engine: Engine) -> None:
    for count in (1, 2, 3):
        registry = CollectorRegistry()
        done = Counter("done", "Done.", ("flow",), registry=registry)
        took = Histogram("took", "Took.", ("flow",), buckets=(0.5, 10.0), registry=registry)
        share = CounterShare(registry)
        done.labels("orders").inc(count)
        took.labels("orders").observe(count)
        share.flush(engine)
        share.flush(engine)
        done.labels("orders").inc()
        share.flush(engine)
    with reading(engine) as session:
        sums = installation.find_totals(session)
    fresh = CollectorRegistry()
    fresh.register(_Summed(registry, sums))
    found = {s.name + s.labels.get("le", ""): s.value for family in fresh.collect() for s in family.samples}
    assert found == {"done_total": 9.0, "took_bucket0.5": 0.0, "took_bucket10.0": 3.0, "took_bucket+Inf": 3.0,
                     "took_count": 3.0, "took_sum": 6.0}  # fmt: skip
    bounds = [s.labels["le"] for family in fresh.collect() for s in family.samples if "le" in s.labels]
    assert bounds == ["0.5", "10.0", "+Inf"]


class _Summed:
    def __init__(self, registry: CollectorRegistry, sums: dict[installation.Key, float]) -> None:
        self._registry, self._sums = registry, sums

    def collect(self) -> Iterator[Metric]:
        return installation.to_families(self._registry, self._sums)


@on_both_databases
def test_many_processes_flushing_at_once_lose_nothing(engine: Engine) -> None:
    def work() -> None:
        registry = CollectorRegistry()
        done = Counter("many", "Many.", ("flow",), registry=registry)
        share = CounterShare(registry)
        for _ in range(5):
            for flow in ("a", "b", "c"):
                done.labels(flow).inc()
            share.flush(engine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as session:
        assert set(installation.find_totals(session).values()) == {20.0}


def test_how_a_call_went_is_one_of_six_words() -> None:
    cases = {(200, None): "ok", (200, "6000"): "refused", (400, "610"): "refused", (429, "3001"): "throttled",
             (401, "3200"): "unauthorised", (503, "500"): "unavailable", (None, "timeout"): "unanswered"}  # fmt: skip
    assert {given: counters.outcome_of(*given) for given in cases} == cases

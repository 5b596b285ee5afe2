"""What the database says about the work, as Prometheus families made at the moment of scraping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlmodel import Session

from gateway.store import alerts, limits, meters, views
from gateway.store.ingress import Ingress
from gateway.store.limits import Account
from gateway.store.tables import AlertRow, CursorRow, MeterRow
from gateway.store.views import Standing

_AGE = "Seconds the oldest unsynced event of a flow has waited"


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the database."""

    now: datetime
    standings: Sequence[Standing]
    cursors: Sequence[CursorRow]
    meters: Sequence[MeterRow]
    alerts: Sequence[AlertRow]
    brakes: Mapping[Account, float]


def read(session: Session) -> Reading:
    """What the gauges show."""
    now = views.now_of(session)
    return Reading(
        now,
        views.standings(session),
        views.cursors(session),
        meters.of_month(session, f"{now:%Y-%m}"),
        alerts.find_open(session),
        limits.find_brakes(session),
    )


@dataclass(frozen=True, eq=False, slots=True)
class Gauges(Collector):
    """A reading as metric families."""

    reading: Reading
    ingress: Ingress

    def collect(self) -> Iterator[Metric]:
        yield self._events()
        yield self._ages()
        yield self._polls()
        yield self._calls()
        yield self._brakes()
        yield GaugeMetricFamily("kassabridge_alerts", "Alerts whose cause lasts", value=len(self.reading.alerts))
        yield CounterMetricFamily("kassabridge_ingress_commits", "Group commits made", value=self.ingress.commits)
        yield CounterMetricFamily("kassabridge_ingress_changes", "Changes committed", value=self.ingress.received)

    def _events(self) -> Metric:
        family = GaugeMetricFamily("kassabridge_events", "Inbox rows by flow and state", labels=("flow", "state"))
        for standing in self.reading.standings:
            for state, count in standing.counts.items():
                family.add_metric((standing.flow, state), count)
        return family

    def _ages(self) -> Metric:
        family = GaugeMetricFamily("kassabridge_oldest_unsynced_seconds", _AGE, labels=("flow",))
        for standing in self.reading.standings:
            family.add_metric((standing.flow,), standing.unsynced_seconds or 0.0)
        return family

    def _polls(self) -> Metric:
        labels = ("connection", "source")
        family = GaugeMetricFamily("kassabridge_poll_age_seconds", "Seconds since the last good poll", labels=labels)
        for cursor in self.reading.cursors:
            if cursor.polled_at is not None:
                age = (self.reading.now - cursor.polled_at).total_seconds()
                family.add_metric((cursor.connection, cursor.source), age)
        return family

    def _brakes(self) -> Metric:
        about = "Seconds an outside account is still left alone, because it asked for it"
        family = GaugeMetricFamily("kassabridge_braked_seconds", about, labels=("system", "account"))
        for account, seconds in self.reading.brakes.items():
            family.add_metric((account.system, account.name), seconds)
        return family

    def _calls(self) -> Metric:
        labels = ("connection", "system", "kind")
        family = GaugeMetricFamily("kassabridge_calls_this_month", "Calls made this month", labels=labels)
        for meter in self.reading.meters:
            family.add_metric((meter.connection, meter.system, meter.kind), meter.calls)
        return family

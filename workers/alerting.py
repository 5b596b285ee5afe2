"""Alerts and Sentry's cron monitors: one alert for each cause, also when two processes look for them.

The sweep, the polls and the refresh report their start and their result to a monitor: at most once a minute, and at
once when the result changes between ok and error. Runs of one kind for several connections share one monitor, which is
ok when all of them are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from sqlalchemy import Engine

from gateway import alerts
from gateway.alerts import Channel, NotDelivered
from gateway.observability import counters, sentry
from gateway.settings import Settings
from gateway.store import alerts as rows
from gateway.store import connections, installation
from gateway.store.alerts import Thresholds
from gateway.store.session import reading, writing

SECONDS = 15.0
PATIENCE_SECONDS = 20.0  # for one channel; this process holds an alert that is being sent for a minute
MAX_AT_ONCE = 50
_log = structlog.get_logger(__name__)


class Watch:
    """The alerting of one process."""

    def __init__(self, engine: Engine, settings: Settings, *, patience: float = PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._settings = settings
        self._senders = [
            AlertSender(name, channel, patience) for name, channel in alerts.open_channels(settings).items()
        ]
        self._patience = Thresholds(timedelta(minutes=settings.alert_minutes), settings.quickbooks_monthly_reads)

    def look(self) -> None:
        """Store which causes exist and which ended, then send the alerts that are not sent yet."""
        with reading(self._engine) as session:
            found = rows.find_causes(session, self._patience)
        with writing(self._engine) as session:
            rows.note(session, found)
        for sender in self._senders:
            sender.start_round()
        for _ in range(MAX_AT_ONCE):
            with writing(self._engine) as session:
                unsent = rows.take_unsent(session, limit=1)
            if not unsent:
                break
            alert = unsent[0]
            with reading(self._engine) as session:
                called = connections.display_names(session).get(alert.connection or "")
            message = alerts.to_message(alert, self._settings, called=called)
            reached = {name for name in (alert.clear_told if message.cleared else alert.told).split(",") if name}
            _log.info("alert", cause=alert.cause, title=alert.title, cleared=message.cleared)
            reached |= {each.name for each in self._senders if each.name not in reached and each.send(message)}
            everyone = reached >= {each.name for each in self._senders}
            with writing(self._engine) as session:
                rows.mark_sent(session, alert, sorted(reached), everyone=everyone)

    def stand_in(self) -> None:
        """Look for causes when no clock process runs: a stopped clock cannot report itself."""
        with reading(self._engine) as session:
            roles = {process.role for process in installation.alive(session)}
        if "clock" not in roles:
            self.look()


class AlertSender:
    """One channel of this process. A message that takes too long is abandoned; one that fails ends the round."""

    def __init__(self, name: str, channel: Channel, patience: float = PATIENCE_SECONDS) -> None:
        self.name = name
        self._channel = channel
        self._patience = patience
        self._paused = False
        self._thread: threading.Thread | None = None

    def start_round(self) -> None:
        """Begin a round, unless a message of the round before is still being sent."""
        self._paused = self._thread is not None and self._thread.is_alive()

    def send(self, message: alerts.AlertMessage) -> bool:
        if self._paused:
            return False
        ended: list[str] = []
        self._thread = threading.Thread(target=self._run, args=(message, ended), name=f"alert-{self.name}", daemon=True)
        self._thread.start()
        self._thread.join(self._patience)
        reason = ended[0] if ended else "it did not end in time"
        counters.MESSAGES.labels(self.name, "failed" if reason else "sent").inc()
        if reason:
            self._paused = True
            _log.warning("an alert could not be sent and is tried again", channel=self.name, reason=reason)
        return not reason

    def _run(self, message: alerts.AlertMessage, ended: list[str]) -> None:
        try:
            self._channel(message)
        except NotDelivered as error:
            ended.append(str(error))
        except Exception as error:  # noqa: BLE001 - one invalid address must not stop the other channels
            ended.append(f"it cannot be sent at all ({type(error).__name__})")
        else:
            ended.append("")


MINUTE = 60.0
LATE_MINUTES = 5
LONGEST_MINUTES = 30


class Monitor:
    """What this process reported to Sentry about one kind of run."""

    def __init__(self, name: str, *, seconds: float) -> None:
        self._slug = f"kassabridge-{name}"
        self._minutes = max(1, round(seconds / MINUTE))
        self._due = 0.0
        self._failing: set[str] = set()
        self._reported_ok = True
        self._lock = threading.Lock()

    def begin(self) -> str | None:
        """Report that a run begins, if a report is due; answers the check-in that its end belongs to."""
        with self._lock:
            if time.monotonic() < self._due:
                return None
            self._due = time.monotonic() + MINUTE
        return self._report("in_progress")

    def end(self, of: str, *, well: bool, begun: str | None, took: float) -> None:
        """Report how the run of `of` ended, if its start was reported or the monitor's status changed."""
        with self._lock:
            (self._failing.discard if well else self._failing.add)(of)
            well = not self._failing
            changed, self._reported_ok = well != self._reported_ok, well
        if begun or changed:
            self._report("ok" if well else "error", begun, took)

    def _report(self, status: str, begun: str | None = None, took: float | None = None) -> str | None:
        if not sentry.is_started():
            return None
        from sentry_sdk.crons import capture_checkin

        return capture_checkin(
            monitor_slug=self._slug,
            check_in_id=begun,
            status=status,
            duration=took,
            monitor_config={
                "schedule": {"type": "interval", "value": self._minutes, "unit": "minute"},
                "checkin_margin": LATE_MINUTES,
                "max_runtime": LONGEST_MINUTES,
                "failure_issue_threshold": 2,
                "recovery_threshold": 1,
            },
        )


_monitors: dict[str, Monitor] = {}
_lock = threading.Lock()


@contextmanager
def monitored(name: str, *, seconds: float, of: str = "") -> Iterator[None]:
    """Report this run to Sentry: it repeats every `seconds`, for the connection `of`."""
    with _lock:
        monitor = _monitors.setdefault(name, Monitor(name, seconds=seconds))
    began, begun = time.monotonic(), monitor.begin()
    try:
        yield
    except BaseException:
        monitor.end(of, well=False, begun=begun, took=time.monotonic() - began)
        raise
    monitor.end(of, well=True, begun=begun, took=time.monotonic() - began)

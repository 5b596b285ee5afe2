"""Sentry: errors are reduced to an allow-list, without variables, bodies, headers, arguments or personal data.

The sweep, the polls and the refresh report their start and their result to a cron monitor: at most once a minute, and
at once when the result changes between ok and error. Runs of one kind for several connections share one monitor, which
is ok when all of them are.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.observability import redaction
from gateway.observability.redaction import MASK, Redactor

if TYPE_CHECKING:
    from sentry_sdk._types import LogLevelStr

_EVENT = ("event_id", "timestamp", "level", "platform", "logger", "release", "environment", "transaction", "type")
_FRAME = ("filename", "function", "module", "lineno", "colno", "in_app", "abs_path")
_TAGS = ("role", "flow", "state", "code", "correlation", "event", "connection")
_CONTEXTS = ("runtime", "os", "trace")
_TRACE = ("trace_id", "span_id", "parent_span_id", "op", "status")
_CHECK_IN = (
    *("type", "event_id", "timestamp", "release", "environment"),
    *("monitor_slug", "check_in_id", "status", "duration", "monitor_config"),
)


def start(
    dsn: str,
    redactor: Redactor,
    *,
    environment: str,
    release: str,
    role: str,
    dramatiq: bool = False,
) -> None:
    """Report errors to `dsn`, if any. With `dramatiq`, before the broker is built: its construction is patched."""
    if not dsn:
        return
    import sentry_sdk
    from sentry_sdk.integrations.dramatiq import DramatiqIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    logs = LoggingIntegration(level=None, event_level=None)
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        release=release,
        integrations=[logs, DramatiqIntegration()] if dramatiq else [logs],
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_session_tracking=False,
        traces_sample_rate=0.0,
        before_send=to_scrubber(redactor),
        before_send_transaction=lambda _event, _hint: None,
        shutdown_timeout=2,
    )
    sentry_sdk.get_global_scope().set_tag("role", role)


def report(error: BaseException | str, level: LogLevelStr = "error", *, group: Sequence[str] = (), **tags: Any) -> None:
    """Send one error or message with its subject; the same `group` makes one issue."""
    if not is_started():
        return
    import sentry_sdk

    with sentry_sdk.new_scope() as scope:
        scope.set_tags({name: str(value) for name, value in tags.items() if value is not None})
        if group:
            scope.fingerprint = list(group)
        if isinstance(error, str):
            sentry_sdk.capture_message(error, level=level)
        else:
            sentry_sdk.capture_exception(error)


def is_started() -> bool:
    """Whether anything is reported. Without a DSN Sentry's package is not even imported."""
    return "sentry_sdk" in sys.modules and sys.modules["sentry_sdk"].get_client().is_active()


def to_scrubber(redactor: Redactor) -> Callable[[Any, Any], Any]:
    """Sentry's hook for each event: returns the event that may be sent. Never raises."""

    def scrub(event: Any, _hint: Any) -> Any:
        try:
            if event.get("type") == "check_in":
                return redactor.clean(_pick(event, _CHECK_IN))
            return _to_allowed(event, redactor)
        except Exception as error:  # noqa: BLE001 - on any error, nothing unscrubbed may be sent
            return {"level": "error", "message": f"an event could not be scrubbed ({type(error).__name__})"}

    return scrub


def _to_allowed(event: Mapping[str, Any], redactor: Redactor) -> dict[str, Any]:
    tags, errors = event.get("tags"), event.get("exception")
    tags = dict(tags) if isinstance(tags, list) else tags
    errors = errors.get("values") if isinstance(errors, Mapping) else errors
    allowed = _pick(event, _EVENT) | {"tags": _pick(tags, _TAGS)}
    allowed["contexts"] = {
        name: _pick(context, _TRACE) if name == "trace" else context
        for name, context in _pick(event.get("contexts"), _CONTEXTS).items()
    }
    allowed["exception"] = {"values": [_to_exception(value) for value in errors or ()]}
    text = event.get("message") or (event.get("logentry") or {}).get("message")
    if text:
        allowed["message"] = text
    if request := event.get("request"):
        # MplusKASSA's secrets and OAuth's codes are in the query string.
        address = urlsplit(str(request.get("url") or ""))._replace(query="")
        allowed["request"] = {"method": request.get("method"), "url": address.geturl()}
    cleaned: dict[str, Any] = redactor.clean(allowed, depth=-8)
    return cleaned


def _to_exception(value: Mapping[str, Any]) -> dict[str, Any]:
    frames = (value.get("stacktrace") or {}).get("frames") or []
    named = _pick(value, ("type", "value", "module"))
    if not redaction.may_be_shown(value.get("module"), str(value.get("type"))):
        named["value"] = MASK
    return named | {"stacktrace": {"frames": [_pick(frame, _FRAME) for frame in frames]}}


def _pick(mapping: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: mapping[name] for name in names if name in mapping} if isinstance(mapping, Mapping) else {}


# --- cron monitors ---


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

    @contextmanager
    def watch(self, of: str) -> Iterator[None]:
        """Report that a run of `of` begins, if a report is due; its end if that was or if the status changed."""
        began, well = time.monotonic(), False
        with self._lock:
            is_due = began >= self._due
            self._due = began + MINUTE if is_due else self._due
        begun = self._report("in_progress") if is_due else None
        try:
            yield
            well = True
        finally:
            with self._lock:
                (self._failing.discard if well else self._failing.add)(of)
                all_well = not self._failing
                changed, self._reported_ok = all_well != self._reported_ok, all_well
            if begun or changed:
                self._report("ok" if all_well else "error", begun, time.monotonic() - began)

    def _report(self, status: str, begun: str | None = None, took: float | None = None) -> str | None:
        if not is_started():
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
    with monitor.watch(of):
        yield

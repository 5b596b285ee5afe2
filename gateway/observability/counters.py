"""What every process counts for Prometheus. The database holds the totals of all processes (`store.installation`).

Labels are our own words (flows, states, systems) and names of connections, never data of a record.
"""

from __future__ import annotations

from functools import cache, partial

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()
_counter, _histogram = partial(Counter, registry=REGISTRY), partial(Histogram, registry=REGISTRY)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)
_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

DELIVERIES = _counter(
    "kassabridge_webhook_deliveries",
    "Webhook deliveries by source (quickbooks, mpluskassa) and result (stored, known, refused, unavailable).",
    ("source", "result"),
)
VERIFIERS = _counter(
    "kassabridge_webhook_verifier_used",
    "Authentic QuickBooks deliveries by the position of the verifier token that signed them.",
    ("position",),
)
SESSION_EVENTS = _counter(
    "kassabridge_till_session_events", "Authentic session events of tills by whether they report a sale.", ("settles",)
)
SECONDS = _histogram(
    "kassabridge_webhook_seconds",
    "Seconds from having an authentic delivery to its answer.",
    ("source",),
    buckets=_SECONDS,
)
COMMITS = _counter("kassabridge_ingress_commits", "Group commits made by the webhook endpoints.")
CHANGES = _counter("kassabridge_ingress_changes", "Changes committed by the webhook endpoints.")
REFUSED_LOGINS = _counter("kassabridge_refused_logins", "Wrong admin tokens and passwords.")
ATTEMPTS = _counter(
    "kassabridge_attempts", "Attempts at events by flow and the state they ended in.", ("flow", "state")
)
ATTEMPT_SECONDS = _histogram(
    "kassabridge_attempt_seconds", "Seconds an attempt took, outside calls included.", ("flow",), buckets=_CALL_SECONDS
)
LAG_SECONDS = _histogram(
    "kassabridge_lag_seconds",
    "Seconds from hearing of a change to its end (done or skipped), backfills left out.",
    ("flow",),
    buckets=_LAG_SECONDS,
)
CALL_SECONDS = _histogram(
    "kassabridge_call_seconds",
    "Seconds of outside calls by system and outcome (ok, refused, throttled, unauthorised, unavailable, unanswered).",
    ("system", "outcome"),
    buckets=_CALL_SECONDS,
)
THROTTLED = _counter(
    "kassabridge_throttled",
    "Calls put off before they were made: cooldown (the other side refused calls) or busy (our own limits).",
    ("system", "why"),
)
MESSAGES = _counter(
    "kassabridge_alert_messages",
    "Alerts and all-clears by channel (email, webhook, sentry) and whether it took them (sent, failed).",
    ("channel", "result"),
)

# Finding a child by its labels costs more than counting, and every delivery counts three times.
delivery = cache(DELIVERIES.labels)
verifier = cache(VERIFIERS.labels)
seconds = cache(SECONDS.labels)


def outcome_of(status: int | None, error: str | None) -> str:
    """The outcome of a call by its HTTP status and its error: one of six words."""
    match status:
        case None:
            return "unanswered"
        case 429:
            return "throttled"
        case 401 | 403:
            return "unauthorised"
        case _ if status >= 500 and error:  # noqa: PLR2004 - HTTP's own
            return "unavailable"
        case _:
            return "refused" if error else "ok"

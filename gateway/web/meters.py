"""What the doors count for Prometheus, in a registry of this process."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)

DELIVERIES = Counter(
    "kassabridge_webhook_deliveries",
    "Webhook deliveries by source (quickbooks, mpluskassa) and result (stored, known, refused, unavailable).",
    ("source", "result"),
    registry=REGISTRY,
)
VERIFIERS = Counter(
    "kassabridge_webhook_verifier_used",
    "Authentic QuickBooks deliveries by the position of the verifier token that signed them.",
    ("position",),
    registry=REGISTRY,
)
SESSION_EVENTS = Counter(
    "kassabridge_till_session_events",
    "Authentic session events of tills by whether they tell of a sale.",
    ("settles",),
    registry=REGISTRY,
)
SECONDS = Histogram(
    "kassabridge_webhook_seconds",
    "Seconds from having an authentic delivery to its answer.",
    ("source",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
REFUSED_LOGINS = Counter("kassabridge_refused_logins", "Wrong admin tokens and passwords.", registry=REGISTRY)


# Looking a child up by its labels costs more than counting, and every delivery counts three times.
delivery = cache(DELIVERIES.labels)
verifier = cache(VERIFIERS.labels)
seconds = cache(SECONDS.labels)

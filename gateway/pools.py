"""How many connections each process may open, so that two releases together stay within the database's limit.

A release is its web, its worker and two clocks, in case a second one was started. During an update two releases run,
so each may have half of DATABASE_CONNECTIONS.
"""

from __future__ import annotations

from gateway.settings import Settings

# Each web process stores webhooks through a connection beside its pool. Readiness opens another for a moment, at most
# every two seconds; it takes the place of the second clock, which hardly ever runs.
INGRESS = 1
MAX_POOL = 8  # a thread holds a connection only for a short transaction


def web(settings: Settings) -> int:
    """The pool of each of the WEB_CONCURRENCY web processes, without the ingress."""
    return _fit(_half(settings) * 3 // 10 // settings.web_concurrency - INGRESS, 4)


def worker(settings: Settings) -> int:
    return _fit(_half(settings) * 3 // 10 // settings.worker_processes, min(settings.worker_threads + 2, MAX_POOL))


def clock(settings: Settings) -> int:
    return _fit(_half(settings) // 5, 4)


def release(settings: Settings) -> int:
    """The total of a web, a worker and two clocks."""
    webs = settings.web_concurrency * (web(settings) + INGRESS)
    return webs + settings.worker_processes * worker(settings) + 2 * clock(settings)


def _half(settings: Settings) -> int:
    return settings.database_connections // 2


def _fit(share: int, most: int) -> int:
    return max(1, min(share, most))

"""The admin API about backfills: how far each has come, at what pace, and when it may be over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.store import progress
from gateway.store.progress import Progress
from gateway.web import presentation, services


async def list_backfills(request: Request) -> Response:
    """Those under way, and those that ended within a day; newest first."""
    found, names = await services.of(request).read(progress.recent), await services.names_of(request)
    return JSONResponse({"backfills": [to_backfill(each, names) for each in found]})


def to_backfill(found: Progress, names: Mapping[str, str]) -> dict[str, Any]:
    """One backfill. `done` counts the synchronised records, `unchanged` those of them that were so before."""
    event = found.event
    return {
        "id": event.id,
        "connection": names.get(event.connection or "", event.connection),
        "flow": event.flow,
        "state": event.state,
        "over": found.over,
        "paused": found.paused and not found.over,
        "since": found.since,
        "reason": event.reason,
        "total": found.total,
        "done": found.done,
        "unchanged": found.notes.unchanged,
        "open": found.open,
        "parked": found.parked,
        "began_at": presentation.to_time(event.received_at),
        "seconds": round(found.seconds, 1),
        "per_second": round(found.per_second, 2),
        "ends_at": presentation.to_time(found.ends_at),
    }

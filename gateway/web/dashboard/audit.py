"""The audit trail as a page: who did what when, by person, kind and day, and the same as CSV."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.store import audit, users
from gateway.store.sales import AMSTERDAM
from gateway.web import presentation, queries, services
from gateway.web.dashboard import csv_files
from gateway.web.dashboard.rendering import render
from gateway.web.sessions import DASHBOARD, Visitor

PAGE: Final = 50
FIELDS: Final[tuple[str, ...]] = ("who", "what", "from", "through")
COLUMNS: Final = ("at", "who", "what", "target", "reason")


async def show_actions(request: Request, visitor: Visitor) -> Response:
    given = {name: value for name, value in request.query_params.items() if value}
    before = queries.find_number(given, "after", low=1, high=queries.LARGEST_ID)
    wanted = _to_filter(given)

    def look(session: Session) -> dict[str, Any]:
        mine = _confine(session, visitor)
        rows, following = audit.find_page(session, dataclasses.replace(wanted, within=mine), before=before, limit=PAGE)
        people = sorted(actor for actor, _ in mine) if mine is not None else audit.actors(session)
        return {"rows": rows, "following": following, "actors": people}

    found = await services.of(request).read(look)
    query = {name: given[name] for name in FIELDS if name in given}
    older = {**query, "after": found["following"]} if found["following"] else None
    return render(
        request,
        "audit.html",
        rows=found["rows"],
        actors=found["actors"],
        query=query,
        older=f"/audit?{urlencode(older)}" if older else None,
        csv=f"/audit.csv?{csv_files.to_query(request, query)}",
    )


async def download_actions(request: Request, visitor: Visitor) -> Response:
    """The actions of the filter as CSV, all pages of it; kinds and texts as they are stored."""
    given = {name: value for name, value in request.query_params.items() if value}
    wanted = _to_filter(given)

    def read(session: Session, after: int | None) -> tuple[csv_files.Rows, int | None]:
        confined = dataclasses.replace(wanted, within=_confine(session, visitor))
        found, following = audit.find_page(session, confined, before=after, limit=csv_files.CSV_PAGE)
        rows = []
        for row in found:
            texts = (row.actor.removeprefix(f"{DASHBOARD}: "), row.action, row.target, row.reason)
            rows.append([presentation.to_time(row.at) or "", *(csv_files.defuse(text or "") for text in texts)])
        return rows, following

    return await csv_files.to_download(request, "audit.csv", COLUMNS, read)


def _to_filter(given: Mapping[str, str]) -> audit.AuditFilter:
    first, last = queries.find_day(given, "from"), queries.find_day(given, "through")
    return audit.AuditFilter(
        actor=queries.find_text(given, "who"),
        action=queries.find_text(given, "what"),
        start=datetime.combine(first, time(), AMSTERDAM) if first else None,
        end=datetime.combine(last + timedelta(days=1), time(), AMSTERDAM) if last else None,
    )


def _confine(session: Session, visitor: Visitor) -> list[tuple[str, datetime]] | None:
    """For visitors of one connection: what its people did, and not what a removed person of the same name did."""
    if visitor.connection is None:
        return None
    return [(f"{DASHBOARD}: {name}", since) for name, since in users.members(session, visitor.connection)]

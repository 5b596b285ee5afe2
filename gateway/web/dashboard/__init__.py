"""The dashboard: plain server-rendered pages, one file per page."""

from __future__ import annotations

from pathlib import Path

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from gateway.web.dashboard import (
    agreement,
    alerts,
    audit,
    backfills,
    event,
    events,
    home,
    login,
    mapping,
    overview,
    preview,
    reads,
    records,
    sale,
    sales,
    settings,
    setup,
    single_sign_on,
    todo,
    users,
    versions,
)
from gateway.web.dashboard.rendering import show_problem

__all__ = ["routes", "show_problem"]

STATIC = Path(__file__).with_name("static")


def routes() -> list[BaseRoute]:
    """Every page, and the style and script they use."""
    return [
        *login.routes(),
        *single_sign_on.routes(),
        *users.routes(),
        # Before the home page, whose routes match the same addresses.
        *setup.routes(),
        *mapping.routes(),
        *settings.routes(),
        *versions.routes(),
        *preview.routes(),
        *agreement.routes(),
        *overview.routes(),
        *home.routes(),
        *alerts.routes(),
        *todo.routes(),
        *audit.routes(),
        *backfills.routes(),
        *reads.routes(),
        *records.routes(),
        *sales.routes(),
        *sale.routes(),
        *events.routes(),
        *event.routes(),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]

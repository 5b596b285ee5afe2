"""Alerts as pages show them: what kind they are, in words that can be translated, where to act, and who was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway import catalogue
from gateway.alerts import open_channels
from gateway.store import alerts, cursors
from gateway.store.tables import AlertRow
from gateway.web import queries, services
from gateway.web.dashboard import charts
from gateway.web.dashboard.rendering import render
from gateway.web.sessions import Visitor

Parts = tuple[str, ...]
_SUBJECT = "{subject}"


def _flow(parts: Parts) -> str:
    return f"/events?{urlencode({'flow': parts[1], 'connection': parts[0]})}"


def _agreement(parts: Parts) -> str:
    return f"/agreement?{urlencode({'connection': parts[0]})}"


def _connect(parts: Parts) -> str:
    return f"/connect/quickbooks?connection={quote(parts[0], safe='')}"


ADDRESSES: Final[Mapping[str, Callable[[Parts], str]]] = {
    "parked": lambda _: "/todo",
    "paused": lambda _: "#connections",
    **dict.fromkeys(("lost", "refused", "reconnect"), _connect),
    **dict.fromkeys(("behind", "uncertain"), _flow),
    **dict.fromkeys(("silent", "poll"), lambda _: "#connections"),
    "plan": lambda _: "#plan",
    **dict.fromkeys(("agreement", "comparison"), _agreement),
    "process": lambda _: "#processes",
}
"""Where to act on an alert, by the first word of its cause."""


def to_feed(source: str) -> str:
    """What a poll reads, in a bookkeeper's words; a part of the books' changes is called as the whole."""
    feeds: Mapping[str, str] = catalogue.tables()["feeds"]
    return feeds.get(cursors.BOOKS if source.startswith(cursors.BOOKS) else source, source)


async def show_alerts(request: Request, visitor: Visitor) -> Response:
    """What needs somebody now, and what did before: since when, until when, who was told and where."""
    shared, names = services.of(request), await services.names_of(request)
    before = queries.find_number(request.query_params, "after", low=1, high=queries.LARGEST_ID)

    def look(session: Session) -> tuple[list[AlertRow], Sequence[AlertRow], int | None, charts.ChartFigures]:
        is_mine = (each for each in alerts.find_open(session) if visitor.connection in {None, each.connection})
        return (
            list(is_mine),
            *alerts.find_past(session, visitor.connection, before=before),
            charts.look(session, visitor.connection),
        )

    lasting, past, following, drawn = await shared.read(look)
    return render(
        request,
        "alerts.html",
        lasting=[to_shown(alert, names) for alert in lasting] if before is None else [],
        past=[to_shown(alert, names) for alert in past],
        several=len(names) > 1,
        is_first=before is None,
        now=drawn.now,
        charts=charts.to_hours(request, drawn) if before is None else [],
        older=f"/alerts?{urlencode({'after': following})}" if following else None,
        channels=[catalogue.tables()["channels"][name] for name in open_channels(shared.settings)],
    )


def to_shown(alert: AlertRow, names: Mapping[str, str]) -> dict[str, Any]:
    """The alert in the words of its kind; one of a kind that is not known here, as it is stored.

    `title` holds {subject} where there is one: a flow, a poll, a process; `messages` are of the detail. `told` are the
    channels that took it, `until` is when its cause was gone.
    """
    words, (name, *parts) = catalogue.tables(), alert.cause.split("/")
    kind = name if parts and name in ADDRESSES else ""
    title = words["alert_titles"].get(kind, "")
    called = names.get(alert.connection or "", alert.connection)
    parts = [str(called) if part == alert.connection else part for part in parts]
    subject = (parts[1] if len(parts) > 1 else parts[0]) if _SUBJECT in title else ""
    subject = to_feed(subject) if kind == "poll" else subject
    return {
        "title": title or alert.title,
        "subject": subject,
        "is_feed": kind == "poll",
        "connection": called,
        "since": alert.first_seen,
        "detail": "" if alert.detail == alerts.WITHHELD else alert.detail or "",
        "fix": words["alert_fixes"].get(kind) or alert.fix or "",
        "address": ADDRESSES[kind](tuple(parts)) if kind else "/events",
        "messages": alert.messages,
        "sent_at": alert.sent_at,
        "told": tuple(words["channels"].get(channel, channel) for channel in alert.told.split(",") if channel),
        "until": alert.cleared_at,
    }

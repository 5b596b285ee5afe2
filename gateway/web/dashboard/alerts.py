"""Alerts as pages show them: what kind they are, in words that can be translated, where to act, and who was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.alerts import open_channels
from gateway.store import alerts
from gateway.store.tables import AlertRow
from gateway.web import queries, services
from gateway.web.dashboard import charts
from gateway.web.dashboard.rendering import render
from gateway.web.sessions import Visitor

Parts = tuple[str, ...]
_SUBJECT = "{subject}"


@dataclass(frozen=True, slots=True)
class AlertKind:
    """Alerts of one kind: title and way out (empty: as stored, with its count or record), and where to act."""

    title: str = ""
    fix: str = ""
    address: Callable[[Parts], str] = lambda _: "/events"


def _flow(parts: Parts) -> str:
    return f"/events?{urlencode({'flow': parts[1], 'connection': parts[0]})}"


def _agreement(parts: Parts) -> str:
    return f"/agreement?{urlencode({'connection': parts[0]})}"


def _connect(parts: Parts) -> str:
    return f"/connect/quickbooks?connection={quote(parts[0], safe='')}"


_SEE: Final = "Look at what they wait for: the other system, or a worker process."
_SEE_OTHER: Final = "Look at the other system, then at the address and credentials of the connection."
_RECONNECT: Final = "Connect the company again; parked work then goes on by itself."
KINDS: Final[Mapping[str, AlertKind]] = {
    "parked": AlertKind(address=lambda _: "/todo"),
    "paused": AlertKind("The connection is paused", "Let it go on.", lambda _: "#connections"),
    "lost": AlertKind("QuickBooks is no longer connected", _RECONNECT, _connect),
    "refused": AlertKind(
        "QuickBooks refuses the company",
        "See in QuickBooks whether its subscription and the rights of the user who connected it are in order. "
        "Kassabridge asks again and goes on by itself; if that does not help, connect the company again.",
        _connect,
    ),
    "reconnect": AlertKind("QuickBooks must be connected again soon", _RECONNECT, _connect),
    "behind": AlertKind("{subject} is behind", _SEE, _flow),
    "uncertain": AlertKind("A write of {subject} has been without an answer for long", _SEE, _flow),
    "silent": AlertKind("{subject} does not answer", _SEE_OTHER, lambda _: "#connections"),
    "poll": AlertKind("The poll {subject} fails", _SEE_OTHER, lambda _: "#connections"),
    "plan": AlertKind(
        "The monthly allowance of QuickBooks reads is running out",
        "Poll less often (QUICKBOOKS_CDC_SECONDS), or take a larger plan and set QUICKBOOKS_MONTHLY_READS.",
        lambda _: "#plan",
    ),
    "agreement": AlertKind(
        "Till and books differ", "Every record is named there, with what to do about it.", _agreement
    ),
    "comparison": AlertKind(
        "Till and books could not be compared",
        "Look at the newest event of the comparison and at the clock process's log.",
        _agreement,
    ),
    "process": AlertKind("No {subject} process is running", "Start it; see its log.", lambda _: "#processes"),
}
"""By the first word of an alert's cause."""
CHANNELS: Final = {"email": "e-mail", "webhook": "webhook", "sentry": "Sentry"}


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
        channels=[CHANNELS[name] for name in open_channels(shared.settings)],
    )


def to_shown(alert: AlertRow, names: Mapping[str, str]) -> dict[str, Any]:
    """The alert in the words of its kind; one of a kind that is not known here, as it is stored.

    `title` holds {subject} where there is one: a flow, a poll, a process; `messages` are of the detail. `told` are the
    channels that took it, `until` is when its cause was gone.
    """
    name, *parts = alert.cause.split("/")
    kind = KINDS.get(name) if parts else None
    called = names.get(alert.connection or "", alert.connection)
    parts = [str(called) if part == alert.connection else part for part in parts]
    subject = (parts[1] if len(parts) > 1 else parts[0]) if kind and _SUBJECT in kind.title else ""
    return {
        "title": (kind.title if kind else "") or alert.title,
        "subject": subject,
        "connection": called,
        "since": alert.first_seen,
        "detail": "" if alert.detail == alerts.WITHHELD else alert.detail or "",
        "fix": (kind.fix if kind else "") or alert.fix or "",
        "address": kind.address(tuple(parts)) if kind else "/events",
        "messages": alert.messages,
        "sent_at": alert.sent_at,
        "told": tuple(CHANNELS.get(channel, channel) for channel in alert.told.split(",") if channel),
        "until": alert.cleared_at,
    }

"""Open alerts as a page shows them: what kind they are, in words that can be translated, and where to act. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from gateway.store.tables import AlertRow

Parts = tuple[str, ...]
_SUBJECT = "{subject}"


@dataclass(frozen=True, slots=True)
class AlertKind:
    """Alerts of one kind: title and way out (empty: as stored, for it names the record), and where to act."""

    title: str
    fix: str = ""
    address: Callable[[Parts], str] = lambda _: "/events"


@dataclass(frozen=True, slots=True)
class Shown:
    """One alert. `title` holds {subject} where there is one: a flow, a poll, a process. Stored words are in English."""

    title: str
    subject: str
    connection: str | None
    since: datetime
    detail: str
    fix: str
    address: str
    is_sent: bool
    is_parked: bool


def _parked(parts: Parts) -> str:
    return f"{_flow(parts)}&state=parked"


def _flow(parts: Parts) -> str:
    return f"/events?{urlencode({'flow': parts[1], 'connection': parts[0]})}"


def _connect(parts: Parts) -> str:
    return f"/connect/quickbooks?connection={quote(parts[0], safe='')}"


_SEE: Final = "Look at what they wait for: the other system, or a worker process."
_SEE_OTHER: Final = "Look at the other system, then at the address and credentials of the connection."
_RECONNECT: Final = "Connect the company again; parked work then goes on by itself."
KINDS: Final[Mapping[str, AlertKind]] = {
    "parked": AlertKind("Records of {subject} wait for a person", address=_parked),
    "paused": AlertKind("The connection is paused", "Let it go on.", lambda _: "#connections"),
    "lost": AlertKind("QuickBooks is no longer connected", _RECONNECT, _connect),
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
        "Till and books differ", "Every record is named there, with what to do about it.", lambda _: "/agreement"
    ),
    "comparison": AlertKind(
        "Till and books could not be compared",
        "Look at the newest event of the comparison and at the clock process's log.",
        lambda _: "/agreement",
    ),
    "process": AlertKind("No {subject} process is running", "Start it; see its log.", lambda _: "#processes"),
}
"""By the first word of an alert's cause."""


def to_shown(alert: AlertRow, names: Mapping[str, str]) -> Shown:
    """The alert in the words of its kind; one of a kind that is not known here, as it is stored."""
    name, *parts = alert.cause.split("/")
    kind = KINDS.get(name) if parts else None
    called = names.get(alert.connection or "", alert.connection)
    parts = [str(called) if part == alert.connection else part for part in parts]
    subject = (parts[1] if len(parts) > 1 else parts[0]) if kind and _SUBJECT in kind.title else ""
    return Shown(
        title=kind.title if kind else alert.title,
        subject=subject,
        connection=called,
        since=alert.first_seen,
        detail=alert.detail or "",
        fix=(kind.fix if kind else "") or alert.fix or "",
        address=kind.address(tuple(parts)) if kind else "/events",
        is_sent=bool(alert.told),
        is_parked=name == "parked",
    )

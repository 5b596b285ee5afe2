"""When days are compared without a request: in the night after, after an outage, after a change, after a repair."""

from __future__ import annotations

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from gateway.store import agreements, inbox, requests
from gateway.store.session import reading, writing
from handlers.deps import Deps

SECONDS = 60.0
_AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def plan(deps: Deps) -> list[int]:
    """Put the comparisons due now into the inbox, each once across processes; returns the events. Calls no system."""
    if not (deps.settings.agreement.nightly and deps.settings.orders.enabled):
        return []
    now = deps.now()
    with reading(deps.engine) as session:
        repaired = agreements.find_repaired(session, deps.connection, now=now)
    with writing(deps.engine) as session:
        agreements.open_days(session, deps.connection, _today(deps), due_at=_night(deps))
        agreements.mark(session, deps.connection, repaired, now=now, at_once=True)
        days = agreements.take_due(session, deps.connection, now=now)
        if not days:
            return []
        change = requests.agree_automatically(connection=deps.connection, start=days[0], through=days[-1])
        return [row.id for row in inbox.receive(session, [change]) if row.pending]


def open_from(deps: Deps) -> date:
    """The first day that is not over yet."""
    return _today(deps)


def _today(deps: Deps) -> date:
    return deps.now().astimezone(_AMSTERDAM).date()


def _night(deps: Deps) -> datetime:
    """The time from which yesterday is compared: after the day's documents are made."""
    closes = time.fromisoformat(deps.settings.orders.day_closes)
    hour = time(deps.settings.agreement.hour)
    begin = datetime.combine(_today(deps), max(hour, closes), tzinfo=_AMSTERDAM)
    return begin + (agreements.SETTLE if closes >= hour else agreements.SETTLE * 0)

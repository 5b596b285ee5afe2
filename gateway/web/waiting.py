"""Waiting a limited time for an event to end, for callers who want the outcome in the answer."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Mapping

from sqlmodel import Session

from gateway.store import progress, views
from gateway.store.events import Event
from gateway.store.progress import SETTLED
from gateway.web import queries
from gateway.web.services import Services

LONGEST_WAIT = 60
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


def find_seconds(given: Mapping[str, str], *, default: int = 0) -> int:
    """The `?wait=SECONDS` of a caller. Raises `Refusal` 400: to be asked before anything else is."""
    found = queries.find_number(given, "wait", low=0, high=LONGEST_WAIT)
    return default if found is None else found


async def wait_for_end(shared: Services, event_id: int, *, seconds: float) -> Event | None:
    """This event, or the one that superseded it, when it is settled or as it is after these seconds."""

    def look(session: Session) -> Event | None:
        event = views.find_event(session, event_id)
        newer_id = progress.find_next(session, event) if event and event.state in SETTLED else None
        newer = views.find_event(session, newer_id) if newer_id else None
        return newer if event and newer and newer.entity == event.entity else event

    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        event = await shared.read(look)
        if event is None or event.state in SETTLED or time.monotonic() > deadline:
            return event
        event_id = event.id
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def wait_until_settled(shared: Services, event_id: int, *, seconds: float) -> tuple[bool, int]:
    """Whether it is settled in time, and the event that says so: a look-up goes on as the sale it found."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while time.monotonic() < deadline:
        event = await shared.read(functools.partial(views.find_event, event_id=event_id))
        if event is None:
            return False, event_id
        if event.state in SETTLED:
            following_id = await shared.read(functools.partial(progress.find_next, event=event))
            if following_id is None:
                return True, event_id
            event_id, pause = following_id, _FIRST_PAUSE
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
    return False, event_id

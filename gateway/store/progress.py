"""Backfills and their progress, and the check of settings in force.

Of a backfill: what is done, open and parked, at what pace, and when it may be over. Settings put in force without a
check against both systems are checked later.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import and_, case, func, select, update
from sqlmodel import Session, col

from gateway.store import event_history, inbox, requests, sql
from gateway.store.events import OPEN, PENDING, SETTLED, UNSETTLED, Change, Event, Flow, State
from gateway.store.sql import begins, moment, upsert
from gateway.store.tables import BackfillRow, InboxRow

PACE_SECONDS = 300.0
CANCELLED = "cancelled by a person"
STOCK = ">stock"
"""Ends the key of the backfill of stock that follows one of products."""


def ask(session: Session, flow: Flow, *, connection: str, since: date | None, actor: str = "cli") -> Change:
    """A backfill as a change for the inbox. It supersedes one that is not over, so it begins where that one did
    if that was earlier: no request is lost.
    """
    wanted = requests.backfill(flow, connection=connection, since=since, actor=actor)
    unfinished = and_(col(InboxRow.subject) == wanted.subject, col(InboxRow.state).in_(OPEN))
    hints = session.execute(select(col(InboxRow.hint)).where(unfinished)).scalars()
    days = [json.loads(hint or "{}").get("since") for hint in hints]
    if flow is Flow.ORDERS:  # without a day it reads nothing, so it loses nothing
        days = [day for day in days if day]
    if since is None or not days:
        return wanted
    earliest = None if None in days else min(since, *map(date.fromisoformat, days))
    return requests.backfill(flow, connection=connection, since=earliest, actor=actor)


@dataclass(frozen=True, slots=True)
class Notes:
    """What a backfill notes with every page. See `BackfillRow`."""

    total: int = 0
    read: int = 0
    unchanged: int = 0
    position: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of one backfill at `now`. `seconds` is how long it has run, or ran.

    `counts`: how many of its events are in each state, `lately`: how many of them ended lately, `last`: when one last
    changed.
    """

    event: Event
    notes: Notes
    counts: Mapping[str, int]
    lately: int
    last: datetime | None
    now: datetime
    paused: bool = False
    cancelled: bool = False

    @property
    def over(self) -> bool:
        """Whether it has ended, with or without success, with all its events."""
        return self.event.state in SETTLED and not self.open

    @property
    def seconds(self) -> float:
        end = max(self.event.updated_at, self.last or self.event.updated_at) if self.over else self.now
        return max(0.0, (end - self.event.received_at).total_seconds())

    @property
    def parked(self) -> int:
        return self.counts.get(State.PARKED, 0)

    @property
    def open(self) -> int:
        """Records that were read and are not handled yet."""
        return sum(self.counts.get(state, 0) for state in UNSETTLED)

    @property
    def waits(self) -> bool:
        """Whether it waits for a later attempt, not for its own records: the reason is the event's."""
        due = self.event.due_at
        return not self.open and self.event.state not in SETTLED and due is not None and due > self.now

    @property
    def total(self) -> int:
        """The number of records, as far as known."""
        return self.notes.read if self.over else max(self.notes.total, self.notes.read)

    @property
    def done(self) -> int:
        """Records that are synchronised, or are not meant to be."""
        return max(0, self.notes.read - self.open - self.parked)

    @property
    def per_second(self) -> float:
        """The pace: of the whole time, or of the last minutes where that is better, as after an interruption."""
        if not self.seconds:
            return 0.0
        lately = 0 if self.over else self.lately
        return max(self.done / self.seconds, lately / min(self.seconds, PACE_SECONDS))

    @property
    def ends_at(self) -> datetime | None:
        """When it may be over at this pace; None when it is over, or when it cannot be estimated."""
        left = self.total - self.done - self.parked
        if self.over or not self.total or not self.per_second:
            return None
        return self.now + timedelta(seconds=left / self.per_second)

    @property
    def first_day(self) -> date | None:
        """The requested first day, None for everything."""
        return date.fromisoformat(self.since) if self.since else None

    @property
    def since(self) -> str | None:
        """The requested first day as it was stored."""
        return self.event.asked.get("since")


def look(session: Session, event: Event) -> Progress:
    """The progress of this backfill. The backfill of stock that follows it is separate."""
    rows = InboxRow.__table__.c  # type: ignore[attr-defined]
    lately = and_(rows.state.in_(SETTLED), rows.updated_at > moment(-PACE_SECONDS))
    columns = (rows.state, func.count(), func.sum(case((lately, 1), else_=0)), func.max(rows.updated_at))
    mine = begins(rows.key, f"{event.key}:")  # one event for each record
    found = session.execute(select(*columns).where(mine).group_by(rows.state)).all()
    counts = {row[0]: row[1] for row in found}
    lately_ended, last = sum(int(row[2]) for row in found), max((row[3] for row in found), default=None)
    notes, now = read_notes(session, event), sql.now_of(session)
    return Progress(event, notes, counts, lately_ended, last, now, *find_holds(session, event))


def find_holds(session: Session, event: Event) -> tuple[bool, bool]:
    """Whether this backfill is paused, and whether it is cancelled; a cancelled one is both."""
    row = session.get(BackfillRow, event.key)
    return row is not None and row.paused_at is not None, row is not None and row.cancelled_at is not None


def pause(session: Session, event: Event) -> bool:
    """Let this backfill read no further; False if it has ended. What it read already is finished."""
    if event.state not in OPEN:
        return False
    row = {"event_key": event.key, "connection": event.connection or "", "paused_at": moment()}
    upsert(session, BackfillRow, row, {"paused_at": moment()})
    return True


def cancel(session: Session, event: Event) -> bool:
    """Read no further, for good; False if it has ended. What it read already is finished.

    One that is being worked on ends when its page does.
    """
    if event.state not in OPEN:
        return False
    row = {"event_key": event.key, "connection": event.connection or ""}
    ended = {"paused_at": moment(), "cancelled_at": moment()}
    upsert(session, BackfillRow, {**row, **ended}, ended)
    inbox.ignore(session, event.id, CANCELLED)
    return True


def resume(session: Session, event: Event) -> bool:
    """Let a paused backfill go on where it stopped, at once; False if it has ended."""
    row = session.get(BackfillRow, event.key)
    if event.state not in OPEN or (row is not None and row.cancelled_at is not None):
        return False
    session.execute(update(BackfillRow).where(col(BackfillRow.event_key) == event.key).values(paused_at=None))
    inbox.requeue(session, [event.id], states=PENDING)
    return True


def read_notes(session: Session, event: Event) -> Notes:
    row = session.get(BackfillRow, event.key)
    return Notes(row.total, row.read, row.unchanged, row.position) if row else Notes()


def note(session: Session, event: Event, notes: Notes) -> None:
    values = dataclasses.asdict(notes)
    upsert(session, BackfillRow, {"event_key": event.key, "connection": event.connection or "", **values}, values)


def request_check(session: Session, connection: str, version: int, *, checked: bool) -> list[int]:
    """Request the check of a document that was not checked, or that may correct a fault of an earlier check.

    Returns the events to notify a worker of; one version is checked once.
    """
    change = requests.check_in_force(version, connection=connection)
    earlier = event_history.newest_about(session, change.subject)
    if checked and (earlier is None or earlier.state not in OPEN):
        return []
    return [row.id for row in inbox.receive(session, [change]) if row.pending]

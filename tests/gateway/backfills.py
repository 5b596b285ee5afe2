"""A backfill that has begun, and records of it in given states."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.database.session import writing
from gateway.store import claims, inbox, requests
from gateway.store.events import BACKFILL, Change, Event, Flow, State


def begin(engine: Engine, flow: Flow = Flow.PRODUCTS) -> Event:
    """A backfill that a worker has begun."""
    with writing(engine) as session:
        (row,) = inbox.receive(session, [requests.backfill(flow, connection="default")])
    event = claims.claim(engine, row.id)
    assert event is not None
    return event


def handle(session: Session, event: Event, *states: State, sign: str = ":") -> None:
    """Records of this backfill in this state."""
    known = range(len(states))
    inbox.receive(session, [to_record(event, f"{sign}{number}", states[number]) for number in known])


def to_record(event: Event, ending: str, state: State) -> Change:
    return Change(
        f"{event.key}{ending}", Flow.PRODUCTS, "backfill", "Item", ending, "default", state=state, priority=BACKFILL
    )

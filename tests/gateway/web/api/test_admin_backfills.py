"""The admin API about backfills."""

from __future__ import annotations

from sqlalchemy import Engine

from gateway.database.session import writing
from gateway.store import requests
from gateway.store.events import Outcome, State
from gateway.store.requests import Notes
from tests.claiming import finish
from tests.gateway.backfills import begin, handle
from tests.gateway.web.conftest import Gateway


def test_the_api_shows_what_is_under_way_and_what_ended(gateway: Gateway, engine: Engine) -> None:
    event = begin(engine)
    with writing(engine) as session:
        requests.note(session, event, Notes(total=8, read=4, unchanged=1))
        handle(session, event, State.DONE, State.RECEIVED, State.PARKED)
    (shown,) = gateway.admin("GET", "/admin/backfills").json()["backfills"]
    said = ("flow", "total", "done", "unchanged", "open", "parked", "over")
    assert [shown[name] for name in said] == ["products", 8, 2, 1, 1, 1, False]
    assert shown["ends_at"] is not None
    status = gateway.admin("GET", "/admin/status").json()
    assert [row["id"] for row in status["backfills"]] == [event.id]
    assert not [poll for each in status["connections"] for poll in each["polls"]]
    with writing(engine) as session:
        finish(session, event, Outcome(State.DONE))
    assert len(gateway.admin("GET", "/admin/backfills").json()["backfills"]) == 1
    assert gateway.admin("GET", "/admin/status").json()["backfills"] == []

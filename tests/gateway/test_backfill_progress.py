"""Progress of backfills, as the store computes it and the command line shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from gateway.cli import tasks
from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.queries.activity import Progress
from gateway.store import inbox, requests
from gateway.store.events import Change, Event, Flow, Outcome, State
from gateway.store.requests import Notes
from tests.claiming import claim_next, finish
from tests.gateway.backfills import begin, handle, to_record
from tests.gateway.test_cli import Cli, Worker, run, shop, work

__all__ = ["run", "shop", "work"]


def look(engine: Engine, event: Event) -> Progress:
    with reading(engine) as session:
        return activity.find_progress(session, event.id)


def test_what_is_done_is_what_was_read_and_neither_waits_nor_is_parked(engine: Engine) -> None:
    event = begin(engine)
    with writing(engine) as session:
        requests.note(session, event, Notes(total=20, read=10, unchanged=4))
        handle(session, event, State.DONE, State.DONE, State.SKIPPED, State.RECEIVED, State.WAITING, State.PARKED)
        # Its stock is a backfill of its own, and another backfill is another's.
        handle(session, event, State.RECEIVED, sign=">stock:")
        handle(session, begin_another(session), State.RECEIVED)
    found = look(engine, event)
    assert (found.total, found.done, found.open, found.parked, found.over) == (20, 7, 2, 1, False)
    assert found.ends_at is not None
    assert found.ends_at > found.now


def begin_another(session: Session) -> Event:
    (row,) = inbox.receive(session, [requests.backfill(Flow.CATEGORIES, connection="default")])
    return activity.find_progress(session, row.id).event


def test_the_pace_and_the_end_follow_from_recent_progress(engine: Engine) -> None:
    event = begin(engine)
    with writing(engine) as session:
        requests.note(session, event, Notes(total=40, read=40))
        handle(session, event, *[State.DONE] * 10, *[State.RECEIVED] * 30)
    now = look(engine, event)
    later = replace(now, now=now.event.received_at + timedelta(seconds=100))
    assert later.per_second == pytest.approx(0.1)
    assert later.ends_at == later.now + timedelta(seconds=300)
    long_after = replace(now, now=now.event.received_at + timedelta(hours=2))
    assert long_after.per_second == pytest.approx(10 / activity.PACE_SECONDS)


def test_one_that_ended_is_over_when_all_it_led_to_is(engine: Engine) -> None:
    event = begin(engine, Flow.ORDERS)
    with writing(engine) as session:
        requests.note(session, event, Notes(read=2))
        handle(session, event, State.DONE, State.RECEIVED)
        finish(session, event, Outcome(State.DONE))
    assert not look(engine, event).over
    open_ = claim_next(engine)
    assert open_ is not None
    with writing(engine) as session:
        finish(session, open_, Outcome(State.DONE))
    ended = look(engine, event)
    assert (ended.over, ended.total, ended.done, ended.ends_at) == (True, 2, 2, None)


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (125, "2 min 5 s"), (7_380, "2 h 3 min")])
def test_a_duration_reads_as_people_say_it(seconds: float, words: str) -> None:
    assert tasks.to_duration(seconds) == words


def read_in_steps(steps: Sequence[int]) -> Callable[[Session, Event], Outcome]:
    """A worker that reads so many records a step, and has the stock of products follow."""
    left = list(steps)

    def take(session: Session, event: Event) -> Outcome:
        if event.entity != "Backfill":
            return Outcome(State.PARKED if event.key.endswith(":bad") else State.DONE)
        if event.flow == Flow.PRODUCTS and left:
            known = requests.read_notes(session, event)
            requests.note(session, event, Notes(sum(steps), known.read + left.pop(0), 0))
            return Outcome(State.WAITING, wait_seconds=0.0, burn_attempt=False)
        if event.flow == Flow.PRODUCTS:
            follow = requests.backfill(Flow.STOCK, connection="default")
            row = Change(f"{event.key}{requests.STOCK}", follow.flow, "backfill", follow.entity, "stock", "default")
            inbox.receive(session, [row, to_record(event, ":bad", State.PARKED)])
        return Outcome(State.DONE, reason="all read")

    return take


def test_the_command_reports_progress_and_includes_the_following_stock(
    run: Cli, shop: str, work: Callable[..., Worker]
) -> None:
    work(read_in_steps([1000, 1000, 500]))
    code, out, err = run("backfill", "products")
    first, second = out.splitlines()
    assert first.startswith("products done: 2,499 of 2,500, 1 parked in ")
    assert first.endswith("(all read)")
    assert second.startswith("stock done: ")
    assert "products under way" in err
    assert code == 1  # something waits for a person


def test_the_command_answers_json_and_names_unfinished_backfills(run: Cli, shop: str) -> None:
    code, out, _ = run("backfill", "products", "--wait", "0.1", "--json")
    said = json.loads(out)
    assert (code, said["state"], said["over"]) == (1, "received", False)
    out = run("backfill", "stock", "--wait", "0.1")[1]
    assert "it goes on in the background" in out
    assert "products under way: nothing read yet" in run("status")[1]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("orders",), "a backfill of orders needs a day to begin with: since"),
        (("orders", "--since", "2999-01-01"), "2999-01-01 has not begun yet"),
        (("customers", "--since", "2026-01-01"), "relations of the till have no day to begin with"),
    ],
)
def test_a_backfill_that_could_only_be_parked_is_not_asked_for(
    run: Cli, shop: str, engine: Engine, asked: tuple[str, ...], said: str
) -> None:
    code, out, err = run("backfill", *asked)
    assert (code, out, err.startswith(said)) == (2, "", True)
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=9) == []


def test_a_parked_backfill_without_a_day_does_not_take_the_day_of_the_next(
    run: Cli, shop: str, engine: Engine, work: Callable[..., Worker]
) -> None:
    with writing(engine) as session:
        inbox.receive(session, [requests.backfill(Flow.ORDERS, connection=shop, since=None)])
    event = claim_next(engine)
    assert event is not None
    with writing(engine) as session:
        finish(session, event, Outcome(State.PARKED))
    worker = work(lambda *_: Outcome(State.DONE))
    assert run("backfill", "orders", "--since", "2026-01-01")[0] == 0
    assert '"since": "2026-01-01"' in (worker.handled[-1].hint or "")

"""The inbox: received once, claimed by one, fenced, superseded, swept; the same on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.queries import activity
from gateway.store import claims, event_history, inbox
from gateway.store.claims import LeaseLost
from gateway.store.events import Change, Event, Flow, Outcome, Received, State
from gateway.store.tables import InboxRow
from tests.claiming import claim_next, finish

DONE = Outcome(State.DONE)


def change(key: str, entity_id: str = "1", **more: Any) -> Change:
    about = {"flow": Flow.PRODUCTS, "source": "test", "entity": "Item", "connection": "c"}
    return Change(key=key, entity_id=entity_id, **{**about, **more})


def put(engine: Engine, *changes: Change) -> list[Received]:
    with writing(engine) as session:
        return inbox.receive(session, changes)


def end(engine: Engine, event: Event | None, outcome: Outcome = DONE) -> None:
    assert event is not None
    with writing(engine) as session:
        finish(session, event, outcome)


def place(engine: Engine, event_id: int, **columns: Any) -> None:
    """Put a row into a state relative to the database's clock, without waiting for it."""
    with writing(engine) as session:
        session.execute(update(InboxRow).where(col(InboxRow.id) == event_id).values(**columns))


def states(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [row[0] for row in session.execute(text("SELECT state FROM inbox ORDER BY id"))]


def test_a_change_is_received_once_and_a_redelivery_returns_its_state(engine: Engine) -> None:
    first, again = put(engine, change("a"), change("a"))
    assert first.created
    assert first.pending
    assert (again.id, again.created, again.pending) == (first.id, False, True)
    end(engine, claims.claim(engine, first.id))
    assert put(engine, change("a")) == [Received(first.id, created=False, pending=False)]


def test_a_text_that_postgresql_refuses_is_received_with_escapes(engine: Engine) -> None:
    """Of a poll as of a webhook: else one record would stop all that were found with it."""
    first, again = (put(engine, change("a\0", hint="a\0b"))[0] for _ in range(2))
    assert (first.created, again.created, again.id) == (True, False, first.id)
    with reading(engine) as session:
        (event,) = event_history.select_events(session, col(InboxRow.id) == first.id)
    assert (event.key, event.hint) == ("a\\x00", "a\\x00b")


def test_a_claimed_event_cannot_be_claimed_again_while_its_lease_lives(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    event = claims.claim(engine, received.id)
    assert event is not None
    assert (event.state, event.attempts, event.crashes) == (State.WORKING, 1, 0)
    assert claims.claim(engine, received.id) is None
    assert claim_next(engine) is None


def test_40_an_event_of_a_killed_worker_is_taken_over_and_fenced(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    zombie = claims.claim(engine, received.id)
    place(engine, received.id, leased_until=moment(-0.5))
    heir = claim_next(engine)
    assert heir is not None
    assert (heir.id, heir.attempts, heir.crashes) == (received.id, 2, 1)
    with pytest.raises(LeaseLost):
        end(engine, zombie)
    end(engine, heir)
    assert states(engine) == [State.DONE]


def test_47_a_newer_hint_goes_on_counting_the_crashes_of_the_older(engine: Engine) -> None:
    killer, other = put(engine, change("a"), change("b", "2"))
    for _ in range(3):
        assert claims.claim(engine, killer.id) is not None
        place(engine, killer.id, leased_until=moment(-0.5))
    end(engine, claims.claim(engine, killer.id), Outcome(State.WAITING, reason="later", wait_seconds=60))
    (newer,) = put(engine, change("c"))
    event = claims.claim(engine, newer.id)
    assert event is not None
    assert (event.id, event.crashes) == (newer.id, 3)
    place(engine, newer.id, leased_until=moment(-0.5))
    again = claims.claim(engine, newer.id)
    assert again is not None
    assert again.crashes == 4
    innocent = claims.claim(engine, other.id)
    assert innocent is not None
    assert innocent.crashes == 0


def test_47_a_newer_hint_about_a_parked_killer_has_one_more_try(engine: Engine) -> None:
    (killer,) = put(engine, change("a"))
    place(engine, killer.id, state=State.PARKED, code="crashed", crashes=5)
    for key, crashes in (("b", 4), ("c", 3)):
        (newer,) = put(engine, change(key))
        event = claims.claim(engine, newer.id)
        assert event is not None
        assert event.crashes == crashes
        place(engine, newer.id, state=State.PARKED, lease=None, leased_until=None)


def test_a_renewed_lease_is_not_taken_over(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    event = claims.claim(engine, received.id)
    assert event is not None
    place(engine, received.id, leased_until=moment(-0.5))
    inbox.renew(engine, [event.lease or ""])
    assert claim_next(engine) is None


def test_52_a_subject_has_one_worker_at_a_time_and_others_do_not_wait(engine: Engine) -> None:
    first, _ = put(engine, change("a", "1"), change("b", "2"))
    event = claims.claim(engine, first.id)
    (later,) = put(engine, change("c", "1"))
    assert claims.claim(engine, later.id) is None
    other = claim_next(engine)
    assert other is not None
    assert other.entity_id == "2"
    end(engine, event)
    following = claim_next(engine)
    assert following is not None
    assert following.id == later.id


def test_51_the_newest_event_is_claimed_and_the_older_are_superseded(engine: Engine) -> None:
    older, middle, newest = put(engine, change("a"), change("b"), change("c"))
    event = claims.claim(engine, older.id)
    assert event is not None
    assert event.id == newest.id
    assert not event.maybe_written
    assert states(engine) == [State.SKIPPED, State.SKIPPED, State.WORKING]
    assert middle.pending


@pytest.mark.parametrize(("first", "second", "kept"), [
    ("Delete", "Update", "Delete"),
    ("void", None, "void"),
    ("edited", "Emailed", "edited"),
    ("Delete", "edited", "Delete"),
    ("edited", "Void", "Void"),
    ("Create", "Update", "Update"),
])  # fmt: skip
@pytest.mark.parametrize("parked", [True, False])
def test_what_only_an_older_event_tells_is_taken_over(
    engine: Engine, first: str, second: str | None, kept: str, *, parked: bool
) -> None:
    (older,) = put(engine, change("a", operation=first, hint='{"deleted_id": "7"}'))
    if parked:
        end(engine, claims.claim(engine, older.id), Outcome(State.PARKED, reason="deleted in the books"))
    (newer,) = put(engine, change("b", operation=second))
    event = claims.claim(engine, newer.id)
    assert event is not None
    assert (event.id, event.operation) == (newer.id, kept)
    with reading(engine) as session:
        stored = activity.find_event(session, newer.id)
    assert stored is not None
    assert (stored.operation, stored.hint) == (event.operation, event.hint)
    assert (event.hint is not None) == (kept == first)


def test_a_merge_keeps_what_was_merged_when_a_poll_finds_the_item(engine: Engine) -> None:
    put(engine, change("a", operation="Merge", hint='{"deleted_id": "7"}'))
    (newer,) = put(engine, change("b", operation="changed", hint='{"item": {}}'))
    event = claims.claim(engine, newer.id)
    assert event is not None
    assert (event.operation, event.hint) == ("Merge", '{"deleted_id": "7"}')


def test_an_event_that_follows_an_attempted_one_is_maybe_written(engine: Engine) -> None:
    (older,) = put(engine, change("a"))
    end(engine, claims.claim(engine, older.id), Outcome(State.UNCERTAIN, wait_seconds=3600))
    (newer,) = put(engine, change("b"))
    event = claims.claim(engine, newer.id)
    assert event is not None
    assert event.maybe_written


def test_a_parked_event_is_closed_when_a_newer_one_is_handled(engine: Engine) -> None:
    (older,) = put(engine, change("a"))
    end(engine, claims.claim(engine, older.id), Outcome(State.PARKED, reason="no such group"))
    (newer,) = put(engine, change("b"))
    end(engine, claims.claim(engine, newer.id))
    assert states(engine) == [State.SKIPPED, State.DONE]


def test_an_abandoned_event_does_not_lock_its_subject_against_newer_ones(engine: Engine) -> None:
    (older,) = put(engine, change("a"))
    claims.claim(engine, older.id)
    (newer,) = put(engine, change("b"))
    place(engine, older.id, leased_until=moment(-1))
    taken = claims.claim(engine, newer.id)
    assert taken is not None
    assert taken.id == older.id
    end(engine, taken)
    following = claims.claim(engine, newer.id)
    assert following is not None
    assert following.id == newer.id


def test_a_waiting_event_is_due_only_when_its_time_has_come(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    end(engine, claims.claim(engine, received.id), Outcome(State.WAITING, wait_seconds=60))
    assert claim_next(engine) is None
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=10) == []
    place(engine, received.id, due_at=moment(-0.1))
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=10) == [received.id]
    assert claim_next(engine) is not None


def test_a_sale_does_not_wait_when_the_clock_was_set_back(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    place(engine, received.id, received_at=moment(7200), due_at=moment(3600))
    assert claims.claim(engine, received.id) is not None


def test_an_attempt_that_was_asked_to_slow_down_is_not_counted(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    end(engine, claims.claim(engine, received.id), Outcome(State.WAITING, wait_seconds=0, burn_attempt=False))
    event = claims.claim(engine, received.id)
    assert event is not None
    assert event.attempts == 1


def test_urgent_events_overtake_a_backfill(engine: Engine) -> None:
    put(engine, change("a", "1", priority=20), change("b", "2", priority=20), change("c", "3", priority=0))
    event = claim_next(engine)
    assert event is not None
    assert event.entity_id == "3"


def test_a_retry_by_hand_resets_attempts_and_is_done_once_by_two_people(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    end(engine, claims.claim(engine, received.id), Outcome(State.PARKED, reason="x"))
    with writing(engine) as session:
        assert inbox.requeue(session, [received.id], states=[State.PARKED])
    with writing(engine) as session:
        assert not inbox.requeue(session, [received.id], states=[State.PARKED])
    event = claims.claim(engine, received.id)
    assert event is not None
    assert event.attempts == 1
    assert event.maybe_written


def test_49_twenty_claimers_take_every_event_once_and_none_starves(engine: Engine) -> None:
    total, claimers = 200, 8
    put(engine, *(change(f"k{n}", str(n)) for n in range(total)))
    taken: Counter[int] = Counter()
    shares: Counter[str] = Counter()
    lock = threading.Lock()

    def claim_all(name: str) -> None:
        while (event := claim_next(engine)) is not None:
            end(engine, event)
            with lock:
                taken[event.id] += 1
                shares[name] += 1

    with ThreadPoolExecutor(claimers) as pool:
        list(pool.map(claim_all, [f"w{n}" for n in range(claimers)]))
    assert len(taken) == total
    assert set(taken.values()) == {1}
    assert states(engine) == [State.DONE] * total


def test_49_the_same_wake_up_ten_times_at_once_runs_the_event_once(engine: Engine) -> None:
    (received,) = put(engine, change("a"))
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: claims.claim(engine, received.id), range(10)))
    assert len([c for c in found if c is not None]) == 1


def test_claims_of_one_subject_by_many_rows_at_once_never_overlap(engine: Engine) -> None:
    received = put(engine, *(change(f"k{n}", "same") for n in range(10)))
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda r: claims.claim(engine, r.id), received))
    assert len([c for c in found if c is not None]) == 1
    assert states(engine).count(State.WORKING) == 1

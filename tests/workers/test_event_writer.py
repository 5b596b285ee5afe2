"""Outcomes and next claims of several threads that wait together: one transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.store import claims, inbox
from gateway.store.audit import Entry
from gateway.store.claims import LeaseLost
from gateway.store.events import URGENT, Change, Event, Flow, Outcome, State
from gateway.store.round_robin import RoundRobin
from gateway.store.tables import InboxRow
from handlers.result import Ended, Result
from workers.sharing import EventWriter, Holds

THREADS = 6
UNSTORABLE = Entry("decided", "half a character: \ud83d")  # no database takes it


@pytest.fixture
def holds() -> Holds:
    return Holds(lambda: ["c"], threads=THREADS, longest=60.0)


@pytest.fixture
def writer(engine: Engine, holds: Holds) -> EventWriter:
    return EventWriter(engine, holds)


def put(engine: Engine, *numbers: int, connection: str = "c") -> None:
    about: dict[str, Any] = {"flow": Flow.PRODUCTS, "source": "test", "entity": "Item", "connection": connection}
    with writing(engine) as session:
        inbox.receive(session, [Change(key=f"{connection}{n}", entity_id=str(n), **about) for n in numbers])


def ended(claimed: Event, *entries: Entry) -> Ended:
    outcome = Outcome(State.DONE)
    return Ended(claimed, outcome, Result(outcome), {}, [Entry("decided", f"ended {claimed.entity_id}"), *entries])


def claim(writer: EventWriter) -> Event:
    (claimed,) = writer.claim_next()
    return claimed


def states(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [row[0] for row in session.execute(text("SELECT state FROM inbox ORDER BY id"))]


@contextmanager
def blocked(engine: Engine) -> Iterator[threading.Event]:
    """The first commit inside waits until the event is set; the others come up behind it."""
    go, first = threading.Event(), threading.Lock()

    def wait(_connection: object) -> None:
        if first.acquire(blocking=False):
            go.wait(10.0)

    event.listen(engine, "commit", wait)
    yield go
    go.set()
    event.remove(engine, "commit", wait)


def record_together(engine: Engine, writer: EventWriter, all_of_them: list[Ended], *, next_too: bool) -> list[Any]:
    """What came of each, when the first is being committed while the others arrive."""

    def record(one: Ended) -> Any:
        try:
            return writer.record([one], wants=int(next_too))
        except Exception as error:  # noqa: BLE001 - whatever the driver says to a wrong value
            return error

    with blocked(engine) as go, ThreadPoolExecutor(len(all_of_them)) as pool:
        futures = [pool.submit(record, one) for one in all_of_them]
        threading.Timer(0.5, go.set).start()
        return [future.result(timeout=30.0) for future in futures]


def test_outcomes_that_wait_together_are_all_stored(engine: Engine, writer: EventWriter) -> None:
    put(engine, *range(THREADS))
    claimed = [claim(writer) for _ in range(THREADS)]
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    results = record_together(engine, writer, [ended(each) for each in claimed], next_too=False)
    assert results == [([], [])] * THREADS
    assert states(engine) == ["done"] * THREADS
    assert len(commits) <= 2  # the first may have been alone
    with reading(engine) as session:
        logs = [[entry.title for entry in activity.read_log(session, each.id)] for each in claimed]
    assert logs == [[f"ended {each.entity_id}"] for each in claimed]


def test_each_gets_another_next_event(engine: Engine, writer: EventWriter, holds: Holds) -> None:
    put(engine, *range(2 * THREADS))
    claimed = [claim(writer) for _ in range(THREADS)]
    results = record_together(engine, writer, [ended(each) for each in claimed], next_too=True)
    following = [event for _, events in results for event in events]
    assert len({each.id for each in following}) == THREADS
    assert states(engine) == ["done"] * THREADS + ["working"] * THREADS
    assert {each.lease for each in following} < set(holds.leases())


def test_a_lost_lease_fails_alone_and_claims_nothing(engine: Engine, writer: EventWriter) -> None:
    put(engine, 1, 2, 3)
    claimed = [claim(writer) for _ in range(3)]
    with writing(engine) as session:
        session.execute(text("UPDATE inbox SET lease = 'other' WHERE id = :id"), {"id": claimed[1].id})
    results = record_together(engine, writer, [ended(each) for each in claimed], next_too=True)
    assert isinstance(results[1], LeaseLost)
    assert results[0] == results[2] == ([], [])
    assert states(engine) == ["done", "working", "done"]


def test_an_outcome_that_cannot_be_stored_fails_alone(engine: Engine, writer: EventWriter, holds: Holds) -> None:
    put(engine, *range(THREADS))
    claimed = [claim(writer) for _ in range(3)]
    all_of_them = [ended(claimed[0]), ended(claimed[1], UNSTORABLE), ended(claimed[2])]
    results = record_together(engine, writer, all_of_them, next_too=True)
    assert isinstance(results[1], Exception)
    with reading(engine) as session:
        found = {each.id: session.get_one(InboxRow, each.id).state for each in claimed}
    assert list(found.values()) == ["done", "working", "done"]
    following = [event for each in (results[0], results[2]) for event in each[1]]
    assert {each.lease for each in following} < set(holds.leases())


def test_a_subject_is_never_handled_twice_at_once(engine: Engine, writer: EventWriter) -> None:
    about: dict[str, Any] = {"flow": Flow.PRODUCTS, "source": "test", "entity": "Item", "connection": "c"}
    put(engine, 1)
    first = claim(writer)
    with writing(engine) as session:
        inbox.receive(session, [Change(key="again", entity_id="1", **about)])
    assert writer.claim_next() == []
    _, (following,) = writer.record([ended(first)], wants=1)
    assert (following.subject, following.id) == (first.subject, first.id + 1)


def test_several_claimed_at_once_are_of_different_subjects(engine: Engine) -> None:
    about: dict[str, Any] = {"flow": Flow.PRODUCTS, "source": "test", "entity": "Item", "connection": "c"}
    again = [Change(key=f"again {number}", entity_id="1", **about) for number in range(5)]
    with writing(engine) as session:
        inbox.receive(session, [Change(key="asked", entity_id="1", priority=URGENT, **about), *again])
    put(engine, 3)
    put(engine, 1, connection="d")

    def claim_eight() -> list[Event]:
        with writing(engine) as session:
            found = claims.find_claimable(session)
            groups = claims.claim_several(session, found, RoundRobin(), sizes=[1] * 8, full=lambda _chosen: ())
            return [each for group in groups for each in group]

    claimed = claim_eight()
    assert {each.key for each in claimed} == {"asked", "c3", "d1"}
    assert len({each.lease for each in claimed}) == len(claimed)
    assert claim_eight() == []
    with writing(engine) as session:
        assert inbox.finish_all(session, [(each, Outcome(State.DONE)) for each in claimed])
    assert [each.key for each in claim_eight()] == ["again 4"]
    assert states(engine) == ["done", *["skipped"] * 4, "working", "done", "done"]


def test_a_busy_connection_leaves_threads_to_others(engine: Engine) -> None:
    holds = Holds(lambda: ["c", "d"], threads=THREADS, longest=60.0)
    writer = EventWriter(engine, holds)
    put(engine, *range(20))
    claimed = [claim(writer) for _ in range(THREADS // 2)]
    assert holds.full() == {"c"}
    assert writer.claim_next() == []
    _, following = writer.record([ended(claimed[0])], wants=1)
    assert len(following) == 1  # the thread of the one that ended
    holds.remove(claimed[0])
    put(engine, 1, connection="d")
    assert claim(writer).connection == "d"


def test_a_thread_that_is_ended_while_it_claims_holds_nothing(engine: Engine) -> None:
    class Ending(Holds):
        def add(self, event: Event, *, begun: bool = True) -> None:
            super().add(event, begun=begun)
            raise SystemExit

    holds = Ending(lambda: ["c"], threads=THREADS, longest=60.0)
    put(engine, 1)
    with pytest.raises(SystemExit):
        EventWriter(engine, holds).claim_next()
    assert (holds.count(), states(engine)) == (0, ["received"])


def test_a_thread_claims_several_and_is_busy_with_one(engine: Engine) -> None:
    holds = Holds(lambda: ["c", "d", "e"], threads=THREADS, longest=60.0)
    writer = EventWriter(engine, holds)
    put(engine, *range(20))
    put(engine, 1, 2, connection="d")
    claimed = writer.claim_next(4)
    assert [each.connection for each in claimed].count("d") == 2  # in turn, though "c" was first
    assert (len(claimed), holds.count(), holds.count_busy()) == (4, 4, 1)
    due, following = writer.record([ended(each) for each in claimed], wants=5)
    assert (due, [each.connection for each in following]) == ([], ["c"] * 5)
    assert states(engine).count("done") == 4


def test_many_connections_are_claimed_by_as_few_statements_as_one(engine: Engine, writer: EventWriter) -> None:
    def claim_counted(most: int) -> tuple[list[Event], int]:
        executed: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if not statement.startswith("PRAGMA"):  # the first that does not wait for the disk asks what is usual
                executed.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        found = writer.claim_next(most)
        event.remove(engine, "before_cursor_execute", note)
        return found, len(executed)

    put(engine, *range(9), connection="a")
    _, alone = claim_counted(3)
    for name in "bcdefghij":
        put(engine, *range(2), connection=name)
    claimed, together = claim_counted(10)
    assert {each.connection for each in claimed} == set("abcdefghij")
    assert together == alone


def test_older_events_of_several_subjects_are_closed_together(engine: Engine, writer: EventWriter) -> None:
    about: dict[str, Any] = {"flow": Flow.PRODUCTS, "source": "test", "entity": "Item", "connection": "c"}
    with writing(engine) as session:
        inbox.receive(session, [Change(key=f"{n}", entity_id=f"{n % 3}", **about) for n in range(9)])
    assert {each.key for each in writer.claim_next(9)} == {"6", "7", "8"}
    assert states(engine) == ["skipped"] * 6 + ["working"] * 3

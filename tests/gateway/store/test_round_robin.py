"""Round robin: connections alternate, those that must rest wait, and a long queue costs no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import Engine, insert, select, text, update
from sqlmodel import col

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import epoch, moment
from gateway.store import claims, connections, inbox, round_robin, tokens
from gateway.store.connections import Connection
from gateway.store.events import BACKFILL, NORMAL, URGENT, Change, Event, Flow, Outcome, State
from gateway.store.round_robin import RoundRobin
from gateway.store.tables import ConnectionRow, InboxRow, RateLimitRow
from tests.claiming import claim_next, finish
from tests.plans.watching import watching

SEAL = Seal(["a-secret-key-of-good-length"])


def change(key: str, connection: str, **more: Any) -> Change:
    about = {"flow": Flow.PRODUCTS, "source": "test", "entity": "Item", "entity_id": key}
    return Change(key=f"{connection}:{key}", connection=connection, **{**about, **more})


def put(engine: Engine, *changes: Change) -> list[int]:
    with writing(engine) as session:
        return [received.id for received in inbox.receive(session, changes)]


def connect(engine: Engine, name: str, *, live: bool = True, paused: str | None = None) -> None:
    made = Connection(name, f"realm-{name}", f"https://till-{name}", "i", "s", None, (), live, paused)
    with writing(engine) as session:
        connections.save(session, made, SEAL)


def end(engine: Engine, event: Event, outcome: Outcome | None = None) -> None:
    with writing(engine) as session:
        finish(session, event, outcome or Outcome(State.DONE))


def take(engine: Engine, rotation: RoundRobin, **more: Any) -> str | None:
    """The connection whose event was claimed and done."""
    event = claim_next(engine, rotation=rotation, **more)
    if event is None:
        return None
    end(engine, event)
    return event.connection


def test_53_three_connections_alternate_even_if_one_has_many_events(engine: Engine) -> None:
    put(engine, *(change(str(n), "busy") for n in range(50)))
    put(engine, change("1", "calm"), change("2", "calm"), change("1", "quiet"))
    rotation = RoundRobin()
    served = [take(engine, rotation) for _ in range(6)]
    assert served.count("calm") == 2
    assert served.count("quiet") == 1
    assert served[:3] == ["busy", "calm", "quiet"]


def test_the_urgent_event_of_a_connection_comes_before_its_backfill(engine: Engine) -> None:
    put(
        engine,
        change("1", "a", priority=BACKFILL),
        change("2", "a", priority=NORMAL),
        change("3", "a", priority=URGENT),
    )
    rotation, order = RoundRobin(), []
    while (event := claim_next(engine, rotation=rotation)) is not None:
        order.append(event.entity_id)
        end(engine, event)
    assert order == ["3", "2", "1"]


def test_a_sale_is_before_changed_items_that_have_not_waited_long(engine: Engine) -> None:
    waited, *_ = put(engine, change("1", "a"), change("2", "a"), change("3", "a"), sale("4"))
    with writing(engine) as session:
        long_ago = moment(-inbox.HEAD_START_SECONDS - 60)
        session.execute(update(InboxRow).where(col(InboxRow.id) == waited).values(received_at=long_ago))
    order = [event.entity_id for event in iter(lambda: claim_next(engine), None)]
    assert order == ["1", "4", "2", "3"]


def test_a_sale_that_was_not_begun_keeps_its_place(engine: Engine) -> None:
    put(engine, change("1", "a"), sale("2"))
    event = claim_next(engine)
    assert event is not None
    with writing(engine) as session:
        round_robin.give_back(session, [event])
    again = claim_next(engine)
    assert again is not None
    assert again.entity_id == event.entity_id == "2"


def sale(key: str) -> Change:
    return change(key, "a", flow=Flow.ORDERS, entity="Receipt")


def about(key: str, connection: str = "a", **more: Any) -> Change:
    """A change of the one item that a test is about."""
    return change(key, connection, **{"entity_id": "17", **more})


def states(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [
            str(state) for state in session.execute(select(col(InboxRow.state)).order_by(col(InboxRow.id))).scalars()
        ]


def test_51_the_newest_event_of_a_subject_supersedes_the_older_ones(engine: Engine) -> None:
    put(engine, about("1"), change("x", "a"), about("2"), about("3"))
    rotation, order = RoundRobin(), []
    while (event := claim_next(engine, rotation=rotation)) is not None:
        order.append(event.key)
        end(engine, event)
    assert order == ["a:3", "a:x"]
    assert states(engine) == ["skipped", "done", "skipped", "done"]


@pytest.mark.parametrize("by_wake_up", [True, False])
def test_a_request_of_a_person_is_not_superseded_by_a_later_webhook(engine: Engine, *, by_wake_up: bool) -> None:
    first, *_ = put(engine, about("1"), about("2", priority=URGENT), about("3"))
    event = claims.claim(engine, first) if by_wake_up else claim_next(engine)
    assert event is not None
    assert (event.key, states(engine)) == ("a:2", ["skipped", "working", "received"])
    end(engine, event)
    following = claim_next(engine)
    assert following is not None
    assert following.key == "a:3"


def test_an_event_that_is_not_due_yet_does_not_supersede_a_due_one(engine: Engine) -> None:
    put(engine, about("1"))
    (late,) = put(engine, about("2"))
    event = claims.claim(engine, late)
    assert event is not None
    end(engine, event, Outcome(State.WAITING, wait_seconds=3600))
    put(engine, about("3"))
    with writing(engine) as session:
        assert inbox.requeue(session, [1], states=[State.SKIPPED])
    taken = claim_next(engine)
    assert taken is not None
    assert (taken.key, states(engine)) == ("a:3", ["skipped", "skipped", "working"])
    assert taken.maybe_written


def test_of_a_resting_connection_only_requests_of_a_person_are_claimed(engine: Engine) -> None:
    connect(engine, "a", paused="by hand")
    put(engine, about("1", priority=URGENT), about("2", priority=URGENT), about("3"))
    taken = claim_next(engine)
    assert taken is not None
    assert (taken.key, claim_next(engine)) == ("a:2", None)


def test_many_claimers_of_few_subjects_neither_overlap_nor_deadlock(engine: Engine) -> None:
    rounds, subjects, claimers = 6, 3, 6
    working: set[str] = set()

    def claim_all(name: int) -> int:
        count = 0
        for step in range(rounds):
            put(engine, *(about(f"{name}.{step}.{n}", entity_id=str(n)) for n in range(subjects)))
            event = claim_next(engine)
            if event is None:
                continue
            assert event.subject not in working
            working.add(event.subject)
            count += 1
            working.discard(event.subject)
            end(engine, event)
        return count

    with ThreadPoolExecutor(claimers) as pool:
        handled = sum(pool.map(claim_all, range(claimers)))
    rotation = RoundRobin()
    while take(engine, rotation):
        handled += 1
    assert set(states(engine)) == {"done", "skipped"}
    assert states(engine).count("done") == handled


@pytest.mark.parametrize("state", ["paused", "not live", "lost"])
def test_events_of_a_resting_connection_wait_but_requests_are_done(engine: Engine, state: str) -> None:
    connect(engine, "a", live=state != "not live", paused="by hand" if state == "paused" else None)
    if state == "lost":
        with writing(engine) as session:
            tokens.save_first(session, "a", "refresh", SEAL)
            tokens.mark_refused(session, "a", "revoked")
    waiting, hint, asked = put(
        engine,
        change("1", "a"),
        change("2", "a", entity="Session", priority=URGENT),
        change("3", "a", entity="Doctor", priority=URGENT),
    )
    connect(engine, "b")
    put(engine, change("1", "b"))
    assert claims.claim(engine, waiting) is None
    assert claims.claim(engine, hint) is None
    rotation = RoundRobin()
    assert [take(engine, rotation), take(engine, rotation), take(engine, rotation)] == ["a", "b", None]
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=10) == []
        done = session.execute(select(col(InboxRow.id)).where(col(InboxRow.state) == "done")).scalars().all()
    assert asked in done


def test_work_goes_on_when_the_connection_does(engine: Engine) -> None:
    connect(engine, "a", paused="by hand")
    put(engine, change("1", "a"))
    assert take(engine, RoundRobin()) is None
    with writing(engine) as session:
        connections.go_live(session, "a")
    assert take(engine, RoundRobin()) == "a"


@pytest.mark.parametrize(("system", "account"), [("quickbooks", "realm-a"), ("mpluskassa", "https://till-a")])
def test_an_account_that_cools_down_is_not_claimed_and_others_go_on(engine: Engine, system: str, account: str) -> None:
    for name in ("a", "b"):
        connect(engine, name)
    urgent, _ = put(engine, change("1", "a", priority=URGENT), change("1", "b"))
    cooling = {"system": system, "account": account, "cooldown_from": epoch(), "cooldown_until": epoch() + 60}
    with writing(engine) as session:
        session.execute(insert(RateLimitRow).values(cooling))
    assert claims.claim(engine, urgent) is None
    rotation = RoundRobin()
    assert [take(engine, rotation), take(engine, rotation)] == ["b", None]
    with writing(engine) as session:
        session.execute(text("UPDATE rate_limits SET cooldown_until = 1"))
    assert take(engine, rotation) == "a"


def test_an_excluded_connection_is_left_to_the_threads_it_has(engine: Engine) -> None:
    (first, _) = put(engine, change("1", "a"), change("1", "b"))
    assert claims.claim(engine, first, excluded=["a"]) is None
    rotation = RoundRobin()
    assert [take(engine, rotation, excluded=["a"]), take(engine, rotation, excluded=["a"])] == ["b", None]
    assert take(engine, rotation) == "a"


def test_an_event_without_a_connection_is_still_found(engine: Engine) -> None:
    (orphan,) = put(engine, Change("k", Flow.ORDERS, "test", "Item", "1", account="unknown"))
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=5) == [orphan]
    assert claims.claim(engine, orphan) is not None


def test_the_sweep_finds_events_of_every_connection(
    engine: Engine,
) -> None:
    put(engine, *(change(str(n), "a") for n in range(40)))
    (of_b,) = put(engine, change("1", "b"))
    with reading(engine) as session:
        due = inbox.due_ids(session, limit=10)
    assert of_b in due
    assert 2 <= len(due) <= 10


ROWS = 100_000
_FILL = """
INSERT INTO inbox (key, connection, flow, source, entity, entity_id, subject, priority, state, attempts, crashes,
                   careful, due_at, correlation, received_at, updated_at)
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows})
SELECT 'f' || n, 'c' || (n % 3), 'products', 'test', 'Item', 'i' || n, 's' || n, 10,
       CASE WHEN n % 10 = 0 THEN 'received' WHEN n % 10 < 5 THEN 'waiting' ELSE 'done' END, 0, 0, false,
       CASE WHEN n % 10 > 0 AND n % 10 < 5 THEN {later} END, 'x', {now}, {now} FROM numbers
"""


def fill(engine: Engine, rows: int) -> None:
    """Rows of three connections: a tenth is due, four tenths wait for another hour, the rest is done."""
    literal = {"literal_binds": True}
    now, later = (str(moment(offset).compile(engine, compile_kwargs=literal)) for offset in (-60, 3600))
    sql = _FILL.format(rows=rows, now=now, later=later)
    with writing(engine) as session:
        driver = session.connection().connection.driver_connection
        assert driver is not None
        driver.execute(sql)
    if engine.dialect.name == "postgresql":
        with writing(engine) as session:
            session.execute(text("ANALYZE inbox"))


def read_by_claims(engine: Engine) -> int:
    """The most rows that one statement reads while ten events are claimed. Time would tell of the neighbours too."""
    rotation = RoundRobin()
    with watching(engine) as watched:
        for _ in range(10):
            assert claim_next(engine, rotation=rotation) is not None
    assert watched.statements
    return max(each.rows for each in watched.statements)


def test_54_a_claim_among_100_000_rows_reads_no_more_than_among_few(engine: Engine) -> None:
    fill(engine, 1_000)
    few = read_by_claims(engine)
    with writing(engine) as session:
        session.execute(text("DELETE FROM inbox"))
    fill(engine, ROWS)
    many = read_by_claims(engine)
    assert few <= 200
    assert many <= 200, f"{few:,} rows among 1,000, {many:,} among {ROWS:,}"


def test_postgresql_finds_the_next_event_through_the_index(postgres_engine: Engine) -> None:
    fill(postgres_engine, 20_000)
    statement = round_robin.next_of("postgresql", resting=False).compile(postgres_engine)
    with reading(postgres_engine) as session:
        bound = {**statement.params, "due": ["c1", "c2"], "at_most": 8}
        found = session.connection().exec_driver_sql(f"EXPLAIN {statement}", bound)
        plan = "\n".join(str(row[0]) for row in found)
    assert "inbox_turn" in plan, plan
    assert "Seq Scan" not in plan, plan


def test_postgresql_closes_older_events_by_index_without_statistics(
    postgres_engine: Engine,
) -> None:
    put(postgres_engine, about("1"), about("2"))
    fill(postgres_engine, 20_000)
    with writing(postgres_engine) as session:
        session.execute(text("DELETE FROM pg_statistic WHERE starelid = 'inbox'::regclass"))
    said = {"of": "a/products/Item/17", "before": 10**9, "why": "x"}
    statement = claims.close_older("postgresql")
    made = statement.compile(postgres_engine)
    sql = re.sub(r"\(__\[POSTCOMPILE_\w+\]\)", "('received', 'parked')", str(made))
    with reading(postgres_engine) as session:
        found = session.connection().exec_driver_sql(f"EXPLAIN {sql}", {**made.params, **said})
        plan = "\n".join(str(row[0]) for row in found)
    assert "inbox_subject" in plan, plan
    assert "Seq Scan" not in plan, plan


def test_sqlite_finds_the_next_event_through_the_index(
    migrated_sqlite_url: str, engine_of: Callable[[str], Engine]
) -> None:
    engine = engine_of(migrated_sqlite_url)
    statement = round_robin.next_of("sqlite", resting=False).compile(engine)
    given = {**statement.params, "due": '["c1", "c2"]', "at_most": 8}
    bound = tuple(given[name] for name in statement.positiontup or ())
    with reading(engine) as session:
        plan = [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", bound)]
    used = [line for line in plan if line.startswith("SEARCH inbox ")]
    assert [line for line in used if "inbox_turn" in line], plan
    assert [line for line in used if "inbox_subject" in line], plan
    scanned = [line for line in plan if line.startswith("SCAN") and "CONSTANT" not in line]
    assert not {"inbox", "first", "other"} & {line.split()[1] for line in scanned}, (
        plan
    )  # others have at most eight rows
    assert not [line for line in plan if "TEMP B-TREE" in line], plan


def test_sqlite_finds_the_events_of_many_subjects_by_subject(
    migrated_sqlite_url: str, engine_of: Callable[[str], Engine]
) -> None:
    engine = engine_of(migrated_sqlite_url)
    put(engine, *(change(f"{n}-{time}", "a", entity_id=str(n)) for time in range(2) for n in range(64)))
    used: list[str] = []

    def explain(connection: Any, _cursor: object, sql: str, bound: Any, _context: object, _many: bool) -> None:
        raw = connection.connection.driver_connection
        if sql.startswith("SELECT") and "inbox.subject IN" in sql:
            used.append("; ".join(str(row[3]) for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", bound)))

    sqlalchemy.event.listen(engine, "before_cursor_execute", explain)
    with writing(engine) as session:
        found = claims.find_claimable(session)
        (group,) = claims.claim_several(session, found, RoundRobin(), sizes=[64], full=lambda _chosen: ())
        inbox.pending_of(session, [each.subject for each in group])
    assert len(group) == 64
    assert len(used) == 2
    assert {line.partition(" (")[0] for line in used} == {"SEARCH inbox USING INDEX inbox_subject"}, used


def test_a_row_with_an_unknown_connection_does_not_stop_the_others(engine: Engine) -> None:
    connect(engine, "known")
    with reading(engine) as session:
        assert session.execute(select(col(ConnectionRow.name))).scalars().all() == ["known"]
    put(engine, change("1", "unknown"), change("1", "known"))
    rotation = RoundRobin()
    assert {take(engine, rotation), take(engine, rotation)} == {"known", "unknown"}

"""Connections renamed and removed: one row changes, nothing is doubled or stays working, no lock is long."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, inspect, select, text, update
from sqlmodel import SQLModel

from gateway import removal, settings, startup
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import Rejected
from gateway.privacy import retention
from gateway.queries import activity, todo
from gateway.removal import Data
from gateway.settings import Settings
from gateway.store import audit, claims, connections, cursors, inbox, links, tokens
from gateway.store.audit import Entry
from gateway.store.connections import Connection
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.links import Link, LinkKind
from gateway.store.tables import ConnectionRow
from tests.claiming import claim_next, finish

KEY = "a-secret-key-of-good-length"
SEAL = Seal([KEY])
BARE = {
    "SECRET_KEY": KEY,
    "ADMIN_TOKEN": "an-admin-token-for-tests",
    "QUICKBOOKS_REVOKE_URL": "http://127.0.0.1:9/revoke",
}


def to_settings(**more: str) -> Settings:
    return settings.read(BARE | more)


def connect(engine: Engine, name: str, realm: str, **more: Any) -> None:
    said: dict[str, Any] = {"live": True, "paused": None} | more
    made = Connection(name, realm, f"https://till/{name}", "ident", "secret", f"sub-{name}", ("aG9vaw==",), **said)
    with writing(engine) as session:
        connections.save(session, made, SEAL)


def receive(engine: Engine, name: str, *ids: str, **more: Any) -> list[int]:
    with writing(engine) as session:
        changes = [Change(f"{name}:{i}", Flow.ORDERS, "t", "Receipt", i, connection=name, **more) for i in ids]
        return [row.id for row in inbox.receive(session, changes)]


def fill(engine: Engine, name: str) -> None:
    """Something in every table that a connection leaves traces in."""
    receive(engine, name, "1", "2", "3")
    with writing(engine) as session:
        links.save(session, name, Link(LinkKind.DOCUMENT, "receipt:1", "SalesReceipt", "7"))
        audit.write_log(session, [(name, 1, [Entry("decided", "something")])])
        connections.save_settings(session, name, "version = 1", author="t")
        cursors.ensure(session, name, cursors.RECEIPTS, "5")


def states(engine: Engine, name: str) -> list[tuple[str, str | None]]:
    with reading(engine) as session:
        of = text("SELECT state, reason FROM inbox WHERE connection = :name ORDER BY id")
        return [(row[0], row[1]) for row in session.execute(of, {"name": name}).all()]


def count_rows(engine: Engine, name: str) -> dict[str, int]:
    found = {}
    with reading(engine) as session:
        for table in SQLModel.metadata.sorted_tables:
            if "connection" in table.c:
                of = select(func.count()).select_from(table).where(table.c.connection == name)
                found[table.name] = session.execute(of).scalar_one()
    return {table: count for table, count in found.items() if count}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)  # another test holds both kinds equal to the tables
@pytest.mark.parametrize("module", ["gateway.privacy.retention", "gateway.cli.connections", "gateway.web.api"])
def test_a_process_that_purges_or_erases_knows_every_table(engine: Engine, module: str) -> None:
    """A table whose module nobody has imported would keep a removed connection's rows, and what mentions a person."""
    names = f"import {module}, sqlmodel; print(*sqlmodel.SQLModel.metadata.tables)"
    known = subprocess.run([sys.executable, "-c", names], check=True, capture_output=True, text=True).stdout.split()
    assert set(inspect(engine).get_table_names()) - {"alembic_version"} == set(known)


def age(engine: Engine) -> None:
    """As if the removal was some minutes ago."""
    with writing(engine) as session:
        session.execute(update(ConnectionRow).values(removed_at=moment(-300)))


def test_a_rename_changes_one_row_and_the_work_in_hand_goes_on(engine: Engine) -> None:
    connect(engine, "shop", "1")
    fill(engine, "shop")
    with writing(engine) as session:
        tokens.save_first(session, "shop", "refresh", SEAL)
    taken = claim_next(engine)
    assert taken is not None
    before = count_rows(engine, "shop")
    with writing(engine) as session:
        assert removal.rename(session, "shop", "winkel", actor="t") == "shop"
    with writing(engine) as session:
        finish(session, taken, Outcome(State.DONE))
        assert connections.find_key(session, "winkel") == "shop"
        found = connections.find(session, "shop", SEAL)
        assert links.find(session, "shop", LinkKind.DOCUMENT, "receipt:1") is not None
        assert [action.target for action in todo.find_actions(session, before=None, limit=1)[0]] == [
            "connection shop, now winkel"
        ]
    assert found is not None
    assert (found.display_name, found.mplus_secret) == ("winkel", "secret")
    assert count_rows(engine, "shop") == before
    assert startup.reseal(engine, SEAL) == 0
    assert receive(engine, "shop", "1") == [1]  # the same sale again: no second event


def test_a_name_that_cannot_be_given_is_refused(engine: Engine) -> None:
    for number, name in enumerate(("shop", "other", "first"), 1):
        connect(engine, name, str(number))
    with writing(engine) as session:
        removal.rename(session, "first", "second", actor="t")
    asked = {("nobody", "x"): 404, ("shop", "a/b"): 400, ("shop", ""): 400, ("shop", "other"): 409}
    for (called, wanted), status in (asked | {("shop", "first"): 409}).items():
        with writing(engine) as session, pytest.raises(Rejected) as refused:
            removal.rename(session, called, wanted, actor="t")
        assert refused.value.status == status, (called, wanted)


def test_a_connection_with_an_unusable_name_gets_a_new_one(engine: Engine) -> None:
    connect(engine, "a/b", "1")
    with writing(engine) as session:
        assert removal.rename(session, "a/b", "shop", actor="t") == "a/b"
        assert removal.rename(session, "shop", "shop", actor="t") == "a/b"


def test_what_waits_of_a_removed_connection_ends_with_the_reason(engine: Engine) -> None:
    connect(engine, "shop", "1")
    connect(engine, "other", "2")
    fill(engine, "other")
    receive(engine, "shop", *(str(n) for n in range(7)))
    with writing(engine) as session:
        for row_id, state in ((1, State.PARKED), (2, State.UNCERTAIN), (3, State.WAITING), (4, State.DONE)):
            of = text("UPDATE inbox SET state = :state WHERE connection = 'shop' AND entity_id = :id")
            session.execute(of, {"state": state, "id": str(row_id)})
    taken = claims.claim(engine, receive(engine, "shop", "6")[0])
    assert taken is not None
    outcome = removal.remove(engine, to_settings(), "shop", Data.KEEP, actor="t")
    assert (outcome.ended, outcome.revoked) == (5, None)
    why = "the connection shop was removed"
    unsure = f"{why}; whether the last write of this arrived is not known: look in the other system"
    ended = [(State.SKIPPED, why), (State.SKIPPED, why), (State.SKIPPED, unsure), (State.SKIPPED, why)]
    assert states(engine, "shop") == [*ended, (State.DONE, None), (State.SKIPPED, why), (State.WORKING, None)]
    receive(engine, "shop", "late")
    with writing(engine) as session:
        finish(session, taken, Outcome(State.WAITING, wait_seconds=5))
    removal.follow(engine, to_settings())
    assert {state for state, _ in states(engine, "shop")} == {State.SKIPPED, State.DONE}
    assert {state for state, _ in states(engine, "other")} == {State.RECEIVED}
    with reading(engine) as session:
        assert connections.names(session) == ["other"]
        assert [row for row in activity.find_polls(session) if row.connection == "shop"] == []


def test_an_event_whose_worker_died_does_not_stay_working(engine: Engine) -> None:
    connect(engine, "shop", "1")
    receive(engine, "shop", "1")
    assert claim_next(engine, seconds=0.0) is not None
    time.sleep(0.01)
    assert removal.remove(engine, to_settings(), "shop", Data.KEEP, actor="t").ended == 1
    ((state, reason),) = states(engine, "shop")
    assert (state, "not known" in (reason or "")) == (State.SKIPPED, True)


def test_company_till_and_name_are_free_again_and_kept_data_stay_apart(engine: Engine) -> None:
    connect(engine, "shop", "1")
    fill(engine, "shop")
    removal.remove(engine, to_settings(), "shop", Data.KEEP, actor="t")
    age(engine)
    removal.follow(engine, to_settings())
    with writing(engine) as session:
        key = connections.new_key(session, "shop")
        fresh = Connection(
            key, "1", "https://till/shop", "i", "s", "sub-shop", (), live=True, paused=None, display_name="shop"
        )
        connections.save(session, fresh, SEAL)
    with reading(engine) as session:
        assert key != "shop"
        assert connections.find_key(session, "shop") == key
        assert links.find(session, key, LinkKind.DOCUMENT, "receipt:1") is None
        assert links.find(session, "shop", LinkKind.DOCUMENT, "receipt:1") is not None
        assert connections.names_by_realm(session) == {"1": key}


def test_a_purge_leaves_nothing_but_the_audit_and_touches_no_neighbour(engine: Engine) -> None:
    for name, realm in (("shop", "1"), ("other", "2")):
        connect(engine, name, realm)
        fill(engine, name)
    neighbour = count_rows(engine, "other")
    removal.remove(engine, to_settings(), "shop", Data.PURGE, actor="t")
    removal.follow(engine, to_settings())
    assert count_rows(engine, "shop") == {}
    receive(engine, "shop", "late")
    age(engine)
    for _ in range(2):
        removal.follow(engine, to_settings())
    assert count_rows(engine, "shop") == {}
    assert count_rows(engine, "other") == neighbour
    with reading(engine) as session:
        assert list(connections.display_names(session)) == ["other"]
        assert [action.action for action in todo.find_actions(session, before=None, limit=5)[0]] == ["remove"]


def test_kept_data_can_be_purged_later(engine: Engine) -> None:
    connect(engine, "shop", "1")
    fill(engine, "shop")
    removal.remove(engine, to_settings(), "shop", Data.KEEP, actor="t")
    with pytest.raises(Rejected):
        removal.remove(engine, to_settings(), "shop", Data.KEEP, actor="t")
    removal.remove(engine, to_settings(), "shop", Data.PURGE, actor="t")
    removal.follow(engine, to_settings())
    assert count_rows(engine, "shop") == {}


def test_tokens_that_cannot_be_revoked_are_reported_and_deleted(engine: Engine) -> None:
    connect(engine, "shop", "1")
    with writing(engine) as session:
        tokens.save_first(session, "shop", "refresh", SEAL)
    outcome = removal.remove(engine, to_settings(), "shop", Data.KEEP, actor="t")
    assert (outcome.revoked, "disconnect the app" in (outcome.trouble or "")) == (False, True)
    with writing(engine) as session:
        assert tokens.find(session, "shop", SEAL) is None
        late = tokens.Tokens("access", None, "refresh", None)
        assert not tokens.replace(session, "shop", late, SEAL)  # a refresh that was under way
        newest = todo.find_actions(session, before=None, limit=1)[0][0]
    assert (newest.action, (newest.reason or "").startswith("not revoked")) == ("revoke", True)


def test_a_removal_whose_process_died_is_ended_by_the_clock(engine: Engine) -> None:
    connect(engine, "shop", "1")
    fill(engine, "shop")
    with writing(engine) as session:
        tokens.save_first(session, "shop", "refresh", SEAL)
        retention.begin_removal(session, "shop", connections.Status.PURGING)
    removal.follow(engine, to_settings())
    age(engine)
    for _ in range(2):
        removal.follow(engine, to_settings())
    assert count_rows(engine, "shop") == {}
    with reading(engine) as session:
        assert connections.display_names(session) == {}


def test_what_the_environment_describes_is_renamed_but_not_removed(engine: Engine) -> None:
    given = to_settings(MPLUS_URL="https://till", MPLUS_IDENT="i", MPLUS_SECRET="s")
    startup.seed(engine, given)
    with writing(engine) as session:
        removal.rename(session, "default", "shop", actor="t")
    with pytest.raises(Rejected, match="MPLUS_URL") as refused:
        removal.remove(engine, given, "shop", Data.KEEP, actor="t")
    assert refused.value.status == 409
    startup.seed(engine, given)
    with reading(engine) as session:
        assert connections.display_names(session) == {"default": "shop"}
    removal.remove(engine, to_settings(), "shop", Data.KEEP, actor="t")
    startup.seed(engine, given)
    with reading(engine) as session:
        (found,) = connections.every(session, SEAL)
    assert (found.name, found.display_name, found.mplus_url) == ("default~2", "default", "https://till")


@contextmanager
def longest_transaction(engine: Engine) -> Iterator[list[float]]:
    """Collects how long each transaction held its connection."""
    began: dict[int, float] = {}
    held: list[float] = []

    def begin(connection: Any) -> None:
        began[id(connection)] = time.perf_counter()

    def end(connection: Any) -> None:
        held.append(time.perf_counter() - began.pop(id(connection)))

    event.listen(engine, "begin", begin)
    event.listen(engine, "commit", end)
    try:
        yield held
    finally:
        event.remove(engine, "begin", begin)
        event.remove(engine, "commit", end)


def test_a_purge_is_many_short_transactions(engine: Engine) -> None:
    connect(engine, "shop", "1")
    for start in range(0, 6_000, 2_000):
        receive(engine, "shop", *(str(n) for n in range(start, start + 2_000)))
    removal.remove(engine, to_settings(), "shop", Data.PURGE, actor="t")
    (gone,) = _left(engine)
    with longest_transaction(engine) as held:
        taken = list(retention.purge_removed(engine, gone))
    assert (sum(taken), max(taken)) == (6_000, retention.BATCH)
    assert len(held) >= 6_000 // retention.BATCH


def _left(engine: Engine) -> list[retention.Removed]:
    with reading(engine) as session:
        return retention.find_removed(session)

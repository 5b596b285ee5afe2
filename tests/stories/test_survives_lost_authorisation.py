"""Tokens end, all at once or for good: one refresh whoever asks, and a lost connection that goes on when renewed."""

from __future__ import annotations

import time

import pytest

from tests.servers import wait_until
from tests.stories.memory import opened
from tests.stories.stage import REALM, Stage
from tests.stories.trade import effects, furnish, ring_up


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_64_an_expired_token_is_refreshed_once_by_all_of_two_processes(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start("clock", "worker")
    with opened(stage) as memory:
        memory.wait_for(1, entity="Item")
        before = len(stage.books.grants.accesses)
        stage.books.grants.expire_accesses(REALM)
        ring_up(stage, 8)
        rows = memory.wait_for(8, entity="Receipt")
        assert {(row.state, row.attempts) for row in rows} == {("done", 1)}
    assert len(stage.books.grants.accesses) == before + 1
    assert [call.status for call in stage.books.ledger.calls].count(401) >= 1
    assert effects(stage)["create"] == 8


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_66_a_revoked_connection_parks_its_work_until_a_new_token_comes(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start()
    with opened(stage) as memory:
        memory.wait_for(1, entity="Item")
        memory.wait_for(1, entity="Doctor")  # the reading of lists ends whatever it finds
        stage.kill("clock")  # so that an event finds it out, not a poll
        stage.send_webhooks()
        stage.books.grants.end_realm(REALM)
        ring_up(stage, 3)
        wait_until(lambda: memory.rows(state="parked"), seconds=60, what="whoever found it out to be parked")
        parked = stage.events(state="parked")
        assert all("connect" in event["fix"] and event["reason"] for event in parked)
        assert {row.state for row in memory.rows(entity="Receipt")} <= {"parked", "received"}  # none is tried in vain
        (connection,) = stage.admin("status")["connections"]
        assert connection["quickbooks"]["authorised"] is False
        assert connection["quickbooks"]["lost"]
        stage.kill("worker")
        fresh = stage.books.connect(REALM, "client")["refresh_token"]
        stage.start("clock", "worker", QUICKBOOKS_REFRESH_TOKEN=str(fresh))
        rows = memory.wait_for(3, entity="Receipt")
        assert {row.state for row in rows} == {"done"}
        (connection,) = stage.admin("status")["connections"]
        assert (connection["quickbooks"]["authorised"], connection["quickbooks"]["lost"]) == (True, None)
    assert effects(stage)["create"] == 3


@pytest.mark.parametrize("how", ["locked_out", "view_only"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_good_login_that_was_refused_for_a_while_costs_no_hand(stage: Stage, how: str) -> None:
    furnish(stage)
    stage.migrate()
    stage.start()
    with opened(stage) as memory:
        memory.wait_for(1, entity="Item")
        memory.wait_for(1, entity="Doctor")
        setattr(stage.books.companies[REALM], how, True)
        ring_up(stage, 5)
        wait_until(lambda: len(memory.rows(state="parked", entity="Receipt")) == 5, seconds=60, what="all to be parked")
        calls = len(stage.books.ledger.calls)
        ring_up(stage, 5)
        time.sleep(6)
        # One attempt at a time is made for the connection, whatever waits.
        assert len(stage.books.ledger.calls) - calls <= 5
        wait_until(lambda: stage.admin("status")["alerts"], seconds=30, what="an alert")
        assert [each["cause"].partition("/")[0] for each in stage.admin("status")["alerts"]] == ["refused"]
        setattr(stage.books.companies[REALM], how, False)
        began = time.monotonic()
        rows = memory.wait_for(10, entity="Receipt", seconds=60)
        assert time.monotonic() - began < 40
        assert {row.state for row in rows} == {"done"}
        assert not memory.rows(state="parked")
    assert effects(stage)["create"] == 10

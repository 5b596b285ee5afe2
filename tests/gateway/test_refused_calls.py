"""Calls that QuickBooks refuses although the login is good: one attempt for the connection, then everything goes on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import AUTH_LOST, AuthLost, Permanent, Transient
from gateway.store import inbox, tokens
from gateway.store.alerts import Thresholds, find_causes
from gateway.store.events import Change, Flow, State
from gateway.store.tables import InboxRow, TokenRow
from gateway.token_manager import TokenManager
from tests.gateway.test_token_manager import (
    CLIENT,
    NAME,
    REALM,
    SEAL,
    Intuit,
    Watching,
    due,
    held,
    intuit,
    never,
    rewind,
    token_manager,
    watching,
)

__all__ = ["intuit", "token_manager", "watching"]


@dataclass
class Books:
    """What is called with a token: it raises `error`, where there is one."""

    error: Exception | None = None
    seen: list[str] = field(default_factory=list)

    def __call__(self, token: str) -> None:
        self.seen.append(token)
        if self.error is not None:
            raise self.error


def park(engine: Engine) -> None:
    with writing(engine) as session:
        sale = Change(key="1", flow=Flow.ORDERS, source="poll", entity="Receipt", entity_id="1", connection=NAME)
        inbox.receive(session, [sale])
        assert inbox.park_lost(session, code=AUTH_LOST) == 1


def state(engine: Engine) -> str:
    with reading(engine) as session:
        return str(session.execute(select(col(InboxRow.state))).scalar_one())


def test_a_refused_call_stops_the_connection_with_one_alert(token_manager: TokenManager, engine: Engine) -> None:
    token_manager.access()
    token_manager.refuse("6190")
    with pytest.raises(AuthLost) as refused:
        token_manager.access()
    assert refused.value.fix == tokens.REFUSED
    park(engine)
    with reading(engine) as session:
        (cause,) = find_causes(session, Thresholds(timedelta(hours=1), 500_000))
    assert (cause.key, cause.detail) == (f"refused/{NAME}", "the company's QuickBooks subscription has ended")
    assert held(engine).refresh


def test_what_was_refused_goes_on_by_itself_when_it_is_accepted(token_manager: TokenManager, engine: Engine) -> None:
    token_manager.access()
    token_manager.refuse("3100")
    park(engine)
    assert due(engine) == []
    rewind(engine, 16)
    assert due(engine) == [NAME]
    refused = Books(AuthLost("still refused", code="3100"))
    assert not token_manager.try_again(refused)
    assert (len(refused.seen), state(engine), held(engine).lost_code) == (1, "parked", "3100")
    rewind(engine, 16)
    accepted = Books()
    assert token_manager.try_again(accepted)
    assert accepted.seen == [token_manager.access()]
    assert (state(engine), held(engine).lost, held(engine).lost_code) == ("received", None, None)


@pytest.mark.parametrize("error", [Transient("an outage"), Permanent("something else")])
def test_an_attempt_that_says_nothing_changes_nothing(
    token_manager: TokenManager, engine: Engine, error: Exception
) -> None:
    token_manager.access()
    token_manager.refuse("3200")
    rewind(engine, 16)
    with pytest.raises(type(error)):
        token_manager.try_again(Books(error))
    assert held(engine).lost_code == "3200"
    assert due(engine) == []


def test_attempts_become_rare_and_never_end(token_manager: TokenManager, engine: Engine) -> None:
    token_manager.access()
    token_manager.refuse("6190")
    refused, tried = Books(AuthLost("refused", code="6190")), list[int]()
    for minutes in range(12 * 60):
        rewind(engine, 60)
        if due(engine):
            assert not token_manager.try_again(refused)
            tried.append(minutes)
    assert tried[0] == 0
    assert tried[-1] >= 12 * 60 - 16
    assert {later - first for first, later in zip(tried[-5:], tried[-4:], strict=False)} <= {15, 16}
    assert 45 < len(tried) < 80


def test_a_person_who_tries_again_need_not_wait(token_manager: TokenManager, engine: Engine) -> None:
    token_manager.access()
    token_manager.refuse("6190")
    park(engine)
    assert due(engine) == []
    with writing(engine) as session:
        event_id = session.execute(select(col(InboxRow.id))).scalar_one()
        tokens.retry_at_once(session, [event_id])
    assert due(engine) == [NAME]


def test_a_login_made_during_a_refresh_is_not_overwritten(watching: Watching, engine: Engine, intuit: Intuit) -> None:
    token_manager, fresh = TokenManager(engine, NAME, watching, SEAL), ""
    rejected = token_manager.access()
    token_manager.refuse("3100")

    def somebody_reconnects() -> None:
        nonlocal fresh
        watching.before_answer = lambda: None
        fresh = str(intuit.simulation.connect(REALM, CLIENT)["refresh_token"])
        with writing(engine) as session:
            tokens.save_first(session, NAME, fresh, SEAL)

    watching.before_answer = somebody_reconnects
    assert token_manager.try_again(never)
    assert watching.used[-1] == fresh
    assert held(engine).lost is None
    assert token_manager.access() not in {rejected, None}


def test_refused_again_at_once_it_is_tried_no_more_often(token_manager: TokenManager, engine: Engine) -> None:
    token_manager.access()
    token_manager.refuse("3100")
    rewind(engine, 3600)
    assert token_manager.try_again(Books())
    token_manager.refuse("3100")
    rewind(engine, 600)
    assert due(engine) == []


def test_a_login_that_ended_meanwhile_is_no_refused_call(
    token_manager: TokenManager, engine: Engine, intuit: Intuit
) -> None:
    token_manager.access()
    token_manager.refuse("3200")
    intuit.simulation.grants.end_realm(REALM)
    rewind(engine, 16)
    assert not token_manager.try_again(Books())
    assert held(engine).lost
    assert held(engine).lost_code is None


def test_a_good_login_refused_once_after_long_refused_calls_is_sent_again(
    token_manager: TokenManager, engine: Engine
) -> None:
    token_manager.access()
    for is_accepted in (True, False):
        token_manager.refuse("6190")
        rewind(engine, 2 * 86_400)
        if is_accepted:
            assert token_manager.try_again(Books())
        with writing(engine) as session:
            tokens.mark_refused(session, NAME, "Intuit refuses the refresh token, as it does with good ones at times")
        rewind(engine, 16)
        assert due(engine) == [NAME]
        assert token_manager.try_again(Books())


def test_a_login_made_during_an_attempt_that_fails_stays_good(token_manager: TokenManager, engine: Engine) -> None:
    token_manager.access()
    token_manager.refuse("3100")

    def connect_again(token: str) -> None:
        with writing(engine) as session:
            tokens.save(session, NAME, replace(held(engine), lost=None, lost_code=None), token_manager.seal)
        raise Transient(f"no answer to {token[:1]}")

    with pytest.raises(Transient):
        token_manager.try_again(connect_again)
    assert held(engine).lost is None
    with reading(engine) as session:
        assert find_causes(session, Thresholds(timedelta(hours=1), 500_000)) == []


def test_a_code_that_the_release_before_left_is_no_refusal(token_manager: TokenManager, engine: Engine) -> None:
    token_manager.access()
    token_manager.refuse("3100")
    with writing(engine) as session:  # it knows no code, and clears what it knows
        session.execute(update(TokenRow).values(lost=None, lost_at=None))
    assert held(engine).lost_code is None
    token_manager.renew(token_manager.access())
    with reading(engine) as session:
        assert session.execute(select(col(TokenRow.lost_code))).scalar_one() is None


def test_a_call_that_the_till_refused_is_not_left_behind_a_thousand_others(
    token_manager: TokenManager, engine: Engine
) -> None:
    token_manager.access()
    parked = [Change(str(n), Flow.ORDERS, "t", "Receipt", str(n), NAME, state=State.PARKED) for n in range(1001)]
    with writing(engine) as session:
        ids = [each.id for each in inbox.receive(session, parked)]
        session.execute(update(InboxRow).values(code=AUTH_LOST, received_at=moment(-86_400), updated_at=moment()))
        session.execute(update(InboxRow).where(col(InboxRow.id) == ids[-1]).values(updated_at=moment(-3600)))
        assert inbox.find_refused(session, NAME) == [ids[-1]]

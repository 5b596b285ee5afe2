"""The token manager: one refresh for all callers, stored before use, and lost only when QuickBooks refuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import httpx
import pytest
from sqlalchemy import Engine, select, update
from sqlmodel import col

from gateway.connectors.quickbooks.auth import OAuth, TokenPair
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, reading, writing
from gateway.database.sql import moment
from gateway.errors import AUTH_LOST, AuthLost, NotConnected, Transient
from gateway.privacy import retention
from gateway.store import connections, inbox, tokens
from gateway.store.connections import Connection
from gateway.store.events import Change, Flow
from gateway.store.tables import InboxRow, LeaseRow, TokenRow
from gateway.store.tokens import Tokens
from gateway.token_manager import MARGIN, TokenManager
from sandbox.quickbooks.app import create_app
from sandbox.quickbooks.simulation import Simulation
from tests import forking

REALM, CLIENT, KEY = "4620816365", "client", "a-secret-key-of-good-length"
SEAL = Seal([KEY])
NAME = "default"
Made = TypeVar("Made", bound=OAuth)


class Intuit:
    """The simulated token endpoint and its requests."""

    def __init__(self, serve: Callable[..., str]) -> None:
        self.simulation = Simulation()
        self.simulation.add_company(REALM)
        self.simulation.register_app(CLIENT, "client-secret", "*")
        self.url = serve(create_app(self.simulation))
        self.first = str(self.simulation.connect(REALM, CLIENT)["refresh_token"])
        self._before = self.issued

    @property
    def issued(self) -> int:
        """Access tokens made so far."""
        return len(self.simulation.grants.accesses)

    @property
    def refreshes(self) -> int:
        """Refreshes that succeeded."""
        return self.issued - self._before


def to_oauth(url: str, http: httpx.Client, kind: type[Made]) -> Made:
    return kind(
        http,
        client_id=CLIENT,
        client_secret="client-secret",
        authorize_url=f"{url}/connect/oauth2",
        token_url=f"{url}/oauth2/v1/tokens/bearer",
        revoke_url=f"{url}/v2/oauth2/tokens/revoke",
    )


@pytest.fixture
def intuit(serve: Callable[..., str], engine: Engine) -> Intuit:
    made = Intuit(serve)
    with writing(engine) as session:
        tokens.save_first(session, NAME, made.first, SEAL)
    return made


@pytest.fixture
def token_manager(intuit: Intuit, engine: Engine) -> Iterator[TokenManager]:
    with httpx.Client() as http:
        yield TokenManager(engine, NAME, to_oauth(intuit.url, http, OAuth), SEAL)


def held(engine: Engine) -> Tokens:
    with reading(engine) as session:
        found = tokens.find(session, NAME, SEAL)
    assert found is not None
    return found


def age(engine: Engine, *, left: timedelta) -> None:
    """Let the stored access token be one that ends this soon."""
    now = held(engine)
    with writing(engine) as session:
        aged = Tokens(now.access, datetime.now(UTC) + left, now.refresh, now.refresh_expires_at)
        tokens.save(session, NAME, aged, SEAL)


def test_64_eight_threads_whose_token_was_refused_share_one_refresh(
    token_manager: TokenManager, intuit: Intuit, engine: Engine
) -> None:
    refused = token_manager.access()
    with ThreadPoolExecutor(8) as pool:
        fresh = set(pool.map(token_manager.renew, [refused] * 8))
    assert len(fresh) == 1
    assert refused not in fresh
    assert intuit.refreshes == 2  # the first token, and the one that replaced it
    assert held(engine).access in fresh


def ask_with_four_threads(database_url: str, url: str, barrier: Any, answers: Any) -> None:
    """What each of two processes does."""
    engine = open_engine(database_url)
    with httpx.Client() as http, ThreadPoolExecutor(4) as pool:
        token_manager = TokenManager(engine, NAME, to_oauth(url, http, OAuth), SEAL)
        barrier.wait(30)
        answers.put(sorted(set(pool.map(lambda _: token_manager.access(), range(4)))))
    engine.dispose()


def test_65_two_processes_that_need_a_token_at_once_make_one_refresh(intuit: Intuit, migrated_url: str) -> None:
    context = forking.context
    barrier, answers = context.Barrier(2), context.Queue()
    asking = [
        context.Process(target=ask_with_four_threads, args=(migrated_url, intuit.url, barrier, answers))
        for _ in range(2)
    ]
    for process in asking:
        process.start()
    first, second = answers.get(timeout=40), answers.get(timeout=40)
    for process in asking:
        process.join(20)
    assert first == second
    assert len(first) == 1
    assert intuit.refreshes == 1


def test_only_a_token_that_ends_within_the_margin_is_replaced(
    token_manager: TokenManager, intuit: Intuit, engine: Engine
) -> None:
    first = token_manager.access()
    age(engine, left=MARGIN + timedelta(seconds=20))
    assert token_manager.access() == first
    age(engine, left=MARGIN - timedelta(seconds=5))
    assert token_manager.access() != first
    assert intuit.refreshes == 2


class Watching(OAuth):
    """Notes the refresh tokens it is given; `before_answer` runs before each answer."""

    used: list[str]
    before_answer: Callable[[], None]

    def refresh(self, refresh_token: str) -> TokenPair:
        self.used.append(refresh_token)
        self.before_answer()
        return super().refresh(refresh_token)


@pytest.fixture
def watching(intuit: Intuit) -> Iterator[Watching]:
    with httpx.Client() as http:
        made = to_oauth(intuit.url, http, Watching)
        made.used, made.before_answer = [], lambda: None
        yield made


def test_the_rotated_token_is_stored_when_the_access_token_is_handed_out(
    watching: Watching, engine: Engine, intuit: Intuit
) -> None:
    token_manager = TokenManager(engine, NAME, watching, SEAL)
    access = token_manager.access()
    stored = held(engine)
    assert stored.access == access
    assert stored.refresh not in {None, intuit.first}
    token_manager.renew(access)
    assert watching.used == [intuit.first, stored.refresh]


def test_invalid_grant_after_a_rotation_is_retried_with_the_stored_token(
    watching: Watching, engine: Engine, intuit: Intuit
) -> None:
    def somebody_reconnects() -> None:
        watching.before_answer = lambda: None
        intuit.simulation.grants.end_realm(REALM)
        fresh = str(intuit.simulation.connect(REALM, CLIENT)["refresh_token"])
        with writing(engine) as session:
            tokens.save_first(session, NAME, fresh, SEAL)

    watching.before_answer = somebody_reconnects
    assert TokenManager(engine, NAME, watching, SEAL).access()
    assert len(watching.used) == 2
    assert held(engine).lost is None


def test_66_a_revoked_grant_is_recorded_as_lost_and_asked_for_only_once(
    watching: Watching, engine: Engine, intuit: Intuit
) -> None:
    intuit.simulation.grants.end_realm(REALM)
    token_manager = TokenManager(engine, NAME, watching, SEAL)
    for _ in range(3):
        with pytest.raises(AuthLost) as lost:
            token_manager.access()
        assert lost.value.fix
    assert len(watching.used) == 1
    assert held(engine).lost
    assert held(engine).refresh == intuit.first


def never(token: str) -> None:
    raise AssertionError("the login was refused, not a call")


def due(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return tokens.find_refused(session)


def rewind(engine: Engine, seconds: float) -> None:
    """Let the refusal, and the last attempt after it, be so much older."""
    with writing(engine) as session:
        row = session.get(TokenRow, NAME)
        assert row is not None
        assert row.lost_at is not None
        row.lost_at, row.updated_at = (each - timedelta(seconds=seconds) for each in (row.lost_at, row.updated_at))


def test_a_good_token_refused_once_is_sent_again_and_work_goes_on(
    watching: Watching, engine: Engine, intuit: Intuit
) -> None:
    intuit.simulation.injected.plan("POST token", "invalid_grant")
    token_manager = TokenManager(engine, NAME, watching, SEAL)
    with pytest.raises(AuthLost):
        token_manager.access()
    with writing(engine) as session:
        sale = Change(key="1", flow=Flow.ORDERS, source="poll", entity="Receipt", entity_id="1", connection=NAME)
        inbox.receive(session, [sale])
        assert inbox.park_lost(session, code=AUTH_LOST) == 1
    assert due(engine) == []
    rewind(engine, 16)
    assert due(engine) == [NAME]
    assert token_manager.try_again(never)
    assert held(engine).lost is None
    assert token_manager.access() == held(engine).access
    assert watching.used == [intuit.first] * 2
    with reading(engine) as session:
        assert session.execute(select(col(InboxRow.state))).scalar_one() == "received"


def test_a_revoked_token_is_sent_again_ever_more_seldom_for_a_day(
    watching: Watching, engine: Engine, intuit: Intuit
) -> None:
    intuit.simulation.grants.end_realm(REALM)
    token_manager = TokenManager(engine, NAME, watching, SEAL)
    with pytest.raises(AuthLost):
        token_manager.access()
    tried = []
    for minutes in range(2 * 24 * 60):
        rewind(engine, 60)
        if due(engine):
            assert not token_manager.try_again(never)
            tried.append(minutes)
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert tried[0] == 0
    # About twice as long each time: the loop takes some time of its own.
    assert all(1.5 * earlier - 1 <= later <= 2 * earlier + 2 for earlier, later in pairwise(waits)), waits
    assert len(waits) >= 8
    assert tried[-1] < 24 * 60
    assert held(engine).lost
    assert held(engine).refresh == intuit.first


def test_an_outage_while_a_refused_token_is_sent_again_changes_nothing(
    token_manager: TokenManager, intuit: Intuit, engine: Engine
) -> None:
    intuit.simulation.injected.plan("POST token", "invalid_grant")
    with pytest.raises(AuthLost):
        token_manager.access()
    rewind(engine, 16)
    intuit.simulation.injected.plan("POST token", "error_500")
    with pytest.raises(Transient):
        token_manager.try_again(never)
    assert held(engine).lost
    assert due(engine) == [], "an attempt that failed is sent again at once"
    rewind(engine, 20)
    assert due(engine) == [NAME]
    assert token_manager.try_again(never)


def test_the_token_of_a_removed_connection_is_not_sent_again(engine: Engine, token_manager: TokenManager) -> None:
    with writing(engine) as session:
        connections.save(session, Connection(NAME, REALM, None, None, None, None, (), live=True, paused=None), SEAL)
        tokens.mark_refused(session, NAME, "refused")
        retention.begin_removal(session, NAME, connections.Status.REMOVED)
    rewind(engine, 16)
    assert due(engine) == []


@pytest.mark.parametrize("mode", ["error_500", "html_502", "reset", "throttle"])
def test_66_a_transient_failure_of_a_refresh_keeps_the_connection(
    token_manager: TokenManager, intuit: Intuit, engine: Engine, mode: str
) -> None:
    intuit.simulation.injected.plan("POST token", mode)
    with pytest.raises(Transient):
        token_manager.access()
    assert held(engine).lost is None
    assert token_manager.access()  # the right to refresh was given back


@pytest.mark.parametrize("mode", ["lost_reply", "truncate"])
def test_65_a_refresh_whose_answer_is_lost_is_made_again(
    token_manager: TokenManager, intuit: Intuit, engine: Engine, mode: str
) -> None:
    intuit.simulation.switches.rotate_refresh_token = "daily"
    intuit.simulation.injected.plan("POST token", mode)
    with pytest.raises(Transient):
        token_manager.access()
    assert token_manager.access()
    assert held(engine).lost is None


@pytest.mark.parametrize("mode", ["lost_reply", "truncate"])
def test_65_a_rotation_whose_answer_is_lost_asks_for_a_reconnect(
    token_manager: TokenManager, intuit: Intuit, engine: Engine, mode: str
) -> None:
    intuit.simulation.injected.plan("POST token", mode)
    with pytest.raises(Transient):
        token_manager.access()
    assert held(engine).lost is None  # no alert before QuickBooks has refused the old one
    with pytest.raises(AuthLost) as lost:
        token_manager.access()
    assert "connect QuickBooks again" in (lost.value.fix or "")
    assert held(engine).lost


def test_65_a_crash_before_the_commit_is_repaired_by_the_old_token(
    token_manager: TokenManager, intuit: Intuit, engine: Engine
) -> None:
    intuit.simulation.switches.rotate_refresh_token = "daily"
    token_manager.refresher.refresh(intuit.first)  # answered, and the process was killed before it stored the answer
    assert token_manager.access()
    assert held(engine).lost is None


def test_65_a_crash_after_a_rotation_is_never_silent(
    token_manager: TokenManager, intuit: Intuit, engine: Engine
) -> None:
    token_manager.refresher.refresh(intuit.first)
    with pytest.raises(AuthLost):
        token_manager.access()
    assert held(engine).lost


def test_65_the_refresh_lease_of_a_killed_process_is_taken_over(token_manager: TokenManager, engine: Engine) -> None:
    assert tokens.take(engine, NAME)
    assert tokens.take(engine, NAME) is None
    with writing(engine) as session:
        session.execute(update(LeaseRow).values(leased_until=moment(-1)))
    assert token_manager.access()


def test_a_connection_that_was_never_authorised_says_so(engine: Engine, watching: Watching) -> None:
    with pytest.raises(NotConnected, match="never connected"):
        TokenManager(engine, "another", watching, SEAL).access()


def test_a_lost_connection_is_named_by_its_present_name(engine: Engine, token_manager: TokenManager) -> None:
    with writing(engine) as session:
        connections.save(session, Connection(NAME, REALM, None, None, None, None, (), live=True, paused=None), SEAL)
        connections.rename(session, NAME, "winkel")
        tokens.mark_refused(session, NAME, "the company was disconnected")
    with pytest.raises(AuthLost) as lost:
        token_manager.access()
    assert lost.value.record == "connection winkel"


def test_no_token_lies_in_the_database_in_the_clear(token_manager: TokenManager, engine: Engine) -> None:
    access = token_manager.access()
    with reading(engine) as session:
        row = session.connection().exec_driver_sql("SELECT * FROM tokens").one()
    assert access not in repr(row)
    assert str(held(engine).refresh) not in repr(row)
    assert access not in repr(held(engine))

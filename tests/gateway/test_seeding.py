"""Seeding: a deployment by variables alone is live at once; a later start changes only what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway import settings, startup
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.errors import AUTH_LOST
from gateway.queries import activity
from gateway.settings import Settings, SettingsError
from gateway.store import claims, connections, cursors, inbox, requests, tokens
from gateway.store.connections import DEFAULT, Connection
from gateway.store.events import NORMAL, Change, Flow, Outcome, State
from gateway.store.tokens import Tokens
from mapping.records import LineAmounts
from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation
from tests.claiming import finish
from tests.servers import find_free_port

KEY = "a-secret-key-of-good-length"
SEAL = Seal([KEY])
BARE = {"SECRET_KEY": KEY, "ADMIN_TOKEN": "an-admin-token-of-good-length"}
TILL = {"MPLUS_URL": "https://till.example:1", "MPLUS_IDENT": "ident", "MPLUS_SECRET": "secret"}
BOOKS = {"QUICKBOOKS_REALM_ID": "4620816365", "QUICKBOOKS_REFRESH_TOKEN": "first"}


def given(**more: str) -> Settings:
    return settings.read({**BARE, **more})


def connection(engine: Engine) -> Connection | None:
    with reading(engine) as session:
        return connections.find(session, DEFAULT, SEAL)


def refresh_token(engine: Engine) -> str | None:
    with reading(engine) as session:
        held = tokens.find(session, DEFAULT, SEAL)
    return held.refresh if held else None


def park(engine: Engine, key: str, code: str) -> int:
    change = Change(key, Flow.ORDERS, "test", "Receipt", key, connection=DEFAULT)
    with writing(engine) as session:
        (received,) = inbox.receive(session, [change])
    event = claims.claim(engine, received.id)
    assert event is not None
    with writing(engine) as session:
        finish(session, event, Outcome(State.PARKED, reason="x", code=code))
    return received.id


def test_variables_make_a_live_connection_and_a_second_start_none(engine: Engine) -> None:
    for _ in range(2):
        startup.seed(engine, given(**TILL, **BOOKS))
    made = connection(engine)
    assert made is not None
    assert (made.live, made.realm_id, made.mplus_url) == (True, "4620816365", "https://till.example:1")
    assert refresh_token(engine) == "first"


def test_an_environment_that_says_nothing_makes_nothing(engine: Engine) -> None:
    startup.seed(engine, given())
    assert connection(engine) is None
    assert refresh_token(engine) is None


def test_a_later_environment_replaces_only_what_it_names(engine: Engine) -> None:
    startup.seed(engine, given(**TILL, **BOOKS))
    with writing(engine) as session:
        connections.pause(session, DEFAULT, "the bookkeeper asked")
    startup.seed(engine, given(**{**TILL, "MPLUS_SECRET": "another"}))
    now = connection(engine)
    assert now is not None
    assert (now.mplus_secret, now.realm_id, now.paused) == ("another", "4620816365", "the bookkeeper asked")


def test_a_rotated_token_survives_a_restart_with_the_variable_it_came_from(engine: Engine) -> None:
    startup.seed(engine, given(**TILL, **BOOKS))
    with writing(engine) as session:
        tokens.save(session, DEFAULT, Tokens(None, None, "rotated", None), SEAL)
    startup.seed(engine, given(**TILL, **BOOKS))
    assert refresh_token(engine) == "rotated"


@pytest.mark.parametrize("news", [{"QUICKBOOKS_REFRESH_TOKEN": "second"}, {"MPLUS_SECRET": "another"}])
def test_66_new_credentials_resume_only_what_was_parked_for_them(engine: Engine, news: dict[str, str]) -> None:
    startup.seed(engine, given(**TILL, **BOOKS))
    lost, other = park(engine, "a", AUTH_LOST), park(engine, "b", "6240")
    with writing(engine) as session:
        connections.learn_line_amounts(session, DEFAULT, LineAmounts.EXACT)  # what was learnt is no news either
    startup.seed(engine, given(**TILL, **BOOKS))
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=9) == []
    startup.seed(engine, given(**TILL | BOOKS | news))
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=9) == [lost]
    assert other != lost


def test_a_settings_file_is_applied_once_and_a_wrong_one_stops_the_start(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text("[orders]\ninvoices = false\n", "utf-8")
    for _ in range(2):
        startup.seed(engine, given(**TILL, SETTINGS_FILE=str(file)))
    with reading(engine) as session:
        assert connections.newest_settings(session, DEFAULT) == (1, "[orders]\ninvoices = false\n")
        (asked,) = activity.find_requests(session, requests.DOCTOR, limit=9)
    assert (asked.connection, asked.state, asked.priority) == (DEFAULT, "received", NORMAL)
    file.write_text("[orders]\nno_such_setting = 1\n", "utf-8")
    with pytest.raises(SettingsError, match="SETTINGS_FILE"):
        startup.seed(engine, given(**TILL, SETTINGS_FILE=str(file)))
    with pytest.raises(SettingsError, match="SETTINGS_FILE"):
        startup.seed(engine, given(**TILL, SETTINGS_FILE=str(tmp_path / "absent.toml")))


def test_cursors_begin_at_the_till_s_markers_and_only_once(engine: Engine, serve: Callable[..., str]) -> None:
    till = Simulation(ident="ident", secret="secret")
    article = {"articleNumber": 1, "description": "x", "priceIncl": 100, "vatCode": 2, "turnoverGroup": 1}
    till.add_product({"description": "x", "articleList": {"article": [article]}})
    till.sell(lines=[ItemSold(1)])
    found = given(**{**TILL, "MPLUS_URL": serve(create_app(till))})
    startup.seed(engine, found)
    assert startup.begin_cursors(engine, found)
    with reading(engine) as session:
        begun = cursors.find(session, DEFAULT, cursors.RECEIPTS)
    assert int(begun or 0) > 0
    till.sell(lines=[ItemSold(1)])
    assert startup.begin_cursors(engine, found)
    with reading(engine) as session:
        assert cursors.find(session, DEFAULT, cursors.RECEIPTS) == begun
        assert cursors.find(session, DEFAULT, cursors.BOOKS)


def test_a_till_that_cannot_be_asked_is_said_and_stops_nothing(engine: Engine) -> None:
    found = given(**{**TILL, "MPLUS_URL": f"http://127.0.0.1:{find_free_port()}"})
    startup.seed(engine, found)
    assert not startup.begin_cursors(engine, found)
    with reading(engine) as session:
        assert cursors.find(session, DEFAULT, cursors.RECEIPTS) is None


def test_f9_a_start_makes_nothing_live_that_somebody_is_setting_up_by_hand(engine: Engine) -> None:
    with writing(engine) as session:
        typed = Connection(DEFAULT, None, "https://till.example:1", "i", "s", None, (), live=False, paused=None)
        connections.save(session, typed, SEAL)
    startup.seed(engine, given(**BOOKS))
    made = connection(engine)
    assert made is not None
    assert (made.live, made.realm_id, made.mplus_url) == (False, "4620816365", "https://till.example:1")
    startup.seed(engine, given(**TILL, **BOOKS))
    named = connection(engine)
    assert named is not None
    assert named.live

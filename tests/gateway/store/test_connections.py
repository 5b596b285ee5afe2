"""Connections: secrets sealed, one per company, paused and let go on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.store import connections
from gateway.store.connections import Connection
from mapping.records import LineAmounts

SEAL = Seal(["a-secret-key-of-good-length"])
SHOP = Connection(
    "shop", "4620816365", "https://till.example:1", "marked-ident", "marked-secret", "s-1", ("marked-1", "marked-2"),
    live=False, paused=None,
)  # fmt: skip


def save(engine: Engine, connection: Connection) -> None:
    with writing(engine) as session:
        connections.save(session, connection, SEAL)


def find(engine: Engine, name: str) -> Connection | None:
    with reading(engine) as session:
        return connections.find(session, name, SEAL)


def test_a_connection_is_read_as_saved_and_its_secrets_are_sealed(engine: Engine) -> None:
    save(engine, SHOP)
    assert find(engine, "shop") == SHOP
    assert find(engine, "another") is None
    with reading(engine) as session:
        assert "marked" not in repr(session.execute(text("SELECT * FROM connections")).one())
    assert "marked" not in repr(SHOP)


def test_saving_again_replaces_the_connection(engine: Engine) -> None:
    save(engine, SHOP)
    changed = replace(SHOP, mplus_secret=None, mplus_webhook_secrets=(), realm_id="1")
    save(engine, changed)
    assert find(engine, "shop") == changed


def test_what_was_learnt_of_a_company_stays_until_another_is_connected(engine: Engine) -> None:
    save(engine, SHOP)
    with writing(engine) as session:
        connections.learn_line_amounts(session, "shop", LineAmounts.EXACT)
    save(engine, replace(SHOP, mplus_secret="another"))
    assert find(engine, "shop") == replace(SHOP, mplus_secret="another", line_amounts=LineAmounts.EXACT)
    save(engine, replace(SHOP, realm_id="1"))
    assert find(engine, "shop") == replace(SHOP, realm_id="1")


def test_a_company_of_the_books_belongs_to_one_connection(engine: Engine) -> None:
    save(engine, SHOP)
    with pytest.raises(IntegrityError):
        save(engine, replace(SHOP, name="second"))
    save(engine, replace(SHOP, name="second", realm_id=None))
    with reading(engine) as session:
        assert connections.names(session) == ["second", "shop"]
        assert connections.names_by_realm(session) == {"4620816365": "shop"}


def test_a_pause_has_a_reason_and_a_persons_go_ends_it(engine: Engine) -> None:
    save(engine, SHOP)
    with writing(engine) as session:
        connections.pause(session, "shop", "the bookkeeper asked")
    paused = find(engine, "shop")
    assert paused is not None
    assert (paused.live, paused.paused) == (False, "the bookkeeper asked")
    with writing(engine) as session:
        connections.go_live(session, "shop")
    live = find(engine, "shop")
    assert live is not None
    assert (live.live, live.paused) == (True, None)


def test_holding_a_connection_to_change_it_loses_no_concurrent_change(engine: Engine) -> None:
    save(engine, SHOP)
    with ThreadPoolExecutor(1) as pool:
        with writing(engine) as session:
            held = connections.find(session, "shop", SEAL, hold=True)
            assert held is not None
            going = pool.submit(_let_live, engine)
            time.sleep(0.3)  # it waits for us
            assert not going.done()
            connections.save(session, replace(held, mplus_secret="another"), SEAL)
        going.result(timeout=20)
    assert find(engine, "shop") == replace(SHOP, mplus_secret="another", live=True)


def _let_live(engine: Engine) -> None:
    with writing(engine) as session:
        connections.go_live(session, "shop")

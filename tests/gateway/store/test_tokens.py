"""Tokens at rest: sealed, planted once, leased to one process at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import Engine, text, update

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.store import tokens
from gateway.store.tables import LeaseRow
from gateway.store.tokens import Tokens

SEAL = Seal(["a-secret-key-of-good-length"])
WHEN = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def find(engine: Engine) -> Tokens | None:
    with reading(engine) as session:
        return tokens.find(session, "c", SEAL)


def plant(engine: Engine, token: str) -> bool:
    with writing(engine) as session:
        return tokens.save_first(session, "c", token, SEAL)


def test_tokens_come_back_as_they_were_saved_and_lie_sealed(engine: Engine) -> None:
    saved = Tokens("marked-access", WHEN, "marked-refresh", WHEN, hard_expires_at=WHEN)
    with writing(engine) as session:
        tokens.save(session, "c", saved, SEAL)
    assert find(engine) == saved
    with reading(engine) as session:
        lying = repr(session.execute(text("SELECT * FROM tokens")).one())
    assert "marked" not in lying
    assert "marked" not in repr(saved)


def test_a_connection_that_was_never_authorised_has_none(engine: Engine) -> None:
    assert find(engine) is None


def test_a_token_of_the_environment_is_stored_once_and_replaces_no_newer(engine: Engine) -> None:
    assert plant(engine, "from-the-environment")
    with writing(engine) as session:
        tokens.save(session, "c", Tokens("access", WHEN, "rotated", WHEN), SEAL)
    assert not plant(engine, "from-the-environment")
    held = find(engine)
    assert held is not None
    assert held.refresh == "rotated"


def test_66_another_token_from_the_environment_heals_a_lost_connection(engine: Engine) -> None:
    plant(engine, "first")
    with writing(engine) as session:
        tokens.mark_refused(session, "c", "revoked")
    lost = find(engine)
    assert lost is not None
    assert (lost.lost, lost.refresh) == ("revoked", "first")
    assert not plant(engine, "first")
    assert plant(engine, "second")
    healed = find(engine)
    assert healed is not None
    assert (healed.lost, healed.access, healed.refresh) == (None, None, "second")


def test_65_one_process_refreshes_until_it_releases_or_its_lease_ends(engine: Engine) -> None:
    plant(engine, "first")
    with ThreadPoolExecutor(8) as pool:
        leases = [lease for lease in pool.map(lambda _: tokens.take(engine, "c"), range(8)) if lease]
    assert len(leases) == 1
    tokens.release(engine, "somebody else's lease")
    assert tokens.take(engine, "c") is None
    tokens.release(engine, leases[0])
    assert tokens.take(engine, "c")
    assert tokens.take(engine, "c") is None
    with writing(engine) as session:
        session.execute(update(LeaseRow).values(leased_until=moment(-1)))
    assert tokens.take(engine, "c")

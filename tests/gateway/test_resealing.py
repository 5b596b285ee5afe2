"""Key rotation: secrets move to the newest key, a wrong key changes nothing; idle and lost tokens are minded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text, update

from gateway import settings, startup
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import AUTH_LOST, Permanent
from gateway.store import connections, counts, inbox, tokens
from gateway.store.connections import Connection
from gateway.store.events import URGENT, Change, Flow, State
from gateway.store.tables import ConnectionRow, MeterRow, TokenRow
from tests.claiming import claim_next
from tests.gateway.database.test_sealing import seal_as_before

OLD, NEW, WRONG = "the-old-secret-key-of-tests", "the-new-secret-key-of-tests", "a-key-that-fits-nothing-here"


def store(engine: Engine) -> None:
    made = Connection("shop", "1", "https://till", "ident", "secret", None, ("hook",), live=True, paused=None)
    with writing(engine) as session:
        connections.save(session, made, Seal([OLD]))
        tokens.save_first(session, "shop", "refresh-token", Seal([OLD]))


def everything(engine: Engine) -> list[object]:
    with reading(engine) as session:
        return [tuple(r) for t in ("connections", "tokens") for r in session.execute(text(f"SELECT * FROM {t}"))]  # noqa: S608


def test_after_a_rotation_the_newest_key_alone_opens_everything(engine: Engine) -> None:
    store(engine)
    assert startup.reseal(engine, Seal([NEW, OLD])) == 4
    assert startup.reseal(engine, Seal([NEW, OLD])) == 0
    with reading(engine) as session:
        found = connections.find(session, "shop", Seal([NEW]))
        held = tokens.find(session, "shop", Seal([NEW]))
    assert found is not None
    assert held is not None
    assert (found.mplus_ident, found.mplus_webhook_secrets, held.refresh) == ("ident", ("hook",), "refresh-token")


def test_a_secret_sealed_by_the_release_before_opens_and_is_bound(engine: Engine) -> None:
    store(engine)
    older = {"mplus_secret_sealed": seal_as_before("secret", OLD), "mplus_ident_sealed": seal_as_before("ident", OLD)}
    with writing(engine) as session:
        session.execute(update(ConnectionRow).values(**older))
        session.execute(update(TokenRow).values(refresh_sealed=seal_as_before("refresh-token", OLD)))
        before = connections.find(session, "shop", Seal([OLD]))
        held = tokens.find(session, "shop", Seal([OLD]))
    assert before is not None
    assert held is not None
    assert (before.mplus_ident, before.mplus_secret, held.refresh) == ("ident", "secret", "refresh-token")
    assert startup.reseal(engine, Seal([OLD])) == 3
    assert startup.reseal(engine, Seal([OLD])) == 0
    with writing(engine) as session:
        assert connections.find(session, "shop", Seal([OLD])) == before
        session.execute(update(ConnectionRow).values(mplus_ident_sealed=ConnectionRow.mplus_secret_sealed))
    with pytest.raises(Permanent):
        startup.check_keys(engine, Seal([OLD]))


def test_with_a_wrong_key_nothing_starts_and_nothing_is_overwritten(engine: Engine) -> None:
    store(engine)
    before = everything(engine)
    given = settings.read(
        {
            "SECRET_KEY": WRONG,
            "ADMIN_TOKEN": "an-admin-token-for-tests",
            "MPLUS_URL": "https://till",
            "MPLUS_IDENT": "ident",
            "MPLUS_SECRET": "secret",
            "QUICKBOOKS_REALM_ID": "1",
            "QUICKBOOKS_REFRESH_TOKEN": "another",
        }
    )
    for start in (
        lambda: startup.seed(engine, given),
        lambda: startup.reseal(engine, Seal([WRONG])),
        lambda: startup.check_keys(engine, Seal([WRONG])),
    ):
        with pytest.raises(Permanent) as refused:
            start()
        assert refused.value.field == "SECRET_KEY"
        assert "\n" not in f"{refused.value.reason}; {refused.value.fix}"
    assert everything(engine) == before


def test_secrets_of_a_lost_key_are_cleared_and_can_be_set_again(engine: Engine) -> None:
    store(engine)
    with writing(engine) as session:
        tokens.mark_refused(session, "shop", "its subscription has ended", "6190")
    assert startup.forget_locked(engine, Seal([NEW, OLD])) == 0
    assert startup.forget_locked(engine, Seal([NEW])) == 4
    startup.check_keys(engine, Seal([NEW]))
    with writing(engine) as session:
        kept = connections.find(session, "shop", Seal([NEW]))
        held = tokens.find(session, "shop", Seal([NEW]))
        assert kept is not None
        assert (kept.realm_id, kept.mplus_url, kept.mplus_secret, kept.live) == ("1", "https://till", None, True)
        assert held is not None
        assert (held.refresh, held.lost, held.lost_code) == (None, startup.LOCKED, None)
        assert tokens.save_first(session, "shop", "refresh-token", Seal([NEW]))
        again = tokens.find(session, "shop", Seal([NEW]))
    assert again is not None
    assert (again.refresh, again.lost) == ("refresh-token", None)


def test_only_tokens_without_a_recent_refresh_are_idle(engine: Engine) -> None:
    store(engine)
    with reading(engine) as session:
        assert tokens.find_idle(session, seconds=86_400) == []
    with writing(engine) as session:
        session.execute(update(TokenRow).values(updated_at=moment(-90_000)))
        assert tokens.find_idle(session, seconds=86_400) == ["shop"]
        tokens.mark_refused(session, "shop", "revoked")
        assert tokens.find_idle(session, seconds=86_400) == []


def test_a_lost_authorisation_parks_events_until_reconnected(
    engine: Engine,
) -> None:
    store(engine)
    about: dict[str, Any] = {"source": "t", "connection": "shop", "entity_id": "1"}
    changes = [
        Change(key="1", flow=Flow.ORDERS, entity="Receipt", order_id="1.2.2026.9", **about),
        Change(key="2", flow=Flow.PRODUCTS, entity="Item", sku="801", **about),
        Change(key="3", flow=Flow.ORDERS, entity="Doctor", priority=URGENT, **about),
        Change(key="4", flow=Flow.ORDERS, entity="Session", **about),
    ]
    with writing(engine) as session:
        inbox.receive(session, changes)
        assert inbox.park_lost(session, code=AUTH_LOST) == 0
        tokens.mark_refused(session, "shop", "revoked")
        assert inbox.park_lost(session, code=AUTH_LOST) == 2
        rows = session.execute(text("SELECT state, code, reason, attempts, record FROM inbox ORDER BY id")).all()
    parked, waits = (State.PARKED, AUTH_LOST, "revoked"), (State.RECEIVED, None, None, 0, None)
    names = ("receipt 1.2.2026.9", "item with SKU 801")
    # A hint of the till is no record: the sale it tells of counts once.
    assert [tuple(row) for row in rows] == [*((*parked, 0, each) for each in names), *[waits] * 2]
    with writing(engine) as session:
        assert tokens.save_first(session, "shop", "a-new-refresh-token", Seal([OLD]))
        assert inbox.requeue_parked(session, connection="shop", code=AUTH_LOST) == 2
    assert claim_next(engine) is not None


def test_71_what_a_clock_set_back_made_late_is_due_again(engine: Engine) -> None:
    with writing(engine) as session:
        inbox.receive(session, [Change("1", Flow.PRODUCTS, "t", "Item", "1", connection="shop")])
        session.execute(
            text("UPDATE inbox SET received_at = :at").bindparams(at=datetime.now(UTC) + timedelta(hours=2))
        )
    assert claim_next(engine) is None
    with writing(engine) as session:
        assert inbox.repair_times(session) == 1
    assert claim_next(engine) is not None


def test_the_plan_forecasts_the_month_at_its_pace() -> None:
    meters = [
        MeterRow(connection=c, system=s, month="2026-11", kind=k, calls=n)
        for c, s, k, n in (
            ("a", "quickbooks", "read", 300),
            ("b", "quickbooks", "read", 100),
            ("a", "quickbooks", "call", 9999),
        )
    ]
    middle = datetime(2026, 11, 16, tzinfo=UTC)
    made = counts.forecast_reads(meters, now=middle, allowance=500)
    assert (made.reads, made.forecast, made.share, made.warning) == (400, 800, 0.8, True)
    assert counts.forecast_reads(meters, now=middle, allowance=501).warning is False
    assert counts.forecast_reads(meters, now=datetime(2026, 11, 1, 1, tzinfo=UTC), allowance=500).forecast == 400 * 30

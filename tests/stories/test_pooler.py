"""The whole gateway through PgBouncer in transaction mode: nothing is refused, nothing is parked, `doctor` names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from gateway import doctor
from gateway.database.session import open_engine, reading, writing
from sandbox.mpluskassa.lines import ItemSold
from tests import forking
from tests.conftest import to_sqlalchemy
from tests.pooler import PROGRAM, PgBouncer
from tests.servers import TEMPLATE, Postgres, Valkey, wait_until
from tests.stories.stage import Stage

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer here")


@pytest.fixture(params=["refusing", "dropping"])
def pooler(request: pytest.FixtureRequest, short_folder: Path, postgres: Postgres) -> Iterator[PgBouncer]:
    """A pooler that refuses settings of a session, and one that drops them without a word."""
    running = PgBouncer(short_folder, postgres, dropping=request.param == "dropping")
    yield running
    running.stop()


@pytest.fixture
def pooled_url(pooler: PgBouncer, postgres: Postgres) -> Iterator[str]:
    """A migrated database, through the pooler."""
    with postgres.database(template=TEMPLATE) as url:
        yield to_sqlalchemy(pooler.to_url(url.partition("?")[0].rpartition("/")[2]))


def test_limits_hold_in_each_transaction_and_nothing_is_prepared(pooled_url: str) -> None:
    engine = open_engine(pooled_url, pool_size=8)
    for number in range(40):  # the sixth use of a statement would be a prepared one
        with writing(engine) as session:
            assert session.execute(text("SHOW statement_timeout")).scalar_one() == "15s"
            assert session.execute(text("SELECT :n + 0"), {"n": number}).scalar_one() == number
        with reading(engine) as session:
            session.execute(text("SELECT count(*) FROM inbox WHERE id > :n"), {"n": number})
            assert session.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0
    assert "PgBouncer" in doctor.check_pooler(engine).said
    engine.dispose()


def test_a_direct_connection_is_not_taken_for_a_pooler(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    finding = doctor.check_pooler(engine)
    assert finding.said.startswith("none")
    engine.dispose()


def test_a_shop_trades_through_a_pooler(pooled_url: str, valkey: Valkey, tmp_path: Path) -> None:
    stage = Stage(tmp_path, database_url=pooled_url, redis_url=f"{valkey.url}?db=15", launch=forking.launch)
    try:
        stage.migrate()
        stage.start()
        stage.send_webhooks()
        for number in range(10):
            stage.add_item(str(2001 + number), "9.99", rate=21)
        wait_until(lambda: len(stage.articles()) == 10, what="the articles at the till")
        for number in range(10):
            stage.sell(ItemSold(2001 + number))
        wait_until(lambda: len(stage.documents()) == 10, what="the documents in the books")
        wait_until(lambda: all(e["state"] in ("done", "skipped") for e in stage.events()), what="every event to end")
        outbox = stage.books.outbox
        wait_until(lambda: outbox.delivered >= 10, what="the webhooks to be delivered")
        numbers = httpx.get(f"{stage.url}/metrics").text
        assert 'kassabridge_webhook_deliveries_total{result="stored",source="quickbooks"}' in numbers
        assert 'result="unavailable"' not in numbers
        assert 'result="refused"' not in numbers
    finally:
        stage.close()

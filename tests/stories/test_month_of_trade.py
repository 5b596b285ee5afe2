"""Trade while the gateway's processes die and come back: in the end the command line says that till and books agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from gateway.database.session import open_engine
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.month import goods
from tests.month.calendar import Month
from tests.month.processes import Processes
from tests.servers import wait_until
from tests.stories.stage import REALM, Stage

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

SEED = int(os.environ.get("MONTH_SEED", "20262"))
ACTS, DAYS, KILLS = 40, 6, 5  # one death of the web, one of the clock, three of workers


@pytest.fixture
def engine(stage: Stage) -> Iterator[Engine]:
    """The stage's database, migrated."""
    stage.migrate()
    opened = open_engine(stage.environment["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1))
    yield opened
    opened.dispose()


@pytest.mark.timeout(400)
def test_a_trade_through_dying_processes_ends_in_agreement(stage: Stage, engine: Engine) -> None:
    month = furnish(stage)
    delivery = Processes(stage, engine, SEED, kills=KILLS, acts=ACTS)
    stage.start()
    stage.send_webhooks()
    for _ in month.run():
        delivery.step()
    delivery.settle()
    code, report = agree(stage, month)
    assert report.get("rows") == [], f"seed {SEED}: {report}"
    assert report["agrees"]
    assert code == 0
    answer = ask_for_text(stage, month)
    assert answer.status_code == 200
    assert answer.text.startswith("AGREES")


def test_a_difference_is_told_by_the_command_line_and_the_api(stage: Stage) -> None:
    month = furnish(stage)
    stage.migrate()
    stage.start()
    month.counter.sell()
    wait_until(stage.documents, seconds=20, what="the document")
    stage.books.delete(REALM, "SalesReceipt", stage.documents()[0]["Id"])
    code, report = agree(stage, month)
    assert code == 1
    assert [row["cause"] for row in report["rows"]] == ["deleted in the books"]
    assert "deleted in the books" in ask_for_text(stage, month).text
    refused = stage.post("agreement", {"from": "yesterday"})
    assert refused.status_code == 400
    later = stage.post("agreement", {})
    assert later.status_code == 202
    assert later.headers["location"].startswith("/admin/events/")


def furnish(stage: Stage) -> Month:
    stage.use_settings(goods.SETTINGS)
    people = goods.furnish(stage.books, REALM, stage.till)
    today = datetime.now(AMSTERDAM).date()
    return Month(stage.till, SEED, today - timedelta(days=DAYS - 1), today, ACTS, people)


def agree(stage: Stage, month: Month) -> tuple[int, dict[str, Any]]:
    days = ("--from", month.start.isoformat(), "--through", month.through.isoformat())
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "agree", "--json", *days],
        env=stage.environment,
        cwd=stage.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def ask_for_text(stage: Stage, month: Month) -> httpx.Response:
    days = {"from": month.start.isoformat(), "through": month.through.isoformat()}
    headers = {**stage.bearer, "Accept": "text/plain"}
    return httpx.post(f"{stage.url}/admin/agreement?wait=30", headers=headers, json=days, timeout=40)

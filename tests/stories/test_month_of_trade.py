"""Trade while the gateway's processes die and come back: in the end the command line says that till and books agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from random import Random
from typing import Any

import httpx

from sandbox.mpluskassa.structs import AMSTERDAM
from tests.month import goods
from tests.month.calendar import Month
from tests.servers import wait_until
from tests.stories.stage import REALM, Stage

SEED = int(os.environ.get("MONTH_SEED", "20262"))
ACTS, DAYS = 40, 6
PENDING = ("received", "waiting", "uncertain", "working")


def test_a_trade_through_dying_processes_ends_in_agreement(stage: Stage) -> None:
    month = furnish(stage)
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    chance = Random(SEED)
    for number, _ in enumerate(month.run()):
        if number in {10, 28}:
            restart(stage, "worker")
        if number == 20:
            restart(stage, "clock")
        if chance.random() < 0.05:
            stage.books.tricks.plan("POST salesreceipt", chance.choice(("lost_reply", "error_503")))
    wait_until(lambda: is_carried(stage), seconds=60, what=f"everything to be carried (seed {SEED})")
    code, report = agree(stage, month)
    assert report["rows"] == [], f"seed {SEED}: {report['rows']}"
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


def restart(stage: Stage, role: str) -> None:
    stage.kill(role)
    stage.start(role)


def is_carried(stage: Stage) -> bool:
    """Every sale has been heard of, and nothing waits."""
    heard = {event["entity_id"] for event in every_event(stage)}
    known = {row["receiptId"] for row in stage.till.till["receipts"]}
    known |= {row["invoiceId"] for row in stage.till.till["invoices"]}
    return known <= heard and not any(stage.events(flow="orders", state=state) for state in PENDING)


def every_event(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = stage.admin("events", params={"flow": "orders", "limit": 200, **({"after": after} if after else {})})
        found += page["events"]
        after = page["next"]
        if after is None:
            return found


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

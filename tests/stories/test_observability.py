"""What people and monitors outside hear: alerts by three ways, check-ins of monitors, one id in every log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import update

from gateway import VERSION
from gateway.database.session import open_engine, writing
from gateway.database.sql import moment
from gateway.settings import read
from gateway.store.tables import AlertRow
from sandbox.mpluskassa.lines import ItemSold
from tests.servers import wait_until
from tests.stories.listeners import SECRET, Listeners
from tests.stories.memory import Memory, opened
from tests.stories.stage import Stage
from tests.stories.trade import furnish
from tests.workers.mailbox import Mailbox

UNKNOWN = 7777
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    yield made
    made.close()


@pytest.fixture
def outside(stage: Stage, mailbox: Mailbox, serve: Callable[..., str]) -> Listeners:
    made = Listeners()
    url = serve(made.app)
    stage.environment |= {
        "SENTRY_DSN": url.replace("http://", "http://key@") + "/1",
        "SENTRY_ENVIRONMENT": "story",
        "ALERT_WEBHOOK_URL": f"{url}/alerts",
        "ALERT_WEBHOOK_SECRET": SECRET,
        "ALERT_EMAIL": "owner@shop.example",
        "SMTP_URL": mailbox.url,
    }
    return made


def pass_a_minute(stage: Stage) -> None:
    """As if every alert had last been seen a minute ago: what is gone is over at the next look."""
    engine = open_engine(read(stage.environment).database_url, pool_size=1)
    with writing(engine) as session:
        session.execute(update(AlertRow).values(seen_at=moment(-60)))
    engine.dispose()


def subjects(mailbox: Mailbox) -> list[str]:
    return [str(mail["Subject"]).replace("\n", "") for mail in mailbox.mails]


def lines_with(stage: Stage, role: str, correlation: str) -> list[dict[str, object]]:
    """The log lines of a process that carry this id."""
    text = (stage.folder / f"{role}.log").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines() if correlation in line and line.startswith("{")]
    return [row for row in rows if row.get("correlation") == correlation]


def follow_one_id(stage: Stage, memory: Memory) -> None:
    """From the delivery at the door over the worker to every call outside."""
    wait_until(lambda: not memory.rows(state="received"), seconds=40, what="the items before it")
    stage.add_item("6001", "3.00")
    wait_until(lambda: [r for r in memory.rows(sku="6001") if r.state == "done"], seconds=40, what="the new item")
    row = next(row for row in memory.rows(sku="6001") if row.source == "webhook")
    wait_until(lambda: lines_with(stage, "web", row.correlation), seconds=10, what="the line of the web process")
    (received, *_) = lines_with(stage, "web", row.correlation)
    assert (received["event"], received["event_id"], received["source"]) == ("received", row.id, "quickbooks")
    told = lines_with(stage, "worker", row.correlation)
    assert told[-1]["event"] == "event ended"
    assert "mpluskassa" in {line.get("system") for line in told}
    # What waits together is read together, under the id of the first.
    ids = {each.correlation for each in memory.rows(flow="products")}
    calls = [line for each in ids for line in lines_with(stage, "worker", each) if line["event"] == "called"]
    assert "quickbooks" in {line["system"] for line in calls}
    assert not [line for line in told if "3.00" in json.dumps(line)]


@on_postgres
def test_f8_a_parked_sale_is_told_three_ways_in_two_minutes_and_its_end(
    stage: Stage, outside: Listeners, mailbox: Mailbox
) -> None:
    furnish(stage)
    stage.add_article(UNKNOWN, 250, 2)
    stage.migrate()
    stage.start()
    with opened(stage) as memory:
        memory.wait_for(1, entity="Item", seconds=40)
        stage.send_webhooks()
        follow_one_id(stage, memory)
        stage.sell(ItemSold(UNKNOWN))
        wait_until(lambda: [r for r in memory.rows(flow="orders") if r.state == "parked"], seconds=40, what="parking")
        began = time.monotonic()
        (parked,) = [r for r in memory.rows(flow="orders") if r.state == "parked"]
        cause = f"parked/default/orders/{parked.code}"

        def all_know(kind: str, mark: str) -> bool:
            mails = [
                subject for subject in subjects(mailbox) if (mark in subject) and "sale needs attention" in subject
            ]
            return bool(mails and outside.told(kind, cause) and outside.reported(mark or "sale needs attention"))

        wait_until(lambda: all_know("alert.raised", ""), seconds=110, what="the alert on three channels")
        assert time.monotonic() - began < 120
        stage.add_item(str(UNKNOWN), "2.50")
        memory.wait_for(1, sku=str(UNKNOWN), seconds=40)
        stage.post(f"events/{parked.id}/retry", {"reason": "the item is there"})
        wait_until(lambda: memory.rows(key=parked.key)[0].state == "done", seconds=60, what="the sale to be booked")
        pass_a_minute(stage)
        wait_until(lambda: all_know("alert.cleared", "all clear"), seconds=110, what="the all-clear on three channels")
    assert len([subject for subject in subjects(mailbox) if "sale needs attention" in subject]) == 2
    assert len(outside.told("alert.raised", cause)) == len(outside.told("alert.cleared", cause)) == 1
    assert outside.deliveries == len(outside.alerts)
    check_events(outside, parked.id or 0, parked.correlation)
    check_monitors(stage, outside)


def check_events(outside: Listeners, event_id: int, correlation: str) -> None:
    """What Sentry knows of the parked sale."""
    (event,) = [event for event in outside.reported("parked: ") if event["tags"].get("event") == str(event_id)]
    assert event["tags"]["correlation"] == correlation
    assert (event["tags"]["connection"], event["tags"]["flow"]) == ("default", "orders")
    assert (event["tags"]["role"], event["tags"]["state"]) == ("worker", "parked")
    assert (event["release"], event["environment"]) == (f"kassabridge@{VERSION}", "story")


def check_monitors(stage: Stage, outside: Listeners) -> None:
    """Sweep, polls and refresh are monitored, an end belongs to its beginning, a failure is told at once."""
    slugs = {f"kassabridge-{name}" for name in ("sweep", "poll-till", "poll-books", "refresh")}
    wait_until(lambda: slugs <= {each["monitor_slug"] for each in outside.check_ins}, seconds=40, what="the monitors")
    for slug in slugs:
        assert outside.statuses(slug)[:2] == ["in_progress", "ok"]
        first, second, *_ = [each for each in outside.check_ins if each["monitor_slug"] == slug]
        assert first["check_in_id"] == second["check_in_id"]
        schedule = first["monitor_config"]["schedule"]
        assert schedule == {"type": "interval", "value": 60 if slug.endswith("refresh") else 1, "unit": "minute"}
        assert (first["release"], first["environment"]) == (f"kassabridge@{VERSION}", "story")
    stage.till.secret = "another"
    wait_until(lambda: "error" in outside.statuses("kassabridge-poll-till"), seconds=40, what="the failed poll")
    stage.till.secret = "marked-till-secret"
    wait_until(lambda: outside.statuses("kassabridge-poll-till")[-1] == "ok", seconds=60, what="the recovery")

"""Events come twice, in the wrong order, by two ways, late or not at all, or out of a forgotten past: one effect."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from sandbox.mpluskassa.webhooks import Manners
from tests.servers import wait_until
from tests.stories.memory import opened
from tests.stories.stage import REALM, Stage
from tests.stories.trade import effects, furnish, ring_up, times_made


def test_20_49_51_doubled_reordered_and_polled_each_takes_effect_once(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    deliveries = stage.books.switches.deliveries
    deliveries.duplicate_rate, deliveries.reorder_rate = 1.0, 1.0
    stage.till.courier.manners = Manners(duplicate=True)
    item = stage.add_item("8001", "1.00")
    ring_up(stage, 6)
    for cents in ("1.10", "1.20", "1.30"):
        stage.books.put(REALM, "Item", {"Id": item["Id"], "UnitPrice": cents})
    with opened(stage) as memory:
        memory.wait_for(6, entity="Receipt")
        wait_until(lambda: stage.articles().get(8001, {}).get("priceIncl") == 130, what="the newest price at the till")
        wait_until(lambda: not stage.books.outbox.waiting, seconds=20, what="every webhook to be delivered")
        memory.wait_for(6, flow="orders")
        memory.wait_for(2, flow="products")
    assert effects(stage)["create"] == 6
    assert times_made(stage, 8001) == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_70_what_happened_without_clock_and_webhooks_is_found_afterwards(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    stage.kill("clock")
    stage.books.switches.deliveries.drop_rate = 1.0
    stage.till.courier.manners = Manners(drop=5)
    stage.add_item("8101", "1.00")
    ring_up(stage, 5)
    wait_until(lambda: not stage.books.outbox.waiting, what="the webhooks to be lost")
    stage.start("clock")
    with opened(stage) as memory:
        sales = memory.wait_for(5, entity="Receipt")
        memory.wait_for(2, entity="Item")
        assert {row.source for row in sales} == {"mpluskassa.poll"}
    assert effects(stage)["create"] == 5
    assert times_made(stage, 8101) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_80_a_restored_backup_without_ten_sales_does_not_book_them_again(stage: Stage) -> None:
    furnish(stage)
    stage.books.switches.rotate_refresh_token = "daily"  # as Intuit's do; an older backup asks for a reconnect, visibly
    stage.migrate()
    file = stage.folder / "gateway.db"
    with opened(stage) as memory:
        memory.age_polls(3600)  # the backup is an hour old when it is restored
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(stage.folder / "backup.db")) as backup:
        source.backup(backup)
    stage.start("clock", "worker")
    with opened(stage) as memory:
        ring_up(stage, 10)
        memory.wait_for(10, entity="Receipt")
    for role in ("clock", "worker"):
        stage.kill(role)
    for leftover in stage.folder.glob("gateway.db-*"):
        leftover.unlink()
    shutil.copy(stage.folder / "backup.db", file)
    stage.start("clock", "worker")
    with opened(stage) as memory:
        again = memory.wait_for(10, entity="Receipt")
        assert {row.state for row in again} == {"done"}
        assert all(row.maybe_written for row in again)
    assert effects(stage)["create"] == 10
    assert effects(stage, "Customer")["create"] == 1

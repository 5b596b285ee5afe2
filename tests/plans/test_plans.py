"""No statement of the product reads more of a database with a year of trade in it than of a new one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import text

from gateway import settings as environment
from gateway.app import create_app
from gateway.connectors.quickbooks.webhook import sign
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.privacy import retention
from gateway.queries.activity import LISTED_BACK, SEARCHED_BACK
from gateway.queries.sales import LOOKED_BACK
from gateway.store import alerts, connections, inbox, requests, round_robin
from gateway.store.alerts import Thresholds
from handlers.agreement import report
from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.claiming import claim_next
from tests.engines import cheap_engine
from tests.gateway.web.conftest import ENVIRONMENT, TOKEN, VERIFIER, a_cloud_event, a_connection
from tests.handlers.counter import add_stocked, hear
from tests.handlers.shop import Shop, sold
from tests.plans.watching import Watched, watching

MOST = 2_000
"""Rows that one statement may read: a page with what is open, not a share of what is stored."""
FIXED = {
    "gateway/queries/activity:find_events": LISTED_BACK,
    "gateway/queries/activity:_search": SEARCHED_BACK + 2 * MOST,
    "gateway/queries/sales:search": LOOKED_BACK,
}
"""Functions that look through the newest rows, always so many."""
NOON = datetime.now(AMSTERDAM).replace(hour=12, minute=0) - timedelta(days=3)


@pytest.fixture
def shop(seeded_url: str) -> Iterator[Shop]:
    with cheap_engine(seeded_url) as engine:
        opened = Shop(engine)
        yield opened
        opened.close()


def check(watched: Watched, *functions: str) -> None:
    """Nothing read much, and these functions were among those that read."""
    heavy = watched.heavy(MOST, FIXED)
    assert not heavy, "\n\n".join(heavy)
    assert set(functions) <= {name.rpartition(":")[2] for name in watched.functions()}


def test_a_sale_its_changes_and_its_resend_cost_what_they_cost_at_first(shop: Shop) -> None:
    with watching(shop.engine) as watched:
        receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002)])
        shop.till.sell(lines=[sold(1003)], payments=[Tender("PIN", 6000), Tender("CONTANT", 4000)])
        shop.settle()
        for pieces in (1, 2):
            shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1001, pieces), sold(1003)])
            shop.poll()
        shop.settle()
        shop.resend(receipt["receiptId"])
        shop.resend("1.99999")
        order = shop.till.take_order(lines=[sold(1001, 4)])
        shop.till.prepay_order(order["orderId"], [Tender("PIN", 1000)])
        shop.settle()
        shop.till.deliver_order(order["orderId"], [Tender("CONTANT", 4000)])
        shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done"
    check(watched, "find", "save_all", "finish_all", "_take", "find_under", "receive", "_named")


def test_a_day_as_one_document_and_the_agreement_cost_as_at_first(shop: Shop) -> None:
    shop.switch('[orders]\nsummary = "day"\nsummary_item = "1001"\n')
    with watching(shop.engine) as watched:
        for pieces in range(1, 4):
            shop.till.sell(lines=[sold(1001, pieces)], when=NOON)
        shop.poll()
        for _ in range(4):
            with writing(shop.engine) as session:
                session.execute(text("UPDATE inbox SET due_at = NULL WHERE state IN ('waiting') AND id > 100000"))
            shop.work()
        day = NOON.date()
        asked = shop.receive(requests.agree(connection="default", start=day, through=day + timedelta(days=1)))
        shop.work()
        report.plan(shop.deps())
    assert shop.event(asked).state == "done"
    check(watched, "source_ids", "newest_events", "changed_since", "raise_priority")


def test_an_item_with_its_stock_costs_what_it_costs_at_first(shop: Shop) -> None:
    with watching(shop.engine) as watched:
        item = add_stocked(shop, "5001", 12)
        hear(shop, item["Id"], "Create")
        shop.till.sell(lines=[sold(1001)])
        shop.settle()
        hear(shop, item["Id"])
        books_feed.poll(shop.deps())
        shop.work()
    check(watched, "find_unposted", "find", "_take")


def test_what_the_clock_and_the_workers_do_costs_what_it_costs_at_first(shop: Shop) -> None:
    engine = shop.engine
    with watching(engine) as watched:
        claim_next(engine)
        with reading(engine) as session:
            inbox.due_ids(session, limit=100)
            round_robin.find_waiting(session, "default", entity="Item", source="webhook", limit=100)
            alerts.find_causes(session, Thresholds(timedelta(minutes=15), 500_000))
        with writing(engine) as session:
            inbox.repair_times(session)
            inbox.park_lost(session, code="auth-lost")
            inbox.requeue_parked(session, connection="default", code="missing")
            inbox.requeue_by_code(session, "default", code="missing-product", cause="x")
            inbox.find_causes(session, "default", ["missing-product"])
            event = shop.event(99_999)
            inbox.supersede_alike(session, event, before=datetime.now(AMSTERDAM))
        retention.purge(engine, days=400)
    check(
        watched,
        "find_claimable",
        "find_next",
        "find_due",
        "find_waiting",
        "_parked",
        "_behind",
        "forget",
        "repair_times",
    )


@pytest.fixture
def client(seeded_url: str, valkey_url: str, serve: Callable[..., str]) -> Iterator[tuple[httpx.Client, Watched]]:
    """A web process on the seeded database, and what it executes."""
    address = seeded_url.replace("postgresql+psycopg", "postgresql")
    found = environment.read({**ENVIRONMENT, "DATABASE_URL": address, "REDIS_URL": valkey_url})
    with cheap_engine(seeded_url) as engine, watching(engine) as watched:
        with writing(engine) as session:
            connections.save(session, a_connection(), Seal([ENVIRONMENT["SECRET_KEY"]]))
        url = serve(create_app(found, engine=engine))
        with httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {TOKEN}"}) as opened:
            yield opened, watched


PAGES = (
    "/", "/events", "/events?state=parked", "/events?state=parked&flow=customers", "/events?flow=customers&state=done",
    "/events?connection=third&state=skipped", "/events?q=nothing-like-it", "/events?q=1.77777",
    "/events?state=done&q=person77@example.nl", "/events/77777", "/agreement", "/preview", "/metrics", "/readyz",
    "/admin/status", "/admin/events?flow=stock&q=zzz", "/admin/events/500", "/admin/orders/1.5010",
    "/admin/orders/90000031", "/admin/backfills", "/admin/audit?limit=5", "/setup/default", "/overview",
    "/products", "/customers?q=kaas", "/sales?branch=3&connection=default", "/sales/20000",
    "/sales?q=kaas&tender=PIN&source=Receipt",
    "/audit", "/audit?who=cli&what=retry&from=2026-01-01", "/audit.csv", "/alerts", "/backfills", "/reads", "/todo",
    "/todo/confirm?action=ignore&cause-default/code:no-item=on",
)  # fmt: skip


def test_every_page_costs_what_it_costs_at_first(client: tuple[httpx.Client, Watched]) -> None:
    http, watched = client
    assert http.post("/login", data={"password": TOKEN}).status_code == 303
    for page in PAGES:
        answer = http.get(page)
        assert answer.status_code == 200, (page, answer.text)
    body = json.dumps([a_cloud_event()]).encode()
    assert http.post(
        "/webhooks/quickbooks", content=body, headers={"intuit-signature": sign(body, VERIFIER)}
    ).is_success
    check(watched)


def test_a_search_reads_the_newest_sales_once_for_a_page(client: tuple[httpx.Client, Watched]) -> None:
    http, watched = client
    assert http.post("/login", data={"password": TOKEN}).status_code == 303
    watched.statements.clear()
    assert http.get("/sales?q=12,34").status_code == 200
    parts = [
        each for each in watched.statements if each.function.endswith("queries/sales:search") and "LIKE" in each.sql
    ]
    assert len(parts) == 1, [each.sql for each in parts]

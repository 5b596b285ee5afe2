"""Answers that are lost, cut, late or wrong: the event waits or is uncertain, ends done, its effect is there once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.database.session import open_engine
from gateway.store.events import Change, Flow
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import Shop, sold
from tests.workers.attempts import created, ends_of, handled, made_articles

OPEN_WRITES = [
    *(("SalesReceipt", mode) for mode in ("lost_reply", "truncate", "reset", "error_500", "error_503", "html_502")),
    ("Customer", "lost_reply"),
    ("Customer", "error_500"),
    ("PaymentMethod", "lost_reply"),
]


@pytest.fixture
def shop(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Shop]:
    """A shop on SQLite only: the store's own tests hold both databases to the same word."""
    engine = open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'shop.db')}")
    made = Shop(engine)
    yield made
    made.close()
    engine.dispose()


def a_sale(shop: Shop) -> str:
    """A paid sale to a customer with an e-mail address, found by the poll."""
    relation = shop.till.add_relation(name="Jan de Vries", email="jan@example.nl")
    receipt = shop.till.sell(lines=[sold(1001)], relation=relation["relationNumber"])
    shop.poll()
    return str(receipt["receiptId"])


@pytest.mark.parametrize(("entity", "mode"), OPEN_WRITES)
def test_59_61_a_create_without_an_answer_is_uncertain_and_then_found_once(shop: Shop, entity: str, mode: str) -> None:
    shop.books.injected.plan(f"POST {entity}", mode)
    event = handled(shop, a_sale(shop))
    assert ends_of(shop, event) == ["uncertain", "done"]
    assert shop.books.injected.struck == 1
    assert created(shop, entity) == 1
    assert created(shop, "SalesReceipt") == 1
    assert (event.attempts, event.crashes) == (2, 0)


@pytest.mark.parametrize("mode", ["reset", "html_502", "truncate"])
def test_59_a_read_without_an_answer_waits_and_is_asked_again(shop: Shop, mode: str) -> None:
    sale = a_sale(shop)
    shop.restart()  # the lists are not known yet
    shop.books.injected.plan("GET query", mode)
    event = handled(shop, sale)
    assert ends_of(shop, event) == ["waiting", "done"]
    assert created(shop, "SalesReceipt") == 1


def test_59_one_refusal_costs_a_pause_and_no_attempt(shop: Shop) -> None:
    shop.books.injected.plan("POST salesreceipt", "throttle")
    began = time.monotonic()
    event = handled(shop, a_sale(shop))
    assert (event.state, event.attempts) == ("done", 1)
    assert time.monotonic() - began > 1.9
    assert created(shop, "SalesReceipt") == 1


def test_59_refusals_that_go_on_burn_no_attempt(shop: Shop) -> None:
    shop.books.injected.plan("POST salesreceipt", "throttle", times=2)
    sale = a_sale(shop)
    shop.work()
    waiting = shop.newest(sale)
    assert (waiting.state, waiting.attempts) == ("waiting", 0)
    assert waiting.due_at is not None
    assert (waiting.due_at - waiting.updated_at).total_seconds() >= 1.9
    event = handled(shop, sale)
    assert (event.state, event.attempts) == ("done", 1)
    assert created(shop, "SalesReceipt") == 1


@pytest.mark.parametrize("kind", ["lost_reply", "truncate", "html_502"])
def test_61_62_an_article_without_a_create_answer_is_made_once(shop: Shop, kind: str) -> None:
    item = shop.add_item("3001", "1.00")
    shop.till.misbehaviour.plans.append(Plan(kind, "createProduct"))
    shop.receive(Change("k-1", Flow.PRODUCTS, "webhook", "Item", str(item["Id"]), connection="default"))
    event = handled(shop, str(item["Id"]))
    assert ends_of(shop, event) == ["uncertain", "done"]
    assert made_articles(shop, 3001) == 1


@pytest.mark.parametrize("kind", ["error_500", "truncate"])
def test_59_a_transient_failure_while_reading_a_sale_is_retried(shop: Shop, kind: str) -> None:
    sale = a_sale(shop)
    shop.till.misbehaviour.plans.append(Plan(kind, "getReceipts"))
    event = handled(shop, sale)
    assert ends_of(shop, event) == ["waiting", "done"]
    assert created(shop, "SalesReceipt") == 1

"""Nothing is written in a dry run: what is not a read is refused where it would leave, and loudly."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from gateway.connectors import exchange
from gateway.connectors.exchange import WriteRefused
from gateway.connectors.quickbooks import calls
from gateway.connectors.quickbooks.calls import select
from gateway.store.events import Change, Flow
from handlers.deps import Deps
from handlers.registry import find_handler
from handlers.sales import dry_runs
from mapping.records import ArticleGroup, BooksPayment, Customer, DocumentKind, Product, Relation
from tests.handlers.counter import OpenShop
from tests.handlers.shop import REALM, Shop, sold
from tests.house.sources import ROOT

RECEIPT = DocumentKind.SALES_RECEIPT
WRITES: tuple[Callable[[Deps], object], ...] = (
    lambda deps: deps.books.create_payment(BooksPayment("1", Decimal(1), date(2026, 11, 28)), "request"),
    lambda deps: deps.books.delete_document(RECEIPT, "1", "0", "request"),
    lambda deps: deps.books.void_document(RECEIPT, "1", "0", "request"),
    lambda deps: deps.books.void_payment("1", "0", "request"),
    lambda deps: deps.till.create_article_group(ArticleGroup(None, "Kaas")),
    lambda deps: deps.till.delete_article_group(1),
    lambda deps: deps.till.add_products_to_group(1, [1]),
    lambda deps: deps.till.create_product(Product(None, "Kaas", ())),
    lambda deps: deps.till.create_relation(Relation(0, "Jan")),
    lambda deps: deps.till.update_stock(1, 1001, Decimal(1)),
)


def effects(shop: Shop) -> int:
    """How often either system was changed by the gateway."""
    return len(shop.till.till.ledger) + len(shop.books.ledger.find_effects(realm=REALM, source="api"))


@pytest.mark.parametrize("write", WRITES)
def test_a_write_to_either_system_is_refused_before_it_leaves(shop: Shop, write: Callable[[Deps], object]) -> None:
    before = effects(shop)
    of_a_sale = dry_runs.without_writes(shop.deps())
    for deps in (shop.deps().without_writes(), of_a_sale):
        with pytest.raises(WriteRefused):
            write(deps)
    assert effects(shop) == before


def test_a_dry_run_reads_and_the_connection_goes_on_writing(shop: Shop) -> None:
    deps = shop.deps()
    dry = deps.without_writes()
    assert dry.books.items_page(1, 10)
    assert dry.till.branches()
    with pytest.raises(WriteRefused):
        dry.books.create_customer(Customer("Jan"), "request")
    assert shop.rows("Customer") == []
    assert deps.books.create_customer(Customer("Jan"), "request").id == shop.only("Customer")["Id"]


def new_item(shop: Shop) -> Change:
    item = shop.add_item("7001", Name="Kaas")
    return Change("dry", Flow.PRODUCTS, "test", "Item", str(item["Id"]), connection="default")


def new_relation(shop: Shop) -> Change:
    relation = shop.till.add_relation(name="Jan", email="jan@a.nl")
    return Change("dry", Flow.CUSTOMERS, "test", "Relation", str(relation["relationNumber"]), connection="default")


def new_sale(shop: Shop) -> Change:
    receipt = shop.till.sell(lines=[sold(1001)])
    return Change("dry", Flow.ORDERS, "test", "Receipt", receipt["receiptId"], connection="default")


@pytest.mark.parametrize("happen", [new_item, new_relation, new_sale])
def test_a_handler_that_would_write_in_a_dry_run_fails_loudly(
    open_shop: OpenShop, happen: Callable[[Shop], Change]
) -> None:
    shop = open_shop("")
    event = shop.event(shop.receive(happen(shop)))
    handle, before = find_handler(event), effects(shop)
    with pytest.raises(WriteRefused):
        handle(event, shop.deps().without_writes())
    assert effects(shop) == before
    assert handle(event, shop.deps()).outcome.state == "done"
    assert effects(shop) > before


def test_every_operation_of_the_till_is_known_as_a_read_or_a_write() -> None:
    found = {"read": set[str](), "write": set[str]()}
    for source in (ROOT / "gateway/connectors/mpluskassa").glob("*.py"):
        for kind, operation in re.findall(r'self\.(read|write)\(\s*"(\w+)"', source.read_text("utf-8")):
            found[kind].add(operation)
    assert {operation for operation in found["write"] if exchange.is_read(operation)} == set()
    assert {operation for operation in found["read"] if not exchange.is_read(operation)} == set()
    assert (len(found["read"]) > 10, len(found["write"]) > 10) == (True, True)


def test_every_operation_of_the_books_is_known_as_a_read_or_a_write() -> None:
    written = [calls.write("Item", {}, "id", **more) for more in ({}, {"operation": "delete"}, {"include": "void"})]
    for call in written:
        assert (call.writes, exchange.is_read(call.operation)) == (True, False)
    long = select("Item").where_in("Id", [str(number) for number in range(1000)])
    for call in (calls.read("Item", "1"), calls.ask(select("Item")), calls.ask(long)):
        assert (call.writes, exchange.is_read(call.operation)) == (False, True)

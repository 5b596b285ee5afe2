"""Every list the client reads, in every shape of a list of one item; and bad rows that affect no other row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import pytest

from gateway import catalogue
from gateway.connectors.exchange import Exchange
from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.connectors.mpluskassa.wire import Malformed
from gateway.errors import Transient
from mapping import messages
from mapping.records import ArticleGroup, SaleKind
from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.faults import Plan
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.servers import Served

DAY = date(2026, 3, 14)
ARTICLE = {"articleNumber": 1001, "description": "Trui", "turnoverGroup": 1, "vatCode": 2, "priceIncl": 1995}

Read = Callable[[MplusKassa, Simulation], Any]


def one(simulation: Simulation, table: str) -> Any:
    row = next(iter(simulation.till[table]))
    return row[simulation.till[table].key]


READS: dict[str, tuple[str, Read]] = {
    "receipts": ("getReceipts", lambda till, _: till.sales_since(SaleKind.RECEIPT, 1, 10, with_lines=True)),
    "receipts by id": ("getReceipts", lambda till, shop: till.sales(SaleKind.RECEIPT, [one(shop, "receipts")])),
    "receipts of a day": ("getReceipts", lambda till, _: till.sales_of_day(SaleKind.RECEIPT, DAY)),
    "invoices": ("getInvoices", lambda till, _: till.sales_since(SaleKind.INVOICE, 1, 10, with_lines=True)),
    "invoices by id": ("getInvoices", lambda till, shop: till.sales(SaleKind.INVOICE, [one(shop, "invoices")])),
    "orders": ("getOrders", lambda till, _: till.sales_since(SaleKind.ORDER, 1, 10, with_lines=True)),
    "orders by id": ("getOrders", lambda till, shop: till.sales(SaleKind.ORDER, [one(shop, "orders")])),
    "relations": ("getRelations", lambda till, _: till.relations_since(1, 10)),
    "product of an article": ("getProducts", lambda till, _: till.product_of_article(1001)),
    "products by plu": ("getProducts", lambda till, _: till.products_by_plu(["TRUI"])),
    "journals": ("getJournals", lambda till, _: till.journals(DAY, DAY, [1])),
    "groups": ("getArticleGroups", lambda till, _: till.article_groups()),
    "branches": ("getBranches", lambda till, _: till.branches()),
    "payment methods": ("getPaymentMethodsV2", lambda till, _: till.payment_methods()),
    "turnover groups": ("getTurnoverGroups", lambda till, _: till.turnover_groups()),
}


def make_simulation() -> Simulation:
    simulation = Simulation(seed="lists", clock=lambda: datetime(2026, 3, 14, 10, tzinfo=AMSTERDAM))
    simulation.add_product({"description": "Trui", "articleList": {"article": [{**ARTICLE, "pluNumber": "TRUI"}]}})
    simulation.add_relation(relationNumber=501, name="Jansen Bouw", email="info@jansenbouw.example")
    simulation.sell(lines=[ItemSold(1001)])
    simulation.invoice(lines=[ItemSold(1001)], relation=501)
    simulation.take_order(lines=[ItemSold(1001)], relation=501)
    return simulation


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, MplusKassa, list[Exchange]]]:
    """One served simulator and one client for all tests here; each test uses its own simulation."""
    app, seen = create_app(make_simulation()), list[Exchange]()
    server = Served(app)
    limits = Limits(connect=2, read=5, total=10)
    yield app, MplusKassa(server.url, "demo", "demo-secret", limits=limits, observe=seen.append), seen
    server.stop()


@pytest.fixture
def simulation(served: tuple[Any, MplusKassa, list[Exchange]]) -> Simulation:
    served[0].state.simulation = make_simulation()
    served[2].clear()
    found: Simulation = served[0].state.simulation
    return found


@pytest.fixture
def client(served: tuple[Any, MplusKassa, list[Exchange]]) -> MplusKassa:
    return served[1]


@pytest.fixture
def seen(served: tuple[Any, MplusKassa, list[Exchange]]) -> list[Exchange]:
    return served[2]


@pytest.mark.parametrize("name", READS)
def test_a_list_of_one_item_is_read_in_every_shape(client: MplusKassa, simulation: Simulation, name: str) -> None:
    _, read = READS[name]
    client.create_article_group(ArticleGroup(number=0, name="Truien"))
    expected = read(client, simulation)
    assert expected
    for shape in ("bare", "flat", "nil"):
        simulation.till.switches.one_item_lists = shape
        assert read(client, simulation) == expected, shape


MAY_BE_EMPTY = ("product of an article", "products by plu", "journals", "groups", "receipts of a day")


@pytest.mark.parametrize("name", READS.keys() - MAY_BE_EMPTY)
def test_an_answer_without_its_list_is_a_failed_call_not_an_empty_one(
    client: MplusKassa, simulation: Simulation, name: str
) -> None:
    operation, read = READS[name]
    simulation.misbehaviour.plans.append(Plan("no_lists", operation))
    with pytest.raises(Transient, match="lacks its") as failed:
        read(client, simulation)
    assert "der Antwort fehlt" in catalogue.say("de", failed.value.reason, messages.store(failed.value.reason))


@pytest.mark.parametrize("name", MAY_BE_EMPTY)
def test_a_search_with_no_element_in_its_answer_found_nothing(
    client: MplusKassa, simulation: Simulation, name: str
) -> None:
    operation, read = READS[name]
    simulation.misbehaviour.plans.append(Plan("no_lists", operation))
    assert not read(client, simulation)


@pytest.mark.parametrize("name", ["receipts", "invoices", "orders"])
def test_a_row_with_an_amount_that_is_none_is_set_aside_by_itself(
    client: MplusKassa, simulation: Simulation, name: str
) -> None:
    sell = {
        "receipts": lambda: simulation.sell(lines=[ItemSold(1001)]),
        "invoices": lambda: simulation.invoice(lines=[ItemSold(1001)], relation=501),
        "orders": lambda: simulation.take_order(lines=[ItemSold(1001)], relation=501),
    }
    sell[name]()
    operation, read = READS[name]
    simulation.misbehaviour.plans.append(Plan("bad_number", operation))
    page = read(client, simulation)
    assert (len(page), len(page.unreadable), page.marker) == (1, 1, 2)
    assert (page.unreadable[0].field or "").endswith("Amount")
    assert page.unreadable[0].id in {row[simulation.till[name].key] for row in simulation.till[name]}


@pytest.mark.parametrize("name", ["receipts by id", "receipts of a day"])
def test_a_read_of_some_sales_names_the_one_with_a_bad_field(
    client: MplusKassa, simulation: Simulation, name: str
) -> None:
    simulation.misbehaviour.plans.append(Plan("bad_number", "getReceipts"))
    with pytest.raises(Malformed) as failure:
        READS[name][1](client, simulation)
    assert (failure.value.field or "").endswith("Amount")
    assert failure.value.record == "receipt 1.1.2026.1"


@pytest.mark.parametrize("character", ["\x1b", "\x0b", "\x00", "\x1f", "\x08"])
def test_a_control_character_is_left_out_of_what_the_till_says_and_noted(
    client: MplusKassa, simulation: Simulation, seen: list[Exchange], character: str
) -> None:
    simulation.change_relation(501, name=f"Jansen{character} Bouw", city="Zeist")
    assert [relation.name for relation in client.relations_since(1, 10)] == ["Jansen Bouw"]
    assert seen[-1].note == "1 control character left out of the answer"


@pytest.mark.parametrize("character", ["\x0b", "\x1b", "\x00", "\ud83d", "￾"])
def test_a_control_character_is_left_out_of_what_is_sent_and_noted(
    client: MplusKassa, simulation: Simulation, seen: list[Exchange], character: str
) -> None:
    found = client.relation(501)
    assert found
    client.create_relation(type(found)(number=0, name=f"De{character} Vries", email="vries@example.nl"))
    assert [row["name"] for row in simulation.till["relations"] if row["email"] == "vries@example.nl"] == ["De Vries"]
    assert seen[-1].note == "1 control character left out of what was sent"


def test_tabs_and_line_ends_and_emoji_stay(client: MplusKassa, simulation: Simulation, seen: list[Exchange]) -> None:
    simulation.change_relation(501, name="Jansen\t😀\nBouw")
    assert [relation.name for relation in client.relations_since(1, 10)] == ["Jansen\t😀\nBouw"]
    assert seen[-1].note is None

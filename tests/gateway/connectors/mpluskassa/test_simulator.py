"""The client against the simulated till: its writes are stored, its reads are right, its failures are our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.errors import AuthLost, DuplicateNumber, NotFound, Permanent, Transient, Unanswered
from mapping.records import Article, ArticleGroup, Product, Relation, SaleKind, VatGroup
from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.faults import Plan
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.servers import Served

SWEATER = {
    "articleNumber": 1001,
    "description": "Trui",
    "turnoverGroup": 1,
    "vatCode": 2,
    "priceIncl": 1995,
    "stockArticle": True,
    "pluNumber": "TRUI-M",
    "brandName": "Wol & Zo",
    "barcodeList": {"barcode": [{"barcode": "8710000000017", "description": "doos"}]},
}


def make_simulation() -> Simulation:
    simulation = Simulation(seed="gateway", clock=lambda: datetime(2026, 3, 14, 10, tzinfo=AMSTERDAM))
    simulation.till.switches.check_answers = True
    simulation.add_product({"productNumber": 10, "description": "Trui", "articleList": {"article": [dict(SWEATER)]}})
    simulation.add_relation(relationNumber=501, name="Jansen Bouw", email="info@jansenbouw.example", city="Utrecht")
    return simulation


@pytest.fixture(scope="module")
def till() -> Iterator[tuple[Any, MplusKassa]]:
    """One served simulator and one client for all tests here; each test uses its own simulation."""
    app = create_app(make_simulation())
    served = Served(app)
    limits = Limits(connect=2, read=5, total=10)
    yield app, MplusKassa(served.url, "demo", "demo-secret", limits=limits)
    served.stop()


@pytest.fixture
def simulation(till: tuple[Any, MplusKassa]) -> Simulation:
    till[0].state.simulation = make_simulation()
    simulation: Simulation = till[0].state.simulation
    return simulation


@pytest.fixture
def kassa(till: tuple[Any, MplusKassa], simulation: Simulation) -> MplusKassa:
    assert simulation.till is not None
    return till[1]


def test_the_simulator_has_all_the_gateway_needs(kassa: MplusKassa) -> None:
    assert kassa.missing_operations() == ()
    assert kassa.api_version()


@pytest.mark.parametrize("scale", [1, 100])
def test_vat_rates_are_read_on_either_scale(kassa: MplusKassa, simulation: Simulation, scale: int) -> None:
    simulation.till.switches.percentage_scale = scale
    assert {group.percentage for group in kassa.vat_groups()} == {Decimal(21), Decimal(9), Decimal(0)}
    assert all(isinstance(group, VatGroup) for group in kassa.vat_groups())
    receipt = simulation.sell(lines=[ItemSold(1001, Decimal(1))])
    assert kassa.sales(SaleKind.RECEIPT, [receipt["receiptId"]])[0].vat[0].percentage in {Decimal(21), Decimal(9)}


def test_the_small_lists_are_read(kassa: MplusKassa) -> None:
    assert 1 in {branch.number for branch in kassa.branches()}
    assert "PIN" in {method.code for method in kassa.payment_methods()}
    assert kassa.turnover_groups()


@pytest.mark.parametrize("omitted", ["clear", "keep"])
def test_an_update_keeps_what_the_staff_added_in_every_mode_of_omissions(
    kassa: MplusKassa, simulation: Simulation, omitted: str
) -> None:
    simulation.till.switches.omitted_fields = omitted
    before = kassa.product_of_article(1001)
    assert before is not None
    kassa.update_product(Product(10, None, (Article(number=1001, price_incl_cents=2495),)), before)
    after = kassa.product_of_article(1001)
    assert after is not None
    was, now = (dict(read.raw["articleList"]["article"][0]) for read in (before, after))
    assert now["priceIncl"] == 2495
    changed = {"priceIncl", "priceExcl", "syncMarker", "changeTimestamp"}
    assert {name: value for name, value in now.items() if name not in changed} == {
        name: value for name, value in was.items() if name not in changed
    }


def test_a_product_is_made_found_and_refused_twice(kassa: MplusKassa) -> None:
    article = Article(number=3001, plu="MUTS", description="Muts", turnover_group=1, vat_code=2, price_incl_cents=995)
    created = kassa.create_product(Product(None, "Muts", (article,)))
    found = kassa.products_by_plu(["MUTS"])
    assert [read.product.number for read in found] == [created]
    assert found[0].product.articles[0].price_incl_cents == 995
    with pytest.raises(DuplicateNumber):
        kassa.create_product(Product(None, "Muts", (article,)))


def test_groups_are_made_filled_changed_and_deleted(kassa: MplusKassa) -> None:
    number = kassa.create_article_group(ArticleGroup(None, "Kleding", sort_order=1))
    kassa.add_products_to_group(number, [10])
    group = kassa.article_groups([number])[0]
    assert (group.name, group.product_numbers) == ("Kleding", (10,))
    kassa.update_article_group(ArticleGroup(number, "Mode"))
    assert kassa.article_groups([number])[0].name == "Mode"
    kassa.delete_article_group(number)
    with pytest.raises(NotFound):
        kassa.delete_article_group(number)


def test_stock_is_changed_and_its_bookings_are_followed(kassa: MplusKassa) -> None:
    since = kassa.sync_markers().stock or 0
    first = kassa.update_stock(1, 1001, Decimal("12.5"))
    second = kassa.update_stock(1, 1001, Decimal(-2))
    assert [row.free for row in kassa.stock(1, [1001])] == [Decimal("10.5")]
    page = kassa.stock_changes([1], since + 1, 100)
    assert {(move.stock_id, move.change, move.type) for move in page} >= {
        (second, Decimal(-2), "STOCK-HISTORY-TYPE-API")
    }
    assert page.marker == second
    assert first != second
    with pytest.raises(NotFound):
        kassa.update_stock(1, 999_999, Decimal(1))


def test_relations_are_found_made_and_changed(kassa: MplusKassa) -> None:
    found = kassa.find_relation_by_email("info@jansenbouw.example")
    assert found is not None
    assert found.number == 501
    assert kassa.find_relation_by_email("nfo@jansenbouw.example") is None
    made = kassa.create_relation(Relation(number=0, name="De Vries", email="v@example.nl", ext_id="Q-9"))
    kassa.update_relation(Relation(number=made, name="", phone="020"), Relation(made, ""))
    relation = kassa.relation(made)
    assert relation is not None
    assert (relation.name, relation.phone, relation.ext_id) == ("De Vries", "020", "Q-9")
    assert kassa.relation(999_999) is None
    assert made in {each.number for each in kassa.relations_since(1, 1000)}


def test_a_sale_is_polled_read_whole_and_found_by_its_number(kassa: MplusKassa, simulation: Simulation) -> None:
    before = kassa.sync_markers().receipt or 0
    receipt = simulation.sell(lines=[ItemSold(1001, Decimal(2))])
    page = kassa.sales_since(SaleKind.RECEIPT, before + 1, 10)
    assert [sale.id for sale in page] == [receipt["receiptId"]]
    assert page.marker == kassa.sync_markers().receipt
    assert not kassa.sales_since(SaleKind.RECEIPT, (page.marker or 0) + 1, 10)
    sale = kassa.sales(SaleKind.RECEIPT, [receipt["receiptId"]])[0]
    assert (sale.kind, sale.total_incl_cents, sale.paid_cents) == (SaleKind.RECEIPT, 3990, 3990)
    assert [(line.article, line.quantity) for line in sale.lines] == [(1001, Decimal(2))]
    assert sum(vat.net_cents + vat.vat_cents for vat in sale.vat) == sale.total_incl_cents
    assert [head.id for head in kassa.sales_of_day(sale.kind, sale.business_date)] == [sale.id]
    credit = simulation.refund(receipt["receiptId"])
    assert kassa.sales(SaleKind.RECEIPT, [credit["receiptId"]])[0].credited_id == sale.id


def test_invoices_and_orders_are_read_by_id_and_number(kassa: MplusKassa, simulation: Simulation) -> None:
    invoice = simulation.invoice(lines=[ItemSold(1001, Decimal(1))], relation=501)
    sale = kassa.sales(SaleKind.INVOICE, [invoice["invoiceId"]])[0]
    assert (sale.total_incl_cents, sale.relation_number) == (1995, 501)
    assert kassa.sales_since(SaleKind.INVOICE, 1, 100).records[0].id == sale.id
    order = simulation.take_order(lines=[ItemSold(1001, Decimal(1))], relation=501)
    assert kassa.sales(SaleKind.ORDER, [order["orderId"]])[0].total_incl_cents == 1995
    assert [each.id for each in kassa.sales_since(SaleKind.ORDER, 1, 100)] == [order["orderId"]]


def test_a_day_adds_up_to_its_sales(kassa: MplusKassa, simulation: Simulation) -> None:
    receipt = simulation.sell(lines=[ItemSold(1001, Decimal(3))])
    sale = kassa.sales(SaleKind.RECEIPT, [receipt["receiptId"]])[0]
    journal = kassa.journals(sale.business_date, sale.business_date, [1])[0]
    assert sum(payment.amount_cents for payment in journal.payments) == sale.total_incl_cents
    assert sum(vat.net_cents + vat.vat_cents for vat in journal.vat) == sale.total_incl_cents


Act = Callable[[MplusKassa], object]


@pytest.mark.parametrize("kind", ["lost_reply", "error_500", "html_502", "truncate", "reset"])
def test_a_failure_is_transient_for_a_read_and_unanswered_for_a_write(
    kassa: MplusKassa, simulation: Simulation, kind: str
) -> None:
    kassa.api_version()
    simulation.misbehaviour.plans = [Plan(kind, "getBranches"), Plan(kind, "updateStock")]
    with pytest.raises(Transient):
        kassa.branches()
    with pytest.raises(Unanswered):
        kassa.update_stock(1, 1001, Decimal(4))
    known = kassa.stock(1, [1001])[0].free
    assert known == (4 if kind in {"lost_reply", "truncate"} else 0)
    kassa.update_stock(1, 1001, Decimal(5))
    assert kassa.stock(1, [1001])[0].free == known + 5


def test_wrong_credentials_lose_the_connection(kassa: MplusKassa, simulation: Simulation) -> None:
    simulation.secret = "changed"
    with pytest.raises(AuthLost):
        kassa.branches()


def test_a_vat_code_without_a_rate_is_for_a_person(kassa: MplusKassa, simulation: Simulation) -> None:
    simulation.till.switches.vat_misconfigured = 2
    with pytest.raises(Permanent) as raised:
        kassa.vat_groups()
    assert "VAT code" in str(raised.value.fix)

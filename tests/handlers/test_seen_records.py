"""What the pages show of products and customers: both sides as events saw them, what differs, and who changed it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.privacy import people, retention
from gateway.queries.records import RecordFilter
from gateway.queries.records import find as find_records
from gateway.store import records, requests
from gateway.store.events import Flow
from gateway.store.records import RecordKind
from gateway.store.requests import Side
from gateway.store.tables import RecordRow
from tests.handlers.counter import add_stocked, backfill, hear
from tests.handlers.shop import REALM, Shop, on_both_databases, sold
from tests.handlers.test_customers import COMPANY
from tests.handlers.test_drift import alter


def rows(shop: Shop, kind: RecordKind) -> dict[str, RecordRow]:
    with reading(shop.engine) as session:
        found = session.execute(select(RecordRow).where(col(RecordRow.kind) == kind)).scalars().all()
        return {row.source_id: row for row in found}


def look(shop: Shop, flow: Flow, record: str, side: Side = Side.BOOKS, settings: str | None = None) -> None:
    shop.receive(requests.preview(flow, record, connection="default", side=side, settings=settings))
    shop.work()


def fields(row: RecordRow) -> dict[str, dict[str, Any]]:
    return {each["field"]: each for each in json.loads(row.fields or "[]")}


@on_both_databases
def test_a_product_has_both_sides_its_stock_and_what_was_changed_by_hand(shop: Shop) -> None:
    item = add_stocked(shop, "5001", 12, Name="Oude kaas")
    hear(shop, item["Id"], "Create")
    row = rows(shop, RecordKind.PRODUCT)[item["Id"]]
    assert (row.name, row.code, row.till_number, row.till_name) == ("Oude kaas", "5001", "5001", "Oude kaas")
    assert (row.status, row.differs, row.active, row.altered_at) == ("linked", False, True, None)
    assert row.written_at is not None
    stock = json.loads(row.stock or "[]")
    assert [(each["branch"], each["on_hand"], each["value"], each["present"]) for each in stock] == [
        (1, "12", "12", "12")
    ]
    alter(shop, 5001, priceIncl=999)
    shop.till.sell(lines=[sold(5001, 2)])
    look(shop, Flow.PRODUCTS, item["Id"])
    look(shop, Flow.STOCK, item["Id"])
    row = rows(shop, RecordKind.PRODUCT)[item["Id"]]
    price = fields(row)["price_incl_cents"]
    assert (price["value"], price["present"], row.differs, row.status) == (100, 999, True, "linked")
    (level,) = json.loads(row.stock or "[]")
    assert (level["on_hand"], level["unposted"], level["value"], level["present"]) == ("12", "2", "10", "10")
    backfill(shop, Flow.PRODUCTS)
    row = rows(shop, RecordKind.PRODUCT)[item["Id"]]
    assert (row.differs, fields(row)["price_incl_cents"]["present"]) == (False, 100)
    assert row.altered_at is not None


def test_a_record_is_found_by_state_name_number_and_sku(shop: Shop) -> None:
    made = {
        sku: shop.add_item(sku, Name=name) for sku, name in (("7001", "Brie"), ("7002", "Oude kaas"), ("AB", "Azijn"))
    }
    for item in made.values():
        hear(shop, item["Id"], "Create")
    shop.books.put(REALM, "Item", {"Id": made["7002"]["Id"], "Active": False})
    hear(shop, made["7002"]["Id"])

    def find(**wanted: Any) -> list[str]:
        with reading(shop.engine) as session:
            page = find_records(session, RecordFilter(RecordKind.PRODUCT, **wanted))
        return [record.row.name for record in page.rows if record.row.code in made]

    assert find() == ["Azijn", "Brie", "Oude kaas"]
    assert (find(inactive=True), find(q="ude KA"), find(q="7001"), find(q="AB")) == (
        ["Oude kaas"],
        ["Oude kaas"],
        ["Brie"],
        ["Azijn"],
    )
    assert find(status=records.RecordStatus.NEEDS_ATTENTION) == ["Azijn"]
    with writing(shop.engine) as session:
        event = rows(shop, RecordKind.PRODUCT)[made["AB"]["Id"]].event_id
        records.close(session, [event or 0])
    assert find(status=records.RecordStatus.UNLINKED) == ["Azijn"]
    with reading(shop.engine) as session:
        first = find_records(session, RecordFilter(RecordKind.PRODUCT), limit=1)
        second = find_records(session, RecordFilter(RecordKind.PRODUCT, after=first.next), limit=1)
    assert first.rows[0].row.name < second.rows[0].row.name


def test_a_preview_with_other_settings_changes_no_record(shop: Shop) -> None:
    item = shop.add_item("7001", Name="Brie")
    hear(shop, item["Id"], "Create")
    look(
        shop,
        Flow.PRODUCTS,
        item["Id"],
        settings='[products.fields]\nreceipt_text = {do = "text", action = "upper", of = "Name"}',
    )
    assert fields(rows(shop, RecordKind.PRODUCT)[item["Id"]])["receipt_text"]["value"] == "Brie"


@on_both_databases
def test_a_customer_has_both_sides_until_erased_or_retained_long_enough(shop: Shop) -> None:
    relation = shop.till.add_relation(**COMPANY)
    shop.settle()
    key = f"relation:{relation['relationNumber']}"
    row = rows(shop, RecordKind.CUSTOMER)[key]
    assert (row.books_name, row.till_name, row.code) == ("Bakkerij Jansen BV",) * 2 + ("bakker@example.nl",)
    assert (row.status, row.differs) == ("linked", False)
    customer = shop.find("Customer", DisplayName="Bakkerij Jansen BV")
    shop.books.put(REALM, "Customer", {"Id": customer["Id"], "PrimaryPhone": {"FreeFormNumber": "040 1"}})
    look(shop, Flow.CUSTOMERS, str(relation["relationNumber"]), Side.TILL)
    row = rows(shop, RecordKind.CUSTOMER)[key]
    phone = fields(row)["phone"]
    assert (phone["value"], phone["present"], row.differs) == ("030 123", "040 1", True)
    assert people.export(shop.engine, key)["records"][0]["books_name"] == "Bakkerij Jansen BV"
    with writing(shop.engine) as session:
        assert retention.forget(session, "customers", days=0, limit=10) == 1
    row = rows(shop, RecordKind.CUSTOMER)[key]
    assert (row.books_name, row.till_name, row.code, row.fields) == (None, None, None, None)
    assert people.erase(shop.engine, key)["erased"]["records"] == 1
    assert rows(shop, RecordKind.CUSTOMER) == {}
    assert retention.purge(shop.engine, days=0).emptied >= 0


def test_a_customer_that_was_only_found_was_not_changed_by_us(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nupdate_existing = false")
    customer = {"DisplayName": "Jansen", "PrimaryEmailAddr": {"Address": "bakker@example.nl"}}
    shop.books.put_customer(REALM, customer)
    number = shop.till.add_relation(**COMPANY)["relationNumber"]
    shop.till.sell(lines=[sold(1001)], relation=number)
    shop.settle()
    (row,) = rows(shop, RecordKind.CUSTOMER).values()
    assert (row.books_name, row.differs, row.written_at) == ("Jansen", True, None)
    shop.switch("")
    shop.till.change_relation(number, telephone="030 9")
    shop.settle()
    (row,) = rows(shop, RecordKind.CUSTOMER).values()
    assert row.differs is False
    assert row.written_at is not None


@on_both_databases
def test_a_customer_of_the_books_tried_again_in_vain_is_linked(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nto_till = true")
    customer = shop.books.put_customer(REALM, {"DisplayName": "Anna", "PrimaryEmailAddr": {"Address": "a@example.nl"}})
    event = shop.hear_of("Customer", customer["Id"], "Create", key="made")
    (row,) = rows(shop, RecordKind.CUSTOMER).values()
    assert (row.source_id.partition(":")[0], row.status, row.event_id) == ("relation", "linked", event.id)
    again = shop.retry(event)  # it is the till's already, so that nothing is noted
    (row,) = rows(shop, RecordKind.CUSTOMER).values()
    assert (again.state, row.status) == ("done", "linked")

"""What both systems have of a sale, side by side: stored when it is booked, changed and compared; without persons."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, update

from gateway.database.session import reading, writing
from gateway.privacy import people, retention
from gateway.queries.sales import SideVersion, find_sides
from gateway.store import links, requests, sales
from gateway.store.links import LinkKind
from gateway.store.sales import SaleContentRow, SideName
from gateway.store.tables import SaleRow
from mapping.side_by_side import LineMatch, compare, find_changes
from tests.handlers.shop import Shop, on_both_databases, sold
from tests.handlers.test_agreement_damage import lower
from tests.handlers.test_sales_rows import row


def sides(shop: Shop, sale_id: str) -> dict[SideName, list[SideVersion]]:
    with reading(shop.engine) as session:
        return find_sides(session, "default", sale_id)


@on_both_databases
def test_a_booked_sale_has_both_sides_with_sums_and_matching_lines(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002, 3)])["receiptId"]
    shop.settle()
    found = row(shop, receipt)
    assert (found.document_cents, found.document_vat_cents, found.document_day) == (3499, 516, found.day)
    assert found.document_read_at is not None
    both = sides(shop, receipt)
    assert [len(versions) for versions in both.values()] == [1, 1]
    till, books = (both[name][0].side for name in SideName)
    assert till.total_cents == 3499
    assert dict(till.taxes) == dict(books.taxes) == {"21": 434, "9": 82}
    compared = compare(till, books, {})
    assert (compared.total_gap, compared.vat_gap) == (0, 0)
    assert [(pair.match, *(line.name if line else None for line in (pair.till, pair.books))) for pair in compared.pairs
    ] == [
        (LineMatch.SAME, "Article 1001", "Item 1001"),
        (LineMatch.ROUNDED, "Article 1002", "Item 1002"),
        (LineMatch.ONLY_BOOKS, None, "Rounding difference (Kassabridge)"),
    ]  # fmt: skip


def test_a_changed_sale_has_a_version_of_each_side_and_what_changed(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001), sold(1002)])["receiptId"]
    shop.settle()
    shop.till.edit_receipt(receipt, lines=[sold(1001, 2), sold(1003)])
    shop.settle()
    both = sides(shop, receipt)
    assert [[each.number for each in both[name]] for name in SideName] == [[1, 2], [1, 2]]
    before, after = (each.side for each in both[SideName.TILL])
    changed = {(each.what, each.kind, each.name) for each in find_changes(before, after)}
    assert changed >= {
        ("total", "changed", ""),
        ("line", "changed", "Article 1001"),
        ("line", "removed", "Article 1002"),
        ("line", "added", "Article 1003"),
    }
    assert row(shop, receipt).document_cents == row(shop, receipt).amount_cents
    shop.retry(shop.newest(receipt))
    assert [len(versions) for versions in sides(shop, receipt).values()] == [2, 2]


def test_a_refund_has_the_same_sign_on_both_sides(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001, -2)])["receiptId"]
    shop.settle()
    found = row(shop, receipt)
    assert found.document_entity == "RefundReceipt"
    assert (found.amount_cents, found.document_cents, found.document_vat_cents) == (-2500, -2500, -434)
    till, books = (sides(shop, receipt)[name][0].side for name in SideName)
    assert [pair.match for pair in compare(till, books, {}).pairs] == [LineMatch.SAME]


def test_an_older_booking_is_filled_in_by_the_comparison_and_an_edit_too(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001), sold(1002)])["receiptId"]
    shop.settle()
    with writing(shop.engine) as session:
        empty = {"document_cents": None, "document_vat_cents": None, "document_day": None, "document_read_at": None}
        session.execute(update(SaleRow).values(**empty))
        session.execute(delete(SaleContentRow))

    def agree() -> None:
        today = row(shop, receipt).day
        shop.receive(requests.agree(connection="default", start=today, through=today))
        shop.work()

    agree()
    assert (row(shop, receipt).document_cents, len(sides(shop, receipt)[SideName.BOOKS])) == (1583, 1)
    lower(shop, shop.only("SalesReceipt"))
    agree()
    assert row(shop, receipt).document_cents == 1250
    assert [each.side.total_cents for each in sides(shop, receipt)[SideName.BOOKS]] == [1583, 1250]


def test_a_day_in_one_document_is_no_side_of_its_sales(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    side = sides(shop, receipt)[SideName.BOOKS][0].side
    document = ("SalesReceipt", shop.only("SalesReceipt")["Id"])
    with writing(shop.engine) as session:
        session.execute(update(SaleRow).values(document_read_at=None, document_cents=1))
        later = datetime.now(UTC)
        assert sales.find_outdated(session, "default", {document: side}, read_at=later) == {receipt: side}
        link = links.find(session, "default", LinkKind.DOCUMENT, receipt)
        assert link
        links.save(session, "default", dataclasses.replace(link, day="1:2026-11-28"))
        assert sales.find_outdated(session, "default", {document: side}, read_at=later) == {}


def test_sides_are_kept_some_days_and_go_with_their_person(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Marjolein Vermeulen", email="m.vermeulen@example.nl")["relationNumber"]
    mine = shop.till.sell(lines=[sold(1001)], relation=relation)["receiptId"]
    other = shop.till.sell(lines=[sold(1002)])["receiptId"]
    shop.settle()
    assert sides(shop, mine)[SideName.TILL][0].side.customer == str(relation)
    assert "Vermeulen" not in str(sides(shop, mine))
    exported = people.export(shop.engine, f"relation:{relation}")["sale_contents"]
    assert sorted(each["side"] for each in exported) == ["books", "till"]
    assert people.erase(shop.engine, f"relation:{relation}")["erased"]["sale_contents"] == 2
    assert (sides(shop, mine), len(sides(shop, other)[SideName.TILL])) == ({name: [] for name in SideName}, 1)
    retention.purge(shop.engine, days=30)
    assert sides(shop, other)[SideName.TILL]
    with writing(shop.engine) as session:
        session.execute(update(SaleContentRow).values(seen_at=datetime.now(UTC) - timedelta(days=31)))
    retention.purge(shop.engine, days=30)
    assert sides(shop, other) == {name: [] for name in SideName}
    assert row(shop, other).document_cents == 333

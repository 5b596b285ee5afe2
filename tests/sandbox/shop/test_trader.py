"""The shop at work: the price list first, then a trade that adds up and that a seed decides."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks import snapshot
from sandbox.shop.catalogue import CATEGORIES, NOVELTIES, find_good
from sandbox.shop.furnishing import REALM
from tests.sandbox.shop.carrying import carry
from tests.sandbox.shop.conftest import Shop, open_shop


def receipts(shop: Shop) -> list[dict[str, Any]]:
    return list(shop.till.till["receipts"])


def lines_of(receipt: dict[str, Any]) -> list[dict[str, Any]]:
    return [line["data"] | {"articleNumber": line["articleNumber"]} for line in receipt["lineList"]["line"]]


def test_the_price_list_edits_every_item_once_categories_first(shop: Shop) -> None:
    before = {row["Id"]: row for row in shop.books.rows(REALM, "Item")}
    actions = shop.enter_prices()
    edited = [action.key for action in actions]
    assert len(edited) == len(set(edited)) == len([row for row in before.values() if row["Active"]])
    assert [before[key]["Type"] for key in edited[: len(CATEGORIES)]] == ["Category"] * len(CATEGORIES)
    assert [event.id for event in shop.books.outbox.waiting] == edited


def test_the_price_list_holds_this_seasons_prices(shop: Shop) -> None:
    assert shop.books.find(REALM, "Item", Sku="1001", UnitPrice=Decimal("13.39"))
    shop.enter_prices()
    assert shop.books.find(REALM, "Item", Sku="1001", UnitPrice=Decimal("13.95"))
    assert shop.books.find(REALM, "Item", Sku="1603", UnitPrice=Decimal("8.2231"))


def test_the_shop_waits_until_the_till_has_articles(shop: Shop) -> None:
    shop.enter_prices()
    assert [shop.trader.step() for _ in range(3)] == [None, None, None]
    assert not receipts(shop)
    carry(shop.books, shop.till)
    assert shop.trader.step() is not None


def test_a_shop_that_opens_again_enters_only_what_the_till_still_lacks(open_for_sale: Shop) -> None:
    open_for_sale.reopen()
    assert open_for_sale.enter_prices() == []
    lost = open_for_sale.till.till["articles"].get(1005)
    open_for_sale.till.till["articles"].clear()
    open_for_sale.till.till["articles"].put(lost)
    open_for_sale.reopen()
    assert len(open_for_sale.enter_prices()) == 60


def test_every_receipt_adds_up_and_is_paid_to_the_cent(open_for_sale: Shop) -> None:
    open_for_sale.trade(300)
    assert len(receipts(open_for_sale)) > 200
    for receipt in receipts(open_for_sale):
        total = sum(line["totalInclAmount"] for line in lines_of(receipt))
        groups = receipt["vatGroupList"]["vatGroup"]
        assert total == receipt["totalInclAmount"] == receipt["paidAmount"]
        assert total == sum(group["exclAmount"] + group["vatAmount"] for group in groups)
        assert receipt["state"] == "RECEIPT-STATE-PAID"


def test_deeds_tell_what_the_till_holds(open_for_sale: Shop) -> None:
    actions = open_for_sale.trade(200)
    told = {action.key: action.cents for action in actions if action.what in {"sold", "returned"}}
    assert told == {row["receiptId"]: row["totalInclAmount"] for row in receipts(open_for_sale)}


def test_trade_is_as_mixed_as_in_a_real_shop(open_for_sale: Shop) -> None:
    open_for_sale.trade(400)
    rows = [row for row in receipts(open_for_sale) if row["receiptType"] == "RECEIPT-TYPE-RECEIPT"]
    sold = [[line for line in lines_of(row) if line["articleNumber"]] for row in rows]
    assert {len(lines) for lines in sold} == {1, 2, 3, 4, 5, 6}
    assert {(row["entryBranchNumber"], row["workplaceNumber"]) for row in rows} == {(1, 1), (1, 2), (2, 1)}
    assert {row["employeeNumber"] for row in rows} == {1, 2}
    assert {len(row["vatGroupList"]["vatGroup"]) for row in rows} >= {1, 2, 3}
    assert 0.2 < sum("relationNumber" in row for row in rows) / len(rows) < 0.4
    assert any(line["discountAmount"] for lines in sold for line in lines)
    assert any(line["decimalPlaces"] for lines in sold for line in lines)
    ways = Counter(tuple(sorted(p["method"] for p in row["paymentList"]["payment"])) for row in rows)
    assert {("PIN",), ("CONTANT",), ("CREDITCARD",), ("CONTANT", "PIN")} <= set(ways)


def test_only_what_is_paid_in_cash_alone_is_rounded_to_five_cents(open_for_sale: Shop) -> None:
    open_for_sale.trade(300)
    rows = [row for row in receipts(open_for_sale) if row["receiptType"] == "RECEIPT-TYPE-RECEIPT"]
    cash = [row for row in rows if {p["method"] for p in row["paymentList"]["payment"]} == {"CONTANT"}]
    assert cash
    assert all(row["totalInclAmount"] % 5 == 0 for row in cash)
    rounded = [row for row in rows if any(not line["articleNumber"] for line in lines_of(row))]
    assert rounded
    assert all(row in cash for row in rounded)


def test_a_shop_may_leave_cash_as_it_is() -> None:
    shop = open_shop()
    shop.trader = type(shop.trader)(shop.books, shop.till, seed="test", round_cash=False)
    shop.enter_prices()
    carry(shop.books, shop.till)
    shop.trade(150)
    assert all(line["articleNumber"] for row in receipts(shop) for line in lines_of(row))


def test_a_sale_comes_back_once_and_never_for_more_than_was_paid(open_for_sale: Shop) -> None:
    actions = open_for_sale.trade(400)
    till = open_for_sale.till.till["receipts"]
    returned = [till.get(action.key) for action in actions if action.what == "returned"]
    assert len(returned) >= 10
    assert len({row["creditedReceiptId"] for row in returned}) == len(returned)
    for credit in returned:
        original = till.get(credit["creditedReceiptId"])
        assert 0 < -credit["totalInclAmount"] <= original["totalInclAmount"]


def test_the_books_change_now_and_then(open_for_sale: Shop) -> None:
    actions = open_for_sale.trade(400)
    counted = Counter(action.what for action in actions)
    assert min(counted[what] for what in ("priced", "introduced", "rested", "revived", "delivered")) > 0
    for action in actions:
        if action.what == "introduced":
            good = find_good(int(open_for_sale.books.companies[REALM].get("Item", action.key)["Sku"]))
            assert good in NOVELTIES


def test_a_category_is_renamed_another_one_moved_and_both_go_back(open_for_sale: Shop) -> None:
    seen = [categories(open_for_sale)]
    for _ in range(120):
        (action,) = open_for_sale.trade(1)
        seen += [categories(open_for_sale)] if action.what == "tidied" else []
    before, renamed, moved, named_back, moved_back = seen
    assert renamed - before == {"Cadeaus:Kaarten en cadeaubonnen"}
    assert moved - renamed == {"Delicatessen:Relatiegeschenken"}
    assert named_back - moved == {"Cadeaus:Kaarten en bonnen"}
    assert moved_back == before


def categories(shop: Shop) -> set[str]:
    return {row["FullyQualifiedName"] for row in shop.books.rows(REALM, "Item") if row["Type"] == "Category"}


def test_what_rests_at_the_till_is_not_sold(open_for_sale: Shop) -> None:
    for number in range(1001, 1012):
        open_for_sale.till.till["articles"].get(number)["active"] = False
    open_for_sale.trade(100)
    sold = {line["articleNumber"] for row in receipts(open_for_sale) for line in lines_of(row)}
    assert sold.isdisjoint(range(1001, 1012))


@pytest.mark.parametrize("pause", [False, True], ids=["in one go", "with a restart in the middle"])
def test_a_seed_decides_the_whole_day(pause: bool) -> None:
    one, other = open_shop("monday"), open_shop("monday")
    for shop in (one, other):
        shop.enter_prices()
        carry(shop.books, shop.till)
    halves = []
    for shop in (one, other):
        actions = shop.trade(60)
        carry(shop.books, shop.till)
        if pause and shop is other:
            shop.reopen()
        halves.append(actions + shop.trade(60))
    assert halves[0] == halves[1]
    assert receipts(one) == receipts(other)


def test_another_seed_makes_another_day() -> None:
    days = []
    for seed in ("monday", "tuesday"):
        shop = open_shop(seed)
        shop.enter_prices()
        carry(shop.books, shop.till)
        days.append([action.cents for action in shop.trade(30)])
    assert days[0] != days[1]


def test_a_shop_survives_being_written_to_disk(open_for_sale: Shop, tmp_path: Any) -> None:
    open_for_sale.trade(40)
    snapshot.save(open_for_sale.books, tmp_path / "books.json")
    open_for_sale.till.save(tmp_path / "till.json")
    books = snapshot.load(tmp_path / "books.json", time_source=lambda: 1_773_479_000.0)
    again = Shop(books, Till(seed="test", snapshot=tmp_path / "till.json"), "test")
    expected = [(action.what, action.cents) for action in open_for_sale.trade(40)]
    assert [(action.what, action.cents) for action in again.trade(40)] == expected

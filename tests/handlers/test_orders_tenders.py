"""Every cent by its payment method and day: returns by two methods, change by another, exchanges."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.database.session import reading
from gateway.store import links, requests
from gateway.store.links import LinkKind
from mapping.agreement import to_text
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import REALM, SALES, Shop, sold
from tests.month import goods

Money = dict[tuple[str, str], Decimal]
TODAY = datetime.now(AMSTERDAM).date()


def books_money(shop: Shop) -> Money:
    """Signed money of the books by day and payment method: payments and what is paid at once; voided ones are zero."""
    found: Money = {}
    names = {row["Id"]: row["Name"] for row in shop.rows("PaymentMethod")}
    signs = {"Payment": 1, "SalesReceipt": 1, "RefundReceipt": -1}
    for entity, sign in signs.items():
        for row in shop.rows(entity):
            if row["TotalAmt"]:
                key = (row["TxnDate"], names[row["PaymentMethodRef"]["value"]])
                found[key] = found.get(key, Decimal(0)) + sign * row["TotalAmt"]
    return {key: amount for key, amount in found.items() if amount}


def turnover(shop: Shop) -> Decimal:
    """The sum on income accounts of all sales documents."""
    income = {row["Id"] for row in shop.rows("Account") if row["AccountType"] == "Income"}
    items = {row["Id"] for row in shop.rows("Item") if row.get("IncomeAccountRef", {}).get("value") in income}
    total = Decimal(0)
    for entity in SALES:
        sign = -1 if entity in ("RefundReceipt", "CreditMemo") else 1
        for row in shop.rows(entity):
            for line in row["Line"]:
                detail = line.get("SalesItemLineDetail")
                if detail and detail["ItemRef"]["value"] in items:
                    total += sign * line["Amount"]
    return total


def agree(shop: Shop, *, days: int = 7) -> dict[str, Any]:
    event_id = shop.receive(
        requests.agree(connection="default", start=TODAY - timedelta(days=days), through=TODAY + timedelta(days=1))
    )
    shop.work()
    report: dict[str, Any] = json.loads(shop.event(event_id).result or "{}")
    return report


def assert_right(shop: Shop, wanted: dict[str, str]) -> None:
    """Today's money per payment method, nothing parked, nothing below zero, and both sides in agreement."""
    assert [each.reason for each in shop.parked()] == []
    assert books_money(shop) == {(TODAY.isoformat(), name): Decimal(amount) for name, amount in wanted.items()}
    assert all(row["TotalAmt"] >= 0 for entity in (*SALES, "Payment") for row in shop.rows(entity))
    report = agree(shop)
    assert report["agrees"], to_text(report)


def sell(shop: Shop, *tenders: tuple[str, int], lines: list[ItemSold] | None = None) -> dict[str, Any]:
    return shop.till.sell(lines=lines or [sold(1003)], payments=[Tender(method, cents) for method, cents in tenders])


def sell_worth(shop: Shop, cents: int, *tenders: tuple[str, int]) -> dict[str, Any]:
    return sell(shop, *tenders, lines=[sold(1003, 1 if cents > 0 else -1, price_cents=abs(cents))])


MIXED = [
    (-5000, [("CONTANT", -1000), ("PIN", -4000)], {"Contant": "-10", "Pinbetaling": "-40"}),
    (2000, [("BON", 2500), ("CONTANT", -500)], {"Cadeaubon": "25", "Contant": "-5"}),
    (
        2000,
        [("BON", 1500), ("PIN", 1000), ("CONTANT", -500)],
        {"Cadeaubon": "15", "Pinbetaling": "10", "Contant": "-5"},
    ),
    (2000, [("PIN", 2500), ("CONTANT", -500)], {"Pinbetaling": "25", "Contant": "-5"}),
    (2000, [("CONTANT", 5000), ("CONTANT", -3000)], {"Contant": "20"}),
    (2000, [("CONTANT", -3000), ("CONTANT", 5000)], {"Contant": "20"}),
    (-5000, [("PIN", -6000), ("CONTANT", 1000)], {"Pinbetaling": "-60", "Contant": "10"}),
    (-5000, [("PIN", -5000)], {"Pinbetaling": "-50"}),
]


@pytest.mark.parametrize("split", ["invoice", "largest"])
@pytest.mark.parametrize(("cents", "tenders", "wanted"), MIXED)
def test_each_way_to_pay_has_what_the_till_says(
    open_shop: Callable[..., Shop], cents: int, tenders: list[tuple[str, int]], wanted: dict[str, str], split: str
) -> None:
    shop = open_shop(f'[orders]\nsplit = "{split}"')
    sell_worth(shop, cents, *tenders)
    shop.settle()
    assert_right(shop, wanted)
    net = Decimal(cents) / 100 / Decimal("1.21")
    assert turnover(shop) == net.quantize(Decimal("0.01"))


def test_each_payment_in_the_books_is_known_with_its_amount(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[orders]\nsplit = "invoice"')
    sell_worth(shop, 2000, ("PIN", 1250), ("CONTANT", 750))
    shop.settle()
    with reading(shop.engine) as session:
        made = links.find_under(session, "default", LinkKind.PAYMENT, "Invoice/")
    wanted = {row["Id"]: {"cents": int(row["TotalAmt"] * 100)} for row in shop.rows("Payment")}
    assert {link.target_id: link.detail for link in made} == wanted
    assert sorted(each["cents"] for each in wanted.values()) == [750, 1250]


GIFT_CARDS = goods.SETTINGS


def test_change_on_a_gift_card_that_is_a_debt_is_refused_nowhere(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(GIFT_CARDS)
    goods.furnish(shop.books, "9341455000000002", shop.till)
    sell_worth(shop, 2000, ("BON", 2500), ("CONTANT", -500))
    shop.settle()
    assert_right(shop, {"Contant": "-5"})


@pytest.mark.parametrize("document", ["", '[orders]\nzero_totals = "skip"'])
def test_an_exchange_for_nothing_by_card_with_cash_back(open_shop: Callable[..., Shop], document: str) -> None:
    shop = open_shop(document)
    sell(shop, ("PIN", 500), ("CONTANT", -500), lines=[sold(1003), sold(1003, -1)])
    shop.settle()
    assert_right(shop, {"Pinbetaling": "5", "Contant": "-5"})
    assert turnover(shop) == 0


def test_several_gift_cards_and_a_rounded_rest_in_cash(shop: Shop) -> None:
    tenders = [Tender("BON", 2000), Tender("BON", 1500), Tender("CONTANT", 1500)]
    shop.till.sell(lines=[sold(1003, price_cents=4998)], payments=tenders, round_cash=True)
    shop.settle()
    assert_right(shop, {"Cadeaubon": "35", "Contant": "15"})


def test_money_beside_follows_what_the_till_corrects(shop: Shop) -> None:
    receipt = sell_worth(shop, 2000, ("BON", 2500), ("CONTANT", -500))
    shop.settle()
    line = [sold(1003, price_cents=2000)]
    shop.till.edit_receipt(receipt["receiptId"], lines=line, payments=[Tender("BON", 2300), Tender("CONTANT", -300)])
    shop.settle()
    assert_right(shop, {"Cadeaubon": "23", "Contant": "-3"})
    shop.till.edit_receipt(receipt["receiptId"], lines=line, payments=[Tender("PIN", 2000)])
    shop.settle()
    assert_right(shop, {"Pinbetaling": "20"})
    assert shop.rows("RefundReceipt") == []
    shop.till.edit_receipt(receipt["receiptId"], lines=[], payments=[])
    shop.settle()
    assert_right(shop, {})


def test_a_part_of_the_money_deleted_in_the_books_is_reported_and_resent(shop: Shop) -> None:
    receipt = sell_worth(shop, -5000, ("CONTANT", -1000), ("PIN", -4000))
    shop.settle()
    beside = next(row for row in shop.rows("RefundReceipt") if row["TotalAmt"] == 10)
    shop.books.delete("9341455000000002", "RefundReceipt", beside["Id"])
    reported = shop.hear_of("RefundReceipt", beside["Id"], "Delete", key="gone")
    assert (reported.state, reported.code) == ("parked", "gone-in-books")
    shop.resend(receipt["receiptId"])
    assert books_money(shop) == {
        (TODAY.isoformat(), "Contant"): Decimal(-10),
        (TODAY.isoformat(), "Pinbetaling"): Decimal(-40),
    }


def test_an_echo_of_money_beside_is_our_own_document(shop: Shop) -> None:
    sell_worth(shop, -5000, ("CONTANT", -1000), ("PIN", -4000))
    shop.settle()
    for row in shop.rows("RefundReceipt"):
        assert shop.hear_of("RefundReceipt", row["Id"], "Create", key=row["Id"]).reason == "our own document"


def test_money_back_on_a_later_day_is_booked_on_that_day(shop: Shop) -> None:
    before = datetime.now(AMSTERDAM) - timedelta(days=1)
    receipt = shop.till.sell(lines=[sold(1003, -1)], payments=[], when=before)
    shop.till.pay_receipt(receipt["receiptId"], [Tender("PIN", -10000)])
    shop.settle()
    assert_right(shop, {"Pinbetaling": "-100"})


def test_a_credit_invoice_paid_back_in_part_and_then_whole(shop: Shop) -> None:
    relation = int(shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"])
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation)
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 10000)])
    credit = shop.till.credit_invoice(invoice["invoiceId"])
    shop.till.pay_invoice(credit["invoiceId"], [Tender("CONTANT", -3000)])
    shop.settle()
    assert_right(shop, {"Pinbetaling": "100", "Contant": "-30"})
    assert shop.only("CreditMemo")["Balance"] == 70
    shop.till.pay_invoice(credit["invoiceId"], [Tender("PIN", -7000)])
    shop.settle()
    assert_right(shop, {"Pinbetaling": "30", "Contant": "-30"})


def test_an_invoice_paid_too_much_and_paid_back(shop: Shop) -> None:
    relation = int(shop.till.add_relation(name="Bakkerij", email="b@example.nl")["relationNumber"])
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation)
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("PIN", 6000)])
    shop.settle()
    shop.till.pay_invoice(invoice["invoiceId"], [Tender("CONTANT", -1000)])
    shop.settle()
    assert_right(shop, {"Pinbetaling": "60", "Contant": "-10"})
    assert shop.only("Invoice")["Balance"] == 50


def test_more_paid_than_the_total_waits_for_a_person_with_both_amounts(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)], payments=[Tender("CONTANT", 2000)])
    shop.settle()
    (parked,) = shop.parked()
    assert (parked.field, shop.documents()) == ("payments", {})
    assert "20.00 was paid for a total of 12.50" in (parked.reason or "")


@pytest.mark.parametrize(
    ("entity", "name"), [("PaymentMethod", "Cadeaubon"), ("Item", "Other ways to pay (Kassabridge)")]
)
def test_what_was_made_inactive_in_the_books_is_made_anew(shop: Shop, entity: str, name: str) -> None:
    tenders = [Tender("BON", 2500), Tender("CONTANT", -500)]
    shop.till.sell(lines=[sold(1003, price_cents=2000)], payments=tenders)
    shop.settle()
    former = shop.find(entity, Name=name)["Id"]
    shop.books.put(REALM, entity, {"Id": former, "Active": False})
    shop.till.sell(lines=[sold(1003, price_cents=2000)], payments=tenders)
    shop.settle()
    assert shop.parked() == []
    assert [row["Id"] == former for row in shop.rows(entity) if row["Name"] == name and row["Active"]] == [False]

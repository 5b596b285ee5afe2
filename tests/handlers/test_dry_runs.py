"""A dry run of a booked sale: what a real resend would do, from the present state of the books."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete as sa_delete

from gateway.cli import tasks
from gateway.database.session import writing
from gateway.store.tables import LinkRow
from gateway.web.dashboard import preview
from gateway.web.dashboard.preview import ShownValue
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from sandbox.quickbooks import books
from sandbox.quickbooks.entities import ENTITIES
from tests.handlers.shop import REALM, Shop, planned, sold

TENDERS = [Tender("CONTANT", 210), Tender("PIN", 1000)]
KINDS = ("Customer", "Item", "PaymentMethod", "SalesReceipt", "Invoice", "Payment", "CreditMemo")


def everything(shop: Shop) -> dict[str, Any]:
    return {name: shop.rows(name) for name in KINDS}


def take_payments_off(shop: Shop, entity: str) -> None:
    """QuickBooks removes no invoice that is paid."""
    if entity == "Invoice":
        for payment in shop.rows("Payment"):
            shop.books.delete(REALM, "Payment", payment["Id"])


def void(shop: Shop, entity: str, row: dict[str, Any]) -> None:
    take_payments_off(shop, entity)
    row = shop.find(entity, Id=row["Id"])
    with shop.books.lock:
        books.void(shop.company, ENTITIES[entity], {"Id": row["Id"], "SyncToken": row["SyncToken"]})


def untie(shop: Shop, entity: str, row: dict[str, Any]) -> None:
    shop.books.put(REALM, entity, {"Id": row["Id"], "Line": []})


def raise_amount(shop: Shop, entity: str, row: dict[str, Any]) -> None:
    line = {"Amount": Decimal("2.10"), "LinkedTxn": [{"TxnId": shop.only("Invoice")["Id"], "TxnType": "Invoice"}]}
    shop.books.put(REALM, entity, {"Id": row["Id"], "TotalAmt": Decimal("5.00"), "Line": [line]})


def delete(shop: Shop, entity: str, row: dict[str, Any]) -> None:
    take_payments_off(shop, entity)
    shop.books.delete(REALM, entity, row["Id"])


DAMAGE: tuple[tuple[str, str, Callable[[Shop, str, dict[str, Any]], None], str, str], ...] = (
    ("Payment", "2.10", delete, "repair", "2.10 by Contant is missing"),
    ("Payment", "10.00", void, "repair", "10.00 by Pinbetaling is missing"),
    ("Payment", "2.10", untie, "repair", "would be put right"),
    ("Payment", "2.10", raise_amount, "repair", "of 5.00 would be put right: 2.10"),
    ("Invoice", "12.10", delete, "book again", "was deleted in QuickBooks"),
    ("Invoice", "12.10", void, "restore", "was voided in QuickBooks"),
)


@pytest.mark.parametrize(
    ("entity", "total", "how", "action", "said"), DAMAGE, ids=[f"{d[0]}-{d[2].__name__}" for d in DAMAGE]
)
def test_a_dry_run_says_what_a_resend_then_does(
    shop: Shop, entity: str, total: str, how: Callable[..., None], action: str, said: str
) -> None:
    receipt = shop.till.sell(lines=[sold(1003, price_cents=1210)], payments=TENDERS)["receiptId"]
    shop.settle()
    assert planned(shop.resend(receipt, dry_run=True))["action"] == "nothing: already booked"
    how(shop, entity, shop.find(entity, TotalAmt=Decimal(total)))
    before = everything(shop)
    plan = planned(shop.resend(receipt, dry_run=True))
    assert everything(shop) == before
    assert plan["action"] == action
    assert said in " ".join(plan["steps"])
    shop.resend(receipt)
    assert everything(shop) != before
    assert planned(shop.resend(receipt, dry_run=True))["action"] == "nothing: already booked"
    kept = [row for row in shop.rows("Invoice") if row["TotalAmt"]]
    assert [(row["TotalAmt"], row["Balance"]) for row in kept] == [(Decimal("12.10"), 0)]


def test_a_dry_run_shows_that_a_credit_is_not_applied_to_its_invoice(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation)
    shop.settle()
    credit = shop.till.credit_invoice(invoice["invoiceId"])["invoiceId"]
    shop.settle()
    assert planned(shop.resend(credit, dry_run=True))["action"] == "nothing: already booked"
    shop.books.delete(REALM, "Payment", shop.only("Payment")["Id"])
    plan = planned(shop.resend(credit, dry_run=True))
    assert plan["action"] == "repair"
    number = shop.only("Invoice")["DocNumber"]
    assert plan["steps"] == [f"100.00 of the credit would be taken off invoice {number} again"]
    assert shop.only("Invoice")["Balance"] == 100


def test_a_dry_run_leaves_what_a_bookkeeper_paid_himself(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1003, price_cents=1210)], payments=TENDERS)["receiptId"]
    shop.settle()
    invoice = shop.only("Invoice")
    shop.books.delete(REALM, "Payment", shop.find("Payment", TotalAmt=Decimal("2.10"))["Id"])
    line = {"Amount": Decimal("2.10"), "LinkedTxn": [{"TxnId": invoice["Id"], "TxnType": "Invoice"}]}
    own = {"CustomerRef": invoice["CustomerRef"], "TotalAmt": Decimal("2.10"), "Line": [line]}
    mine = shop.books.put(REALM, "Payment", own)["Id"]
    plan = planned(shop.resend(receipt, dry_run=True))
    assert [f"payment {mine} settles" in step for step in plan["steps"]] == [True]


def test_a_dry_run_finds_a_document_that_nothing_here_remembers(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    with writing(shop.engine) as session:
        session.execute(sa_delete(LinkRow))
    plan = planned(shop.resend(receipt, dry_run=True))
    assert plan["action"] == "link"
    assert f"sales receipt {shop.only('SalesReceipt')['DocNumber']}" in plan["steps"][0]


def test_a_dry_run_of_a_cancelled_sale_says_that_it_is_voided(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001)])["receiptId"]
    shop.settle()
    shop.till.edit_receipt(receipt, lines=[], payments=[])
    plan = planned(shop.resend(receipt, dry_run=True))
    assert (plan["action"], "refused" in plan) == ("void", False)
    shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
    assert planned(shop.resend(receipt, dry_run=True))["action"].startswith("nothing")


def test_the_command_prints_the_whole_booking(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Jan de Vries", email="jan@example.nl")
    receipt = shop.till.sell(
        lines=[sold(1003), sold(1002)], relation=relation["relationNumber"], payments=TENDERS_OF_BOTH
    )["receiptId"]
    shop.settle()
    shop.books.delete(REALM, "Payment", shop.find("Payment", TotalAmt=Decimal("3.33"))["Id"])
    text = "\n".join(tasks.to_lines(shop.resend(receipt, dry_run=True)))
    for shown in (
        "something of it is missing",
        "the payment of 3.33 by Contant is missing: it would be posted",
        "paid by Contant",
        "paid by Pinbetaling",
        "3.33",
        "100.00",
        "103.33",
        "Customer: Jan de Vries",
        "Article 1003",
        "21% BTW",
        "9% BTW",
        "VAT 21 % of 82.64: 17.36",
        f"Invoice {shop.only('Invoice')['Id']}",
    ):
        assert shown in text, f"{shown} is not in\n{text}"


def sell_again(shop: Shop, payments: list[Tender], *lines: ItemSold) -> str:
    """A sale like one that is booked already, so that the books have all it refers to."""
    shop.till.sell(lines=list(lines), payments=payments)
    shop.settle()
    return str(shop.till.sell(lines=list(lines), payments=payments)["receiptId"])


def test_a_dry_run_names_what_the_books_know_by_an_id(shop: Shop) -> None:
    shop.switch('[mapping.deposit_accounts]\non_miss = "skip"\ntable = { PIN = "Bank" }\n')
    event = shop.resend(sell_again(shop, [Tender("PIN", 1250)], sold(1001)), dry_run=True)
    plan = planned(event)
    names = {
        "department": shop.find("Department", Name="Winkel Utrecht"),
        "payment_methods": shop.find("PaymentMethod", Name="Pinbetaling"),
        "deposit_accounts": shop.find("Account", Name="Bank"),
        "items": shop.find("Item", Sku="1001"),
    }
    told = {name: {"id": row["Id"], "name": row["Name"]} for name, row in names.items()}
    for each in ("payment_methods", "deposit_accounts"):
        assert plan["references"][each] == {"PIN": told[each]}
    assert plan["references"]["items"] == {"1001": told["items"]}
    assert plan["references"]["department"] == told["department"]
    lines = "\n".join(tasks.to_lines(event))
    for shown in ("Location: Winkel Utrecht", "Payment method: Pinbetaling", "Deposit to: Bank"):
        assert shown in lines
    page = preview.read_result(event)
    assert page is not None
    assert str(page.plan["lines"][0]["item"]) == "Item 1001"
    department = ShownValue(f"Winkel Utrecht ({told['department']['id']})")
    assert ("Location", (("", department),)) in page.plan["resolved"]


def test_a_dry_run_names_what_each_payment_refers_to(shop: Shop) -> None:
    shop.switch('[mapping.deposit_accounts]\non_miss = "skip"\ntable = { PIN = "Bank" }\n')
    receipt = sell_again(shop, TENDERS_OF_BOTH, sold(1003), sold(1002))
    lines = list(tasks.to_lines(shop.resend(receipt, dry_run=True)))
    paid = [line for line in lines if line.startswith("  payment: ")]
    assert ["Payment method Contant" in paid[0], "Payment method Pinbetaling," in paid[1]] == [True, True]
    assert "Deposit to Bank" in paid[1]


def test_a_dry_run_says_where_the_books_gave_no_name(shop: Shop) -> None:
    event = shop.resend(shop.till.sell(lines=[sold(1001)])["receiptId"], dry_run=True)
    told = planned(event)
    told["names"]["PaymentMethodRef"] = {}
    promised = list(tasks.to_lines(event))
    assert "  Payment method: Pinbetaling (would be made)" in promised
    assert "  would be made first: payment method Pinbetaling" in promised
    told["body"]["PaymentMethodRef"]["value"] = ref = "77"
    bare = dataclasses.replace(event, result=json.dumps(told, default=str))
    assert f"  Payment method: {ref} (id in QuickBooks, name unknown)" in list(tasks.to_lines(bare))


TENDERS_OF_BOTH = [Tender("CONTANT", 333), Tender("PIN", 10000)]

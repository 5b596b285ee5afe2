"""How many calls each kind of sale takes, from webhook to document: the table in docs/measurements.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.store.events import URGENT, Change, Flow
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold

OpenShop = Callable[..., Shop]
MARKERS = "getCurrentSyncMarkersV2"
PAGE = Path(__file__).parents[2] / "docs" / "measurements.md"
FRESH = (1004, 1005, 1006)
HALVES = (Tender("PIN", 1000), Tender("CONTANT", 250))


def act(shop: Shop) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """A sale of each kind; what was made before is known by name."""
    till = shop.till
    linked = _relation(shop, "Linked")
    return {
        "receipt": lambda _: till.sell(lines=[sold(1001)]),
        "receipt of a customer with a link": lambda _: till.sell(lines=[sold(1001)], relation=linked),
        "receipt of a customer found by e-mail": lambda _: till.sell(
            lines=[sold(1001)], relation=_relation(shop, "Mailed")
        ),
        "receipt of a new customer": lambda _: till.sell(lines=[sold(1001)], relation=_relation(shop, "Fresh")),
        "receipt of three articles sold for the first time": lambda _: till.sell(lines=[sold(n) for n in FRESH]),
        "receipt paid in two ways": lambda _: till.sell(lines=[sold(1001)], payments=HALVES),
        "refund": lambda made: till.refund(made["receipt"]["receiptId"]),
        "invoice": lambda _: till.invoice(lines=[sold(1003)], relation=linked),
        "payment of an invoice": lambda made: till.pay_invoice(made["invoice"]["invoiceId"], [Tender("PIN", 5000)]),
        "order without a deposit": lambda _: till.take_order(lines=[sold(1003)]),
        "deposit on an order": lambda made: till.prepay_order(
            made["order without a deposit"]["orderId"], [Tender("PIN", 1500)]
        ),
        "delivery of an order": lambda made: till.deliver_order(
            made["order without a deposit"]["orderId"], [Tender("CONTANT", 8500)]
        ),
        "change of a receipt": lambda made: till.edit_receipt(
            made["receipt of a customer with a link"]["receiptId"], lines=[sold(1002)]
        ),
        "receipt with everything taken off": lambda made: till.withdraw_receipt(
            made["receipt of a customer with a link"]["receiptId"]
        ),
    }


def _relation(shop: Shop, name: str) -> int:
    return int(shop.till.add_relation(name=name, email=f"{name.lower()}@example.nl")["relationNumber"])


def test_calls_of_each_kind_of_sale_are_those_of_the_table(open_shop: OpenShop) -> None:
    shop = open_shop("[orders]\ndeposits = true\n")
    acts = act(shop)
    for number in FRESH:
        shop.stock(number, "5.00", 21, 2)
    _warm_up(shop)
    made: dict[str, Any] = {}
    found: dict[str, tuple[int, int, int]] = {}
    for number, (name, sell) in enumerate(acts.items()):
        till, books = Counter(shop.till.traffic.calls), Counter(shop.books.ledger.counts[REALM])
        made[name] = sell(made)
        _hint(shop, number, made[name].get("invoiceId"))
        at_books = shop.books.ledger.counts[REALM] - books
        reads = sum(n for call, n in at_books.items() if call.split()[0] in {"read", "query", "cdc"})
        found[name] = ((shop.till.traffic.calls - till).total(), reads, at_books.total() - reads)
    assert not shop.parked()
    assert found == _table()


def test_a_sale_is_worked_on_before_the_markers_are_read(open_shop: OpenShop) -> None:
    shop = open_shop()
    _warm_up(shop)
    shop.woken.clear()
    notified: list[list[int]] = []
    shop.till.misbehaviour.meanwhile[MARKERS] = [lambda: notified.append(list(shop.woken))]
    sale = shop.till.sell(lines=[sold(1001)])
    _hint(shop, 1)
    assert notified == [[shop.newest(sale["receiptId"]).id]]


def _warm_up(shop: Shop) -> None:
    """What is asked for once: lists, items, the link of a customer, the account of deposits."""
    relation = next((int(row["relationNumber"]) for row in shop.till.till["relations"]), None)
    for number in (1001, 1002, 1003):
        shop.till.sell(lines=[sold(number)], relation=relation)
    if relation:
        shop.till.invoice(lines=[sold(1003)], relation=relation)
    order = shop.till.take_order(lines=[sold(1003)])
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1500)])
    shop.till.sell(lines=[sold(1001)], payments=HALVES)
    shop.settle()
    shop.books.put(REALM, "Customer", {"DisplayName": "M", "PrimaryEmailAddr": {"Address": "mailed@example.nl"}})


def _hint(shop: Shop, number: int, invoice: str | None = None) -> None:
    session = {"entity": "Session", "operation": "completeSession", "connection": "default", "source": "webhook"}
    said = json.dumps({"invoice_id": invoice} if invoice else {})
    shop.receive(Change(f"mplus:{number}", Flow.ORDERS, entity_id=f"s-{number}", priority=URGENT, hint=said, **session))  # type: ignore[arg-type]
    shop.work()


def _table() -> dict[str, tuple[int, int, int]]:
    text = PAGE.read_text().partition("## Calls of a sale\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in rows[2:]}

"""Every kind of sale a till rings up, through the real clients into the simulated books."""

from __future__ import annotations

from decimal import Decimal

from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import Shop, sold


def test_a_receipt_paid_at_once_becomes_a_sales_receipt(shop: Shop) -> None:
    receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002, 3)])
    shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal(receipt["totalInclAmount"]) / 100
    assert shop.newest(receipt["receiptId"]).state == "done"


def test_an_invoice_on_account_becomes_an_invoice_of_its_own_customer(shop: Shop) -> None:
    relation = shop.till.add_relation(name="Bakkerij Jansen", email="bakker@example.nl")
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation["relationNumber"])
    shop.settle()
    assert shop.only("Invoice")["Balance"] == Decimal(100)
    assert shop.newest(invoice["invoiceId"]).entity == "TillInvoice"
    assert shop.newest(invoice["invoiceId"]).state == "done"


def test_an_order_is_left_to_the_receipt_it_becomes(shop: Shop) -> None:
    order = shop.till.take_order(lines=[sold(1003)])
    shop.settle()
    assert shop.documents() == {}
    shop.till.deliver_order(order["orderId"], [Tender("PIN", 10000)])
    shop.settle()
    assert [len(rows) for rows in shop.documents().values()] == [1]

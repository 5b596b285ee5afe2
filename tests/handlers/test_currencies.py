"""The currency of the till and of the company: named if the company keeps several, refused if they differ."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers import counter
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_orders_resend import book_elsewhere

ANNA = {"name": "Anna Smit", "email": "anna@example.nl"}
OpenShop = Callable[..., Shop]
NOON = datetime.now(AMSTERDAM).replace(hour=12, minute=0) - timedelta(days=3)


def keep_several(shop: Shop, home: str = "EUR") -> None:
    """Multicurrency, as switched on in the company's settings."""
    shop.books.set_preference(REALM, "CurrencyPrefs", "MultiCurrencyEnabled", True)
    move_home(shop, home)


def move_home(shop: Shop, home: str) -> None:
    shop.books.set_preference(REALM, "CurrencyPrefs", "HomeCurrency", {"value": home})


def currencies(shop: Shop, *entities: str) -> set[str]:
    return {row["CurrencyRef"]["value"] for entity in entities for row in shop.rows(entity)}


def test_a_multicurrency_company_gets_the_currency_of_everything(shop: Shop) -> None:
    keep_several(shop)
    relation = shop.till.add_relation(**ANNA)["relationNumber"]
    shop.till.sell(lines=[sold(1001)])
    shop.till.sell(lines=[sold(1001)], relation=relation)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    assert shop.parked() == []
    assert len(shop.rows("SalesReceipt")) == 2
    assert len(shop.rows("Payment")) == 2
    assert currencies(shop, "Customer", "SalesReceipt", "Invoice", "Payment") == {"EUR"}


def test_returns_credits_and_changes_name_the_currency_too(open_shop: OpenShop) -> None:
    shop = open_shop('[orders]\nreturns = "credit_memo"')
    keep_several(shop)
    relation = shop.till.add_relation(**ANNA)["relationNumber"]
    invoice = shop.till.invoice(lines=[sold(1003)], relation=relation)
    shop.settle()
    shop.till.credit_invoice(invoice["invoiceId"])
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    shop.till.edit_receipt(receipt["receiptId"], lines=[sold(1002)])
    shop.settle()
    shop.till.refund(receipt["receiptId"])
    shop.settle()
    assert shop.parked() == []
    assert currencies(shop, "Invoice", "CreditMemo", "Payment", "SalesReceipt") == {"EUR"}
    assert shop.only("Invoice")["Balance"] == 0


def test_a_refund_leaves_an_account_of_its_own_currency(shop: Shop) -> None:
    keep_several(shop)
    shop.books.put(REALM, "Account", {"Id": shop.find("Account", Name="Undeposited Funds")["Id"], "Active": False})
    dollars = {"Name": "A dollar account", "AccountType": "Bank", "CurrencyRef": {"value": "USD"}}
    shop.books.put(REALM, "Account", dollars)
    bank = shop.company.table("Account")
    for row in list(bank.values()):
        if row["AccountType"] == "Bank" and row["Name"] != "Cash on hand" and row["Name"] != "A dollar account":
            shop.books.put(REALM, "Account", {"Id": row["Id"], "Active": False})
    shop.till.refund(shop.till.sell(lines=[sold(1001)])["receiptId"])
    shop.settle()
    assert shop.parked() == []
    assert shop.only("RefundReceipt")["DepositToAccountRef"]["name"] == "Cash on hand"


def test_a_day_is_summed_up_in_the_currency_of_the_company(open_shop: OpenShop) -> None:
    shop = open_shop('[orders]\nsummary = "day"\nsummary_item = "1001"\nday_closes = "04:00"')
    keep_several(shop)
    shop.till.sell(lines=[sold(1001)], when=NOON)
    shop.till.sell(lines=[sold(1003)], when=NOON, payments=[Tender("CONTANT", 4000), Tender("PIN", 6000)])
    shop.settle()
    assert shop.parked() == []
    assert currencies(shop, *shop.documents(), "Payment") == {"EUR"}


@pytest.mark.parametrize("several", [False, True])
def test_a_company_of_another_currency_takes_no_sale(open_shop: OpenShop, several: bool) -> None:
    shop = open_shop('[mapping.tax_codes]\ntable = { "21" = "NON" }')
    (keep_several if several else move_home)(shop, "USD")
    relation = shop.till.add_relation(**ANNA)["relationNumber"]
    receipt = shop.till.sell(lines=[sold(1001)], relation=relation)
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.code, event.field) == ("parked", "foreign-currency", "products.currency")
    assert {"USD", "EUR"} <= set((event.reason or "").replace(",", " ").replace(";", " ").split())
    assert shop.documents() == {}
    assert shop.rows("Customer") == []


def test_a_day_of_a_company_of_another_currency_is_parked(open_shop: OpenShop) -> None:
    shop = open_shop('[orders]\nsummary = "day"\nsummary_item = "1001"')
    move_home(shop, "USD")
    shop.till.sell(lines=[sold(1001)], when=NOON)
    shop.settle()
    assert {event.code for event in shop.parked()} == {"foreign-currency"}
    assert shop.documents() == {}


def test_prices_of_a_company_of_another_currency_stay_away(shop: Shop) -> None:
    move_home(shop, "USD")
    item = shop.add_item("2001", "10.00")
    event = counter.hear(shop, item["Id"], "Create")
    assert (event.state, event.code) == ("parked", "foreign-currency")
    assert {"USD", "EUR"} <= set((event.reason or "").replace(",", " ").replace(";", " ").split())
    assert not counter.has_article(shop, 2001)


def test_a_till_in_the_currency_of_the_company_is_taken_at_its_word(open_shop: OpenShop) -> None:
    shop = open_shop('[products]\ncurrency = "USD"')
    keep_several(shop, "USD")
    for row in shop.company.table("Account").values():
        row["CurrencyRef"] = {"value": "USD"}
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert currencies(shop, "SalesReceipt", "Customer") == {"USD"}


def customer_in(shop: Shop, currency: str, **body: Any) -> str:
    return str(shop.books.put(REALM, "Customer", {"CurrencyRef": {"value": currency}, **body})["Id"])


def test_a_customer_who_keeps_another_currency_is_not_booked_on(shop: Shop) -> None:
    keep_several(shop)
    address = {"PrimaryEmailAddr": {"Address": "anna@example.nl"}}
    dollars = customer_in(shop, "USD", DisplayName="Anna Smit", **address)
    relation = shop.till.add_relation(**ANNA)["relationNumber"]
    shop.till.sell(lines=[sold(1001)], relation=relation)
    shop.settle()
    booked = shop.only("SalesReceipt")
    assert shop.parked() == []
    assert booked["CustomerRef"]["value"] != dollars
    assert booked["CustomerRef"]["name"] == "Anna Smit (anna@example.nl)"


def test_of_one_address_in_two_currencies_the_tills_is_booked_on(shop: Shop) -> None:
    keep_several(shop)
    address = {"PrimaryEmailAddr": {"Address": "anna@example.nl"}}
    customer_in(shop, "USD", DisplayName="Anna Smit - USD", **address)
    euros = customer_in(shop, "EUR", DisplayName="Anna Smit - EUR", **address)
    shop.till.sell(lines=[sold(1001)], relation=shop.till.add_relation(**ANNA)["relationNumber"])
    shop.settle()
    assert shop.only("SalesReceipt")["CustomerRef"]["value"] == euros


def test_a_deposit_on_an_order_names_the_currency(shop: Shop) -> None:
    keep_several(shop)
    relation = shop.till.add_relation(**ANNA)["relationNumber"]
    order = shop.till.take_order(lines=[sold(1003)], relation=relation)
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1500)])
    shop.settle()
    assert shop.newest(order["orderId"]).state == "done"
    assert shop.only("SalesReceipt")["CurrencyRef"]["value"] == "EUR"
    shop.till.prepay_order(order["orderId"], [Tender("CONTANT", -500)])
    shop.till.deliver_order(order["orderId"], [Tender("PIN", 9000)])
    shop.settle()
    assert shop.parked() == []
    assert [row["TotalAmt"] for row in shop.rows("RefundReceipt")] == [Decimal(5)]
    assert currencies(shop, "SalesReceipt", "RefundReceipt") == {"EUR"}


def test_a_deposit_is_not_booked_in_another_currency(shop: Shop) -> None:
    move_home(shop, "USD")
    order = shop.till.take_order(lines=[sold(1003)])
    shop.till.prepay_order(order["orderId"], [Tender("PIN", 1500)])
    shop.settle()
    (event,) = shop.parked()
    assert {"USD", "EUR"} <= set((event.reason or "").replace(";", " ").replace(",", " ").split())
    assert shop.documents() == {}


def test_a_default_debtor_of_another_currency_is_named(open_shop: OpenShop) -> None:
    shop = open_shop('[customers]\ndefault_debtor = "Kassa"')
    keep_several(shop)
    customer_in(shop, "USD", DisplayName="Kassa")
    receipt = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.field) == ("parked", "customers.default_debtor")
    assert {"USD", "EUR", "Kassa"} <= set((event.reason or "").replace(",", " ").split())


def test_a_customer_of_another_currency_does_not_reach_the_till(open_shop: OpenShop) -> None:
    shop = open_shop("[customers]\nto_till = true")
    keep_several(shop)
    dollars = customer_in(shop, "USD", DisplayName="Joe", PrimaryEmailAddr={"Address": "joe@example.com"})
    event = shop.hear_of("Customer", dollars, "Create", key="1")
    assert (event.state, "USD" in (event.reason or "")) == ("skipped", True)
    assert list(shop.till.till["relations"]) == []


def test_a_document_of_another_currency_is_not_adopted(open_shop: OpenShop) -> None:
    shop = open_shop("[orders]\nadopt = true")
    keep_several(shop)
    customer_in(shop, "USD", DisplayName="Balie")
    receipt = shop.till.sell(lines=[sold(1001)])
    assert book_elsewhere(shop, receipt, "SalesReceipt", "10.33")["TotalAmt"] == Decimal("12.50")
    shop.settle()
    assert sorted(row["CurrencyRef"]["value"] for row in shop.rows("SalesReceipt")) == ["EUR", "USD"]


def test_multicurrency_that_is_switched_on_later_is_noticed(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    keep_several(shop)
    receipt = shop.till.sell(lines=[sold(1002)])
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done"
    assert sum(Decimal(row["TotalAmt"]) for row in shop.rows("SalesReceipt")) == Decimal("15.83")

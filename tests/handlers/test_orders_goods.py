"""Sales besides ordinary goods: tips, deposits on bottles, menus, prepayments, foreign and untaxed sales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete

from gateway.database.session import writing
from gateway.store.events import Change, Event, Flow
from gateway.store.tables import LinkRow
from handlers.lists import Lists
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from tests.handlers.booked import agree, amounts_of, items_of, stated_by, taxes_of
from tests.handlers.counter import hear
from tests.handlers.shop import REALM, Shop, sold

OpenShop = Callable[..., Shop]
TIP, CRATE, BOTTLE = 700, 801, 802
SPECIAL = f"""
[mapping]
tip_articles = [{TIP}]
special_items = {{ tip = "FOOI", deposit = "STATIEGELD" }}
"""


def add_article(shop: Shop, number: int, cents: int, *, vat_code: int, group: int) -> None:
    article = {"articleNumber": number, "description": f"Article {number}", "priceIncl": cents}
    article |= {"vatCode": vat_code, "turnoverGroup": group}
    shop.till.add_product({"description": f"Article {number}", "articleList": {"article": [article]}})


@pytest.fixture
def shop(open_shop: OpenShop) -> Shop:
    """A shop with tips and with deposits on crates and bottles, which are debts and no turnover."""
    made = open_shop(SPECIAL)
    for name in ("FOOI", "STATIEGELD"):
        made.add_item(name, IncomeAccountRef={"value": made.account("Gift Cards Outstanding")})
    add_article(made, TIP, 0, vat_code=0, group=5)
    add_article(made, CRATE, 390, vat_code=0, group=80)
    add_article(made, BOTTLE, 10, vat_code=0, group=80)
    return made


def hear_of_item(shop: Shop, item_id: str) -> Event:
    change = Change(f"told:{item_id}", Flow.PRODUCTS, "webhook", "Item", item_id, connection="default")
    event_id = shop.receive(change)
    shop.work()
    return shop.event(event_id)


def test_a_tip_is_booked_on_the_item_of_tips_and_given_back_from_it(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1002, 4), sold(TIP, price_cents=168)])
    shop.settle()
    assert amounts_of(agree(shop, sale))["Item FOOI"] == Decimal("1.68")
    shop.till.refund(sale["receiptId"])
    shop.settle()
    refund = shop.only("RefundReceipt")
    assert (refund["TotalAmt"], amounts_of(refund)["Item FOOI"]) == (Decimal("15.00"), Decimal("1.68"))


def test_a_deposit_on_bottles_is_a_debt_and_returns_are_taken_off_it(shop: Shop) -> None:
    lines = [sold(1002, 24), sold(CRATE), sold(BOTTLE, 24), sold(BOTTLE, -6)]
    sale = shop.till.sell(lines=lines)
    shop.settle()
    assert amounts_of(agree(shop, sale))["Item STATIEGELD"] == Decimal("5.70")


def test_an_item_that_the_settings_name_still_flows_after_it_was_booked_on(open_shop: OpenShop) -> None:
    shop = open_shop(f'[mapping]\nspecial_items = {{ deposit = "{BOTTLE}" }}\n')
    row = shop.add_item(str(BOTTLE), "0.10", IncomeAccountRef={"value": shop.account("Gift Cards Outstanding")})
    add_article(shop, BOTTLE, 10, vat_code=2, group=80)
    shop.till.sell(lines=[sold(BOTTLE, 6)])
    shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("0.60")
    shop.books.put(REALM, "Item", {"Id": row["Id"], "UnitPrice": Decimal("0.15")})
    event = hear_of_item(shop, row["Id"])
    assert (event.state, event.reason) == ("done", None)
    assert shop.till.till["articles"].get(BOTTLE)["priceIncl"] == 15


def test_an_item_that_we_made_for_our_own_lines_stays_in_the_books(open_shop: OpenShop) -> None:
    shop = open_shop('[mapping.income_accounts]\non_miss = "skip"\ntable = { ":5" = "Gift Cards Outstanding" }\n')
    shop.till.sell(lines=[sold(0, price_cents=500, text="Repair", vat_code=2, turnover_group=5)])
    shop.settle()
    made = shop.find("Item", Name="Gift Cards Outstanding (Kassabridge)")
    event = hear_of_item(shop, made["Id"])
    assert (event.state, event.reason) == ("skipped", "this item was made by the gateway for its own lines")
    with writing(shop.engine) as session:
        session.execute(delete(LinkRow))
    event = shop.retry(event)
    assert (event.state, event.reason) == ("skipped", "this item was made by the gateway for its own lines")
    shop.till.sell(lines=[sold(0, price_cents=700, text="Repair", vat_code=2, turnover_group=5)])
    shop.settle()
    assert len([row for row in shop.rows("Item") if row["Name"] == made["Name"]]) == 1
    assert shop.parked() == []


def test_whether_an_item_keeps_stock_is_read_once_a_day_unless_it_changed(open_shop: OpenShop) -> None:
    shop = open_shop('[mapping.income_accounts]\non_miss = "skip"\ntable = { ":1" = "Gift Cards Outstanding" }\n')
    context, hours = shop.contexts.context("default"), [0]
    context.lists = Lists(context.books, context.till, clock=lambda: hours[0] * 3600.0)

    def sell_after(later: int) -> int:
        hours[0] += later
        before = shop.books.ledger.counts.get(REALM, Counter())["query Item"]
        shop.till.sell(lines=[sold(1001)])
        shop.settle()
        return int(shop.books.ledger.counts[REALM]["query Item"] - before)

    assert [sell_after(0) > 0, sell_after(1), sell_after(5), sell_after(19)] == [True, 0, 0, 1]
    hear(shop, shop.find("Item", Sku="1001")["Id"])
    assert [sell_after(1), sell_after(5)] == [0, 1]
    assert shop.parked() == []


def test_items_sold_on_other_hours_are_read_again_with_one_read(open_shop: OpenShop) -> None:
    shop = open_shop('[mapping.income_accounts]\non_miss = "skip"\ntable = { ":1" = "Gift Cards Outstanding" }\n')
    context, hours = shop.contexts.context("default"), [0]
    context.lists = Lists(context.books, context.till, clock=lambda: hours[0] * 3600.0)

    def sell_at(hour: int, article: int) -> int:
        hours[0], before = hour, shop.books.ledger.counts.get(REALM, Counter())["query Item"]
        shop.till.sell(lines=[sold(article)])
        shop.settle()
        return int(shop.books.ledger.counts[REALM]["query Item"] - before)

    # What finds the item by its SKU tells whether it keeps stock.
    assert [sell_at(0, 1001) > 0, sell_at(2, 1003)] == [True, 3]
    assert [sell_at(25, 1001), sell_at(27, 1003), sell_at(40, 1001)] == [1, 0, 0]
    assert shop.parked() == []


def test_the_name_of_the_company_is_read_less_often_than_its_preferences(open_shop: OpenShop) -> None:
    shop, hours = open_shop(), [0]
    context = shop.contexts.context("default")
    context.lists = Lists(context.books, context.till, clock=lambda: hours[0] * 3600.0)

    def read_at(hour: int) -> tuple[int, int]:
        hours[0], before = hour, Counter(shop.books.ledger.counts.get(REALM, {}))
        context.lists.company()
        found = Counter(shop.books.ledger.counts[REALM]) - before
        return found["read CompanyInfo"], found["read Preferences"]

    assert [read_at(0), read_at(3), read_at(5), read_at(23), read_at(28)] == [(1, 1), (0, 0), (0, 1), (0, 1), (1, 1)]


def test_our_own_item_made_inactive_is_followed_by_another(open_shop: OpenShop) -> None:
    shop = open_shop('[mapping.income_accounts]\non_miss = "skip"\ntable = { ":5" = "Gift Cards Outstanding" }\n')
    shop.till.sell(lines=[sold(0, price_cents=500, text="Repair", vat_code=2, turnover_group=5)])
    shop.settle()
    made = shop.find("Item", Name="Gift Cards Outstanding (Kassabridge)")
    shop.books.put(REALM, "Item", {"Id": made["Id"], "Active": False})
    shop.till.sell(lines=[sold(0, price_cents=700, text="Repair", vat_code=2, turnover_group=5)])
    shop.settle()
    assert shop.parked() == []
    assert len(shop.rows("SalesReceipt")) == 2


def test_a_receipt_of_returned_bottles_alone_is_a_refund(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(CRATE, -2), sold(BOTTLE, -48)], payments=[Tender("CONTANT", -1260)])
    shop.settle()
    assert amounts_of(agree(shop, sale)) == {"Item STATIEGELD": Decimal("12.60")}
    assert shop.only("RefundReceipt")["PaymentMethodRef"]["name"] == "Contant"


def test_bottles_worth_more_than_the_goods_are_returned_in_one_document(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1002), sold(CRATE, -3)], payments=[Tender("CONTANT", -837)])
    shop.settle()
    document = agree(shop, sale)
    assert amounts_of(document)["Item STATIEGELD"] == Decimal("11.70")
    assert amounts_of(document)["Item 1002"] < 0


def test_a_menu_of_several_vat_codes_is_booked_by_its_components(shop: Shop) -> None:
    add_article(shop, 600, 0, vat_code=1, group=4)
    menu = sold(600, preparations=(sold(1002, 2), sold(1001)))
    sale = shop.till.sell(lines=[menu, sold(1003)])
    shop.add_item("600")
    shop.settle()
    document = agree(shop, sale)
    assert taxes_of(document) == stated_by(sale)
    assert {"Item 1001", "Item 1002", "Item 1003"} <= set(items_of(document))


def test_a_sale_of_all_rates_is_booked_rate_by_rate(shop: Shop) -> None:
    lines = [sold(1001, 3, discount_percent=Decimal("7.5")), sold(1002, 7), sold(BOTTLE, 3), sold(1003, -1), sold(1003)]
    sale = shop.till.sell(lines=lines)
    shop.settle()
    document = agree(shop, sale)
    assert {rate: each for rate, each in taxes_of(document).items() if rate} == {
        rate: each for rate, each in stated_by(sale).items() if rate
    }


def test_countries_have_their_own_tax_codes_at_any_rate(open_shop: OpenShop) -> None:
    shop = open_shop('[mapping.tax_codes]\ntable = {"DEU:21" = "21% OSS", "DEU:9" = "9% OSS", "BEL:21" = "21% OSS"}\n')
    for rate in (21, 9):
        same = shop.find("TaxCode", Name=f"{rate}% BTW")["SalesTaxRateList"]
        shop.books.put(REALM, "TaxCode", {"Name": f"{rate}% OSS", "Active": True, "SalesTaxRateList": same})
    used = [codes_of(shop, country) for country in ("Duitsland", "Belgi\u00eb", "Nederland")]
    assert used == [{"21% OSS", "9% OSS"}, {"21% OSS", "9% BTW"}, {"21% BTW", "9% BTW"}]


def codes_of(shop: Shop, country: str) -> set[str]:
    """The names of the tax codes on a receipt for a customer of this country."""
    relation = shop.till.add_relation(name=country, email=f"{country[:3].lower()}@example.com", country=country)
    sale = shop.till.sell(lines=[sold(1001), sold(1002)], relation=relation["relationNumber"])
    shop.settle()
    assert shop.newest(sale["receiptId"]).state == "done"
    details = (line.get("SalesItemLineDetail") for line in shop.rows("SalesReceipt")[-1]["Line"])
    return {shop.find("TaxCode", Id=detail["TaxCodeRef"]["value"])["Name"] for detail in details if detail}


UNTAXED = '[mapping]\nshifted_tax_code = "0% BTW"\nno_vat_tax_code = "0% BTW"'


@pytest.mark.parametrize("method", ["VAT-METHOD-SHIFTED", "VAT-METHOD-NONE"])
def test_receipts_without_vat_are_booked_and_given_back_without_vat(open_shop: OpenShop, method: str) -> None:
    shop = open_shop(UNTAXED)
    sale = shop.till.sell(lines=[sold(1001, 3), sold(1002, 2)], vat_method=method)
    shop.settle()
    assert taxes_of(agree(shop, sale)) == {Decimal(0): (Decimal(sale["totalInclAmount"]) / 100, Decimal(0))}
    shop.till.refund(sale["receiptId"])
    shop.settle()
    refund = shop.only("RefundReceipt")
    assert (refund["TotalAmt"], refund["TxnTaxDetail"]["TotalTax"]) == (Decimal(sale["totalInclAmount"]) / 100, 0)


def test_a_reverse_charged_sale_without_a_code_for_it_waits_for_one(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001)], vat_method="VAT-METHOD-SHIFTED")
    shop.settle()
    event = shop.newest(sale["receiptId"])
    assert (event.state, event.field) == ("parked", "mapping.shifted_tax_code")


def test_a_receipt_on_account_is_booked_at_once_and_paid_in_parts_later(open_shop: OpenShop) -> None:
    shop = open_shop("[orders]\noutstanding_receipts = true")
    sale = shop.till.sell(lines=[sold(1003)], payments=[])
    shop.settle()
    balances = [shop.only("Invoice")["Balance"]]
    for cents in (2500, 7500):
        shop.till.pay_receipt(sale["receiptId"], [Tender("PIN", cents)])
        shop.settle()
        balances.append(shop.only("Invoice")["Balance"])
    assert balances == [100, 75, 0]
    assert sorted(row["TotalAmt"] for row in shop.rows("Payment")) == [25, 75]


def test_a_refund_in_cash_is_rounded_as_the_till_rounded_it(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1002, -1)], payments=[Tender("CONTANT", -335)], round_cash=True)
    shop.settle()
    assert agree(shop, sale)["TotalAmt"] == Decimal("3.35")


def test_goods_are_exchanged_for_dearer_ones_and_the_difference_is_paid(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1001, -2), sold(1003)])
    shop.settle()
    assert agree(shop, sale)["TotalAmt"] == Decimal("75.00")


def test_a_sale_whose_lines_are_missing_is_parked_with_both_amounts(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1003)])
    with shop.till.lock:
        shop.till.till["receipts"].get(sale["receiptId"])["lineList"] = {"line": []}
    shop.settle()
    event = shop.newest(sale["receiptId"])
    assert (event.state, event.field) == ("parked", "lines")
    assert "0.00 without VAT" in (event.reason or "")
    assert "82.64" in (event.reason or "")


def test_a_heading_and_a_free_text_are_on_the_document_without_amount(shop: Shop) -> None:
    def text(words: str) -> ItemSold:
        return ItemSold(0, price_cents=0, text=words, vat_code=2, turnover_group=5)

    sale = shop.till.sell(lines=[text("Tafel 4"), sold(1001), text("zonder ijs"), text("graag snel")])
    shop.settle()
    (line, *_) = agree(shop, sale)["Line"]
    assert (line["Amount"], line["Description"]) == (Decimal("10.33"), "Article 1001 | zonder ijs | graag snel")


SHIPPED = """
[mapping.shipping_methods]
mode = "table"
table = { BEZORGEN = "Courier" }
on_miss = "skip"
"""


@pytest.mark.parametrize(("method", "booked"), [("BEZORGEN", "Courier"), ("AFHALEN", None)])
def test_how_an_order_was_delivered_is_said_in_the_books_words(open_shop: OpenShop, method: str, booked: Any) -> None:
    shop = open_shop(SHIPPED)
    shop.books.set_preference(REALM, "SalesFormsPrefs", "AllowShipping", value=True)
    order = shop.till.take_order(lines=[sold(1003)], fields={"deliveryMethod": method})
    shop.till.deliver_order(order["orderId"], [Tender("PIN", 10000)])
    shop.settle()
    assert shop.only("SalesReceipt").get("ShipMethodRef", {}).get("value") == booked

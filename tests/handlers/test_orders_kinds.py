"""Every kind of sale a till rings up, through the real clients into the simulated books."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from tests.handlers.booked import agree, items_of
from tests.handlers.shop import REALM, Shop, sold


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


def reason(shop: Shop, sale_id: str) -> tuple[str, str | None]:
    event = shop.newest(sale_id)
    return event.state, event.reason


def test_discounts_by_percentage_and_amount_keep_the_tills_vat(shop: Shop) -> None:
    lines = [sold(1001, 3, discount_percent=Decimal("12.5")), sold(1002, 7, discount_cents=111), sold(1003, -1)]
    sale = shop.till.sell(lines=[*lines, sold(1003, 2)])
    shop.settle()
    agree(shop, sale)


def test_preparations_and_text_lines_are_on_the_document(shop: Shop) -> None:
    extra = sold(1002)
    note = ItemSold(0, price_cents=0, text="zonder ui", vat_code=1, turnover_group=4)
    sale = shop.till.sell(lines=[sold(1001, preparations=(extra,)), note])
    shop.settle()
    document = agree(shop, sale)
    assert items_of(document) == ["Item 1001", "Item 1002"]
    assert "zonder ui" in document["Line"][1]["Description"]


def test_a_parent_whose_total_holds_its_preparations_counts_them_once(shop: Shop) -> None:
    shop.till.till.switches.parent_includes_sublines = True
    sale = shop.till.sell(lines=[sold(1003, preparations=(sold(1001),))])
    shop.settle()
    agree(shop, sale)


def test_an_amount_without_an_article_goes_to_its_turnover_groups_item(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[mapping.income_accounts]\non_miss = "skip"\ntable = {":5" = "Sales EU"}')
    free = ItemSold(0, price_cents=2420, text="Reparatie", vat_code=2, turnover_group=5)
    sale = shop.till.sell(lines=[free, sold(1001)])
    shop.settle()
    assert items_of(agree(shop, sale)) == ["Sales EU (Kassabridge)", "Item 1001"]
    assert shop.find("Item", Name="Sales EU (Kassabridge)")["IncomeAccountRef"]["name"] == "Sales EU"


def test_an_amount_without_an_article_and_without_an_item_is_parked(shop: Shop) -> None:
    free = ItemSold(0, price_cents=2420, text="Reparatie", vat_code=2, turnover_group=5)
    sale = shop.till.sell(lines=[free])
    shop.settle()
    state, why = reason(shop, sale["receiptId"])
    assert (state, "Reparatie" in (why or "")) == ("parked", True)


def test_foreign_customers_have_their_own_tax_code_and_income_account(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(
        '[mapping.tax_codes]\ntable = {"DEU:21" = "21% OSS"}\n'
        '[mapping.income_accounts]\non_miss = "skip"\ntable = {DEU = "Sales EU"}'
    )
    rate = shop.find("TaxCode", Name="21% BTW")["SalesTaxRateList"]
    oss = shop.books.put(REALM, "TaxCode", {"Name": "21% OSS", "Active": True, "SalesTaxRateList": rate})
    relation = shop.till.add_relation(name="Hans", email="hans@example.de", country="Duitsland")
    sale = shop.till.sell(lines=[sold(1003)], relation=relation["relationNumber"])
    shop.settle()
    document = agree(shop, sale)
    assert document["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"]["value"] == oss["Id"]
    assert items_of(document) == ["Sales EU (Kassabridge)"]


@pytest.mark.parametrize("method", ["VAT-METHOD-SHIFTED", "VAT-METHOD-NONE"])
def test_sales_without_vat_are_booked_on_the_code_named_for_them(open_shop: Callable[..., Shop], method: str) -> None:
    shop = open_shop('[mapping]\nshifted_tax_code = "0% BTW"\nno_vat_tax_code = "0% BTW"')
    relation = shop.till.add_relation(name="GmbH", email="info@example.de", country="Duitsland")
    sale = shop.till.invoice(lines=[sold(1003)], relation=relation["relationNumber"], vat_method=method)
    shop.settle()
    document = agree(shop, sale)
    assert document["TxnTaxDetail"]["TotalTax"] == 0


def test_prices_without_vat_are_booked_to_the_cent(shop: Shop) -> None:
    lines = [sold(1001, 3), sold(1002, 7), sold(1003)]
    sale = shop.till.sell(lines=lines, vat_method="VAT-METHOD-EXCLUSIVE")
    shop.settle()
    agree(shop, sale)


def test_dutch_cash_rounding_is_a_line_of_its_own(shop: Shop) -> None:
    sale = shop.till.sell(lines=[sold(1002)], payments=[Tender("CONTANT", 335)], round_cash=True)
    shop.settle()
    assert agree(shop, sale)["TotalAmt"] == Decimal("3.35")


GIFT_CARDS = '[mapping]\nspecial_items = {gift_card = "BON"}\ngift_card_tenders = ["BON"]'


def gift_cards(shop: Shop) -> ItemSold:
    shop.add_item("BON", IncomeAccountRef={"value": shop.account("Gift Cards Outstanding")})
    article = {"articleNumber": 900, "description": "Cadeaubon", "priceIncl": 2500, "vatCode": 0, "turnoverGroup": 90}
    shop.till.add_product({"description": "Cadeaubon", "articleList": {"article": [article]}})
    shop.add_item("900", IncomeAccountRef={"value": shop.account("Gift Cards Outstanding")})
    return sold(900)


def test_a_gift_card_sold_is_a_debt_and_one_redeemed_takes_it_off_again(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(GIFT_CARDS)
    shop.till.sell(lines=[gift_cards(shop), sold(1001)])
    shop.settle()
    assert shop.rows("SalesReceipt")[0]["TotalAmt"] == Decimal("37.50")
    shop.till.sell(lines=[sold(1003)], payments=[Tender("BON", 2500), Tender("PIN", 7500)])
    shop.settle()
    second = shop.rows("SalesReceipt")[1]
    assert (second["TotalAmt"], items_of(second)) == (Decimal(75), ["Item 1003", "Item BON"])
    assert second["Line"][-2]["Amount"] == Decimal(-25)


def test_a_sale_paid_by_gift_card_alone_takes_no_money(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop(GIFT_CARDS)
    gift_cards(shop)
    shop.till.sell(lines=[sold(1001)], payments=[Tender("BON", 1250)])
    shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == 0


def test_what_is_not_a_sale_says_so(shop: Shop) -> None:
    came = shop.till.move_cash(5000, "wisselgeld")
    went = shop.till.move_cash(-2000, "bloemen")
    moved = shop.till.transfer_payment(1000, "CONTANT", "PIN")
    empty = shop.till.sell(lines=[], payments=[])
    open_ = shop.till.sell(lines=[sold(1001)], payments=[])
    shop.settle()
    reasons = [reason(shop, sale["receiptId"]) for sale in (came, went, moved, empty, open_)]
    assert reasons == [
        ("skipped", "cash put into the drawer is not a sale"),
        ("skipped", "cash taken out of the drawer is not a sale"),
        ("skipped", "money moved between payment methods is not a sale"),
        ("skipped", "there is nothing on it to book"),
        ("skipped", "the receipt is not paid yet"),
    ]
    assert shop.documents() == {}
    shop.till.pay_receipt(open_["receiptId"], [Tender("PIN", 1250)])
    shop.settle()
    assert shop.only("SalesReceipt")["TotalAmt"] == Decimal("12.50")


def test_a_sale_worth_nothing_is_booked_for_its_stock_or_skipped(
    open_shop: Callable[..., Shop],
) -> None:
    shop = open_shop()
    given = shop.till.sell(lines=[sold(1001, discount_percent=Decimal(100))], payments=[])
    shop.settle()
    assert agree(shop, given)["TotalAmt"] == 0
    shop.switch('[orders]\nzero_totals = "skip"')
    again = shop.till.sell(lines=[sold(1001, discount_percent=Decimal(100))], payments=[])
    shop.settle()
    assert reason(shop, again["receiptId"]) == ("skipped", "its total is zero")


def test_a_way_to_pay_with_a_long_name_is_made_once_by_its_short_one(shop: Shop) -> None:
    long_name = "PIN (CCV)  betaalautomaat met een lange naam"
    shop.till.till["payment_methods"].get("PIN")["description"] = long_name
    made = []
    for _ in range(3):
        shop.till.sell(lines=[sold(1001)])
        shop.settle()
        made.append(shop.books.ledger.metered.total())
    names = [row["Name"] for row in shop.rows("PaymentMethod") if row["Name"].startswith("PIN (")]
    assert names == ["PIN (CCV) betaalautomaat met ee"]
    assert made[1] == made[2]


@pytest.mark.parametrize(
    ("rule", "used"),
    [
        ('mode = "table"\ntable = {PIN = "Tikkie"}', "Tikkie"),
        ('table = {PIN = "Tikkie"}', "Tikkie"),
        ('mode = "off"', None),
    ],
)
def test_a_way_to_pay_in_the_settings_is_not_made_in_the_books(
    open_shop: Callable[..., Shop], rule: str, used: str | None
) -> None:
    shop = open_shop(f"[mapping.payment_methods]\n{rule}")
    shop.till.till["payment_methods"].get("PIN")["description"] = "Pin apart"
    shop.books.put(REALM, "PaymentMethod", {"Name": "Tikkie"})
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert shop.only("SalesReceipt").get("PaymentMethodRef", {}).get("name") == used
    assert "Pin apart" not in [row["Name"] for row in shop.rows("PaymentMethod")]


def test_terms_classes_and_shipping_follow_the_tables(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[mapping.classes]\nmode = "table"\ntable = {1 = "Winkel"}')
    shop.books.put(REALM, "Class", {"Name": "Winkel"})
    shop.books.set_preference(REALM, "AccountingInfoPrefs", "ClassTrackingPerTxnLine", value=True)
    relation = shop.till.add_relation(name="Jan", email="jan@example.nl", paymentWithinDays=14)
    shop.till.invoice(lines=[sold(1003)], relation=relation["relationNumber"])
    shop.settle()
    document = shop.only("Invoice")
    assert document["SalesTermRef"]["name"] == "Net 14"
    assert document["Line"][0]["SalesItemLineDetail"]["ClassRef"]["name"] == "Winkel"


def test_where_classes_are_kept_per_document_every_document_names_it(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[mapping.classes]\nmode = "table"\ntable = {1 = "Winkel"}')
    shop.books.put(REALM, "Class", {"Name": "Winkel"})
    shop.books.set_preference(REALM, "AccountingInfoPrefs", "ClassTrackingPerTxn", value=True)
    shop.till.sell(lines=[sold(1003)], payments=[Tender("BON", 12500), Tender("CONTANT", -2500)])
    shop.settle()
    assert shop.parked() == []
    documents = (shop.only("SalesReceipt"), shop.only("RefundReceipt"))
    assert [document["ClassRef"]["name"] for document in documents] == ["Winkel", "Winkel"]


def test_an_article_whose_item_was_made_inactive_finds_its_successor(shop: Shop) -> None:
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    old = shop.find("Item", Sku="1001")["Id"]
    shop.books.put(REALM, "Item", {"Id": old, "Active": False})
    new = shop.books.put(REALM, "Item", {
        "Name": "Item 1001 nieuw", "Sku": "1001", "Type": "NonInventory",
        "IncomeAccountRef": {"value": shop.account("Sales of Product Income")},
    })["Id"]  # fmt: skip
    sale = shop.till.sell(lines=[sold(1001)])
    shop.settle()
    assert shop.newest(sale["receiptId"]).state == "done"
    assert shop.rows("SalesReceipt")[1]["Line"][0]["SalesItemLineDetail"]["ItemRef"]["value"] == new


@pytest.mark.parametrize("model", ["line", "code"])
def test_books_that_tax_the_sum_and_ignore_stated_vat_end_exact(open_shop: Callable[..., Shop], model: str) -> None:
    shop = open_shop(f'[orders]\nrounding_model = "{model}"\n')
    shop.books.switches.tax_rounding, shop.books.switches.tax_override = "code", "ignore"
    prices = [(1000, 349), (1, 7), (2595, 899), (333, 333), (1999, 1)]
    sales = [
        shop.till.sell(lines=[sold(1001, price_cents=first), sold(1002, 3, price_cents=second)], payments=payments)
        for first, second in prices
        for payments in (None, [Tender("CONTANT", 1), Tender("PIN", first + 3 * second - 1)])
    ]
    changed = shop.till.sell(lines=[sold(1003)])
    shop.settle()
    shop.till.edit_receipt(changed["receiptId"], lines=[sold(1001, price_cents=1000)])
    shop.settle()
    assert [(event.reason, event.order_id) for event in shop.parked()] == []
    booked = sorted(row["TotalAmt"] for kind in ("SalesReceipt", "Invoice") for row in shop.rows(kind))
    assert booked == sorted([*(Decimal(sale["totalInclAmount"]) / 100 for sale in sales), Decimal(10)])
    assert {row["Balance"] for row in shop.rows("Invoice")} == {0}

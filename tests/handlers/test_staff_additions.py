"""What the till's staff added is kept by every update, for any handling of omitted fields at the till."""

from __future__ import annotations

from typing import Any

import pytest

from mapping import settings_document
from tests.handlers.counter import OpenShop, article, change, hear
from tests.handlers.shop import Shop
from tests.servers import wait_until

ADDED: dict[str, Any] = {
    "receiptText": "Kaas v.d. boer",
    "brandName": "Beemster",
    "supplierArticleNumber": "L-77",
    "purchasePrice": 310,
    "unit": "kg",
    "barcodeList": {"barcode": [{"barcode": "8710000000017", "description": "doos"}]},
    "linkedArticleList": {"linkedArticle": [{"articleNumber": 1002, "quantity": 1, "decimalPlaces": 0}]},
    "customFieldList": {
        "customField": [{"fieldName": "Schap", "dataType": "DATA-TYPE-STRING", "strValue": "B4", "multiSelectInt": []}]
    },
}


def put_in_force(shop: Shop, document: str) -> None:
    """Change the settings under the running gateway."""
    shop.set_document(document)
    wanted = settings_document.parse(document)
    wait_until(lambda: shop.deps().settings == wanted, what="the new settings to be in force")


@pytest.mark.parametrize("omitted", ["clear", "keep"])
def test_what_the_staff_added_stays_when_the_books_change_a_price(shop: Shop, omitted: str) -> None:
    shop.till.till.switches.omitted_fields = omitted
    item = shop.add_item("7001", "12.50", Name="Oude kaas")
    hear(shop, item["Id"])
    shop.till.till["articles"].get(7001).update(ADDED)
    change(shop, item["Id"], UnitPrice="13.95", Name="Oude kaas 48+")
    hear(shop, item["Id"])
    found = article(shop, 7001)
    assert (found["priceIncl"], found["description"]) == (1395, "Oude kaas 48+")
    assert {name: found[name] for name in ADDED} == ADDED


@pytest.mark.parametrize("omitted", ["clear", "keep"])
def test_features_of_the_item_join_the_staff_s_own_free_fields(open_shop: OpenShop, omitted: str) -> None:
    shop = open_shop('[products.custom_fields]\nOmschrijving = "Description"')
    shop.till.till.switches.omitted_fields = omitted
    item = shop.add_item("7001", Description="Een jaar gerijpt")
    hear(shop, item["Id"])
    fields = article(shop, 7001)["customFieldList"]["customField"]
    fields.append({"fieldName": "Schap", "dataType": "DATA-TYPE-STRING", "strValue": "B4"})
    change(shop, item["Id"], Description="Twee jaar gerijpt")
    hear(shop, item["Id"])
    found = {row["fieldName"]: row["strValue"] for row in article(shop, 7001)["customFieldList"]["customField"]}
    assert found == {"Omschrijving": "Twee jaar gerijpt", "Schap": "B4"}


@pytest.mark.parametrize(("document", "price", "name"), [
    ("[products]\noffer = false", 100, "New"),
    ("[products]\ncontent = false", 250, "Old"),
    ('[products.write]\nprice = "create"\ndescription = "never"', 100, "Old"),
    ("[products]\nupdate_existing = false", 100, "Old"),
])  # fmt: skip
def test_the_switches_decide_what_an_update_may_touch(
    open_shop: OpenShop, document: str, price: int, name: str
) -> None:
    shop = open_shop()
    item = shop.add_item("7001", "1.00", Name="Old")
    hear(shop, item["Id"])
    put_in_force(shop, document)
    change(shop, item["Id"], UnitPrice="2.50", Name="New")
    hear(shop, item["Id"])
    assert (article(shop, 7001)["priceIncl"], article(shop, 7001)["description"]) == (price, name)


def test_a_filter_keeps_items_out_and_a_changed_setting_lets_them_in(open_shop: OpenShop) -> None:
    shop = open_shop('[products.filter]\nfield = "Name"\nis = "starts_with"\nvalue = "Web"')
    item = shop.add_item("7001", Name="Cheese")
    assert hear(shop, item["Id"]).state == "skipped"
    put_in_force(shop, "version = 1")
    assert hear(shop, item["Id"]).state == "done"

"""A text that is emptied in the books is emptied at the till, unless the staff changed it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.events import Flow
from tests.handlers.counter import OpenShop, article, change, hear
from tests.handlers.shop import Shop
from tests.handlers.test_first_load import load

MAPPED = """
[products.fields]
colour = "CustomField[Name=Colour].StringValue"
barcode = "CustomField[Name=Barcode].StringValue"
[products.custom_fields]
Omschrijving = "Description"
"""


def described(shop: Shop, text: str, **fields: Any) -> str:
    item = shop.add_item("7001", Name="Oude kaas", Description=text, **fields)
    hear(shop, item["Id"])
    assert article(shop, 7001)["extraText"] == text
    return str(item["Id"])


def edit(shop: Shop, item: str, **fields: Any) -> dict[str, Any]:
    change(shop, item, **fields)
    hear(shop, item)
    return article(shop, 7001)


@pytest.mark.parametrize("omitted", ["clear", "keep"])
@pytest.mark.parametrize("document", ["", '[products.write]\nextra_text = "both"'])
def test_a_description_that_is_cleared_leaves_the_till(open_shop: OpenShop, document: str, omitted: str) -> None:
    shop = open_shop(document)
    shop.till.till.switches.omitted_fields = omitted
    item = described(shop, "Een jaar gerijpt")
    found = edit(shop, item, Description="")
    assert (found["extraText"], found["receiptText"]) == ("", "Oude kaas")


def test_a_description_follows_every_change_in_the_books(shop: Shop) -> None:
    item = described(shop, "Een jaar gerijpt")
    assert edit(shop, item, Description="Twee jaar gerijpt")["extraText"] == "Twee jaar gerijpt"
    assert edit(shop, item, Description="Drie jaar gerijpt")["extraText"] == "Drie jaar gerijpt"


@pytest.mark.parametrize("document", ["", '[products.write]\nextra_text = "both"'])
def test_what_the_staff_wrote_instead_is_never_wiped(open_shop: OpenShop, document: str) -> None:
    shop = open_shop(document)
    item = described(shop, "Een jaar gerijpt")
    shop.till.till["articles"].get(7001)["extraText"] = "Van boer Jan"
    assert edit(shop, item, Description="")["extraText"] == "Van boer Jan"
    load(shop, Flow.PRODUCTS)
    assert article(shop, 7001)["extraText"] == "Van boer Jan"


@pytest.mark.parametrize("policy", ["create", "never"])
def test_a_text_that_is_not_ours_to_update_stays(open_shop: OpenShop, policy: str) -> None:
    shop = open_shop()
    item = described(shop, "Een jaar gerijpt")
    shop.switch(f'[products.write]\nextra_text = "{policy}"')
    assert edit(shop, item, Description="")["extraText"] == "Een jaar gerijpt"


def test_mapped_and_free_fields_are_emptied_too_and_the_staff_s_stay(open_shop: OpenShop) -> None:
    shop = open_shop(MAPPED)
    item = described(shop, "Een jaar gerijpt", CustomField=fields(Colour="Geel", Barcode="8710000000017"))
    assert (article(shop, 7001)["colour"], article(shop, 7001)["barcode"]) == ("Geel", "8710000000017")
    shop.till.till["articles"].get(7001)["size"] = "XL"
    rack = {"fieldName": "Schap", "dataType": "DATA-TYPE-STRING", "strValue": "B4", "multiSelectInt": []}
    shop.till.till["articles"].get(7001)["customFieldList"]["customField"].append(rack)
    found = edit(shop, item, Description="", CustomField=fields(Colour="", Barcode=""))
    assert (found["colour"], found["barcode"], found["size"]) == ("", "", "XL")
    free = {row["fieldName"]: row.get("strValue") for row in found["customFieldList"]["customField"]}
    assert free == {"Omschrijving": "", "Schap": "B4"}


def fields(**texts: str) -> list[dict[str, str]]:
    ids = {"Colour": "1", "Barcode": "2"}
    return [
        {"DefinitionId": ids[name], "Name": name, "Type": "StringType", "StringValue": text}
        for name, text in texts.items()
    ]

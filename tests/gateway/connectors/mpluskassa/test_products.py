"""Products: read as records, and updated without deleting what the till's staff added."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.mpluskassa.wire_catalogue import (
    ARTICLE_FIELDS,
    to_group,
    to_group_request,
    to_new_group_request,
    to_read_product,
    to_soap,
)
from mapping.records import Article, ArticleGroup, Product

RAW: dict[str, Any] = {
    "productNumber": 10,
    "syncMarker": 5,
    "description": "Koffie",
    "extraText": "",
    "groupNumbers": [1, 2],
    "sortOrderGroupList": {"sortOrderGroup": [{"groupNumber": 1, "sortOrder": 4}]},
    "articleList": {
        "article": [
            {
                "articleNumber": 100,
                "extArticleId": "Q-1",
                "pluNumber": "KOF",
                "syncMarker": 9,
                "changeTimestamp": {"day": 1, "mon": 1, "year": 2026},
                "active": True,
                "description": "Koffie",
                "turnoverGroup": 3,
                "vatCode": 2,
                "vatPercentage": 9,
                "averagePurchasePrice": 80,
                "priceIncl": 300,
                "priceExcl": 275,
                "categoryId": 4,
                "categoryIds": {"category": [4, 5]},
                "barcodeList": {"barcode": [{"barcodeId": 1, "barcode": "871", "priceIncl": 500}]},
                "imageList": {"image": [{"imageId": 1, "imageDataResult": "LOAD-FILE-NOT-REQUESTED"}]},
                "customFieldList": {
                    "customField": [
                        {"fieldName": "Merk", "dataType": "DATA-TYPE-STRING", "strValue": "Bonen & Co"},
                        {"fieldName": "Sterkte", "dataType": "DATA-TYPE-INT", "isRequired": True, "intValue": 3},
                    ]
                },
                "askFor": "ASK-FOR-NOTHING",
            },
            {"articleNumber": 101, "extArticleId": "Q-2", "description": "Koffie groot", "priceIncl": 400},
        ]
    },
}


def product(*articles: Article, **fields: Any) -> Product:
    return Product(**{"number": 10, "description": None, "articles": articles, **fields})


def articles_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body["articleList"]["article"]
    return found


def test_a_product_is_read_with_its_articles() -> None:
    read = to_read_product(RAW).product
    assert (read.number, read.description, read.group_numbers, read.sync_marker) == (10, "Koffie", (1, 2), 5)
    assert [article.number for article in read.articles] == [100, 101]
    first = read.articles[0]
    assert (first.plu, first.price_incl_cents, first.vat_code, first.ext_id) == ("KOF", 300, 2, "Q-1")
    assert first.custom_fields == {"Merk": "Bonen & Co", "Sterkte": 3}


def test_an_update_sends_the_whole_product_with_only_the_wanted_change() -> None:
    body = to_soap(product(Article(number=100, description="Koffie vers")), RAW)
    first, second = articles_of(body)
    assert first["description"] == "Koffie vers"
    for kept in ("pluNumber", "turnoverGroup", "categoryIds", "barcodeList", "customFieldList", "askFor", "priceIncl"):
        assert first[kept] == RAW["articleList"]["article"][0][kept]
    assert second == RAW["articleList"]["article"][1]
    assert (body["description"], body["sortOrderGroupList"]) == ("Koffie", RAW["sortOrderGroupList"])


def test_what_the_till_computes_or_gave_up_is_not_sent_back() -> None:
    first = articles_of(to_soap(product(Article(number=100)), RAW))[0]
    gone = {"syncMarker", "changeTimestamp", "averagePurchasePrice", "vatPercentage", "categoryId", "imageList"}
    assert not gone & first.keys()
    assert "syncMarker" not in to_soap(product(), RAW)


def test_images_go_back_only_when_their_data_was_read() -> None:
    raw = copy.deepcopy(RAW)
    image = raw["articleList"]["article"][0]["imageList"]["image"][0]
    image |= {"imageDataResult": "LOAD-FILE-OK", "imageData": b"png"}
    assert articles_of(to_soap(product(), raw))[0]["imageList"] == {"image": [image]}


def test_the_row_as_read_is_not_touched() -> None:
    before = copy.deepcopy(RAW)
    to_soap(product(Article(number=100, description="x", custom_fields={"Merk": "y"}), group_numbers=(7,)), RAW)
    assert before == RAW


@pytest.mark.parametrize(
    ("article", "kept", "left_out"),
    [
        (Article(number=100, price_incl_cents=350), {"priceIncl": 350}, "priceExcl"),
        (Article(number=100, price_excl_cents=350), {"priceExcl": 350}, "priceIncl"),
        (Article(number=100, vat_code=1), {"vatCode": 1, "priceIncl": 300}, "priceExcl"),
        (Article(number=100, vat_code=2), {"vatCode": 2, "priceIncl": 300, "priceExcl": 275}, ""),
        (Article(number=100, vat_code=1, price_excl_cents=350), {"vatCode": 1, "priceExcl": 350}, "priceIncl"),
        (Article(number=100, vat_code=1, price_incl_cents=350), {"vatCode": 1, "priceIncl": 350}, "priceExcl"),
        (Article(number=100, price_incl_cents=5, price_excl_cents=4), {"priceIncl": 5, "priceExcl": 4}, ""),
    ],
)
def test_an_old_price_is_never_sent_beside_a_new_one(article: Article, kept: dict[str, int], left_out: str) -> None:
    first = articles_of(to_soap(product(article), RAW))[0]
    assert {name: first[name] for name in kept} == kept
    assert left_out not in first


def test_further_prices_follow_another_vat_code() -> None:
    further = {
        "salesPriceList": {"salesPrice": [{"salesPriceNumber": 1, "priceIncl": 250, "priceExcl": 229}]},
        "priceGroupList": {"priceGroup": [{"priceGroupNumber": 2, "priceExcl": 200}]},
    }
    raw = copy.deepcopy(RAW)
    raw["articleList"]["article"][0].update(further)
    same, other = (articles_of(to_soap(product(Article(number=100, vat_code=code)), raw))[0] for code in (2, 1))
    assert {name: same[name] for name in further} == further
    assert other["salesPriceList"] == {"salesPrice": [{"salesPriceNumber": 1, "priceIncl": 250}]}
    assert other["priceGroupList"] == further["priceGroupList"]


def test_groups_are_added_and_none_is_taken_away() -> None:
    assert to_soap(product(group_numbers=(2, 7)), RAW)["groupNumbers"] == [1, 2, 7]


def test_an_article_without_a_number_is_found_by_our_id_or_added() -> None:
    found = articles_of(to_soap(product(Article(ext_id="Q-2", description="Groter")), RAW))
    assert [(row["articleNumber"], row["description"]) for row in found] == [(100, "Koffie"), (101, "Groter")]
    added = articles_of(to_soap(product(Article(ext_id="Q-3", description="Thee")), RAW))
    assert added[2] == {"extArticleId": "Q-3", "description": "Thee"}


def test_a_free_field_changes_alone_and_keeps_its_type() -> None:
    wanted = {"Merk": 7, "Sterkte": 4, "Vers": date(2026, 1, 2), "Bio": True, "Kg": Decimal("0.25"), "Soort": (1, 2)}
    moment = datetime(2026, 1, 1, 12, tzinfo=UTC)
    fields = articles_of(to_soap(product(Article(number=100, custom_fields={**wanted, "Om": moment, "X": None})), RAW))
    by_name = {field["fieldName"]: field for field in fields[0]["customFieldList"]["customField"]}
    assert by_name["Merk"] == {"fieldName": "Merk", "dataType": "DATA-TYPE-STRING", "strValue": "7"}
    assert by_name["Sterkte"]["intValue"] == 4
    assert by_name["Sterkte"]["isRequired"] is True
    assert by_name["Kg"] == {"fieldName": "Kg", "dataType": "DATA-TYPE-DECIMAL", "intValue": 25, "decimalPlaces": 2}
    assert "X" not in by_name
    read = to_read_product({"articleList": {"article": fields}}).product.articles[0].custom_fields
    assert read == {**wanted, "Merk": "7", "Om": moment}


def test_a_new_product_says_only_what_the_record_says() -> None:
    new = Product(None, "Thee", (Article(plu="THEE", price_incl_cents=250, vat_code=2),), group_numbers=(3,))
    assert to_soap(new, None) == {
        "description": "Thee",
        "groupNumbers": [3],
        "articleList": {"article": [{"pluNumber": "THEE", "vatCode": 2, "priceIncl": 250}]},
    }


VALUES: dict[str, Any] = {
    "active": st.booleans(),
    "webshop": st.booleans(),
    "stock_article": st.booleans(),
}
OURS = st.fixed_dictionaries(
    {},
    optional={
        name: VALUES.get(
            name, st.integers(0, 10**6) if name.endswith(("cents", "code", "group")) else st.text(max_size=9)
        )
        for name in ARTICLE_FIELDS
        if name not in {"number", "ext_id"}
    },
)
STAFF = st.dictionaries(
    st.sampled_from(
        ["unit", "siUnit", "brandName", "course", "askFor", "linkedArticleList", "colour", "barcode", "size"]
    ),
    st.text(min_size=1, max_size=9) | st.lists(st.integers(), max_size=3),
)


@given(ours=OURS, staff=STAFF)
def test_nothing_the_staff_added_is_ever_wiped(ours: dict[str, Any], staff: dict[str, Any]) -> None:
    raw = {"productNumber": 10, "articleList": {"article": [{"articleNumber": 100, **staff}]}}
    body = articles_of(to_soap(product(Article(number=100, **ours)), raw))[0]
    said = {ARTICLE_FIELDS[name] for name in ours}
    assert {name: body.get(name) for name in staff if name not in said} == {
        name: value for name, value in staff.items() if name not in said
    }
    assert all(body[ARTICLE_FIELDS[name]] == value for name, value in ours.items())


def test_a_group_is_read_with_all_below_it() -> None:
    group = to_group(
        {
            "groupNumber": 1,
            "name": "Dranken",
            "text": "",
            "sortOrder": 2,
            "productNumbers": {"number": [10, 11]},
            "subGroupList": {"articleGroups": {"groupNumber": 2, "name": "Warm", "isDeleted": True}},
        }
    )
    assert (group.number, group.name, group.product_numbers) == (1, "Dranken", (10, 11))
    assert group.subgroups == (ArticleGroup(2, "Warm", parent=1, deleted=True),)


def test_a_new_group_goes_to_the_top_and_a_change_sends_only_its_fields() -> None:
    assert to_new_group_request(ArticleGroup(None, "Warm")) == {"parentGroupNumber": 0, "name": "Warm", "text": "Warm"}
    assert to_group_request(ArticleGroup(2, "Warm")) == {"groupNumber": 2, "name": "Warm"}

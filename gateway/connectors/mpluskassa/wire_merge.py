"""Bodies for createProduct and updateProduct. Pure.

The vendor does not document what updateProduct does with a missing element, so an update is the whole product as it
was read, sub-lists included, with only the fields of our record changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from gateway.connectors.mpluskassa.wire import Row, known, rows, to_date_struct, to_moment_struct, to_scaled
from gateway.connectors.mpluskassa.wire_products import ARTICLE_FIELDS
from mapping.records import Article, Product

_DERIVED_OF_PRODUCT = frozenset({"syncMarker"})
_DERIVED_OF_ARTICLE = frozenset(
    {
        "syncMarker",
        "changeTimestamp",
        "createTimestamp",
        "averagePurchasePrice",
        "vatPercentage",
        "vatPercentageAlternative",
        "categoryId",
        "supplierRelationName",
        "articleDiscountGroupName",
    }
)
"""Read-only, deprecated or computed by the till from another field: sending them back could contradict it."""
_PRICE_LISTS = ("salesPriceList", "priceGroupList", "barcodeList", "relationArticleDiscountList")
"""Further prices of an article, each with and without VAT at the article's own rate."""


def to_soap(product: Product, existing: Row | None) -> dict[str, Any]:
    """A Product to create (`existing` None) or to update (`existing` as it was read, untouched here)."""
    body = _without(existing or {}, _DERIVED_OF_PRODUCT)
    body |= known(productNumber=product.number, description=product.description, extraText=product.extra_text)
    groups = list(dict.fromkeys((*rows(body, "groupNumbers"), *product.group_numbers)))
    if groups:
        body["groupNumbers"] = groups
    body["articleList"] = {"article": _articles(product.articles, rows(existing, "articleList", "article"))}
    return body


def _articles(wanted: Iterable[Article], existing: list[Row]) -> list[dict[str, Any]]:
    merged = [_as_read(row) for row in existing]
    for article in wanted:
        place = _place(article, existing)
        if place is None:
            merged.append(_merged(article, {}))
        else:
            merged[place] = _merged(article, merged[place])
    return merged


def _place(article: Article, existing: list[Row]) -> int | None:
    """The matching existing article: by number, else (still without one) by our own id on it."""
    key, value = ("extArticleId", article.ext_id) if article.number is None else ("articleNumber", article.number)
    return next((place for place, row in enumerate(existing) if value and row.get(key) == value), None)


def _as_read(row: Row) -> dict[str, Any]:
    body = _without(row, _DERIVED_OF_ARTICLE)
    if not _images_are_whole(body):
        del body["imageList"]
    return body


def _images_are_whole(body: Row) -> bool:
    # An image whose data was not loaded would go back empty; images have operations of their own.
    images = rows(body.get("imageList"), "image")
    return "imageList" not in body or all(image.get("imageDataResult") == "LOAD-FILE-OK" for image in images)


def _merged(article: Article, body: dict[str, Any]) -> dict[str, Any]:
    said = known(**{theirs: getattr(article, ours) for ours, theirs in ARTICLE_FIELDS.items()})
    rate_changed = "vatCode" in said and said["vatCode"] != body.get("vatCode")
    merged = _without(body, _stale_prices(said, body, rate_changed=rate_changed)) | said
    if rate_changed:
        merged |= {name: _without_net(merged[name]) for name in _PRICE_LISTS if name in merged}
    if article.custom_fields:
        merged["customFieldList"] = {"customField": _custom_fields(article.custom_fields, merged)}
    return merged


def _stale_prices(said: Row, body: Row, *, rate_changed: bool) -> frozenset[str]:
    """The price the till must compute again, because it follows from the other one; prices we send are kept.

    Where we send neither and the rate changes, the price with VAT stays.
    """
    if "priceExcl" in said:
        return frozenset({"priceIncl"})
    follows = "priceIncl" in said or (rate_changed and "priceIncl" in body)
    return frozenset({"priceExcl"}) if follows else frozenset()


def _without_net(prices: Row) -> dict[str, Any]:
    """Other prices of the article, at its rate: the price with VAT stays, the price without VAT follows."""
    return {
        name: [_without(row, frozenset({"priceExcl"}) if "priceIncl" in row else frozenset()) for row in found]
        for name, found in prices.items()
    }


def _custom_fields(wanted: Mapping[str, Any], body: Row) -> list[dict[str, Any]]:
    fields = {row["fieldName"]: dict(row) for row in rows(body, "customFieldList", "customField")}
    for name, value in wanted.items():
        if value is not None:
            fields[name] = {"fieldName": name, **_required(fields.get(name)), **_typed(value, fields.get(name))}
    return list(fields.values())


def _required(row: Row | None) -> dict[str, Any]:
    return known(isRequired=row.get("isRequired")) if row else {}


def _typed(value: Any, row: Row | None) -> dict[str, Any]:
    """A free field's value by its Python type, unless the till holds the field as text."""
    is_text = row is not None and row.get("dataType") == "DATA-TYPE-STRING"
    kind, field, written = ("STRING", "strValue", str(value)) if is_text else _written(value)
    places = {"decimalPlaces": to_scaled(value)[1]} if kind == "DECIMAL" else {}
    return {"dataType": f"DATA-TYPE-{kind}", field: written, **places}


def _written(value: Any) -> tuple[str, str, Any]:
    known_as = next((row for row in _CUSTOM_TYPES if isinstance(value, row[0])), None)
    if known_as is None:
        return "STRING", "strValue", str(value)
    _, kind, field, write = known_as
    return kind, field, write(value)


# bool before int and datetime before date: each is also the other.
_CUSTOM_TYPES: tuple[tuple[type, str, str, Callable[[Any], Any]], ...] = (
    (bool, "BOOL", "boolValue", bool),
    (int, "INT", "intValue", int),
    (Decimal, "DECIMAL", "intValue", lambda value: to_scaled(value)[0]),
    (datetime, "DATETIME", "dateTimeValue", to_moment_struct),
    (date, "DATE", "dateValue", to_date_struct),
    (tuple, "MULTISELECTINT", "multiSelectInt", list),
)


def _without(row: Row, names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names and value is not None}

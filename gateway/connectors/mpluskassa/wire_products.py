"""The till's products and article groups <-> records. Pure; merging into an existing product is `wire_merge`'s."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from gateway.connectors.mpluskassa.wire import (
    ReadProduct,
    Row,
    known,
    need,
    rows,
    text,
    to_date,
    to_moment,
    to_quantity,
)
from mapping.records import Article, ArticleGroup, Product

ARTICLE_FIELDS: dict[str, str] = {
    "number": "articleNumber",
    "ext_id": "extArticleId",
    "plu": "pluNumber",
    "active": "active",
    "description": "description",
    "receipt_text": "receiptText",
    "invoice_text": "invoiceText",
    "display_text": "displayText",
    "extra_text": "extraText",
    "colour": "colour",
    "size": "size",
    "barcode": "barcode",
    "turnover_group": "turnoverGroup",
    "vat_code": "vatCode",
    "price_incl_cents": "priceIncl",
    "price_excl_cents": "priceExcl",
    "purchase_price_cents": "purchasePrice",
    "stock_article": "stockArticle",
    "webshop": "webshop",
}
"""Our field of an article to the till's."""


def to_read_product(row: Row) -> ReadProduct:
    """A product with the row it came from."""
    return ReadProduct(to_product(row), row)


def to_product(row: Row) -> Product:
    """A product of `getProducts`."""
    return Product(
        number=row.get("productNumber"),
        description=row.get("description"),
        articles=tuple(to_article(each) for each in rows(row, "articleList", "article")),
        group_numbers=tuple(rows(row, "groupNumbers")),
        extra_text=row.get("extraText"),
        sync_marker=row.get("syncMarker"),
    )


def to_article(row: Row) -> Article:
    """An article of a product."""
    fields: dict[str, Any] = {ours: row.get(theirs) for ours, theirs in ARTICLE_FIELDS.items()}
    custom = {need(each, "fieldName"): custom_value(each) for each in rows(row, "customFieldList", "customField")}
    return Article(**fields, custom_fields=custom, sync_marker=row.get("syncMarker"))


def custom_value(row: Row) -> Any:
    """The value of a free field by its data type; an unknown type is read as text."""
    read = _CUSTOM_VALUES.get(row.get("dataType", ""))
    return read(row) if read else row.get("strValue")


def _decimal(row: Row) -> Decimal | None:
    value = row.get("intValue")
    return None if value is None else to_quantity(value, row.get("decimalPlaces"))


_CUSTOM_VALUES: dict[str, Callable[[Row], Any]] = {
    "DATA-TYPE-INT": lambda row: row.get("intValue"),
    "DATA-TYPE-DECIMAL": _decimal,
    "DATA-TYPE-BOOL": lambda row: row.get("boolValue"),
    "DATA-TYPE-DATE": lambda row: to_date(row.get("dateValue")),
    "DATA-TYPE-DATETIME": lambda row: to_moment(row.get("dateTimeValue")),
    "DATA-TYPE-MULTISELECTINT": lambda row: tuple(rows(row, "multiSelectInt")),
}


# --- article groups ----------------------------------------------------------------------------------------------


def to_group(row: Row, *, parent: int | None = None) -> ArticleGroup:
    """A group of `getArticleGroups`, with everything below it."""
    number = need(row, "groupNumber")
    return ArticleGroup(
        number=number,
        name=text(row, "name") or "",
        text=text(row, "text") or "",
        parent=row.get("parentGroupNumber") or parent,
        sort_order=row.get("sortOrder"),
        product_numbers=tuple(rows(row, "productNumbers", "number")),
        subgroups=tuple(to_group(each, parent=number) for each in rows(row, "subGroupList", "articleGroups")),
        deleted=row.get("isDeleted") is True,
        sync_marker=row.get("syncMarker"),
    )


def to_new_group_request(group: ArticleGroup) -> dict[str, Any]:
    """A NewArticleGroupRequest; a group without a parent is put at the top, number 0."""
    return known(
        parentGroupNumber=group.parent or 0, name=group.name, text=group.text or group.name, sortOrder=group.sort_order
    )


def to_group_request(group: ArticleGroup) -> dict[str, Any]:
    """An UpdateArticleGroupRequest with only the fields of the record."""
    return known(
        groupNumber=group.number,
        name=group.name or None,
        text=group.text or None,
        sortOrder=group.sort_order,
        parentGroupNumber=group.parent,
    )

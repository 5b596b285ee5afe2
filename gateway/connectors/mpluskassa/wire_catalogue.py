"""Products, article groups, stock and the small lists of the till <-> its SOAP structures. Pure.

The vendor does not document what updateProduct does with a missing element, so an update is the whole product as it
was read, sub-lists included, with only the fields of our record changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from gateway.connectors.mpluskassa import wire
from gateway.connectors.mpluskassa.wire import ReadProduct, Row
from gateway.errors import Transient
from mapping import records
from mapping.messages import message

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
_DERIVED_OF_PRODUCT = frozenset({"syncMarker"})
_DERIVED_OF_ARTICLE = frozenset((
    "syncMarker", "changeTimestamp", "createTimestamp", "averagePurchasePrice", "vatPercentage",
    "vatPercentageAlternative", "categoryId", "supplierRelationName", "articleDiscountGroupName",
))  # fmt: skip
"""Read-only, deprecated or computed by the till from another field: sending them back could contradict it."""
_PRICE_LISTS = ("salesPriceList", "priceGroupList", "barcodeList", "relationArticleDiscountList")
"""Further prices of an article, each with and without VAT at the article's own rate."""


def to_read_product(row: Row) -> ReadProduct:
    product = records.Product(
        number=row.get("productNumber"),
        description=row.get("description"),
        articles=tuple(to_article(each) for each in wire.rows(row, "articleList", "article")),
        group_numbers=tuple(wire.rows(row, "groupNumbers")),
        extra_text=row.get("extraText"),
        sync_marker=row.get("syncMarker"),
    )
    return ReadProduct(product, row)


def to_empty_product(number: int, name: str, groups: tuple[int, ...]) -> ReadProduct:
    """A product without articles, which getProducts may not show."""
    raw = {"productNumber": number, "description": name, "groupNumbers": list(groups)}
    return ReadProduct(records.Product(number, name, (), groups), raw)


def to_article(row: Row) -> records.Article:
    fields: dict[str, Any] = {ours: row.get(theirs) for ours, theirs in ARTICLE_FIELDS.items()}
    custom = {
        wire.need(each, "fieldName"): custom_value(each) for each in wire.rows(row, "customFieldList", "customField")
    }
    return records.Article(**fields, custom_fields=custom, sync_marker=row.get("syncMarker"))


def custom_value(row: Row) -> Any:
    """The value of a free field by its data type; an unknown type is read as text."""
    read = _CUSTOM_VALUES.get(row.get("dataType", ""))
    return read(row) if read else row.get("strValue")


_CUSTOM_VALUES: dict[str, Callable[[Row], Any]] = {
    "DATA-TYPE-INT": lambda row: row.get("intValue"),
    "DATA-TYPE-DECIMAL": lambda row: (
        None if row.get("intValue") is None else wire.to_quantity(row["intValue"], row.get("decimalPlaces"))
    ),
    "DATA-TYPE-BOOL": lambda row: row.get("boolValue"),
    "DATA-TYPE-DATE": lambda row: wire.to_date(row.get("dateValue")),
    "DATA-TYPE-DATETIME": lambda row: wire.to_moment(row.get("dateTimeValue")),
    "DATA-TYPE-MULTISELECTINT": lambda row: tuple(wire.rows(row, "multiSelectInt")),
}


def to_group(row: Row, *, parent: int | None = None) -> records.ArticleGroup:
    number = wire.need(row, "groupNumber")
    return records.ArticleGroup(
        number=number,
        name=wire.text(row, "name") or "",
        text=wire.text(row, "text") or "",
        parent=row.get("parentGroupNumber") or parent,
        sort_order=row.get("sortOrder"),
        product_numbers=tuple(wire.rows(row, "productNumbers", "number")),
        subgroups=tuple(to_group(each, parent=number) for each in wire.rows(row, "subGroupList", "articleGroups")),
        deleted=row.get("isDeleted") is True,
        sync_marker=row.get("syncMarker"),
    )


def to_new_group_request(group: records.ArticleGroup) -> dict[str, Any]:
    """A NewArticleGroupRequest; a group without a parent is put at the top, number 0."""
    return wire.known(
        parentGroupNumber=group.parent or 0, name=group.name, text=group.text or group.name, sortOrder=group.sort_order
    )


def to_group_request(group: records.ArticleGroup) -> dict[str, Any]:
    return wire.known(
        groupNumber=group.number,
        name=group.name or None,
        text=group.text or None,
        sortOrder=group.sort_order,
        parentGroupNumber=group.parent,
    )


def to_soap(product: records.Product, existing: Row | None) -> dict[str, Any]:
    """A Product to create (`existing` None) or to update (`existing` as it was read, untouched here)."""
    body = _without(existing or {}, _DERIVED_OF_PRODUCT)
    body |= wire.known(productNumber=product.number, description=product.description, extraText=product.extra_text)
    groups = list(dict.fromkeys((*wire.rows(body, "groupNumbers"), *product.group_numbers)))
    if groups:
        body["groupNumbers"] = groups
    present = wire.rows(existing, "articleList", "article")
    merged = [_without(row, _DERIVED_OF_ARTICLE) for row in present]
    for row in merged:
        # An image whose data was not loaded would go back empty; images have operations of their own.
        images = wire.rows(row.get("imageList"), "image")
        if any(image.get("imageDataResult") != "LOAD-FILE-OK" for image in images):
            del row["imageList"]
    for article in product.articles:
        # The matching existing article: by number, else (still without one) by our own id on it.
        key, value = ("extArticleId", article.ext_id) if article.number is None else ("articleNumber", article.number)
        place = next((place for place, row in enumerate(present) if value and row.get(key) == value), None)
        if place is None:
            merged.append(_merged(article, {}))
        else:
            merged[place] = _merged(article, merged[place])
    body["articleList"] = {"article": merged}
    return body


def _merged(article: records.Article, body: dict[str, Any]) -> dict[str, Any]:
    said = wire.known(**{theirs: getattr(article, ours) for ours, theirs in ARTICLE_FIELDS.items()})
    rate_changed = "vatCode" in said and said["vatCode"] != body.get("vatCode")
    merged = _without(body, _stale_prices(said, body, rate_changed=rate_changed)) | said
    if rate_changed:
        merged |= {name: _without_net(merged[name]) for name in _PRICE_LISTS if name in merged}
    if article.custom_fields:
        fields = {row["fieldName"]: dict(row) for row in wire.rows(merged, "customFieldList", "customField")}
        for name, value in article.custom_fields.items():
            if value is not None:
                present = fields.get(name, {})
                fields[name] = {
                    "fieldName": name,
                    **wire.known(isRequired=present.get("isRequired")),
                    **_typed(value, is_text=present.get("dataType") == "DATA-TYPE-STRING"),
                }
        merged["customFieldList"] = {"customField": list(fields.values())}
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


def _typed(value: Any, *, is_text: bool) -> dict[str, Any]:
    """A free field's value by its Python type, unless the till holds the field as text."""
    row = None if is_text else next((row for row in _CUSTOM_TYPES if isinstance(value, row[0])), None)
    if row is None:
        return {"dataType": "DATA-TYPE-STRING", "strValue": str(value)}
    _, kind, field, write = row
    places = {"decimalPlaces": wire.to_scaled(value)[1]} if kind == "DECIMAL" else {}
    return {"dataType": f"DATA-TYPE-{kind}", field: write(value), **places}


# bool before int and datetime before date: each is also the other.
_CUSTOM_TYPES: tuple[tuple[type, str, str, Callable[[Any], Any]], ...] = (
    (bool, "BOOL", "boolValue", bool),
    (int, "INT", "intValue", int),
    (Decimal, "DECIMAL", "intValue", lambda value: wire.to_scaled(value)[0]),
    (datetime, "DATETIME", "dateTimeValue", wire.to_moment_struct),
    (date, "DATE", "dateValue", wire.to_date_struct),
    (tuple, "MULTISELECTINT", "multiSelectInt", list),
)


def _without(row: Row, names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names and value is not None}


def to_stock(row: Row, *, branch: int | None = None, default_places: int = 0) -> records.ArticleStock:
    """The stock of one article; `branch` is the requested one, used where the row names none."""

    def amount(name: str) -> Decimal:
        return wire.to_quantity(
            row.get(f"amount{name}"), row.get(f"decimalPlaces{name}"), default_places=default_places
        )

    return records.ArticleStock(
        article=wire.need(row, "articleNumber"),
        branch=row.get("branchNumber") or branch,
        free=amount("Free"),
        reserved=amount("Reserved"),
        stock_id=row.get("stockId"),
    )


def to_movement(row: Row, *, default_places: int = 0) -> records.StockMovement:
    after = row.get("afterCorrectionQuantity")
    return records.StockMovement(
        stock_id=wire.need(row, "stockId"),
        article=wire.need(row, "articleNumber"),
        branch=row.get("branchNumber"),
        change=wire.to_quantity(
            wire.need(row, "amountChanged"), row.get("decimalPlaces"), default_places=default_places
        ),
        type=wire.text(row, "type") or "STOCK-HISTORY-TYPE-UNKNOWN",
        at=wire.to_moment(row.get("timestamp")),
        receipt_id=wire.text(row, "receiptId"),
        invoice_id=wire.text(row, "invoiceId"),
        order_id=wire.text(row, "orderId"),
        after=None
        if after is None
        else wire.to_quantity(after, row.get("afterCorrectionDecimalPlaces"), default_places=default_places),
    )


def to_corrections(branch: int, changes: Mapping[int, Decimal], *, employee: int, reference: str) -> dict[str, Any]:
    """A SaveStockCorrectionsRequest that adds to (or, negative, subtracts from) each article of one branch."""
    scaled = {article: wire.to_scaled(change) for article, change in changes.items()}
    corrections = [
        {"articleNumber": article, "amount": value, "decimalPlaces": places}
        for article, (value, places) in scaled.items()
    ]
    return {
        "branchNumber": branch,
        "employeeNumber": employee,
        "reference": reference,
        "stockCorrectionList": {"correction": corrections},
        "correctionMode": "STOCK-CORRECTION-MODE-RELATIVE",
    }


def to_booking(
    branch: int, article: int, change: Decimal, *, employee: int | None, reference: str | None
) -> dict[str, Any]:
    """An UpdateStockRequest: pieces added, or taken off."""
    value, places = wire.to_scaled(change)
    return {
        "branchNumber": branch,
        "articleNumber": article,
        "amountChanged": value,
        "decimalPlaces": places,
        **wire.known(employeeNumber=employee, reference=reference),
    }


MARKERS: dict[str, str] = {
    "article": "articleSyncMarker",
    "article_group": "articleGroupSyncMarker",
    "relation": "relationSyncMarker",
    "receipt": "receiptSyncMarker",
    "invoice": "invoiceSyncMarker",
    "order": "orderSyncMarker",
    "stock": "stockId",
}
"""Our name of a marker to the till's."""
_LARGEST_MARKER: Final = 2**63 - 1


def marker_flags() -> dict[str, bool]:
    return {f"include{theirs[0].upper()}{theirs[1:]}": True for theirs in MARKERS.values()}


def to_sync_markers(row: Row) -> records.SyncMarkers:
    """Raises Transient for a marker no till can have reached: a cursor would stand there."""
    for theirs in MARKERS.values():
        if (row.get(theirs) or 0) > _LARGEST_MARKER:
            reason = message("{operation}: the answer held no {name}", operation="getCurrentSyncMarkers", name=theirs)
            raise Transient(reason, code="MALFORMED", field=theirs)
    return records.SyncMarkers(**{ours: row.get(theirs) for ours, theirs in MARKERS.items()})


def to_vat_groups(found: Iterable[Row]) -> tuple[records.VatGroup, ...]:
    """The VAT codes of all branches, in per cent: one rate of 100 or more shows that all are in hundredths."""
    listed = list(found)
    divisor = wire.percentage_divisor(wire.need(row, "vatPercentage") for row in listed)
    return tuple(
        records.VatGroup(
            code=wire.need(row, "vatCode"),
            percentage=Decimal(wire.need(row, "vatPercentage")) / divisor,
            branch=row.get("branchNumber") or None,
            country=wire.text(row, "countryIso3"),
        )
        for row in listed
    )


def to_branch(row: Row) -> records.Branch:
    return records.Branch(
        number=wire.need(row, "branchNumber"),
        name=wire.text(row, "branchName") or "",
        country=wire.text(row, "countryIso3"),
        workplaces=tuple(wire.need(each, "workplaceNumber") for each in wire.rows(row, "workplaces", "workplace")),
    )


def to_payment_method(row: Row) -> records.TillPaymentMethod:
    return records.TillPaymentMethod(
        code=wire.need(row, "method"), description=wire.text(row, "description") or "", type=wire.text(row, "type")
    )


def to_turnover_group(row: Row) -> records.TurnoverGroup:
    return records.TurnoverGroup(
        number=wire.need(row, "turnoverGroup"),
        name=wire.text(row, "turnoverGroupName") or "",
        type=wire.text(row, "turnoverGroupType"),
        vat_code=row.get("defaultVatCode"),
    )


def to_api_version(row: Row) -> str:
    numbers = (row.get(f"service{name}Number") or 0 for name in ("Major", "Minor", "Revision"))
    return wire.text(row, "serviceVersionDisplayString") or ".".join(map(str, numbers))

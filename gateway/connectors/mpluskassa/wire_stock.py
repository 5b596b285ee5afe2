"""The till's stock levels and movements <-> records. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.connectors.mpluskassa.wire import Row, known, need, text, to_moment, to_quantity, to_scaled
from mapping.records import ArticleStock, StockMovement


def to_stock(row: Row, *, branch: int | None = None, default_places: int = 0) -> ArticleStock:
    """The stock of one article; `branch` is the requested one, used where the row names none."""

    def amount(name: str) -> Decimal:
        return to_quantity(row.get(f"amount{name}"), row.get(f"decimalPlaces{name}"), default_places=default_places)

    return ArticleStock(
        article=need(row, "articleNumber"),
        branch=row.get("branchNumber") or branch,
        free=amount("Free"),
        reserved=amount("Reserved"),
        incoming=amount("Incoming"),
        stock_id=row.get("stockId"),
        own_free=row.get("ownAmountFree"),
    )


def to_movement(row: Row, *, default_places: int = 0) -> StockMovement:
    """One booking of the stock history."""
    after = row.get("afterCorrectionQuantity")
    return StockMovement(
        stock_id=need(row, "stockId"),
        article=need(row, "articleNumber"),
        branch=row.get("branchNumber"),
        change=to_quantity(need(row, "amountChanged"), row.get("decimalPlaces"), default_places=default_places),
        type=text(row, "type") or "STOCK-HISTORY-TYPE-UNKNOWN",
        at=to_moment(row.get("timestamp")),
        receipt_id=text(row, "receiptId"),
        invoice_id=text(row, "invoiceId"),
        order_id=text(row, "orderId"),
        after=None
        if after is None
        else to_quantity(after, row.get("afterCorrectionDecimalPlaces"), default_places=default_places),
    )


def movement_marker(row: Row) -> int | None:
    """The rising number of a stock booking."""
    return row.get("stockId")


def to_corrections(branch: int, changes: Mapping[int, Decimal], *, employee: int, reference: str) -> dict[str, Any]:
    """A SaveStockCorrectionsRequest that adds to (or, negative, subtracts from) each article of one branch."""
    return {
        "branchNumber": branch,
        "employeeNumber": employee,
        "reference": reference,
        "stockCorrectionList": {"correction": [_to_correction(*change) for change in changes.items()]},
        "correctionMode": "STOCK-CORRECTION-MODE-RELATIVE",
    }


def _to_correction(article: int, change: Decimal) -> dict[str, int]:
    value, places = to_scaled(change)
    return {"articleNumber": article, "amount": value, "decimalPlaces": places}


def to_booking(
    branch: int, article: int, change: Decimal, *, employee: int | None, reference: str | None
) -> dict[str, Any]:
    """An UpdateStockRequest: pieces added, or taken off."""
    value, places = to_scaled(change)
    return {
        "branchNumber": branch,
        "articleNumber": article,
        "amountChanged": value,
        "decimalPlaces": places,
        **known(employeeNumber=employee, reference=reference),
    }

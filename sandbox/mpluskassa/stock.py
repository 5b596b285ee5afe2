"""Stock per branch and article: absolute and relative bookings, reservations, and a history that only grows."""

from __future__ import annotations

from decimal import Decimal

from sandbox.mpluskassa.structs import Record, from_moment, quantity, to_moment
from sandbox.mpluskassa.till import Till

STOCK_ID = "stockId"


def find_obstacle(till: Till, branch: int, article_number: int) -> str | None:
    """Why stock cannot be booked, as the end of a result code; None when it can."""
    if branch not in till["branches"]:
        return "BRANCH-NOT-FOUND"
    article = till["articles"].find(article_number)
    if article is None:
        return "ARTICLE-NOT-FOUND"
    return None if article["stockArticle"] else "NO-STOCK-ARTICLE"


def get_row(till: Till, branch: int, article_number: int) -> Record:
    """The stock of an article at a branch; zero when nothing was booked yet."""
    key = f"{branch}/{article_number}"
    row = till["stock"].find(key)
    if row is None:
        row = {"_key": key, "branchNumber": branch, "articleNumber": article_number, "stockId": 0}
        row.update(physical=Decimal(0), reserved=Decimal(0))
        till["stock"].put(row)
    return row


def get_amount(till: Till, branch: int, article_number: int) -> Decimal:
    """Pieces physically there."""
    return Decimal(get_row(till, branch, article_number)["physical"])


def book(
    till: Till, branch: int, article_number: int, change: Decimal, *, kind: str, source: Record | None = None
) -> int:
    """Change the physical stock; returns the stockId of the movement. `kind` ends STOCK-HISTORY-TYPE-…"""
    row = get_row(till, branch, article_number)
    before = row["physical"]
    row["physical"] = before + change
    number = _touch(till, row)
    movement = {
        "stockId": number,
        "timestamp": row["changeTimestamp"],
        "branchNumber": branch,
        "articleNumber": article_number,
        **quantity("amountChanged", "decimalPlaces", change),
        "type": f"STOCK-HISTORY-TYPE-{kind}",
        **quantity("beforeCorrectionQuantity", "beforeCorrectionDecimalPlaces", before),
        **quantity("afterCorrectionQuantity", "afterCorrectionDecimalPlaces", row["physical"]),
        **(source or {}),
    }
    till["stock_history"].put(movement)
    return number


def reserve(till: Till, branch: int, article_number: int, change: Decimal) -> None:
    """Set pieces aside for an order, or let them go (negative)."""
    row = get_row(till, branch, article_number)
    row["reserved"] += change
    _touch(till, row)


def _touch(till: Till, row: Record) -> int:
    row["stockId"] = till.count(STOCK_ID)
    row["changeTimestamp"] = to_moment(till.clock())
    return int(row["stockId"])


def set_amount(till: Till, branch: int, article_number: int, amount: Decimal, kind: str = "API") -> int:
    """Make the stock exactly this many pieces; returns the stockId."""
    row = get_row(till, branch, article_number)
    target = amount + row["reserved"] if till.switches.set_stock_sets == "free" else amount
    return book(till, branch, article_number, target - row["physical"], kind=kind)


def sell(till: Till, branch: int, lines: list[Record], source: Record) -> None:
    """Book what a sale took from (or returned to) the shelf; articles without stock keeping are passed over."""
    for article_number, pieces in count_pieces(till, lines):
        book(till, branch, article_number, -pieces, kind="SALES", source=source)


def count_pieces(till: Till, lines: list[Record]) -> list[tuple[int, Decimal]]:
    """Stock articles and pieces of lines and their sublines."""
    counted = []
    for line in lines:
        article = till["articles"].find(line["articleNumber"])
        if article is not None and article["stockArticle"]:
            data = line["data"]
            counted.append((line["articleNumber"], Decimal(data["quantity"]).scaleb(-data["decimalPlaces"])))
        counted.extend(count_pieces(till, line.get("preparationList", {}).get("line", [])))
    return counted


def list_stock(till: Till, request: Record) -> list[Record]:
    """Rows that match a getStock request; its stockId is inclusive, like a marker."""
    branches = request.get("branchNumbers", {}).get("branchNumber") or [request["branchNumber"]]
    numbers = request["articleNumbers"]["articleNumbers"] or [
        row["articleNumber"] for row in till["articles"] if row["stockArticle"]
    ]
    since = request.get("stockId", 0)
    rows = [
        get_row(till, branch, number)
        for branch in branches
        for number in numbers
        if find_obstacle(till, branch, number) is None
    ]
    least = since if till.switches.unbooked_stock == "zero" else max(since, 1)
    return [_show(row) for row in rows if row["stockId"] >= least]


def _show(row: Record) -> Record:
    shown: Record = {
        key: row[key] for key in ("branchNumber", "articleNumber", "changeTimestamp", "stockId") if key in row
    }
    return {
        **shown,
        **quantity("amountFree", "decimalPlacesFree", row["physical"] - row["reserved"]),
        **quantity("amountReserved", "decimalPlacesReserved", row["reserved"]),
        **quantity("amountIncoming", "decimalPlacesIncoming", Decimal(0)),
        "isDayStockArticle": False,
    }


def list_history(till: Till, request: Record, branches: list[int]) -> list[Record]:
    """Movements that match a getStockHistory request, oldest first; sinceStockId is inclusive."""
    numbers = request.get("articleNumbers", {}).get("articleNumbers", [])
    since, limit = request.get("sinceStockId"), request.get("sinceStockIdLimit")
    rows = [
        row
        for row in till["stock_history"]
        if (not branches or row["branchNumber"] in branches)
        and (not numbers or row["articleNumber"] in numbers)
        and row["stockId"] >= (since or 0)
        and _inside(row, request)
    ]
    return rows if since is None else rows[: limit or till.switches.page_size]


def _inside(row: Record, request: Record) -> bool:
    moment = from_moment(row["timestamp"])
    first = from_moment(request.get("fromFinancialDateTime"))
    last = from_moment(request.get("throughFinancialDateTime"))
    return moment is None or ((first is None or moment >= first) and (last is None or moment <= last))

"""Operations on stock: read it, follow its movements, set it, change it, correct it."""

from __future__ import annotations

from decimal import Decimal

from sandbox.mpluskassa import stock
from sandbox.mpluskassa.structs import Record, from_unscaled
from sandbox.mpluskassa.till import Till


def get_stock(till: Till, request: Record) -> Record:
    """Stock of articles at one or several branches."""
    return {"articleStocks": stock.list_stock(till, request["request"])}


def get_stock_history(till: Till, request: Record) -> Record:
    """Movements of one branch."""
    asked = request["request"]
    return {"articleStockHistory": stock.list_history(till, asked, [asked["branchNumber"]])}


def get_stock_history_v2(till: Till, request: Record) -> Record:
    """Movements of some or all branches."""
    asked = request["request"]
    return {"articleStockHistory": stock.list_history(till, asked, asked["branchNumbers"])}


def set_stock(till: Till, request: Record) -> Record:
    """Stock made exactly this."""
    asked = request["request"]
    amount = from_unscaled(asked["amount"], asked.get("decimalPlaces"))
    branch, number = asked["branchNumber"], asked["articleNumber"]
    obstacle = stock.find_obstacle(till, branch, number)
    if obstacle:
        return {"result": f"SET-STOCK-RESULT-{obstacle}"}
    stock_id = stock.set_amount(till, branch, number, amount)
    till.record_effect("setStock", number, branch=branch, amount=str(amount), stockId=stock_id)
    return {"result": "SET-STOCK-RESULT-OK", "stockId": stock_id}


def update_stock(till: Till, request: Record) -> Record:
    """Stock changed by this."""
    asked = request["request"]
    change = from_unscaled(asked["amountChanged"], asked.get("decimalPlaces"))
    branch, number = asked["branchNumber"], asked["articleNumber"]
    obstacle = stock.find_obstacle(till, branch, number)
    if obstacle:
        return {"result": f"UPDATE-STOCK-RESULT-{obstacle}"}
    stock_id = stock.book(till, branch, number, change, kind="API")
    who = asked.get("employeeNumber")
    till.record_effect("updateStock", number, branch=branch, change=str(change), stockId=stock_id, employee=who)
    return {"result": "UPDATE-STOCK-RESULT-OK", "stockId": stock_id}


def save_stock_corrections(till: Till, request: Record) -> Record:
    """Many articles of one branch at once, all or nothing unless it is switched otherwise."""
    asked = request["request"]
    corrections = asked["stockCorrectionList"]["correction"]
    refused = _refuse_corrections(till, asked["branchNumber"], [row["articleNumber"] for row in corrections])
    if refused:
        return refused
    way = till.switches.corrections
    relative = asked.get("correctionMode") == "STOCK-CORRECTION-MODE-RELATIVE" and way != "counts"
    booked = corrections[: {"refused": 0, "halved": len(corrections) // 2}.get(way, len(corrections))]
    stock_ids = [_correct(till, asked["branchNumber"], row, relative) for row in booked]
    till.record_effect("saveStockCorrections", asked["branchNumber"], lines=len(booked))
    if len(booked) < len(corrections):
        return {"result": "SAVE-STOCK-CORRECTIONS-RESULT-FAILED"}
    return {"result": "SAVE-STOCK-CORRECTIONS-RESULT-OK", "stockId": stock_ids[-1]}


def _refuse_corrections(till: Till, branch: int, numbers: list[int]) -> Record | None:
    prefix = "SAVE-STOCK-CORRECTIONS-RESULT"
    if not numbers:
        return {"result": f"{prefix}-NO-CORRECTIONS"}
    for position, number in enumerate(numbers):
        obstacle = stock.find_obstacle(till, branch, number)
        if number in numbers[:position]:
            obstacle = "DUPLICATE-ARTICLE"
        if obstacle:
            return {"result": f"{prefix}-{obstacle}", "failedArticleNumber": number}
    return None


def _correct(till: Till, branch: int, row: Record, relative: bool) -> int:
    amount: Decimal = from_unscaled(row["amount"], row.get("decimalPlaces"))
    if relative:
        return stock.book(till, branch, row["articleNumber"], amount, kind="CORRECTION")
    return stock.set_amount(till, branch, row["articleNumber"], amount, kind="CORRECTION")


HANDLERS = {
    "getStock": get_stock,
    "getStockHistory": get_stock_history,
    "getStockHistoryV2": get_stock_history_v2,
    "setStock": set_stock,
    "updateStock": update_stock,
    "saveStockCorrections": save_stock_corrections,
}

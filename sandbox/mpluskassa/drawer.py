"""Cash counts: what the drawer of a workplace should hold at the end of a shift, and what was counted."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.mpluskassa import documents
from sandbox.mpluskassa.documents import Occasion
from sandbox.mpluskassa.structs import Record, from_date
from sandbox.mpluskassa.till import Till

TRANSACTION_FIELDS = ("financialDate", "workplaceNumber", "employeeNumber", "entryTimestamp", "transactionString")


def count_drawer(till: Till, counted: Mapping[str, int], occasion: Occasion) -> Record:
    """Close a shift; `counted` is cents by payment method, a method left out agrees with what is expected.

    Raises ValueError when nothing was rung up at this workplace since the last count.
    """
    shift = _list_shift(till, occasion)
    if not shift:
        raise ValueError("nothing was rung up at this workplace since the last count")
    head = documents.build_head(till, occasion)
    year = head["financialDate"]["year"]
    number = till.count(f"cashCountNumber:{year}")
    count = {
        "cashCountId": till.new_id("cashCount"),
        "cashCountString": f"{year}.{number}",
        **{name: head[name] for name in ("financialDate", "entryTimestamp", "workplaceNumber", "employeeNumber")},
        "branchNumber": occasion.branch,
        "cashCountNumber": {"year": year, "number": number},
        "versionNumber": 1,
        "countingEmployeeNumber": occasion.employee,
        "isFinalized": True,
        "shiftFirstReceiptId": shift[0]["receiptId"],
        "shiftFirstTransaction": _transaction(shift[0]),
        "shiftLastReceiptId": shift[-1]["receiptId"],
        "shiftLastTransaction": _transaction(shift[-1]),
        "cashCountLineList": {"cashCountLine": _count_lines(till, shift, counted)},
        "_receipts": [row["receiptId"] for row in shift],
    }
    till["cash_counts"].put(count)
    till.record_effect("cashCount", count["cashCountId"])
    return count


def _list_shift(till: Till, occasion: Occasion) -> list[Record]:
    counted = {receipt_id for count in till["cash_counts"] for receipt_id in count["_receipts"]}
    place = (occasion.branch, occasion.workplace)
    return [
        row
        for row in till["receipts"]
        if (row["entryBranchNumber"], row["workplaceNumber"]) == place and row["receiptId"] not in counted
    ]


def _transaction(receipt: Record) -> Record:
    number = receipt["receiptNumber"]
    return {
        **{name: receipt[name] for name in TRANSACTION_FIELDS},
        "transactionId": receipt["receiptId"],
        "branchNumber": receipt["entryBranchNumber"],
        "transactionNumber": {"year": number["year"], "number": number["number"]},
    }


def _count_lines(till: Till, shift: list[Record], counted: Mapping[str, int]) -> list[Record]:
    added: dict[str, int] = {}
    for payment in (payment for row in shift for payment in row["paymentList"]["payment"]):
        added[payment["method"]] = added.get(payment["method"], 0) + payment["amount"]
    return [_count_line(till, method, added[method], counted.get(method, added[method])) for method in sorted(added)]


def _count_line(till: Till, method: str, added: int, counted: int) -> Record:
    configured = till["payment_methods"].get(method)
    return {
        "paymentMethod": method,
        "paymentMethodType": configured["type"],
        "accountNumber": configured["accountNumber"],
        "startAmount": 0,
        "addedAmount": added,
        "countedAmount": counted,
        "depositedAmount": counted,
        "differenceAmount": counted - added,
        "endAmount": 0,
    }


def list_counts(till: Till, request: Record) -> list[Record]:
    """Cash counts that match a getCashCountList request."""
    first, last = from_date(request.get("fromFinancialDate")), from_date(request.get("throughFinancialDate"))
    since = request.get("sinceCashCount")
    return [row for row in till["cash_counts"] if _matches(row, first, last, since)]


def _matches(count: Record, first: object, last: object, since: Record | None) -> bool:
    day = from_date(count["financialDate"])
    dated = (first is None or day >= first) and (last is None or day <= last)  # type: ignore[operator]
    return bool(dated) and (since is None or _is_later(count, since))


def _is_later(count: Record, since: Record) -> bool:
    place = (count["branchNumber"], count["workplaceNumber"])
    number = count["cashCountNumber"]
    return place == (since["branchNumber"], since["workplaceNumber"]) and (number["year"], number["number"]) > (
        since["year"],
        since["number"],
    )

"""Day totals per branch: turnover groups, payments and VAT, worked out from the stored documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from sandbox.mpluskassa.lines import walk_data
from sandbox.mpluskassa.structs import Record, from_date, to_date
from sandbox.mpluskassa.till import Till

SOURCES = {"RECEIPT": "receipts", "INVOICE": "invoices", "ORDER": "orders"}
BOOKED = ("RECEIPT", "INVOICE")
MOVES = ("RECEIPT-TYPE-CASH-INFLOW", "RECEIPT-TYPE-CASH-OUTFLOW", "RECEIPT-TYPE-PAYMENT-METHOD-TRANSFER")


def list_journals(till: Till, request: Record) -> list[Record]:
    """One journal per branch and day that has anything in it, orders aside unless they are asked for."""
    filters = request.get("journalFilterList", {}).get("journalFilter", [])
    sources = [name.removeprefix("JOURNAL-FILTER-") for name in filters] or list(BOOKED)
    documents = [row for source in sources for row in till[SOURCES[source]]]
    branches = request["branchNumbers"] or [row["branchNumber"] for row in till["branches"]]
    days = sorted({day for row in documents for day in _days_of(row) if _asked(day, request)})
    journals = (_build_journal(till, branch, day, documents) for day in days for branch in branches)
    return [journal for journal in journals if _has_anything(journal)]


def _days_of(document: Record) -> Iterator[date]:
    for holder in (document, *document["paymentList"]["payment"]):
        day = from_date(holder["financialDate"])
        if day:
            yield day


def _asked(day: date, request: Record) -> bool:
    first, last = from_date(request["fromFinancialDate"]), from_date(request["throughFinancialDate"])
    return (first is None or day >= first) and (last is None or day <= last)


def _has_anything(journal: Record) -> bool:
    return bool(journal["turnoverGroupList"]["turnoverGroup"] or journal["paymentList"]["payment"])


def _build_journal(till: Till, branch: int, day: date, documents: Iterable[Record]) -> Record:
    documents, counts = list(documents), till.switches.journals_count
    sales = [row for row in documents if row.get("receiptType", "") not in MOVES]
    sold = [row for row in (documents if counts == "moves" else sales) if _is_of(row, branch, day)]
    return {
        "financialDate": to_date(day),
        "branchNumber": branch,
        "turnoverGroupList": {"turnoverGroup": _sum_turnover(till, sold)},
        "paymentList": {"payment": _sum_payments(sales if counts == "sales" else documents, branch, day)},
        "vatGroupList": {"vatGroup": _sum_vat(sold)},
    }


def _is_of(document: Record, branch: int, day: date) -> bool:
    return document["financialBranchNumber"] == branch and from_date(document["financialDate"]) == day


def _sum_vat(documents: Iterable[Record]) -> list[Record]:
    sums: dict[tuple[int, int], Record] = {}
    for document in documents:
        for group in document["vatGroupList"]["vatGroup"]:
            key = (group["vatCode"], group["vatPercentage"])
            total = sums.setdefault(key, {**group, "exclAmount": 0, "vatAmount": 0})
            total["exclAmount"] += group["exclAmount"]
            total["vatAmount"] += group["vatAmount"]
    return [sums[key] for key in sorted(sums)]


def _sum_payments(documents: Iterable[Record], branch: int, day: date) -> list[Record]:
    sums: dict[str, Record] = {}
    for payment in (payment for row in documents for payment in row["paymentList"]["payment"]):
        if payment["branchNumber"] == branch and from_date(payment["financialDate"]) == day:
            kept = ("method", "description", "paymentMethodType", "accountNumber")
            total = sums.setdefault(payment["method"], {**{key: payment[key] for key in kept}, "amount": 0})
            total["amount"] += payment["amount"]
    return [sums[key] for key in sorted(sums)]


def _sum_turnover(till: Till, documents: Iterable[Record]) -> list[Record]:
    sums: dict[int, list[int]] = {}
    for document in documents:
        for number, incl, excl in split_turnover(document):
            total = sums.setdefault(number, [0, 0])
            total[0] += incl
            total[1] += excl
    return [_turnover(till, number, *sums[number]) for number in sorted(sums)]


def _turnover(till: Till, number: int, incl: int, excl: int) -> Record:
    group = till["turnover_groups"].get(number)
    kept = ("turnoverGroupType", "turnoverGroup", "turnoverGroupName", "accountNumber")
    return {**{key: group[key] for key in kept}, "inclAmount": incl, "exclAmount": excl}


def split_turnover(document: Record) -> list[tuple[int, int, int]]:
    """A document's (turnover group, incl, excl) in cents; they add up to its totals, the last of a VAT code taking
    what rounding leaves."""
    shares: list[tuple[int, int, int]] = []
    for group in document["vatGroupList"]["vatGroup"]:
        parts: dict[int, list[int]] = {}
        for data in walk_data(document["lineList"]["line"]):
            if (data["vatCode"], data["vatPercentage"]) == (group["vatCode"], group["vatPercentage"]):
                part = parts.setdefault(data["turnoverGroup"], [0, 0])
                part[0] += data["totalInclAmount"]
                part[1] += data["totalExclAmount"]
        excl = group["exclAmount"]
        shares.extend(_fit(parts, excl + group["vatAmount"], excl))
    return shares


def _fit(parts: dict[int, list[int]], incl: int, excl: int) -> Iterator[tuple[int, int, int]]:
    numbers = sorted(parts)
    for number in numbers[:-1]:
        yield number, parts[number][0], parts[number][1]
    rest_incl = incl - sum(parts[number][0] for number in numbers[:-1])
    yield numbers[-1], rest_incl, excl - sum(parts[number][1] for number in numbers[:-1])


def list_financial_groups(till: Till, request: Record) -> list[Record]:
    """Turnover per group, branch and source over the asked period, as getFinancialJournal writes it."""
    found: list[Record] = []
    for source in BOOKED:
        for branch in till["branches"]:
            sold = [row for row in till[SOURCES[source]] if _is_sold(row, branch["branchNumber"], request)]
            found.extend(_financial_group(source, branch, group) for group in _sum_turnover(till, sold))
    return found


def _is_sold(document: Record, branch: int, request: Record) -> bool:
    day = from_date(document["financialDate"])
    return document["financialBranchNumber"] == branch and day is not None and _asked(day, request)


GROUP_TYPES = {"REFUNDABLE-DEPOSIT", "CASH-INFLOW", "CASH-OUTFLOW", "PAYMENT"}


def _financial_group(source: str, branch: Record, group: Record) -> Record:
    kind = group["turnoverGroupType"].removeprefix("TURNOVER-GROUP-TYPE-")
    written: dict[str, Any] = {
        "financialGroupType": f"FINANCIAL-GROUP-TYPE-{kind if kind in GROUP_TYPES else 'TURNOVER'}",
        "financialGroupSource": f"FINANCIAL-GROUP-SOURCE-{source}",
        "financialGroupNumber": group["turnoverGroup"],
        "financialGroupName": group["turnoverGroupName"],
        "accountNumber": group["accountNumber"],
        "branchNumber": branch["branchNumber"],
        "inclAmount": group["inclAmount"],
        "exclAmount": group["exclAmount"],
    }
    return written

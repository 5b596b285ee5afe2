"""The certificate of a compared day: what it says, as canonical JSON, and the proof that it explains every cent. Pure.

A certificate holds no names of persons: records are named by their numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from mapping.agreement import AGREES, DIFFERS, EXPLAINED
from mapping.agreement_causes import Cause
from mapping.figures import TURNOVER
from mapping.messages import Message

FORMAT: Final = "kassabridge certificate 1"
RESULTS: Final = {AGREES: "AGREES", EXPLAINED: "EXPLAINED", DIFFERS: "DIFFERS"}
_AFTER_QUOTE = ":"

Content = dict[str, Any]


def describe_day(report: Mapping[str, Any], day: date) -> Content:
    """What a report of `mapping.agreement.to_report` says about one day, without anything that changes by itself."""
    cells = [cell for cell in report["cells"] if cell["day"] == day.isoformat()]
    journal = report["journal"]
    beyond = _differences_of(day, journal["differences"])
    records = [
        {
            "record": row["record"],
            "cause": row["cause"],
            "by_policy": row["by_policy"],
            "reason": without_quotes(row),
            "event": row["event"],
            "documents": row["documents"],
            "differences": here,
        }
        for row in report["rows"]
        if (here := _differences_of(day, row["differences"]))
    ]
    turnover = {side: sum(cell[side] for cell in cells if cell["measure"] in TURNOVER) for side in ("till", "books")}
    return {
        "day": day.isoformat(),
        "result": _result(records, beyond),
        "till_cents": turnover["till"],
        "books_cents": turnover["books"],
        "amounts": [_name_cell(cell) | {"till_cents": cell["till"], "books_cents": cell["books"]} for cell in cells],
        "records": records,
        "journal": {"asked": journal["asked"], "beyond_documents": beyond},
    }


def _differences_of(day: date, cells: Iterable[Mapping[str, Any]]) -> list[Content]:
    return [_name_cell(cell) | {"cents": cell["cents"]} for cell in cells if cell["day"] == day.isoformat()]


def _name_cell(cell: Mapping[str, Any]) -> Content:
    return {name: cell[name] for name in ("branch", "measure", "key")}


def without_quotes(row: Mapping[str, Any]) -> str:
    """The reason of a row, without that of its event, which may contain a person's name: it is read from the event."""
    reason: str = row["reason"]
    if row["cause"] != Cause.NOT_BOOKED or not row["event"]:
        return reason
    if isinstance(reason, Message):
        return reason.values["event"] if "reason" in reason.values else reason
    return reason.partition(_AFTER_QUOTE)[0]


def _result(records: Iterable[Mapping[str, Any]], beyond: Iterable[object]) -> str:
    policies = [bool(record["by_policy"]) for record in records]
    if any(beyond) or not all(policies):
        return RESULTS[DIFFERS]
    return RESULTS[EXPLAINED if policies else AGREES]


def to_canonical(content: Mapping[str, Any]) -> str:
    """The one way to write it: keys sorted, no spaces, whole numbers, as ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(content: Mapping[str, Any]) -> str:
    """The SHA-256 of its canonical form, in hexadecimal."""
    return hashlib.sha256(to_canonical(content).encode()).hexdigest()


def find_faults(certificate: Mapping[str, Any]) -> Iterator[str]:
    """What it claims and does not show: sums that do not follow from its amounts, cents without a record, its result.

    Raises `KeyError` or `TypeError` for what is not a certificate.
    """
    for side in ("till_cents", "books_cents"):
        cents = sum(each[side] for each in certificate["amounts"] if each["measure"] in TURNOVER)
        if cents != certificate[side]:
            yield f"{side} is {certificate[side]}, its amounts add up to {cents}"
    unexplained: Counter[tuple[object, ...]] = Counter()
    for each in certificate["amounts"]:
        unexplained[_place(each)] += each["books_cents"] - each["till_cents"]
    for each in (each for record in certificate["records"] for each in record["differences"]):
        unexplained[_place(each)] -= each["cents"]
    for (branch, measure, key), cents in unexplained.items():
        if cents:
            yield f"no record explains {cents} cents of {measure} {key} at branch {branch or 'none'}"
    wanted = _result(certificate["records"], certificate["journal"]["beyond_documents"])
    if certificate["result"] != wanted:
        yield f"its result is {certificate['result']}, its records say {wanted}"


def _place(cell: Mapping[str, Any]) -> tuple[object, ...]:
    return cell["branch"], cell["measure"], cell["key"]

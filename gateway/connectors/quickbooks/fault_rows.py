"""The closed table of the books' faults: what each code means, who can fix it, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.errors import (
    AuthLost,
    Conflict,
    DuplicateName,
    DuplicateNumber,
    GatewayError,
    NotFound,
    Permanent,
    RateLimited,
    Transient,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. `statuses` are the HTTP statuses it was seen with (documentation; the code alone decides).

    `quotes` allows the fault's Detail in the error: only where it names fields and records, never people or tokens.
    """

    code: str
    statuses: tuple[int, ...]
    kind: type[GatewayError]
    meaning: str
    who: str
    how: str
    quotes: bool = False


_BOOKKEEPER: Final = "bookkeeper"
_OWNER: Final = "owner of the QuickBooks company"
_OPERATOR: Final = "operator of the gateway"
_NOBODY: Final = "nobody"

_REPORT: Final = "report it with this code and the intuit_tid: the request itself is wrong"
_REMAP: Final = "choose an existing, active record for it in the settings or in QuickBooks, then retry"

ROWS: Final = (
    Row("3200", (401,), AuthLost, "the access token is not valid any more", _OWNER, "connect QuickBooks again"),
    Row("3100", (403,), AuthLost, "the app is not authorised for this company", _OWNER, "connect QuickBooks again"),
    Row("120", (400, 401, 403), AuthLost, "the user who connected QuickBooks lost access to the company", _OWNER,
        "connect again as a user who is an administrator of the company"),
    Row("6190", (400, 403), AuthLost, "the company's QuickBooks subscription has ended", _OWNER,
        "renew the subscription, then resume the connection"),
    Row("3001", (429,), RateLimited, "too many requests", _NOBODY, "the gateway waits and tries again by itself"),
    Row("610", (400,), NotFound, "the record does not exist or was made inactive", _BOOKKEEPER, _REMAP, quotes=True),
    Row("2010", (400,), Permanent, "the request holds a property QuickBooks does not know", _OPERATOR, _REPORT,
        quotes=True),
    Row("2020", (400,), Permanent, "a required value is missing", _BOOKKEEPER,
        "fill in the value in the mapping or in the record, then retry", quotes=True),
    Row("2030", (400,), Permanent, "an id is not valid", _OPERATOR, _REPORT, quotes=True),
    Row("2500", (400,), Permanent, "the document refers to a record that does not exist or cannot be used here",
        _BOOKKEEPER, _REMAP, quotes=True),
    Row("4001", (400,), Permanent, "QuickBooks does not understand the query", _OPERATOR, _REPORT, quotes=True),
    Row("5010", (400,), Conflict, "the record was changed by somebody else meanwhile", _NOBODY,
        "the gateway reads it again; retry when it stays"),
    Row("6000", (400,), Permanent, "a business rule of QuickBooks refuses it", _BOOKKEEPER,
        "correct what QuickBooks names, then retry", quotes=True),
    Row("6070", (400,), Permanent, "a line's amount is not its quantity times its price", _OPERATOR, _REPORT,
        quotes=True),
    Row("6140", (400,), DuplicateNumber, "the document number is already used", _BOOKKEEPER,
        "compare the two documents; rename or remove the one that does not belong to this sale"),
    Row("6210", (400,), Permanent, "the accounting period is closed", _BOOKKEEPER,
        "reopen the period, or let the settings post on the first open day, then retry"),
    Row("6240", (400,), DuplicateName,
        "the name is already used by another customer, supplier, employee or item", _BOOKKEEPER,
        "rename one of the two, or link this record to the existing one"),
    Row("6270", (400,), Permanent, "the date is before the item's inventory start date", _BOOKKEEPER,
        "set an earlier inventory start date on the item, then retry", quotes=True),
    Row("500", (400,), Permanent, "QuickBooks does not support this operation or cannot decode the text", _OPERATOR,
        _REPORT),
    Row("10000", (500,), Transient, "an internal error of QuickBooks", _NOBODY,
        "the gateway tries again by itself"),
)  # fmt: skip

BY_CODE: Final = {row.code: row for row in ROWS}

UNAUTHORISED: Final = BY_CODE["3200"]
THROTTLED: Final = BY_CODE["3001"]
OUTAGE: Final = BY_CODE["10000"]


def unknown(code: str | None, status: int) -> Row:
    """What nobody foresaw: permanent and loud."""
    return Row(
        code or f"HTTP {status}",
        (status,),
        Permanent,
        "an answer of QuickBooks that the gateway does not know",
        _OPERATOR,
        "look at the recorded answer in the activity log and report it with the intuit_tid",
    )

"""Error answers of the books, converted to our errors by status and code, never by their prose.

The table is closed: what each code means, who can fix it, and how.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from gateway.connectors.http import find_pause
from gateway.connectors.quickbooks.fields import Json, find_object
from gateway.errors import (
    AUTH_LOST,
    AuthLost,
    Conflict,
    DuplicateName,
    DuplicateNumber,
    GatewayError,
    NotFound,
    Permanent,
    RateLimited,
    Transient,
    Unanswered,
)
from mapping.messages import message
from mapping.records import DocumentKind

_PAUSE: Final = 2.0
"""Seconds until the next attempt after a 429 that names none; the rate limiter decides when calls may start."""
_LONGEST_QUOTE: Final = 300
_LONGEST_DETAIL: Final = 2000  # what follows is not looked at: the time of a search would grow with its square
_ERROR_IN_XML: Final = re.compile(rb"<(?:\w+:)?Error\b([^>]*)>", re.IGNORECASE)
_DETAIL_IN_XML: Final = re.compile(rb"<(?:\w+:)?Detail>([^<]{0,2000})", re.IGNORECASE)
_ATTRIBUTE: Final = r"\b%s\s*=\s*[\"']([^\"']{1,100})[\"']"
_OTHER_ID: Final = re.compile(r"TxnId\s*=\s*(\d{1,20})")
_OTHER_KIND: Final = re.compile(r"TxnType\s*=\s*([A-Za-z ]{1,40}?)(?=\s+with\b|\s*,|\s*$)")
_OTHER_NUMBER: Final = re.compile(r"DocNumber\s*=\s*(\S.{0,20}?)\s+is\b")
_ADDRESS: Final = re.compile(r"\S+@\S+")
_TOKEN: Final = re.compile(r"(?:bearer\s+\S+|[\w-]{32,})", re.IGNORECASE)
# A supplied value may be a person's name: only a number is quoted.
_SUPPLIED: Final = re.compile(r"((?:supplied value|invalid characters)\s*[:.]\s*)(?![\d.,-]*$).+", re.IGNORECASE)
_KINDS: Final = {kind.value.lower(): kind.value for kind in DocumentKind}


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. `statuses` are its HTTP statuses; with any other status of 401 or 500 and above, the status decides
    instead of the code.

    `quotes` puts the fault's Detail into the error: only where it names fields and records, never people or tokens.
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
_CORRECT: Final = "correct it in the till or in the mapping of the settings, then retry"
_NAMED: Final = "correct what QuickBooks names, then retry"
_WAITS: Final = "the gateway tries again automatically"
_ADMINISTRATOR: Final = "connect again as a user who is an administrator of the company"
_RIGHT: Final = (
    "see whether the user who connected QuickBooks may see and change records of this kind there; the gateway tries "
    "this one again by itself"
)
_TAX: Final = "correct mapping.tax_codes in the settings, then retry"
_PERIOD: Final = "reopen the period, or let the settings post on the first open day, then retry"


def _wrong(code: str, meaning: str, how: str = _NAMED, *, who: str = _BOOKKEEPER) -> Row:
    """A value that QuickBooks does not accept: its Detail names it."""
    return Row(code, (400,), Permanent, meaning, who, how, quotes=True)


_ACCESS: Final = (
    Row("3200", (401,), AuthLost, "the access token is not valid any more", _OWNER, "connect QuickBooks again"),
    Row("3202", (401,), AuthLost, "the request came without an access token", _OWNER, "connect QuickBooks again"),
    Row("3100", (401, 403), AuthLost, "the app is not authorised for this company", _OWNER, "connect QuickBooks again"),
    Row("100", (400, 401, 403), AuthLost, "QuickBooks does not accept the login", _OWNER, "connect QuickBooks again"),
    Row("110", (400, 401, 403), AuthLost, "QuickBooks does not accept the app's authorisation", _OWNER,
        "connect QuickBooks again"),
    Row("120", (400, 401, 403), AuthLost, "the user who connected QuickBooks lost access to the company", _OWNER,
        _ADMINISTRATOR),
    Row("130", (400, 401, 403), Permanent, "keys and address belong to different environments: a sandbox company is "
        "asked for at the address of production, or the reverse", _OPERATOR,
        "set QUICKBOOKS_ENVIRONMENT (and QUICKBOOKS_API_URL, where it is set) to the environment whose keys are in "
        "QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET, restart, then retry what is parked"),
    Row("140", (400, 401, 403, 500, 503), Transient, "the company is locked at Intuit for now", _NOBODY, _WAITS),
    Row("150", (400, 401, 403, 500, 503), Transient, "the company is under maintenance at Intuit", _NOBODY, _WAITS),
    Row("6190", (400, 403), AuthLost, "the company's QuickBooks subscription has ended", _OWNER,
        "renew the subscription, then retry what is parked"),
    Row("5020", (400, 403), Permanent, "the company's plan or the user who connected it has no right to this feature",
        _OWNER, "connect again as a user who is an administrator; if that does not help, take a plan with this "
        "feature, or switch the feature off in the settings, then retry", quotes=True),
    Row("5030", (400, 403), Permanent, "the company's QuickBooks does not have this feature", _OWNER,
        "take a plan with this feature, or switch it off in the settings, then retry", quotes=True),
    Row("3001", (429,), RateLimited, "too many requests", _NOBODY, "the gateway waits and tries again automatically"),
)  # fmt: skip

_VALUES: Final = (
    _wrong("2000", "QuickBooks does not know this kind of record", _REPORT, who=_OPERATOR),
    _wrong("2010", "the request holds a property QuickBooks does not know", _REPORT, who=_OPERATOR),
    _wrong("2020", "a required value is missing", "fill in the value in the mapping or in the record, then retry"),
    _wrong("2030", "an id is not valid", _REPORT, who=_OPERATOR),
    _wrong("2040", "a text holds characters QuickBooks does not take (such as a colon in a name, or an emoji)",
           "take them out of the record in the till, or with a replacement in the mapping, then retry"),
    _wrong("2050", "a text is longer (or shorter) than QuickBooks takes",
           "shorten it in the record, or with a template in the mapping, then retry"),
    _wrong("2060", "a date is not written as QuickBooks wants it", _CORRECT),
    _wrong("2070", "a date is not one QuickBooks takes", _CORRECT),
    _wrong("2080", "a number is not written as QuickBooks wants it", _CORRECT),
    _wrong("2090", "a number is outside what QuickBooks takes", _CORRECT),
    _wrong("2100", "a decimal number is not written as QuickBooks wants it", _CORRECT),
    _wrong("2110", "a decimal number is outside what QuickBooks takes", _CORRECT),
    _wrong("2120", "the record's type does not fit this use", _REMAP),
    _wrong("2130", "the request id is not valid", _REPORT, who=_OPERATOR),
    _wrong("2140", "an amount is not one QuickBooks takes", _CORRECT),
    _wrong("2150", "a percentage is not one QuickBooks takes", _CORRECT),
    _wrong("2160", "a quantity is not one QuickBooks takes", _CORRECT),
    _wrong("2170", "a value is not one of those QuickBooks allows here", _CORRECT),
    _wrong("2180", "a text is outside its range", _CORRECT),
    _wrong("2190", "a period of dates is not valid", _CORRECT),
    _wrong("2200", "a web address is not written as one", "correct the web address of this person, then retry"),
    _wrong("2210", "an e-mail address is not written as one",
           "correct the e-mail address of this person in the till or in QuickBooks, then retry"),
    _wrong("2220", "the currency is not one QuickBooks has", _CORRECT),
    _wrong("2230", "a yes-or-no value is neither", _CORRECT),
    _wrong("2240", "a number is outside its range", _CORRECT),
    _wrong("2250", "the document has no lines", _CORRECT),
    _wrong("2280", "a tax code has no tax amount", _REPORT, who=_OPERATOR),
    _wrong("2290", "a line's amount is negative where QuickBooks takes none", _CORRECT),
    _wrong("2500", "the document refers to a record that does not exist or cannot be used here", _REMAP),
    _wrong("2600", "two values in the request contradict each other", _REPORT, who=_OPERATOR),
    _wrong("3000", "a custom field is not one of this company", "correct the custom field in the settings, then retry"),
    _wrong("5000", "the request holds a property QuickBooks does not support any more", _REPORT, who=_OPERATOR),
)  # fmt: skip

_RULES: Final = (
    _wrong("6000", "a business rule of QuickBooks refuses it"),
    _wrong("6070", "a line's amount is not its quantity times its price", _REPORT, who=_OPERATOR),
    _wrong("6080", "the person has no name", "give the person a name in the till, then retry"),
    _wrong("6090", "a discount line has neither amount nor percentage", _REPORT, who=_OPERATOR),
    _wrong("6100", "the line's tax code is not one this company uses", _TAX),
    _wrong("6110", "the document belongs to Intuit's payment service and cannot be changed from outside",
           "change it in QuickBooks by hand, then retry"),
    _wrong("6120", "the document belongs to Intuit's payment service and cannot be deleted from outside",
           "delete it in QuickBooks by hand, then retry"),
    _wrong("6130", "who pays for this customer cannot be changed while documents are open", _NAMED),
    Row("6140", (400,), DuplicateNumber, "the document number is already used", _BOOKKEEPER,
        "compare the two documents; rename or remove the one that does not belong to this sale"),
    _wrong("6150", "a record that belongs under another one does not name it", _REMAP),
    _wrong("6160", "this tax code cannot be used on a document", _TAX),
    _wrong("6170", "tax amounts are not allowed on a document outside the scope of tax", _REPORT, who=_OPERATOR),
    _wrong("6180", "records are nested more than five levels deep", "flatten them in QuickBooks, then retry"),
    Row("6200", (400,), Permanent, "the accounting period is closed", _BOOKKEEPER, _PERIOD),
    Row("6210", (400,), Permanent, "the accounting period is closed", _BOOKKEEPER, _PERIOD),
    _wrong("6220", "the record has a balance and cannot be deleted", "settle its balance in QuickBooks, then retry"),
    _wrong("6230", "this tax code cannot be used on a change of the document", _TAX),
    Row("6240", (400,), DuplicateName,
        "the name is already used by another customer, supplier, employee or item", _BOOKKEEPER,
        "rename one of the two, or link this record to the existing one"),
    _wrong("6250", "the customer of the document does not exist or was made inactive",
           "make the customer active in QuickBooks, then retry"),
    Row("6270", (400,), Permanent, "the date is before the item's inventory start date", _BOOKKEEPER,
        "set an earlier inventory start date on the item, then retry", quotes=True),
    _wrong("6420", "the document is to be sent by e-mail and the customer has no address",
           "give the customer an e-mail address, then retry"),
    _wrong("6430", "the account is of a type that cannot be used here",
           "choose an account of the right type in the settings, then retry"),
    _wrong("6440", "a line has an amount but neither item nor account", _REPORT, who=_OPERATOR),
    _wrong("6450", "the document is settled already and cannot be voided",
           "undo its payments in QuickBooks or correct it there by hand, then retry"),
    _wrong("6470", "tax is not allowed on this document, or its rate is missing", _TAX),
    _wrong("6480", "the document is matched to a bank transaction and cannot be deleted",
           "undo the match in QuickBooks' banking page, then retry"),
    _wrong("6520", "an item with tracked stock has no quantity", "set its quantity in QuickBooks, then retry"),
    _wrong("6540", "the document is part of a bank deposit and cannot be changed",
           "take it off the deposit in QuickBooks, then retry"),
)  # fmt: skip

_OTHERS: Final = (
    Row("600", (400,), Unanswered, "QuickBooks has had this very request before and does not repeat its answer",
        _NOBODY, "the gateway looks what came of it"),
    Row("610", (400,), NotFound, "the record does not exist or was made inactive", _BOOKKEEPER, _REMAP, quotes=True),
    _wrong("620", "the two documents cannot be tied to each other",
           "look at what the document is settled with already, then retry"),
    _wrong("630", "QuickBooks holds such a record already", "compare the two records; remove or rename one"),
    _wrong("700", "the parent of the record cannot be used", _REMAP),
    _wrong("800", "other records depend on it: it cannot be deleted", "delete those in QuickBooks, then retry"),
    _wrong("900", "a record cannot be its own parent", _REMAP),
    _wrong("1000", "QuickBooks could not do it"),
    _wrong("1010", "QuickBooks could not create the record"),
    _wrong("1020", "QuickBooks could not change the record"),
    _wrong("1040", "too many requests in one batch", _REPORT, who=_OPERATOR),
    _wrong("4000", "QuickBooks cannot read the query", _REPORT, who=_OPERATOR),
    _wrong("4001", "QuickBooks does not understand the query", _REPORT, who=_OPERATOR),
    Row("4002", (400, 500), Permanent, "QuickBooks fails on a record that the query found", _BOOKKEEPER,
        "correct the record QuickBooks names (such as an invoice whose e-mail address is not one), then retry",
        quotes=True),
    Row("5010", (400,), Conflict, "the record was changed by another user or app meanwhile", _NOBODY,
        "the gateway reads it again; retry when it stays"),
    Row("500", (400,), Permanent, "QuickBooks does not support this operation or cannot decode the text", _OPERATOR,
        _REPORT),
    Row("10000", (500,), Transient, "an internal error of QuickBooks", _NOBODY, _WAITS, quotes=True),
    Row("10100", (400, 500), Permanent, "the query finds more than QuickBooks can answer", _OPERATOR, _REPORT),
    Row("10200", (400, 500), Permanent, "the company's data were deleted and started again", _OWNER,
        "make a new connection for it: what was booked before is not there any more"),
)  # fmt: skip

ROWS: Final = (*_ACCESS, *_VALUES, *_RULES, *_OTHERS)

BY_CODE: Final = {row.code: row for row in ROWS}

UNAUTHORISED: Final = BY_CODE["3200"]
THROTTLED: Final = BY_CODE["3001"]
OUTAGE: Final = BY_CODE["10000"]
# For these the status decides, unless the table has the code with this status.
_BY_STATUS: Final[dict[int, Row]] = {
    HTTPStatus.UNAUTHORIZED: UNAUTHORISED,
    HTTPStatus.TOO_MANY_REQUESTS: THROTTLED,
    HTTPStatus.REQUEST_TIMEOUT: OUTAGE,
}
_OF_THE_REQUEST: Final = frozenset({400, 413, 414, 415, 422, 431})
"""With any other status, an answer without a fault comes from what stands before QuickBooks, perhaps for a minute only:
a redirect to a page about maintenance, too."""
_ABOUT_CHARACTERS: Final = frozenset({"2040", "500", OUTAGE.code})


def unknown(code: str | None, status: int) -> Row:
    return Row(
        code or f"HTTP {status}",
        (status,),
        Permanent,
        "an answer of QuickBooks that the gateway does not know",
        _OPERATOR,
        "look at the recorded answer in the activity log and report it with the intuit_tid",
    )


@dataclass(frozen=True, slots=True)
class BooksFault:
    """One error of a fault, in any of its spellings; `code` without leading zeros."""

    code: str | None
    detail: str = ""
    element: str | None = None


def error_from(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The error of an answer. `headers` may be of any case; the body JSON, XML, HTML or nothing."""
    answer = find_object(body)
    fault = _find_fault_in_xml(body) if answer is None else find_fault(answer)
    return to_error(status, fault or BooksFault(None), after=find_pause(headers))


def as_refused_alone(error: GatewayError | None) -> GatewayError | None:
    """The error of a call while others are taken: a lost login is none then. Its event is tried again like for one."""
    if not isinstance(error, AuthLost):
        return error
    reason = message("{reason}; QuickBooks takes other calls of this connection", reason=message(error.reason))
    return Permanent(reason, code=AUTH_LOST, field=error.field, fix=_RIGHT)


def find_fault(answer: Json) -> BooksFault | None:
    """The fault inside a JSON answer, which may come with status 200; None when there is none."""
    fault = answer.get("Fault") or answer.get("fault")
    if not isinstance(fault, Mapping):
        return None
    errors = fault.get("Error") or fault.get("error")
    readable = [_to_fault(error) for error in errors if isinstance(error, Mapping)] if isinstance(errors, list) else []
    known = [error for error in readable if error.code in BY_CODE]
    return next(iter(known + readable), BooksFault(None))


def to_error(status: int, fault: BooksFault, *, after: float | None = None) -> GatewayError:
    """A fault as our error; `after` is the requested pause in seconds, if any."""
    row = THROTTLED if status == HTTPStatus.SERVICE_UNAVAILABLE and after else _find_row(status, fault.code)
    kind, other, taken = find_holder(fault.detail) if row.kind is DuplicateNumber else (None, None, "")
    quoted = taken or _quote(row, fault)
    reason = message(
        "{what} (QuickBooks {code}, HTTP {status}): {quote}" if quoted else "{what} (QuickBooks {code}, HTTP {status})",
        what=message(row.meaning),
        code=row.code,
        status=status,
        quote=quoted,
    )
    if row.kind is RateLimited:
        return RateLimited(reason, after=after or _PAUSE, code=row.code, asked=after)
    error = row.kind(
        reason,
        code=row.code,
        field=fault.element,
        fix=message("{who}: {how}", who=message(row.who), how=message(row.how)),
    )
    if isinstance(error, DuplicateNumber):
        error.existing_kind, error.existing_id = kind, other
    return error


def find_holder(detail: str) -> tuple[str | None, str | None, str]:
    """The kind and the id of the document that has a number already, as far as the detail names them, and in words."""
    named, other, number = (part.search(detail) for part in (_OTHER_KIND, _OTHER_ID, _OTHER_NUMBER))
    # The kind is localised in some companies ("Facture"): only a name of the API is passed on.
    kind = _KINDS.get(named[1].replace(" ", "").lower()) if named else None
    if other is None:
        return kind, None, ""
    return kind, other[1], f"{number[1] if number else 'DocNumber'} = {kind or 'TxnId'} {other[1]}"


def may_be_about_characters(status: int | None, error: GatewayError | None) -> bool:
    """Whether the books may have refused a text for its characters, or failed on them: this is not documented."""
    known = error is not None and error.code in _ABOUT_CHARACTERS
    return known and status is not None and status <= HTTPStatus.INTERNAL_SERVER_ERROR


def _find_row(status: int, code: str | None) -> Row:
    row = BY_CODE.get(code or "")
    if row and status in row.statuses:
        return row
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or (code is None and status not in _OF_THE_REQUEST):
        return OUTAGE
    return row or unknown(code, status)


def _find_fault_in_xml(body: bytes) -> BooksFault | None:
    """By patterns: the document may be cut off, or no XML."""
    error = _ERROR_IN_XML.search(body)
    if error is None:
        return None
    attributes = error[1].decode("utf-8", "replace")
    code, element = (re.search(_ATTRIBUTE % name, attributes, re.IGNORECASE) for name in ("code", "element"))
    detail = _DETAIL_IN_XML.search(body, error.end())
    return _to_fault(
        {
            "code": code[1] if code else None,
            "element": element[1] if element else None,
            "detail": html.unescape(detail[1].decode("utf-8", "replace")) if detail else "",
        }
    )


def _to_fault(error: Mapping[str, Any]) -> BooksFault:
    spelled = {str(key).lower(): value for key, value in error.items()}
    code, detail, element = (spelled.get(key) for key in ("code", "detail", "element"))
    return BooksFault(
        code=str(code).strip().lstrip("0") or None if isinstance(code, str | int) else None,
        detail=" ".join(detail[:_LONGEST_DETAIL].split()) if isinstance(detail, str) else "",
        element=element if isinstance(element, str) and element else None,
    )


def _quote(row: Row, fault: BooksFault) -> str:
    if not row.quotes or not fault.detail:
        return ""
    line = _SUPPLIED.sub(r"\1…", fault.detail)
    line = _TOKEN.sub("…", _ADDRESS.sub("…", line))
    if fault.element and fault.element not in line:
        line = f"{fault.element}: {line}"
    return line if len(line) <= _LONGEST_QUOTE else line[: _LONGEST_QUOTE - 1] + "…"

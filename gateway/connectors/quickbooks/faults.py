"""Error answers of the books, converted to our errors by status and code, never by their prose."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from gateway.connectors.http import find_pause
from gateway.connectors.quickbooks.fault_rows import (
    BY_CODE,
    OUTAGE,
    THROTTLED,
    UNAUTHORISED,
    Row,
    unknown,
)
from gateway.connectors.quickbooks.fields import Json, find_object
from gateway.errors import DuplicateNumber, GatewayError, RateLimited
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
_ADDRESS: Final = re.compile(r"\S+@\S+")
_TOKEN: Final = re.compile(r"(?:bearer\s+\S+|[\w-]{32,})", re.IGNORECASE)
# A supplied value may be a person's name: only a number is quoted.
_SUPPLIED: Final = re.compile(r"((?:supplied value|invalid characters)\s*[:.]\s*)(?![\d.,-]*$).+", re.IGNORECASE)
# For these the status decides, unless the table has the code with this status.
_BY_STATUS: Final[dict[int, Row]] = {
    HTTPStatus.UNAUTHORIZED: UNAUTHORISED,
    HTTPStatus.TOO_MANY_REQUESTS: THROTTLED,
    HTTPStatus.REQUEST_TIMEOUT: OUTAGE,
}
_ABOUT_CHARACTERS: Final = frozenset({"2040", "500", OUTAGE.code})
_KINDS: Final = {kind.value.lower(): kind.value for kind in DocumentKind}


@dataclass(frozen=True, slots=True)
class BooksFault:
    """One error of a fault, in any of its spellings; `code` without leading zeros."""

    code: str | None
    detail: str = ""
    element: str | None = None


def error_from(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The error of an answer. `headers` may be of any case; the body JSON, XML, HTML or nothing."""
    return to_error(status, _find_fault_anywhere(body) or BooksFault(None), after=find_pause(headers))


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
    quoted = _quote(row, fault)
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
        error.existing_kind, error.existing_id = _other_document(fault.detail)
    return error


def may_be_about_characters(status: int, error: GatewayError | None) -> bool:
    """Whether the books may have refused a text for its characters, or failed on them: this is not documented."""
    known = error is not None and error.code in _ABOUT_CHARACTERS
    return known and status <= HTTPStatus.INTERNAL_SERVER_ERROR


def _find_row(status: int, code: str | None) -> Row:
    row = BY_CODE.get(code or "")
    if row and status in row.statuses:
        return row
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OUTAGE
    return row or unknown(code, status)


def _find_fault_anywhere(body: bytes) -> BooksFault | None:
    answer = find_object(body)
    return _find_fault_in_xml(body) if answer is None else find_fault(answer)


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


def _other_document(detail: str) -> tuple[str | None, str | None]:
    # The kind is localised in some companies ("Facture"): only a name of the API is passed on.
    kind, other = _OTHER_KIND.search(detail), _OTHER_ID.search(detail)
    spelled = _KINDS.get(kind[1].replace(" ", "").lower()) if kind else None
    return spelled, other[1] if other else None

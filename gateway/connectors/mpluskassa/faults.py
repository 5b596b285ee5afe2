"""What the till's refusals mean: result words, SOAP faults and HTTP statuses -> the error tree, by closed tables. Pure.

A word in no table is Permanent. A broken answer is a transient failure for a read, which can be repeated; a write
may have happened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from gateway.connectors.mpluskassa.wire import Row
from gateway.errors import (
    AuthLost,
    Conflict,
    DuplicateNumber,
    GatewayError,
    NotFound,
    Permanent,
    RateLimited,
    Transient,
    Unanswered,
)
from mapping.messages import message

_LONGEST_DETAIL = 300
_PAUSE_SECONDS = 2.0  # until the next attempt after a refusal that names no time
_FIX_CREDENTIALS = (
    "Check the till's address, ident and secret (MPLUS_URL, MPLUS_IDENT, MPLUS_SECRET, or the set-up in the dashboard);"
    " ask MplusKASSA whether the API user is still active."
)
_FIX_ADDRESS = "Check the till's address (MPLUS_URL, or the set-up in the dashboard)."
_FIX_MESSAGE = "Read MplusKASSA's message, correct the record, then retry."
_FIX_UNKNOWN = "The gateway does not know this answer: report it, and check the record in MplusKASSA."


class MissingOperation(Permanent):
    """This installation is too old for the operation (or the field) we asked for."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A row of a table: the error (None is success), its meaning, what a person can do."""

    error: type[GatewayError] | None
    meaning: str
    fix: str | None = None


_DONE = Meaning(None, "done")
_REFUSED = Meaning(Permanent, "MplusKASSA refused it", _FIX_MESSAGE)
_GONE = Meaning(NotFound, "MplusKASSA does not know it", "Check whether it still exists in MplusKASSA.")
_TAKEN = Meaning(
    DuplicateNumber, "the number is already in use in MplusKASSA", "Leave the number out or link the existing record."
)
_CHANGED = Meaning(Conflict, "it changed in MplusKASSA since it was read", "Retry: it will be read again.")
_LOGIN = Meaning(AuthLost, "MplusKASSA refused our credentials", _FIX_CREDENTIALS)
_WRONG = Meaning(Permanent, "MplusKASSA calls our request wrong", _FIX_MESSAGE)
_TROUBLE = Meaning(Transient, "MplusKASSA had trouble of its own")
_NO_SERVICE = Meaning(Transient, "no SOAP service answers at this address", _FIX_ADDRESS)

RESULTS: dict[str, Meaning] = {
    "OK": _DONE,
    "NO-CHANGES": _DONE,
    "NOT-FOUND": _GONE,
    "NOTFOUND": _GONE,
    "PARENT-NOTFOUND": Meaning(NotFound, "the parent group does not exist", "Check the group in MplusKASSA."),
    "BRANCH-NOT-FOUND": Meaning(NotFound, "the branch does not exist", "Correct the branch in the settings."),
    "ARTICLE-NOT-FOUND": Meaning(NotFound, "the article does not exist", "Check the article in MplusKASSA."),
    "NO-STOCK-ARTICLE": Meaning(
        Permanent, "the article keeps no stock in MplusKASSA", "Tick 'stock article' on it, or leave its stock alone."
    ),
    "NOT-ALLOWED": Meaning(
        Permanent, "the API user may not do this", "Ask MplusKASSA to grant the API user the right to change it."
    ),
    "FAILED": _REFUSED,
    "FAILED-PRODUCT-NUMBER-ALREADY-TAKEN": _TAKEN,
    "FAILED-ARTICLE-NUMBER-ALREADY-TAKEN": _TAKEN,
    "FAILED-RELATION-NUMBER-ALREADY-TAKEN": _TAKEN,
    "EXT-ORDER-ID-ALREADY-EXISTS": _TAKEN,
    "EXT-INVOICE-ID-ALREADY-EXISTS": _TAKEN,
    "ORDER-HAS-CHANGED": _CHANGED,
    "INVOICE-HAS-CHANGED": _CHANGED,
}
"""The last part of a result word (`SET-STOCK-RESULT-OK` is `OK`) to what it means."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Matches a SOAP fault by the start of its code and a pattern in its text."""

    code: str
    pattern: str
    meaning: Meaning


_FAULTS = (
    _Fault("Client.Authentication", "", _LOGIN),
    _Fault(
        "",
        r"not implemented|name or namespace not recogni[sz]ed",
        Meaning(MissingOperation, "this installation does not know the operation", "Ask for a newer MplusKASSA."),
    ),
    _Fault(
        "",
        r"rate for vat-code \d+ is not properly configured",
        Meaning(Permanent, "a VAT code has no rate in MplusKASSA", "Set the rate of that VAT code in MplusKASSA."),
    ),
    _Fault("", r"authenticat|credential|invalid login|\b(ident|secret)\b", _LOGIN),
    # What its SOAP library says of a connection or of itself, under the code of whoever sent the request.
    _Fault("", r"end of file or no input|timed? ?out|message transfer interrupted|out of memory", _TROUBLE),
    _Fault("Client", "", _WRONG),
    _Fault("Server", "", _TROUBLE),
    # What SOAP 1.2 calls the two, and what is about the envelope, never about a record.
    _Fault("Sender", "", _WRONG),
    _Fault("Receiver", "", _TROUBLE),
    _Fault("VersionMismatch", "", _NO_SERVICE),
    _Fault("MustUnderstand", "", _NO_SERVICE),
)

_STATUSES: dict[int, Meaning] = {
    HTTPStatus.UNAUTHORIZED: _LOGIN,
    HTTPStatus.FORBIDDEN: _LOGIN,
    # A refusal without a fault is of a proxy that does not reach the service, perhaps for a minute.
    HTTPStatus.NOT_FOUND: Meaning(Transient, "nothing answers at this address", _FIX_ADDRESS),
    HTTPStatus.METHOD_NOT_ALLOWED: _NO_SERVICE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Meaning(Permanent, "unexpected HTTP status", _FIX_UNKNOWN),
}

_WITHOUT_ANSWER = (*range(200, 300), HTTPStatus.REQUEST_TIMEOUT)
"""Received, and perhaps done: a proxy answered, or the service without saying what came of it."""


def result_error(answer: Row, *, operation: str) -> GatewayError | None:
    """The error of a business answer, or None on success. An answer without a result is `Unanswered`."""
    word = answer.get("result")
    if not word:
        return Unanswered(message("{operation}: the answer held no result", operation=operation), code="NO-RESULT")
    row = RESULTS.get(str(word).rsplit("-RESULT-", 1)[-1])
    detail = answer.get("errorMessage") or answer.get("message")
    if row is None:
        return Permanent(_sentence(operation, "unknown result", detail), code=str(word), fix=_FIX_UNKNOWN)
    if row.error is None:
        return None
    return row.error(_sentence(operation, row.meaning, detail), code=str(word), fix=row.fix)


def made_number(answer: Row, name: str, *, operation: str) -> int:
    """The number the till gave a new record. Raises Unanswered where its answer names none: it may have been made."""
    number: int | None = answer.get(name)
    if number:
        return number
    raise Unanswered(
        message("{operation}: the answer held no {name}", operation=operation, name=name), code="NO-NUMBER", field=name
    )


def fault_error(code: str | None, said: str | None, *, operation: str, writes: bool) -> GatewayError:
    """The error of a SOAP fault. `Server` faults are Transient for a read, Unanswered for a write."""
    local = (code or "").rpartition(":")[2]
    for row in _FAULTS:
        is_known = not row.code or local == row.code or local.startswith(f"{row.code}.")
        if is_known and re.search(row.pattern, said or "", re.IGNORECASE):
            return _raised(row.meaning, _sentence(operation, row.meaning.meaning, said), local or None, writes)
    return Permanent(_sentence(operation, "unknown fault", said), code=local or None, fix=_FIX_UNKNOWN)


def status_error(status: int, *, operation: str, writes: bool, pause: float | None = None) -> GatewayError:
    """The error of an HTTP status that came without a SOAP fault; `pause` are the seconds it asked to wait."""
    code = f"HTTP-{status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status == HTTPStatus.SERVICE_UNAVAILABLE and pause and not writes):
        reason = _sentence(operation, "asked to slow down", None)
        return RateLimited(reason, after=pause or _PAUSE_SECONDS, code=code, asked=pause)
    if status in range(300, 400):
        # To a page about maintenance, or for good: who waits is told with the address.
        row = Meaning(Transient, "answered with a redirect, which is never followed", _FIX_ADDRESS)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _WITHOUT_ANSWER:
        row = Meaning(Transient, "the service did not answer well")
    else:
        row = _STATUSES.get(status, Meaning(Transient, "unexpected HTTP status", _FIX_UNKNOWN))
    is_refusal = status in range(400, 500) and status not in _WITHOUT_ANSWER
    return _raised(
        row,
        _sentence(operation, message("{what} ({status})", what=message(row.meaning), status=status), None),
        code,
        writes and not is_refusal,
    )


def transient(reason: str, *, code: str, writes: bool, fix: str | None = None) -> GatewayError:
    """No whole answer: a read can be repeated, a write may have happened."""
    return (Unanswered if writes else Transient)(reason, code=code, fix=fix)


def _raised(row: Meaning, reason: str, code: str | None, writes: bool) -> GatewayError:
    if row.error is Transient:
        return transient(reason, code=code or "TRANSIENT", writes=writes, fix=row.fix)
    error = row.error or Permanent
    return error(reason, code=code, fix=row.fix)


def _sentence(operation: str, meaning: str, detail: str | None) -> str:
    said = " ".join((detail or "").split())[:_LONGEST_DETAIL]
    template = "{operation}: {what}: {quote}" if said else "{operation}: {what}"
    return message(template, operation=operation, what=message(meaning), quote=said)

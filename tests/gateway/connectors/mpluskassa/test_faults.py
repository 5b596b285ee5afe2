"""The error of each refusal of the till: closed tables, and a Permanent for a word in none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.connectors.http import find_pause
from gateway.connectors.mpluskassa import faults
from gateway.connectors.mpluskassa.faults import MissingOperation
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

TYPES = Path(__file__).resolve().parents[4] / ".." / "shared" / "facts" / "mplus-types.json"
RESULTS_IN_USE = (
    "CreateProductResult",
    "UpdateProductResult",
    "NewArticleGroupResult",
    "UpdateArticleGroupResult",
    "DeleteArticleGroupResult",
    "AddProductsToArticleGroupResult",
    "SetStockResult",
    "UpdateStockResult",
    "CreateRelationResult",
    "UpdateRelationResult",
)


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("CREATE-PRODUCT-RESULT-OK", None),
        ("UPDATE-ORDER-RESULT-NO-CHANGES", None),
        ("UPDATE-PRODUCT-RESULT-NOT-FOUND", NotFound),
        ("DELETE-ARTICLE-GROUP-RESULT-NOTFOUND", NotFound),
        ("CREATE-PRODUCT-RESULT-FAILED-ARTICLE-NUMBER-ALREADY-TAKEN", DuplicateNumber),
        ("SET-STOCK-RESULT-NO-STOCK-ARTICLE", Permanent),
        ("UPDATE-PRODUCT-RESULT-NOT-ALLOWED", Permanent),
        ("SAVE-ORDER-RESULT-ORDER-HAS-CHANGED", Conflict),
        ("CREATE-RELATION-RESULT-FAILED", Permanent),
        ("SET-STOCK-RESULT-MOON-IN-THE-WAY", Permanent),
        (None, Unanswered),
    ],
)
def test_a_result_word_has_one_meaning(word: str | None, error: type[GatewayError] | None) -> None:
    found = faults.result_error({"result": word}, operation="op")
    assert type(found) is (error or type(None))
    assert found is None or (found.reason.startswith("op: "))
    assert not isinstance(found, Permanent) or found.fix


def test_the_tills_own_words_are_passed_on_but_not_endlessly() -> None:
    answer = {"result": "CREATE-PRODUCT-RESULT-FAILED", "errorMessage": "Omschrijving\n te lang " + "x" * 1000}
    error = faults.result_error(answer, operation="createProduct")
    assert error is not None
    assert "Omschrijving te lang" in error.reason
    assert len(error.reason) < 400


def test_every_result_word_the_vendor_lists_for_our_writes_has_a_row() -> None:
    if not TYPES.exists():
        pytest.skip("the vendor's type list is not on this machine")
    enums = json.loads(TYPES.read_text())["enums"]
    words = [word for name in RESULTS_IN_USE for word in _values(enums[name])]
    assert len(words) > 30
    assert [word for word in words if word.rsplit("-RESULT-", 1)[-1] not in faults.RESULTS] == []


def _values(enum: object) -> list[str]:
    found = enum["values"] if isinstance(enum, dict) else enum
    assert isinstance(found, list)
    return [value["value"] if isinstance(value, dict) else value for value in found]


@pytest.mark.parametrize(
    ("code", "text", "read", "write"),
    [
        ("SOAP-ENV:Client.Authentication", "no", AuthLost, AuthLost),
        ("SOAP-ENV:Client", "Authentication failed", AuthLost, AuthLost),
        ("SOAP-ENV:Client", "Invalid ident or secret", AuthLost, AuthLost),
        (
            "SOAP-ENV:Client",
            "Method 'x' not implemented: method name or namespace not recognized",
            *[MissingOperation] * 2,
        ),
        ("SOAP-ENV:Server", "The rate for VAT-code 2 is not properly configured.", Permanent, Permanent),
        ("SOAP-ENV:Client", "Validation constraint violation", Permanent, Permanent),
        ("SOAP-ENV:Client", "End of file or no input: Operation interrupted or timed out", Transient, Unanswered),
        ("SOAP-ENV:Client", "Out of memory", Transient, Unanswered),
        ("SOAP-ENV:Client.Data", "identical rows", Permanent, Permanent),
        ("SOAP-ENV:Server", "Database is busy", Transient, Unanswered),
        ("SOAP-ENV:Server.Timeout", None, Transient, Unanswered),
        ("SOAP-ENV:Clientele", "odd", Permanent, Permanent),
        ("env:Sender", "odd", Permanent, Permanent),
        ("env:Receiver", "overloaded", Transient, Unanswered),
        ("SOAP-ENV:VersionMismatch", None, Transient, Unanswered),
        (None, None, Permanent, Permanent),
    ],
)
def test_a_fault_is_transient_only_when_the_server_says_so(
    code: str | None, text: str | None, read: type[GatewayError], write: type[GatewayError]
) -> None:
    assert type(faults.fault_error(code, text, operation="op", writes=False)) is read
    assert type(faults.fault_error(code, text, operation="op", writes=True)) is write


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (202, Transient, Unanswered),
        (204, Transient, Unanswered),
        (301, Transient, Unanswered),
        (401, AuthLost, AuthLost),
        (403, AuthLost, AuthLost),
        (404, Transient, Transient),
        (405, Transient, Transient),
        (408, Transient, Unanswered),
        (413, Permanent, Permanent),
        (418, Transient, Transient),
        (429, RateLimited, RateLimited),
        (500, Transient, Unanswered),
        (503, Transient, Unanswered),
    ],
)
def test_a_bare_status_has_one_meaning(status: int, read: type[GatewayError], write: type[GatewayError]) -> None:
    assert type(faults.status_error(status, operation="op", writes=False)) is read
    assert type(faults.status_error(status, operation="op", writes=True)) is write


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("14400", 14400.0),
        ("Wed, 21 Oct 2026 10:00:00 GMT", 3600.0),
        (None, None),
        ("Wed, 21 Oct 2026", None),
        ("-5", 1.0),
    ],
)
def test_59_a_refusal_says_how_long_to_wait_or_names_no_time(header: str | None, asked: float | None) -> None:
    headers = {"date": "Wed, 21 Oct 2026 09:00:00 GMT", **({"retry-after": header} if header else {})}
    pause = find_pause(headers)
    error = faults.status_error(429, operation="op", writes=True, pause=pause)
    assert isinstance(error, RateLimited)
    assert error.asked == asked
    assert error.after == (asked or 2.0)

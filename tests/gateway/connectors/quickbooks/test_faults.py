"""Every error answer becomes one of our errors, by status and code, without a person's name in it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.http import find_pause
from gateway.connectors.quickbooks.faults import ROWS, error_from, find_fault, to_error
from gateway.connectors.quickbooks.fields import find_object
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
from tests.gateway.connectors.quickbooks.examples import read_json


def example(name: str) -> bytes:
    """The body of an example, whether it is a whole exchange or the body alone."""
    found = read_json(name)
    return json.dumps(found.get("response", {}).get("body", found)).encode()


def fault(code: str, **more: str) -> bytes:
    return json.dumps({"Fault": {"Error": [{"Message": "m", "code": code, **more}], "type": "x"}}).encode()


@pytest.mark.parametrize(
    ("name", "status", "kind", "code"),
    [
        ("error-400-2010-unknown-property-exchange.json", 400, Permanent, "2010"),
        ("error-400-2020-required.json", 400, Permanent, "2020"),
        ("error-400-2030-invalid-id-exchange.json", 400, Permanent, "2030"),
        ("error-400-4001-invalid-query-exchange.json", 400, Permanent, "4001"),
        ("error-400-500-unsupported-operation-exchange.json", 400, Permanent, "500"),
        ("error-400-5010-stale.json", 400, Conflict, "5010"),
        ("error-400-6000-vat-rate-missing.json", 400, Permanent, "6000"),
        ("error-400-610-not-found.json", 400, NotFound, "610"),
        ("error-400-6140-duplicate-docnumber.json", 400, DuplicateNumber, "6140"),
        ("error-400-6240-duplicate-name-exchange.json", 400, DuplicateName, "6240"),
        ("error-401-3200-token-expired-exchange.json", 401, AuthLost, "3200"),
        ("error-429-3001-throttle-second-hand.json", 429, RateLimited, "3001"),
    ],
)
def test_every_recorded_fault_has_its_class(name: str, status: int, kind: type[GatewayError], code: str) -> None:
    error = error_from(status, {}, example(name))
    assert type(error) is kind
    assert error.code == code
    assert "gateway does not know" not in error.reason


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_every_row_says_what_happened_who_can_fix_it_and_how(row: Any) -> None:
    error = error_from(row.statuses[0], {}, fault(row.code))
    assert type(error) is row.kind
    assert row.meaning in error.reason
    assert isinstance(error, RateLimited) or error.fix == f"{row.who}: {row.how}"


def test_no_code_stands_twice_in_the_table() -> None:
    assert len({row.code for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, fault("99999")),
        (400, b"<html>Bad Request</html>"),
        (413, b"\xff"),
        (403, fault("99999")),
        (404, fault("99999")),
        (400, b'{"Fault": {"Error": "odd"}}'),
        (400, b'{"Fault": {"Error": [5, {"code": ["6240"]}]}}'),
    ],
)
def test_an_unknown_fault_is_permanent_and_says_so(status: int, body: bytes) -> None:
    error = error_from(status, {}, body)
    assert type(error) is Permanent
    assert "gateway does not know" in error.reason
    assert str(status) in error.reason


@pytest.mark.parametrize("status", [301, 302, 307, 403, 404, 405, 409, 410, 421, 425, 451, 499])
@pytest.mark.parametrize("body", [b"", b"<html>Back soon</html>"])
def test_what_stands_before_the_books_refuses_for_a_while_only(status: int, body: bytes) -> None:
    assert type(error_from(status, {}, body)) is Transient


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"", b"<html>", fault("6000"), fault("10000")])
def test_59_a_server_error_is_transient_with_any_body(status: int, body: bytes) -> None:
    assert type(error_from(status, {}, body)) is Transient


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("body", [b"", b"[]", b"<html>Access Denied</html>"])
def test_a_refusal_without_a_fault_is_of_a_proxy_and_waited_for(status: int, body: bytes) -> None:
    assert type(error_from(status, {}, body)) is Transient


def test_59_a_503_that_names_a_pause_is_a_request_to_slow_down() -> None:
    error = error_from(503, {"Retry-After": "7"}, b"")
    assert isinstance(error, RateLimited)
    assert error.after == 7


@pytest.mark.parametrize("body", [b"", b"<html>", fault("6000"), fault("3001")])
def test_a_401_is_about_the_token_and_a_429_about_speed_with_any_body(body: bytes) -> None:
    assert type(error_from(401, {}, body)) is AuthLost
    assert type(error_from(429, {}, body)) is RateLimited


WRONG_CLUSTER = b"""<?xml version="1.0" encoding="UTF-8" standalone="yes"?><IntuitResponse
xmlns="http://schema.intuit.com/finance/v3" time="2024-11-21T08:19:06.093-08:00"><Fault type="AuthenticationFault">
<Error code="130"><Message>Accessing Wrong Cluster</Message><Detail>WrongClusterError: -11017-You have accessed the
wrong server.  You will now be redirected. , statusCode: 401</Detail></Error></Fault></IntuitResponse>"""


@pytest.mark.parametrize("body", [WRONG_CLUSTER, fault("130"), fault("000130")])
def test_a5_a_wrong_cluster_is_no_lost_login_but_other_keys(body: bytes) -> None:
    error = error_from(401, {}, body)
    assert type(error) is Permanent
    assert "keys and address belong to different environments" in error.reason
    assert "QUICKBOOKS_ENVIRONMENT" in (error.fix or "")


@pytest.mark.parametrize("code", ["140", "150"])
def test_a_company_that_is_locked_for_a_while_is_waited_for(code: str) -> None:
    for status in (400, 401, 403, 500):
        assert type(error_from(status, {}, fault(code))) is Transient


def test_an_unknown_login_error_of_their_own_is_their_trouble() -> None:
    body = fault("120", Detail="AuthorizationFailure: Unknown Error during Authentication, statusCode: 500")
    assert type(error_from(500, {}, body)) is Transient


@pytest.mark.parametrize("status", [400, 500])
def test_a_record_the_query_fails_on_is_named_with_any_status(status: int) -> None:
    detail = "QueryProcessingError: To email address entered is invalid"
    error = error_from(status, {}, fault("4002", Detail=detail))
    assert type(error) is Permanent
    assert detail in error.reason


def test_a_text_that_is_too_long_names_the_field_and_the_length() -> None:
    detail = "String length specified does not match the supported length. Min:0 Max:21 supported. Supplied length:45"
    error = error_from(400, {}, fault("2050", Detail=detail, element="DocNumber"))
    assert f"DocNumber: {detail}" in error.reason
    assert (error.field, error.code) == ("DocNumber", "2050")
    xml = f'<IntuitResponse><Fault><Error code="2050" element="DocNumber"><Detail>{detail}</Detail></Error></Fault>'
    assert error_from(400, {}, xml.encode()).reason == error.reason


@pytest.mark.parametrize(
    ("code", "detail", "kept"),
    [
        ("2040", "Unsupported characters in DisplayName. Supplied value:Jansen: & co", "DisplayName"),
        ("2040", "Element contains invalid characters. Rob:Jansen:Company", "invalid characters"),
        ("2210", "The email address does not conform to RFC 822. Supplied value:jansen bij x", "RFC 822"),
        ("6000", "Business Validation Error: jansen@winkel.nl is not valid", "is not valid"),
        ("6000", "Bearer eyJansenJansenJansen.Jansen was refused", "was refused"),
        ("6000", "token AB11736283947592Jansen5738475638475 was refused", "was refused"),
    ],
)
def test_a_quoted_detail_keeps_the_field_and_loses_the_person(code: str, detail: str, kept: str) -> None:
    reason = error_from(400, {}, fault(code, Detail=detail)).reason
    assert kept in reason
    assert "jansen" not in reason.lower()


def test_a_supplied_number_is_quoted() -> None:
    detail = "Amount is not equal to UnitPrice * Qty. Supplied value:12.50"
    assert detail in error_from(400, {}, fault("6070", Detail=detail)).reason


# Codes of the vendor's own list that a sale, a payment, a customer, a list entry or a query of ours can meet.
_MET = (
    "100 110 120 130 140 150 500 600 610 620 630 700 800 900 1000 1010 1020 1040 2000 2010 2020 2030 2040 2050 "
    "2060 2070 2080 2090 2100 2110 2120 2130 2140 2150 2160 2170 2180 2190 2200 2210 2220 2230 2240 2250 2280 "
    "2290 2500 2600 3000 3001 3100 3200 3202 4000 4001 4002 5000 5010 5020 5030 6000 6070 6080 6090 6100 6110 "
    "6120 6130 6140 6150 6160 6170 6180 6190 6200 6210 6220 6230 6240 6250 6270 6420 6430 6440 6450 6470 6480 "
    "6520 6540 10000 10100 10200 "
)


@pytest.mark.parametrize("code", _MET.split())
def test_a_code_that_people_meet_is_known(code: str) -> None:
    assert code in {row.code for row in ROWS}
    assert "gateway does not know" not in error_from(400, {}, fault(code)).reason


@pytest.mark.parametrize("prefix", ["", "ns0:"])
def test_a_fault_in_xml_is_read_by_its_code(prefix: str) -> None:
    body = f'<IntuitResponse><Fault type="V"><{prefix}Error code="006240" element=""/></Fault></IntuitResponse>'
    assert type(error_from(400, {}, body.encode())) is DuplicateName


def test_a_fault_in_lower_case_is_read_like_any_other() -> None:
    found = find_fault(find_object(example("error-401-3200-token-expired-exchange.json")) or {})
    assert found is not None
    assert found.code == "3200"


def test_leading_zeros_and_numbers_are_the_same_code() -> None:
    for code in ("006240", 6240, " 6240 "):
        body = json.dumps({"Fault": {"Error": [{"code": code}]}}).encode()
        assert error_from(400, {}, body).code == "6240"


def test_of_several_errors_the_known_one_decides() -> None:
    body = json.dumps({"Fault": {"Error": [{"code": "1"}, {"code": "6210"}]}}).encode()
    assert error_from(400, {}, body).code == "6210"


def test_an_answer_without_a_fault_holds_none() -> None:
    assert find_fault({"Item": {}}) is None
    assert find_fault({"fault": None, "warnings": None}) is None


def test_the_element_becomes_the_field() -> None:
    assert error_from(400, {}, example("error-400-2020-required.json")).field == "AccountRef"
    assert error_from(400, {}, example("error-400-5010-stale.json")).field is None


def test_a_duplicate_number_has_the_other_document() -> None:
    error = error_from(400, {}, example("error-400-6140-duplicate-docnumber.json"))
    assert isinstance(error, DuplicateNumber)
    assert (error.existing_kind, error.existing_id) == ("Invoice", "17984")
    assert "POS-000123 = Invoice 17984" in str(error.reason)


def test_a_localised_duplicate_number_still_has_the_id() -> None:
    error = error_from(400, {}, example("error-400-6140-duplicate-docnumber-localised-fr.json"))
    assert isinstance(error, DuplicateNumber)
    assert (error.existing_kind, error.existing_id) == (None, "2137")
    assert "INV-0002 = TxnId 2137" in str(error.reason)


@pytest.mark.parametrize(
    ("detail", "kind", "other"),
    [
        ("DocNumber=1 is assigned to TxnType=Sales Receipt with TxnId=9", "SalesReceipt", "9"),
        ("TxnType=RefundReceipt, TxnId=9", "RefundReceipt", "9"),
        ("TxnId=9", None, "9"),
        ("TxnType=Invoice", "Invoice", None),
        ("", None, None),
    ],
)
def test_the_other_document_is_read_as_far_as_it_is_named(detail: str, kind: str | None, other: str | None) -> None:
    error = error_from(400, {}, fault("6140", Detail=detail))
    assert isinstance(error, DuplicateNumber)
    assert (error.existing_kind, error.existing_id) == (kind, other)


@pytest.mark.parametrize("code", ["5010", "3200", "6240", "6140", "120", "12345"])
def test_details_that_may_hold_a_person_or_a_token_are_never_quoted(code: str) -> None:
    error = error_from(400, {}, fault(code, Detail="Jan Jansen finished before you did"))
    assert "Jansen" not in f"{error.reason} {error.fix} {error.field}"


def test_a_detail_that_helps_is_quoted_on_one_short_line_without_addresses() -> None:
    error = error_from(400, {}, fault("6000", Detail="Make sure\n jan@winkel.nl " + "x" * 1000))
    assert "Make sure …" in error.reason
    assert "@" not in error.reason
    assert "\n" not in error.reason
    assert len(error.reason) < 450


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "5"}, 5),
        ({"retry-after": " 5 "}, 5),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "-5"}, 1),
        ({"Retry-After": "14400"}, 14400),
        ({"Retry-After": "1e9"}, 604800),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
    ],
)
def test_59_the_requested_pause_is_kept_at_any_plausible_length(headers: dict[str, str], seconds: float | None) -> None:
    assert find_pause(headers) == seconds
    error = error_from(429, headers, b"")
    assert isinstance(error, RateLimited)
    assert error.after == (seconds or 2)


@given(st.integers(300, 599), st.binary())
def test_no_answer_makes_it_raise(status: int, body: bytes) -> None:
    assert isinstance(error_from(status, {}, body), GatewayError)


@given(st.text(), st.text())
def test_no_fault_makes_it_raise(code: str, detail: str) -> None:
    for known in (code, "6140", "6000"):
        assert error_from(400, {}, fault(known, Detail=detail, element=detail)).reason


def test_g9_no_detail_however_long_takes_time_to_read() -> None:
    began = time.process_time()
    for piece in (" ", "a ", "=", ".", "1@"):
        fault = {"code": "6140", "Detail": "TxnType=" + piece * 20_000 + "!"}
        found = find_fault({"Fault": {"Error": [fault]}})
        assert found is not None
        assert len(to_error(400, found).reason) < 600
    assert time.process_time() - began < 2.0

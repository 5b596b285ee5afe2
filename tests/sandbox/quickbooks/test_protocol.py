"""What holds for every call: requestids, batches, capture, headers, formats, limits, the meter."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.sandbox.quickbooks.desk import REALM, Desk, error_of, parse


def test_a_repeated_requestid_brings_back_the_original_answer(desk: Desk) -> None:
    body = desk.receipt(desk.line("1.00"), DocNumber="A")
    first = desk.post("salesreceipt", body, requestid="same")
    desk.control("POST", "clock", {"seconds": 5})
    again = desk.post("salesreceipt", desk.receipt(desk.line("2.00"), DocNumber="B"), requestid="same")
    assert again == first
    assert len(desk.simulation.rows(REALM, "SalesReceipt")) == 1
    (effect,) = desk.simulation.ledger.find_effects(source="api")
    assert (effect.requestid, effect.doc_number, effect.total, effect.operation) == ("same", "A", "1.21", "create")
    assert [call.replayed for call in desk.simulation.ledger.calls] == [False, True]


def test_a_refused_write_does_not_use_up_its_requestid(desk: Desk) -> None:
    assert desk.fault("salesreceipt", desk.receipt(), requestid="r")["code"] == "2020"
    desk.post("salesreceipt", desk.receipt(desk.line("1.00")), requestid="r")


def test_a_requestid_is_at_most_fifty_characters(desk: Desk) -> None:
    assert desk.fault("salesreceipt", desk.receipt(desk.line("1.00")), requestid="x" * 51)["code"] == "2130"
    desk.post("salesreceipt", desk.receipt(desk.line("1.00")), requestid="x" * 50)


def test_a_batch_mixes_writes_queries_and_capture_without_rolling_back(desk: Desk) -> None:
    items = [
        {"bId": "1", "operation": "create", "Customer": {"DisplayName": "A"}},
        {"bId": "2", "operation": "create", "Customer": {"DisplayName": "a"}},
        {"bId": "3", "Query": "select * from Customer where DisplayName = 'A'"},
        {"bId": "4", "CDCQuery": {"Entities": "Customer,Item", "ChangedSince": "2026-01-01"}},
        {"bId": "5", "operation": "update", "Customer": {"Id": "99", "SyncToken": "0", "DisplayName": "B"}},
    ]
    answers = {each["bId"]: each for each in desk.post("batch", {"BatchItemRequest": items})["BatchItemResponse"]}
    assert answers["1"]["Customer"]["DisplayName"] == "A"
    assert answers["2"]["Fault"]["Error"][0]["code"] == "6240"
    assert len(answers["3"]["QueryResponse"]["Customer"]) == 1
    assert list(answers["4"]["CDCResponse"][0]["QueryResponse"][0]) == ["Customer", "startPosition", "maxResults"]
    assert answers["5"]["Fault"]["Error"][0]["code"] == "610"


def test_a_batch_repeated_with_its_requestid_writes_nothing_twice(desk: Desk) -> None:
    item = {"bId": "1", "operation": "create", "SalesReceipt": desk.receipt(desk.line("1.00"))}
    answers = [desk.post("batch", {"BatchItemRequest": [item]}, requestid="b")["BatchItemResponse"] for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(desk.simulation.rows(REALM, "SalesReceipt")) == 1


def test_a_batch_voids_with_its_option(desk: Desk) -> None:
    receipt = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
    body = {"Id": receipt["Id"], "SyncToken": "0", "sparse": True}
    item = {"bId": "1", "operation": "update", "optionsData": "void", "SalesReceipt": body}
    (answer,) = desk.post("batch", {"BatchItemRequest": [item]})["BatchItemResponse"]
    assert answer["SalesReceipt"]["TotalAmt"] == 0


def test_a_batch_holds_thirty_items_with_different_ids(desk: Desk) -> None:
    items = [{"bId": str(each), "Query": "select * from Item"} for each in range(31)]
    assert desk.fault("batch", {"BatchItemRequest": items})["code"] == "6000"
    desk.post("batch", {"BatchItemRequest": items[:30]})
    assert desk.fault("batch", {"BatchItemRequest": [items[0], items[0]]})["code"] == "2600"


def test_capture_answers_one_member_per_entity_and_refuses_tax_codes(desk: Desk) -> None:
    (found,) = desk.get("cdc", entities="estimate,customer", changedSince="2011-10-10T09:00:00-07:00")["CDCResponse"]
    assert found["QueryResponse"][0] == {}
    assert found["QueryResponse"][1]["maxResults"] == 1
    assert error_of(desk.call("GET", "cdc", entities="TaxCode", changedSince="2026-01-01"))["code"] == "4001"
    assert error_of(desk.call("GET", "cdc", entities="Item", changedSince="soon"))["code"] == "2060"


def test_capture_looks_back_thirty_days_and_shows_inactive_rows(desk: Desk) -> None:
    desk.simulation.clock.advance(31 * 86_400)
    desk.tokens = desk.simulation.connect(REALM, "AppClientId")
    desk.simulation.put(REALM, "Item", {"Id": desk.service_id, "Active": False})
    (found,) = desk.get("cdc", entities="Item", changedSince="2020-01-01")["CDCResponse"]
    assert [row["Name"] for row in found["QueryResponse"][0]["Item"]] == ["Repair (deleted)"]


def test_every_answer_carries_a_trace_id_of_its_own(desk: Desk) -> None:
    ids = [desk.call("GET", "preferences").headers["intuit_tid"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert ids[0].startswith("1-")


def test_who_does_not_ask_for_json_gets_xml(desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {desk.tokens['access_token']}"}
    answer = desk.http.get(f"{desk.url}/v3/company/{REALM}/customer/{desk.customer_id}", headers=headers)
    assert answer.headers["content-type"].startswith("application/xml")
    assert "<DisplayName>Jan de Vries</DisplayName>" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "customer/1/5", "500"),
        ("GET", "customer/1.5", "2030"),
        ("GET", "customer/9999", "610"),
        ("GET", "nothing/1", "500"),
        ("DELETE", "customer/1", "500"),
        ("POST", "taxcode", "500"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(desk: Desk, method: str, path: str, code: str) -> None:
    body: Any = {} if method == "POST" else None
    assert error_of(desk.call(method, path, body))["code"] == code


def test_bad_json_bad_encoding_and_a_wrong_content_type_are_refused(desk: Desk) -> None:
    address = f"{desk.url}/v3/company/{REALM}/customer"
    headers = {"Authorization": f"Bearer {desk.tokens['access_token']}", "Accept": "application/json"}
    wrong: list[tuple[bytes, str, str]] = [
        (b"{", "application/json", "2010"),
        (b"[]", "application/json", "2010"),
        (b'{"DisplayName":"\xff"}', "application/json", "500"),
        (b'{"DisplayName":"A"}', "text/plain", "500"),
    ]
    for content, content_type, code in wrong:
        answer = desk.http.post(address, content=content, headers=headers | {"Content-Type": content_type})
        assert (answer.status_code, error_of(answer)["code"]) == (400, code)


def test_a_query_may_be_posted_as_text(desk: Desk) -> None:
    assert len(desk.post("query", "select * from Item")["QueryResponse"]["Item"]) == 2


def test_a_company_whose_subscription_ended_refuses_everything(desk: Desk) -> None:
    desk.control("POST", "company", {"subscription_ended": True})
    answer = desk.call("GET", "preferences")
    assert (answer.status_code, error_of(answer)["code"]) == (403, "6190")


def test_a_company_that_may_only_be_viewed_refuses_writes(desk: Desk) -> None:
    desk.control("POST", "company", {"view_only": True})
    assert desk.call("GET", "preferences").status_code == 200
    answer = desk.call("POST", "salesreceipt", {})
    assert (answer.status_code, error_of(answer)["code"]) == (403, "6190")


def test_a_company_that_is_locked_out_refuses_good_tokens(desk: Desk) -> None:
    desk.control("POST", "company", {"locked_out": True})
    assert desk.call("GET", "preferences").status_code == 401
    desk.control("POST", "company", {"locked_out": False})
    assert desk.call("GET", "preferences").status_code == 200


def test_requests_and_batches_are_throttled_per_sliding_minute(desk: Desk) -> None:
    desk.control("POST", "switches", {"limits": {"requests_per_minute": 3, "batches_per_minute": 1}})
    batch = {"BatchItemRequest": [{"bId": "1", "Query": "select * from Item"}]}
    desk.post("batch", batch)
    refused = desk.call("POST", "batch", batch)
    assert (refused.status_code, error_of(refused)["code"]) == (429, "3001")
    statuses = [desk.call("GET", "preferences").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    desk.control("POST", "clock", {"seconds": 61})
    desk.post("batch", batch)


def test_only_so_many_calls_run_at_once(desk: Desk) -> None:
    desk.control("POST", "switches", {"limits": {"concurrent": 2}, "working_seconds": 0.2})
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(desk.call("GET", "preferences").status_code)) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 429, 429, 429]
    assert desk.simulation.throttle(REALM).most_running == 2


def test_requests_on_two_threads_are_counted_beside_each_other(desk: Desk) -> None:
    desk.control("POST", "switches", {"limits": {"requests_per_second": 0, "requests_per_minute": 0, "concurrent": 0}})
    throttle, interval = desk.simulation.throttle(REALM), sys.getswitchinterval()

    def ask(_number: int) -> None:
        for _ in range(300):
            with throttle.admit(batch=False):
                pass

    sys.setswitchinterval(1e-6)  # threads take turns often, as on a busy machine
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert (len(throttle.requests), throttle.running) == (1200, 0)


def test_reads_are_metered_and_writes_are_not(desk: Desk) -> None:
    desk.post("customer", {"DisplayName": "A"})
    desk.get("preferences")
    desk.query("select * from Item")
    desk.get("cdc", entities="Item", changedSince="2026-01-01")
    state = desk.control("GET", "state")["ledger"]
    assert state["metered"] == {REALM: 3}
    assert state["counts"][REALM] == {"create Customer": 1, "read Preferences": 1, "query Item": 1, "cdc": 1}


def test_numbers_keep_their_digits(desk: Desk) -> None:
    item = {"Id": desk.service_id, "UnitPrice": "0.1000000000000000055511151231257827"}
    desk.simulation.put(REALM, "Item", item)
    assert b"0.1000000000000000055511151231257827" in desk.call("GET", f"item/{desk.service_id}").content
    assert parse(desk.call("GET", f"item/{desk.item_id}"))["Item"]["UnitPrice"].as_tuple().exponent == -2

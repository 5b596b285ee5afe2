"""Every failure of a call to the books becomes the right error, and no log record holds a token."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from gateway.connectors.exchange import Exchange
from gateway.connectors.http import Limits
from gateway.connectors.quickbooks.client import QuickBooks
from gateway.errors import AUTH_LOST, AuthLost, GatewayError, NotFound, Permanent, RateLimited, Transient, Unanswered
from mapping.records import Customer, DocumentKind
from tests.gateway.connectors.quickbooks.conftest import REALM, Tokens
from tests.gateway.connectors.quickbooks.peer import Peer, Reply, reply

ITEM = {"Item": {"Id": "11", "SyncToken": "3", "Name": "Pump", "Type": "Service"}}
CUSTOMER = {"Customer": {"Id": "58", "SyncToken": "0", "DisplayName": "Jan"}}
HTML = Reply(502, b"<html>Bad gateway</html>", {"content-type": "text/html"})


def read(books: QuickBooks) -> object:
    return books.item("11")


def write(books: QuickBooks) -> object:
    return books.create_customer(Customer("Jan"), "request-1")


BOTH = pytest.mark.parametrize(("act", "kind"), [(read, Transient), (write, Unanswered)], ids=["read", "write"])
Act = Callable[[QuickBooks], object]


def fault(code: str, status: int = 400, **headers: str) -> Reply:
    return reply({"Fault": {"Error": [{"code": code}], "type": "x"}}, status, **headers)


def test_a_read_says_who_it_is_what_it_wants_and_which_version(books: QuickBooks, peer: Peer) -> None:
    peer.answers(reply(ITEM))
    assert books.item("11").name == "Pump"
    (request,) = peer.requests
    assert (request.method, request.path) == ("GET", f"/v3/company/{REALM}/item/11")
    assert request.query == {"minorversion": "75"}
    assert request.headers["accept"] == "application/json"
    assert request.headers["authorization"] == "Bearer secret-access-1"


def test_a_write_carries_its_request_id(books: QuickBooks, peer: Peer) -> None:
    peer.answers(reply(CUSTOMER))
    assert books.create_customer(Customer("Jan"), "request-1").id == "58"
    (request,) = peer.requests
    assert (request.method, request.path) == ("POST", f"/v3/company/{REALM}/customer")
    assert request.query == {"minorversion": "75", "requestid": "request-1"}
    assert request.headers["content-type"] == "application/json"
    assert request.json == {"DisplayName": "Jan"}


@BOTH
@pytest.mark.parametrize(
    "lost",
    [
        Reply(silent=True),
        Reply(body=b'{"Item": {"Id": "11"}}', keep=5),
        Reply(body=b"", headers={"content-length": "40"}),
        Reply(headers={"content-encoding": "gzip"}, body=b"not gzip at all"),
        Reply(body=b"<html>All is well</html>"),
        Reply(body=b""),
        Reply(body=b'{"a":' * 50_000),
    ],
    ids=["silence", "cut", "no body", "not gzip", "html", "empty", "bomb"],
)
def test_61_a_lost_answer_leaves_a_write_open_and_a_read_to_be_repeated(
    books: QuickBooks, peer: Peer, act: Act, kind: type[GatewayError], lost: Reply
) -> None:
    peer.answers(lost)
    with pytest.raises(GatewayError) as raised:
        act(books)
    assert type(raised.value) is kind
    assert len(peer.requests) == 1


@BOTH
@pytest.mark.parametrize("trouble", [HTML, Reply(500), fault("10000", 500), Reply(504), fault("10000", 200)])
def test_59_trouble_on_their_side_leaves_a_write_open(
    books: QuickBooks, peer: Peer, act: Act, kind: type[GatewayError], trouble: Reply
) -> None:
    peer.answers(trouble)
    with pytest.raises(GatewayError) as raised:
        act(books)
    assert type(raised.value) is kind


@BOTH
def test_60_a_dripping_answer_is_cut_at_the_deadline(
    books: QuickBooks, peer: Peer, act: Act, kind: type[GatewayError]
) -> None:
    peer.answers(Reply(body=b" " * 1000, pause=0.05))
    started = time.monotonic()
    with pytest.raises(kind, match="no whole answer within"):
        act(books)
    assert time.monotonic() - started < 2


@BOTH
def test_60_a_dripping_head_is_cut_at_the_deadline_as_well(
    books: QuickBooks, peer: Peer, act: Act, kind: type[GatewayError]
) -> None:
    peer.answers(Reply(headers={"x-much": "x" * 100}, head_pause=0.05))
    started = time.monotonic()
    with pytest.raises(kind, match="no whole answer within"):
        act(books)
    assert time.monotonic() - started < 2


@BOTH
def test_60_an_answer_that_never_begins_is_given_up(
    connect: Callable[..., QuickBooks], act: Act, kind: type[GatewayError]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        books = connect(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(kind, match="did not answer in time"):
            act(books)


@pytest.mark.parametrize("act", [read, write])
@pytest.mark.parametrize("address", ["refused", "http://name.invalid", "ftp://127.0.0.1"])
def test_60_what_was_never_sent_was_never_done(connect: Callable[..., QuickBooks], act: Act, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    books = connect(base_url=nobody if address == "refused" else address)
    with pytest.raises(GatewayError) as raised:
        act(books)
    assert type(raised.value) is Transient


def test_an_answer_of_any_size_stays_bounded(connect: Callable[..., QuickBooks], peer: Peer) -> None:
    peer.answers(Reply(body=b" " * 5000))
    with pytest.raises(Transient, match="more than 1000 bytes"):
        connect(limits=Limits(size=1000)).item("11")


def test_32_a_redirect_is_not_followed(books: QuickBooks, peer: Peer) -> None:
    peer.answers(Reply(307, b"", {"location": f"{peer.url}/elsewhere"}))
    with pytest.raises(Transient, match="307"):
        books.item("11")
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "body", [{}, {"time": "2026-08-01T02:00:00-07:00"}, {"QueryResponse": None, "CDCResponse": None}]
)
def test_an_answer_without_its_part_is_not_nothing(books: QuickBooks, peer: Peer, body: dict[str, object]) -> None:
    asks: list[Callable[[], object]] = [
        lambda: books.documents_by_number(DocumentKind.SALES_RECEIPT, ["R1"]),
        lambda: books.count("Item"),
        lambda: books.changes(["Item"], datetime(2026, 8, 1, tzinfo=UTC)),
        lambda: books.item("11"),
    ]
    for ask in asks:
        peer.answers(reply(body))
        with pytest.raises(Transient, match="no "):
            ask()


@pytest.mark.parametrize("act", [read, write])
def test_64_a_refused_token_is_renewed_once_and_the_call_repeated(
    books: QuickBooks, peer: Peer, tokens: Tokens, act: Act
) -> None:
    peer.answers(fault("3200", 401), reply(ITEM | CUSTOMER))
    act(books)
    assert tokens.rejected == ["secret-access-1"]
    assert [one.headers["authorization"][-1] for one in peer.requests] == ["1", "2"]
    assert peer.requests[0].query == peer.requests[1].query
    assert peer.requests[0].body == peer.requests[1].body


@pytest.mark.parametrize("act", [read, write])
@pytest.mark.parametrize("status", [200, 400, 403])
def test_an_ended_token_is_renewed_whatever_the_status_that_tells_of_it(
    books: QuickBooks, peer: Peer, tokens: Tokens, act: Act, status: int
) -> None:
    peer.answers(fault("003200", status), reply(ITEM | CUSTOMER))
    act(books)
    assert tokens.rejected == ["secret-access-1"]


@pytest.mark.parametrize("act", [read, write])
def test_64_a_token_that_another_process_stored_may_be_refused_too(
    books: QuickBooks, peer: Peer, tokens: Tokens, act: Act
) -> None:
    peer.answers(fault("3200", 401), fault("3200", 401), reply(ITEM | CUSTOMER))
    act(books)
    assert tokens.rejected == ["secret-access-1", "secret-access-2"]


@pytest.mark.parametrize("act", [read, write])
def test_a_token_refused_three_times_means_the_connection_is_lost(
    books: QuickBooks, peer: Peer, tokens: Tokens, act: Act
) -> None:
    peer.answers(Reply(401, b"<html/>"), fault("3200", 401), fault("3200", 401), fault("3200", 401))
    with pytest.raises(AuthLost):
        act(books)
    assert len(tokens.rejected) == 2
    assert tokens.refused == ["3200"]
    assert len(peer.requests) == 4, "the last asks whether other calls are taken"


@pytest.mark.parametrize("act", [read, write])
def test_a_call_refused_once_by_mistake_is_repeated(books: QuickBooks, peer: Peer, tokens: Tokens, act: Act) -> None:
    peer.answers(fault("3100", 403), fault("610"), reply(ITEM | CUSTOMER))
    act(books)
    assert tokens.refused == []
    assert peer.requests[0].query == peer.requests[2].query


@pytest.mark.parametrize("act", [read, write])
@pytest.mark.parametrize("code", ["3100", "6190", "120"])
def test_a_call_refused_alone_does_not_stop_the_connection(
    books: QuickBooks, peer: Peer, tokens: Tokens, act: Act, code: str
) -> None:
    peer.answers(fault(code, 403), fault("610"), fault(code, 403))
    with pytest.raises(Permanent, match=f"QuickBooks {code}.*takes other calls") as refused:
        act(books)
    assert (refused.value.code, tokens.refused) == (AUTH_LOST, [])
    assert not isinstance(refused.value, AuthLost)


def test_a_read_of_a_dry_run_refused_alone_does_not_stop_the_connection(
    books: QuickBooks, peer: Peer, tokens: Tokens
) -> None:
    peer.answers(fault("120", 403), fault("610"), fault("120", 403))
    with pytest.raises(Permanent, match="takes other calls"):
        read(books.reading_only())
    assert tokens.refused == []


@pytest.mark.parametrize("answer", [fault("10000", 500), reply({}, 503)], ids=["internal", "outage"])
def test_without_an_answer_about_others_all_calls_count_as_refused(
    books: QuickBooks, peer: Peer, tokens: Tokens, answer: Reply
) -> None:
    peer.answers(fault("3100", 403), answer)
    with pytest.raises(AuthLost):
        read(books)
    assert tokens.refused == ["3100"]


@pytest.mark.parametrize("act", [read, write])
def test_59_a_429_waits_as_long_as_it_was_asked_to(books: QuickBooks, peer: Peer, act: Act) -> None:
    peer.answers(fault("3001", 429, Retry_After="17"))
    with pytest.raises(RateLimited) as raised:
        act(books)
    assert raised.value.after == 17


@pytest.mark.parametrize("act", [read, write])
def test_59_a_429_without_a_time_is_repeated_once(books: QuickBooks, peer: Peer, act: Act) -> None:
    peer.answers(fault("3001", 429), fault("3001", 429))
    with pytest.raises(RateLimited) as raised:
        act(books)
    assert raised.value.asked is None
    assert len(peer.requests) == 2


@pytest.mark.parametrize("act", [read, write])
def test_59_64_a_token_that_ends_during_the_pause_of_a_429_is_renewed(
    books: QuickBooks, peer: Peer, tokens: Tokens, act: Act
) -> None:
    peer.answers(fault("3001", 429), fault("3200", 401), reply(ITEM | CUSTOMER))
    act(books)
    assert len(tokens.rejected) == 1


@pytest.mark.parametrize("act", [read, write])
@pytest.mark.parametrize("status", [200, 400])
def test_59_a_fault_inside_a_good_status_is_still_a_fault(books: QuickBooks, peer: Peer, act: Act, status: int) -> None:
    peer.answers(fault("610", status))
    with pytest.raises(NotFound):
        act(books)


def test_an_answer_without_the_record_is_open_for_a_write_only(books: QuickBooks, peer: Peer) -> None:
    peer.answers(reply({"time": "x"}), reply({"time": "x"}), reply({"Customer": {"Id": "58"}}))
    with pytest.raises(Transient):
        read(books)
    for _ in range(2):
        with pytest.raises(Unanswered):
            write(books)


def test_every_exchange_is_on_record(books: QuickBooks, peer: Peer, exchanges: list[Exchange]) -> None:
    peer.answers(reply(ITEM, intuit_tid="1-abc"), reply(CUSTOMER), fault("6240"), HTML, Reply(silent=True))
    books.item("11")
    write(books)
    for _ in range(3):
        with pytest.raises(GatewayError):
            write(books)
    good, created, refused, broken, lost = exchanges
    assert (good.system, good.operation, good.status, good.metered) == ("quickbooks", "GET item", 200, True)
    assert (good.response, good.trace, good.error) == (ITEM, "1-abc", None)
    assert peer.requests[0].path == f"/v3/company/{REALM}/item/11"
    assert (created.operation, created.metered, created.request) == ("POST customer", False, {"DisplayName": "Jan"})
    assert (refused.status, refused.error) == (400, "6240")
    assert (broken.response, broken.error) == ({"text": "<html>Bad gateway</html>"}, "10000")
    assert (lost.status, lost.response, lost.error) == (None, None, "Unanswered")
    assert all(0 <= one.milliseconds < 5000 for one in exchanges)


def test_37_no_token_is_ever_on_record_or_in_an_error(books: QuickBooks, peer: Peer, exchanges: list[Exchange]) -> None:
    peer.answers(*[fault("3200", 401)] * 4, Reply(silent=True), HTML)
    said = []
    for act in (read, write, read):
        with pytest.raises(GatewayError) as raised:
            act(books)
        said.append(f"{raised.value!r} {raised.value.fix}")
    assert len(exchanges) == 6
    assert "secret-access" not in repr(exchanges) + "".join(said)


def test_the_gate_is_entered_around_every_request_and_always_left(
    connect: Callable[..., QuickBooks], peer: Peer
) -> None:
    seen: list[str] = []

    @contextmanager
    def gate(operation: str) -> Iterator[None]:
        seen.append(f"in {len(peer.requests)}")
        try:
            yield
        finally:
            seen.append(f"out {len(peer.requests)}")

    peer.answers(fault("3200", 401), reply(ITEM), Reply(silent=True))
    books = connect(gate=gate)
    read(books)
    with pytest.raises(Transient):
        read(books)
    assert seen == ["in 0", "out 1", "in 1", "out 2", "in 2", "out 3"]


def test_a_token_source_that_has_none_stops_the_call_before_it_is_sent(
    books: QuickBooks, peer: Peer, tokens: Tokens
) -> None:
    tokens.lost = True
    with pytest.raises(AuthLost):
        read(books)
    assert peer.requests == []


@pytest.mark.parametrize("inside", [b"\\u000b", b"\x0b", b"\\ud83d", b"\\u0000", b"\\b"])
def test_control_characters_are_left_out_of_what_is_read(books: QuickBooks, peer: Peer, inside: bytes) -> None:
    peer.answers(
        Reply(body=b'{"Item": {"Id": "11", "SyncToken": "3", "Name": "Pu' + inside + b'mp", "Type": "Service"}}')
    )
    assert books.item("11").name == "Pump"


@pytest.mark.parametrize("kept", [b"\\n", b"\\t", b"\\u00e9", b"\\ud83c\\udf84", "\U0001f384".encode()])
def test_other_characters_are_read_as_they_are(books: QuickBooks, peer: Peer, kept: bytes) -> None:
    peer.answers(
        Reply(body=b'{"Item": {"Id": "11", "SyncToken": "3", "Name": "Pu' + kept + b'mp", "Type": "Service"}}')
    )
    assert books.item("11").name == json.loads(b'"Pu' + kept + b'mp"')


@pytest.mark.parametrize("refusal", [fault("2040"), fault("500")], ids=["2040", "decoding"])
def test_t15_a_refused_emoji_is_left_out_under_another_request_id(
    books: QuickBooks, peer: Peer, exchanges: list[Exchange], refusal: Reply
) -> None:
    peer.answers(refusal, reply(CUSTOMER))
    books.create_customer(Customer("Jan \U0001f384"), "request-1")
    first, second = peer.requests
    assert (first.json, second.json) == ({"DisplayName": "Jan \U0001f384"}, {"DisplayName": "Jan"})
    assert (first.query["requestid"], second.query["requestid"]) == ("request-1", "request-1-plain")
    assert "left out" in (exchanges[-1].note or "")


def test_t15_an_emoji_the_books_fail_over_is_left_out_the_third_time(books: QuickBooks, peer: Peer) -> None:
    peer.answers(fault("10000", 500), fault("10000", 500), reply(CUSTOMER))
    books.create_customer(Customer("Jan \U0001f384"), "request-1")
    assert [each.json["DisplayName"] for each in peer.requests] == ["Jan \U0001f384", "Jan \U0001f384", "Jan"]
    assert {each.query["requestid"] for each in peer.requests} == {"request-1"}


@pytest.mark.parametrize("refusal", [fault("2040"), fault("500"), fault("10000", 500)])
def test_without_emoji_nothing_is_sent_twice(books: QuickBooks, peer: Peer, refusal: Reply) -> None:
    peer.answers(refusal)
    with pytest.raises(GatewayError):
        write(books)
    assert len(peer.requests) == 1


def test_a_name_looked_for_is_looked_for_without_emoji_when_it_must_be(books: QuickBooks, peer: Peer) -> None:
    peer.answers(fault("500"), reply({"QueryResponse": {"Customer": [CUSTOMER["Customer"]]}}))
    assert [each.id for each in books.customers_by_name("Jan \U0001f384")] == ["58"]

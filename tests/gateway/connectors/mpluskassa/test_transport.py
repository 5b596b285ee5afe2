"""Failures 60, 61, 68 of the exchange itself: bounded in time and size, and whether it may have arrived."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlencode

import pytest

from gateway.connectors.http import Limits, NoAnswer, Reply
from gateway.connectors.mpluskassa.calls import TillEndpoint, normalise_address
from tests.gateway.connectors.mpluskassa.soap_server import IDENT, SECRET, Conversation, Script, SoapServer

CREDENTIALS = (IDENT, SECRET)
SHORT = Limits(connect=0.3, read=0.3, total=0.5, size=10_000)


def post(script: Script, limits: Limits = SHORT) -> Reply:
    with SoapServer(script) as server:
        return TillEndpoint(server.url, *CREDENTIALS, limits=limits).post(b"<x/>", {})


def failure(act: Callable[[], object]) -> NoAnswer:
    started = time.monotonic()
    with pytest.raises(NoAnswer) as raised:
        act()
    assert time.monotonic() - started < 1.5
    assert raised.value.__context__ is None
    return raised.value


def cut_within(conversation: Conversation) -> None:
    conversation.answer(b"half", announce=100)
    conversation.cut()


def drip_body(conversation: Conversation) -> None:
    conversation.answer(b"", announce=5000)
    conversation.drip()


def drip_headers(conversation: Conversation) -> None:
    conversation.handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    conversation.drip(b"x")


def drip_without_end(conversation: Conversation) -> None:
    conversation.handler.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    conversation.drip()


@contextmanager
def raw_server(act: Callable[[socket.socket], None]) -> Iterator[str]:
    """Takes connections and lets `act` have each; for what no web server would do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        act(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=5)


def test_a_whole_answer_is_returned_and_credentials_were_in_the_address() -> None:
    with SoapServer(lambda conversation: conversation.answer(b"<y/>")) as server:
        reply = TillEndpoint(server.url, *CREDENTIALS).post(b"<x/>", {"X-Request-Id": "t-1"})
        assert (reply.status, reply.body) == (200, b"<y/>")
        asked = server.asked[0]
        assert asked.target == "/?ident=winkel%26co&secret=geheim%2Bvan%2Fde%3Dwinkel"
        assert (asked.body, asked.headers["X-Request-Id"]) == (b"<x/>", "t-1")


def test_an_address_with_a_path_keeps_it() -> None:
    with SoapServer(lambda conversation: conversation.answer(b"")) as server:
        TillEndpoint(server.url + "/kassa/", *CREDENTIALS).post(b"", {})
        assert server.asked[0].target.startswith("/kassa/?ident=")


def test_without_a_listener_nothing_was_sent(free_port: Callable[[], int]) -> None:
    error = failure(lambda: TillEndpoint(f"http://127.0.0.1:{free_port()}", *CREDENTIALS, limits=SHORT).post(b"", {}))
    assert (error.code, error.sent) == ("UNREACHABLE", False)


def test_a_name_that_does_not_resolve_means_nothing_was_sent() -> None:
    error = failure(lambda: TillEndpoint("http://kassa.invalid", *CREDENTIALS, limits=SHORT).post(b"", {}))
    assert (error.code, error.sent) == ("UNREACHABLE", False)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (lambda conversation: conversation.hang(), "TIMEOUT"),
        (lambda conversation: conversation.cut(), "CUT"),
        (cut_within, "CUT"),
        (drip_body, "DEADLINE"),
        (drip_headers, "DEADLINE"),
        (drip_without_end, "DEADLINE"),
    ],
    ids=["silence", "cut before", "cut within", "slow body", "slow headers", "endless body"],
)
def test_an_answer_that_is_not_whole_may_have_been_a_done_deed(script: Script, code: str) -> None:
    error = failure(lambda: post(script))
    assert (error.code, error.sent, error.lasting) == (code, True, False)


def test_a_request_that_is_read_too_slowly_is_cut_at_the_deadline() -> None:
    def read_slowly(connection: socket.socket) -> None:
        for _ in range(30):
            connection.recv(1000)
            time.sleep(0.02)

    limits = Limits(connect=0.3, read=5.0, total=0.5)
    with raw_server(read_slowly) as place:
        error = failure(
            lambda: TillEndpoint(f"http://{place}", *CREDENTIALS, limits=limits).post(b" " * 20_000_000, {})
        )
    assert (error.code, error.sent) == ("DEADLINE", True)


def test_something_that_is_no_web_server_breaks_the_exchange() -> None:
    def shout(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"220 mail.example.nl ESMTP\r\n")

    with raw_server(shout) as place:
        error = failure(lambda: TillEndpoint(f"http://{place}", *CREDENTIALS, limits=SHORT).post(b"", {}))
    assert (error.code, error.sent) == ("CUT", True)


def test_a_handshake_that_never_ends_is_left_before_anything_was_sent() -> None:
    with raw_server(lambda _: time.sleep(0.6)) as place:
        error = failure(lambda: TillEndpoint(f"https://{place}", *CREDENTIALS, limits=SHORT).post(b"", {}))
    assert (error.code, error.sent) == ("UNREACHABLE", False)


def test_a_huge_answer_is_cut_off_at_the_limit() -> None:
    error = failure(lambda: post(lambda conversation: conversation.answer(b" " * 10_001)))
    assert (error.code, error.lasting) == ("TOO-LARGE", True)
    assert len(post(lambda conversation: conversation.answer(b" " * 10_000)).body) == 10_000


def test_a_redirect_is_an_answer_and_nothing_is_followed() -> None:
    with SoapServer(lambda conversation: conversation.answer(b"")) as elsewhere:
        where = {"Location": elsewhere.url}
        reply = post(lambda conversation: conversation.answer(b"", status=307, headers=where))
        assert reply.status == 307
        assert elsewhere.asked == []


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert post(lambda conversation: conversation.answer(b"ok")).body == b"ok"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.mpluskassa.nl",
        "ftp://x",
        "https://",
        "https://u:p@x",
        "https://x/?secret=1",
        "https://x/#a",
        "https://x:99999",
        "https://x\x01/",
    ],
)
def test_an_address_that_is_none_or_holds_credentials_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        TillEndpoint(url, *CREDENTIALS)
    assert "secret=1" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.mpluskassa.nl:44281", "https://api.mpluskassa.nl:44281/"),
        ("http://kassa.local/pad/", "http://kassa.local:80/pad/"),
        (" https://[::1]:8443 ", "https://[::1]:8443/"),
    ],
)
def test_an_address_is_shown_without_credentials(url: str, shown: str) -> None:
    assert normalise_address(url) == shown


def test_credentials_are_scrubbed_in_every_spelling_and_never_shown() -> None:
    endpoint = TillEndpoint("https://api.mpluskassa.nl", *CREDENTIALS)
    text = f"/?{urlencode({'ident': IDENT, 'secret': SECRET})} {SECRET} {IDENT} geheim%2bvan%2fde%3dwinkel"
    assert endpoint.scrub(text) == "/?ident=***&secret=*** *** *** ***"
    assert SECRET not in repr(endpoint)
    assert IDENT not in repr(endpoint)

"""Requests as no honest client sends them, byte by byte: slow, huge, doubled, smuggled."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway import settings
from gateway.process import up
from gateway.web import protocol
from gateway.web.protocol import DIRECT, FAILURE, LARGEST_HEAD, Answer, BoundedProtocol, Headers

START = b"POST /echo HTTP/1.1\r\nHost: x\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
WHOLE = START + b"Content-Length: 2\r\n\r\nok"


class HastyProtocol(BoundedProtocol):
    """The same with less time, so that the tests need not have more of it."""

    def _expect(self, seconds: float) -> None:
        super()._expect(seconds / 20)


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body() if request.method == "POST" else b"")


@pytest.fixture
def url(serve: Callable[..., str]) -> str:
    return serve(Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"])]), http=HastyProtocol)


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    place = urlsplit(url)
    with socket.create_connection((str(place.hostname), place.port or 0), timeout=20) as raw:
        yield raw


def read_all(raw: socket.socket) -> bytes:
    """What comes until the other side closes."""
    pieces = []
    try:
        while piece := raw.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def read_answers(raw: socket.socket, count: int) -> bytes:
    """What comes until so many answers are whole."""
    read = b""
    while read.count(b"ok") < count and (piece := raw.recv(65536)):
        read += piece
    return read


def ask(url: str, sent: bytes) -> bytes:
    with connected(url) as raw:
        raw.sendall(sent)
        return read_all(raw)


def test_29_an_endless_head_is_cut_off_and_others_are_served(url: str) -> None:
    slow = [connected(url) for _ in range(40)]
    open_ones = [each.__enter__() for each in slow]
    for n, raw in enumerate(open_ones):
        raw.sendall(START if n % 2 else b"")
    began = time.monotonic()
    assert ask(url, WHOLE.replace(b"Host: x", b"Host: x\r\nConnection: close")).endswith(b"ok")
    assert time.monotonic() - began < 1
    answers = [read_all(raw) for raw in open_ones]
    for each in slow:
        each.__exit__(None, None, None)
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}


def test_29_a_second_head_has_no_more_time_than_the_first(url: str) -> None:
    with connected(url) as raw:
        raw.sendall(WHOLE + START)
        answer = read_all(raw)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 408 Request Timeout" in answer


def test_23_a_body_that_never_ends_is_cut_off(url: str) -> None:
    began = time.monotonic()
    assert ask(url, START + b"Content-Length: 5\r\n\r\nok").startswith(b"HTTP/1.1 408 Request Timeout")
    assert time.monotonic() - began < 10


def test_29_a_head_too_large_is_refused_however_it_is_made(url: str) -> None:
    heads = {
        "many headers": START + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n",
        "one header": START + b"X: " + b"x" * (LARGEST_HEAD + 1000) + b"\r\n\r\n",
        "no end": START + b"X: " + b"x" * (3 * LARGEST_HEAD),
        "trailers": CHUNKED + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)),
        "one trailer": CHUNKED + b"X: " + b"x" * (3 * LARGEST_HEAD),
        "an extension": CHUNKED[:-3] + b"2;" + b"x" * (3 * LARGEST_HEAD),
        "address": b"GET /echo?" + b"x" * (3 * LARGEST_HEAD) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    for name, head in heads.items():
        with connected(url) as raw:
            # The connection may close while we are still sending.
            try:
                raw.sendall(head)
                answer = read_all(raw)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
        assert answer[9:12] in {b"400", b"431", b""}, name


def test_29_what_two_servers_could_read_differently_is_refused(url: str) -> None:
    smuggled = b"0\r\n\r\nGET /echo HTTP/1.1\r\nX: "
    ambiguous = {
        "both lengths": START + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled,
        "two lengths": START + b"Content-Length: 2\r\nContent-Length: 30\r\n\r\nok",
        "a signed length": START + b"Content-Length: +2\r\n\r\nok",
        "an odd coding": START + b"Transfer-Encoding: xchunked\r\n\r\n" + smuggled,
        "chunked twice": START + b"Transfer-Encoding: chunked, identity\r\n\r\n" + smuggled,
        "a space before the colon": START + b"Content-Length : 2\r\n\r\nok",
        "a bad chunk size": START + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
        "a line break alone": b"POST /echo HTTP/1.1\nHost: x\nContent-Length: 2\n\nok",
    }
    answered = {name: ask(url, sent) for name, sent in ambiguous.items()}
    assert {name: answer[9:12] for name, answer in answered.items() if answer[9:12] != b"400"} == {}
    assert all(answer.count(b"HTTP/1.1 ") == 1 for answer in answered.values())


def test_honest_requests_are_kept_alive_and_answered_in_turn(url: str) -> None:
    with connected(url) as raw:
        for _ in range(3):
            raw.sendall(WHOLE)
            assert read_answers(raw, 1).endswith(b"ok")
        raw.sendall(WHOLE * 2)
        assert read_answers(raw, 2).count(b"200 OK") == 2


class Taker:
    """Takes what its address gets, and answers a moment later; "left" is left to the application."""

    address = "/echo"
    headers = ((b"content-length", b"0"), (b"x-taken", b"yes"))

    def take(self, _headers: Headers, body: bytes, answer: Answer) -> bool:
        if body == b"odd":
            raise RuntimeError("odd")
        failure = RuntimeError("bad") if body == b"bad" else None
        asyncio.get_running_loop().call_later(0.01, answer, failure)
        return body != b"left"


async def say(request: Request) -> Response:
    failure = request.scope.get(FAILURE)
    return PlainTextResponse(b"route " + (str(failure).encode() if failure else await request.body()))


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Taker]]:
    yield {DIRECT: Taker()}


def test_only_what_is_usual_is_taken_directly_and_in_turn(serve: Callable[..., str]) -> None:
    app = Starlette(routes=[Route("/echo", say, methods=["GET", "POST"])], lifespan=lifespan)
    url = serve(app, http=HastyProtocol, access_log=False)
    ended = START + b"Connection: close\r\n"
    cases = {
        b"taken": (ended + b"Content-Length: 2\r\n\r\nok", b"x-taken: yes\r\nconnection: close\r\n\r\n"),
        b"taken and taken": (WHOLE + ended + b"Content-Length: 2\r\n\r\nok", b"x-taken: yes"),
        b"left": (ended + b"Content-Length: 4\r\n\r\nleft", b"route left"),
        b"failed": (ended + b"Content-Length: 3\r\n\r\nbad", b"route bad"),
        b"raised": (ended + b"Content-Length: 3\r\n\r\nodd", b"route odd"),
        b"chunked": (ended + CHUNKED.removeprefix(START) + b"\r\n", b"route ok"),
        b"coded": (ended + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", b"route ok"),
        b"old": (WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"), b"route ok"),
        b"large": (ended + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000, b"xxx"),
        b"another method": (ended.replace(b"POST", b"GET") + b"\r\n", b"route "),
        b"a query": (ended.replace(b"/echo", b"/echo?a=1") + b"Content-Length: 2\r\n\r\nok", b"route ok"),
    }
    for name, (sent, expected) in cases.items():
        answer = ask(url, sent)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), name
        assert expected in answer, name
        assert answer.count(b"200 OK") == sent.count(b"HTTP/1."), name
        assert (b"x-taken" in answer) == name.startswith(b"taken"), name
    assert ask(url, START + b"Content-Length: 5\r\n\r\nok").startswith(b"HTTP/1.1 408 Request Timeout")


def test_the_web_process_is_started_with_this_protocol() -> None:
    given = settings.read({"ADMIN_TOKEN": "x" * 16, "SECRET_KEY": "x" * 16})
    argv = up.to_web_command(given).argv
    name = f"{protocol.__name__}:{BoundedProtocol.__name__}"
    assert argv[argv.index("--http") + 1] == name


def test_a_connection_is_kept_longer_than_a_router_keeps_it() -> None:
    given = settings.read({"ADMIN_TOKEN": "x" * 16, "SECRET_KEY": "x" * 16})
    argv = up.to_web_command(given).argv
    assert int(argv[argv.index("--timeout-keep-alive") + 1]) > 75


def test_up_listens_on_this_machine_alone_and_the_procfile_on_all() -> None:
    given = settings.read({"ADMIN_TOKEN": "x" * 16, "SECRET_KEY": "x" * 16})
    assert given.host == "127.0.0.1"
    argv = up.to_web_command(given).argv
    assert argv[argv.index("--host") + 1] == up.EVERYWHERE

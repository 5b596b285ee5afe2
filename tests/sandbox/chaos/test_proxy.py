"""The proxy carries bytes unchanged, and misbehaves exactly as it is told, for as long as it is told."""

from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from sandbox.chaos.faults import Blackhole, Drip, Fault, Latency, LoseReply, LoseRequest, Refuse, Reset, Truncate
from sandbox.chaos.proxy import Proxy
from tests.servers import find_free_port, wait_until

HEARD: list[bytes] = []


class Echo(socketserver.BaseRequestHandler):
    """Answers what it hears."""

    def handle(self) -> None:
        while heard := self.request.recv(65_536):
            HEARD.append(heard)
            try:
                self.request.sendall(heard)
            except OSError:
                return


@pytest.fixture
def upstream() -> Iterator[tuple[str, int]]:
    HEARD.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield ("127.0.0.1", int(server.server_address[1]))
        server.shutdown()


@pytest.fixture
def proxy(upstream: tuple[str, int]) -> Iterator[Proxy]:
    made = Proxy(upstream)
    yield made
    made.stop()


@pytest.fixture
def connect(proxy: Proxy) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def dial() -> socket.socket:
        opened.append(socket.create_connection(("127.0.0.1", proxy.port), timeout=5))
        return opened[-1]

    yield dial
    for sock in opened:
        sock.close()


def ask(sock: socket.socket, what: bytes = b"hello") -> bytes:
    sock.sendall(what)
    return hear(sock, len(what))


def hear(sock: socket.socket, size: int) -> bytes:
    heard = b""
    while len(heard) < size and (more := sock.recv(size - len(heard))):
        heard += more
    return heard


def is_silent(sock: socket.socket, seconds: float = 0.2) -> bool:
    sock.settimeout(seconds)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(5)
    return False


def is_served(proxy: Proxy) -> bool:
    """Whether a new connection is answered, and not reset at whatever moment."""
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=5)) as sock:
        return ask(sock) == b"hello"
    return False


def test_without_faults_everything_passes_unchanged_and_the_end_too(
    proxy: Proxy, connect: Callable[[], socket.socket]
) -> None:
    sock = connect()
    much = bytes(range(256)) * 4_000
    threading.Thread(target=sock.sendall, args=(much,), daemon=True).start()
    assert hear(sock, len(much)) == much
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(1) == b""
    wait_until(lambda: proxy.open == 0, what="the connection to be over")
    assert proxy.struck == 0


def test_latency_delays_both_ways(proxy: Proxy, connect: Callable[[], socket.socket]) -> None:
    sock = connect()
    ask(sock)
    with proxy.during(Latency(0.1)):
        began = time.monotonic()
        assert ask(sock) == b"hello"
        assert time.monotonic() - began >= 0.2
    assert proxy.struck == 1


def test_a_drip_is_slow_and_whole(proxy: Proxy, connect: Callable[[], socket.socket]) -> None:
    sock = connect()
    proxy.begin(Drip(size=2, seconds=0.05))
    began = time.monotonic()
    assert ask(sock, b"0123456789") == b"0123456789"
    assert time.monotonic() - began >= 0.2


def test_a_blackhole_holds_old_and_new_connections_and_releases_them(
    proxy: Proxy, connect: Callable[[], socket.socket]
) -> None:
    old = connect()
    ask(old)
    proxy.begin(Blackhole())
    new = connect()
    for sock in (old, new):
        sock.sendall(b"later")
        assert is_silent(sock)
    assert HEARD == [b"hello"]
    proxy.end()
    assert [hear(sock, 5) for sock in (old, new)] == [b"later", b"later"]


def test_frozen_connections_stay_silent_for_ever_and_new_ones_are_well(
    proxy: Proxy, connect: Callable[[], socket.socket]
) -> None:
    old = connect()
    ask(old)
    assert proxy.freeze() == 1
    old.sendall(b"anybody there?")
    assert is_silent(old)
    assert ask(connect()) == b"hello"
    proxy.end()
    assert is_silent(old)


@pytest.mark.parametrize(("fault", "rude"), [(Reset(3), True), (Truncate(3), False)])
def test_an_answer_is_cut_after_so_many_bytes(
    proxy: Proxy, connect: Callable[[], socket.socket], fault: Fault, *, rude: bool
) -> None:
    sock = connect()
    ask(sock)
    proxy.begin(fault, times=1)
    sock.sendall(b"hello")
    heard = b""
    try:
        heard = hear(sock, 5)
        assert not rude
    except ConnectionResetError:
        assert rude
    assert rude or heard == b"hel"
    assert ask(connect()) == b"hello"
    assert proxy.struck == 1


def test_a_lost_reply_is_one_whose_request_was_carried_out(proxy: Proxy, connect: Callable[[], socket.socket]) -> None:
    sock = connect()
    proxy.begin(LoseReply(b"COMMIT"))
    assert ask(sock, b"BEGIN") == b"BEGIN"
    sock.sendall(b"COMMIT")
    with pytest.raises(ConnectionResetError):
        hear(sock, 6)
    assert HEARD == [b"BEGIN", b"COMMIT"]


def test_a_lost_request_is_one_that_never_arrived(proxy: Proxy, connect: Callable[[], socket.socket]) -> None:
    sock = connect()
    proxy.begin(LoseRequest(b"COMMIT"))
    assert ask(sock, b"BEGIN") == b"BEGIN"
    sock.sendall(b"COMMIT")
    with pytest.raises(ConnectionResetError):
        hear(sock, 6)
    assert HEARD == [b"BEGIN"]
    assert proxy.struck == 1


def test_a_fault_may_wait_for_a_request_and_then_stays_with_its_connection(
    proxy: Proxy, connect: Callable[[], socket.socket]
) -> None:
    struck, spared = connect(), connect()
    proxy.begin(Blackhole(), asking=b"POST")
    assert [ask(sock) for sock in (struck, spared)] == [b"hello", b"hello"]
    for asked in (b"POST", b"hello"):
        struck.sendall(asked)
        assert is_silent(struck)
    assert ask(spared) == b"hello"
    proxy.end()
    assert hear(struck, 9) == b"POSThello"
    assert b"".join(HEARD) == b"hello" * 3 + b"POSThello"


def test_while_it_refuses_open_connections_live_on(proxy: Proxy, connect: Callable[[], socket.socket]) -> None:
    old = connect()
    ask(old)
    with proxy.during(Refuse()):
        assert not is_served(proxy)
        assert ask(old) == b"hello"
    assert ask(connect()) == b"hello"


def test_a_cut_resets_whatever_is_open(proxy: Proxy, connect: Callable[[], socket.socket]) -> None:
    sock = connect()
    ask(sock)
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        ask(sock)
    assert ask(connect()) == b"hello"


def test_the_same_seed_hits_the_same_share_of_connections(upstream: tuple[str, int]) -> None:
    def draw() -> list[bool]:
        proxy = Proxy(upstream, seed=7)
        proxy.begin(Refuse(), share=0.5)
        luck = [is_served(proxy) for _ in range(12)]
        proxy.stop()
        return luck

    first = draw()
    assert first == draw()
    assert set(first) == {True, False}


def test_a_server_that_is_gone_is_a_reset() -> None:
    proxy = Proxy(("127.0.0.1", find_free_port()))
    assert not is_served(proxy)
    proxy.stop()


def test_a_unix_socket_can_be_behind_it() -> None:
    folder = Path(tempfile.mkdtemp(prefix="kb"))
    path = folder / "s"
    with socketserver.ThreadingUnixStreamServer(str(path), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        proxy = Proxy(path)
        assert is_served(proxy)
        proxy.stop()
        server.shutdown()
    path.unlink()
    folder.rmdir()

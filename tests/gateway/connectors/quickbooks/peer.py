"""A small HTTP peer that answers by script, byte for byte: it can cut, drip, stay silent or refuse connections."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import simplejson


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `keep` bytes of the body are sent before the line is cut; `pause` seconds per byte of it.

    `head_pause` seconds per byte of the head.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    keep: int | None = None
    pause: float = 0.0
    head_pause: float = 0.0
    silent: bool = False


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer, like the books give it."""
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, simplejson.dumps(body).encode(), {"content-type": "application/json", **spelled})


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """Answers in the order of the script; what it was asked is in `requests`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: list[Reply] = []
        self.requests: list[Request] = []

    def answers(self, *replies: Reply) -> None:
        self.script.extend(replies)


@contextmanager
def listening() -> Iterator[Peer]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.peer = Peer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.peer
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    peer: Peer


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        request = self._read()
        self.server.peer.requests.append(request)
        scripted = self.server.peer.script.pop(0)
        if not scripted.silent:
            self._answer(scripted)

    def _read(self) -> Request:
        method, target, _ = self.rfile.readline().decode().split()
        headers: dict[str, str] = {}
        while (line := self.rfile.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        address = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        return Request(method, address.path, query, headers, body)

    def _answer(self, scripted: Reply) -> None:
        lines = {"content-length": str(len(scripted.body)), "connection": "close", **scripted.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._drip(f"HTTP/1.1 {scripted.status} Scripted\r\n{head}\r\n".encode(), scripted.head_pause)
        self._drip(scripted.body[: scripted.keep], scripted.pause)

    def _drip(self, text: bytes, pause: float) -> None:
        for piece in (text[i : i + 1] for i in range(len(text))) if pause else (text,):
            self._send(piece)
            time.sleep(pause)

    def _send(self, piece: bytes) -> None:
        try:
            self.wfile.write(piece)
        except OSError:
            # The client under test may close first.
            return

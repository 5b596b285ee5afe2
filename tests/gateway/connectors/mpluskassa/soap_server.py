"""A small real SOAP server that answers from a script, with or without faults, and records its requests."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from lxml import etree

ROOT = Path(__file__).resolve().parents[4]
COMPACT_WSDL = (ROOT / "sandbox" / "mpluskassa" / "mplusqapi.wsdl").read_bytes()
REAL_WSDL = ROOT / ".." / "shared" / "data" / "mplusqapi.wsdl"
IDENT, SECRET = "winkel&co", "geheim+van/de=winkel"

Script = Callable[["Conversation"], None]


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        return etree.QName(self.envelope[-1][0]).localname

    @property
    def envelope(self) -> Any:
        return etree.fromstring(self.body)

    def values(self, name: str) -> list[str]:
        return [node.text or "" for node in self.envelope.iter(f"{{urn:mplusqapi}}{name}")]


@dataclass
class Conversation:
    """What a script may do with one request."""

    handler: BaseHTTPRequestHandler
    asked: Asked
    stopping: threading.Event

    def answer(
        self,
        body: bytes | str,
        *,
        status: int = 200,
        announce: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", "text/xml; charset=utf-8")
        self.handler.send_header("Content-Length", str(len(content) if announce is None else announce))
        for name, value in (headers or {}).items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def drip(self, piece: bytes = b" ", pause: float = 0.02) -> None:
        """Send bytes without end, slowly."""
        while not self.stopping.wait(pause):
            self.handler.wfile.write(piece)

    def hang(self) -> None:
        self.stopping.wait(30)

    def cut(self) -> None:
        self.handler.connection.shutdown(socket.SHUT_RDWR)


@dataclass
class SoapServer:
    """Serves `wsdl` at ?wsdl and runs `script` for every post; use as a context manager."""

    script: Script
    wsdl: Script | bytes = COMPACT_WSDL
    asked: list[Asked] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self.tls is not None:
            # The handshake is left to the thread of the request: a refused one must not stop the server.
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def posts(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == "POST"]

    def converse(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        asked = Asked(handler.command, handler.path, dict(handler.headers.items()), body)
        self.asked.append(asked)
        conversation = Conversation(handler, asked, self._stopping)
        try:
            self._choose(asked)(conversation)
        except OSError:
            handler.close_connection = True

    def _choose(self, asked: Asked) -> Script:
        if asked.method == "POST":
            return self.script
        assert urlsplit(asked.target).query.startswith("wsdl")
        wsdl = self.wsdl
        return (lambda conversation: conversation.answer(wsdl)) if isinstance(wsdl, bytes) else wsdl

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.converse(self)

            def do_POST(self) -> None:
                server.converse(self)

            def log_message(self, *args: object) -> None:
                pass

        return Handler


def envelope(body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/" '
        f'xmlns:ns="urn:mplusqapi"><E:Body>{body}</E:Body></E:Envelope>'
    )


def fault(code: str, text: str) -> str:
    return envelope(f"<E:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></E:Fault>")


def says(body: str) -> Script:
    """Always this answer."""
    return lambda conversation: conversation.answer(envelope(body))


VERSION = (
    "<ns:getApiVersionResponse><ns:majorNumber>1</ns:majorNumber><ns:minorNumber>0</ns:minorNumber>"
    "<ns:revisionNumber>0</ns:revisionNumber><ns:inDebugMode>false</ns:inDebugMode></ns:getApiVersionResponse>"
)
STOCK_CHANGED = (
    "<ns:UpdateStockResponse><ns:result>UPDATE-STOCK-RESULT-OK</ns:result><ns:stockId>7</ns:stockId>"
    "</ns:UpdateStockResponse>"
)

"""HTTP to the systems outside: guarded connections, and one request with its whole answer, bounded in time and size.

Nothing is retried, no redirect followed, no cookie kept: one client serves several companies. Every wait of a
connection ends by the deadline of the exchange, for the head of an answer too.

Some addresses no call may reach, such as a cloud's metadata service with its credentials. A name or number is checked
by what it resolves to: resolved as the system does it (decimal, octal and hexadecimal numbers included), an IPv4
address inside an IPv6 one unpacked, and the peer checked again once it is connected.
"""

from __future__ import annotations

import logging
import math
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.request import getproxies

import httpcore
import httpx

MAX_CONNECTIONS: Final = 32
_MAX_KEPT: Final = 20
_SHORTEST: Final = 0.001  # a wait of zero would mean non-blocking, which fails differently
_LONGEST_PAUSE: Final = 7 * 86_400.0  # seconds; a longer one is not plausible
_OF_HTTPCORE: Final = (
    httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol,
)  # fmt: skip
_UNTRUSTED: Final = "has a certificate that is not trusted"
_CERTIFICATES: Final = {  # by OpenSSL's number of the reason
    10: "has a certificate that has expired",
    62: "has the certificate of another address",
    64: "has the certificate of another address",
}
_until: ContextVar[float | None] = ContextVar("until", default=None)

for _name in ("httpx", "httpcore"):  # their own log lines hold addresses with parameters, and headers
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, of silence, and for the whole exchange; bytes of an answer, unpacked."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 60.0
    size: int = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class NoAnswer(Exception):
    """No whole answer; the text goes on after the system's name; of the address it holds the host only.

    `sent`: the request may have arrived. `lasting`: a later attempt does not help.
    """

    def __init__(self, reason: str, code: str, *, sent: bool, lasting: bool = False) -> None:
        super().__init__(reason)
        self.code, self.sent, self.lasting = code, sent, lasting


def open_http(*, encrypted: bool = True) -> httpx.Client:
    """A client of guarded connections, without cookies and redirects. Not `encrypted`, for private networks only.

    One behind a proxy (HTTPS_PROXY) has httpx's own connections: the proxy resolves names. Never to a private network.
    """
    proxied = encrypted and {"all", "http", "https"} & getproxies().keys()
    transport = None if proxied else Transport(encrypted=encrypted)
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
    cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(follow_redirects=False, limits=limits, transport=transport, cookies=cookies)


def send(http: httpx.Client | Transport, request: httpx.Request, limits: Limits) -> Reply:
    """Send a request, one built by the same client or, through a transport, with all its headers. Raises NoAnswer."""
    until, progress = time.monotonic() + limits.total, _Progress()
    request.extensions["timeout"] = httpx.Timeout(limits.read, connect=limits.connect).as_dict()
    request.extensions["trace"] = progress.note
    if isinstance(http, Transport):  # a client's cookies, redirects and logins, which we have not, cost a third more
        ask = http.handle_request
    else:
        ask = partial(http.send, stream=True, follow_redirects=False)
    token = _until.set(until)
    try:
        with closing(ask(request)) as answer:
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > limits.size:
                    raise NoAnswer(f"answered with more than {limits.size} bytes", "TOO-LARGE", sent=True, lasting=True)
                if time.monotonic() >= until:
                    raise _to_late(limits, sent=True)
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status_code, headers, bytes(body))
    except httpx.RequestError as error:
        late = time.monotonic() >= until
        failure = _to_late(limits, sent=progress.sent) if late else _to_no_answer(error, request, progress)
    finally:
        _until.reset(token)
    # Raised outside the except block: a library's error in its context would hold the address with its parameters.
    raise failure


@dataclass(slots=True)
class _Progress:
    """Whether the request began to leave. What is sent to a proxy before TLS with the system itself is not it."""

    sent: bool = False

    def note(self, event: str, _: Mapping[str, Any]) -> None:
        if event.endswith(("start_tls.started", "send_request_headers.started")):
            self.sent = event.endswith("send_request_headers.started")


def _to_late(limits: Limits, *, sent: bool) -> NoAnswer:
    return NoAnswer(f"gave no whole answer within {limits.total:g} seconds", "DEADLINE", sent=sent)


def _to_no_answer(error: httpx.RequestError, request: httpx.Request, progress: _Progress) -> NoAnswer:
    cause: BaseException | None = error
    said = None  # what the operating system said, such as "Connection refused"
    while cause is not None:
        if isinstance(cause, Forbidden):
            return NoAnswer(f"must not be called: {cause}", "FORBIDDEN", sent=False, lasting=True)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer(_CERTIFICATES.get(cause.verify_code, _UNTRUSTED), "TLS", sent=False)
        if said is None and isinstance(cause, OSError):
            said = cause.strerror or None
        cause = cause.__cause__ or cause.__context__  # httpcore's pool raises without a cause
    # The library's message may hold the address with its parameters: only its host is named.
    kind = type(error).__name__
    if not progress.sent:
        url = request.url  # the error knows its request only where a client sent it
        where = f"{url.host}:{url.port or (80 if url.scheme == 'http' else 443)}"
        return NoAnswer(f"cannot be reached at {where} ({said or kind})", "UNREACHABLE", sent=False)
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer(f"did not answer in time ({kind})", "TIMEOUT", sent=True)
    return NoAnswer(f"broke off before the answer was whole ({kind})", "CUT", sent=True)


def find_pause(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by Retry-After (seconds, or a date read against the answer's own Date), from 1 to a week."""
    spelled = {name.lower(): value.strip() for name, value in headers.items()}
    asked = spelled.get("retry-after", "")
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(asked) - parsedate_to_datetime(spelled.get("date", ""))).total_seconds()
        except (ValueError, TypeError, IndexError):
            return None
    return min(max(seconds, 1.0), _LONGEST_PAUSE) if math.isfinite(seconds) else None


class Transport(httpx.BaseTransport):
    """Guarded connections for httpx; `kept` of them stay open. Not `encrypted` ones go to private networks only."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, encrypted: bool = True, kept: int = _MAX_KEPT) -> None:
        if tls is None and encrypted:
            tls = httpx.create_ssl_context()  # made once: reading the authorities takes some thirty milliseconds
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=kept,
            keepalive_expiry=5.0,
            network_backend=_Network(encrypted=encrypted),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = self._pool.handle_request(asked)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        self._pool.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except _OF_HTTPCORE as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error  # both libraries have the same names


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Network(httpcore.SyncBackend):
    """Connections checked before and after they are made, in case a name resolves differently meanwhile."""

    def __init__(self, *, encrypted: bool) -> None:
        self._encrypted = encrypted

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            refuse_name(host, port, encrypted=self._encrypted)
        except (OSError, UnicodeError) as refused:
            raise httpcore.ConnectError(str(refused)) from refused
        stream = super().connect_tcp(host, port, _left(timeout), local_address, socket_options)
        try:
            refuse(str(stream.get_extra_info("server_addr")[0]), encrypted=self._encrypted)
        except OSError as refused:
            stream.close()
            raise httpcore.ConnectError(str(refused)) from refused
        return _Stream(stream)


class _Stream(httpcore.NetworkStream):
    """A connection's socket; no wait outlasts the deadline."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Piece by piece: a receiver may take any time for each."""
        sock, rest = self._inner.get_extra_info("socket"), memoryview(buffer)
        try:
            while rest:
                sock.settimeout(_left(timeout))
                rest = rest[sock.send(rest) :]
        except TimeoutError as late:
            raise httpcore.WriteTimeout(str(late)) from late
        except OSError as broken:
            raise httpcore.WriteError(str(broken)) from broken

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None) -> float | None:
    until = _until.get()
    if until is None:
        return timeout
    left = max(_SHORTEST, until - time.monotonic())
    return left if timeout is None else min(left, timeout)


# --- addresses that may be called ---


# Beside the link-local networks: the metadata services of some clouds at other addresses.
_METADATA: Final = (
    ip_network("192.0.0.0/24"),  # Oracle's 192.0.0.192; nothing else of this network is a till
    ip_network("100.100.100.200/32"),  # Alibaba
    ip_network("168.63.129.16/32"),  # Azure
    ip_network("fd00:ec2::/32"),  # Amazon
    ip_network("fd20:ce::254/128"),  # Google
    ip_network("fec0::/10"),  # what link-local networks were called before
)
# Networks whose addresses hold an IPv4 address to which a router or translator forwards: prefix, bits behind it.
_TRANSLATED: Final = (
    (IPv6Network("64:ff9b::/96"), 0), (IPv6Network("64:ff9b:1::/48"), 0), (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0), (IPv6Network("::ffff:0:0:0/96"), 0), (IPv6Network("2002::/16"), 80),
)  # fmt: skip
# The prefix of translators in a network of one's own (RFC 8215). Behind the prefix's length (RFC 6052) the IPv4
# address begins, with the bits 64 to 71 left out.
_LOCAL_TRANSLATORS: Final = IPv6Network("64:ff9b:1::/48")
_PREFIX_LENGTHS: Final = (48, 56, 64)
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
_LOCAL_ENDINGS: Final = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


class Forbidden(OSError):
    """A name resolves to an address that may not be called."""


def refuse_name(host: str, port: int, *, encrypted: bool = True) -> None:
    """Raises `Forbidden` when any address of this name is one to `refuse`, `OSError` when the name is unknown."""
    for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        refuse(str(place[0]), encrypted=encrypted)


def refuse(host: str, *, encrypted: bool = True) -> None:
    """Raises `Forbidden` when this IP address is link-local, multicast, or a cloud's metadata service.

    Private networks and this machine are allowed: a till may be in the shop's network, a simulator on this machine.
    What is not `encrypted` goes nowhere else.
    """
    for address in _unpacked(host):
        if address.is_link_local or address.is_multicast or any(address in network for network in _METADATA):
            raise Forbidden("the address leads to a link-local or metadata service")
    if not encrypted and any(address.is_global for address in _unpacked(host)):
        raise Forbidden("outside a private network the address has to begin with https://")


def is_metadata_number(host: str) -> bool:
    """Whether a host is the number of an address that `refuse` refuses; a name is not resolved."""
    try:
        refuse(_find_number(host) or "127.0.0.1")
    except Forbidden:
        return True
    except ValueError:  # no address at all
        return False
    return False


def _find_number(host: str) -> str | None:
    """The address that a host is by itself; None for a name."""
    try:
        # The numbers of `inet_aton`, too: the system accepts them as an address.
        return host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def is_private_name(host: str) -> bool:
    """Whether a host is in a private network by its text alone: a private address, or a local name."""
    number = _find_number(host)
    if number is None:
        name = host.lower().strip(".")
        return "." not in name or name.endswith(_LOCAL_ENDINGS)
    try:
        return not any(address.is_global for address in _unpacked(number))
    except ValueError:
        return False


def _unpacked(host: str) -> Iterator[IPv4Address | IPv6Address]:
    """The IP address without its zone, and every IPv4 address that it holds."""
    address = ip_address(host.partition("%")[0])
    yield address
    if not isinstance(address, IPv6Address):
        return
    for network, shift in _TRANSLATED:
        if address in network:
            yield IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    if address in _LOCAL_TRANSLATORS:
        rest = (int(address) >> 64 << 56) | (int(address) & ((1 << 56) - 1))
        yield from (IPv4Address((rest >> (88 - length)) & 0xFFFFFFFF) for length in _PREFIX_LENGTHS)
    if address.teredo:
        yield from address.teredo
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(int(address) & 0xFFFFFFFF)

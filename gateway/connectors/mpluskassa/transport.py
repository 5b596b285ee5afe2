"""One HTTP exchange with the one address of the installation, bounded in time and size.

The credentials are in the query string; they are added here, last, to this address only, so that no other object,
error or log line ever holds them. Nothing is retried, no redirect followed, no proxy or netrc of the environment used,
no connection kept: a kept one that broke would make a write look sent when it was not.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from gateway import ssrf_guard

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class TillLimits:
    """Seconds to connect, between two pieces of an answer and for the whole exchange; bytes of an answer."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 120.0
    size: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Credentials:
    """The API user. Never shown; `scrub` removes it from other texts."""

    ident: str = field(repr=False)
    secret: str = field(repr=False)

    def query(self) -> str:
        """The query string of the address."""
        return urlencode({"ident": self.ident, "secret": self.secret})

    def scrub(self, text: str) -> str:
        """The text without the credentials, in any spelling an address can have."""
        for value in sorted(self._spellings(), key=len, reverse=True):
            text = text.replace(value, "***")
        return text

    def _spellings(self) -> set[str]:
        plain = {value for value in (self.ident, self.secret) if value}
        quoted = {each(value) for value in plain for each in (quote, quote_plus, lambda text: quote(text, safe=""))}
        return plain | quoted | {value.lower() for value in quoted}


@dataclass(frozen=True, slots=True)
class Address:
    """The address of the installation. A user, query or fragment in it is refused: credentials are separate."""

    secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ValueError for anything that is not a plain http(s) address; the text is not repeated in it."""
        parts = urlsplit(url.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the address of MplusKASSA must look like https://api.mpluskassa.nl:12345")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("the address of MplusKASSA must hold no credentials and no query")
        secure = parts.scheme == "https"
        return cls(secure, parts.hostname, parts.port or (443 if secure else 80), parts.path or "/")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class TillReply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


class LinkError(Exception):
    """No whole answer. `sent`: the request may have arrived; `lasting`: a later attempt does not help."""

    def __init__(self, reason: str, code: str, *, sent: bool, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.code, self.sent, self.lasting = reason, code, sent, lasting


@dataclass(slots=True)
class _Progress:
    """The progress of an exchange; `expire` ends it from the watchdog's thread by shutting its socket down."""

    sent: bool = False
    expired: bool = False
    guard: socket.socket | None = None

    def expire(self) -> None:
        self.expired = True
        if self.guard is not None:
            with contextlib.suppress(OSError):
                self.guard.shutdown(socket.SHUT_RDWR)


class PooledConnection:
    """The installation's address with its credentials and limits. Safe to share between threads: it holds no socket."""

    def __init__(
        self, url: str, credentials: Credentials, *, limits: TillLimits | None = None, ca_file: str | None = None
    ) -> None:
        self.address = Address.parse(url)
        self.limits = limits or TillLimits()
        self._credentials = credentials
        self._tls = _tls_context(ca_file) if self.address.secure else None

    def scrub(self, text: str) -> str:
        """A text of the till, without our credentials."""
        return self._credentials.scrub(text)

    def post(self, body: bytes, headers: Mapping[str, str]) -> TillReply:
        """Post to the service; raises LinkError."""
        return self._exchange("POST", f"{self.address.path}?{self._credentials.query()}", body, headers)

    def read_description(self, *, signed: bool = False) -> TillReply:
        """Read the WSDL, which most installations serve without credentials; raises LinkError."""
        tail = f"&{self._credentials.query()}" if signed else ""
        return self._exchange("GET", f"{self.address.path}?wsdl{tail}", None, {})

    def _exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> TillReply:
        # The error is raised here, outside every except block: a library's error in its context would hold the target.
        outcome = self._attempt(method, target, body, headers)
        if isinstance(outcome, LinkError):
            raise outcome
        return outcome

    def _attempt(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> TillReply | LinkError:
        progress = _Progress()
        try:
            with self._open(progress) as sock:
                reply = self._converse(sock, progress, (method, target, body, headers))
        except _TooLarge:
            return LinkError(
                f"the answer is larger than {self.limits.size} bytes", "TOO-LARGE", sent=True, lasting=True
            )
        except ssrf_guard.Forbidden as refused:
            return LinkError(str(refused), "FORBIDDEN", sent=False, lasting=True)
        except ssl.SSLCertVerificationError:
            return LinkError("the certificate of MplusKASSA is not trusted", "TLS", sent=False, lasting=True)
        except (OSError, HTTPException, ValueError) as failure:
            return self._failure(failure, progress)
        return self._expiry(progress) if progress.expired else reply

    def _failure(self, failure: Exception, progress: _Progress) -> LinkError:
        if progress.expired:
            return self._expiry(progress)
        if not progress.sent:
            return LinkError("MplusKASSA cannot be reached", "UNREACHABLE", sent=False)
        if isinstance(failure, TimeoutError):
            return LinkError("MplusKASSA did not answer in time", "TIMEOUT", sent=True)
        return LinkError("the connection broke before the answer was whole", "CUT", sent=True)

    def _expiry(self, progress: _Progress) -> LinkError:
        return LinkError(f"no whole answer within {self.limits.total:g} seconds", "DEADLINE", sent=progress.sent)

    @contextlib.contextmanager
    def _open(self, progress: _Progress) -> Iterator[socket.socket]:
        deadline = time.monotonic() + self.limits.total
        plain = self._connect()
        # A second handle on the same connection: shutting it ends a read even when TLS has taken over the first.
        progress.guard = socket.fromfd(plain.fileno(), plain.family, plain.type)
        watchdog = threading.Timer(max(0.0, deadline - time.monotonic()), progress.expire)
        watchdog.daemon = True
        watchdog.start()
        try:
            with self._secured(plain) as sock:
                sock.settimeout(self.limits.read)
                yield sock
        finally:
            watchdog.cancel()
            watchdog.join()
            progress.guard.close()

    def _connect(self) -> socket.socket:
        place = (self.address.host, self.address.port)
        ssrf_guard.refuse_name(*place, encrypted=self.address.secure)
        plain = socket.create_connection(place, timeout=self.limits.connect)
        try:
            # The connection is checked too: a name may resolve differently the second time.
            ssrf_guard.refuse_metadata(str(plain.getpeername()[0]))
            if not self.address.secure:
                ssrf_guard.refuse_public(str(plain.getpeername()[0]))
        except OSError:
            plain.close()
            raise
        return plain

    def _secured(self, plain: socket.socket) -> socket.socket:
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self.address.host)
        except BaseException:
            plain.close()
            raise

    def _converse(
        self,
        sock: socket.socket,
        progress: _Progress,
        request: tuple[str, str, bytes | None, Mapping[str, str]],
    ) -> TillReply:
        method, target, body, headers = request
        connection = HTTPConnection(self.address.host, self.address.port)
        connection.sock = sock
        progress.sent = True
        connection.request(method, target, body, {**headers, "Accept-Encoding": "identity", "Connection": "close"})
        response = connection.getresponse()
        try:
            return TillReply(response.status, dict(response.headers), self._read(response))
        finally:
            response.close()

    def _read(self, response: HTTPResponse) -> bytes:
        pieces = bytearray()
        while piece := response.read1(_CHUNK):
            pieces += piece
            if len(pieces) > self.limits.size:
                raise _TooLarge
        if response.length:
            raise HTTPException("the answer was shorter than announced")
        return bytes(pieces)


class _TooLarge(Exception):
    """The answer is larger than the limit."""


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file or DEFAULT_CA_BUNDLE_PATH)

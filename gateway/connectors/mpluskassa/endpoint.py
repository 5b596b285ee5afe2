"""The one address of the installation, with its credentials.

The credentials are in the query string; they are added here, last, to this address only, so that no other object,
error or log line ever holds them. No proxy or netrc of the environment is used, and no connection kept: a kept one
that broke would make a write look sent when it was not.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import httpx

from gateway.connectors.http import Limits, Reply, Transport, send, to_client

TILL_LIMITS: Final = Limits(connect=10.0, read=60.0, total=120.0, size=64 * 1024 * 1024)


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
        if parts.scheme not in {"http", "https"} or not parts.hostname or not _is_taken(url.strip()):
            raise ValueError("the address of MplusKASSA must look like https://api.mpluskassa.nl:12345")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("the address of MplusKASSA must hold no credentials and no query")
        secure = parts.scheme == "https"
        return cls(secure, parts.hostname, parts.port or (443 if secure else 80), parts.path or "/")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"


class TillEndpoint:
    """The installation's address with its credentials and limits. Safe to share between threads."""

    def __init__(
        self, url: str, credentials: Credentials, *, limits: Limits | None = None, ca_file: str | None = None
    ) -> None:
        self.address = Address.parse(url)
        self.limits = limits or TILL_LIMITS
        self._credentials = credentials
        tls = _tls_context(ca_file) if self.address.secure else None
        self._http = to_client(Transport(tls=tls, encrypted=self.address.secure, kept=0))

    def scrub(self, text: str) -> str:
        """A text of the till, without our credentials."""
        return self._credentials.scrub(text)

    def post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post to the service; raises NoAnswer."""
        return self._exchange("POST", self._credentials.query(), body, headers)

    def read_description(self, *, signed: bool = False) -> Reply:
        """Read the WSDL, which most installations serve without credentials; raises NoAnswer."""
        return self._exchange("GET", f"wsdl&{self._credentials.query()}" if signed else "wsdl", None, {})

    def _exchange(self, method: str, query: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        always = {"Accept-Encoding": "identity", "Connection": "close"}
        request = self._http.build_request(
            method, f"{self.address}?{query}", content=body, headers={**headers, **always}
        )
        return send(self._http, request, self.limits)


def _is_taken(url: str) -> bool:
    try:
        httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return True


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)

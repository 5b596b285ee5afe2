"""Calls to one installation, at its one address with its credentials: sent, read, and each failure an error of ours.

The credentials are in the query string; they are added here, last, to this address only, so that no other object,
error or log line ever holds them. No proxy or netrc of the environment is used, and no connection kept: a kept one
that broke would make a write look sent when it was not.
"""

from __future__ import annotations

import copy
import logging
import ssl
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import httpx

from gateway.connectors import exchange, texts
from gateway.connectors.exchange import Exchange, Gate, Observer
from gateway.connectors.http import Limits, NoAnswer, Reply, Transport, find_pause, send
from gateway.connectors.mpluskassa.contract import Contract, ContractCache, UnusableDescription
from gateway.connectors.mpluskassa.envelope import Garbled, Misfit, SoapFault
from gateway.connectors.mpluskassa.faults import MissingOperation, fault_error, result_error, status_error, transient
from gateway.errors import GatewayError, NotFound, Permanent, Transient
from mapping.messages import message

TILL_LIMITS: Final = Limits(connect=10.0, read=60.0, total=120.0, size=64 * 1024 * 1024)

_log = logging.getLogger(__name__)
_FIX_VERSION = "Ask for a newer MplusKASSA, or switch off the flow that needs this."


def normalise_address(url: str) -> str:
    """The address of an installation with its port; credentials are separate, so none may be in it.

    Raises ValueError for anything that is not a plain http(s) address; the text is not repeated in it.
    """
    parts = urlsplit(url.strip())
    try:
        httpx.URL(url.strip())
        is_plain = parts.scheme in {"http", "https"}
    except httpx.InvalidURL:
        is_plain = False
    if not is_plain or not parts.hostname:
        raise ValueError("the address of MplusKASSA must look like https://api.mpluskassa.nl:12345")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("the address of MplusKASSA must hold no credentials and no query")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{host}:{port}{parts.path or '/'}"


# For the tills of all connections: to read the authorities takes 30 ms and 0.8 MiB each time.
_read_authorities = cache(partial(httpx.create_ssl_context, trust_env=False))


class TillEndpoint:
    """The installation's address with its credentials, never shown, and limits. Safe to share between threads."""

    def __init__(
        self, url: str, ident: str, secret: str, *, limits: Limits = TILL_LIMITS, ca_file: str | None = None
    ) -> None:
        if not ident or not secret:
            raise ValueError("the ident and the secret of MplusKASSA must both be set")
        self.address = normalise_address(url)
        self.limits = limits
        self._query = urlencode({"ident": ident, "secret": secret})
        plain = {ident, secret}
        quoted = {each(value) for value in plain for each in (quote, quote_plus, lambda text: quote(text, safe=""))}
        spellings = plain | quoted | {value.lower() for value in quoted}
        self._spellings = sorted(spellings, key=len, reverse=True)
        secure, tls = self.address.startswith("https://"), None
        if secure:
            tls = ssl.create_default_context(cafile=ca_file) if ca_file else _read_authorities()
        self._transport = Transport(tls=tls, encrypted=secure, kept=0)

    def scrub(self, text: str) -> str:
        """The text without the credentials, in any spelling an address can have."""
        for value in self._spellings:
            text = text.replace(value, "***") if value in text else text  # keeps the template of a message
        return text

    def post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post to the service; raises NoAnswer."""
        return self._exchange("POST", self._query, body, headers)

    def read_description(self) -> bytes:
        """The WSDL, which most installations serve without credentials; raises NoAnswer, or the error of its status."""
        reply = self._exchange("GET", "wsdl", None, {})
        if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            reply = self._exchange("GET", f"wsdl&{self._query}", None, {})
        if reply.status != HTTPStatus.OK:
            raise status_error(reply.status, operation="reading the WSDL", writes=False)
        return reply.body

    def _exchange(self, method: str, query: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        always = {"Accept-Encoding": "identity", "Connection": "close"}
        request = httpx.Request(method, f"{self.address}?{query}", content=body, headers={**headers, **always})
        return send(self._transport, request, self.limits)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The outcome of an exchange: an answer or an error, data of the reply, and the number of characters left out."""

    status: int | None = None
    answer: dict[str, Any] | None = None
    error: GatewayError | None = None
    dropped: int = 0


class Caller:
    """Calls one installation. Safe to share between threads.

    `observe` gets every exchange; `gate` is entered around each (to limit how many run at once). `default_places` are
    the decimal places of quantities where the installation leaves them out.
    """

    def __init__(  # noqa: PLR0913 - one argument per setting of a connection
        self,
        url: str,
        ident: str,
        secret: str,
        *,
        observe: Observer = lambda _: None,
        gate: Gate = nullcontext,
        limits: Limits = TILL_LIMITS,
        ca_file: str | None = None,
        wsdl_cache: Path | None = None,
        default_places: int = 0,
    ) -> None:
        """Raises ValueError for an invalid address or an empty credential."""
        self.link = TillEndpoint(url, ident, secret, limits=limits, ca_file=ca_file)
        self.contracts = ContractCache(self.link.read_description, wsdl_cache)
        self._observe = observe
        self._gate = gate
        self._places = default_places

    def reading_only(self) -> Self:
        """This client for a dry run: a call that is not a read raises `WriteRefused` and does not leave."""
        client = copy.copy(self)
        client._gate = partial(exchange.refuse_writes, self._gate)  # noqa: SLF001 - its own copy
        return client

    def read(self, operation: str, **body: Any) -> dict[str, Any]:
        """Make a call that changes nothing. Raises Transient, or Permanent and its kinds."""
        return self._call(operation, body, writes=False)

    def search(self, operation: str, **body: Any) -> dict[str, Any]:
        """Read what may not exist: an answer without any element is then an empty list, as some services write it.

        Not for a feed, whose cursor would move, nor for a record that is known to exist.
        """
        return self._call(operation, body, writes=False, may_be_empty=True)

    def write(self, operation: str, **body: Any) -> dict[str, Any]:
        """Make a call that writes, and check the result in its answer. Raises Unanswered as well."""
        return self._call(operation, body, writes=True)

    def contract(self) -> Contract:
        """The installation's WSDL, read when first needed. Raises Transient, or Permanent and its kinds."""
        error: GatewayError
        try:
            return self.contracts.get()
        except NoAnswer as failure:
            error = _link_error(failure, "reading the WSDL", writes=False)
        except UnusableDescription as failure:
            error = Transient(failure.reason, code="WSDL")
        raise error

    def _call(
        self, operation: str, body: dict[str, Any], *, writes: bool, may_be_empty: bool = False
    ) -> dict[str, Any]:
        contract = self.contract()
        body, dropped = texts.clean(body)
        envelope = _encode(contract, operation, body)
        trace = f"kassabridge-{uuid.uuid4().hex}"
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{operation}"', "X-Request-Id": trace}
        with self._gate(operation):
            started = time.monotonic()
            try:
                reply = self.link.post(envelope, headers)
            except NoAnswer as failure:
                outcome = _Outcome(error=_link_error(failure, operation, writes=writes))
            else:
                decode = partial(contract.decode, operation, may_be_empty=may_be_empty)
                outcome = self._understand(decode, operation, reply, writes=writes)
            milliseconds = round((time.monotonic() - started) * 1000)
        error, scrub = outcome.error, self.link.scrub
        if error is not None:
            error.about(**{name: scrub(text) for name, text in error.problem.named("reason", "code").items()})
        done = Exchange(
            system="mpluskassa",
            operation=operation,
            request=clip(body, scrub),
            status=outcome.status,
            response=clip(outcome.answer, scrub),
            trace=trace,
            milliseconds=milliseconds,
            failure=error,
            note=exchange.say_dropped(dropped, outcome.dropped),
        )
        try:
            self._observe(done)
        except Exception:  # noqa: BLE001 - an error of the observer must not fail a completed write
            _log.exception("the observer of till exchanges failed")
        if error is not None:
            raise error
        return outcome.answer or {}

    def _understand(
        self, decode: Callable[[bytes], dict[str, Any]], operation: str, reply: Reply, *, writes: bool
    ) -> _Outcome:
        status, pause = reply.status, find_pause(reply.headers)
        to_error = partial(status_error, status, operation=operation, writes=writes, pause=pause)
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            return _Outcome(status, error=to_error())
        content, dropped = texts.clean_xml(reply.body)
        try:
            answer = decode(content)
        except SoapFault as fault:
            return _Outcome(status, error=fault_error(fault.code, fault.message, operation=operation, writes=writes))
        except Garbled as failure:
            if status != HTTPStatus.OK:
                return _Outcome(status, error=to_error())
            self.contracts.mark_outdated()
            said = message("{operation}: {reason}", operation=operation, reason=message(failure.reason))
            return _Outcome(status, error=transient(said, code="GARBLED", writes=writes))
        if status != HTTPStatus.OK:
            return _Outcome(status, error=to_error())
        refusal = result_error(answer, operation=operation) if writes or answer.get("result") else None
        if isinstance(refusal, NotFound) and not writes:
            refusal = None  # that there is no such record is an answer to a read
        return _Outcome(status, answer, refusal, dropped)


def _encode(contract: Contract, operation: str, body: dict[str, Any]) -> bytes:
    if operation not in contract.operations:
        said = message("{operation}: this installation does not have it", operation=operation)
        raise MissingOperation(said, code="MISSING-OPERATION", fix=_FIX_VERSION)
    try:
        return contract.encode(operation, body)
    except Misfit as misfit:
        reason = str(misfit)
    template = "{operation}: the request does not fit this installation ({reason})"
    said = message(template, operation=operation, reason=reason)
    raise MissingOperation(said, code="MISFIT", field=reason, fix=_FIX_VERSION)


def _link_error(failure: NoAnswer, operation: str, *, writes: bool) -> GatewayError:
    reason = message("{operation}: {reason}", operation=f"MplusKASSA, {operation}", reason=message(str(failure)))
    if failure.lasting and not (failure.sent and writes):
        fix = "Ask for fewer records at a time." if failure.sent else "Check MPLUS_URL and the certificate behind it."
        return Permanent(reason, code=failure.code, fix=fix)
    return transient(reason, code=failure.code, writes=writes and failure.sent)


Value = TypeVar("Value")


def chunks(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """The distinct values in order, in chunks: a long list in one request gives a long answer."""
    distinct = list(dict.fromkeys(values))
    return (distinct[start : start + size] for start in range(0, len(distinct), size))


_DROPPED = frozenset({"imageData", "thumbData"})
_LONGEST_TEXT = 500
_MAX_ROWS = 20


def clip(value: Any, scrub: Callable[[str], str]) -> Any:
    """The value with images dropped, texts scrubbed, and texts and lists cut with a note of what was left out."""
    match value:
        case Mapping():
            return {name: clip(each, scrub) for name, each in value.items() if name not in _DROPPED}
        case list() | tuple():
            kept = [clip(each, scrub) for each in value[:_MAX_ROWS]]
            left = len(value) - len(kept)
            return [*kept, f"(and {left} more)"] if left else kept
        case str():
            text = scrub(value)
            left = len(text) - _LONGEST_TEXT
            return f"{text[:_LONGEST_TEXT]} (and {left} more)" if left > 0 else text
        case bytes():
            return f"({len(value)} bytes)"
        case _:
            return value

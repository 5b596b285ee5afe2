"""The clients of each connection, built once per process and rebuilt when the connection or its settings change."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, cached_property, partial
from pathlib import Path

import structlog
from sqlalchemy import Engine

from gateway import failpoints
from gateway.alerts import AlertMonitor
from gateway.connectors import exchange
from gateway.connectors.exchange import Exchange, without_lists
from gateway.connectors.http import Limits, open_http
from gateway.connectors.mpluskassa.calls import TILL_LIMITS
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.connectors.quickbooks.client import QuickBooks
from gateway.database import sql
from gateway.database.sealing import Seal
from gateway.database.session import reading
from gateway.errors import GatewayError, Permanent, RateLimited, Transient
from gateway.observability import counters
from gateway.removal import open_oauth
from gateway.settings import Settings
from gateway.store import agreements, claims, connections, installation, rate_limits
from gateway.store.audit import Entry
from gateway.store.claims import Claim
from gateway.store.connections import Connection
from gateway.store.links import KnownLinks
from gateway.store.rate_limits import Account, Limit
from gateway.token_manager import TokenManager
from handlers.deps import Deps, ProcessState
from handlers.lists import Lists
from mapping import settings_document
from mapping.messages import message
from mapping.records import BookedDocument
from mapping.settings_document import DocumentError, SettingsDocument
from workers import rate_limiter
from workers.rate_limiter import RateLimiter, RateLimiters

LOOK_SECONDS = 2.0
NAMES_SECONDS = 10.0
_log = structlog.get_logger(__name__)
# A refresh ends before its lease does (tokens.LEASE_SECONDS): two at once would invalidate the connection's tokens.
REFRESH_LIMITS = Limits(read=10.0, total=30.0)


@dataclass
class ConnectionContext:
    """Everything one connection needs, shared by the threads of this process."""

    connection: Connection
    books: QuickBooks
    till: MplusKassa
    lists: Lists
    settings: SettingsDocument
    version: int
    looked_at: float
    at_till: RateLimiter


@dataclass(slots=True)
class CallContext:
    """What a thread's outside calls belong to: the log, lease and documents of the event that it handles.

    `before_call` is told of each of them. `confirmed`: a call has confirmed the `claim`.
    """

    log: list[Entry] = field(default_factory=list)
    claim: Claim | None = None
    before_call: Callable[[], None] = lambda: None
    documents: dict[tuple[str, str], BookedDocument] = field(default_factory=dict)
    confirmed: bool = False


class _Thread(threading.local):
    def __init__(self) -> None:
        self.calls = CallContext()


class ConnectionRegistry:
    """Hands out the context of a connection; the log collects the calls of the running event.

    `process` names this process, in its leases and in its slots for calls; it begins with the name that was given.
    `limits` are those of all calls, instead of the usual ones of each system.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        notify: Callable[[Iterable[int]], None],
        *,
        limits: Limits | None = None,
        process: str = "",
    ) -> None:
        self._engine = engine
        self._limits = limits
        self._notify = notify
        self._settings = settings
        self._seal = Seal(settings.secret_keys)
        self._http = open_http()
        self._contexts: dict[str, ConnectionContext] = {}
        self._lock = threading.Lock()
        self._thread = _Thread()
        self.meter = rate_limiter.Meter(engine)
        self.watch = AlertMonitor(engine, settings)
        self.process = process + uuid.uuid4().hex
        self._rate_limiters = RateLimiters(engine, self.process)
        self._installation = cache(partial(installation.name_of, engine))
        self._signing = cache(partial(agreements.find_key, engine, self._seal))
        self._names: list[str] = []
        self._named_at = -NAMES_SECONDS

    @cached_property
    def _process(self) -> ProcessState:
        with reading(self._engine) as session:
            began = sql.now_of(session)
        return ProcessState(began, timedelta(seconds=self._settings.mplus_poll_seconds), name=self.process)

    def deps(
        self,
        name: str,
        *,
        fresh: bool = False,
        claim: Claim | None = None,
        known: object = None,
        before_call: Callable[[], None] = lambda: None,
    ) -> Deps:
        """The dependencies of one event of this connection, with an empty log. Raises `Permanent` if it is unknown.

        `fresh` reads the settings again, for a request that follows a change of them. `claim` is the worker's right to
        the event: once it is lost, no outside call may write. `known` is what was looked up for the event already.
        `before_call` is called before each outside call of this thread.
        """
        context = self.context(name, fresh=fresh)
        self._thread.calls = calls = CallContext(claim=claim, before_call=before_call)
        if fresh and (login := self.token_manager(name)).is_refused():
            # A person asks for something: calls that QuickBooks refused before are tried now.
            try:
                login.try_again(context.books.try_token)
            except GatewayError as error:
                _log.warning("could not try a refused login again", reason=error.reason)
        return Deps(
            self._engine,
            name,
            context.books,
            context.till,
            context.lists,
            context.settings,
            calls.log,
            self._notify,
            self._process,
            KnownLinks(self._engine, name),
            documents=calls.documents,
            line_amounts=context.connection.line_amounts,
            installation=self._installation(),
            signing=self._signing,
            claim=claim,
            known=known,
            in_a_row=context.at_till.in_a_row,
        )

    def context(self, name: str, *, fresh: bool = False) -> ConnectionContext:
        """The connection's context; its row and settings document are at most two seconds old."""
        with self._lock:
            known = self._contexts.get(name)
            if known and not fresh and time.monotonic() - known.looked_at < LOOK_SECONDS:
                return known
            self._contexts[name] = context = self._look(name, known)
            return context

    def names(self) -> list[str]:
        with reading(self._engine) as session:
            return connections.names(session)

    def known_names(self) -> list[str]:
        """Every connection; at most a few seconds old."""
        if time.monotonic() - self._named_at > NAMES_SECONDS:
            self._names, self._named_at = self.names(), time.monotonic()
        return self._names

    def report(self, role: str) -> None:
        """Tell that a process in this `role` is alive, and what it has counted."""
        installation.report(self._engine, role)
        self.meter.flush()

    def close(self) -> None:
        self.meter.flush()
        self._rate_limiters.close()
        self._http.close()

    def _look(self, name: str, known: ConnectionContext | None) -> ConnectionContext:
        with reading(self._engine) as session:
            connection = connections.find(session, name, self._seal)
            version, text = connections.newest_settings(session, name) or (0, "")
            called = connections.display_names(session).get(name, name) if connection is None else ""
        if connection is None:
            raise Permanent(
                message("there is no connection called {called}", called=called),
                code="no-connection",
                record=message("connection {called}", called=called),
            )
        same = known is not None and known.version == version
        document = known.settings if known and same else _recall(text, connection.display_name)
        if known and known.connection == connection and _conventions(known.settings) == _conventions(document):
            known.settings, known.version, known.looked_at = document, version, time.monotonic()
            return known
        return self._build(connection, document, version)

    def _build(self, connection: Connection, document: SettingsDocument, version: int) -> ConnectionContext:
        given = self._settings
        at_books = self._rate_limiters.of(
            Account(rate_limits.QUICKBOOKS, connection.realm_id or ""),
            Limit.of(
                at_once=given.quickbooks_calls_at_once,
                per_second=given.quickbooks_calls_per_second,
                per_minute=given.quickbooks_calls_per_minute,
            ),
        )
        # One call at a time per installation: its pool of workers is small, and every known client calls serially.
        url = connection.mplus_url or ""
        at_till = self._rate_limiters.of(Account(rate_limits.MPLUSKASSA, url), Limit(given.mplus_calls_at_once))
        books = QuickBooks(
            self._http,
            base_url=given.quickbooks_api_url,
            realm_id=connection.realm_id or "",
            tokens=self.token_manager(connection.name),
            observe=partial(self._observe, connection.name, at_books),
            gate=partial(self._guard, at_books),
            limits=self._limits or Limits(),
            vat_field=document.customers.vat_number_field,
            on_document=self._keep_document,
        )
        till = (
            MplusKassa(
                url,
                connection.mplus_ident,
                connection.mplus_secret,
                observe=partial(self._observe, connection.name, at_till),
                gate=partial(self._guard, at_till),
                limits=self._limits or TILL_LIMITS,
                wsdl_cache=_wsdl_cache(url),
                default_places=document.mapping.omitted_decimal_places,
            )
            if url and connection.mplus_ident and connection.mplus_secret
            else MplusKassa.not_connected()  # reads the authorities: some twenty milliseconds
        )
        lists = Lists(books, till)
        return ConnectionContext(connection, books, till, lists, document, version, time.monotonic(), at_till)

    @contextmanager
    def _guard(self, limiter: RateLimiter, operation: str) -> Iterator[None]:
        """The rate limiter, then a check of the worker's claim: a worker that was suspended writes nothing late."""
        self._before_call()
        with limiter(operation) as slot:
            failpoints.reach(failpoints.BEFORE_CALL, operation)
            calls = self._thread.calls
            if calls.claim and not exchange.is_read(operation) and not slot.confirmed:
                claims.confirm(self._engine, calls.claim, first=not calls.confirmed)
                calls.confirmed = slot.confirmed = True
            yield
        failpoints.reach(failpoints.AFTER_CALL, operation)

    def _keep_document(self, booked: BookedDocument) -> None:
        self._thread.calls.documents[booked.kind, booked.id] = booked

    def token_manager(self, name: str) -> TokenManager:
        oauth = open_oauth(self._http, self._settings, limits=REFRESH_LIMITS)
        return TokenManager(self._engine, name, oauth, self._seal, before_refresh=self._before_call)

    def _before_call(self) -> None:
        """This thread is about to wait for another system."""
        self._thread.calls.before_call()

    def _observe(self, connection: str, limiter: RateLimiter, exchange: Exchange) -> None:
        self.meter.count(connection, exchange)
        outcome = counters.outcome_of(exchange.status, exchange.error)
        counters.CALL_SECONDS.labels(exchange.system, outcome).observe(exchange.milliseconds / 1000)
        # A log line without content: system, operation and result. The rest is in the activity log.
        facts = {"status": exchange.status, "trace": exchange.trace, "error": exchange.error, "note": exchange.note}
        known = {name: value for name, value in facts.items() if value is not None}
        _log.info("called", system=exchange.system, operation=exchange.operation, ms=exchange.milliseconds, **known)
        if isinstance(exchange.failure, RateLimited):
            try:
                limiter.cool_down(exchange.failure.asked)
            except Transient as error:
                _log.warning("the cooldown could not be stored for the other processes", reason=error.reason)
        self._thread.calls.log.append(to_entry(exchange))


def _recall(text: str, name: str) -> SettingsDocument:
    """The document in force. Raises `Permanent` naming the settings that this version does not accept."""
    try:
        return settings_document.recall(text)
    except DocumentError as error:
        raise Permanent(
            message("the settings document has {error}", error=error),
            code="settings",
            record=message("connection {name}", name=name),
            field=error.faults[0].path,
            fix=message("correct this setting ({hint}) and save, then retry", hint=error.faults[0].hint),
        ) from None


def _conventions(document: SettingsDocument) -> tuple[object, ...]:
    """The settings that the clients need: they are rebuilt when one of these changes."""
    return document.customers.vat_number_field, document.mapping.omitted_decimal_places


def _wsdl_cache(url: str) -> Path | None:
    """Where the installation's WSDL is kept between starts, if there is a local disk to keep it on."""
    folder = Path("var")
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    return folder / f"mplus-{name}.wsdl" if folder.is_dir() else None


def to_entry(exchange: Exchange) -> Entry:
    return Entry(
        "failed" if exchange.error else ("read" if exchange.metered else "sent"),
        exchange.operation,
        system=exchange.system,
        detail={
            "request": without_lists(exchange.request),
            "status": exchange.status,
            "response": without_lists(exchange.response),
            "trace": exchange.trace,
            "error": exchange.error,
            **({"note": exchange.note} if exchange.note else {}),
        },
        milliseconds=exchange.milliseconds,
    )

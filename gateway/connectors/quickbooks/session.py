"""Authorised calls to one company of the books: tokens, the log of every exchange, the errors, the entities."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol, Self, TypeVar

import httpx

from gateway.connectors import exchange
from gateway.connectors.exchange import Exchange, Gate, Observer
from gateway.connectors.http import Limits, NoAnswer, Reply, send
from gateway.connectors.quickbooks import calls, faults, fields
from gateway.connectors.quickbooks.calls import LARGEST_PAGE, ApiCall, Select, Value, is_last_page, select
from gateway.connectors.quickbooks.fields import WITH_ACTIVE_FLAG, Json, find_object
from gateway.connectors.quickbooks.wire_documents import to_void
from gateway.errors import AuthLost, GatewayError, NotFound, Permanent, RateLimited, Transient, Unanswered
from mapping.messages import message

_CLIP: Final = 2000
_REACH_SECONDS: Final = 10.0
_OUTAGES: Final = frozenset({502, 503, 504})
_TRACE_HEADERS: Final = ("intuit_tid", "intuit-tid")
_CHUNK: Final = 200  # values of one IN list
_Record = TypeVar("_Record")


class TokenSource(Protocol):
    """Where access tokens come from. Both raise AuthLost or Transient when there is none."""

    def access(self) -> str:
        """A token that is still valid for a while."""

    def renew(self, rejected: str) -> str:
        """A replacement for the token the books just refused (renewed meanwhile by another process, or now)."""

    def refuse(self, code: str) -> None:
        """The books refuse calls with every token, with this code of theirs."""


@dataclass(eq=False, repr=False)
class Session:
    """Sends calls for one company; threads may share it as far as the given callables allow.

    `gate` is entered around each HTTP request and may raise `RateLimited` instead of sending it; `observe` gets each
    one and must not raise.
    """

    http: httpx.Client
    _: KW_ONLY
    base_url: str
    realm_id: str
    tokens: TokenSource
    observe: Observer = lambda _: None
    gate: Gate = nullcontext
    limits: Limits = field(default_factory=Limits)

    def reading_only(self) -> Self:
        """This client for a dry run: a call that is not a read raises `WriteRefused` and does not leave."""
        session = copy.copy(self)
        session.gate = partial(exchange.refuse_writes, self.gate)
        return session

    def perform(self, call: ApiCall) -> Json:
        """The JSON object of the answer; faults inside it are raised.

        Raises Transient for a read without an answer and for a request that was never sent, Unanswered for a write
        of unknown outcome, AuthLost after one renewal without success, and the error of `faults` for a refusal.
        Characters above U+FFFF are left out when the books refuse them, or fail twice on them.
        """
        answer = self._ask(call)
        if faults.may_be_about_characters(answer.status, answer.error):
            answer = self._ask_plainly(call, answer)
        if answer.error is not None:
            raise answer.error
        return answer.content

    def _ask_plainly(self, call: ApiCall, answer: _Answer) -> _Answer:
        plain = calls.find_plain(call, new_id=False)
        if plain is None:
            return answer
        if isinstance(answer.error, Transient | Unanswered):
            # One failure is no refusal, and the write may have been done: the request id stays the same.
            answer = self._ask(call)
            if not faults.may_be_about_characters(answer.status, answer.error):
                return answer
        if isinstance(answer.error, Permanent):
            plain = calls.find_plain(call, new_id=True) or plain
        return self._ask(plain)

    def _ask(self, call: ApiCall) -> _Answer:
        """The answer with a valid token, and after one short pause if a limit was reached."""
        answer = self._authorised(call)
        if isinstance(answer.error, RateLimited) and answer.error.asked is None and _is_refused(answer.status):
            # Nothing happened yet. The gate lets the repeat through when the pause is over, or refuses a long one.
            answer = self._authorised(call)
        return answer

    def _authorised(self, call: ApiCall) -> _Answer:
        """The answer; a token that the books refuse is renewed, also one that ended during a pause."""
        token = self.tokens.access()
        answer = self._exchange(call, token)
        # Twice: the first replacement may be one that another process stored before all of them ended.
        for _ in range(2):
            if not isinstance(answer.error, AuthLost):
                return answer
            # Whether another token may help: status 401, or the code of an ended token with any other status.
            if answer.status != HTTPStatus.UNAUTHORIZED and answer.error.code != faults.UNAUTHORISED.code:
                break
            token = self.tokens.renew(token)
            answer = self._exchange(call, token)
        if not isinstance(answer.error, AuthLost):
            return answer
        # All calls are refused, or this one alone for a right that the user who connected the books lacks: a call about
        # another kind of record tells. Others must not wait for one that is refused alone.
        try:
            self.try_token(token, "Payment" if "salesreceipt" in call.operation.casefold() else "SalesReceipt")
        except (AuthLost, Transient, Unanswered):
            self.tokens.refuse(answer.error.code or faults.UNAUTHORISED.code)
            return answer
        # It is sent once more, because good calls are refused at times.
        answer = self._exchange(call, token)
        return replace(answer, error=faults.as_refused_alone(answer.error))

    def try_token(self, token: str, entity: str = "SalesReceipt") -> None:
        """A call that changes nothing and is not metered: the deletion of a document that does not exist.

        Raises AuthLost while they refuse calls, or the writes of a company whose subscription has ended; Transient,
        Unanswered.
        """
        nothing, request_id = {"Id": "0", "SyncToken": "0"}, f"try-{uuid.uuid4()}"
        delete = calls.write(entity, nothing, request_id, operation="delete")
        refused = self._exchange(replace(delete, operation=f"TRY {entity.lower()}"), token).error
        if isinstance(refused, AuthLost | Transient | Unanswered):
            raise refused

    def reach(self) -> None:
        """Accepts any answer at the address but an outage's; without a token, not metered. Raises Transient."""
        limits = Limits(connect=self.limits.connect, read=_REACH_SECONDS, total=_REACH_SECONDS)
        request = self.http.build_request("GET", httpx.URL(self.base_url).join("/"))
        try:
            status = send(self.http, request, limits).status
        except NoAnswer as failure:
            raise Transient(
                message("QuickBooks cannot be reached: {failure}", failure=failure), code="UNREACHABLE"
            ) from failure
        if status in _OUTAGES:
            reason = message("QuickBooks cannot be reached: its address answers {status}", status=status)
            raise Transient(reason, code="UNREACHABLE")

    def _exchange(self, call: ApiCall, token: str) -> _Answer:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        if call.content_type:
            headers["Content-Type"] = call.content_type
        url = f"{self.base_url.rstrip('/')}/v3/company/{self.realm_id}/{call.path}"
        method = "GET" if call.body is None else "POST"
        request = self.http.build_request(method, url, params=call.parameters, content=call.content, headers=headers)
        outcome: Reply | NoAnswer
        with self.gate(call.operation):
            started = time.monotonic()
            try:
                outcome = send(self.http, request, self.limits)
            except NoAnswer as failure:
                outcome = failure
            milliseconds = round((time.monotonic() - started) * 1000)
        response, trace = None, None
        if isinstance(outcome, NoAnswer):
            said = "no answer to {operation} from QuickBooks: {failure}"
            reason = message(said, operation=call.operation, failure=outcome)
            answer = _Answer(None, {}, Unanswered(reason) if call.writes and outcome.sent else Transient(reason))
        else:
            content = find_object(outcome.body)
            answer = _Answer(outcome.status, content or {}, _find_error(call, outcome, content))
            response = _to_mapping(content or outcome.body[:_CLIP].decode("utf-8", "replace"))
            trace = next((outcome.headers[name] for name in _TRACE_HEADERS if name in outcome.headers), None)
        exchange = Exchange(
            system="quickbooks",
            operation=call.operation,
            request=_to_mapping(call.body),
            status=answer.status,
            response=response,
            trace=trace,
            milliseconds=milliseconds,
            metered=not call.writes,
            failure=answer.error,
            note=call.note,
        )
        self.observe(exchange)
        return answer

    # --- typed access: each raises what `perform` raises ---

    def get(self, entity: str, record_id: str, to_record: Callable[[Json], _Record]) -> _Record:
        return to_record(self.read_one(entity, record_id))

    def read_one(self, entity: str, record_id: str | None = None) -> Json:
        """The object itself. Raises NotFound, for the stub of a deleted one too."""
        call = calls.read(entity, record_id)
        found = _entity(call, self.perform(call), entity)
        if found.get("status") == "Deleted":
            raise NotFound(message("this {entity} was deleted", entity=entity))
        return found

    def rows(self, statement: Select) -> tuple[Json, ...]:
        """The raw objects a query finds, in one read."""
        answer = self.perform(calls.ask(statement))
        return tuple(fields.rows(fields.part(answer, "QueryResponse"), statement.entity))

    def find(self, statement: Select, to_record: Callable[[Json], _Record]) -> tuple[_Record, ...]:
        return tuple(to_record(row) for row in self.rows(statement))

    def find_in(
        self, entity: str, field: str, values: Sequence[Value], to_record: Callable[[Json], _Record]
    ) -> tuple[_Record, ...]:
        """Records with one of some values, inactive ones too where the entity has that difference."""
        statement = select(entity).and_active_any() if entity in WITH_ACTIVE_FLAG else select(entity)
        chunks = (values[first : first + _CHUNK] for first in range(0, len(values), _CHUNK))
        return tuple(to_record(row) for some in chunks for row in self.pages(statement.where_in(field, some)))

    def all_rows(self, entity: str) -> Iterator[Json]:
        """Every row of a list entity, inactive ones too."""
        return self.pages(select(entity).and_active_any())

    def pages(self, statement: Select, size: int = LARGEST_PAGE) -> Iterator[Json]:
        """All rows, page by page; a row that moves to another page while others change is returned once."""
        seen: set[str] = set()
        start = 1
        while True:
            page = self.rows(statement.page(start, size))
            for row in page:
                row_id = fields.need_text(row, "Id")
                if row_id not in seen:
                    seen.add(row_id)
                    yield row
            if is_last_page(len(page), size):
                return
            start += len(page)

    def write(
        self, entity: str, body: Json, request_id: str, to_record: Callable[[Json], _Record], **parameters: str
    ) -> _Record:
        """The record from the answer; if that cannot be read, the write is uncertain, not failed."""
        call = calls.write(entity, body, request_id, **parameters)
        answer = self.perform(call)
        try:
            return to_record(_entity(call, answer, entity))
        except Permanent as error:
            raise unfit(call, f"an answer that is not understood: {error.field}") from error

    def void(
        self, entity: str, record_id: str, sync_token: str, request_id: str, to_record: Callable[[Json], _Record]
    ) -> _Record:
        parameters, body = to_void(entity, record_id, sync_token)
        return self.write(entity, body, request_id, to_record, **parameters)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply: its status (None: there is no answer), its JSON object (empty when it held none), and its error."""

    status: int | None
    content: Json
    error: GatewayError | None


def _to_mapping(content: Json | str | None) -> Mapping[str, Any] | None:
    """A body for the log: JSON as it is, anything else as text."""
    return {"text": content} if isinstance(content, str) else content


def unfit(call: ApiCall, what: str) -> GatewayError:
    """The error of a complete answer without the requested data: the outcome of a write is then unknown."""
    reason = message("QuickBooks answered {operation} with {what}", operation=call.operation, what=what)
    return Unanswered(reason) if call.writes else Transient(reason)


def _find_error(call: ApiCall, reply: Reply, content: Json | None) -> GatewayError | None:
    fault = faults.find_fault(content or {})
    error: GatewayError | None = None
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        error = faults.error_from(reply.status, reply.headers, reply.body)
    elif content is None:
        said = "QuickBooks answered {operation} with something that is not JSON"
        error = Transient(message(said, operation=call.operation))
    elif fault is not None:
        error = faults.to_error(reply.status, fault)
    elif call.holds and content.get(call.holds) is None:
        error = unfit(call, f"no {call.holds}")  # which would read as nothing found, or nothing changed
    # A write with a transient failure at the books may have been done: a repeat with the same request id is safe.
    is_limited = isinstance(error, RateLimited) and _is_refused(reply.status)
    if call.writes and isinstance(error, Transient) and not is_limited:
        return Unanswered(error.reason, code=error.code)
    return error


def _is_refused(status: int | None) -> bool:
    """Whether a call with this status was certainly not executed."""
    return status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR


def _entity(call: ApiCall, answer: Json, entity: str) -> Json:
    found = answer.get(entity)
    if not isinstance(found, Mapping):
        raise unfit(call, f"no {entity}")
    return found

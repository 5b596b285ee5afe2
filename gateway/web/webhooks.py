"""The webhook endpoints: verify the raw bytes, store their hints as changes, notify a worker, answer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway import failpoints
from gateway.connectors.mpluskassa import webhook as till
from gateway.connectors.mpluskassa.webhook import SessionHint
from gateway.connectors.quickbooks import webhook as books
from gateway.connectors.quickbooks.webhook import Hint
from gateway.errors import Transient
from gateway.observability import counters
from gateway.store import connections
from gateway.store.events import URGENT, Change, Flow, Received, State
from gateway.web import inputs, protocol, services
from gateway.web.services import Services

Answer = TypeVar("Answer")

_BOOKS, _TILL = "quickbooks", "mpluskassa"
_FROM_BOOKS = "/webhooks/quickbooks"
_TAKEN = Response(status_code=200)


class Endpoint:
    """An endpoint without Starlette's own exception handler: the application's catches them as well."""

    def __init__(self, take: Callable[[Request], Awaitable[Response]]) -> None:
        self._take = take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure: Exception | None = scope.get(protocol.FAILURE)
        if failure is not None:
            raise failure
        answer = await self._take(Request(scope, receive, send))
        await answer(scope, receive, send)


def routes() -> list[Route]:
    return [
        Route(_FROM_BOOKS, Endpoint(receive_from_books), methods=["POST"]),
        Route("/webhooks/mpluskassa/{event}", Endpoint(receive_from_till), methods=["POST"]),
    ]


async def receive_from_books(request: Request) -> Response:
    """200 once every event is durable, whatever it says: an error would block all further deliveries."""
    shared = services.of(request)
    body = await inputs.read_body(request, limit=inputs.LARGEST_DELIVERY)
    began = time.perf_counter()
    signature = books.find_signature(request.scope["headers"])
    verifier = books.is_authentic(body, signature, shared.settings.quickbooks_verifiers)
    if verifier is None:
        return _refuse(_BOOKS)
    counters.verifier(verifier).inc()
    directory = shared.directory.find_fresh()
    if directory is None:
        directory = await _attempt(_BOOKS, shared.directory.get())
    changes = of_books(body, directory.names_by_realm)
    await _store(shared, _BOOKS, changes, {each.connection for each in changes if each.connection})
    counters.seconds(_BOOKS).observe(time.perf_counter() - began)
    return _TAKEN


class DirectDeliveries:
    """Takes usual deliveries of the books from the HTTP protocol, without a task, a request or a route for each."""

    address = _FROM_BOOKS
    headers = ((b"content-length", b"0"), *protocol.FOR_MACHINES)

    def __init__(self, shared: Services) -> None:
        self._shared = shared

    def take(self, raw_headers: protocol.Headers, body: bytes, answer: protocol.Answer) -> bool:
        """Whether it is taken; then `answer` is called when it is durable, or with what went wrong.

        Left to the route: what is refused, or needs more than one write of changes.
        """
        shared, began = self._shared, time.perf_counter()
        directory = shared.directory.find_fresh()
        verifier = books.is_authentic(body, books.find_signature(raw_headers), shared.settings.quickbooks_verifiers)
        if directory is None or verifier is None:
            return False
        changes = of_books(body, directory.names_by_realm)
        if not changes or any(
            each.connection and (each.connection, _BOOKS) not in shared.arrivals.seen for each in changes
        ):
            return False
        failpoints.reach(failpoints.BEFORE_COMMIT)
        try:
            stored = shared.ingress.submit(changes)
        except Transient:
            return False
        counters.verifier(verifier).inc()
        stored.add_done_callback(lambda done: answer(self._finish(done, began)))
        return True

    def _finish(self, stored: asyncio.Future[list[Received]], began: float) -> Exception | None:
        try:
            _follow_up(self._shared, _BOOKS, stored.result())
        except Exception as error:  # noqa: BLE001 - raised again by the route
            if isinstance(error, Transient):
                counters.delivery(_BOOKS, "unavailable").inc()
            return error
        counters.seconds(_BOOKS).observe(time.perf_counter() - began)
        return None


async def receive_from_till(request: Request) -> Response:
    """200 with a signed answer, so that the till goes on; only paid and credited sessions become work."""
    shared = services.of(request)
    body = await inputs.read_body(request, limit=inputs.LARGEST_DELIVERY)
    began = time.perf_counter()
    directory = await _attempt(_TILL, shared.directory.get())
    subscription_id = _only(request, till.SUBSCRIPTION_HEADER)
    subscription = directory.subscriptions.get(subscription_id or "")
    if subscription is None:
        return _refuse(_TILL)
    # The answer is signed with the secret that the till signed with.
    signature = _only(request, till.SIGNATURE_HEADER)
    is_signed = partial(till.is_authentic, body, subscription.id, signature, subscription_id=subscription.id)
    secret = next((each for each in subscription.secrets if is_signed(secrets=[each])), None)
    if secret is None:
        return _refuse(_TILL)
    event = request.path_params["event"]
    changes = of_till(event, body, connection=subscription.connection, subscription_id=subscription.id)
    counters.SESSION_EVENTS.labels(str(any(each.entity == SESSION for each in changes)).lower()).inc()
    await _store(shared, _TILL, changes, {subscription.connection})
    counters.seconds(_TILL).observe(time.perf_counter() - began)
    content, signed = till.answer(secret, subscription.id)
    return Response(content, headers=signed)


def _only(request: Request, name: str) -> str | None:
    """A header that occurs exactly once."""
    values = request.headers.getlist(name)
    return values[0] if len(values) == 1 else None


async def _store(shared: Services, system: str, changes: Sequence[Change], names: Collection[str]) -> None:
    failpoints.reach(failpoints.BEFORE_COMMIT)
    _follow_up(shared, system, await _attempt(system, shared.ingress.receive(changes)))
    if unseen := [name for name in names if (name, system) not in shared.arrivals.seen]:
        # Once per process, and no delivery fails over it.
        with contextlib.suppress(Transient):
            await shared.write(lambda session: connections.note_webhook(session, unseen, system))
            shared.arrivals.seen.update((name, system) for name in unseen)


def _follow_up(shared: Services, system: str, received: Sequence[Received]) -> None:
    """What is done after the commit: workers are notified, the delivery is logged and counted."""
    failpoints.reach(failpoints.AFTER_COMMIT)
    # Workers are notified of known pending rows too: a redelivery makes up for a crash between commit and wake-up.
    shared.notifier.notify(row.id for row in received if row.pending)
    failpoints.reach(failpoints.AFTER_NOTIFY)
    shared.arrivals.note(system, received)
    known = bool(received) and not any(row.created for row in received)
    counters.delivery(system, "known" if known else "stored").inc()


async def _attempt(system: str, work: Awaitable[Answer]) -> Answer:
    try:
        return await work
    except Transient:
        counters.delivery(system, "unavailable").inc()
        raise


def _refuse(system: str) -> Response:
    counters.delivery(system, "refused").inc()
    return inputs.problem(401)


# --- the changes of a delivery; pure, and the same for every delivery of one event -----------------------------------


SOURCE = "webhook"
SESSION, COMPLAINT, UNREADABLE = "Session", "Complaint", "Unreadable"
_LARGEST_SAMPLE = 64 * 1024

# Documents come back to us as echoes of our own posting, or because somebody edited them in the books.
_FLOWS: Mapping[str, Flow] = {
    "Item": Flow.PRODUCTS,
    "Customer": Flow.CUSTOMERS,
    "Estimate": Flow.STOCK,
    "Invoice": Flow.ORDERS,
    "SalesReceipt": Flow.ORDERS,
    "CreditMemo": Flow.ORDERS,
    "RefundReceipt": Flow.ORDERS,
    "Payment": Flow.ORDERS,
}


def of_books(body: bytes, names_by_realm: Mapping[str, str]) -> list[Change]:
    """Every event of an authentic QuickBooks delivery as a change, the unreadable ones included."""
    changes = []
    for event in books.parse(body):
        if not isinstance(event, Hint):
            place = "the delivery" if event.position is None else f"event {event.position} of the delivery"
            said = f"{place} cannot be read: {event.reason}"
            changes.append(_unreadable("qbo", body, said, position=event.position))
            continue
        connection, skipped = names_by_realm.get(event.account), None
        if event.entity not in _FLOWS:
            skipped = f"QuickBooks entity {event.entity} is not used"
        elif connection is None:
            skipped = f"QuickBooks company {event.account} is not connected here"
        change = Change(
            key=f"qbo:{event.account}:{event.dedupe_key}",
            flow=_FLOWS.get(event.entity, Flow.ORDERS),
            source=SOURCE,
            entity=event.entity,
            entity_id=event.entity_id,
            connection=connection,
            account=event.account,
            operation=event.operation,
            occurred_at=event.occurred_at,
            hint=json.dumps({"deleted_id": event.deleted_id}) if event.deleted_id else None,
            state=State.SKIPPED if skipped else State.RECEIVED,
            reason=skipped,
        )
        changes.append(change)
    return changes


def of_till(event_name: str, body: bytes, *, connection: str, subscription_id: str) -> list[Change]:
    """The changes for an authentic session event of the till; most events need none."""
    hint = till.parse(event_name, body)
    if not isinstance(hint, SessionHint):
        fix = "look at the till's webhook settings; the sale itself is found by polling"
        return [_unreadable("mplus", body, f"{event_name}: {hint.reason}", connection=connection, fix=fix)]
    about = Change(
        key=f"mplus:{till.dedupe_key(subscription_id, hint)}",
        flow=Flow.ORDERS,
        source=SOURCE,
        entity=SESSION,
        entity_id=hint.session_id,
        connection=connection,
        operation=hint.event,
        occurred_at=hint.occurred_at,
    )
    changes = []
    if hint.settles:
        said = {"invoice_id": hint.invoice_id, "branch": hint.branch, "workplace": hint.workplace}
        known = {name: value for name, value in said.items() if value is not None}
        changes.append(about._replace(hint=json.dumps(known), priority=URGENT))
    if hint.complaint:
        complaint = about._replace(
            key=f"{about.key}|{hint.complaint}",
            entity=COMPLAINT,
            state=State.PARKED,
            reason=f"the till did not accept our answer to {hint.event}: {hint.complaint}",
            fix="compare the subscription id and the secret with the till's webhook settings; then ignore this event",
        )
        changes.append(complaint)
    return changes


def _unreadable(
    system: str,
    body: bytes,
    reason: str,
    *,
    position: int | None = None,
    connection: str | None = None,
    fix: str = "look at the stored text; change the record once more or backfill, then ignore this event",
) -> Change:
    digest = hashlib.sha256(body).hexdigest()
    # JSON escapes every odd character: a text that each database takes.
    sample = {"body": body[:_LARGEST_SAMPLE].decode("utf-8", "backslashreplace"), "bytes": len(body)}
    return Change(
        key=f"{system}:unreadable:{digest}:{'-' if position is None else position}",
        flow=Flow.ORDERS,
        source=SOURCE,
        entity=UNREADABLE,
        entity_id=digest[:16] if position is None else f"{digest[:16]}-{position}",
        connection=connection,
        hint=json.dumps(sample),
        state=State.PARKED,
        reason=reason,
        fix=fix,
    )

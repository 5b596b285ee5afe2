"""Makes changes for the inbox from a delivery's hints; pure, and the same for every delivery of one event."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.connectors.mpluskassa import webhook as till
from gateway.connectors.mpluskassa.webhook import SessionHint
from gateway.connectors.quickbooks import webhook as books
from gateway.connectors.quickbooks.webhook import Hint
from gateway.store.events import URGENT, Change, Flow, State

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
    return [_of_books_event(body, event, names_by_realm) for event in books.parse(body)]


def _of_books_event(body: bytes, event: Hint | books.UnreadableDelivery, names_by_realm: Mapping[str, str]) -> Change:
    if not isinstance(event, Hint):
        place = "the delivery" if event.position is None else f"event {event.position} of the delivery"
        return _unreadable("qbo", body, f"{place} cannot be read: {event.reason}", position=event.position)
    connection, skipped = names_by_realm.get(event.account), None
    if event.entity not in _FLOWS:
        skipped = f"QuickBooks entity {event.entity} is not used"
    elif connection is None:
        skipped = f"QuickBooks company {event.account} is not connected here"
    return Change(
        key=f"qbo:{event.account}:{event.dedupe_key}",
        flow=_FLOWS.get(event.entity, Flow.ORDERS),
        source=SOURCE,
        entity=event.entity,
        entity_id=event.entity_id,
        connection=connection,
        account=event.account,
        operation=event.operation,
        occurred_at=event.occurred_at,
        hint=_to_json({"deleted_id": event.deleted_id}) if event.deleted_id else None,
        state=State.SKIPPED if skipped else State.RECEIVED,
        reason=skipped,
    )


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
        changes.append(about._replace(hint=_to_json(known), priority=URGENT))
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
    # JSON with every odd character escaped is text that each database takes.
    sample = {"body": body[:_LARGEST_SAMPLE].decode("utf-8", "backslashreplace"), "bytes": len(body)}
    return Change(
        key=f"{system}:unreadable:{digest}:{'-' if position is None else position}",
        flow=Flow.ORDERS,
        source=SOURCE,
        entity=UNREADABLE,
        entity_id=digest[:16] if position is None else f"{digest[:16]}-{position}",
        connection=connection,
        hint=_to_json(sample),
        state=State.PARKED,
        reason=reason,
        fix=fix,
    )


def settles(changes: Sequence[Change]) -> bool:
    return any(change.entity == SESSION for change in changes)


def _to_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=True)

"""A sales document of the books changed: usually our own echo; a void or deletion of what we posted is shown."""

from __future__ import annotations

from gateway.store import links
from gateway.store.events import Event
from gateway.store.links import Kind
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped

_GONE = frozenset({"deleted", "delete", "voided", "void"})


def carry(event: Event, deps: Deps) -> Result:
    """Recognise our own documents by their link."""
    with reading(deps.engine) as session:
        kind = Kind.PAYMENT if event.entity == "Payment" else Kind.DOCUMENT
        ours = links.find_by_target(session, deps.connection, kind, event.entity_id)
    mine = next((link for link in ours if link.target_entity == event.entity), None)
    if mine is None:
        return skipped("not posted by this gateway")
    number = (mine.detail or {}).get("number") or mine.source_id
    deps.learn(order_id=str(number), target_entity=event.entity, target_id=event.entity_id)
    if (event.operation or "").lower() not in _GONE:
        return done("our own document")
    return parked(
        f"{event.entity} {event.entity_id} was {event.operation} in QuickBooks: the sale is no longer in the books",
        code="gone-in-books",
        record=f"sale {number}",
        fix="if that was a mistake, resend the order; else ignore this event",
    )

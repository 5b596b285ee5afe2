"""Asking for a preview, through API or dashboard: a job whose result is a row. Audited."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlmodel import Session

from gateway.store import audit, connections, inbox, requests
from gateway.store.events import Flow
from gateway.store.requests import By
from gateway.web import actions, queries
from gateway.web.actions import Resend
from gateway.web.problems import Refusal
from gateway.web.services import Services

PREVIEWED: Final = (Flow.PRODUCTS, Flow.STOCK, Flow.CATEGORIES, Flow.ORDERS)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see. An order is named as the till names it; `settings` is a document to try."""

    flow: Flow
    record: str
    connection: str
    actor: str
    by: By = By.ID
    settings: str | None = None


def to_wish(given: Mapping[str, Any], *, connection: str, actor: str) -> Wish:
    """The wish of a form: `flow`, `by` and `record`. Raises `Refusal` 400."""
    flow, record = queries.find_choice(given, "flow", Flow), queries.find_text(given, "record")
    if flow not in PREVIEWED or record is None or not record.strip():
        raise Refusal(400, f"name a flow ({', '.join(PREVIEWED)}) and a record")
    by = queries.find_choice(given, "by", By) or By.ID
    return Wish(flow, record.strip(), connection, actor, by=by)


async def ask(shared: Services, wish: Wish) -> int:
    """Have a worker look; answers the event whose result is the preview. Raises `Refusal` 404, 409."""
    if wish.flow is Flow.ORDERS:
        dry = Resend(wish.record, wish.actor, dry_run=True, connection=wish.connection, settings=wish.settings)
        return await actions.resend(shared, dry)
    event_id = await shared.write(lambda session: _store(session, wish))
    shared.waker.wake([event_id])
    return event_id


def _store(session: Session, wish: Wish) -> int:
    if wish.connection not in connections.names(session):
        raise Refusal(404, "there is no such connection")
    change = requests.preview(
        wish.flow,
        wish.record,
        connection=wish.connection,
        by=wish.by,
        settings=wish.settings,
        actor=actions.SOURCE,
    )
    (received,) = inbox.receive(session, [change])
    target = json.dumps({"flow": wish.flow, wish.by: wish.record})
    audit.note(session, actor=wish.actor, action="preview", target=target)
    return received.id

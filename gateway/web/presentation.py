"""Events and log lines as the JSON of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.store.audit import Entry
from gateway.store.events import Event, State
from gateway.store.sql import Page
from mapping import messages

_ALWAYS = ("id", "connection", "flow", "source", "entity", "entity_id", "state", "reason", "attempts")
_WHEN_KNOWN = ("account", "operation", "code", "record", "field", "fix", "order_id", "sku", "email")


def to_event(event: Event, names: Mapping[str, str]) -> dict[str, Any]:
    """An event of a list: what is known, and nothing of what the sender wrote. `names`: what connections are called."""
    content: dict[str, Any] = {name: getattr(event, name) for name in _ALWAYS}
    content["connection"] = names.get(event.connection or "", event.connection)
    if event.entity_id == event.connection:
        content["entity_id"] = content["connection"]
    content |= {name: value for name in _WHEN_KNOWN if (value := getattr(event, name)) is not None}
    if event.target_id is not None:
        content["target"] = {"entity": event.target_entity, "id": event.target_id}
    if event.due_at is not None and event.state in (State.WAITING, State.UNCERTAIN):
        content["next_attempt_at"] = to_time(event.due_at)
    content |= {"occurred_at": to_time(event.occurred_at)} if event.occurred_at else {}
    return content | {"received_at": to_time(event.received_at), "updated_at": to_time(event.updated_at)}


def to_detail(event: Event, log: Sequence[Entry], names: Mapping[str, str]) -> dict[str, Any]:
    """One event with everything: hint, result and its whole activity log."""
    more = {"priority": event.priority, "correlation": event.correlation, "key": event.key}
    content = to_event(event, names) | more | {"hint": parse(event.hint), "result": parse(event.result)}
    return content | {"log": [to_line(entry) for entry in log]}


def to_line(entry: Entry) -> dict[str, Any]:
    line: dict[str, Any] = {"at": to_time(entry.at), "kind": entry.kind, "system": entry.system, "title": entry.title}
    line |= {"detail": entry.detail} if entry.detail is not None else {}
    return line | ({"milliseconds": entry.milliseconds} if entry.milliseconds is not None else {})


def to_list(page: Page[Event, int], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "events": [to_event(event, names) for event in page.rows],
        "next": str(page.next) if page.next is not None else None,
    }


def parse(text: str | None) -> Any:
    """Stored JSON text as what it says; text that is none, as it is."""
    try:
        return json.loads(text) if text is not None else None
    except ValueError:
        return text


def to_result(event: Event) -> Any:
    """The event's result with the messages in it, for a page in any language."""
    return messages.restore(parse(event.result), event.messages)


def pick(row: object, *names: str) -> dict[str, Any]:
    """Fields of a row in this order, moments as the contract writes them."""
    values = {name: getattr(row, name) for name in names}
    return {name: to_time(value) if isinstance(value, datetime) else value for name, value in values.items()}


def to_time(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC with Z."""
    return moment.isoformat().replace("+00:00", "Z") if moment is not None else None

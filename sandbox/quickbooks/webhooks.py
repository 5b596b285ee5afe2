"""Webhook events: which changes make one, both body formats, the signature, and the queue they wait in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC

from sandbox.quickbooks import clock, wire
from sandbox.quickbooks.company import Change
from sandbox.quickbooks.entities import ENTITIES
from sandbox.quickbooks.faults import Json

_VERBS = {
    "Create": "created",
    "Update": "updated",
    "Delete": "deleted",
    "Merge": "merged",
    "Void": "voided",
    "Emailed": "emailed",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One change on its way to the app's address."""

    key: str
    realm: str
    entity: str
    id: str
    operation: str
    moment: str
    vanished: str | None = None


@dataclass
class Outbox:
    """Events not yet acknowledged, oldest first, and those that were."""

    seed: str
    waiting: deque[Event] = field(default_factory=deque)
    acknowledged: list[Event] = field(default_factory=list)
    made: int = 0
    delivered: int = 0
    attempts: int = 0

    def receive(self, change: Change) -> None:
        """Queue an event for a change, if Intuit sends one for that entity and operation."""
        if change.operation not in ENTITIES[change.entity].events:
            return
        self.made += 1
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.seed}/{self.made}"))
        event = Event(key, change.realm, change.entity, change.id, change.operation, change.moment, change.vanished)
        self.waiting.append(event)

    def take_group(self, largest: int) -> list[Event]:
        """The events of the oldest event's company, at most `largest`; they stay waiting until acknowledged."""
        if not self.waiting:
            return []
        realm = self.waiting[0].realm
        return [event for event in list(self.waiting) if event.realm == realm][:largest]

    def drop(self, events: list[Event]) -> None:
        """Forget events: acknowledged, or lost on purpose."""
        gone = {event.key for event in events}
        self.waiting = deque(event for event in self.waiting if event.key not in gone)

    def to_json(self) -> Json:
        """The queue and its counters."""
        return {
            "waiting": [asdict(each) for each in self.waiting],
            "made": self.made,
            "delivered": self.delivered,
            "attempts": self.attempts,
        }

    def restore(self, saved: Json) -> None:
        """Take over a saved queue."""
        self.waiting = deque(Event(**each) for each in saved["waiting"])
        self.made, self.delivered, self.attempts = saved["made"], saved["delivered"], saved["attempts"]


def to_body(events: list[Event], style: str) -> bytes:
    """The raw body of one delivery, in style "cloudevents" or "legacy"."""
    return wire.dump(_to_legacy(events) if style == "legacy" else [_to_cloud_event(each) for each in events])


def sign(body: bytes, verifier: str) -> str:
    """The header intuit-signature: base64 of the HMAC-SHA256 over the raw body."""
    return base64.b64encode(hmac.new(verifier.encode(), body, hashlib.sha256).digest()).decode()


def _to_cloud_event(event: Event) -> Json:
    source = base64.b64encode(hashlib.sha256(event.realm.encode()).digest()).decode()
    result: Json = {
        "specversion": "1.0",
        "id": f"{event.key}-{event.entity}-{event.id}",
        "source": f"intuit.{source}",
        "type": f"qbo.{event.entity.lower()}.{_VERBS[event.operation]}.v1",
        "datacontenttype": "application/json",
        "time": clock.parse_moment(event.moment).astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "intuitentityid": event.id,
        "intuitaccountid": event.realm,
        "data": {"deletedid": event.vanished} if event.vanished else {},
    }
    return result


def _to_legacy(events: list[Event]) -> Json:
    realms: dict[str, list[Json]] = {}
    for event in events:
        entity: Json = {
            "name": event.entity,
            "id": event.id,
            "operation": event.operation,
            "lastUpdated": clock.parse_moment(event.moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        if event.vanished:
            entity["deletedId"] = event.vanished
        realms.setdefault(event.realm, []).append(entity)
    notifications = [
        {"realmId": realm, "dataChangeEvent": {"entities": entities}} for realm, entities in realms.items()
    ]
    return {"eventNotifications": notifications}

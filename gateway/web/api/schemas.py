"""The shapes of what the API takes and answers, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.queries.activity import LONGEST_PAGE
from gateway.removal import Data
from gateway.store.agreements import AgreementStatus
from gateway.store.events import Flow, State
from gateway.store.requests import By, Side
from gateway.web.api.events import WHO
from gateway.web.inputs import LARGEST_ID, LONGEST_TEXT, ONE_LINE

Schema = Mapping[str, Any]

ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
SWITCH: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
CENTS: Schema = {"type": "integer"}
DAY: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "format": "date"}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(words: Iterable[str]) -> Schema:
    return {"type": "string", "enum": [str(word) for word in words]}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def each(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def table(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def record(always: Mapping[str, Schema], **sometimes: Schema) -> Schema:
    """An answer: what it always holds, and what it may hold. Later versions may add members."""
    return {"type": "object", "properties": {**always, **sometimes}, "required": list(always)}


def request(must: Mapping[str, Schema] | None = None, **may: Schema) -> Schema:
    """A request: nothing but these members, those of `must` not left out."""
    required = {"required": list(must)} if must else {}
    return {"type": "object", "properties": {**(must or {}), **may}, "additionalProperties": False, **required}


def same(schema: Schema, *names: str) -> dict[str, Schema]:
    return dict.fromkeys(names, schema)


ID: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
WORDS: Schema = {"type": "string", "maxLength": LONGEST_TEXT, "pattern": ONE_LINE}
NAME: Schema = {**WORDS, "minLength": 1}
ADDRESS: Schema = {"type": "string", "maxLength": LONGEST_TEXT, "allOf": [{"pattern": WHO}, {"pattern": ONE_LINE}]}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE}
CURSOR: Schema = {"type": ["string", "null"], "description": "give it back as `after`; null at the end"}
TARGET = record({"entity": maybe(TEXT), "id": TEXT})

_OF_PERSON = ("events", "journal", "links", "alerts", "audit", "sales", "sale_contents", "sale_tags", "records")
_DOCUMENT = record({"connection": TEXT, "source_id": TEXT, "target": TARGET})
_REMOVED = one_of(tuple(Data))

SCHEMAS: Mapping[str, Schema] = {
    "Flow": one_of(Flow),
    "State": one_of(State),
    "Problem": record(
        {"type": TEXT, "title": TEXT, "status": {"type": "integer", "minimum": 400, "maximum": 599}},
        **same(TEXT, "detail", "instance", "code", "field", "fix"),
        connections=each(TEXT),
        faults=each(record({"path": TEXT, "message": TEXT, "hint": maybe(TEXT)})),
    ),
    "Event": record(
        {
            "id": ID,
            "connection": maybe(TEXT),
            "flow": ref("Flow"),
            **same(TEXT, "source", "entity", "entity_id"),
            "state": ref("State"),
            "reason": maybe(TEXT),
            "attempts": COUNT,
            **same(MOMENT, "received_at", "updated_at"),
        },
        **same(TEXT, "account", "operation", "code", "record", "field", "fix", "order_id", "sku", "email"),
        target=TARGET,
        **same(MOMENT, "next_attempt_at", "occurred_at"),
    ),
    "LogLine": record(
        {"at": maybe(MOMENT), "kind": TEXT, "system": maybe(TEXT), "title": TEXT}, detail=ANYTHING, milliseconds=COUNT
    ),
    "EventDetail": {
        "allOf": [
            ref("Event"),
            record(
                {
                    "priority": COUNT,
                    **same(TEXT, "correlation", "key"),
                    **same(ANYTHING, "hint", "result"),
                    "log": each(ref("LogLine")),
                }
            ),
        ]
    },
    "EventList": record({"events": each(ref("Event")), "next": CURSOR}),
    "Retried": record({"retried": COUNT, "ids": each(ID), "more": SWITCH}),
    "Order": record({"id": TEXT, "events": each(ref("Event")), "documents": each(_DOCUMENT)}),
    "Backfill": record({"flow": ref("Flow"), "since": maybe(DAY), "events": each(ID)}),
    "Person": record({"email": TEXT, **same(each({"type": "object"}), *_OF_PERSON), "documents": each(_DOCUMENT)}),
    "Erasure": record(
        {
            "erased": record(same(COUNT, *_OF_PERSON)),
            "documents": each(_DOCUMENT),
            "left": each(record({"table": TEXT, "column": TEXT, "rows": COUNT, "why": TEXT})),
            "kept": each(TEXT),
        }
    ),
    "BackfillProgress": record(
        {
            "id": ID,
            "connection": maybe(TEXT),
            "flow": ref("Flow"),
            "state": ref("State"),
            **same(SWITCH, "over", "paused"),
            "since": maybe(DAY),
            "reason": maybe(TEXT),
            **same(COUNT, "total", "done", "unchanged", "open", "parked"),
            "began_at": MOMENT,
            **same(SECONDS, "seconds", "per_second"),
            "ends_at": maybe(MOMENT),
        }
    ),
    "Backfills": record({"backfills": each(ref("BackfillProgress"))}),
    "Audit": record(
        {
            "audit": each(
                record({"id": ID, "at": MOMENT, **same(TEXT, "actor", "action", "target"), "reason": maybe(TEXT)})
            ),
            "next": CURSOR,
        }
    ),
    "Settings": record({"version": COUNT, "settings": {"type": "object"}}),
    "SettingsSaved": record(
        {
            "connection": TEXT,
            "version": COUNT,
            "checked": SWITCH,
            "warnings": each(record(same(TEXT, "path", "message", "hint"))),
        }
    ),
    "Connection": record(
        {
            "name": TEXT,
            "live": SWITCH,
            "paused": maybe(TEXT),
            "settings_version": COUNT,
            "quickbooks": record(
                {
                    **same(maybe(TEXT), "realm_id", "lost"),
                    "authorised": SWITCH,
                    **same(maybe(MOMENT), "access_expires_at", "refresh_expires_at"),
                },
                reconnect_before=maybe(MOMENT),
                reconnect_now=SWITCH,
            ),
            "mpluskassa": record({"url": maybe(TEXT), "configured": SWITCH, "webhook_subscription": maybe(TEXT)}),
            "cooldown_seconds": maybe(SECONDS),
            "systems": each(
                record(
                    {
                        "system": one_of(("mpluskassa", "quickbooks")),
                        **same(maybe(MOMENT), "answered_at", "failing_since"),
                        "failure": maybe(TEXT),
                    }
                )
            ),
            "polls": each(
                record({"source": TEXT, **same(maybe(TEXT), "position", "failure"), "polled_at": maybe(MOMENT)})
            ),
        }
    ),
    "Removal": record(
        {"name": TEXT, "data": _REMOVED, "ended": COUNT, "revoked": maybe(SWITCH), "trouble": maybe(TEXT)}
    ),
    "Connections": record({"connections": each(ref("Connection"))}),
    "ConnectionOrEvent": {"anyOf": [ref("Connection"), ref("EventDetail")]},
    "FlowStatus": record(
        {
            "freshness_seconds": SECONDS,
            **same(maybe(SECONDS), "unseen_seconds", "oldest_parked_seconds"),
            "last_done_at": maybe(MOMENT),
            "counts": table(COUNT),
        }
    ),
    "Status": record(
        {
            "version": TEXT,
            "now": MOMENT,
            "database": one_of(("postgresql", "sqlite")),
            "broker": TEXT,
            "alerts": each(
                record(
                    {"cause": TEXT, "title": TEXT, "since": MOMENT, "sent_at": maybe(MOMENT)}, connection=maybe(TEXT)
                )
            ),
            "plan": record({"month": TEXT, **same(COUNT, "reads", "allowance", "forecast"), "share": SECONDS}),
            "connections": each(ref("Connection")),
            "flows": table(ref("FlowStatus")),
            "queue": record({**same(COUNT, "pending", "working", "parked"), "oldest_seconds": maybe(SECONDS)}),
            "backfills": each(ref("BackfillProgress")),
            "limits": each(record({**same(TEXT, "connection", "system", "month", "kind"), "calls": COUNT})),
            "processes": each(record({"role": TEXT, "version": TEXT, "started_at": maybe(MOMENT), "seen_at": MOMENT})),
        }
    ),
    "Alive": record({"status": one_of(("alive",))}),
    "Health": record({"status": one_of(("ready", "unavailable")), "database": TEXT, "broker": TEXT}),
    "ComparedDays": record(
        {
            "days": each(
                record(
                    {
                        "connection": TEXT,
                        "day": DAY,
                        "status": one_of(tuple(AgreementStatus)),
                        **same(maybe(MOMENT), "checked_at", "due_at"),
                        "event": maybe(ID),
                        **same(CENTS, "till", "books", "difference"),
                        "records": each(
                            record(
                                {
                                    **same(TEXT, "record", "cause", "reason", "fix"),
                                    "by_policy": SWITCH,
                                    "event": maybe(ID),
                                    "cents": CENTS,
                                }
                            )
                        ),
                    }
                )
            )
        }
    ),
    "SignedAnswer": {"type": "object"},
    "Document": record({"openapi": TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}),
    "ReasonRequest": request(reason=maybe(WORDS)),
    "RetryRequest": request(
        state=maybe(ref("State")),
        flow=maybe(ref("Flow")),
        after=maybe(ID),
        limit=maybe(LIMIT),
        **same(maybe(WORDS), "connection", "q", "reason"),
    ),
    "ResendRequest": request(dry_run=SWITCH, **same(maybe(WORDS), "reason", "connection")),
    "RemovalRequest": request({"data": _REMOVED}),
    "RenameRequest": request({"name": WORDS}),
    "BackfillRequest": request(since=maybe(DAY), connection=maybe(WORDS)),
    "Certificates": record(
        {
            "statement": record({"format": TEXT, "exported_at": MOMENT, "certificates": each(TEXT)}),
            **same(TEXT, "signature", "public_key"),
            "certificates": each(record({"certificate": {"type": "object"}, **same(TEXT, "signature", "public_key")})),
        }
    ),
    "AgreementRequest": request(**same(maybe(DAY), "from", "through"), connection=maybe(WORDS)),
    "PreviewRequest": {
        **request(
            {"flow": one_of(tuple(Flow))},
            **same(maybe(WORDS), "id", "sku", "name", "email"),
            side=maybe(one_of(tuple(Side))),
            settings=maybe(TEXT),
        ),
        "anyOf": [{"required": [by]} for by in By],
    },
    "TillRequest": request(
        **same(maybe(WORDS), "mplus_url", "mplus_ident", "mplus_secret", "mplus_subscription_id"),
        mplus_webhook_secrets=maybe(each(TEXT)),
        moved=SWITCH,
    ),
    "EmptyRequest": request(),
}

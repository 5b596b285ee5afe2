"""The shapes of what the API takes and answers, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.store.agreements import AgreementStatus
from gateway.store.events import Flow, State
from gateway.store.requests import By, Side
from gateway.store.views import LONGEST_PAGE
from gateway.web.api.people import WHO
from gateway.web.queries import LARGEST_ID, LONGEST_TEXT, ONE_LINE

Schema = Mapping[str, Any]

ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
SWITCH: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
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


def with_more(name: str, always: Mapping[str, Schema]) -> Schema:
    return {"allOf": [ref(name), record(always)]}


ID: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
WORDS: Schema = {"type": "string", "maxLength": LONGEST_TEXT, "pattern": ONE_LINE}
NAME: Schema = {**WORDS, "minLength": 1}
ADDRESS: Schema = {"type": "string", "maxLength": LONGEST_TEXT, "allOf": [{"pattern": WHO}, {"pattern": ONE_LINE}]}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE}
CURSOR: Schema = {"type": ["string", "null"], "description": "give it back as `after`; null at the end"}
TARGET = record({"entity": maybe(TEXT), "id": TEXT})

_PROBLEM = record(
    {"type": TEXT, "title": TEXT, "status": {"type": "integer", "minimum": 400, "maximum": 599}},
    detail=TEXT,
    instance=TEXT,
    code=TEXT,
    field=TEXT,
    fix=TEXT,
    connections=each(TEXT),
    faults=each(record({"path": TEXT, "message": TEXT, "hint": maybe(TEXT)})),
)

_EVENT = record(
    {
        "id": ID,
        "connection": maybe(TEXT),
        "flow": ref("Flow"),
        "source": TEXT,
        "entity": TEXT,
        "entity_id": TEXT,
        "state": ref("State"),
        "reason": maybe(TEXT),
        "attempts": COUNT,
        "received_at": MOMENT,
        "updated_at": MOMENT,
    },
    account=TEXT,
    operation=TEXT,
    code=TEXT,
    record=TEXT,
    field=TEXT,
    fix=TEXT,
    order_id=TEXT,
    sku=TEXT,
    email=TEXT,
    target=TARGET,
    next_attempt_at=MOMENT,
    occurred_at=MOMENT,
)

_LINE = record(
    {"at": maybe(MOMENT), "kind": TEXT, "system": maybe(TEXT), "title": TEXT}, detail=ANYTHING, milliseconds=COUNT
)
_DETAIL = with_more(
    "Event",
    {
        "priority": COUNT,
        "correlation": TEXT,
        "key": TEXT,
        "hint": ANYTHING,
        "result": ANYTHING,
        "log": each(ref("LogLine")),
    },
)
_OF_PERSON = ("events", "journal", "links", "alerts", "audit", "sales", "sale_contents", "records")
_DOCUMENT = record({"connection": TEXT, "source_id": TEXT, "target": TARGET})
_DEED = record({"id": ID, "at": MOMENT, "actor": TEXT, "action": TEXT, "target": TEXT, "reason": maybe(TEXT)})

CENTS: Schema = {"type": "integer"}
_COMPARED_DAY = record(
    {
        "connection": TEXT,
        "day": DAY,
        "status": one_of(tuple(AgreementStatus)),
        "checked_at": maybe(MOMENT),
        "due_at": maybe(MOMENT),
        "event": maybe(ID),
        "till": CENTS,
        "books": CENTS,
        "difference": CENTS,
        "records": each(
            record(
                {
                    "record": TEXT,
                    "cause": TEXT,
                    "by_policy": SWITCH,
                    "reason": TEXT,
                    "fix": TEXT,
                    "event": maybe(ID),
                    "cents": CENTS,
                }
            )
        ),
    }
)

_HEALTH = record({"status": one_of(("ready", "unavailable")), "database": TEXT, "broker": TEXT})

_FILTER = {
    "state": maybe(ref("State")),
    "flow": maybe(ref("Flow")),
    "connection": maybe(WORDS),
    "q": maybe(WORDS),
    "after": maybe(ID),
    "limit": maybe(LIMIT),
    "reason": maybe(WORDS),
}

_PREVIEW: Schema = {
    **request(
        {"flow": one_of(tuple(Flow))},
        id=maybe(WORDS), sku=maybe(WORDS), name=maybe(WORDS), email=maybe(WORDS),
        side=maybe(one_of(tuple(Side))), settings=maybe(TEXT),
    ),
    "anyOf": [{"required": [by]} for by in By],
}  # fmt: skip

_FLOW_STATUS = record(
    {
        "freshness_seconds": SECONDS,
        "unseen_seconds": maybe(SECONDS),
        "oldest_parked_seconds": maybe(SECONDS),
        "last_done_at": maybe(MOMENT),
        "counts": table(COUNT),
    }
)
_TOKEN = {"authorised": SWITCH, "lost": maybe(TEXT), "access_expires_at": maybe(MOMENT)}
_CONNECTION = record(
    {
        "name": TEXT,
        "live": SWITCH,
        "paused": maybe(TEXT),
        "settings_version": COUNT,
        "quickbooks": record(
            {"realm_id": maybe(TEXT), **_TOKEN, "refresh_expires_at": maybe(MOMENT)},
            reconnect_before=maybe(MOMENT),
            reconnect_now=SWITCH,
        ),
        "mpluskassa": record({"url": maybe(TEXT), "configured": SWITCH, "webhook_subscription": maybe(TEXT)}),
        "cooldown_seconds": maybe(SECONDS),
        "systems": each(
            record(
                {
                    "system": one_of(("mpluskassa", "quickbooks")),
                    "answered_at": maybe(MOMENT),
                    "failing_since": maybe(MOMENT),
                    "failure": maybe(TEXT),
                }
            )
        ),
        "polls": each(
            record({"source": TEXT, "position": maybe(TEXT), "polled_at": maybe(MOMENT), "failure": maybe(TEXT)})
        ),
    }
)
_BACKFILL = record(
    {
        "id": ID,
        "connection": maybe(TEXT),
        "flow": ref("Flow"),
        "state": ref("State"),
        "over": SWITCH,
        "since": maybe(DAY),
        "reason": maybe(TEXT),
        "paused": SWITCH,
        **dict.fromkeys(("total", "done", "unchanged", "open", "parked"), COUNT),
        "began_at": MOMENT,
        "seconds": SECONDS,
        "per_second": SECONDS,
        "ends_at": maybe(MOMENT),
    }
)
_STATUS = record(
    {
        "version": TEXT,
        "now": MOMENT,
        "database": one_of(("postgresql", "sqlite")),
        "broker": TEXT,
        "alerts": each(
            record({"cause": TEXT, "title": TEXT, "since": MOMENT, "sent_at": maybe(MOMENT)}, connection=maybe(TEXT))
        ),
        "plan": record({"month": TEXT, "reads": COUNT, "allowance": COUNT, "forecast": COUNT, "share": SECONDS}),
        "connections": each(ref("Connection")),
        "flows": table(ref("FlowStatus")),
        "queue": record(
            {"pending": COUNT, "working": COUNT, "parked": COUNT, "oldest_seconds": maybe(SECONDS)},
        ),
        "backfills": each(ref("BackfillProgress")),
        "limits": each(record({"connection": TEXT, "system": TEXT, "month": TEXT, "kind": TEXT, "calls": COUNT})),
        "processes": each(record({"role": TEXT, "version": TEXT, "started_at": maybe(MOMENT), "seen_at": MOMENT})),
    }
)

SCHEMAS: Mapping[str, Schema] = {
    "Flow": one_of(Flow),
    "State": one_of(State),
    "Problem": _PROBLEM,
    "Event": _EVENT,
    "LogLine": _LINE,
    "EventDetail": _DETAIL,
    "EventList": record({"events": each(ref("Event")), "next": CURSOR}),
    "Retried": record({"retried": COUNT, "ids": each(ID), "more": SWITCH}),
    "Order": record({"id": TEXT, "events": each(ref("Event")), "documents": each(_DOCUMENT)}),
    "Backfill": record({"flow": ref("Flow"), "since": maybe(DAY), "events": each(ID)}),
    "Person": record(
        {
            "email": TEXT,
            **dict.fromkeys(_OF_PERSON, each({"type": "object"})),
            "documents": each(_DOCUMENT),
        }
    ),
    "Erasure": record(
        {
            "erased": record(dict.fromkeys(_OF_PERSON, COUNT)),
            "documents": each(_DOCUMENT),
            "left": each(record({"table": TEXT, "column": TEXT, "rows": COUNT, "why": TEXT})),
            "kept": each(TEXT),
        }
    ),
    "BackfillProgress": _BACKFILL,
    "Backfills": record({"backfills": each(ref("BackfillProgress"))}),
    "Audit": record({"audit": each(_DEED), "next": CURSOR}),
    "Settings": record({"version": COUNT, "settings": {"type": "object"}}),
    "SettingsSaved": record(
        {
            "connection": TEXT,
            "version": COUNT,
            "checked": {"type": "boolean"},
            "warnings": each(record({"path": TEXT, "message": TEXT, "hint": TEXT})),
        }
    ),
    "Connection": _CONNECTION,
    "Removal": record(
        {
            "name": TEXT,
            "data": {"type": "string", "enum": ["keep", "purge"]},
            "ended": COUNT,
            "revoked": maybe(SWITCH),
            "trouble": maybe(TEXT),
        }
    ),
    "Connections": record({"connections": each(ref("Connection"))}),
    "ConnectionOrEvent": {"anyOf": [ref("Connection"), ref("EventDetail")]},
    "FlowStatus": _FLOW_STATUS,
    "Status": _STATUS,
    "Alive": record({"status": one_of(("alive",))}),
    "Health": _HEALTH,
    "ComparedDays": record({"days": each(_COMPARED_DAY)}),
    "SignedAnswer": {"type": "object"},
    "Document": record({"openapi": TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}),
    "ReasonRequest": request(reason=maybe(WORDS)),
    "RetryRequest": request(**_FILTER),
    "ResendRequest": request(dry_run=SWITCH, reason=maybe(WORDS), connection=maybe(WORDS)),
    "RemovalRequest": request({"data": {"type": "string", "enum": ["keep", "purge"]}}),
    "RenameRequest": request({"name": WORDS}),
    "BackfillRequest": request(since=maybe(DAY), connection=maybe(WORDS)),
    "Certificates": record(
        {
            "statement": record({"format": TEXT, "exported_at": MOMENT, "certificates": each(TEXT)}),
            "signature": TEXT,
            "public_key": TEXT,
            "certificates": each(record({"certificate": {"type": "object"}, "signature": TEXT, "public_key": TEXT})),
        }
    ),
    "AgreementRequest": request(**{"from": maybe(DAY), "through": maybe(DAY), "connection": maybe(WORDS)}),
    "PreviewRequest": _PREVIEW,
    "TillRequest": request(
        mplus_url=maybe(WORDS),
        mplus_ident=maybe(WORDS),
        mplus_secret=maybe(WORDS),
        mplus_subscription_id=maybe(WORDS),
        mplus_webhook_secrets=maybe(each(TEXT)),
        moved=SWITCH,
    ),
    "EmptyRequest": request(),
}

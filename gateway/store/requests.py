"""Requests of a person as changes for the inbox: a resend, a backfill, a poll, a check-up. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum

from gateway.store.events import BACKFILL, NORMAL, SALES, URGENT, Change, Event, Flow
from mapping.errors import MappingError
from mapping.messages import Message, message

LOOKUP, BACKFILLING, POLL, DOCTOR, AGREEMENT = "Lookup", "Backfill", "Poll", "Doctor", "Agreement"
PREVIEW, GO_LIVE, GOLDEN = "Preview", "GoLive", "GoldenRecords"
SESSION = "Session"
# What can be run again. Requests, complaints and the books' own documents also have an order's number.
RUNNABLE = frozenset({*SALES.values(), "Day", SESSION})
UNKNOWN_ORDER = "unknown-order"
"""Code of a look-up that found nothing, such as a mistyped number; no action is needed."""
DRY = ":dry"
SETTINGS = "settings"
LISTS = "lists"
IN_FORCE, IN_FORCE_SUBJECT = "in_force", ":in-force"
BY_ITSELF = "clock"
"""The actor of automatic requests."""
DEFAULT_DAYS = 7
LONGEST_PERIOD = timedelta(days=92)
"""Of an agreement."""


class By(StrEnum):
    """The key of a record."""

    ID = "id"
    SKU = "sku"
    NAME = "name"
    EMAIL = "email"


class Side(StrEnum):
    """The system of the person: a relation of the till, or a customer of the books."""

    TILL = "till"
    BOOKS = "books"


def resend(
    order: str,
    *,
    connection: str,
    earlier: Iterable[Event] = (),
    dry_run: bool = False,
    reason: str = "",
    actor: str = "cli",
    settings: str | None = None,
) -> Change:
    """Run an order again. `order` is the person's input; `earlier` are its events, newest first.

    An order that was never seen becomes a look-up. A dry run has its own subject, so that it supersedes nothing;
    it may use `settings`, a document (TOML) that is not in force.
    """
    usable = [event for event in earlier if event.entity in RUNNABLE and event.connection]
    # A record that the till named is a better start than its session.
    known = min(usable, key=lambda event: event.entity == SESSION, default=None)
    return Change(
        key=_key(actor, "resend"),
        flow=Flow.ORDERS,
        source=actor,
        entity=known.entity if known else LOOKUP,
        entity_id=known.entity_id if known else order,
        connection=known.connection if known else connection,
        priority=URGENT,
        order_id=known.order_id if known else order,
        hint=json.dumps({"resend": True, "dry_run": dry_run, "reason": reason, "actor": actor, **_on_trial(settings)}),
        variant=DRY if dry_run else "",
    )


def backfill(flow: Flow, *, connection: str, since: date | None = None, actor: str = "cli") -> Change:
    """Synchronise a flow's existing records, those changed on or after `since` (None: all)."""
    hint = {"since": since.isoformat() if since else None, "actor": actor}
    return Change(
        key=_key(actor, "backfill"),
        flow=flow,
        source=actor,
        entity=BACKFILLING,
        entity_id=flow,
        connection=connection,
        priority=BACKFILL,
        hint=json.dumps(hint),
    )


def preview(
    flow: Flow,
    record: str,
    *,
    connection: str,
    by: By = By.ID,
    side: Side = Side.BOOKS,
    settings: str | None = None,
    actor: str = "cli",
) -> Change:
    """Preview the result for a record of the books, or a person of the till; it is stored on the row.

    It supersedes nothing. `settings` is a document (TOML) to try that is not in force.
    """
    key = _key(actor, "preview")
    # The key of a person goes into columns that an erasure empties.
    is_private = flow is Flow.CUSTOMERS and by is not By.ID
    hint = {"actor": actor, "by": by, "side": side, **({"record": record} if is_private else {})}
    return Change(
        key=key,
        flow=flow,
        source=actor,
        entity=PREVIEW,
        entity_id=by if is_private else record,
        connection=connection,
        priority=URGENT,
        hint=json.dumps({**hint, **_on_trial(settings)}),
        email=record.strip().lower() if by is By.EMAIL else None,
        variant=f":{key}",
    )


def _on_trial(settings: str | None) -> dict[str, str]:
    return {} if settings is None else {SETTINGS: settings}


def poll(*, connection: str, actor: str = "cli") -> Change:
    """Ask both systems now what changed."""
    return _asked(POLL, "poll", connection=connection, actor=actor)


ARTICLES = "articles"
"""What the finding is about that says which items have no article at the till."""


def check_up(*, connection: str, actor: str = "cli") -> Change:
    """Have a worker try both logins and read branches, VAT rates, plan and preferences; its result is on the row."""
    return _asked(DOCTOR, "doctor", connection=connection, actor=actor)


def refresh_lists(*, connection: str, actor: str = "cli") -> Change:
    """Have a worker read the lists of both systems that people choose from, and store them."""
    change = _asked(DOCTOR, "lists", connection=connection, actor=actor)
    return change._replace(hint=json.dumps({"actor": actor, LISTS: True}), variant=f":{LISTS}")


def check_settings(text: str, *, connection: str, actor: str = "cli") -> Change:
    """Have a worker check a settings document (TOML) that is not in force against both systems."""
    change = _asked(DOCTOR, "settings", connection=connection, actor=actor)
    hint = json.dumps({"actor": actor, **_on_trial(text)})
    return change._replace(hint=hint, variant=f":{change.key}")


def check_in_force(version: int, *, connection: str) -> Change:
    """Have a worker check the document in force, of this version, against both systems as soon as both can be asked.

    Its findings wait for a person; the check of a newer version supersedes it.
    """
    return Change(
        key=f"settings:{connection}:{version}",
        flow=Flow.ORDERS,
        source="gateway",
        entity=DOCTOR,
        entity_id=connection,
        connection=connection,
        priority=NORMAL,
        hint=json.dumps({IN_FORCE: version}),
        variant=IN_FORCE_SUBJECT,
    )


def go_live(*, connection: str, actor: str = "cli") -> Change:
    """Have a worker read the till's markers and let the connection work from there."""
    return _asked(GO_LIVE, "go-live", connection=connection, actor=actor)


def find_period(start: date | None, through: date | None, today: date) -> tuple[date, date]:
    """The days of an agreement; by default the last seven, today included. Raises `MappingError` for too many or none.

    Asked before a request is made, and again by its worker: then "today" may be another.
    """
    last = through or today
    first = start or last - timedelta(days=DEFAULT_DAYS - 1)
    if not timedelta(0) <= last - first < LONGEST_PERIOD:
        said = "{start} to {through} is not a period of 1 to {days} days"
        raise MappingError(
            message(said, start=first, through=last, days=LONGEST_PERIOD.days),
            record="agreement",
            field="from",
            fix="ask for a shorter period; longer ones quarter by quarter",
        )
    return first, last


def agree(*, connection: str, start: date | None = None, through: date | None = None, actor: str = "cli") -> Change:
    """Have a worker compare till and books on these days (default: the last seven); the report is on the row.

    Every request has its own subject, so that none supersedes another.
    """
    key = _key(actor, "agree")
    days = {"from": start.isoformat() if start else None, "through": through.isoformat() if through else None}
    return Change(
        key=key,
        flow=Flow.ORDERS,
        source=actor,
        entity=AGREEMENT,
        entity_id=connection,
        connection=connection,
        priority=URGENT,
        hint=json.dumps({**days, "actor": actor}),
        variant=f":{key}",
    )


def agree_automatically(*, connection: str, start: date, through: date) -> Change:
    """Compare these days automatically, with a lower priority than sales."""
    change = agree(connection=connection, start=start, through=through, actor=BY_ITSELF)
    return change._replace(priority=BACKFILL)


def record_mapping(records: Iterable[tuple[str, str]], *, connection: str, with_persons: bool) -> Change:
    """Have a worker read these records (kind and name) for the tests of a mapping; the file is on the row."""
    change = _asked(GOLDEN, "mapping", connection=connection, actor="cli")
    hint = json.dumps({"actor": "cli", "records": list(records), "with_persons": with_persons})
    return change._replace(hint=hint, variant=f":{change.key}")


def is_asked(event: Event) -> bool:
    """Whether a person asked for this, as opposed to a webhook that hinted at it."""
    return event.priority == URGENT and event.entity != SESSION


def _asked(entity: str, verb: str, *, connection: str, actor: str) -> Change:
    return Change(
        key=_key(actor, verb),
        flow=Flow.ORDERS,
        source=actor,
        entity=entity,
        entity_id=connection,
        connection=connection,
        priority=URGENT,
        hint=json.dumps({"actor": actor}),
    )


def _key(actor: str, verb: str) -> str:
    return f"{actor}:{verb}:{uuid.uuid4().hex}"


def name_agreement(connection: str, start: date, through: date) -> Message:
    """What the audit trail calls a comparison."""
    return message("connection {name}, {start} to {through}", name=connection, start=start, through=through)


def name_backfill(flow: Flow, since: date | None) -> Message:
    """What the audit trail calls a backfill."""
    return message("{flow} since {day}", flow=message(flow), day=since or message("the beginning"))

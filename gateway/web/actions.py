"""What a person can ask for, by API or dashboard: retry, ignore, resend, backfill, preview. All of it is audited."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlmodel import Session
from starlette.requests import Request

from gateway.queries import activity, todo
from gateway.store import audit, connections, inbox, records, requests, sales, tokens
from gateway.store.events import SETTLED, Change, Event, Flow, State
from gateway.store.requests import By, Side
from gateway.store.sales import AMSTERDAM
from gateway.web import inputs, webhooks
from gateway.web.inputs import Refusal
from gateway.web.services import Services
from gateway.web.sessions import Visitor
from mapping import messages
from mapping.messages import join, message

RETRYABLE = tuple(state for state in State if state is not State.WORKING)
MAX_AT_ONCE = 1_000
LOOKUP_SECONDS = 3.0
SOURCE = "admin"
_WITHOUT_RECORD = frozenset({webhooks.COMPLAINT, webhooks.UNREADABLE})


@dataclass(frozen=True, slots=True)
class Resend:
    """A request to run an order again. A dry run may try `settings`, a document that is not in force."""

    order: str
    actor: str
    dry_run: bool
    connection: str | None
    reason: str | None = None
    settings: str | None = None


async def retry(shared: Services, event_id: int, *, actor: str, reason: str | None = None) -> Event:
    """Make an event due at once with a fresh series of attempts.

    Raises `Refusal` 404, or 409 while it is worked on and for a delivery that could not be read: its reason would go.
    """

    def change(session: Session) -> Event:
        if get_event(session, event_id).entity in _WITHOUT_RECORD:
            detail = "there is no record behind this event to be handled again; read its reason and ignore it"
            raise Refusal(409, detail)
        if not _requeue(session, [event_id], RETRYABLE):
            raise Refusal(409, "the event is being worked on right now; wait until it ends")
        audit.note(session, actor=actor, action="retry", target=message("event {id}", id=event_id), reason=reason)
        return get_event(session, event_id)

    event = await shared.write(change)
    shared.notifier.notify([event_id])
    return event


async def ignore(
    shared: Services,
    event_id: int,
    *,
    actor: str,
    reason: str | None,
    action: str = "ignore",
    target: str | None = None,
) -> Event:
    """Close an event that is not to be handled; the audit says `action` of `target`, else that the event is ignored.

    Raises `Refusal` 404, or 409 when it is over or worked on.
    """
    why = message("ignored by a person: {reason}", reason=reason) if reason else "ignored by a person"

    def change(session: Session) -> Event:
        event = get_event(session, event_id)
        if not _ignore(session, [event_id], why):
            raise Refusal(409, message("an event that is {state} cannot be ignored", state=message(event.state)))
        about = target or message("event {id}", id=event_id)
        audit.note(session, actor=actor, action=action, target=about, reason=reason)
        return get_event(session, event_id)

    return await shared.write(change)


def _requeue(session: Session, ids: Sequence[int], states: Sequence[State]) -> list[int]:
    """Have those of these events handled again that are in one of these states; answers them."""
    # Before the events, as when a login is accepted: otherwise the two wait for each other.
    tokens.retry_at_once(session, ids)
    return inbox.requeue(session, ids, states=states)


def _ignore(session: Session, ids: Sequence[int], why: str) -> list[int]:
    """Close those of these events that are not over or worked on; answers them."""
    changed = [each for each in ids if inbox.ignore(session, each, why)]
    for each in changed:
        sales.ignore(session, each)
    records.close(session, changed)
    return changed


async def retry_all(
    shared: Services, wanted: activity.Filter, *, actor: str, reason: str | None = None
) -> tuple[list[int], bool]:
    """Retry the events that fit (parked ones by default); answers their ids, and whether more are left."""
    parked = dataclasses.replace(wanted, state=wanted.state or State.PARKED, limit=activity.LONGEST_PAGE)
    ids: list[int] = []

    def change(session: Session, before: int | None) -> tuple[list[int], int | None]:
        page = activity.find_events(session, dataclasses.replace(parked, before=before))
        due = [each.id for each in page.rows if each.entity not in _WITHOUT_RECORD]
        if changed := _requeue(session, due, RETRYABLE):
            target = message("events {first} to {last}", first=changed[-1], last=changed[0])
            audit.note(session, actor=actor, action="retry", target=target, reason=reason)
        return changed, page.next

    before = parked.before
    while len(ids) < MAX_AT_ONCE:
        changed, before = await shared.write(functools.partial(change, before=before))
        ids += changed
        if before is None:
            return ids, False
    return ids, True


async def resend(shared: Services, wanted: Resend, *, seconds: float = LOOKUP_SECONDS) -> int:
    """Ask for an order to be run again; answers its event. Raises `Refusal` 409 if the connection is unclear.

    An unknown order is looked up first: 404 when the till answers within these seconds that it does not exist.
    """

    def find(session: Session) -> Change:
        known = activity.find_order(session, wanted.order)
        connection = _whose(session, wanted, known)
        return requests.resend(
            wanted.order,
            connection=connection,
            earlier=[event for event in known if event.connection == connection],
            dry_run=wanted.dry_run,
            reason=wanted.reason or "",
            actor=SOURCE,
            settings=wanted.settings if wanted.dry_run else None,
        )

    change = await shared.read(find)

    def store(session: Session) -> int:
        action, target = "dry run" if wanted.dry_run else "resend", message("order {number}", number=wanted.order)
        return audit.ask(session, change, actor=wanted.actor, action=action, target=target, reason=wanted.reason)

    event_id = await shared.ask(store)
    if change.entity == requests.LOOKUP:
        event = await wait_for_end(shared, event_id, seconds=seconds)
        if event is not None and event.code == requests.UNKNOWN_ORDER:
            reason, fix = (message(messages.restore(each or "", event.messages)) for each in (event.reason, event.fix))
            raise Refusal(404, join((reason, fix), "{first}; {second}"), code=event.code, event=event.id)
    return event_id


def _whose(session: Session, wanted: Resend, known: Sequence[Event]) -> str:
    names = choose(session, wanted.connection)
    owners = {event.connection for event in known} & set(names)
    candidates = sorted(name for name in owners if name) or names
    if len(candidates) == 1:
        return candidates[0]
    called = [connections.display_names(session)[each] for each in candidates]
    raise Refusal(409, "several connections could have this order; name one", connections=called)


async def backfill(
    shared: Services, flow: Flow, *, since: date | None, connection: str | None, actor: str
) -> list[int]:
    """Ask for everything of a flow since a day, for one connection or all; answers one event for each.

    Raises `Refusal` 400 for what cannot be synchronised, before it replaces a running backfill.
    """
    if fault := requests.refuse_backfill(flow, since, datetime.now(AMSTERDAM).date()):
        raise Refusal(400, fault)

    def keep(session: Session) -> list[int]:
        names = choose(session, connection)
        changes = [requests.widen_backfill(session, flow, connection=name, since=since, actor=SOURCE) for name in names]
        received = inbox.receive(session, changes)
        audit.note(session, actor=actor, action="backfill", target=requests.name_backfill(flow, since))
        return [row.id for row in received]

    ids = await shared.write(keep)
    shared.notifier.notify(ids)
    return ids


def choose(session: Session, wanted: str | None) -> list[str]:
    """The key of the connection that was named, or of all. Raises `Refusal` 409 where there is none."""
    if names := connections.choose(session, wanted):
        return names
    raise Refusal(409, message("there is no connection {name}", name=wanted) if wanted else "nothing is connected yet")


def get_event(session: Session, event_id: int) -> Event:
    """The event. Raises `Refusal` 404."""
    event = activity.find_event(session, event_id)
    if event is None:
        raise Refusal(404, "there is no such event")
    return event


async def do_to_causes(
    shared: Services, action: audit.BulkAction, keys: Sequence[tuple[str, str]], visitor: Visitor, reason: str | None
) -> int:
    """Try again or ignore the parked events of some causes, at most `todo.MOST`; answers the number of the action.

    In short transactions, each of which notes the events that it changed. Raises `Refusal` 409 when none waits.
    """
    left_out = _WITHOUT_RECORD if action is audit.BulkAction.RETRY else frozenset[str]()
    ids = await shared.read(lambda session: todo.find_events(session, keys, left_out))
    if not ids:
        raise Refusal(409, "nothing of this waits any more; look at the list again")

    def begin(session: Session) -> int:
        bulk_id = audit.begin_bulk(session, action, actor=visitor.actor, reason=reason, connection=visitor.connection)
        target = message("{n} records, action {id}", n=len(ids), id=bulk_id)
        audit.note(session, actor=visitor.actor, action=action, target=target, reason=reason)
        return bulk_id

    bulk_id, is_retry = await shared.write(begin), action is audit.BulkAction.RETRY
    why = message("ignored by a person: {reason}", reason=reason or "")

    def change(session: Session, some: Sequence[int]) -> list[int]:
        changed = _requeue(session, some, [State.PARKED]) if is_retry else _ignore(session, some, why)
        audit.add_to_bulk(session, bulk_id, changed)
        return changed if is_retry else []

    for start in range(0, len(ids), activity.LONGEST_PAGE):
        some = ids[start : start + activity.LONGEST_PAGE]
        shared.notifier.notify(await shared.write(functools.partial(change, some=some)))
    return bulk_id


async def undo_ignore(shared: Services, bulk_id: int, *, actor: str) -> int:
    """Have the events that an action ignored handled again; answers how many. Raises `Refusal` 409 if it was undone."""

    def change(session: Session) -> list[int]:
        if not audit.undo_bulk(session, bulk_id):
            raise Refusal(409, "this was undone before")
        ids = _requeue(session, todo.find_ignored(session, bulk_id), [State.SKIPPED])
        target = message("{n} records, action {id}", n=len(ids), id=bulk_id)
        audit.note(session, actor=actor, action="undo", target=target)
        return ids

    ids = await shared.write(change)
    shared.notifier.notify(ids)
    return len(ids)


# --- previews: what would become of one record, step by step ----------------------------------------------------------


OF_BOOKS: Final = f"{Flow.CUSTOMERS}/{Side.BOOKS}"
"""What a form calls one side: only of customers there are two."""
_KNOWN_BY: Final[Mapping[Flow, frozenset[By]]] = {Flow.CUSTOMERS: frozenset({By.ID, By.NAME, By.EMAIL})}
_ITEMS: Final = frozenset({By.ID, By.SKU, By.NAME})


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """The record to preview. An order is named as the till names it; `settings` is a document to try.

    `side` is whose customer is meant; everything else has one.
    """

    flow: Flow
    record: str
    connection: str
    actor: str
    by: By = By.ID
    settings: str | None = None
    side: Side = Side.TILL


def to_preview(given: Mapping[str, Any], *, connection: str, actor: str) -> PreviewRequest:
    """The request of a form: `flow`, `by` and `record`. Raises `Refusal` 400."""
    flow, record = inputs.find_choice(given, "flow", Flow), inputs.find_text(given, "record")
    if flow is None or record is None or not record.strip():
        raise Refusal(400, message("name a flow ({flows}) and a record", flows=", ".join(Flow)))
    by = inputs.find_choice(given, "by", By) or By.ID
    side = inputs.find_choice(given, "side", Side) or Side.TILL
    known_by = _KNOWN_BY.get(flow, _ITEMS)
    if by not in known_by:
        known = ", ".join(each for each in By if each in known_by)
        raise Refusal(400, message("{flow} are known by {known}, not by {by}", flow=message(flow), known=known, by=by))
    return PreviewRequest(flow, record.strip(), connection, actor, by=by, side=side)


def read_preview_form(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A form's words as those of the API: its `flow` may name a side; a customer's `by` may be left as it stood."""
    flow, _, side = str(given.get("flow", "")).partition("/")
    by, record = given.get("by"), str(given.get("record", ""))
    if flow == Flow.CUSTOMERS and by == By.SKU:
        by = By.EMAIL if "@" in record else By.ID if record.strip().isdecimal() else By.NAME
    return {**given, "flow": flow, "side": side, "by": by}


async def ask_preview(shared: Services, wanted: PreviewRequest) -> int:
    """Have a worker look; answers the event whose result is the preview. Raises `Refusal` 404, 409."""
    if wanted.flow is Flow.ORDERS:
        dry = Resend(wanted.record, wanted.actor, dry_run=True, connection=wanted.connection, settings=wanted.settings)
        return await resend(shared, dry)

    def store(session: Session) -> int:
        key = connections.find_key(session, wanted.connection)
        if key is None:
            raise Refusal(404, message("there is no connection {name}", name=wanted.connection))
        change = requests.preview(
            wanted.flow,
            wanted.record,
            connection=key,
            by=wanted.by,
            side=wanted.side if wanted.flow is Flow.CUSTOMERS else Side.BOOKS,
            settings=wanted.settings,
            actor=SOURCE,
        )
        # The audit is never deleted, so it does not name a person.
        is_private = wanted.flow is Flow.CUSTOMERS and wanted.by is not By.ID
        named = message("{flow}, by {key}", flow=message(wanted.flow), key=wanted.by)
        target = named if is_private else message("{what} {record}", what=named, record=wanted.record)
        return audit.ask(session, change, actor=wanted.actor, action="preview", target=target)

    return await shared.ask(store)


# --- waiting for what was asked ----------------------------------------------------------------------------------


LONGEST_WAIT = 60
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5


def find_seconds(request: Request, *, default: int = 0) -> int:
    """The `?wait=SECONDS` of a caller. Raises `Refusal` 400: to be asked before anything else is."""
    found = inputs.find_number(request.query_params, "wait", low=0, high=LONGEST_WAIT)
    return default if found is None else found


async def wait_for_end(shared: Services, event_id: int, *, seconds: float) -> Event | None:
    """This event, or the one that superseded it, when it is settled or as it is after these seconds."""

    def look(session: Session) -> Event | None:
        event = activity.find_event(session, event_id)
        newer_id = activity.find_next(session, event) if event and event.state in SETTLED else None
        newer = activity.find_event(session, newer_id) if newer_id else None
        return newer if event and newer and newer.entity == event.entity else event

    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        event = await shared.read(look)
        if event is None or event.state in SETTLED or time.monotonic() > deadline:
            return event
        event_id = event.id
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def wait_until_settled(shared: Services, event_id: int, *, seconds: float) -> tuple[bool, int]:
    """Whether it is settled in time, and the event that says so: a look-up goes on as the sale it found."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        event = await wait_for_end(shared, event_id, seconds=left)
        if event is None or event.state not in SETTLED:
            break
        following_id = await shared.read(functools.partial(activity.find_next, event=event))
        if following_id is None:
            return True, event.id
        event_id = following_id
    return False, event_id

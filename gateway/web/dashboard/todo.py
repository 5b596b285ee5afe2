"""What needs a person: by cause, with what is done to many at once; and alerts, with who was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.alerts import open_channels
from gateway.database import sql
from gateway.queries import todo
from gateway.queries.todo import BulkProgress, OpenCause
from gateway.store import alerts, audit, cursors, users
from gateway.store.audit import BulkAction, CauseMarkRow
from gateway.store.events import Flow, State
from gateway.store.sales import AMSTERDAM, SaleStatus, today_of
from gateway.store.tables import AlertRow
from gateway.web import actions, inputs, services
from gateway.web.access import refuse_others
from gateway.web.dashboard import charts
from gateway.web.dashboard.rendering import render, to_older
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping.messages import message

PICK: Final = "cause-"
SNOOZES: Final[Mapping[str, str]] = {"": "not put off", "1": "a day", "7": "a week", "30": "a month"}
KEEP: Final = "keep"
LONGEST_NOTE: Final = 500
GONE: Final = "this cause is gone"


@dataclass(frozen=True, slots=True)
class TodoCause:
    """A cause with what people noted about it, and where to look at it.

    `is_snoozed`: put off, and the day has not come.
    """

    cause: OpenCause
    mark: CauseMarkRow | None
    is_snoozed: bool
    connection: str | None
    address: str

    @property
    def name(self) -> str:
        """By which forms and a page that renews itself know it; the connection by its present name."""
        return f"{self.connection or ''}/{self.cause.key[1]}"


def look(session: Session, connection: str | None, names: Mapping[str, str]) -> list[TodoCause]:
    """Every open cause with its mark; those that are put off last."""
    now, marks = sql.now_of(session), todo.find_marks(session, connection)
    found = []
    for cause in todo.find_causes(session, connection):
        known = marks.get(cause.key)
        is_snoozed = known is not None and known.snoozed_until is not None and known.snoozed_until > now
        called = names.get(cause.connection or "", cause.connection)
        found.append(TodoCause(cause, known, is_snoozed, called, to_address(cause, called)))
    return sorted(found, key=lambda each: each.is_snoozed)


_PAGES: Final[Mapping[str, str]] = {Flow.PRODUCTS: "/products", Flow.STOCK: "/products", Flow.CUSTOMERS: "/customers"}


def to_address(cause: OpenCause, called: str | None) -> str:
    """Where a person looks at a cause: at its one sale, record or event, else at the list of them."""
    if cause.count == 1 and cause.sale_id:
        return f"/sales/{cause.sale_id}"
    if cause.count == 1 and cause.record:
        kind, id_ = cause.record
        return f"/{kind}s/{id_}"
    if cause.count == 1:
        return f"/events/{cause.event_id}"
    of = {"connection": called} if called else {}
    pages = {_PAGES.get(flow) for flow in cause.flows}
    page = pages.pop() if cause.records == cause.count and len(pages) == 1 else None
    if cause.code and cause.sales == cause.count:
        page = "/sales"
    if page:  # it lists every record of the cause
        coded = {"cause": cause.code} if cause.code else {}
        return f"{page}?{urlencode({'state': SaleStatus.NEEDS_ATTENTION, **coded, **of})}"
    named = {"code": cause.code} if cause.code else {"flow": cause.flows[0]}
    return f"/events?{urlencode({'state': State.PARKED, **named, **of})}"


async def show_causes(request: Request, visitor: Visitor) -> Response:
    """What needs somebody, the most money first, and the last actions."""
    names = await services.names_of(request)

    def read(session: Session) -> tuple[list[TodoCause], list[BulkProgress], list[str]]:
        people = [each.name for each in users.every(session, visitor.connection) if each.disabled_at is None]
        return look(session, visitor.connection, names), todo.find_recent(session, visitor.connection), people

    causes, recent, people = await services.of(request).read(read)
    return render(
        request,
        "todo.html",
        causes=causes,
        recent=recent,
        people=people,
        snoozes=SNOOZES,
    )


async def _find_picked(request: Request, visitor: Visitor, given: Mapping[str, str]) -> list[TodoCause]:
    """The ticked causes that are still there, and that this visitor may see."""
    picked = {name.removeprefix(PICK) for name in given if name.startswith(PICK)}
    names = await services.names_of(request)
    causes = await services.of(request).read(lambda session: look(session, visitor.connection, names))
    return [each for each in causes if each.name in picked]


def _find_action(given: Mapping[str, str]) -> BulkAction:
    action = inputs.find_choice(given, "action", BulkAction)
    if action is None:
        raise Refusal(400, "choose what to do: try again or ignore")
    return action


async def ask(request: Request, visitor: Visitor) -> Response:
    """How many records an action would change, before it does."""
    given = dict(request.query_params)
    action, picked = _find_action(given), await _find_picked(request, visitor, given)
    selected = await services.of(request).read(lambda session: todo.count(session, [each.cause.key for each in picked]))
    return render(
        request,
        "todo_confirm.html",
        action=action,
        picked=picked,
        selected=selected,
        most=todo.MOST,
    )


async def do(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    shared, action = services.of(request), _find_action(form)
    reason = inputs.find_text(form, "reason")
    if action is BulkAction.IGNORE and not (reason or "").strip():
        raise Refusal(400, "say why these are ignored; whoever looks later wants to know")
    keys = [each.cause.key for each in await _find_picked(request, visitor, form)]
    bulk_id = await actions.do_to_causes(shared, action, keys, visitor, reason)
    return RedirectResponse(f"/todo/bulk/{bulk_id}", 303)


async def show_bulk(request: Request, visitor: Visitor) -> Response:
    """How many records of an action are done, counted from their rows."""
    found = await _read_bulk(request, visitor)
    can_undo = visitor.may_work and found.row.action == BulkAction.IGNORE and found.row.undone_at is None
    return render(request, "todo_bulk.html", found=found, can_undo=can_undo)


async def _read_bulk(request: Request, visitor: Visitor) -> BulkProgress:
    bulk_id = inputs.to_id(request)
    found = await services.of(request).read(lambda session: todo.find_bulk(session, bulk_id))
    if found is None or visitor.connection not in {None, found.row.connection}:
        raise Refusal(404, "there is no such action")
    return found


async def undo(request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    """Look at ignored records again: each is handled anew, and comes back here if its cause is still there."""
    found = await _read_bulk(request, visitor)
    await actions.undo_ignore(services.of(request), found.row.id or 0, actor=visitor.actor)
    return RedirectResponse(f"/todo/bulk/{found.row.id}", 303)


async def mark(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Note something about a cause, say who looks after it, or put it off."""
    called, _, cause = form.get("cause", "").partition("/")
    known = [*(await services.names_of(request)).items(), *(await services.names_in_use(request)).items()]
    connection = {shown: key for key, shown in known}.get(called, called)
    refuse_others(visitor, connection, GONE)
    note, assignee = form.get("note", "").strip(), inputs.find_text(form, "assignee")
    if len(note) > LONGEST_NOTE or not inputs.is_line(note):
        raise Refusal(400, message("a note is one line of at most {most} characters", most=LONGEST_NOTE))
    snooze = form.get("snooze", "")
    if snooze not in {*SNOOZES, KEEP}:
        raise Refusal(400, "choose until when it is put off")

    def change(session: Session) -> None:
        if not todo.is_open(session, connection, cause):
            raise Refusal(404, GONE)
        said: dict[str, Any] = {"note": note or None, "assignee": assignee}
        if snooze != KEEP:
            day = today_of(session) + timedelta(days=int(snooze or 0))
            # Seven in the morning at the shop: before somebody works.
            until = datetime.combine(day, time(7), AMSTERDAM).astimezone(UTC) if snooze else None
            said["snoozed_until"] = until
        audit.mark_cause(session, connection, cause, marked_by=visitor.actor, **said)
        target = message("cause {cause}", cause=cause.partition(":")[2])
        audit.note(session, actor=visitor.actor, action="mark", target=target, reason=note or None)

    await services.of(request).write(change)
    return RedirectResponse("/todo", 303)


# --- alerts ----------------------------------------------------------------------------------------------------------


ADDRESSES: Final[Mapping[str, str]] = {
    "parked": "/todo",
    **dict.fromkeys(("lost", "refused", "reconnect"), "/connect/quickbooks?connection={0}"),
    **dict.fromkeys(("behind", "uncertain"), "/events?flow={1}&connection={0}"),
    **dict.fromkeys(("paused", "silent", "poll"), "#connections"),
    "plan": "#plan",
    **dict.fromkeys(("agreement", "comparison"), "/agreement?connection={0}"),
    "process": "#processes",
}
"""Where to act on an alert, by the first word of its cause; the numbers are those of the others."""


def to_feed(source: str) -> str:
    """What a poll reads, in a bookkeeper's words; a part of the books' changes is called as the whole."""
    feeds: Mapping[str, str] = catalogue.tables()["feeds"]
    return feeds.get(cursors.BOOKS if source.startswith(cursors.BOOKS) else source, source)


async def show_alerts(request: Request, visitor: Visitor) -> Response:
    """What needs somebody now, and what did before: since when, until when, who was told and where."""
    shared, names = services.of(request), await services.names_of(request)
    before = inputs.find_cursor(request.query_params)

    def look(session: Session) -> tuple[datetime, list[AlertRow], Sequence[AlertRow], int | None, list[charts.Chart]]:
        now, past = sql.now_of(session), todo.find_past_alerts(session, visitor.connection, before=before)
        lasting = [each for each in todo.find_alerts(session) if visitor.connection in {None, each.connection}]
        drawn = charts.to_hours(request, session, now, visitor.connection) if before is None else []
        return now, lasting, *past, drawn

    now, lasting, past, following, drawn = await shared.read(look)
    return render(
        request,
        "alerts.html",
        lasting=[to_shown(alert, names) for alert in lasting] if before is None else [],
        past=[to_shown(alert, names) for alert in past],
        is_first=before is None,
        now=now,
        charts=drawn,
        older=to_older("/alerts", {}, following),
        channels=[catalogue.tables()["channels"][name] for name in open_channels(shared.settings)],
    )


def to_shown(alert: AlertRow, names: Mapping[str, str]) -> dict[str, Any]:
    """The alert in the words of its kind; one of a kind that is not known here, as it is stored.

    `title` holds {subject} where there is one: a flow, a poll, a process; `messages` are of the detail. `told` are the
    channels that took it, `until` is when its cause was gone.
    """
    words, (name, *parts) = catalogue.tables(), alert.cause.split("/")
    kind = name if parts and name in ADDRESSES else ""
    title = words["alert_titles"].get(kind, "")
    called = names.get(alert.connection or "", alert.connection)
    parts = [str(called) if part == alert.connection else part for part in parts]
    subject = (parts[1] if len(parts) > 1 else parts[0]) if "{subject}" in title else ""
    subject = to_feed(subject) if kind == "poll" else subject
    return {
        "title": title or alert.title,
        "subject": subject,
        "is_feed": kind == "poll",
        "connection": called,
        "since": alert.first_seen,
        "detail": "" if alert.detail == alerts.WITHHELD else alert.detail or "",
        "fix": words["alert_fixes"].get(kind) or alert.fix or "",
        "address": ADDRESSES[kind].format(*(quote(part, safe="") for part in parts)) if kind else "/events",
        "messages": alert.messages,
        "sent_at": alert.sent_at,
        "told": tuple(words["channels"].get(channel, channel) for channel in alert.told.split(",") if channel),
        "until": alert.cleared_at,
    }

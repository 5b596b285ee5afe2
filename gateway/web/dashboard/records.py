"""Products and customers: what both systems have and what differs, as it was last seen; a button looks anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from gateway.database.sql import Page
from gateway.queries import activity, records
from gateway.queries.records import ListedRecord, RecordFilter, RecordPosition
from gateway.store import connections
from gateway.store.events import SETTLED, Event, Flow
from gateway.store.records import RecordKind, RecordStatus
from gateway.store.requests import Side
from gateway.web import actions, api, inputs, services
from gateway.web.access import refuse_others
from gateway.web.actions import PreviewRequest
from gateway.web.dashboard.mapping_form import to_label
from gateway.web.dashboard.preview import name_branches, to_row
from gateway.web.dashboard.rendering import render, to_older
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping.choices import ListName

_MISSING: Final = {
    RecordKind.PRODUCT: "there is no such product",
    RecordKind.CUSTOMER: "there is no such customer",
}
LONGEST_ID: Final = 18
"""Digits: no database counts further."""
_ADDRESSES: Final = {RecordKind.PRODUCT: "/products", RecordKind.CUSTOMER: "/customers"}
MARKS: Final = {"differs": "differs", "inactive": "inactive"}
FIELDS: Final = ("q", "state", "connection", "cause")
_EVENTS: Final = 10
_LONGEST_NAME: Final = 500


@dataclass(frozen=True, slots=True)
class _Found:
    """A record, its last events, those asked to look at it anew, and the names of locations and VAT codes."""

    record: ListedRecord
    events: Sequence[Event]
    asked: Sequence[Event]
    branches: Mapping[str, str]
    vat_codes: Mapping[str, str]

    @property
    def is_looking(self) -> bool:
        """Whether a worker is reading both systems."""
        return any(event.state not in SETTLED for event in self.asked)


async def show_records(kind: RecordKind, request: Request, visitor: Visitor) -> Response:
    shared, given = services.of(request), request.query_params
    wanted = await _read_filter(request, visitor, kind)

    def look(session: Session) -> tuple[Page[ListedRecord, RecordPosition], dict[str, dict[str, str]]]:
        found = records.find(session, wanted)
        keys = {each.row.connection for each in found.rows if each.row.stock}
        return found, {key: name_branches(session, key) for key in keys}

    page, branches = await shared.read(look)
    query = {name: given[name] for name in FIELDS if given.get(name)}
    return render(
        request,
        "records.html",
        kind=kind,
        address=_ADDRESSES[kind],
        page=page,
        wanted=wanted,
        query=query,
        chosen=given.get("state", ""),
        marks=MARKS if kind is RecordKind.PRODUCT else {"differs": "differs"},
        to_pieces=to_pieces,
        branches=branches,
        may_see=may_see(visitor, kind),
        older=to_older(_ADDRESSES[kind], query, f"{page.next.id}.{page.next.name}" if page.next else None),
    )


def may_see(visitor: Visitor, kind: RecordKind) -> bool:
    """Whether a visitor may see everything about a record: e-mail addresses, fields and reasons of customers may hold
    personal data beyond the name, and are for who works with them. Names stand on sales, too, and everybody sees them.
    """
    return kind is RecordKind.PRODUCT or visitor.may_work


async def _read_filter(request: Request, visitor: Visitor, kind: RecordKind) -> RecordFilter:
    given = inputs.only_filled(request.query_params)
    named, state = await services.find_key(request, inputs.find_text(given, "connection")), given.get("state")
    is_mark = state in MARKS
    number, _, name = given.get("after", "").partition(".")
    last_id = inputs.find_cursor({"after": number})
    return RecordFilter(
        kind,
        connection=visitor.connection or named,
        status=None if is_mark else inputs.find_choice(given, "state", RecordStatus),
        differs=state == "differs",
        inactive=state == "inactive",
        q=inputs.find_text(given, "q"),
        is_private=not may_see(visitor, kind),
        cause=inputs.find_text(given, "cause"),
        after=RecordPosition(name[:_LONGEST_NAME], last_id) if last_id else None,
    )


async def show_record(kind: RecordKind, request: Request, visitor: Visitor) -> Response:
    """Both sides of a record, field by field, with its stock in every location."""
    found = await _read(request, visitor, kind)
    row = found.record.row
    fields = []
    for each in map(partial(to_row, is_new=False), json.loads(row.fields or "[]")):
        called = found.vat_codes if each.name == "vat_code" else {}
        value, present = (called.get(code, code) for code in (each.value, each.present))
        fields.append(replace(each, value=value, present=present))
    return render(
        request,
        "record.html",
        kind=kind,
        address=_ADDRESSES[kind],
        found=found,
        row=row,
        fields=fields if may_see(visitor, kind) else (),
        stock=json.loads(row.stock or "[]"),
        branches=found.branches,
        may_see=may_see(visitor, kind),
        who=to_person(found.record) if kind is RecordKind.CUSTOMER else None,
    )


def to_pieces(stored: str | None) -> list[tuple[str, str]]:
    return [(str(each["branch"]), str(each["present"])) for each in json.loads(stored or "[]")]


def to_person(record: ListedRecord) -> str:
    """What an export or erasure calls the customer."""
    row = record.row
    return f"relation:{row.till_number}" if row.till_number else f"customer:{row.books_id}"


async def _read(request: Request, visitor: Visitor, kind: RecordKind) -> _Found:
    row_id = inputs.to_id(request)
    ids = request.query_params.get("looking", "").split(",")[:2]
    asked = [int(each) for each in ids if each.isdecimal() and len(each) <= LONGEST_ID]

    def look(session: Session) -> _Found:
        record = records.find_one(session, kind, row_id)
        if record is None:
            raise Refusal(404, _MISSING[kind])
        row = record.row
        refuse_others(visitor, row.connection, _MISSING[kind])
        subjects = [f"{flow}/Item/{row.source_id}" for flow in (Flow.PRODUCTS, Flow.STOCK)]
        if kind is RecordKind.CUSTOMER:
            both = (("Relation", row.till_number), ("Customer", row.books_id))
            subjects = [f"{Flow.CUSTOMERS}/{entity}/{number}" for entity, number in both if number]
        events = [
            event
            for subject in subjects
            for event in activity.find_about(session, f"{row.connection}/{subject}", limit=_EVENTS)
        ]
        looked = [activity.find_event(session, each) for each in asked if each <= inputs.LARGEST_ID]
        own = [each for each in looked if each is not None and each.connection == row.connection]
        branches = name_branches(session, row.connection) if row.stock else {}
        lists = connections.read_lists(session, row.connection) if kind is RecordKind.PRODUCT else {}
        codes = lists.get(ListName.VAT_CODES)
        vat_codes = {each.id: to_label(each, of_till=True) for each in codes.options} if codes else {}
        return _Found(record, sorted(events, key=lambda event: -event.id)[:_EVENTS], own, branches, vat_codes)

    return await services.of(request).read(look)


async def look_now(kind: RecordKind, request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    """Have a worker read both systems; the page shows the result when it is there."""
    found, shared = await _read(request, visitor, kind), services.of(request)
    row = found.record.row
    called = (await services.names_of(request)).get(row.connection, row.connection)
    if kind is RecordKind.PRODUCT:
        wanted = [PreviewRequest(flow, row.source_id, called, visitor.actor) for flow in (Flow.PRODUCTS, Flow.STOCK)]
    else:
        side = Side.TILL if row.till_number else Side.BOOKS
        number = row.till_number or row.books_id or ""
        wanted = [PreviewRequest(Flow.CUSTOMERS, number, called, visitor.actor, side=side)]
    ids = [str(await actions.ask_preview(shared, each)) for each in wanted]
    return RedirectResponse(f"{_ADDRESSES[kind]}/{row.id}?looking={','.join(ids)}", 303)


async def do_with_person(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Hand out everything kept about a customer, or erase it."""
    record, shared = (await _read(request, visitor, RecordKind.CUSTOMER)).record, services.of(request)
    who, connection = to_person(record), record.row.connection
    called = (await services.names_of(request)).get(connection, connection)
    action = request.path_params["action"]
    if action not in api.events.PERSON_ACTIONS:
        raise Refusal(404, "there is no such action")
    if action == "erase" and form.get("sure") != "yes":
        raise Refusal(409, "tick that you are sure; what is erased does not come back")
    found = await api.events.do_with_person(shared, action, who, connection=called, actor=visitor.actor)
    if action == "erase":
        return RedirectResponse("/customers", 303)
    headers = {"Content-Disposition": 'attachment; filename="person.json"'}
    return JSONResponse({"person": who} | found, headers=headers)

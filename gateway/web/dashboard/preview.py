"""The preview of a record: choose one, wait for the worker that reads both systems, then read what would be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

import simplejson
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.queries import activity, records, sales
from gateway.store import connections, requests
from gateway.store.events import DRY, SESSION, SETTLED, Event, Flow
from gateway.store.requests import Side
from gateway.store.tables import SaleRow
from gateway.web import actions, api, inputs, services, setups
from gateway.web.access import refuse_others
from gateway.web.dashboard import rendering
from gateway.web.dashboard.rendering import NOT_SENT, SentForm, render
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping import messages
from mapping.choices import ListName
from mapping.money import show_cents

ITEM = "Item"
_PEOPLE: Final[Mapping[str, str]] = {"Relation": Flow.CUSTOMERS, "Customer": actions.OF_BOOKS}
_SEEN_AS: Final = {"Relation": "relation:", "Customer": "customer:"}
_RECENT, _LOOKED_AT = 5, 60
_MISSING = "there is no such preview"


async def show_form(request: Request, visitor: Visitor, sent: SentForm = NOT_SENT) -> Response:
    """What to preview: typed, or one of the latest records."""
    given = sent.typed or request.query_params
    names = list(await services.names_in_use(request))

    def look(session: Session) -> tuple[dict[Flow, Sequence[Event]], dict[int, str]]:
        found = {flow: find_recent(session, flow, visitor.connection) for flow in Flow}
        events = [event for of_flow in found.values() for event in of_flow]
        keys = {each.id: (each.connection or "", _SEEN_AS.get(each.entity, "") + each.entity_id) for each in events}
        known = records.find_names(session, set(keys.values()))
        for connection in {each.connection or "" for each in found[Flow.CATEGORIES]}:
            listed = connections.read_lists(session, connection).get(ListName.CATEGORIES)
            known |= {(connection, option.id): option.name for option in listed.options} if listed else {}
        return found, {event_id: known[key] for event_id, key in keys.items() if key in known}

    recent, called_so = await services.of(request).read(look)
    asked = {name: given.get(name, "") for name in ("connection", "flow", "by", "record")}
    return render(
        request,
        "preview_form.html",
        sent,
        names=names,
        recent=recent,
        names_of=called_so,
        asked=asked,
        choice_of=find_choice,
    )


def find_recent(session: Session, flow: Flow, connection: str | None = None) -> Sequence[Event]:
    """The last few records of a flow, each once, newest first."""
    found = activity.find_events(session, activity.Filter(flow=flow, connection=connection, limit=_LOOKED_AT)).rows
    # In this order a later one of the same record would win, so the oldest goes first.
    once = {(event.connection, event.entity, event.entity_id): event for event in reversed(found) if can_preview(event)}
    return sorted(once.values(), key=lambda event: -event.id)[:_RECENT]


def can_preview(event: Event) -> bool:
    if event.connection is None:
        return False
    if event.flow == Flow.ORDERS:
        return event.entity in requests.RUNNABLE - {SESSION}
    return find_choice(event) is not None


def find_choice(event: Event) -> str | None:
    """Which of a form's choices an event's record is, if it is any."""
    if event.flow == Flow.CUSTOMERS:
        return _PEOPLE.get(event.entity)
    return event.flow if event.flow == Flow.ORDERS or event.entity == ITEM else None


async def ask_preview(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    shared = services.of(request)
    names = list(await services.names_of(request))
    connection = inputs.find_text(form, "connection") or (names[0] if len(names) == 1 else None)
    if connection is None:
        raise Refusal(409, "name the connection" if names else "nothing is connected yet")
    if not form.get("record", "").strip():
        return await show_form(request, visitor, SentForm(form, {"record": setups.MISSING}, 400))
    try:
        wanted = actions.to_preview(actions.read_preview_form(form), connection=connection, actor=visitor.actor)
    except Refusal as refusal:
        return await show_form(request, visitor, SentForm(form, {"record": refusal.reason}, refusal.status))
    return RedirectResponse(f"/preview/{await actions.ask_preview(shared, wanted)}", 303)


async def show_preview(request: Request, visitor: Visitor) -> Response:
    """What would be done, or that it is still being looked at: of the event, or the one that its look-up became."""
    event_id = inputs.to_id(request)

    def look(session: Session) -> tuple[Event, dict[str, str], SaleRow | None]:
        event = activity.find_event(session, event_id)
        following_id = activity.find_next(session, event) if event and event.state in SETTLED else None
        event = activity.find_event(session, following_id) if following_id else event
        if event is None or not is_preview(event):
            raise Refusal(404, _MISSING)
        refuse_others(visitor, event.connection, _MISSING)
        connection = event.connection or ""
        named = sales.find_named(session, connection, [event.entity_id]) if event.flow == Flow.ORDERS else {}
        return event, name_branches(session, connection), next(iter(named.values()), None)

    event, branches, sale = await services.of(request).read(look)
    asked = hint if isinstance(hint := api.events.parse(event.hint), dict) else {}
    return render(
        request,
        "preview.html",
        event=event,
        waiting=event.state not in SETTLED,
        found=read_result(event),
        branches=branches,
        sale=sale,
        raw=api.events.parse(event.result),
        is_trial=requests.SETTINGS in asked,
        by=asked.get("by", "id"),
        choice=actions.OF_BOOKS if event.flow == Flow.CUSTOMERS and asked.get("side") == Side.BOOKS else event.flow,
        asked_for=asked.get("record")
        or (rendering.to_record({}, event) if event.flow == Flow.ORDERS else event.entity_id),
    )


def name_branches(session: Session, connection: str) -> dict[str, str]:
    """What sales call the locations, else the till's own list, by their numbers as stock has them."""
    listed = connections.read_lists(session, connection).get(ListName.BRANCHES)
    known = {option.id: option.name for option in listed.options} if listed else {}
    return known | {str(number): name for number, name in sales.branches(session, connection) if name}


def is_preview(event: Event) -> bool:
    """Whether an event is a preview: of a record of the books, or an order's dry run."""
    return event.entity == requests.PREVIEW or event.subject.endswith(DRY)


# --- what a preview or a dry run answered; pure -----------------------------------------------------------------------


_WORDS: Final = catalogue.tables()
_CENTS = "_cents"
Effect = Literal["written", "left as it is", "unchanged"]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One target field. `origin` is the source field or setting, `why` why it is left.

    `steps` lead from the source to the result: what was done, from which value to which.
    """

    name: str
    label: str
    origin: str
    steps: Sequence[tuple[str, str, str]]
    value: str
    present: str
    effect: Effect
    why: str | None

    @property
    def is_money(self) -> bool:
        """Whether value and present are euros, such as 12.50; empty where there is none."""
        return self.name.endswith(_CENTS)


@dataclass(frozen=True, slots=True)
class PreviewResult:
    """A preview's answer: `result` as the worker wrote it, and what people read of it; what does not apply is empty.

    `headline` is a sentence of `outcomes` or `plans`. `article` is the record's number over there, which is called
    `number`; `match` says how it was found.
    """

    result: Mapping[str, Any]
    headline: str
    titles: Sequence[str] = ()
    article: str | None = None
    number: str = _WORDS["numbers"]["till"]
    match: str | None = None
    rows: Sequence[FieldRow] = ()
    stock: Sequence[Mapping[str, str]] = ()
    on_hand: str | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """Why nothing would be done."""
        found: str | None = self.result.get("refused" if "action" in self.result else "reason")
        return found


def read_result(event: Event) -> PreviewResult | None:
    """The outlook on the event's row, or None while there is none (or only a sentence)."""
    try:
        result = messages.restore(simplejson.loads(event.result or "null", use_decimal=True), event.messages)
    except ValueError:
        return None
    if not isinstance(result, Mapping):
        return None
    if "action" not in result:
        return to_result(result)
    if result.get("refused"):
        return PreviewResult(result, "It would not be booked.")
    headline = _WORDS["plans"].get(result["action"], result["action"])
    return PreviewResult(result, headline, plan=to_plan(result) if "body" in result else {})


def to_result(result: Mapping[str, Any]) -> PreviewResult:
    """What would become of a record that is no order."""
    outcome = result.get("outcome", "")
    rows = [to_row(row, is_new=outcome == "created") for row in result.get("fields", ())]
    if outcome == "updated" and rows and all(row.effect != "written" for row in rows):
        outcome = "unchanged"
    into = result.get("into", "till")
    sentences = _WORDS["outcomes_in_books"] if into == "books" else {}
    # What somebody called it is not translated, even where it is a word that these pages use.
    name = [messages.message("{text}", text=result["name"])] if result.get("name") else []
    return PreviewResult(
        result,
        sentences.get(outcome) or _WORDS["outcomes"].get(outcome, outcome),
        titles=[*name, *(result[each] for each in ("item", "who") if result.get(each))],
        article=show(result.get("article") or result.get("target")) or None,
        number=_WORDS["numbers"].get(into, into),
        match=_WORDS["matches"].get(result.get("matched") or ""),
        rows=rows,
        stock=[{name: _show_pieces(value) for name, value in row.items()} for row in result.get("stock", ())],
        on_hand=_show_pieces(result.get("on_hand")) or None,
    )


def to_row(row: Mapping[str, Any], *, is_new: bool) -> FieldRow:
    name, value, present = row["field"], row.get("value"), row.get("present")

    def to_text(value: Any) -> str:
        return show_cents(value) if name.endswith(_CENTS) and isinstance(value, int) else show(value)

    same = not is_new and show(value) == show(present)
    effect: Effect = "unchanged" if same else "left as it is" if row.get("kept") else "written"
    steps = [(str(step["action"]), show(step["before"]), to_text(step["after"])) for step in row.get("steps", ())]
    return FieldRow(
        name=name,
        label=_WORDS["fields"].get(name, name.removeprefix("custom.")),
        origin=row.get("source", ""),
        steps=steps,
        value=to_text(value),
        present=to_text(present),
        effect=effect,
        why=row.get("kept") if effect == "left as it is" else None,
    )


def _show_pieces(value: Any) -> str:
    """A quantity without the zeros behind it."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else show(value)


UNNAMED, PROMISED = "(id in QuickBooks, name unknown)", "(would be made)"

_KINDS: Final[Mapping[str, Literal["day", "money"]]] = {"TxnDate": "day", "DueDate": "day", "TotalAmt": "money"}
_NAMED_BY_THEMSELVES: Final = frozenset({"ShipMethodRef", "CustomerMemo"})
Names = Mapping[str, Mapping[str, str]]

_PROMISE: Final = "(would be created: "


@dataclass(frozen=True, slots=True)
class ShownValue:
    """A value as people read it, and what there is to say of it: `UNNAMED`, `PROMISED`, or nothing.

    `kind` says of what is no text that it is a day or money.
    """

    text: str
    note: str = ""
    kind: Literal["text", "day", "money"] = "text"

    def __str__(self) -> str:
        return f"{self.text} {self.note}".strip()


def show(value: Any) -> str:
    """A value as text; nothing is an empty one."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def to_plan(result: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a dry run: its facts, lines, taxes and payments, and what the till's words were found to be."""
    body, references = result["body"], result.get("references") or {}
    names = {**(result.get("names") or {})}
    if original := references.get("original"):
        names["InvoiceRef"] = {_id_of(body.get("InvoiceRef")): original}
    if customer := result.get("customer"):
        names["CustomerRef"] = {references.get("customer") or _id_of(body.get("CustomerRef")): customer}
    taxes = (body.get("TxnTaxDetail") or {}).get("TaxLine", ())
    details = [(line.get("TaxLineDetail") or {}, line.get("Amount")) for line in taxes]
    lines: list[dict[str, str | ShownValue]] = []
    for line in body.get("Line", ()):
        detail = line.get("SalesItemLineDetail") or {}
        lines.append(
            {
                "description": show(line.get("Description")),
                "item": _plain("ItemRef", detail, names),
                "quantity": show(detail.get("Qty")),
                "price": show(detail.get("UnitPrice")),
                "code": _plain("TaxCodeRef", detail, names),
                "amount": show(line.get("Amount")),
            }
        )
    return {
        "entity": result["entity"],
        "title": _WORDS["documents"].get(result["entity"], result["entity"]),
        "total": str(result["total"]),
        "facts": list(_facts(body, names)),
        "lines": lines,
        "taxes": [
            {"percent": show(each.get("TaxPercent")), "net": show(each.get("NetAmountTaxable")), "tax": show(amount)}
            for each, amount in details
        ],
        "payments": [dict(_facts(payment, names)) for payment in result.get("payments", ())],
        "beside": [
            f"{each.get('DocNumber', '')} {each.get('TxnDate', '')}".strip() for each in result.get("beside", ())
        ],
        "resolved": list(_resolved(references)),
        "created": [_promised(str(each)) for each in result.get("would_create", ())],
    }


def _promised(said: str) -> tuple[str, str]:
    """What would be made first: a word of `made`, and the name of the record."""
    text = said.removeprefix(_PROMISE).removesuffix(")")
    kind = next((kind for kind in _WORDS["made"] if text.startswith(f"{kind} ")), "")
    return _WORDS["made"].get(kind, ""), text.removeprefix(kind).strip()


def _told(text: str) -> ShownValue:
    return ShownValue(_promised(text)[1], PROMISED) if text.startswith(_PROMISE) else ShownValue(text)


def _facts(body: Mapping[str, Any], names: Names) -> Iterator[tuple[str, ShownValue]]:
    for name, label in _WORDS["facts"].items():
        told = _plain(name, body, names)
        if told.text:
            yield label, told


def _plain(name: str, body: Mapping[str, Any], names: Names) -> ShownValue:
    """A field as people read it: of a reference the record's name, or its id with `UNNAMED` behind it."""
    value = body.get(name)
    if not isinstance(value, Mapping):
        return ShownValue(show(value), kind=_KINDS.get(name, "text"))
    record_id = _id_of(value)
    if name in _NAMED_BY_THEMSELVES or record_id.startswith(_PROMISE):
        return _told(record_id)
    found = names.get(name, {}).get(record_id)
    return _told(found) if found else ShownValue(record_id, UNNAMED)


def _id_of(reference: Mapping[str, Any] | None) -> str:
    return show((reference or {}).get("value"))


def _resolved(references: Mapping[str, Any]) -> Iterator[tuple[str, tuple[tuple[str, ShownValue], ...]]]:
    """What each name and number of the till was found to be; what was not needed is left out."""
    for name, label in _WORDS["resolved"].items():
        found = references.get(name)
        if isinstance(found, Mapping) and "id" not in found:
            pairs = tuple((str(key), _named(value)) for key, value in found.items() if value)
        else:
            pairs = (("", _named(found)),) if found else ()
        if pairs:
            yield label, pairs


def _named(value: Any) -> ShownValue:
    if not isinstance(value, Mapping):
        return _told(show(value))
    record_id = show(value.get("id"))
    if record_id.startswith(_PROMISE):
        return _told(record_id)
    return ShownValue(f"{value['name']} ({record_id})") if value.get("name") else ShownValue(record_id, UNNAMED)

"""What a preview or a dry run answered, as a page shows it: fields with their steps, branches, or a document. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

import simplejson

from gateway import catalogue
from gateway.store.events import Event
from mapping import messages
from mapping.money import show_cents

_WORDS: Final = catalogue.tables()
_CENTS = "_cents"
Effect = Literal["written", "left as it is", "unchanged"]


@dataclass(frozen=True, slots=True)
class FieldStep:
    """One step from a source value to a result."""

    action: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One target field. `origin` is the source field or setting, `why` why it is left."""

    name: str
    label: str
    origin: str
    steps: tuple[FieldStep, ...]
    value: str
    present: str
    effect: Effect
    why: str | None

    @property
    def is_money(self) -> bool:
        """Whether value and present are euros, such as 12.50; empty where there is none."""
        return self.name.endswith(_CENTS)


@dataclass(frozen=True, slots=True)
class Outlook:
    """A preview's answer; what does not apply is empty. `headline` is a sentence of `outcomes` or `plans`.

    `article` is the record's number over there, which is called `number`; `match` says how it was found. `steps` are
    what would be done with a sale beside its document, `sale` is the sale as the till has it, `already` its document.
    """

    headline: str
    titles: tuple[str, ...] = ()
    reason: str | None = None
    place: str | None = None
    fix: str | None = None
    article: str | None = None
    number: str = _WORDS["numbers"]["till"]
    match: str | None = None
    rows: tuple[FieldRow, ...] = ()
    stock: tuple[Mapping[str, str], ...] = ()
    formula: str | None = None
    on_hand: str | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    sale: Mapping[str, Any] = field(default_factory=dict)
    already: Mapping[str, Any] = field(default_factory=dict)


def read(event: Event) -> Outlook | None:
    """The outlook on the event's row, or None while there is none (or only a sentence)."""
    try:
        result = messages.restore(simplejson.loads(event.result or "null", use_decimal=True), event.messages)
    except ValueError:
        return None
    if not isinstance(result, Mapping):
        return None
    return _to_order(result) if "action" in result else _to_item(result)


def _to_item(result: Mapping[str, Any]) -> Outlook:
    is_new = result.get("outcome") == "created"
    rows = tuple(to_row(row, is_new=is_new) for row in result.get("fields", ()))
    outcome = result.get("outcome", "")
    if outcome == "updated" and rows and all(row.effect != "written" for row in rows):
        outcome = "unchanged"
    into = result.get("into", "till")
    sentences = _WORDS["outcomes_in_books"] if into == "books" else {}
    # What somebody called it is not translated, even where it is a word that these pages use.
    name = (messages.message("{text}", text=result["name"]),) if result.get("name") else ()
    return Outlook(
        headline=sentences.get(outcome) or _WORDS["outcomes"].get(outcome, outcome),
        titles=(*name, *(result[each] for each in ("item", "who") if result.get(each))),
        reason=result.get("reason"),
        place=result.get("field"),
        fix=result.get("fix"),
        article=show(result.get("article") or result.get("target")) or None,
        number=_WORDS["numbers"].get(into, into),
        match=_WORDS["matches"].get(result.get("matched") or ""),
        rows=rows,
        stock=tuple({name: _show_pieces(value) for name, value in row.items()} for row in result.get("stock", ())),
        formula=result.get("formula"),
        on_hand=_show_pieces(result.get("on_hand")) or None,
    )


def to_row(row: Mapping[str, Any], *, is_new: bool) -> FieldRow:
    name, value, present = row["field"], row.get("value"), row.get("present")

    def to_text(value: Any) -> str:
        return show_cents(value) if name.endswith(_CENTS) and isinstance(value, int) else show(value)

    same = not is_new and show(value) == show(present)
    effect: Effect = "unchanged" if same else "left as it is" if row.get("kept") else "written"
    steps = [
        FieldStep(str(step["action"]), show(step["before"]), to_text(step["after"])) for step in row.get("steps", ())
    ]
    return FieldRow(
        name=name,
        label=_WORDS["fields"].get(name, name.removeprefix("custom.")),
        origin=row.get("source", ""),
        steps=tuple(steps),
        value=to_text(value),
        present=to_text(present),
        effect=effect,
        why=row.get("kept") if effect == "left as it is" else None,
    )


def _show_pieces(value: Any) -> str:
    """A quantity without the zeros behind it."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else show(value)


def _to_order(result: Mapping[str, Any]) -> Outlook:
    refused = result.get("refused")
    return Outlook(
        headline="It would not be booked." if refused else _WORDS["plans"].get(result["action"], result["action"]),
        already=result.get("already") or {},
        reason=refused,
        place=result.get("field"),
        fix=result.get("fix"),
        plan={} if refused or "body" not in result else to_plan(result),
        steps=tuple(result.get("steps", ())),
        sale=result.get("sale") or {},
    )


UNNAMED, PROMISED = "(id in QuickBooks, name unknown)", "(would be made)"

_KINDS: Final[Mapping[str, Literal["day", "money"]]] = {"TxnDate": "day", "DueDate": "day", "TotalAmt": "money"}
_NAMED_BY_THEMSELVES: Final = frozenset({"ShipMethodRef", "CustomerMemo"})
Names = Mapping[str, Mapping[str, str]]

_PROMISE: Final = "(would be created: "


@dataclass(frozen=True, slots=True)
class Told:
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
    return {
        "entity": result["entity"],
        "title": _WORDS["documents"].get(result["entity"], result["entity"]),
        "total": str(result["total"]),
        "facts": list(_facts(body, names)),
        "lines": [_to_line(line, names) for line in body.get("Line", ())],
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


def _told(text: str) -> Told:
    return Told(_promised(text)[1], PROMISED) if text.startswith(_PROMISE) else Told(text)


def _facts(body: Mapping[str, Any], names: Names) -> Iterator[tuple[str, Told]]:
    for name, label in _WORDS["facts"].items():
        told = _plain(name, body, names)
        if told.text:
            yield label, told


def _plain(name: str, body: Mapping[str, Any], names: Names) -> Told:
    """A field as people read it: of a reference the record's name, or its id with `UNNAMED` behind it."""
    value = body.get(name)
    if not isinstance(value, Mapping):
        return Told(show(value), kind=_KINDS.get(name, "text"))
    record_id = _id_of(value)
    if name in _NAMED_BY_THEMSELVES or record_id.startswith(_PROMISE):
        return _told(record_id)
    found = names.get(name, {}).get(record_id)
    return _told(found) if found else Told(record_id, UNNAMED)


def _id_of(reference: Mapping[str, Any] | None) -> str:
    return show((reference or {}).get("value"))


def _to_line(line: Mapping[str, Any], names: Names) -> dict[str, str | Told]:
    detail = line.get("SalesItemLineDetail") or {}
    return {
        "description": show(line.get("Description")),
        "item": _plain("ItemRef", detail, names),
        "quantity": show(detail.get("Qty")),
        "price": show(detail.get("UnitPrice")),
        "code": _plain("TaxCodeRef", detail, names),
        "amount": show(line.get("Amount")),
    }


def _resolved(references: Mapping[str, Any]) -> Iterator[tuple[str, tuple[tuple[str, Told], ...]]]:
    """What each name and number of the till was found to be; what was not needed is left out."""
    for name, label in _WORDS["resolved"].items():
        found = references.get(name)
        if isinstance(found, Mapping) and "id" not in found:
            pairs = tuple((str(key), _named(value)) for key, value in found.items() if value)
        else:
            pairs = (("", _named(found)),) if found else ()
        if pairs:
            yield label, pairs


def _named(value: Any) -> Told:
    if not isinstance(value, Mapping):
        return _told(show(value))
    record_id = show(value.get("id"))
    if record_id.startswith(_PROMISE):
        return _told(record_id)
    return Told(f"{value['name']} ({record_id})") if value.get("name") else Told(record_id, UNNAMED)

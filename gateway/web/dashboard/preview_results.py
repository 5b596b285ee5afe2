"""What a preview or a dry run answered, as a page shows it: fields with their steps, branches, or a document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

import simplejson

from gateway.store.events import Event
from gateway.web.dashboard import preview_orders
from gateway.web.dashboard.preview_orders import show
from mapping import messages
from mapping.money import show_cents

LABELS: Final = {
    "number": "Article number",
    "ext_id": "External id",
    "plu": "PLU number",
    "active": "Active",
    "description": "Description",
    "receipt_text": "Text on the receipt",
    "invoice_text": "Text on the invoice",
    "display_text": "Text on the display",
    "extra_text": "Long text",
    "barcode": "Barcode",
    "turnover_group": "Turnover group",
    "vat_code": "VAT code",
    "price_incl_cents": "Price including VAT",
    "price_excl_cents": "Price excluding VAT",
    "stock_article": "Keeps stock",
    "webshop": "In the webshop",
    "colour": "Colour",
    "size": "Size",
    "name": "Name",
    "parent": "Group above it",
    "group": "Article group",
    "product": "Product",
    "display_name": "Display name",
    "email": "E-mail address",
    "given_name": "Given name",
    "family_name": "Family name",
    "company_name": "Company",
    "company": "Company",
    "contact": "Contact person",
    "phone": "Telephone",
    "mobile": "Mobile phone",
    "billing.lines": "Address",
    "billing.postal_code": "Postal code",
    "billing.city": "City",
    "billing.country": "Country",
    "shipping.lines": "Delivery address",
    "shipping.postal_code": "Postal code of delivery",
    "shipping.city": "City of delivery",
    "shipping.country": "Country of delivery",
    "address.street": "Address",
    "address.postal_code": "Postal code",
    "address.city": "City",
    "address.country": "Country",
    "delivery_address.street": "Delivery address",
    "delivery_address.postal_code": "Postal code of delivery",
    "delivery_address.city": "City of delivery",
    "delivery_address.country": "Country of delivery",
    "vat_number": "VAT number",
}
EFFECTS: Final = ("written", "left as it is", "unchanged")
OUTCOMES: Final = {
    "created": "It would be made at the till.",
    "updated": "It exists at the till and would be updated.",
    "unchanged": "It exists at the till as it is; nothing would be written.",
    "deactivated": "Its article would be made inactive at the till.",
    "skipped": "It would be skipped.",
    "parked": "It would wait for a person.",
    "unknown": "This record was not found.",
    "stock": "The stock in each branch.",
}
IN_BOOKS: Final = {
    "created": "It would be made in QuickBooks.",
    "updated": "It exists in QuickBooks and would be updated.",
    "unchanged": "It exists in QuickBooks as it is; nothing would be written.",
}
MATCHES: Final = {
    "by what was written before": "It was found by what was written before.",
    "by its e-mail address": "It was found by its e-mail address.",
    "by our id": "It was found by our id.",
    "by its name and e-mail address": "It was found by its name and e-mail address.",
}
NUMBERS: Final = {"books": "Id in QuickBooks", "till": "Number at the till"}
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
    """A preview's answer; what does not apply is empty. `headline` is a sentence of `OUTCOMES` or `PLANS`.

    `article` is the record's number over there, which is called `number`; `match` says how it was found. `steps` are
    what would be done with a sale beside its document, `sale` is the sale as the till has it, `already` its document.
    """

    headline: str
    titles: tuple[str, ...] = ()
    reason: str | None = None
    place: str | None = None
    fix: str | None = None
    article: str | None = None
    number: str = NUMBERS["till"]
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
    sentences = IN_BOOKS if into == "books" else {}
    return Outlook(
        headline=sentences.get(outcome) or OUTCOMES.get(outcome, outcome),
        titles=tuple(result[name] for name in ("name", "item", "who") if result.get(name)),
        reason=result.get("reason"),
        place=result.get("field"),
        fix=result.get("fix"),
        article=show(result.get("article") or result.get("target")) or None,
        number=NUMBERS.get(into, into),
        match=MATCHES.get(result.get("matched") or ""),
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
        label=LABELS.get(name, name.removeprefix("custom.")),
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
    already = result.get("already") or {}
    return Outlook(
        headline="It would not be booked." if refused else preview_orders.PLANS.get(result["action"], result["action"]),
        already=already,
        reason=refused,
        place=result.get("field"),
        fix=result.get("fix"),
        plan={} if refused or "body" not in result else preview_orders.to_plan(result),
        steps=tuple(result.get("steps", ())),
        sale=result.get("sale") or {},
    )

"""What an order's dry run answered, as a page shows it: the document and how it came about. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

PLANS: Final = {
    "book": "It would be booked.",
    "book again": "Its document was deleted in QuickBooks; it would be booked again.",
    "link": "It is in QuickBooks already; its document would be linked.",
    "nothing: already booked": "It is booked already; nothing would be done.",
    "nothing: its document is gone from QuickBooks": "It was cancelled, and its document is gone from QuickBooks; "
    "nothing would be done.",
    "repair": "It is booked, and something of it is missing or was changed; that would be put right.",
    "restore": "Its document was voided; it would get its amounts back.",
    "settle": "Its payments would be brought up to date.",
    "update": "Its document would be updated.",
    "void": "Its document would be voided.",
    "park": "It would wait for a person.",
}
FACTS: Final = {
    "DocNumber": "Number",
    "TxnDate": "Date",
    "DueDate": "Due on",
    "CustomerRef": "Customer",
    "DepartmentRef": "Location",
    "PaymentMethodRef": "Payment method",
    "PaymentRefNum": "Payment reference",
    "DepositToAccountRef": "Deposit to",
    "SalesTermRef": "Terms",
    "ShipMethodRef": "Shipping method",
    "InvoiceRef": "Invoice",
    "CustomerMemo": "Memo",
    "PrivateNote": "Private note",
    "TotalAmt": "Total",
}
RESOLVED: Final = {
    "items": "Articles to items",
    "tax_codes": "VAT to tax codes",
    "payment_methods": "Ways to pay",
    "deposit_accounts": "Deposit accounts",
    "department": "Location",
    "class": "Class",
    "term": "Terms",
    "shipping_method": "Shipping method",
    "original": "Original document",
}

DOCUMENTS: Final[Mapping[str, str]] = {
    "SalesReceipt": "Sales receipt",
    "RefundReceipt": "Refund receipt",
    "Invoice": "Invoice",
    "CreditMemo": "Credit memo",
}
UNNAMED, PROMISED = "(id in QuickBooks, name unknown)", "(would be made)"
NOTES: Final = (UNNAMED, PROMISED)
MADE: Final = {"customer": "Customer", "item": "Item", "payment method": "Payment method", "account": "Account"}

_KINDS: Final[Mapping[str, Literal["day", "money"]]] = {"TxnDate": "day", "DueDate": "day", "TotalAmt": "money"}
_NAMED_BY_THEMSELVES: Final = frozenset({"ShipMethodRef"})
Names = Mapping[str, Mapping[str, str]]

_PROMISE: Final = "(would be created: "


@dataclass(frozen=True, slots=True)
class Told:
    """A value as people read it, and what there is to say of it: one of `NOTES`, or nothing.

    `kind` says of what is no text that it is a day or money.
    """

    text: str
    note: str = ""
    kind: Literal["text", "day", "money"] = "text"

    def __str__(self) -> str:
        return f"{self.text} {self.note}".strip()


def show(value: Any) -> str:
    """A value as text; nothing is an empty one."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


def to_plan(result: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a dry run: its facts, lines, taxes and payments, and what the till's words were found to be."""
    body, references = result["body"], result.get("references") or {}
    names = {**(result.get("names") or {})}
    if original := references.get("original"):
        names["InvoiceRef"] = {_id_of(body.get("InvoiceRef")): original}
    if customer := result.get("customer"):
        names["CustomerRef"] = {references.get("customer") or _id_of(body.get("CustomerRef")): customer}
    tax = body.get("TxnTaxDetail") or {}
    return {
        "entity": result["entity"],
        "title": DOCUMENTS.get(result["entity"], result["entity"]),
        "total": str(result["total"]),
        "facts": list(_facts(body, names)),
        "lines": [_to_line(line, names) for line in body.get("Line", ())],
        "taxes": [_to_tax(line) for line in tax.get("TaxLine", ())],
        "payments": [dict(_facts(payment, names)) for payment in result.get("payments", ())],
        "beside": [
            f"{each.get('DocNumber', '')} {each.get('TxnDate', '')}".strip() for each in result.get("beside", ())
        ],
        "resolved": list(_resolved(references)),
        "created": [_promised(str(each)) for each in result.get("would_create", ())],
    }


def _promised(said: str) -> tuple[str, str]:
    """What would be made first: a word of `MADE`, and the name of the record."""
    text = said.removeprefix(_PROMISE).removesuffix(")")
    kind = next((kind for kind in MADE if text.startswith(f"{kind} ")), "")
    return MADE.get(kind, ""), text.removeprefix(kind).strip()


def _told(text: str) -> Told:
    return Told(_promised(text)[1], PROMISED) if text.startswith(_PROMISE) else Told(text)


def _facts(body: Mapping[str, Any], names: Names) -> Iterator[tuple[str, Told]]:
    for name, label in FACTS.items():
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


def _to_tax(line: Mapping[str, Any]) -> dict[str, str]:
    detail = line.get("TaxLineDetail") or {}
    return {
        "percent": show(detail.get("TaxPercent")),
        "net": show(detail.get("NetAmountTaxable")),
        "tax": show(line.get("Amount")),
    }


def _resolved(references: Mapping[str, Any]) -> Iterator[tuple[str, tuple[tuple[str, Told], ...]]]:
    """What each name and number of the till was found to be; what was not needed is left out."""
    for name, label in RESOLVED.items():
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

"""What an order's dry run answered, as a page shows it: the document and how it came about. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

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
    "DepartmentRef": "Department",
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
    "department": "Department",
    "class": "Class",
    "term": "Terms",
    "shipping_method": "Shipping method",
    "original": "Original document",
}

UNNAMED: Final = "(id in QuickBooks, name unknown)"

_NAMED_BY_THEMSELVES: Final = frozenset({"ShipMethodRef"})
Names = Mapping[str, Mapping[str, str]]

_PROMISE: Final = "would be created: "


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
        "total": str(result["total"]),
        "facts": list(_facts(body, names)),
        "lines": [_to_line(line, names) for line in body.get("Line", ())],
        "taxes": [_to_tax(line) for line in tax.get("TaxLine", ())],
        "payments": [dict(_facts(payment, names)) for payment in result.get("payments", ())],
        "beside": [
            f"{each.get('DocNumber', '')} {each.get('TxnDate', '')}".strip() for each in result.get("beside", ())
        ],
        "resolved": list(_resolved(references)),
        "created": [str(each).strip("()").removeprefix(_PROMISE) for each in result.get("would_create", ())],
    }


def _facts(body: Mapping[str, Any], names: Names) -> Iterator[tuple[str, str]]:
    for name, label in FACTS.items():
        if text := _plain(name, body, names):
            yield label, text


def _plain(name: str, body: Mapping[str, Any], names: Names) -> str:
    """A field as people read it: of a reference the record's name, or its id with `UNNAMED` behind it."""
    value = body.get(name)
    if not isinstance(value, Mapping):
        return show(value)
    record_id = _id_of(value)
    if name in _NAMED_BY_THEMSELVES:
        return record_id
    return names.get(name, {}).get(record_id) or f"{record_id} {UNNAMED}"


def _id_of(reference: Mapping[str, Any] | None) -> str:
    return show((reference or {}).get("value"))


def _to_line(line: Mapping[str, Any], names: Names) -> dict[str, str]:
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


def _resolved(references: Mapping[str, Any]) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """What each name and number of the till was found to be; what was not needed is left out."""
    for name, label in RESOLVED.items():
        found = references.get(name)
        if isinstance(found, Mapping) and "id" not in found:
            pairs = tuple((str(key), _named(value)) for key, value in found.items() if value)
        else:
            pairs = (("", _named(found)),) if found else ()
        if pairs:
            yield label, pairs


def _named(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['name']} ({value['id']})" if value.get("name") else f"{value.get('id')} {UNNAMED}"
    return show(value)

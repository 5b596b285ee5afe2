"""The JSON of the books, read and written whole, and typed access to its fields, which raises with a field's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import simplejson

from gateway.connectors import texts
from gateway.errors import Permanent
from mapping.messages import message

# The list entities answer only their active rows unless asked; these have an Active flag to ask with.
WITH_ACTIVE_FLAG: Final = frozenset(
    {
        "Account", "Class", "Customer", "Department", "Employee", "Item", "PaymentMethod",
        "TaxCode", "TaxRate", "Term", "Vendor",
    }
)  # fmt: skip

_SPELLINGS: Final = (
    "Account", "Attachable", "Bill", "BillPayment", "Budget", "Class", "CompanyCurrency", "CompanyInfo", "CreditMemo",
    "Currency", "Customer", "CustomerType", "Department", "Deposit", "Employee", "Estimate", "InventoryAdjustment",
    "Invoice", "Item", "JournalCode", "JournalEntry", "Payment", "PaymentMethod", "Preferences", "Purchase",
    "PurchaseOrder", "RefundReceipt", "SalesReceipt", "TaxAgency", "TaxCode", "TaxRate", "Term", "TimeActivity",
    "Transfer", "Vendor", "VendorCredit",
)  # fmt: skip

_BY_LOWER_CASE: Final = {name.lower(): name for name in _SPELLINGS}
_KEYS: Final = {
    "DisplayName": 500,
    "GivenName": 100,
    "FamilyName": 100,
    "CompanyName": 100,
    "PrimaryEmailAddr": 100,
    "BillEmail": 100,
    "PrimaryPhone": 30,
    "Mobile": 30,
    "ResaleNum": 16,
    "PrimaryTaxIdentifier": 30,
    "City": 255,
    "Country": 255,
    "PostalCode": 30,
    "DocNumber": 21,
    "PaymentRefNum": 21,
    "PaymentMethod.Name": 31,
    "Department.Name": 100,
    "Account.Name": 100,
}

_PROSE: Final = {
    "Description": 4000,
    "PrivateNote": 4000,
    "CustomerMemo": 1000,
    # 500 each, but 2000 over five lines: 400 keeps both.
    "AddressLine": 400,
    "ShipMethodRef": 100,
}

_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]+")


def misshapen(key: str) -> Permanent:
    """The error of an answer that differs from the books' documentation."""
    return Permanent(
        message("an answer of QuickBooks is not understood: {key}", key=key),
        field=key,
        fix="operator of the gateway: look at the recorded answer in the activity log and report it",
    )


def find_text(source: Json, key: str) -> str | None:
    """A text, or None where it is absent or empty; a whole number, as which an id may come, counts too."""
    value = source.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, str):
        return value or None
    raise misshapen(key)


def need_text(source: Json, key: str) -> str:
    value = find_text(source, key)
    if value is None:
        raise misshapen(key)
    return value


def find_number(source: Json, key: str) -> Decimal | None:
    """An exact number, or None where it is absent; one in quotes counts too."""
    value = source.get(key)
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise misshapen(key)
    return Decimal(value)


def need_number(source: Json, key: str) -> Decimal:
    value = find_number(source, key)
    if value is None:
        raise misshapen(key)
    return value


def is_true(source: Json, key: str, *, default: bool = False) -> bool:
    return bool(source.get(key, default))


def part(source: Json, key: str) -> Json:
    """An object inside an object; an empty one where it is absent."""
    value = source.get(key)
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    raise misshapen(key)


def rows(source: Json, key: str) -> list[Json]:
    """The objects of a list; none where it is absent."""
    value = source.get(key)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return value
    raise misshapen(key)


def find_reference(source: Json, key: str) -> str | None:
    """The id inside `{"value": id, "name": ...}`, or None."""
    return find_text(part(source, key), "value")


def find_date(source: Json, key: str) -> date | None:
    """The calendar day that a text starts with (`2026-08-01` or `2026-08-01T00:00:00-07:00`), or None."""
    value = source.get(key)
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value.strip()[:10])
    except ValueError:
        return None


def updated_at(source: Json) -> datetime | None:
    return find_moment(part(source, "MetaData").get("LastUpdatedTime"))


Json = Mapping[str, Any]
_MAYBE_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xc2\xef]|\\[bfu]")


def find_object(body: bytes) -> Json | None:
    """The JSON object a body holds, its fractions as Decimal; None when it holds anything else.

    Control characters are left out of its texts: no till can show them, and texts are compared with the till's.
    """
    try:
        found = simplejson.loads(body, cls=simplejson.JSONDecoder, use_decimal=True, strict=False)
    except (ValueError, RecursionError, InvalidOperation):
        return None
    if not isinstance(found, dict):
        return None
    cleaned: Json = texts.clean(found)[0] if _MAYBE_CONTROL.search(body) else found
    return cleaned


def to_bytes(body: Json) -> bytes:
    """A request body: ASCII JSON, so that no text can break the encoding."""
    return simplejson.dumps(body, use_decimal=True).encode("ascii")


def find_moment(text: object) -> datetime | None:
    """The moment in UTC, or None when the text is not one. Nanoseconds are cut to microseconds; no offset means UTC."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def write_moment(moment: datetime) -> str:
    """An aware moment the way change data capture and queries take it: ISO 8601 with `Z`, to the second."""
    if moment.tzinfo is None:
        raise ValueError("a moment sent to the books must be aware")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spell(name: str) -> str:
    """`salesreceipt` -> `SalesReceipt`; an unknown name is returned as it is."""
    return _BY_LOWER_CASE.get(name.lower(), name)


def fit_key(field: str, text: str | None) -> str | None:
    """A text that identifies a record, its white space made single spaces. Raises Permanent when it is too long."""
    if text is None:
        return None
    line = " ".join(_CONTROL.sub(" ", text).split())
    if len(line) > _KEYS[field]:
        raise Permanent(
            message("{field} is longer than the {limit} characters QuickBooks takes", field=field, limit=_KEYS[field]),
            field=field,
            fix="bookkeeper: shorten it at its source or in the mapping, then retry",
        )
    return line or None


def fit_prose(field: str, text: str | None) -> str | None:
    """A text for people: without control characters, cut with an ellipsis where it is too long."""
    if text is None:
        return None
    clean = _CONTROL.sub(" ", text.replace("\r\n", "\n")).strip()
    limit = _PROSE[field]
    return (clean if len(clean) <= limit else clean[: limit - 1] + "…") or None

"""Maximum lengths of texts in the books: keys that are too long are refused by name, prose is cut with an ellipsis."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import Permanent
from mapping.messages import message

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

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]+")


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

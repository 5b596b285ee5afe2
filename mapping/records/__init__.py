"""The frozen records of both systems: the connectors read and write them, the mapping translates them.

Units: `*_cents` are integer euro cents; `Decimal` amounts are euros; quantities are `Decimal` pieces; percentages are
`Decimal` per cent (21 means 21 %). Dates are business dates of the shop (Europe/Amsterdam); datetimes are aware.

A fingerprint is a stable short text for a record's content, to detect changes without a read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from mapping.money import show_number
from mapping.records.books import *  # noqa: F403
from mapping.records.till import *  # noqa: F403


def fingerprint(value: object) -> str:
    """A hash of a record's content, independent of the order of mappings and of trailing zeros."""
    canonical = json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    match value:
        case None | bool() | int() | str() if not isinstance(value, Enum):
            plain: object = value
        case Enum():
            plain = _plain(value.value)
        case Decimal():
            plain = show_number(value) if value.is_finite() else str(value)
        case date():
            plain = value.isoformat()
        case Mapping():
            plain = {str(key): _plain(inner) for key, inner in value.items()}
        case tuple() | list():
            plain = [_plain(inner) for inner in value]
        case _ if is_dataclass(value):
            plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no fingerprint")
    return plain

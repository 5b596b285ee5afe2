"""JSON as the books speak it: numbers are Decimal in both directions, and nothing that is not JSON raises past here."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import InvalidOperation
from typing import Any

import simplejson

Json = Mapping[str, Any]


def find_object(body: bytes) -> Json | None:
    """The JSON object a body holds, its fractions as Decimal; None when it holds anything else."""
    try:
        found = simplejson.loads(body, use_decimal=True)
    except (ValueError, RecursionError, InvalidOperation):
        return None
    return found if isinstance(found, dict) else None


def to_bytes(body: Json) -> bytes:
    """A request body: ASCII JSON, so that no text can break the encoding."""
    return simplejson.dumps(body, use_decimal=True).encode("ascii")

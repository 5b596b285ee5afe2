"""The JSON of the books: numbers are Decimal in both directions, and input that is not JSON never raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import InvalidOperation
from typing import Any, Final

import simplejson

from gateway.connectors import texts

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

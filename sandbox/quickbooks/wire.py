"""JSON in and out with exact numbers, and the envelopes around answers."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import simplejson

from sandbox.quickbooks import clock, faults
from sandbox.quickbooks.faults import Fault, Json

_HALF = re.compile("[\ud800-\udfff]")
"""Half a character: no UTF-8 holds it, but JSON writes it with an escape."""


def dump(value: Any) -> bytes:
    """A JSON value as bytes; Decimal numbers keep their digits."""
    text = simplejson.dumps(value, use_decimal=True, separators=(",", ":"), ensure_ascii=False)
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text).encode()


def load(raw: bytes) -> Any:
    """Read JSON with exact numbers. Raises the fault Intuit gives for bad encoding or bad JSON."""
    try:
        return simplejson.loads(raw.decode("utf-8"), use_decimal=True, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Fault("500", "Unsupported Operation", "Invalid UTF-8 in the request body") from error
    except (ValueError, RecursionError) as error:
        raise faults.unreadable("failed to parse json object; a property") from error


def load_object(raw: bytes) -> Json:
    """Read a JSON object; anything else is refused."""
    value = load(raw)
    if not isinstance(value, dict):
        raise faults.unreadable("failed to parse json object; a property")
    return value


def to_answer(body: Json, now: datetime) -> Json:
    """An answer: the body and the server's time."""
    return {**body, "time": clock.to_envelope_time(now)}


def to_fault_body(fault: Fault, now: datetime) -> Json:
    """The body of a refused call."""
    return to_answer({"Fault": fault.to_json()}, now)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)

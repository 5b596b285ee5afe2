"""Answers as XML, which Intuit gives to a client that did not ask for JSON."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from sandbox.quickbooks.faults import Json

_NAMESPACE = "http://schema.intuit.com/finance/v3"


def to_xml(body: Json) -> bytes:
    """One IntuitResponse document; lists become repeated elements."""
    time = body.get("time", "")
    inner = "".join(_to_element(name, value) for name, value in body.items() if name != "time")
    start = f'<IntuitResponse xmlns="{_NAMESPACE}" time="{time}">'
    return f'<?xml version="1.0" encoding="UTF-8"?>{start}{inner}</IntuitResponse>'.encode()


def _to_element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_to_element(name, each) for each in value)
    if isinstance(value, dict):
        inner = "".join(_to_element(key, each) for key, each in value.items())
        return f"<{name}>{inner}</{name}>"
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(text)}</{name}>"

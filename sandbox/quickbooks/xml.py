"""Answers as XML, which Intuit gives to a client that did not ask for JSON; attributes as its schema has them."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from sandbox.quickbooks.faults import Json

_NAMESPACE = "http://schema.intuit.com/finance/v3"
_ATTRIBUTES = {
    "Fault": ("type",),
    "Error": ("code", "element"),
    "QueryResponse": ("startPosition", "maxResults", "totalCount"),
    "CDCResponse": ("size",),
    "BatchItemResponse": ("bId",),
}
_OF_RECORDS = ("domain", "sparse", "status")
_OF_REFERENCES = ("name", "type")


def to_xml(body: Json) -> bytes:
    """One IntuitResponse document; lists become repeated elements."""
    inner = "".join(_to_element(name, value) for name, value in body.items() if name != "time")
    start = f'<IntuitResponse xmlns="{_NAMESPACE}" time={quoteattr(str(body.get("time", "")))}>'
    return f'<?xml version="1.0" encoding="UTF-8"?>{start}{inner}</IntuitResponse>'.encode()


def _to_element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_to_element(name, each) for each in value)
    if isinstance(value, dict):
        if name.endswith("Ref") and "value" in value:
            return _to_tag(name, value, _OF_REFERENCES, escape(_spell(value["value"])))
        attributes = _ATTRIBUTES.get(name, _OF_RECORDS)
        inner = "".join(_to_element(key, each) for key, each in value.items() if key not in attributes)
        return _to_tag(name, value, attributes, inner)
    return "" if value is None else f"<{name}>{escape(_spell(value))}</{name}>"


def _to_tag(name: str, value: Json, attributes: tuple[str, ...], inner: str) -> str:
    given = "".join(f" {key}={quoteattr(_spell(value[key]))}" for key in attributes if value.get(key) is not None)
    return f"<{name}{given}>{inner}</{name}>"


def _spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

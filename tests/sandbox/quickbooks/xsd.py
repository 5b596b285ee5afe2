"""Intuit's XSDs as a judge of JSON: names, JSON types and enumerations of entities in requests and answers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import xmlschema

SHARED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"
SCHEMA = SHARED / "qbo-xsd" / "IntuitRestServiceDef.xsd"
_ENVELOPES = frozenset({"QueryResponse", "CDCResponse", "BatchItemResponse", "BatchItemRequest"})
_NUMBERS = frozenset({"decimal", "integer", "int", "long", "double", "float"})


@lru_cache(maxsize=1)
def load() -> Any:
    """The schema, or None where the shared data is absent."""
    if not SCHEMA.exists():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xmlschema.XMLSchema(str(SCHEMA), validation="lax")


def find_differences(document: Any, entity: str | None = None) -> list[str]:
    """What a JSON document says that the XSDs do not; empty where the shared data is absent."""
    schema = load()
    if schema is None:
        return []
    found = [(entity, document)] if entity else list(_walk_entities(document))
    return [
        difference
        for name, row in found
        if name in schema.elements
        for difference in _compare(row, schema.elements[name].type, name)
    ]


def _walk_entities(document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, list):
        for each in document:
            yield from _walk_entities(each)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name in _ENVELOPES:
                yield from _walk_entities(value)
            elif name[:1].isupper() and name != "Fault" and isinstance(value, dict | list):
                yield from ((name, each) for each in (value if isinstance(value, list) else [value]))


def _compare(value: Any, kind: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for position, each in enumerate(value):
            yield from _compare(each, kind, f"{path}[{position}]")
    elif isinstance(value, dict):
        yield from _compare_object(value, kind, path)
    elif kind.is_complex() and not kind.has_simple_content():
        yield f"{path}: a scalar where the XSD has {kind.local_name}"
    else:
        yield from _compare_scalar(value, kind if kind.is_simple() else kind.content, path)


def _compare_object(value: dict[str, Any], kind: Any, path: str) -> Iterator[str]:
    if not kind.is_complex():
        yield f"{path}: an object where the XSD has a scalar"
        return
    elements = {} if kind.has_simple_content() else {each.local_name: each for each in kind.content.iter_elements()}
    attributes = {"value"} if kind.has_simple_content() else set()
    attributes |= {each.split("}")[-1] for each in kind.attributes if each}
    for name, each in value.items():
        if name in elements:
            yield from _compare(each, elements[name].type, f"{path}.{name}")
        elif name not in attributes:
            yield f"{path}.{name}: unknown to XSD type {kind.local_name}"


def _compare_scalar(value: Any, kind: Any, path: str) -> Iterator[str]:
    wanted, got = _wanted(kind), _got(value)
    if value is not None and wanted != got:
        yield f"{path}: JSON {got}, XSD {wanted}"
    if got == "text" and getattr(kind, "enumeration", None) and value not in kind.enumeration:
        yield f"{path}: {value!r} is not in {kind.local_name}"


def _got(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | Decimal) else "text"


def _wanted(kind: Any) -> str:
    while kind is not None:
        if kind.local_name in _NUMBERS:
            return "number"
        if kind.local_name == "boolean":
            return "flag"
        kind = kind.base_type
    return "text"

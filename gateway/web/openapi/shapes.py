"""Small words for JSON Schema: what the schemas of the API are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]

ANYTHING: Schema = {}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
SWITCH: Schema = {"type": "boolean"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
DAY: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$", "format": "date"}


def ref(name: str) -> Schema:
    """One of the named schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(words: Iterable[str]) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": [str(word) for word in words]}


def maybe(schema: Schema) -> Schema:
    """This, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def each(schema: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": schema}


def table(schema: Schema) -> Schema:
    """Any names, each with one of these."""
    return {"type": "object", "additionalProperties": schema}


def record(always: Mapping[str, Schema], **sometimes: Schema) -> Schema:
    """An answer: what it always holds, and what it may hold. Later versions may add members."""
    return {"type": "object", "properties": {**always, **sometimes}, "required": list(always)}


def request(must: Mapping[str, Schema] | None = None, **may: Schema) -> Schema:
    """A request: nothing but these members, those of `must` not left out."""
    required = {"required": list(must)} if must else {}
    return {"type": "object", "properties": {**(must or {}), **may}, "additionalProperties": False, **required}


def with_more(name: str, always: Mapping[str, Schema]) -> Schema:
    """A named schema, and these members too."""
    return {"allOf": [ref(name), record(always)]}

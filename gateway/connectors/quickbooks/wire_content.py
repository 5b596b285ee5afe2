"""The content of a document as a short text: equal for what we sent and what the books returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gateway.connectors import texts
from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.fields import Json
from mapping.fingerprints import fingerprint
from mapping.sale_identity import find_signed_content, unsigned

References: TypeAlias = Mapping[str, Sequence[str | None]]


def content_of(source: Json) -> str:
    """A fingerprint of day, customer, note, total and lines; fields that the books add are left out.

    `source` is a document as answered, or a body to send with its `TotalAmt` added.
    """
    return fingerprint(
        {
            "day": fields.find_text(source, "TxnDate"),
            "customer": fields.find_reference(source, "CustomerRef"),
            "note": " ".join(unsigned(fields.find_text(source, "PrivateNote")).split()),
            "total": fields.need_number(source, "TotalAmt"),
            "lines": [_to_line(line) for line in _item_lines(source)],
        }
    )


def contents_of(source: Json) -> frozenset[str]:
    """`content_of` a document as it is, and without the characters that the books may not have taken in its note."""
    plain, _ = texts.to_basic_plane(source.get("PrivateNote"))
    return frozenset({content_of(source), content_of({**source, "PrivateNote": plain})})


def is_as_signed(source: Json) -> bool:
    """Whether a document still has the content that is named in the signature of its note."""
    signed = find_signed_content(fields.find_text(source, "PrivateNote"))
    return signed is not None and any(content.startswith(signed) for content in contents_of(source))


def references_of(source: Json) -> References:
    """The customer, and the items of the lines, that a document names."""
    details = [fields.part(line, "SalesItemLineDetail") for line in _item_lines(source)]
    return {
        "Customer": [fields.find_reference(source, "CustomerRef")],
        "Item": [fields.find_reference(detail, "ItemRef") for detail in details],
    }


def with_references(source: Json, references: References) -> Json:
    """The document with these references instead of its own."""
    lines = [
        {**line, "SalesItemLineDetail": {**fields.part(line, "SalesItemLineDetail"), "ItemRef": {"value": item}}}
        for line, item in zip(_item_lines(source), references["Item"], strict=True)
    ]
    return {**source, "CustomerRef": {"value": references["Customer"][0]}, "Line": lines}


def _item_lines(source: Json) -> list[Json]:
    return [line for line in fields.rows(source, "Line") if line.get("DetailType") == "SalesItemLineDetail"]


def _to_line(line: Json) -> list[object]:
    detail = fields.part(line, "SalesItemLineDetail")
    references = [fields.find_reference(detail, name) for name in ("ItemRef", "TaxCodeRef")]
    return [fields.find_number(line, "Amount"), *references]

"""What a document of the books says, as a short text: equal for what we sent and what the books answered."""

from __future__ import annotations

from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.payload import Json
from mapping.fingerprints import fingerprint
from mapping.sale_identity import unsigned


def content_of(source: Json) -> str:
    """A fingerprint of day, customer, note, total and lines; what the books add by themselves does not count.

    `source` is a document as answered, or a body to send with its `TotalAmt` added.
    """
    lines = [line for line in fields.rows(source, "Line") if line.get("DetailType") == "SalesItemLineDetail"]
    return fingerprint(
        {
            "day": fields.find_text(source, "TxnDate"),
            "customer": fields.find_reference(source, "CustomerRef"),
            "note": " ".join(unsigned(fields.find_text(source, "PrivateNote")).split()),
            "total": fields.need_number(source, "TotalAmt"),
            "lines": [_to_line(line) for line in lines],
        }
    )


def _to_line(line: Json) -> list[object]:
    detail = fields.part(line, "SalesItemLineDetail")
    references = [fields.find_reference(detail, name) for name in ("ItemRef", "TaxCodeRef")]
    return [fields.find_number(line, "Amount"), *references]

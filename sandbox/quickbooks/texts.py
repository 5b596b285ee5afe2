"""Texts of a request: what becomes of characters beyond the basic plane, such as emoji."""

from __future__ import annotations

import re
from typing import Any

from sandbox.quickbooks import faults

_RARE = re.compile("[\U00010000-\U0010ffff]")


def take(body: Any, rule: str) -> Any:
    """The body with its rare characters "kept" or "replaced"; raises Fault when they are "refused"."""
    match body:
        case str() if rule != "kept" and _RARE.search(body):
            if rule == "refused":
                raise faults.unsupported("the encoding of the text")
            return _RARE.sub("?", body)
        case dict():
            return {name: take(value, rule) for name, value in body.items()}
        case list():
            return [take(value, rule) for value in body]
    return body

"""Texts of a request: what becomes of characters beyond the basic plane, such as emoji."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.quickbooks import faults
from sandbox.quickbooks.faults import Fault

_RARE = re.compile("[\U00010000-\U0010ffff]")
_FAULTS: dict[str, Callable[[str], Fault]] = {
    "refused": lambda _: faults.unsupported("the encoding of the text"),
    "invalid": lambda text: faults.invalid_string("a text", text),
    "failing": lambda _: faults.system_failure(500),
}


def take(body: Any, rule: str) -> Any:
    """The body with its rare characters "kept" or "replaced"; raises Fault when "refused", "invalid" or "failing"."""
    match body:
        case str() if rule != "kept" and _RARE.search(body):
            if rule in _FAULTS:
                raise _FAULTS[rule](body)
            return _RARE.sub("?", body)
        case dict():
            return {name: take(value, rule) for name, value in body.items()}
        case list():
            return [take(value, rule) for value in body]
    return body

"""Texts of a request: control characters are refused, those beyond the basic plane (emoji) by a rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.quickbooks import faults
from sandbox.quickbooks.faults import Fault

_RARE = re.compile("[\U00010000-\U0010ffff]")
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_FAULTS: dict[str, Callable[[str], Fault]] = {
    "refused": lambda _: faults.unsupported("the encoding of the text"),
    "invalid": lambda text: faults.invalid_string("a text", text),
    "failing": lambda _: faults.system_failure(500),
}


def take(body: Any, rule: str) -> Any:
    """The body with its rare characters "kept" or "replaced"; raises Fault when "refused", "invalid" or "failing"."""
    match body:
        case str() if _UNWRITABLE.search(body):
            raise faults.invalid_string("a text", repr(body))
        case str() if rule != "kept" and _RARE.search(body):
            if rule in _FAULTS:
                raise _FAULTS[rule](body)
            return _RARE.sub("?", body)
        case dict():
            return {name: take(value, rule) for name, value in body.items()}
        case list():
            return [take(value, rule) for value in body]
    return body

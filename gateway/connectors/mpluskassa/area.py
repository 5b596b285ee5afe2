"""The base of every area of the client: the caller and the number format of the installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from gateway.connectors.mpluskassa.calls import Caller

Value = TypeVar("Value")


class Area:
    """One group of verbs of the till's client."""

    def __init__(self, calls: Caller, *, default_decimal_places: int = 0) -> None:
        self._calls = calls
        self._places = default_decimal_places


def chunks(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """The distinct values in order, in chunks: a long list in one request gives a long answer."""
    distinct = list(dict.fromkeys(values))
    return (distinct[start : start + size] for start in range(0, len(distinct), size))

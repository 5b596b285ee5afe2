"""What the connector returns beyond the shared records: pages, creation results, versions, a product as read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from gateway.connectors.mpluskassa.wire import Malformed, Row, Unusable
from mapping.records import Product

Record = TypeVar("Record")
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""The errors of one malformed row; the other rows are not affected."""


@dataclass(frozen=True, slots=True)
class ReadProduct:
    """A product with the whole row it was read from: an update starts from `raw`, so no field is lost."""

    product: Product
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """What the installation runs: the protocol and the service behind it; `slave` for one at the customer's site."""

    protocol: str
    service: str
    slave: bool
    branch: int | None
    workers: int | None


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row of a page with an unusable value; the rest of the page is valid. `number` is what people call it."""

    id: str
    reason: str
    field: str | None
    marker: int = 0
    number: str | None = None


@dataclass(frozen=True, slots=True)
class RecordPage(Sequence[Record]):
    """A page of changed records, and their sequence. Ask for `marker + 1` next; a false page is the end.

    `marker` also counts the unreadable rows: a page of nothing else is true and moves on.
    """

    records: tuple[Record, ...]
    marker: int | None
    unreadable: tuple[UnreadableRow, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __bool__(self) -> bool:
        return bool(self.records or self.unreadable)

    @overload
    def __getitem__(self, place: int) -> Record: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Record]: ...

    def __getitem__(self, place: int | slice) -> Record | Sequence[Record]:
        return self.records[place]


def to_page(
    found: Iterable[Row],
    read: Callable[[Row], Record],
    *,
    marker: Callable[[Row], int | None],
    key: str,
    number: Callable[[Row], str | None] = lambda _: None,
) -> RecordPage[Record]:
    """Rows to a page; one bad row is set aside instead of stopping the feed, and still moves the marker.

    `key` is the field of a row's id, and `number` says what people call it.
    """
    records: list[Record] = []
    unreadable: list[UnreadableRow] = []
    markers: list[int] = []
    for row in found:
        if isinstance(row, Unusable):
            markers.append(_find_marker(row))
            reason, field = row.reason, row.field
        else:
            markers.append(marker(row) or 0)
            try:
                records.append(read(row))
                continue
            except Malformed as fault:
                reason, field = fault.reason, fault.field
            except _UNFORESEEN as fault:
                reason, field = f"not understood ({type(fault).__name__})", None
        unreadable.append(UnreadableRow(str(row.get(key, "?")), reason, field, markers[-1], _find_number(row, number)))
    return RecordPage(tuple(records), max(markers, default=0) or None, tuple(unreadable))


def _find_number(row: Row, number: Callable[[Row], str | None]) -> str | None:
    try:
        return number(row)
    except (Malformed, *_UNFORESEEN):
        return None


def _find_marker(row: Unusable) -> int:
    found = row.get("syncMarker")
    return found if isinstance(found, int) else 0

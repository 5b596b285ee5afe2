"""The till's scalar values and list shapes <-> Python values; what a read returns beyond shared records. Pure.

Rows are the plain dicts a SOAP answer is read into: `xsd:long` amounts are cents, quantities are whole numbers with
their decimals in a neighbour field, dates are structs of numbers in which 0 means "no date".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from gateway.errors import Permanent
from mapping.messages import message
from mapping.records import Product

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
Row = Mapping[str, Any]
Record = TypeVar("Record")

_MAX_PLACES = 18
_LARGEST_LONG = 2**63 - 1
_HUNDREDTHS = 100
_FIRST_YEAR = 1900
_UNFORESEEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""The errors of one malformed row; the other rows are not affected."""


class Malformed(Permanent):
    """The till sent, or we were about to send, an invalid value; `field` names it."""

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        super().__init__(
            reason, code="MALFORMED", field=field, fix="Look at the record in MplusKASSA; correct it there, then retry."
        )


class Unusable(dict[str, Any]):
    """A row with an unreadable field: its readable fields, to identify it, and the error of the field."""

    def __init__(self, values: Mapping[str, Any], reason: str, field: str | None) -> None:
        super().__init__(values)
        self.reason, self.field = reason, field


def rows(value: Any, *path: str) -> list[Any]:
    """What repeats below `path`, as a list where it is missing or alone too. Raises Malformed for an unreadable row."""
    return checked(rows_apart(value, *path))


def checked(found: list[Any]) -> list[Any]:
    """The rows; raises Malformed with the field's name if one could not be read."""
    for row in found:
        if isinstance(row, Unusable):
            raise Malformed(row.reason, field=row.field)
    return found


def rows_apart(value: Any, *path: str) -> list[Any]:
    """Like `rows`, for callers that set a row that could not be read (`Unusable`) aside."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else value
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def part(row: Row, name: str) -> Row:
    """A nested struct, empty when it is missing."""
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}


def need(row: Row, name: str) -> Any:
    """A required value; raises Malformed with its name."""
    value = row.get(name)
    if value is None:
        raise Malformed(message("the till left out {name}", name=name), field=name)
    return value


def text(row: Row, name: str) -> str | None:
    """A text, or None when it is missing or empty."""
    return row.get(name) or None


def known(**fields: Any) -> dict[str, Any]:
    """Only the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def to_text_list(texts: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    """A TextList: two nested elements of one name. Empty gives the empty wrapper that some requests require."""
    return {"text": [{"text": each} for each in texts]}


def to_quantity(value: int | None, places: int | None, *, default_places: int = 0) -> Decimal:
    """125 with 2 places is 1.25 pieces; without places the setting decides. Missing is 0. Raises Malformed."""
    decimals = default_places if places is None else places
    if not 0 <= decimals <= _MAX_PLACES:
        said = message("a quantity cannot have {decimals} decimal places", decimals=decimals)
        raise Malformed(said, field="decimalPlaces")
    return Decimal(value or 0).scaleb(-decimals)


def to_scaled(quantity: Decimal) -> tuple[int, int]:
    """1.25 pieces is 125 with 2 places, exactly; raises Malformed for what does not fit the till's numbers."""
    if not quantity.is_finite():
        raise Malformed("a quantity must be a number", field="quantity")
    whole, _, fraction = format(quantity, "f").partition(".")
    fraction = fraction.rstrip("0")
    value = int(whole + fraction)
    if len(fraction) > _MAX_PLACES or abs(value) > _LARGEST_LONG:
        raise Malformed("the till cannot hold a quantity this large or this fine", field="quantity")
    return value, len(fraction)


def percentage_divisor(values: Iterable[int | None]) -> int:
    """100 when the till writes 21 % as 2100, else 1. The vendor documents no scale; no real rate reaches 100 %."""
    return _HUNDREDTHS if any(value is not None and abs(value) >= _HUNDREDTHS for value in values) else 1


def to_percentage(value: int | None, divisor: int) -> Decimal | None:
    """Per cent: 2100 with divisor 100 is 21."""
    return None if value is None else Decimal(value) / divisor


def to_date(struct: Row | None) -> date | None:
    """A calendar date; a 0 in it, a year before tills, or no struct at all, is None. Raises Malformed for 31 February.

    Programs write no date as the first one they know, such as 1-1-1 or 30-12-1899.
    """
    if struct is None or not all(struct.get(name) for name in ("year", "mon", "day")):
        return None
    if 0 < struct["year"] < _FIRST_YEAR:
        return None
    try:
        return date(struct["year"], struct["mon"], struct["day"])
    except ValueError:
        pass
    raise Malformed("the till sent a date that is not in the calendar", field="date")


def to_date_struct(day: date) -> dict[str, int]:
    return {"day": day.day, "mon": day.month, "year": day.year}


def to_moment(struct: Row | None) -> datetime | None:
    """An instant (UTC) of an Amsterdam wall clock; `timezone` (minutes east) distinguishes the two 02:30s of October.

    Where `timezone` fits neither, only the wall clock is used: some clients send 0 there. No instant, or one that no
    clock shows (24:00, a 60th second), is None: no money depends on it, and nobody can correct it at the till.
    """
    with suppress(Malformed, ValueError):
        day = to_date(struct)
        if struct is not None and day is not None:
            hour, minute, second = (struct.get(name) or 0 for name in ("hour", "min", "sec"))
            wall = datetime.combine(day, time(hour, minute, second), AMSTERDAM)
            later = wall.replace(fold=1)
            return (later if struct.get("timezone") == _offset_minutes(later) else wall).astimezone(UTC)
    return None


def to_moment_struct(moment: datetime) -> dict[str, int | bool]:
    """A SoapMplusDateTime of an aware datetime. `isdst` stays false as the vendor's own client sends it."""
    wall = moment.astimezone(AMSTERDAM)
    return {
        "sec": wall.second,
        "min": wall.minute,
        "hour": wall.hour,
        "day": wall.day,
        "mon": wall.month,
        "year": wall.year,
        "isdst": False,
        "timezone": _offset_minutes(wall),
    }


def _offset_minutes(wall: datetime) -> int:
    offset = wall.utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


@dataclass(frozen=True, slots=True)
class ReadProduct:
    """A product with the whole row it was read from: an update starts from `raw`, so no field is lost."""

    product: Product
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row of a page with an unusable value; the rest of the page is valid. `number` is what people call it."""

    id: str
    reason: str
    field: str | None
    marker: int = 0
    number: str | None = None


@dataclass(frozen=True, slots=True)
class RecordPage(Generic[Record]):
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

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)


def to_page(
    found: Iterable[Row],
    read: Callable[[Row], Record],
    *,
    marker: str = "syncMarker",
    key: str,
    number: Callable[[Row], str | None] = lambda _: None,
) -> RecordPage[Record]:
    """Rows to a page; one bad row is set aside instead of stopping the feed, and still moves the marker.

    `marker` is the field that rises, `key` the one of a row's id, and `number` says what people call it.
    """
    records: list[Record] = []
    unreadable: list[UnreadableRow] = []
    markers: list[int] = []
    for row in found:
        rising = row.get(marker)
        markers.append(rising if isinstance(rising, int) else 0)
        if isinstance(row, Unusable):
            reason, field = row.reason, row.field
        else:
            try:
                records.append(read(row))
                continue
            except Malformed as fault:
                reason, field = fault.reason, fault.field
            except _UNFORESEEN as fault:
                reason, field = f"not understood ({type(fault).__name__})", None
        called = None
        with suppress(Malformed, *_UNFORESEEN):
            called = number(row)
        unreadable.append(UnreadableRow(str(row.get(key, "?")), reason, field, markers[-1], called))
    return RecordPage(tuple(records), max(markers, default=0) or None, tuple(unreadable))

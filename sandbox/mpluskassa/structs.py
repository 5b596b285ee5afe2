"""Dates, quantities and money as MplusKASSA writes them: structs of integers, unscaled numbers, cents."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

AMSTERDAM = ZoneInfo("Europe/Amsterdam")

Record = dict[str, Any]

EMPTY_DATE: Record = {"day": 0, "mon": 0, "year": 0}


def to_date(day: date | None) -> Record:
    """A SoapMplusDate; no date is 0-0-0."""
    return {"day": day.day, "mon": day.month, "year": day.year} if day else dict(EMPTY_DATE)


def from_date(struct: Record | None) -> date | None:
    """The calendar date of a SoapMplusDate; None when any part is 0 or it is absent."""
    if not struct or 0 in (struct["day"], struct["mon"], struct["year"]):
        return None
    return date(struct["year"], struct["mon"], struct["day"])


def to_moment(moment: datetime) -> Record:
    """A SoapMplusDateTime: Amsterdam wall clock, `timezone` in minutes east of UTC, `isdst` always false."""
    local = moment.astimezone(AMSTERDAM)
    offset = local.utcoffset()
    return {
        "sec": local.second,
        "min": local.minute,
        "hour": local.hour,
        "day": local.day,
        "mon": local.month,
        "year": local.year,
        "isdst": False,
        "timezone": int(offset.total_seconds()) // 60 if offset else 0,
    }


def from_moment(struct: Record | None) -> datetime | None:
    """The Amsterdam wall clock of a SoapMplusDateTime, its `timezone` ignored; None when there is no date."""
    day = from_date(struct)
    if struct is None or day is None:
        return None
    clock = (struct["hour"], struct["min"], struct["sec"])
    return datetime(day.year, day.month, day.day, *clock, tzinfo=AMSTERDAM)


def to_unscaled(value: Decimal) -> tuple[int, int]:
    """A quantity as (unscaled integer, decimal places): 1.25 is (125, 2)."""
    normal = value.normalize()
    exponent = normal.as_tuple().exponent
    places = max(0, -exponent) if isinstance(exponent, int) else 0
    return int(normal.scaleb(places)), places


def from_unscaled(unscaled: int, places: int | None) -> Decimal:
    """The quantity behind an unscaled integer; absent places count as 0."""
    return Decimal(unscaled).scaleb(-(places or 0))


def quantity(name: str, places_name: str, value: Decimal) -> Record:
    """The two sibling fields of a quantity."""
    unscaled, places = to_unscaled(value)
    return {name: unscaled, places_name: places}


def to_cents(amount: Decimal) -> int:
    """Whole cents of an amount that is already in cents, half away from zero."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def to_euros(cents: int) -> Decimal:
    """Cents as the decimal euros that webhooks carry."""
    return Decimal(cents).scaleb(-2)

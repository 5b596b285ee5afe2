"""Values of the till: shapes, quantities, percentages, dates across the changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.mpluskassa import wire
from gateway.connectors.mpluskassa.wire import AMSTERDAM, Malformed


@pytest.mark.parametrize("value", [None, {}, {"lineList": None}, {"lineList": {}}, {"lineList": {"line": None}}])
def test_a_missing_wrapper_is_an_empty_list(value: object) -> None:
    assert wire.rows(value, "lineList", "line") == []


@pytest.mark.parametrize("value", [{"lineList": {"line": {"a": 1}}}, {"lineList": {"line": [{"a": 1}]}}, [{"a": 1}]])
def test_one_element_and_a_list_of_one_are_the_same(value: object) -> None:
    assert wire.rows(value, "lineList", "line") == [{"a": 1}]


def test_a_text_list_nests_its_element_twice() -> None:
    assert wire.to_text_list(["a", "b"]) == {"text": [{"text": "a"}, {"text": "b"}]}


@pytest.mark.parametrize(
    ("value", "places", "pieces"),
    [(125, 2, "1.25"), (-5, 1, "-0.5"), (-125, 2, "-1.25"), (3, 0, "3"), (0, 3, "0"), (None, None, "0")],
)
def test_a_quantity_is_scaled_by_its_decimals(value: int | None, places: int | None, pieces: str) -> None:
    assert wire.to_quantity(value, places) == Decimal(pieces)


def test_a_quantity_without_decimals_is_read_as_the_setting_says() -> None:
    assert wire.to_quantity(150, None) == 150
    assert wire.to_quantity(150, None, default_places=2) == Decimal("1.5")


@pytest.mark.parametrize("places", [-1, 19, 10**9])
def test_impossible_decimals_are_malformed(places: int) -> None:
    with pytest.raises(Malformed):
        wire.to_quantity(1, places)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=6))
def test_a_quantity_survives_the_way_there_and_back(quantity: Decimal) -> None:
    value, places = wire.to_scaled(quantity)
    assert wire.to_quantity(value, places) == quantity
    assert places == 0 or value % 10 != 0


@pytest.mark.parametrize("quantity", ["NaN", "Infinity", "1E30", "0.0000000000000000001"])
def test_a_quantity_the_till_cannot_hold_is_malformed(quantity: str) -> None:
    with pytest.raises(Malformed):
        wire.to_scaled(Decimal(quantity))


def test_one_rate_of_a_hundred_or_more_tells_that_all_are_in_hundredths() -> None:
    assert wire.percentage_divisor([2100, 900, 0, None]) == 100
    assert wire.percentage_divisor([21, 9, 0, None]) == 1
    assert wire.to_percentage(550, 100) == Decimal("5.5")


@given(st.dates(min_value=date(1900, 1, 1)))
def test_a_date_survives_the_way_there_and_back(day: date) -> None:
    assert wire.to_date(wire.to_date_struct(day)) == day


@pytest.mark.parametrize(
    "struct",
    [
        None,
        {},
        {"day": 0, "mon": 0, "year": 0},
        {"day": 1, "mon": 0, "year": 2026},
        {"day": 1, "mon": 1, "year": 1},
        {"day": 30, "mon": 12, "year": 1899},
    ],
)
def test_a_zero_or_a_date_before_tills_means_no_date(struct: dict[str, int] | None) -> None:
    assert wire.to_date(struct) is None
    assert wire.to_moment(struct) is None


@pytest.mark.parametrize(
    "struct",
    [{"day": 31, "mon": 2, "year": 2026}, {"day": 1, "mon": 13, "year": 2026}, {"day": 1, "mon": 1, "year": -4}],
)
def test_a_date_outside_the_calendar_is_malformed(struct: dict[str, int]) -> None:
    with pytest.raises(Malformed):
        wire.to_date(struct)


@pytest.mark.parametrize("odd", [{"hour": 24}, {"sec": 60}, {"min": -1}, {"day": 31, "mon": 2}])
def test_a_moment_outside_clock_or_calendar_is_none(odd: dict[str, int]) -> None:
    assert wire.to_moment({"day": 1, "mon": 1, "year": 2026, "hour": 12, "min": 0, "sec": 0, **odd}) is None


CHANGES = [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]


@given(st.sampled_from(CHANGES), st.integers(-4 * 3600, 4 * 3600))
def test_a_moment_reads_back_the_same_across_clock_changes(change: datetime, off: int) -> None:
    moment = change + timedelta(seconds=off)
    assert wire.to_moment(wire.to_moment_struct(moment)) == moment


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_of_any_year_survives(moment: datetime) -> None:
    assert wire.to_moment(wire.to_moment_struct(moment)) == moment.replace(microsecond=0)


def test_the_struct_is_the_amsterdam_wall_clock_with_minutes_east() -> None:
    assert wire.to_moment_struct(datetime(2026, 7, 1, 10, 30, 5, tzinfo=UTC)) == {
        "sec": 5,
        "min": 30,
        "hour": 12,
        "day": 1,
        "mon": 7,
        "year": 2026,
        "isdst": False,
        "timezone": 120,
    }


def test_a_wrong_timezone_leaves_the_wall_clock_in_charge() -> None:
    struct = {**wire.to_moment_struct(datetime(2026, 7, 1, 10, tzinfo=UTC)), "timezone": 0}
    assert wire.to_moment(struct) == datetime(2026, 7, 1, 12, tzinfo=AMSTERDAM)

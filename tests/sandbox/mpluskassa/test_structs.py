"""Dates, quantities and prices survive the way to the wire and back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sandbox.mpluskassa import structs, vat


@given(st.decimals(-10_000, 10_000, places=4))
def test_a_quantity_is_the_same_after_being_unscaled(value: Decimal) -> None:
    assert structs.from_unscaled(*structs.to_unscaled(value)) == value


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_keeps_its_wall_clock_and_offset(moment: datetime) -> None:
    struct = structs.to_moment(moment)
    back = structs.from_moment(struct)
    assert back is not None
    wall = moment.astimezone(structs.AMSTERDAM)
    assert back.replace(tzinfo=None) == wall.replace(tzinfo=None, microsecond=0, fold=0)
    assert struct["timezone"] in (60, 120)


def test_no_date_is_zeros_both_ways() -> None:
    assert structs.to_date(None) == {"day": 0, "mon": 0, "year": 0}
    assert structs.from_date({"day": 0, "mon": 1, "year": 2026}) is None
    assert structs.from_date(structs.to_date(date(2026, 2, 28))) == date(2026, 2, 28)


@given(st.integers(-10_000_000, 10_000_000), st.sampled_from([0, 900, 2100]))
def test_a_net_price_from_gross_never_strays_more_than_a_cent(gross: int, rate: int) -> None:
    assert abs(vat.to_incl(vat.to_excl(gross, rate), rate) - gross) <= 1

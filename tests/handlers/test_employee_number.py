"""The employee named in writes at the till: none, unless the installation requires one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.mpluskassa.contract import COMPACT
from tests.handlers.counter import add_stocked, hear
from tests.handlers.shop import Shop

OPTIONAL = b'<xs:element name="employeeNumber" type="xs:long" minOccurs="0"/>'
DEMANDED = b'<xs:element name="employeeNumber" type="xs:long"/>'


def older_wsdl() -> bytes:
    """The WSDL of an installation that requires an employee for stock bookings."""
    before, booking, after = COMPACT.read_bytes().partition(b'<xs:complexType name="UpdateStockRequest">')
    assert OPTIONAL in after
    return before + booking + after.replace(OPTIONAL, DEMANDED, 1)


def booked_by(shop: Shop) -> list[object]:
    return [row["employee"] for row in shop.till.till.ledger if row["effect"] == "updateStock"]


@pytest.mark.parametrize(
    ("document", "number"), [("", 999_999), ("[orders]\nemployee_number = 2", 2)], ids=["by default", "as set"]
)
def test_a_booking_that_demands_an_employee_names_that_of_the_settings(
    open_shop: Callable[..., Shop], document: str, number: int
) -> None:
    shop = open_shop(document, wsdl=older_wsdl())
    hear(shop, add_stocked(shop, "5001", 12)["Id"], "Create")
    assert (booked_by(shop), shop.parked()) == ([number], [])


def test_no_employee_is_named_unless_required(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[orders]\nemployee_number = 2")
    hear(shop, add_stocked(shop, "5001", 12)["Id"], "Create")
    assert booked_by(shop) == [None]

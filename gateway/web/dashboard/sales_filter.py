"""The filter of the list of sales, as an address has it and as the store takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any

from gateway.catalogue import to_cents
from gateway.store.sales import KINDS, SaleStatus
from gateway.store.sales_list import SaleFilter, SalePosition
from gateway.web import queries
from gateway.web.problems import Refusal
from mapping.messages import message

FIELDS = ("q", "from", "through", "connection", "branch", "state", "lowest", "highest", "cause", "tender", "source")
_LARGEST_BRANCH = 2**31 - 1


class SaleSource(StrEnum):
    """The kinds of sales that have a row, as the inbox calls them."""

    RECEIPT = KINDS[0]
    INVOICE = KINDS[1]


def read(given: Mapping[str, Any], keys: Mapping[str, str]) -> SaleFilter:
    """The filter of a query string; `keys` are connections by what they are called. Raises `Refusal` 400."""
    # A browser also sends the fields that were left empty.
    filled = {name: value for name, value in given.items() if value != ""}
    called, q = queries.find_text(filled, "connection"), queries.find_text(filled, "q")
    return SaleFilter(
        start=queries.find_day(filled, "from"),
        through=queries.find_day(filled, "through"),
        connection=keys.get(called, called) if called else None,
        branch=queries.find_number(filled, "branch", low=0, high=_LARGEST_BRANCH),
        status=queries.find_choice(filled, "state", SaleStatus),
        lowest=_find_amount(filled, "lowest"),
        highest=_find_amount(filled, "highest"),
        cause=queries.find_text(filled, "cause"),
        tender=queries.find_text(filled, "tender"),
        kind=queries.find_choice(filled, "source", SaleSource),
        q=q,
        q_cents=to_cents(q) if q else None,
        after=_find_position(filled),
    )


def kept(given: Mapping[str, Any]) -> dict[str, str]:
    """The fields of the filter that are filled, for the addresses of its other pages."""
    return {name: str(given[name]) for name in FIELDS if given.get(name)}


def to_cursor(position: SalePosition) -> str:
    """A position as an address has it."""
    return f"{position.day.isoformat()}.{position.id}"


def _find_amount(given: Mapping[str, Any], name: str) -> int | None:
    text = queries.find_text(given, name)
    cents = to_cents(text) if text else None
    if text and cents is None:
        raise Refusal(400, message("{name} should be an amount such as 12,50", name=message(name)))
    return cents


def _find_position(given: Mapping[str, Any]) -> SalePosition | None:
    text = queries.find_text(given, "after")
    if text is None:
        return None
    day, _, number = text.partition(".")
    try:
        id_ = queries.find_number({"after": number}, "after", low=1, high=queries.LARGEST_ID)
        return SalePosition(date.fromisoformat(day), id_ or 0)
    except ValueError:
        raise Refusal(400, "after should be the cursor of a page") from None

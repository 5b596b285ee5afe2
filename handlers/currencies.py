"""The currency of the till and of the company must be equal; nothing is converted."""

from __future__ import annotations

from handlers.deps import Deps
from mapping.errors import MappingError
from mapping.messages import message

FOREIGN = "foreign-currency"


def require_home(deps: Deps) -> str:
    """The currency of both systems. Raises `MappingError` naming both if they differ."""
    company, currency = deps.lists.company(), deps.settings.products.currency
    if company.home_currency not in (None, currency):
        raise MappingError(
            message(
                "the company keeps its books in {home}, the till sells in {currency}; amounts are not converted",
                home=company.home_currency,
                currency=currency,
            ),
            code=FOREIGN,
            record=message("company {name}", name=company.name),
            field="products.currency",
            fix=message(
                "connect a company that keeps {currency}, or correct products.currency when the till sells in {home}; "
                "then retry",
                currency=currency,
                home=company.home_currency,
            ),
        )
    return currency


def find_named(deps: Deps) -> str | None:
    """The currency that every document must name; only a multicurrency company requires it.

    Raises `MappingError` if the currencies of company and till differ.
    """
    currency = require_home(deps)
    return currency if deps.lists.company().multi_currency else None

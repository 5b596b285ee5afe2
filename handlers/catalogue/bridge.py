"""The SKU bridge: the article number of an item, given to it for ever when its SKU is no number."""

from __future__ import annotations

from gateway.store import numbers
from gateway.store.session import reading, writing
from handlers.deps import Deps
from mapping.errors import MappingError
from mapping.records import Item
from mapping.skus import name_item, needs_allocation, to_article_number

_TRIES = 50


def number_of(item: Item, deps: Deps) -> int:
    """The item's article number, a new one of the reserved range when its SKU has letters.

    Raises `MappingError` for a SKU the settings refuse, and when the range is used up.
    """
    settings = deps.settings.products
    if not needs_allocation(item, settings):
        return to_article_number(item, settings)
    return to_article_number(item, settings, allocated=_find(item, deps) or _give(item, deps))


def find_number(item: Item, deps: Deps) -> int | None:
    """The item's article number, or None when it has none or cannot have one."""
    try:
        return to_article_number(item, deps.settings.products, allocated=_find(item, deps))
    except MappingError:
        return None


def _find(item: Item, deps: Deps) -> int | None:
    with reading(deps.engine) as session:
        return numbers.find(session, deps.connection, item.id)


def _give(item: Item, deps: Deps) -> int:
    """A number that the till does not use yet; one that it uses is never given to anybody."""
    for _ in range(_TRIES):
        number = _draw(item, deps)
        present = deps.till.product_of_article(number)
        if present is None or any(a.number == number and a.ext_id == item.id for a in present.product.articles):
            deps.say("gave the SKU a number of its own", sku=item.sku, number=number)
            return number
        with writing(deps.engine) as session:
            numbers.take_back(session, deps.connection, item.id)
    raise _refuse(item, "the reserved range is full of articles the till has already")


def _draw(item: Item, deps: Deps) -> int:
    settings = deps.settings.products
    with writing(deps.engine) as session:
        number = numbers.give(
            session, deps.connection, item.id, first=settings.allocate_from, last=settings.allocate_to
        )
    if number is None:
        raise _refuse(item, "the reserved range of article numbers is used up")
    return number


def _refuse(item: Item, reason: str) -> MappingError:
    fix = "widen products.allocate_from and products.allocate_to in the settings, then retry"
    return MappingError(reason, record=name_item(item), field="products.allocate_to", fix=fix)

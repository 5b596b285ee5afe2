"""Release the sales that wait for a missing or inactive item or customer in the books."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.store import inbox
from gateway.store.session import reading
from handlers.deps import Deps
from mapping.records import Item
from mapping.skus import is_digits

MISSING_ITEM: Final = "missing-item"
INACTIVE_ITEM: Final = "inactive-item"
INACTIVE_CUSTOMER: Final = "inactive-customer"
_OF_ITEMS: Final = (MISSING_ITEM, INACTIVE_ITEM)


def cause_of_item(wanted: str) -> str:
    """The cause of events that wait for an item: the SKU or name they looked for."""
    return f"item {wanted}"


def cause_of_customer(customer_id: str) -> str:
    """The cause of events that wait for a customer."""
    return f"customer {customer_id}"


def awaits_items(deps: Deps) -> bool:
    with reading(deps.engine) as session:
        return bool(inbox.find_causes(session, deps.connection, _OF_ITEMS))


def release_items(items: Iterable[Item], deps: Deps) -> None:
    """These items exist: release the events that wait for any active one."""
    causes = {cause_of_item(name) for item in items if item.active for name in _names(item)}
    _go_on(_OF_ITEMS, causes, deps)


def release_customers(customer_ids: Iterable[str], deps: Deps) -> None:
    """These customers are or may be active: release the events that wait for them; each event checks again."""
    _go_on((INACTIVE_CUSTOMER,), {cause_of_customer(id_) for id_ in customer_ids}, deps)


def _names(item: Item) -> set[str]:
    sku = (item.sku or "").strip()
    number = {str(int(sku))} if is_digits(sku) else set()
    return {name for name in (sku, item.name, item.id) if name} | number


def _go_on(codes: tuple[str, ...], causes: set[str], deps: Deps) -> None:
    """Usually no event waits, so that is checked first."""
    if not causes:
        return
    with reading(deps.engine) as session:
        waiting = inbox.find_causes(session, deps.connection, codes)
    for code, cause in waiting:
        if cause in causes:
            deps.resolve(code, cause)

"""The books' item of every article on a sale: by link, else by SKU; one that is missing is named, or the fallback taken."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.store import links
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.deps import Deps
from mapping.errors import MappingError
from mapping.records import Item, SaleLine

_SELLABLE = frozenset({"Inventory", "NonInventory", "Service"})


def item_ids(lines: Sequence[SaleLine], record: str, deps: Deps) -> dict[int, str]:
    """Item id by article number for every article on these lines. Raises `MappingError` naming the missing SKUs."""
    wanted = {line.article: line for line in lines if line.article}
    with reading(deps.engine) as session:
        known = links.find_all(session, deps.connection, Kind.ARTICLE, [str(number) for number in wanted])
    found = {int(number): link.target_id for number, link in known.items()}
    missing: list[str] = []
    for number, line in wanted.items():
        if number not in found:
            item = _look_up(number, line, deps)
            if item:
                found[number] = item.id
            else:
                missing.append(str(number))
    return found | _fallback(missing, record, deps)


def _look_up(number: int, line: SaleLine, deps: Deps) -> Item | None:
    for sku in dict.fromkeys(filter(None, (str(number), line.plu))):
        items = [i for i in deps.books.items_by_sku(sku) if i.type in _SELLABLE]
        item = next((i for i in items if i.active), None)
        if item:
            deps.remember(Link(Kind.ARTICLE, str(number), "Item", item.id, item.sync_token))
            return item
    return None


def _fallback(missing: Sequence[str], record: str, deps: Deps) -> dict[int, str]:
    if not missing:
        return {}
    fallback = deps.settings.orders.fallback_item
    if deps.settings.orders.missing_item == "park" or not fallback:
        raise MappingError(
            f"QuickBooks has no item with SKU {', '.join(missing)}",
            record=record,
            field="Sku",
            fix="create the item in QuickBooks with this SKU (or set orders.missing_item to fallback), then retry the order",
        )
    item = next((i for i in deps.books.items_by_sku(fallback) if i.active), None)
    if item is None:
        raise MappingError(
            f"the fallback item {fallback} does not exist in QuickBooks",
            record=record,
            field="orders.fallback_item",
            fix="create the item with this SKU, or change the setting",
        )
    deps.say("booked on the fallback item", skus=list(missing), item=item.id)
    return {int(number): item.id for number in missing}

"""The books' item of every article on a sale: by link, else by SKU; a missing one is named, or the fallback taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.store import links
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.references import account_items
from mapping.errors import MappingError
from mapping.orders import needed_articles
from mapping.records import Item, Sale, SaleLine
from mapping.skus import OWN_ENDING

ROUNDING_ITEM = f"Rounding difference{OWN_ENDING}"
_SELLABLE = frozenset({"Inventory", "NonInventory", "Service"})


def item_ids(sale: Sale, record: str, deps: Deps, *, country: str | None = None) -> dict[int, str]:
    """Item id by article number for every article that will be booked. Raises `MappingError` naming missing SKUs.

    `country` is the buyer's: the settings may book foreign sales on items of another account.
    """
    mapped = deps.settings.mapping
    wanted = needed_articles(
        sale,
        tolerance_cents=deps.settings.orders.rounding_cap_cents,
        special_items=tuple(mapped.special_items),
        tip_articles=mapped.tip_articles,
    )
    instead = account_items.by_article(sale, deps, country)
    wanted -= instead.keys()
    with reading(deps.engine) as session:
        known = links.find_all(session, deps.connection, Kind.ARTICLE, [str(number) for number in wanted])
    found = {int(number): link.target_id for number, link in known.items()}
    plus = dict(_plus(sale.lines))
    missing: list[str] = []
    for number in sorted(wanted - found.keys()):
        item = _look_up(number, plus.get(number), deps)
        if item:
            found[number] = item.id
        else:
            missing.append(str(number))
    return found | _fallback(missing, record, deps) | instead


def group_items(sale: Sale, deps: Deps, *, country: str | None = None) -> dict[int, str]:
    """Item id by turnover group for amounts without an article, where the settings name an account for the group."""
    return account_items.by_group(sale, deps, country)


def fallback_item(deps: Deps) -> str | None:
    """The item of amounts that no article stands for, where the settings name one."""
    name = deps.settings.orders.fallback_item
    return _named_item("fallback", name, deps, setting="orders.fallback_item") if name else None


def summary_item(deps: Deps) -> str | None:
    """The item of a day's document, where the settings name one."""
    name = deps.settings.orders.summary_item
    return _named_item("summary", name, deps, setting="orders.summary_item") if name else fallback_item(deps)


def forget(item_ids_: Iterable[str], deps: Deps) -> None:
    """Drop every link with items that the books do not accept any more."""
    for item_id in item_ids_:
        for kind in (Kind.ARTICLE, Kind.SPECIAL):
            with reading(deps.engine) as session:
                known = links.find_by_target(session, deps.connection, kind, item_id)
            for link in known:
                deps.forget(kind, link.source_id)


def _plus(lines: Iterable[SaleLine]) -> Iterator[tuple[int, str | None]]:
    for line in lines:
        yield line.article, line.plu
        yield from _plus(line.sublines)


def _look_up(number: int, plu: str | None, deps: Deps) -> Item | None:
    for sku in dict.fromkeys(filter(None, (str(number), plu))):
        items = [i for i in deps.books.items_by_sku(sku) if i.type in _SELLABLE]
        item = next((i for i in items if i.active), None)
        if item:
            deps.remember(Link(Kind.ARTICLE, str(number), "Item", item.id, item.sync_token))
            return item
    return None


def special_items(deps: Deps) -> dict[str, str]:
    """The items named in the settings for tips, gift cards, deposits and rounding, by kind."""
    named = deps.settings.mapping.special_items
    return {
        kind: _named_item(kind, name, deps, setting=f"mapping.special_items.{kind}") for kind, name in named.items()
    }


def _named_item(kind: str, name: str, deps: Deps, *, setting: str) -> str:
    key = f"{links.NAMED}{kind}:{name}"
    if known := _linked(key, deps):
        return known
    item = next((i for i in (*deps.books.items_by_sku(name), *deps.books.items_by_name(name)) if i.active), None)
    if item is None:
        raise MappingError(
            f"QuickBooks has no item with the SKU or name {name}",
            record=setting,
            field=setting,
            fix="create the item in QuickBooks, or change the setting",
        )
    deps.remember(Link(Kind.SPECIAL, key, "Item", item.id))
    return item.id


def rounding_item(deps: Deps) -> str:
    """The item of rounding lines: a service of our own, made once on the account that sales are booked on."""
    if known := _linked(ROUNDING_ITEM, deps):
        return known
    item_id = account_items.own_item(ROUNDING_ITEM, _rounding_account(deps), deps)
    deps.remember(Link(Kind.SPECIAL, ROUNDING_ITEM, "Item", item_id))
    return item_id


def _rounding_account(deps: Deps) -> str:
    accounts = [a for a in deps.lists.entries("Account") if a.active and a.type == "Income"]
    if not accounts:
        raise MappingError(
            "QuickBooks has no income account for the item of rounding lines",
            record=ROUNDING_ITEM,
            field="mapping.special_items.rounding",
            fix="create an item for rounding differences in QuickBooks and name it in mapping.special_items.rounding",
        )
    sales = next((a for a in accounts if a.subtype == "SalesOfProductIncome"), accounts[0])
    return sales.id


def _linked(source_id: str, deps: Deps) -> str | None:
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, Kind.SPECIAL, source_id)
    return link.target_id if link else None


def _fallback(missing: Sequence[str], record: str, deps: Deps) -> dict[int, str]:
    if not missing:
        return {}
    fallback = deps.settings.orders.fallback_item
    if deps.settings.orders.missing_item == "park" or not fallback:
        raise MappingError(
            f"QuickBooks has no item with SKU {', '.join(missing)}",
            record=record,
            field="Sku",
            fix="create the item in QuickBooks with this SKU, then retry (or set orders.missing_item to fallback)",
        )
    item = _named_item("fallback", fallback, deps, setting="orders.fallback_item")
    deps.say("booked on the fallback item", skus=list(missing), item=item)
    return {int(number): item for number in missing}

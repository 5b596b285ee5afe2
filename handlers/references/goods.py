"""The books' item of every article on a sale: by link, else by SKU; a missing one is named, or the fallback is used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from handlers import awaited_records
from handlers.deps import Deps
from handlers.references import account_items
from mapping.errors import MappingError
from mapping.messages import AND, join, message
from mapping.orders import needed_articles
from mapping.records import Item, Sale, SaleLine
from mapping.skus import OWN_ENDING, name_item

ROUNDING_ITEM = f"Rounding difference{OWN_ENDING}"
_SELLABLE = frozenset({"Inventory", "NonInventory", "Service"})


@dataclass(frozen=True, slots=True)
class _Missing:
    """A SKU without an active item, and the inactive items with this SKU."""

    sku: str
    inactive: tuple[Item, ...]


def item_ids(sale: Sale, record: str, deps: Deps, *, country: str | None = None) -> dict[int, str]:
    """Item id by article number for every article that will be booked. Raises `MappingError` naming missing SKUs.

    `country` is the buyer's: the settings may book foreign sales on items of another account.
    """
    instead = account_items.by_article(sale, deps, country)
    found, missing = _find(_wanted(sale, deps) - instead.keys(), sale, deps)
    return found | _fallback(missing, record, deps) | instead


def stock_items(sale: Sale, deps: Deps, *, country: str | None = None) -> dict[int, str]:
    """The items whose quantity the books keep, by article, of those booked on the item of an income account."""
    instead = account_items.by_article(sale, deps, country)
    found, _ = _find(_wanted(sale, deps) & instead.keys(), sale, deps)
    stocked = deps.lists.stocked(found.values()) if found else frozenset()
    return {number: item for number, item in found.items() if item in stocked}


def _wanted(sale: Sale, deps: Deps) -> frozenset[int]:
    mapped = deps.settings.mapping
    return needed_articles(
        sale,
        tolerance_cents=deps.settings.orders.rounding_cap_cents,
        special_items=tuple(mapped.special_items),
        tip_articles=mapped.tip_articles,
    )


def _find(wanted: Collection[int], sale: Sale, deps: Deps) -> tuple[dict[int, str], dict[int, _Missing]]:
    with reading(deps.engine) as session:
        known = links.find_all(session, deps.connection, LinkKind.ARTICLE, [str(number) for number in wanted])
    found = {int(number): link.target_id for number, link in known.items()}
    plus = dict(_plus(sale.lines))
    missing: dict[int, _Missing] = {}
    for number in sorted(set(wanted) - found.keys()):
        skus = list(dict.fromkeys(filter(None, (str(number), plus.get(number)))))
        items = [item for sku in skus for item in deps.books.items_by_sku(sku) if item.type in _SELLABLE]
        if item := _choose(number, [each for each in items if each.active], deps):
            link = Link(LinkKind.ARTICLE, str(number), "Item", item.id, item.sync_token)
            found[number] = deps.settle_on(link).target_id
        else:
            missing[number] = _Missing(skus[-1], tuple(items))
    return found, missing


def group_items(sale: Sale, deps: Deps, *, country: str | None = None) -> dict[int, str]:
    """Item id by turnover group for amounts without an article, where the settings name an account for the group."""
    return account_items.by_group(sale, deps, country)


def fallback_item(deps: Deps) -> str | None:
    """The item of amounts without an article, if the settings name one."""
    name = deps.settings.orders.fallback_item
    return _named_item("fallback", name, deps, setting="orders.fallback_item") if name else None


def summary_item(deps: Deps) -> str | None:
    """The item of a day's document, where the settings name one."""
    name = deps.settings.orders.summary_item
    return _named_item("summary", name, deps, setting="orders.summary_item") if name else fallback_item(deps)


def forget(item_ids_: Iterable[str], deps: Deps) -> None:
    """Drop every link to items that the books do not accept any more."""
    for item_id in item_ids_:
        for kind in (LinkKind.ARTICLE, LinkKind.SPECIAL):
            with reading(deps.engine) as session:
                known = links.find_by_target(session, deps.connection, kind, item_id)
            for link in known:
                deps.forget(kind, link.source_id)


def _plus(lines: Iterable[SaleLine]) -> Iterator[tuple[int, str | None]]:
    for line in lines:
        yield line.article, line.plu
        yield from _plus(line.sublines)


def _choose(number: int, items: Sequence[Item], deps: Deps) -> Item | None:
    """The item of an article; among several with one SKU the one marked at the till, or `MappingError` naming them."""
    alike = [item for item in items if item.sku == items[0].sku]
    if len(alike) < 2:  # noqa: PLR2004 - two are needed to be alike
        return next(iter(items), None)
    read = deps.till.product_of_article(number)
    marks = {article.ext_id for article in read.product.articles if article.number == number} if read else set()
    if item := next((i for i in alike if i.id in marks), None):
        return item
    raise MappingError(
        message(
            "{names} have the same SKU, and the till does not say which is article {number}",
            names=join([name_item(each) for each in alike], AND),
            number=number,
        ),
        record=message("items with SKU {sku}", sku=alike[0].sku),
        field="SKU",
        fix="give all but one of them another SKU in QuickBooks, or make them inactive, then retry",
    )


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
    items = (*deps.books.items_by_sku(name), *deps.books.items_by_name(name))
    item = next((each for each in items if each.active), None)
    if item is None:
        inactive = next(iter(items), None)
        raise MappingError(
            message("{setting}: {inactive} is inactive in QuickBooks", setting=setting, inactive=name_item(inactive))
            if inactive
            else message("{setting}: QuickBooks has no item with the SKU or name {name}", setting=setting, name=name),
            code=awaited_records.INACTIVE_ITEM if inactive else awaited_records.MISSING_ITEM,
            record=name_item(inactive) if inactive else message("item {name}", name=name),
            cause=awaited_records.cause_of_item(name),
            field=setting,
            fix="make the item active again in QuickBooks, what waits for it then continues automatically; "
            "or change the setting"
            if inactive
            else "create the item in QuickBooks, what waits for it then continues automatically; or change the setting",
        )
    deps.remember(Link(LinkKind.SPECIAL, key, "Item", item.id))
    return item.id


def rounding_item(deps: Deps) -> str:
    """The item of rounding lines: our own service item, created once on the account that sales are booked on."""
    if known := _linked(ROUNDING_ITEM, deps):
        return known
    item_id = account_items.own_item(ROUNDING_ITEM, _rounding_account(deps), deps)
    deps.remember(Link(LinkKind.SPECIAL, ROUNDING_ITEM, "Item", item_id))
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
        link = links.find(session, deps.connection, LinkKind.SPECIAL, source_id)
    return link.target_id if link else None


def _fallback(missing: Mapping[int, _Missing], record: str, deps: Deps) -> dict[int, str]:
    if not missing:
        return {}
    fallback = deps.settings.orders.fallback_item
    if deps.settings.orders.missing_item == "park" or not fallback:
        raise _refuse(missing, record)
    item = _named_item("fallback", fallback, deps, setting="orders.fallback_item")
    deps.say("booked on the fallback item", skus=[each.sku for each in missing.values()], item=item)
    return dict.fromkeys(missing, item)


def _refuse(missing: Mapping[int, _Missing], record: str) -> MappingError:
    """The first one is the cause: when it exists, the sale is retried and names the next missing one."""
    first = next(iter(missing.values()))
    absent = ", ".join(each.sku for each in missing.values() if not each.inactive)
    inactive = [name_item(item) for each in missing.values() for item in each.inactive]
    said = [message("QuickBooks has no item with SKU {skus}", skus=absent)] if absent else []
    said += [message("inactive in QuickBooks: {items}", items=join(inactive))] if inactive else []
    todo = [message("create the item with this SKU")] if absent else []
    todo += [message("make the item active again, or give its SKU to the one that takes its place")] if inactive else []
    return MappingError(
        message("{record}: {what}", record=record, what=join(said, "{first}; {second}")),
        code=awaited_records.INACTIVE_ITEM if first.inactive else awaited_records.MISSING_ITEM,
        record=name_item(first.inactive[0]) if first.inactive else message("item with SKU {sku}", sku=first.sku),
        cause=awaited_records.cause_of_item(first.sku),
        field="SKU" if absent else "active",
        fix=message(
            "{todo} in QuickBooks: the sale then continues (or set orders.missing_item to fallback)",
            todo=join(todo, "{first}; {second}"),
        ),
    )

"""The items of the books that a sale's lines are booked on: the article's, one the settings name, or one of our own.

An article's item is found by link, else by SKU; a missing one is named, or the fallback is used. The books take a
line's account from its item, not from the line. So where the settings name an account, for a country, a turnover
group, deposits or money, such lines are booked on a service item of that account, created once. An item that keeps
stock then gets a separate line with the pieces only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.database.session import reading
from gateway.errors import DuplicateName
from gateway.store import inbox, links
from gateway.store.events import Change, Flow
from gateway.store.links import Link, LinkKind, key_of_own, named_item
from handlers import known_records
from handlers.deps import Deps, not_shown_yet
from handlers.lists import LISTS_SECONDS
from mapping import control
from mapping.control import ControlQuestion
from mapping.errors import MappingError
from mapping.items import OWN_ENDING, name_item
from mapping.list_entries import by_name_or_id, named
from mapping.messages import AND, join, message
from mapping.records import Item, Sale, SaleLine
from mapping.references import ROUNDING_ITEM, OwnItem
from mapping.sale_identity import name_record
from mapping.sale_lines import needed_articles

_SELLABLE = frozenset({"Inventory", "NonInventory", "Service"})
_BUNDLE = "Group"


@dataclass(frozen=True, slots=True)
class _Missing:
    """A SKU without an active item, and the inactive items and the bundles with this SKU."""

    sku: str
    inactive: tuple[Item, ...]
    bundles: tuple[Item, ...]


def find(sale: Sale, deps: Deps, *, country: str | None) -> dict[str, Any]:
    """The fields of `References` with the items of every line that will be booked.

    Raises `MappingError` naming missing SKUs.

    `country` is the buyer's: the settings may book foreign sales on items of another account.
    """
    mapped, lines = deps.settings.mapping, list(sale.every_line)
    of_articles = {line.article: _of_account(sale, line, deps, country) for line in lines if line.article}
    instead = {article: item for article, item in of_articles.items() if item}
    wanted = needed_articles(
        sale,
        tolerance_cents=deps.settings.orders.rounding_cap_cents,
        special_items=tuple(mapped.special_items),
        tip_articles=mapped.tip_articles,
    )
    found, missing = _find(wanted - instead.keys(), lines, deps)
    articles = found | _fallback(missing, name_record(sale), deps) | instead
    counted, _ = _find(wanted & instead.keys(), lines, deps)
    stocked = (
        deps.lists.stocked(counted.values(), quiet=_find_quiet(counted.values(), deps)) if counted else frozenset()
    )
    bare = [line for line in lines if not line.article and line.turnover_group]
    of_groups = {line.turnover_group or 0: _of_account(sale, line, deps, country) for line in bare}
    return {
        "items": articles,
        "stock_items": {number: item for number, item in counted.items() if item in stocked},
        "group_items": {group: item for group, item in of_groups.items() if item},
        "special_items": special_items(deps),
        "fallback_item_id": settings_item("fallback", deps),
    }


def _find(wanted: Collection[int], lines: Iterable[SaleLine], deps: Deps) -> tuple[dict[int, str], dict[int, _Missing]]:
    deps.links.load((LinkKind.ARTICLE, str(number)) for number in wanted)
    found = {number: link.target_id for number in wanted if (link := deps.links[LinkKind.ARTICLE, str(number)])}
    plus = {line.article: line.plu for line in lines}
    missing: dict[int, _Missing] = {}
    unknown = sorted(set(wanted) - found.keys())
    asked = {number: list(dict.fromkeys(filter(None, (str(number), plus.get(number))))) for number in unknown}
    read = deps.books.items_by_skus(sorted({sku for skus in asked.values() for sku in skus})) if asked else ()
    for number, skus in asked.items():
        named = [item for sku in skus for item in read if (item.sku or "").strip().casefold() == sku.strip().casefold()]
        items = [item for item in named if item.type in _SELLABLE]
        if item := _choose(number, [each for each in items if each.active], deps):
            deps.lists.note_stocked(item, sold=True)
            link = Link(LinkKind.ARTICLE, str(number), "Item", item.id, item.sync_token)
            found[number] = deps.save_link_once(link).target_id
        else:
            bundles = (item for item in named if item.type == _BUNDLE and item.active)
            missing[number] = _Missing(skus[-1], tuple(items), tuple(bundles))
    return found, missing


def _find_quiet(item_ids: Iterable[str], deps: Deps) -> set[str]:
    """The items of which neither a webhook nor a poll has told for a day."""
    subjects = {Change("", Flow.PRODUCTS, "", "Item", id_, connection=deps.connection).subject: id_ for id_ in item_ids}
    since = deps.now() - timedelta(seconds=LISTS_SECONDS)
    with reading(deps.engine) as session:
        told = inbox.find_open_or_recent(session, list(subjects), since)
    return {id_ for subject, id_ in subjects.items() if subject not in told}


def summary_item(deps: Deps) -> str | None:
    """The item of a day's document, where the settings name one."""
    return settings_item("summary", deps) or settings_item("fallback", deps)


def settings_item(kind: str, deps: Deps) -> str | None:
    """The item of `orders.<kind>_item` ("fallback", "summary"), if the settings name one."""
    name, setting = getattr(deps.settings.orders, f"{kind}_item"), f"orders.{kind}_item"
    return _named_item(kind, name, deps, setting=setting) if name else None


def forget(item_ids_: Iterable[str], deps: Deps) -> None:
    """Drop every link to items that the books do not accept any more."""
    for item_id in item_ids_:
        for kind in (LinkKind.ARTICLE, LinkKind.SPECIAL):
            known = deps.read(links.find_by_target, kind, item_id)
            for link in known:
                deps.delete_link(kind, link.source_id)


def _choose(number: int, items: Sequence[Item], deps: Deps) -> Item | None:
    """The item of an article; among several with one SKU the one marked at the till, or `MappingError` naming them."""
    alike = [item for item in items if item.sku == items[0].sku]
    if len(alike) < 2:  # noqa: PLR2004 - two are needed to be alike
        return next(iter(items), None)
    read = deps.till.product_of_article(number)
    marks = {article.ext_id for article in read.product.articles if article.number == number} if read else set()
    if item := next((i for i in alike if i.id in marks), None):
        return item
    said = "{names} have the same SKU, and the till does not say which is article {number}"
    raise MappingError(
        message(said, names=join([name_item(each) for each in alike], AND), number=number),
        code="same-sku",
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
    key = named_item(kind, name)
    if known := deps.links[LinkKind.SPECIAL, key]:
        return known.target_id
    items = (*deps.books.items_by_sku(name), *deps.books.items_by_name(name))
    if not items and name.isdecimal():
        items = deps.books.items_by_ids([name])
    item = next((each for each in items if each.active), None)
    if item is None:
        inactive = next(iter(items), None)
        raise MappingError(
            message("{setting}: {inactive} is inactive in QuickBooks", setting=setting, inactive=name_item(inactive))
            if inactive
            else message("{setting}: QuickBooks has no item with the SKU or name {name}", setting=setting, name=name),
            code=known_records.INACTIVE_ITEM if inactive else known_records.MISSING_ITEM,
            record=name_item(inactive) if inactive else message("item {name}", name=name),
            cause=known_records.cause_of_item(name),
            field=setting,
            fix="make the item active again in QuickBooks, what waits for it then continues automatically; "
            "or change the setting"
            if inactive
            else "create the item in QuickBooks, what waits for it then continues automatically; or change the setting",
        )
    deps.save_links(Link(LinkKind.SPECIAL, key, "Item", item.id))
    return item.id


def rounding_item(deps: Deps) -> str:
    """The item of rounding lines: our own service item, created once on the account that sales are booked on."""

    def find_account() -> str:
        accounts = [a for a in deps.lists.entries("Account") if a.active and a.type == "Income"]
        if not accounts:
            raise MappingError(
                "QuickBooks has no income account for the item of rounding lines",
                code="no-rounding-account",
                record=ROUNDING_ITEM,
                field="mapping.special_items.rounding",
                fix="create an item for rounding differences in QuickBooks and name it in "
                "mapping.special_items.rounding",
            )
        return next((a for a in accounts if a.subtype == "SalesOfProductIncome"), accounts[0]).id

    return _own(ROUNDING_ITEM, ROUNDING_ITEM, find_account, deps)


def _fallback(missing: Mapping[int, _Missing], record: str, deps: Deps) -> dict[int, str]:
    if not missing:
        return {}
    fallback = deps.settings.orders.fallback_item
    if deps.settings.orders.missing_item == "park" or not fallback:
        # The first one is the cause: when it exists, the sale is retried and names the next missing one.
        first = next(iter(missing.values()))
        absent = ", ".join(each.sku for each in missing.values() if not each.inactive and not each.bundles)
        bundles = [name_item(item) for each in missing.values() for item in each.bundles]
        inactive = [name_item(item) for each in missing.values() for item in each.inactive]
        said = [message("QuickBooks has no item with SKU {skus}", skus=absent)] if absent else []
        said += [message("inactive in QuickBooks: {items}", items=join(inactive))] if inactive else []
        said += (
            [message("a bundle, which no line of a sale can be on: {items}", items=join(bundles))] if bundles else []
        )
        todo = [message("create the item with this SKU")] if absent else []
        if bundles:
            todo += [message("give the SKU of the bundle to an item that is none")]
        if inactive:
            todo += [message("make the item active again, or give its SKU to the one that takes its place")]
        fix = '{todo} in QuickBooks: the sale then continues (or choose orders.missing_item = "fallback")'
        raise MappingError(
            message("{record}: {what}", record=record, what=join(said, "{first}; {second}")),
            code=known_records.INACTIVE_ITEM if first.inactive else known_records.MISSING_ITEM,
            record=name_item(first.inactive[0]) if first.inactive else message("item with SKU {sku}", sku=first.sku),
            cause=known_records.cause_of_item(first.sku),
            field="SKU" if absent or bundles else "active",
            fix=message(fix, todo=join(todo, "{first}; {second}")),
        )
    item = _named_item("fallback", fallback, deps, setting="orders.fallback_item")
    deps.note("booked on the fallback item", skus=[each.sku for each in missing.values()], item=item)
    return dict.fromkeys(missing, item)


# --- items of an account -----------------------------------------------------------------------------------------


def _of_account(sale: Sale, line: SaleLine, deps: Deps, country: str | None) -> str | None:
    rows = deps.settings.mapping.income_accounts
    keys = (f"{country or ''}:{line.turnover_group or ''}", country or "", f":{line.turnover_group or ''}")
    key = next((key for key in keys if key and key in rows.table), keys[0])
    if rows.mode == "off" or (rows.mode == "default" and key not in rows.table):
        return None
    what = message(
        "the income account of turnover group {group} for {country}"
        if country
        else "the income account of turnover group {group}",
        group=line.turnover_group or "(none)",
        country=country,
    )
    asked = ControlQuestion(
        setting="mapping.income_accounts", key=key, record=name_record(sale), source=sale, what=what
    )
    account = control.resolve(rows, asked).value
    if not account:
        return None
    accounts = deps.lists.entries("Account")
    account_id = by_name_or_id(account, accounts)
    name = next((entry.name for entry in accounts if entry.id == account_id), account)
    return _own(f"account:{account_id}", f"{name}{OWN_ENDING}", lambda: account_id, deps)


def _own(key: str, name: str, find_account: Callable[[], str], deps: Deps, *, setting: str | None = None) -> str:
    """The id of a service of ours: by its link, else by its name, else created on this account.

    `setting` is what it is for, where its name depends on the settings.
    """
    if link := deps.links[LinkKind.SPECIAL, key]:
        return link.target_id
    present = deps.books.items_by_name(name)
    item = next((each for each in present if each.active), None)
    if item is None:
        account_id = find_account()
        deps.note("making an item of our own in QuickBooks", name=name, account=account_id)
        # The successor of an item that was made inactive is another item.
        former = sorted(each.id for each in (*present, *deps.books.items_by_name(f"{name} (deleted)")))
        identity = (setting, account_id) if setting else (name,)
        token = deps.books.request_id("item", *identity, *former)
        try:
            item = deps.books.create_service_item(name, account_id, token)
        except DuplicateName:  # another sale made it, in books that did not recognise the common request id
            item = next((each for each in deps.books.items_by_name(name) if each.active), None)
            if item is None:
                raise not_shown_yet(name) from None
    deps.save_links(Link(LinkKind.SPECIAL, key, "Item", item.id))
    return item.id


def own_item(own: OwnItem, deps: Deps) -> str:
    """The id of the item, created if missing. MappingError if the account in the settings does not exist."""
    account = getattr(deps.settings.mapping, own.setting)
    name = f"{account} - {own.name}" if account else own.name

    def find_account() -> str:
        accounts = deps.lists.entries("Account")
        if not account:
            entry = named(own.name, accounts)
            made = "made an account in QuickBooks"
            return entry.id if entry else deps.create_entry("Account", own.name, ("account", own.setting), made)
        active = [entry for entry in accounts if entry.active]
        account_id = by_name_or_id(account, active)
        if all(entry.id != account_id for entry in active):
            raise MappingError(
                message("QuickBooks has no active account {account}", account=account),
                code="no-such-account",
                record=own.name,
                field=f"mapping.{own.setting}",
                fix=message("make the account in QuickBooks, or correct mapping.{setting}", setting=own.setting),
            )
        return account_id

    return _own(key_of_own(own, deps.settings), name, find_account, deps, setting=own.setting)


def own_ids(own: OwnItem, deps: Deps) -> frozenset[str]:
    """The ids of all items ever used for this, under any settings; none is created."""
    found = deps.read(links.find_under, LinkKind.SPECIAL, f"{own.name}:")
    return frozenset(link.target_id for link in found)

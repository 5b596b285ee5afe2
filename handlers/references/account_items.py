"""Service items per income account: the books take a line's account from its item, not from the line.

If the settings name an account for a country or a turnover group, such lines are booked on a service item of that
account instead of the article's own item. An item that keeps stock then gets a separate line with the pieces only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.identity import request_id
from mapping import control
from mapping.control import ControlQuestion
from mapping.list_entries import by_name_or_id
from mapping.messages import message
from mapping.records import Sale, SaleLine
from mapping.sale_identity import name_record
from mapping.skus import OWN_ENDING


def by_article(sale: Sale, deps: Deps, country: str | None) -> dict[int, str]:
    """The item of every article whose lines belong to a separate account."""
    lines = [line for line in every_line(sale.lines) if line.article]
    found = {line.article: _find(sale, line, deps, country) for line in lines}
    return {article: item for article, item in found.items() if item}


def by_group(sale: Sale, deps: Deps, country: str | None) -> dict[int, str]:
    """The item of every turnover group on lines without an article."""
    lines = [line for line in every_line(sale.lines) if not line.article and line.turnover_group]
    found = {line.turnover_group or 0: _find(sale, line, deps, country) for line in lines}
    return {group: item for group, item in found.items() if item}


def every_line(lines: Iterable[SaleLine]) -> Iterator[SaleLine]:
    """All lines and their sublines."""
    for line in lines:
        yield line
        yield from every_line(line.sublines)


def _find(sale: Sale, line: SaleLine, deps: Deps, country: str | None) -> str | None:
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
    chosen = control.resolve(rows, asked).value
    return _item_of(chosen, deps) if chosen else None


def _item_of(account: str, deps: Deps) -> str:
    accounts = deps.lists.entries("Account")
    account_id = by_name_or_id(account, accounts)
    key = f"account:{account_id}"
    with reading(deps.engine) as session:
        known = links.find(session, deps.connection, LinkKind.SPECIAL, key)
    if known:
        return known.target_id
    name = next((entry.name for entry in accounts if entry.id == account_id), account)
    item_id = own_item(f"{name}{OWN_ENDING}", account_id, deps)
    deps.remember(Link(LinkKind.SPECIAL, key, "Item", item_id))
    return item_id


def own_item(name: str, account_id: str, deps: Deps) -> str:
    """The service of this name that we created in the books, with or without a link; created if there is none."""
    present = deps.books.items_by_name(name)
    found = next((item for item in present if item.active), None)
    if found:
        return found.id
    deps.say("making an item of our own in QuickBooks", name=name, account=account_id)
    # The successor of an item that was made inactive is another item.
    gone = sorted(item.id for item in (*present, *deps.books.items_by_name(f"{name} (deleted)")))
    token = request_id(deps.books.realm_id, "item", name, *gone)
    return deps.books.create_service_item(name, account_id, token).id

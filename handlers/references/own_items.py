"""Our own items on balance sheet accounts: deposits on orders, and money by a second payment method.

The books take a line's account from its item. Each item is created once, on the account in the settings or on a new
account.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.identity import request_id
from mapping.errors import MappingError
from mapping.list_entries import by_name_or_id, named
from mapping.messages import message


@dataclass(frozen=True, slots=True)
class OwnItem:
    """`name` of the item and of its account where the settings name none; `setting` of `mapping` names the account."""

    name: str
    setting: str


CLEARING = OwnItem("Other ways to pay (Kassabridge)", "clearing_account")
ORDER_DEPOSITS = OwnItem("Deposits on orders (Kassabridge)", "order_deposit_account")


def find(own: OwnItem, deps: Deps) -> str:
    """The id of the item, created if missing. MappingError if the account in the settings does not exist."""
    account = getattr(deps.settings.mapping, own.setting)
    key = f"{own.name}:{account or ''}"
    with reading(deps.engine) as session:
        known = links.find(session, deps.connection, LinkKind.SPECIAL, key)
    if known:
        return known.target_id
    name = f"{account} - {own.name}" if account else own.name
    item_id = _find_or_make(name, own, account, deps)
    deps.remember(Link(LinkKind.SPECIAL, key, "Item", item_id))
    return item_id


def known_ids(own: OwnItem, deps: Deps) -> frozenset[str]:
    """The ids of all items ever used for this, under any settings; none is created."""
    with reading(deps.engine) as session:
        found = links.find_under(session, deps.connection, LinkKind.SPECIAL, f"{own.name}:")
    return frozenset(link.target_id for link in found)


def _find_or_make(name: str, own: OwnItem, account: str | None, deps: Deps) -> str:
    found = next((item for item in deps.books.items_by_name(name) if item.active), None)
    if found:
        return found.id
    account_id = _named_account(own, account, deps) if account else _own_account(own, deps)
    deps.say("making an item in QuickBooks", name=name, account=account_id)
    return deps.books.create_service_item(
        name, account_id, request_id(deps.books.realm_id, "item", own.setting, account_id)
    ).id


def _named_account(own: OwnItem, account: str, deps: Deps) -> str:
    accounts = [entry for entry in deps.lists.entries("Account") if entry.active]
    account_id = by_name_or_id(account, accounts)
    if all(entry.id != account_id for entry in accounts):
        raise MappingError(
            message("QuickBooks has no active account {account}", account=account),
            record=own.name,
            field=f"mapping.{own.setting}",
            fix=message("make the account in QuickBooks, or correct mapping.{setting}", setting=own.setting),
        )
    return account_id


def _own_account(own: OwnItem, deps: Deps) -> str:
    entry = named(own.name, deps.lists.entries("Account"))
    if entry is None:
        entry = deps.books.create_liability_account(own.name, request_id(deps.books.realm_id, "account", own.setting))
        deps.say("made an account in QuickBooks", name=own.name, id=entry.id)
        if not deps.dry_run:
            deps.lists.add("Account", entry)
    return entry.id

"""The one record that a person asks for: by its id, its SKU, its name, or its e-mail address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from gateway.errors import NotFound
from gateway.store.requests import By
from handlers.deps import Deps
from mapping.customers import email_key
from mapping.messages import message
from mapping.records import Customer, Item, Relation

Found = TypeVar("Found", Item, Customer, Relation)
_WORDS: Final[Mapping[By, str]] = {By.ID: "number", By.NAME: "name", By.EMAIL: "e-mail address", By.SKU: "SKU"}
_MAX_NAMED: Final = 5


def get_item(by: By, record: str, deps: Deps) -> Item:
    """The requested item. Raises `NotFound` if there is none, or if several have this SKU or name."""
    if by is By.ID:
        return deps.books.item(record)
    found = deps.books.items_by_sku(record) if by is By.SKU else ()
    found = deps.books.items_by_name(record) if by is By.NAME else found
    said = (
        'no item in QuickBooks has the {field} "{record}"',
        '{n} items in QuickBooks have the {field} "{record}": {named}',
    )
    return _only(found, by, record, said)


def get_customer(by: By, record: str, deps: Deps) -> Customer:
    """The requested customer of the books. Raises `NotFound`, also if several have this name or address."""
    if by is By.ID:
        return deps.books.customer(record)
    found = deps.books.customers_by_name(record) if by is By.NAME else ()
    found = deps.books.customers_by_email(record) if by is By.EMAIL else found
    said = (
        'no customer in QuickBooks has the {field} "{record}"',
        '{n} customers in QuickBooks have the {field} "{record}": {named}',
    )
    return _only(found, by, record, said)


def get_relation(by: By, record: str, deps: Deps) -> Relation:
    """The requested relation. Raises `NotFound`."""
    found: Relation | None = None
    if by is By.ID and record.isdecimal():
        found = deps.till.relation(int(record))
    elif by is By.NAME:
        found = deps.till.find_relation_by_name(record)
    elif by is By.EMAIL:
        found = deps.till.find_relation_by_email(email_key(record) or record)
    said = 'no relation at the till has the {field} "{record}"', ""
    return _only([found] if found else [], by, record, said)


def _only(found: Sequence[Found], by: By, record: str, said: tuple[str, str]) -> Found:
    """The only one; `said`: that there is none, and that there are several."""
    none, several = said
    if len(found) == 1:
        return found[0]
    field = _WORDS[by]
    if not found:
        raise NotFound(message(none, field=field, record=record), fix="look at its spelling")
    named = ", ".join(str(each.number if isinstance(each, Relation) else each.id) for each in found[:_MAX_NAMED])
    why = message(several, n=len(found), field=field, record=record, named=named)
    raise NotFound(why, fix="ask for one of them by its id")

"""The links that the handling of a sale needs: how they are named, loaded together and handed on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TypeAlias

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from mapping.records import Sale
from mapping.references import CLEARING, ORDER_DEPOSITS, ROUNDING_ITEM, OwnItem
from mapping.sale_lines import every_line
from mapping.settings_document import SettingsDocument

Key: TypeAlias = tuple[LinkKind, str]
"""A kind of link and a source record."""


def of_sale(sale: Sale, settings: SettingsDocument) -> Iterator[Key]:
    """The links of what a sale refers to, as far as the sale and the settings name it."""
    yield LinkKind.CUSTOMER, debtor(settings.customers.default_debtor)
    if sale.credited_id:
        yield LinkKind.DOCUMENT, sale.credited_id
    yield from ((LinkKind.ARTICLE, str(line.article)) for line in every_line(sale.lines) if line.article)
    named = [named_item(kind, name) for kind, name in settings.mapping.special_items.items()]
    if settings.orders.fallback_item:
        named.append(named_item("fallback", settings.orders.fallback_item))
    own = (key_of_own(each, settings) for each in (CLEARING, ORDER_DEPOSITS))
    yield from ((LinkKind.SPECIAL, key) for key in (*named, ROUNDING_ITEM, *own))


def of_other(sale: Sale) -> list[Key]:
    """The links by which a sale may be booked as another record: an order, or its receipt or invoice."""
    return [(LinkKind.ORDER, sale.id), *((LinkKind.DOCUMENT, order_id) for order_id in sale.order_ids)]


def debtor(name: str) -> str:
    """The source id of the customer for walk-ins."""
    return f"name:{name.casefold()}"


def named_item(kind: str, name: str) -> str:
    """The source id of an item that the settings name."""
    return f"{links.NAMED}{kind}:{name}"


def key_of_own(own: OwnItem, settings: SettingsDocument) -> str:
    """The source id of an item of ours on the account that the settings name."""
    return f"{own.name}:{getattr(settings.mapping, own.setting) or ''}"


def find(session: Session, connection: str, wanted: Collection[Key]) -> dict[Key, Link | None]:
    """These links, with one statement; None for one that does not exist."""
    kinds, ids = sorted({kind for kind, _ in wanted}), sorted({id_ for _, id_ in wanted})
    found = {(link.kind, link.source_id): link for link in links.find_kinds(session, connection, kinds, ids)}
    return {key: found.get(key) for key in wanted}


class KnownLinks(dict[Key, Link | None]):
    """Links as they were loaded, None for one that does not exist; what was not loaded is read when it is needed."""

    def __init__(self, engine: Engine, connection: str) -> None:
        super().__init__()
        self._engine = engine
        self._connection = connection

    def load(self, wanted: Iterable[Key]) -> None:
        """Read those that are not known yet, in one transaction."""
        if new := set(wanted) - self.keys():
            with reading(self._engine) as session:
                self.update(find(session, self._connection, new))

    def __missing__(self, key: Key) -> Link | None:
        self.load([key])
        return self[key]

"""Read one sale of any kind from the till, and name it for the inbox.

The till and the books both have an "Invoice": in the inbox the till's invoices and orders have other names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.store.events import SALES
from handlers.deps import Deps
from mapping.records import Sale, SaleKind

ENTITIES: Final = SALES
_KINDS: Final = {entity: kind for kind, entity in ENTITIES.items()}
_READ: Final[Mapping[SaleKind, Callable[[Deps, Sequence[str]], Sequence[Sale]]]] = {
    SaleKind.RECEIPT: lambda deps, ids: deps.till.receipts(ids),
    SaleKind.INVOICE: lambda deps, ids: deps.till.invoices(ids),
    SaleKind.ORDER: lambda deps, ids: deps.till.orders(ids),
}


def read(entity: str, sale_id: str, deps: Deps) -> Sale | None:
    """The sale of an event of this entity as it is now, or None."""
    return next(iter(read_all(entity, [sale_id], deps)), None)


def read_all(entity: str, ids: Sequence[str], deps: Deps) -> Sequence[Sale]:
    """The sales of events of this entity as they are now; those unknown to the till are left out."""
    return _READ[_KINDS[entity]](deps, ids) if ids else ()


def find(number_or_id: str, deps: Deps) -> Sale | None:
    """The receipt, invoice or order with this id or printed number, or None."""
    for entity in _KINDS:
        if sale := read(entity, number_or_id, deps):
            return sale
    return deps.till.find_sale(number_or_id)

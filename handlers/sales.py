"""Reading one sale from the till, whatever it is called there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from handlers.deps import Deps
from mapping.records import Sale, SaleKind

_READ: Mapping[str, Callable[[Deps, str], Sequence[Sale]]] = {
    SaleKind.RECEIPT: lambda deps, sale_id: deps.till.receipts([sale_id]),
    SaleKind.INVOICE: lambda deps, sale_id: deps.till.invoices([sale_id]),
    SaleKind.ORDER: lambda deps, sale_id: deps.till.orders([sale_id]),
}


def read(kind: str, sale_id: str, deps: Deps) -> Sale | None:
    """The sale with this id as it stands now, or None."""
    return next(iter(_READ[kind](deps, sale_id)), None)


def find(number_or_id: str, deps: Deps) -> Sale | None:
    """The receipt, invoice or order with this id or printed number, or None."""
    for kind in SaleKind:
        if sale := read(kind, number_or_id, deps):
            return sale
    return deps.till.find_sale(number_or_id)

"""Sales documents for tests: one that is plain, and a strategy of ones that add up."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from mapping.records import DocumentKind, DocumentLine, DocumentTax, SalesDocument

DAY = date(2026, 8, 1)


def line(net: str = "100.00", **more: Any) -> DocumentLine:
    return DocumentLine(**{"net": Decimal(net), "item_id": "19", "tax_code_id": "5", **more})


def tax(net: str = "100.00", amount: str = "21.00", rate_id: str | None = "3") -> DocumentTax:
    return DocumentTax("5", Decimal(net), Decimal(amount), Decimal(21), rate_id)


def sale(kind: DocumentKind = DocumentKind.SALES_RECEIPT, **more: Any) -> SalesDocument:
    fields: dict[str, Any] = {
        "kind": kind,
        "marker": "mplus:R-1",
        "document_number": "1.1.2026.123",
        "business_date": DAY,
        "customer_id": "58",
        "lines": (line(),),
        "taxes": (tax(),),
        "total": Decimal("121.00"),
        "deposit_account_id": "35",
    }
    return SalesDocument(**{**fields, **more})


CENTS = st.integers(-1_000_000, 1_000_000).map(lambda cents: Decimal(cents) / 100)


@st.composite
def sales(draw: st.DrawFn) -> SalesDocument:
    """Documents of any kind whose lines and taxes are their total."""
    nets = draw(st.lists(CENTS, min_size=1, max_size=8))
    quantities = draw(st.lists(st.sampled_from([None, 1, -1]), min_size=len(nets), max_size=len(nets)))
    lines = tuple(
        line(str(net)) if quantity is None else line(str(net), quantity=Decimal(quantity), unit_price=net * quantity)
        for net, quantity in zip(nets, quantities, strict=True)
    )
    taxes = tuple(tax(amount=str(amount)) for amount in draw(st.lists(CENTS, max_size=3)))
    total = sum(nets, Decimal(0)) + sum((one.tax for one in taxes), Decimal(0))
    return sale(draw(st.sampled_from(DocumentKind)), lines=lines, taxes=taxes, total=total)

"""The records of the till (MplusKASSA)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from mapping.money import Key, add


@dataclass(frozen=True, slots=True)
class Article:
    """A till article: what is sold, priced and stocked. None means: not given by the till (or: leave it alone).

    `custom_fields` are the till's free fields, name to value.
    """

    number: int | None = None
    ext_id: str | None = None
    plu: str | None = None
    active: bool | None = None
    description: str | None = None
    receipt_text: str | None = None
    invoice_text: str | None = None
    display_text: str | None = None
    extra_text: str | None = None
    colour: str | None = None
    size: str | None = None
    barcode: str | None = None
    turnover_group: int | None = None
    vat_code: int | None = None
    price_incl_cents: int | None = None
    price_excl_cents: int | None = None
    purchase_price_cents: int | None = None
    stock_article: bool | None = None
    webshop: bool | None = None
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    sync_marker: int | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """A till product: the group of its articles (variants)."""

    number: int | None
    description: str | None
    articles: tuple[Article, ...]
    group_numbers: tuple[int, ...] = ()
    extra_text: str | None = None
    sync_marker: int | None = None


@dataclass(frozen=True, slots=True)
class VatGroup:
    """A VAT code of a branch with its rate in force; `branch` None means it holds for every branch."""

    code: int
    percentage: Decimal
    branch: int | None = None
    country: str | None = None


VatKey = tuple[int, Decimal]
"""A VAT code and its rate in percent."""


@dataclass(frozen=True, slots=True)
class VatAmount:
    """A sale's totals for one of its VAT codes at one rate. Authoritative: never recomputed."""

    code: int
    percentage: Decimal
    net_cents: int
    vat_cents: int

    @property
    def key(self) -> VatKey:
        """A code has two rates in one sale around the day its rate changes."""
        return self.code, self.percentage


def sum_vat(amounts: Iterable[VatAmount], key: Callable[[VatAmount], Key]) -> dict[Key, VatAmount]:
    """The amounts of one key added up, under the code and rate of the first."""
    sums: dict[Key, VatAmount] = {}
    for each in amounts:
        known = sums.get(key(each), VatAmount(each.code, each.percentage, 0, 0))
        net, vat = known.net_cents + each.net_cents, known.vat_cents + each.vat_cents
        sums[key(each)] = VatAmount(known.code, known.percentage, net, vat)
    return sums


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch (shop) of the till."""

    number: int
    name: str
    country: str | None = None
    workplaces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TillPaymentMethod:
    """A payment method of the till; `code` is the value of `method` in payments."""

    code: str
    description: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class TillAddress:
    """An address on a sale or relation of the till: one street line, free-text country."""

    name: str | None = None
    contact: str | None = None
    street: str | None = None
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    company: str | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation (customer or supplier) of the till."""

    number: int
    name: str
    ext_id: str | None = None
    email: str | None = None
    company: str | None = None
    contact: str | None = None
    phone: str | None = None
    mobile: str | None = None
    address: TillAddress | None = None
    delivery_address: TillAddress | None = None
    vat_number: str | None = None
    payment_days: int | None = None
    vat_method: str | None = None
    active: bool = True
    sync_marker: int | None = None
    created_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Tender:
    """A payment method on one day."""

    method: str
    day: date


class SaleKind(StrEnum):
    """Where a sale was seen at the till."""

    RECEIPT = "Receipt"
    INVOICE = "Invoice"
    ORDER = "Order"


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A line of a sale. Amounts are of the whole line after discount; `sublines` are preparations and components.

    `kind` and `type` are the till's own words (LINE-KIND-..., LINE-TYPE-...). `article` 0 is a text line.
    """

    id: str
    article: int
    text: str
    quantity: Decimal
    unit_incl_cents: int | None = None
    unit_excl_cents: int | None = None
    total_incl_cents: int | None = None
    total_excl_cents: int | None = None
    discount_cents: int | None = None
    discount_percentage: Decimal | None = None
    vat_code: int | None = None
    vat_percentage: Decimal | None = None
    plu: str | None = None
    turnover_group: int | None = None
    turnover_group_type: str | None = None
    price_type: str | None = None
    kind: str | None = None
    type: str | None = None
    sublines: tuple[SaleLine, ...] = ()

    def with_sublines(self) -> Iterator[SaleLine]:
        yield self
        for line in self.sublines:
            yield from line.with_sublines()


@dataclass(frozen=True, slots=True)
class Payment:
    """A tender of a sale, in cents; negative for a refund."""

    method: str
    amount_cents: int
    id: str | None = None
    description: str | None = None
    type: str | None = None
    business_date: date | None = None


def sum_by_tender(payments: Iterable[Payment], day: date) -> dict[Tender, int]:
    """Signed cents per tender; `day` is of payments without one. Tenders with a sum of zero are left out."""
    return add({Tender(each.method, each.business_date or day): each.amount_cents} for each in payments)


@dataclass(frozen=True, slots=True)
class Sale:
    """A receipt, invoice or order of the till, as read.

    `id` is the till's UUID, `number` the printed number ("branch.workplace.year.number" or "year.number").
    `type` and `state` are the till's own words (RECEIPT-TYPE-..., RECEIPT-STATE-...).
    """

    kind: SaleKind
    id: str
    number: str
    type: str
    state: str
    branch: int
    business_date: date
    total_incl_cents: int
    total_excl_cents: int
    vat_method: str
    vat: tuple[VatAmount, ...]
    lines: tuple[SaleLine, ...]
    payments: tuple[Payment, ...]
    paid_cents: int = 0
    workplace: int | None = None
    entered_at: datetime | None = None
    relation_number: int | None = None
    relation_name: str | None = None
    reference: str | None = None
    employee_number: int | None = None
    order_ids: tuple[str, ...] = ()
    credited_id: str | None = None
    due_date: date | None = None
    delivery_method: str | None = None
    billing: TillAddress | None = None
    shipping: TillAddress | None = None
    version: int | None = None
    change_counter: int | None = None
    sync_marker: int | None = None
    finalized: bool | None = None

    @property
    def every_line(self) -> Iterator[SaleLine]:
        """Its lines, each followed by the lines below it."""
        for line in self.lines:
            yield from line.with_sublines()


@dataclass(frozen=True, slots=True)
class SyncMarkers:
    """The till's rising counters, one per kind of record; None if the installation did not return one."""

    article: int | None = None
    article_group: int | None = None
    relation: int | None = None
    receipt: int | None = None
    invoice: int | None = None
    order: int | None = None
    stock: int | None = None


@dataclass(frozen=True, slots=True)
class ArticleStock:
    """The stock of one article in one branch, in pieces. `free` can be sold, `reserved` is promised to open orders.

    `stock_id` is the till's rising number of the last booking.
    """

    article: int
    branch: int | None
    free: Decimal
    reserved: Decimal
    stock_id: int | None = None


@dataclass(frozen=True, slots=True)
class StockMovement:
    """One booking on the stock of an article. `type` is the till's own word (STOCK-HISTORY-TYPE-...).

    The ids name its document, if there is one; `after` is the quantity after a correction.
    """

    stock_id: int
    article: int
    branch: int | None
    change: Decimal
    type: str
    at: datetime | None = None
    receipt_id: str | None = None
    invoice_id: str | None = None
    order_id: str | None = None
    after: Decimal | None = None

    @property
    def documents(self) -> list[str]:
        return [id_ for id_ in (self.receipt_id, self.invoice_id, self.order_id) if id_]


@dataclass(frozen=True, slots=True)
class ArticleGroup:
    """A group of the till's products. `parent` is None at the top; `product_numbers` are its own members only.

    `number` is None for one that is still to be created.
    """

    number: int | None
    name: str
    text: str = ""
    parent: int | None = None
    sort_order: int | None = None
    product_numbers: tuple[int, ...] = ()
    subgroups: tuple[ArticleGroup, ...] = ()
    deleted: bool = False
    sync_marker: int | None = None


@dataclass(frozen=True, slots=True)
class TurnoverGroup:
    """A turnover group of the till: its link to a ledger account."""

    number: int
    name: str
    type: str | None = None
    vat_code: int | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """The totals of a branch on one business day: per VAT code and payment method."""

    business_date: date
    branch: int
    vat: tuple[VatAmount, ...]
    payments: tuple[Payment, ...]

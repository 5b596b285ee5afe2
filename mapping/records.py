"""The frozen records both worlds are spoken of in: what the connectors read and write, what the mapping maps.

Units, everywhere in this file: `*_cents` are integer euro cents; `Decimal` amounts are euros; quantities are
`Decimal` pieces; percentages are `Decimal` per cent (21 means 21 %). Dates are business dates of the shop
(Europe/Amsterdam wall clock); datetimes are aware.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

# --- the books (QuickBooks Online) -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the books. `raw` is the whole JSON object, so that a setting can reach any field by path."""

    id: str
    sync_token: str
    name: str
    type: str
    sku: str | None = None
    description: str | None = None
    unit_price: Decimal | None = None
    price_includes_tax: bool = False
    tax_code_id: str | None = None
    parent_id: str | None = None
    active: bool = True
    track_stock: bool = False
    quantity_on_hand: Decimal | None = None
    updated_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """A postal address as the books keep it; `country` is free text there (ISO alpha-3 or a name)."""

    lines: tuple[str, ...] = ()
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of the books. `id` and `sync_token` are None for one that is still to be created."""

    display_name: str
    id: str | None = None
    sync_token: str | None = None
    email: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    company_name: str | None = None
    phone: str | None = None
    mobile: str | None = None
    billing: PostalAddress | None = None
    shipping: PostalAddress | None = None
    vat_number: str | None = None
    active: bool = True
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaxCode:
    """A sales tax code of the books with the rate that is in force (the sum of its sales tax rates).

    `rate_id` is the TaxRate behind it when there is exactly one, else None.
    """

    id: str
    name: str
    active: bool
    percentage: Decimal | None
    rate_id: str | None = None


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A row of one of the books' small lists: PaymentMethod, Department, Class, Term, Account."""

    id: str
    name: str
    active: bool = True
    type: str | None = None
    subtype: str | None = None
    full_name: str | None = None
    account_number: str | None = None
    due_days: int | None = None


@dataclass(frozen=True, slots=True)
class CompanyProfile:
    """What the gateway must know of a company of the books before it posts (CompanyInfo and Preferences)."""

    name: str
    country: str
    home_currency: str | None
    custom_document_numbers: bool
    tracks_departments: bool
    tracks_stock: bool
    books_closed_through: date | None
    uses_tax: bool
    multi_currency: bool = False
    tracks_classes: bool = False
    allows_shipping: bool = False
    computes_tax_itself: bool = False


class DocumentKind(StrEnum):
    """The books' sales documents, by the vendor's entity name."""

    SALES_RECEIPT = "SalesReceipt"
    INVOICE = "Invoice"
    REFUND_RECEIPT = "RefundReceipt"
    CREDIT_MEMO = "CreditMemo"


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """A line of a sales document. `net` is the line's amount without tax, in euros, exactly as it must be booked.

    `quantity` x `unit_price` equals `net` exactly, or both are None (the books then take the amount alone).
    """

    net: Decimal
    item_id: str
    tax_code_id: str
    description: str | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    class_id: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentTax:
    """The tax of one tax code on a document, in euros: `net` taxed, `tax` due; `rate_id`, `percentage` of the code."""

    tax_code_id: str
    net: Decimal
    tax: Decimal
    percentage: Decimal
    rate_id: str | None


@dataclass(frozen=True, slots=True)
class SalesDocument:
    """A document ready to be booked. `total` is what the till took, tax included; the books' answer must equal it."""

    kind: DocumentKind
    marker: str
    document_number: str
    business_date: date
    customer_id: str
    lines: tuple[DocumentLine, ...]
    taxes: tuple[DocumentTax, ...]
    total: Decimal
    currency: str | None = None
    payment_method_id: str | None = None
    payment_reference: str | None = None
    deposit_account_id: str | None = None
    department_id: str | None = None
    private_note: str | None = None
    customer_memo: str | None = None
    billing: PostalAddress | None = None
    shipping: PostalAddress | None = None
    shipping_method: str | None = None
    term_id: str | None = None
    due_date: date | None = None
    email: str | None = None
    linked_invoice_id: str | None = None


@dataclass(frozen=True, slots=True)
class BookedDocument:
    """A document as it stands in the books. `total` and `tax` in euros, as the books computed them."""

    kind: DocumentKind
    id: str
    sync_token: str
    document_number: str | None
    business_date: date | None
    total: Decimal
    tax: Decimal
    private_note: str | None
    voided: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One entity of the books that change data capture reports as changed; `deleted` rows carry nothing else."""

    entity: str
    id: str
    updated_at: datetime
    deleted: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What change data capture answered. `as_of` is the books' clock; the next cursor is a little before it.

    `possibly_truncated`: the answer is as long as answers get, so there may be more; ask for fewer entities.
    """

    changes: tuple[Change, ...]
    as_of: datetime
    possibly_truncated: bool = False


@dataclass(frozen=True, slots=True)
class PaymentLink:
    """The part of a payment, in euros, that settles one document; `kind` is the vendor's entity name."""

    kind: str
    id: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class BooksPayment:
    """A payment in the books; `id` is None for one still to be created. What the links leave over stays unapplied."""

    customer_id: str
    total: Decimal
    business_date: date
    links: tuple[PaymentLink, ...] = ()
    payment_method_id: str | None = None
    payment_reference: str | None = None
    deposit_account_id: str | None = None
    private_note: str | None = None
    currency: str | None = None
    id: str | None = None
    sync_token: str | None = None
    voided: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)


# --- the till (MplusKASSA) ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Article:
    """A till article: what is sold, priced and stocked. None means the till did not say (or: leave it alone).

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


@dataclass(frozen=True, slots=True)
class VatAmount:
    """What a sale says about one of its VAT codes. Authoritative: never recomputed."""

    code: int
    percentage: Decimal
    net_cents: int
    vat_cents: int


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch (shop) of the till."""

    number: int
    name: str
    country: str | None = None
    workplaces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TillPaymentMethod:
    """A way to pay at the till; `code` is what payments carry in `method`."""

    code: str
    description: str
    type: str | None = None
    account_number: int | None = None


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


@dataclass(frozen=True, slots=True)
class Payment:
    """A tender of a sale, in cents; negative when money went back."""

    method: str
    amount_cents: int
    id: str | None = None
    description: str | None = None
    type: str | None = None
    business_date: date | None = None


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


@dataclass(frozen=True, slots=True)
class SyncMarkers:
    """The till's rising counters, one per kind of record; None where the installation did not answer one."""

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

    `stock_id` is the till's rising number of the last booking; `own_free` is the article's own stock where it also
    counts the stock of the articles it is composed of.
    """

    article: int
    branch: int | None
    free: Decimal
    reserved: Decimal
    incoming: Decimal
    stock_id: int | None = None
    own_free: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StockMovement:
    """One booking on the stock of an article. `type` is the till's own word (STOCK-HISTORY-TYPE-...).

    The ids name the document behind it, where there is one; `after` is what a correction left.
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
    """A turnover group of the till (its link to a ledger account); the amounts only stand in a journal."""

    number: int
    name: str
    type: str | None = None
    account_number: int | None = None
    vat_code: int | None = None
    incl_cents: int | None = None
    excl_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """What a branch took on one business day: per turnover group, per VAT code and per way to pay."""

    business_date: date
    branch: int
    turnover: tuple[TurnoverGroup, ...]
    vat: tuple[VatAmount, ...]
    payments: tuple[Payment, ...]

"""The records of the books (QuickBooks Online)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

SourceFields: TypeAlias = Mapping[str, Any]
"""An object exactly as the books answered it, by the vendor's own field names.

The settings let a rule read any of these fields by its path, so an item keeps all of them. Outside the connectors only
this module reads them; a test holds that.
"""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the books. `raw` has every field of the answer: files of golden records name it so."""

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
    raw: SourceFields = field(default_factory=dict)

    @property
    def rule_source(self) -> SourceFields | Item:
        """The input of rules and filters: all fields of the item in the books."""
        return self.raw or self

    @property
    def currency(self) -> str | None:
        """The currency of its price, where the books say one."""
        reference = self.raw.get("CurrencyRef")
        return reference.get("value") if isinstance(reference, Mapping) else reference

    @property
    def categories(self) -> tuple[str, ...]:
        """The names of the categories above it, from the top."""
        names = str(self.raw.get("FullyQualifiedName") or "").split(":")  # a name contains no colon
        return tuple(names[:-1]) if self.parent_id else ()

    @property
    def stocked_from(self) -> date | None:
        """The first day on which the books may change its quantity."""
        try:
            return date.fromisoformat(str(self.raw.get("InvStartDate", ""))[:10])
        except ValueError:
            return None


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
    currency: str | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class TaxCode:
    """A sales tax code of the books with the rate that is in force (the sum of its sales tax rates).

    `rate_id` is its TaxRate if there is exactly one, else None.
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
    due_days: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class CompanyProfile:
    """What the gateway needs of a company of the books before it posts (CompanyInfo and Preferences)."""

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
    class_per_document: bool = False
    allows_shipping: bool = False
    computes_tax_itself: bool = False


class DocumentKind(StrEnum):
    """The books' sales documents, by the vendor's entity name."""

    SALES_RECEIPT = "SalesReceipt"
    INVOICE = "Invoice"
    REFUND_RECEIPT = "RefundReceipt"
    CREDIT_MEMO = "CreditMemo"


RETURNS = (DocumentKind.REFUND_RECEIPT, DocumentKind.CREDIT_MEMO)
PAID_AT_ONCE = (DocumentKind.SALES_RECEIPT, DocumentKind.REFUND_RECEIPT)


class LineAmounts(StrEnum):
    """What a company of the books accepts as the amount of a line: the rounded product, or only an exact one."""

    ROUNDED = "rounded"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """A line of a sales document. `net` is the line's amount without tax, in euros, exactly as it must be booked.

    `quantity` x `unit_price`, rounded to cents, is `net`; or both are None (the books then take the amount alone).
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
    """A document ready to be booked. `total` is the till's total, tax included; the books' answer must equal it."""

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
    class_id: str | None = None
    private_note: str | None = None
    customer_memo: str | None = None
    billing: PostalAddress | None = None
    shipping: PostalAddress | None = None
    shipping_method: str | None = None
    term_id: str | None = None
    due_date: date | None = None
    email: str | None = None
    linked_invoice_id: str | None = None

    @property
    def tax(self) -> Decimal:
        return sum((each.tax for each in self.taxes), Decimal(0))


@dataclass(frozen=True, slots=True)
class DocumentContent:
    """What of a document tells that nobody edited it: its day as written, customer, note, total, and item lines.

    A line is its amount, item and tax code.
    """

    day: str | None = None
    customer: str | None = None
    note: str | None = None
    total: Decimal = Decimal(0)
    lines: tuple[tuple[Decimal | None, str | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class CapturedDocument:
    """What change data capture tells of a document, before anybody reads it; `sync_token` is that of the capture."""

    sync_token: str
    business_date: date | None
    voided: bool
    content: DocumentContent


@dataclass(frozen=True, slots=True)
class BookedLine:
    """A line of an item as it is in the books; `item_name` is what the answer calls the item. `net` is in euros."""

    item_id: str | None
    item_name: str | None
    quantity: Decimal | None
    net: Decimal | None
    tax_code_id: str | None


@dataclass(frozen=True, slots=True)
class BookedDocument:
    """A document as it is in the books. `total` and `tax` in euros, as the books computed them.

    `balance` is what is open of an invoice, `open_credit` what a credit memo can still settle; `payment_ids` are the
    payments on it, and `is_linked` says whether anything is. `tax_lines` are the rate and the tax of each.
    """

    kind: DocumentKind
    id: str
    sync_token: str
    document_number: str | None
    business_date: date | None
    total: Decimal
    tax: Decimal
    private_note: str | None
    voided: bool = False
    customer_id: str | None = None
    currency: str | None = None
    payment_method_id: str | None = None
    balance: Decimal | None = None
    open_credit: Decimal | None = None
    payment_ids: tuple[str, ...] = ()
    is_linked: bool = False
    department_id: str | None = None
    deposit_account_id: str | None = None
    customer_memo: str | None = None
    created_at: datetime | None = None
    content: DocumentContent = DocumentContent()
    tax_lines: tuple[tuple[Decimal | None, Decimal], ...] = ()
    lines: tuple[BookedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One entity of the books that change data capture reports as changed; `deleted` rows carry nothing else.

    `raw` is for the connector alone, which reads the item, customer or document of a change from it.
    """

    entity: str
    id: str
    updated_at: datetime
    deleted: bool = False
    raw: SourceFields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """What change data capture answered. `as_of` is the books' clock; the next cursor is a little before it.

    `possibly_truncated`: the answer has the maximum length, so there may be more; request fewer entities.
    """

    changes: tuple[RecordChange, ...]
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
    """A payment in the books; `id` is None for one still to be created. The amount without links stays unapplied.

    `source_id` is the till's payment of one that is to be booked.
    """

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
    created_at: datetime | None = None
    source_id: str | None = None

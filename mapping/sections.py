"""The sections of a connection's settings document: every setting with its default, its limits and its meaning.

That of stock stands with its formulas, in `mapping.stock`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mapping import patterns
from mapping.conditions import Condition, is_in_force
from mapping.control import Control, NumberedControl
from mapping.rules import Rule

WritePolicy = Literal["create", "update", "both", "never"]
ProductField = Literal[
    "price", "vat", "barcode", "active", "webshop", "stock_article", "turnover_group", "ext_id", "plu",
    "description", "receipt_text", "invoice_text", "display_text", "extra_text", "colour", "size", "custom",
]  # fmt: skip
MappedField = Literal[
    "barcode", "description", "receipt_text", "invoice_text", "display_text", "extra_text", "colour", "size"
]
HOUR_AND_MINUTE = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def incomplete(message: str, field: str, hint: str) -> PydanticCustomError:
    """The fault of a setting that another one requires, or that was removed."""
    return PydanticCustomError("incomplete", "{message}", {"message": message, "field": field, "hint": hint})


class Section(BaseModel):
    """A part of the document: immutable; an unknown name is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    gone: ClassVar[Mapping[str, tuple[str, str] | None]] = {}
    """Settings of earlier versions, each with why and what to do if it did something: a new document is refused."""
    _retired: tuple[str, ...] = PrivateAttr(default=())

    @property
    def retired(self) -> tuple[str, ...]:
        """Settings in this document that do not exist any more; they are ignored."""
        return self._retired

    @model_validator(mode="wrap")
    @classmethod
    def _pass_over_what_is_gone(
        cls, data: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if not isinstance(data, Mapping):
            return handler(data)
        set_ = {name: told for name, told in cls.gone.items() if told and data.get(name)}
        for name, (why, fix) in set_.items():
            if not is_in_force(info):
                raise incomplete(why, name, fix)
        made = handler({name: value for name, value in data.items() if name not in cls.gone})
        made._retired = tuple(set_)  # noqa: SLF001 - its own class
        return made


def _skips() -> Control:
    """A control that leaves out what it does not map."""
    return Control(on_miss="skip")


class ProductSettings(Section):
    """Items of the books become products of the till."""

    gone = {"variant_name": ("it was taken out: no item can be below another", "use `family_pattern`")}

    enabled: bool = Field(default=True, description="Send products to the till")
    update_existing: bool = Field(default=True, description="Update products that exist already")
    offer: bool = Field(default=True, description="Price, VAT, barcode, active, webshop")
    content: bool = Field(default=True, description="Texts, attributes, groups")
    types: tuple[Literal["Inventory", "NonInventory", "Service"], ...] = Field(
        default=("Inventory", "NonInventory", "Service"), description="Item types that become products"
    )
    sku_with_letters: Literal["reject", "allocate"] = Field(
        default="reject", description="An item whose SKU has letters: ask about each, or give it a number of its own"
    )
    allocate_from: int = Field(default=900_000_000, ge=1, description="First number given to a SKU with letters")
    allocate_to: int = Field(default=999_999_999, ge=1, description="Last number given to a SKU with letters")
    barcode_from_sku: bool = Field(default=True, description="A SKU that is a valid EAN or GTIN is the barcode too")
    sub_cent_prices: Literal["gross", "round", "park"] = Field(
        default="gross",
        description="A net price with fractions of a cent: send the gross price, round the net price, or park",
    )
    stock_article: Literal["tracked", "always", "never"] = Field(
        default="tracked", description="Which articles keep stock at the till"
    )
    turnover_group: int | None = Field(default=None, ge=0, le=999, description="Turnover group of new articles")
    turnover_group_by_category: NumberedControl = Field(
        default_factory=_skips,
        description="Category of the books to the turnover group of its new articles; a category below it follows it",
    )
    turnover_group_by_vat_code: NumberedControl = Field(
        default_factory=_skips,
        description="VAT code of the till to turnover group, for new articles whose category chooses none",
    )
    webshop: bool | None = Field(default=None, description="The till's webshop mark; none leaves it alone")
    currency: str = Field(
        default="EUR",
        min_length=3,
        max_length=3,
        description="The till's currency; prices and sales of books in another one are refused",
    )
    variants: bool = Field(default=False, description="Make one product of the items of a family")
    family_by: Literal["name", "sku", "category", "field"] = Field(
        default="name",
        description="What makes items a family: the part `product` of their name or SKU, their category, or a field",
    )
    family_pattern: str = Field(
        default="(?P<product>.+) - (?P<colour>.+) / (?P<size>.+)",
        description="Where product, colour and size stand in the name (with `sku`: in the SKU)",
    )
    family_categories: tuple[str, ...] = Field(
        default=(), description="With `category`: those that are one product each, by name, full name or id; none: all"
    )
    family_field: Rule | None = Field(default=None, description="With `field`: mapping function of the product's name")
    filter: Condition | None = Field(default=None, description="Only items that meet this condition flow")
    left_out: Literal["deactivate", "park", "keep"] = Field(
        default="deactivate",
        description="The article of an item that `types` or `filter` leave out by now: make it inactive, park, or keep",
    )
    fields: dict[MappedField, Rule] = Field(default_factory=dict, description="Target field to mapping function")
    custom_fields: dict[str, Rule] = Field(
        default_factory=dict, description="Free field of the till to mapping function"
    )
    write: dict[ProductField, WritePolicy] = Field(
        default_factory=dict, description="When a target field is written: create, update, both or never"
    )
    vat: NumberedControl = Field(
        default_factory=Control, description="Tax code of the books to VAT code; by rate by default"
    )
    vat_branch: int | None = Field(
        default=None,
        ge=0,
        description="Branch whose rates decide where branches differ; else a VAT code must mean one rate everywhere",
    )

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> ProductSettings:
        if self.allocate_from > self.allocate_to:
            raise ValueError("allocate_from lies after allocate_to")
        if is_in_force(info):
            return self
        needed = "product" if self.family_by in ("name", "sku") else None
        try:
            patterns.require_parts(self.family_pattern, ("product", "colour", "size"), needed=needed)
        except patterns.PatternError as error:
            raise incomplete(error.args[0], "family_pattern", "see docs/mapping.md, Variants") from None
        if self.family_by == "field" and self.family_field is None:
            raise incomplete(
                'products.family_by = "field" needs products.family_field', "family_field", "name a field of the item"
            )
        return self


class AgreementSettings(Section):
    """The comparison of till and books, day by day."""

    nightly: bool = Field(default=True, description="Compare every day by itself in the night after it")
    hour: int = Field(default=5, ge=0, le=23, description="From which hour of the shop's clock on")


class CategorySettings(Section):
    """Categories of the books become article groups of the till."""

    enabled: bool = Field(default=True, description="Send categories to the till")
    root_group: int = Field(default=0, ge=0, description="Article group under which the tree hangs; 0 is the top")
    rename: bool = Field(default=True, description="Rename the group of a renamed category")


class CustomerSettings(Section):
    """Relations of the till become customers of the books."""

    enabled: bool = Field(default=True, description="Keep customers in step")
    update_existing: bool = Field(default=True, description="Update customers that exist already")
    to_till: bool = Field(default=False, description="Send customers of the books to the till as well")
    default_debtor: str = Field(default="MplusKASSA counter sales", min_length=1, max_length=100,
                                description="Customer of sales without a relation; created when missing")  # fmt: skip
    always_default_debtor: bool = Field(default=False, description="Book every sale on the default debtor")
    without_email: Literal["create", "default_debtor", "park"] = Field(
        default="default_debtor",
        description="A receipt of a relation without an e-mail address; invoices always get a customer of their own",
    )
    inactive: Literal["park", "create"] = Field(
        default="park",
        description="A sale to a customer that was made inactive in the books: park it until it is active again, or "
        "make another customer",
    )
    countries: dict[str, str] = Field(default_factory=dict, description="Country as the till writes it to ISO alpha-3")
    vat_number_field: Literal["ResaleNum", "PrimaryTaxIdentifier"] = Field(
        default="ResaleNum",
        description="Field of the books that holds a VAT number; PrimaryTaxIdentifier cannot be read back",
    )


class NumberPrefixes(Section):
    """What stands before the till's number in a document number, so that receipts and invoices never clash."""

    receipt: str = Field(default="R", max_length=6, description="Of receipts")
    invoice: str = Field(default="F", max_length=6, description="Of invoices")
    order: str = Field(default="O", max_length=6, description="Of deposits on orders")

    @model_validator(mode="after")
    def _all_differ(self) -> NumberPrefixes:
        if len({self.receipt, self.invoice, self.order}) < len(("receipt", "invoice", "order")):
            raise ValueError("receipts, invoices and orders need different prefixes")
        return self


_NAME_AN_ITEM = "make a service in QuickBooks and name it here, by SKU, name or id"


class OrderSettings(Section):
    """Sales of the till become documents of the books."""

    gone = {
        "inexact_unit_price": None,
        "sales_orders": (
            "it was taken out: an order is booked as what delivers it",
            "take the line out; what is paid on an order before is booked by orders.deposits",
        ),
    }

    enabled: bool = Field(default=True, description="Book sales in QuickBooks")
    receipts: bool = Field(default=True, description="Book till receipts")
    invoices: bool = Field(default=True, description="Book invoices")
    deposits: bool = Field(default=True, description="Book what is paid on an order on the day it is paid, as a debt")
    outstanding_receipts: bool = Field(default=False, description="Book receipts that are not (fully) paid yet")
    only_final_invoices: bool = Field(default=False, description="Wait until the till calls an invoice final")
    receipt_target: Literal["sales_receipt", "invoice"] = Field(
        default="sales_receipt", description="What a receipt that is paid at once becomes"
    )
    split: Literal["invoice", "largest"] = Field(
        default="invoice",
        description="Several tenders, or paid on another day: an invoice with a payment each, or a receipt with the "
        "largest tender and a small document for each other",
    )
    returns: Literal["refund_receipt", "credit_memo"] = Field(
        default="refund_receipt", description="What a credit receipt becomes"
    )
    number_prefix: NumberPrefixes = Field(
        default_factory=NumberPrefixes, description="Put before the till's number to make a document number"
    )
    rounding_cap_cents: int = Field(default=5, ge=0, le=100, description="Largest rounding line, in cents")
    rounding_model: Literal["line", "code"] = Field(
        default="line", description="line: the books tax each line; code: the till's VAT is stated per tax code"
    )
    cash_rounding: Literal["line", "ignore", "park"] = Field(
        default="line", description="Paid differs from the total by Dutch cash rounding: own line, nothing, or park"
    )
    zero_totals: Literal["book", "skip"] = Field(default="book", description="Sales whose total is zero")
    summary: Literal["sale", "day"] = Field(default="sale", description="One document per sale, or per branch and day")
    summary_item: str | None = Field(
        default=None, description="Item (SKU, name or id) of a day's document; the fallback item by default"
    )
    day_closes: str = Field(
        default="04:00", pattern=HOUR_AND_MINUTE, description="When a day is summed up, on the morning after it"
    )
    changed: Literal["update", "park"] = Field(default="update", description="A sale changed after booking")
    cancelled: Literal["void", "park"] = Field(default="void", description="A sale cancelled after booking")
    closed_books: Literal["park", "next_open_day"] = Field(
        default="park", description="The sale's day is in a closed period"
    )
    employee_number: int = Field(
        default=999_999,
        ge=1,
        description="Employee named where the installation demands one, as some do for a booking of stock",
    )
    adopt: bool = Field(
        default=False,
        description="Look for each sale before booking it, and link a document of the same number, day and total that "
        "something else booked; costs a read per sale",
    )
    missing_item: Literal["park", "fallback"] = Field(default="park", description="An article the books do not know")
    fallback_item: str | None = Field(
        default=None, description="Item (SKU, name or id) of articles the books do not know"
    )
    memo: bool = Field(default=True, description="Write the sale's reference into the customer memo")
    filter: Condition | None = Field(default=None, description="Only sales that meet this condition flow")

    @model_validator(mode="after")
    def _has_its_items(self, info: ValidationInfo) -> OrderSettings:
        if self.missing_item == "fallback" and not self.fallback_item:
            raise incomplete(
                'orders.missing_item = "fallback" needs orders.fallback_item', "fallback_item", _NAME_AN_ITEM
            )
        if self.summary == "day" and not (self.summary_item or self.fallback_item or is_in_force(info)):
            raise incomplete('orders.summary = "day" needs orders.summary_item', "summary_item", _NAME_AN_ITEM)
        return self


class MappingSettings(Section):
    """How values of one system become values of the other."""

    tax_codes: Control = Field(
        default_factory=Control, description='"21", or "DEU:19" for a country, to tax code; by rate by default'
    )
    shifted_tax_code: str | None = Field(default=None, description="Tax code of reverse-charged sales")
    no_vat_tax_code: str | None = Field(default=None, description="Tax code of sales without VAT, of rounding lines")
    payment_methods: Control = Field(
        default_factory=Control, description="Tender to payment method; by name by default"
    )
    create_payment_methods: bool = Field(default=True, description="Create payment methods the books do not have")
    deposit_accounts: Control = Field(
        default_factory=_skips, description="Tender to the account that receives the money"
    )
    departments: Control = Field(default_factory=_skips, description="Branch number to department; by name by default")
    classes: Control = Field(default_factory=lambda: Control(mode="off"), description="Branch number to class")
    terms: Control = Field(default_factory=_skips, description="Days to pay to term")
    shipping_methods: Control = Field(default_factory=_skips, description="Delivery method to shipping method")
    income_accounts: Control = Field(
        default_factory=_skips,
        description='"DEU", "DEU:3" or ":3" (turnover group) to income account: lines are booked on an item of it, and '
        "the pieces of an item that keeps stock on a line of 0.00 of its own",
    )
    special_items: dict[Literal["tip", "gift_card", "deposit", "rounding", "discount"], str] = Field(
        default_factory=dict, description="Items (SKU, name or id) for what is not an ordinary article"
    )
    order_deposit_account: str | None = Field(
        default=None, description="Account (name or id) of deposits on orders, a liability; made when not set"
    )
    order_deposit_tenders: tuple[str, ...] = Field(
        default=("AANBETALING",), description="Ways to pay by which the till says that a deposit on an order is settled"
    )
    clearing_account: str | None = Field(
        default=None,
        description="Account (name or id) of money that stands in a document beside the sale's own; made when not set",
    )
    omitted_decimal_places: int = Field(
        default=0, ge=0, le=6, description="Decimals of the till's quantities where it leaves their number out"
    )
    tip_articles: tuple[int, ...] = Field(default=(), description="Articles of the till that are tips")
    gift_card_tenders: tuple[str, ...] = Field(
        default=(), description="Ways to pay that redeem a gift card: a line of the gift card item, not a payment"
    )

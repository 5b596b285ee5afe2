"""The ids of the books that a document needs, resolved beforehand, and the errors if one is missing.

The errors name no record: who makes the document does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from mapping.errors import ItemNeeded, MappingError
from mapping.items import OWN_ENDING
from mapping.messages import message
from mapping.money import to_euros
from mapping.records import DocumentKind, DocumentLine, DocumentTax, LineAmounts, SaleLine, TaxCode
from mapping.sale_lines import special_kind

CASH_ROUNDING_CENTS = 2  # cash is rounded to the nearest five cents
ROUNDING_ITEM = f"Rounding difference{OWN_ENDING}"


@dataclass(frozen=True, slots=True)
class OwnItem:
    """`name` of the item and of its account where the settings name none; `setting` of `mapping` names the account."""

    name: str
    setting: str


CLEARING = OwnItem(f"Other ways to pay{OWN_ENDING}", "clearing_account")
ORDER_DEPOSITS = OwnItem(f"Deposits on orders{OWN_ENDING}", "order_deposit_account")


@dataclass(frozen=True, slots=True)
class References:
    """Everything a sale refers to, as ids of the books.

    `items` by article number, `tax_codes` by VAT rate, `payment_methods` and `deposit_accounts` by the till's payment
    method, `special_items` by "tip", "gift_card", "deposit". `untaxed` is the 0 % code of rounding lines and of sales
    without VAT; `shifted` the one of reverse-charged sales. `original_id` is the invoice that a credit belongs to,
    `original` the printed number of the returned sale. `group_items` are the items of amounts without an article, by
    turnover group. `stock_items` are the items that keep stock, by article, if the amount is booked on another item.
    `gift_card_tenders` are the payment methods that redeem a gift card. `line_amounts` is what the company
    accepts as the amount of a line.
    """

    customer_id: str
    items: Mapping[int, str] = field(default_factory=dict)
    tax_codes: Mapping[Decimal, TaxCode] = field(default_factory=dict)
    untaxed: TaxCode | None = None
    shifted: TaxCode | None = None
    fallback_item_id: str | None = None
    rounding_item_id: str | None = None
    clearing_item_id: str | None = None
    order_deposit_item_id: str | None = None
    special_items: Mapping[str, str] = field(default_factory=dict)
    tip_articles: tuple[int, ...] = ()
    payment_methods: Mapping[str, str] = field(default_factory=dict)
    deposit_accounts: Mapping[str, str] = field(default_factory=dict)
    default_deposit_account_id: str | None = None
    department_id: str | None = None
    class_id: str | None = None
    document_class_id: str | None = None
    term_id: str | None = None
    shipping_method: str | None = None
    original_id: str | None = None
    original: str | None = None
    currency: str | None = None
    countries: Mapping[str, str] = field(default_factory=dict)
    group_items: Mapping[int, str] = field(default_factory=dict)
    stock_items: Mapping[int, str] = field(default_factory=dict)
    gift_card_tenders: tuple[str, ...] = ()
    line_amounts: LineAmounts = LineAmounts.ROUNDED
    taxes_sums: bool = False


def get_item(references: References, line: SaleLine) -> str:
    """The item a line is booked on: a special one, the article's, or the fallback; MappingError names the article."""
    special = references.special_items.get(special_kind(line, references.tip_articles) or "")
    own = references.items.get(line.article) or references.group_items.get(line.turnover_group or 0)
    found = special or own
    # The line by which a till rounds a cash total to five cents: a few cents and no article.
    if found is None and not line.article and 0 < abs(line.total_incl_cents or 0) <= CASH_ROUNDING_CENTS:
        return get_rounding_item(references)
    found = found or references.fallback_item_id
    if found is None and not line.article:
        raise MappingError(
            message('line "{text}" has an amount but no article', text=line.text),
            code="line-without-article",
            field="article",
            fix="choose orders.fallback_item in the settings for amounts without an article",
        )
    if found is None:
        fix = 'give an item in QuickBooks the SKU "{article}", or choose a fallback item in the settings'
        raise MappingError(
            message('article {article} "{text}" does not exist in QuickBooks', article=line.article, text=line.text),
            code="no-item",
            field="article",
            fix=message(fix, article=line.article),
        )
    return found


def get_tax_code(references: References, code: int, percentage: Decimal) -> TaxCode:
    """The tax code of a VAT code, of the same rate; MappingError names the VAT code and both rates."""
    found = references.tax_codes.get(percentage)
    if found is None:
        fix = "make a sales tax code of {percentage} % in QuickBooks, or choose one in the settings"
        raise MappingError(
            message("VAT code {code} ({percentage} %) has no tax code in QuickBooks", code=code, percentage=percentage),
            code="no-tax-code",
            field="mapping.tax_codes",
            fix=message(fix, percentage=percentage),
        )
    if found.percentage is not None and found.percentage != percentage:
        said = 'VAT code {code} is {percentage} % at the till, tax code "{name}" is {rate} %'
        raise MappingError(
            message(said, code=code, percentage=percentage, name=found.name, rate=found.percentage),
            code="tax-code-rate-differs",
            field="mapping.tax_codes",
            fix=message("choose a tax code of {percentage} % for this VAT code in the settings", percentage=percentage),
        )
    return found


def get_untaxed(references: References, *, shifted: bool = False) -> TaxCode:
    """The 0 % code for rounding lines and sales without VAT, or the reverse-charge code; MappingError when missing."""
    zero = next((code for code in references.tax_codes.values() if code.percentage == 0), None)
    found = references.shifted if shifted else references.untaxed or zero
    if found is None:
        name = "shifted_tax_code" if shifted else "no_vat_tax_code"
        said = "no tax code is set for {what}"
        raise MappingError(
            message(said, what=message("reverse-charged sales" if shifted else "amounts without VAT")),
            code="no-tax-code-set",
            field=f"mapping.{name}",
            fix=message("make a 0 % sales tax code in QuickBooks and name it in mapping.{name}", name=name),
        )
    if found.percentage:
        why = 'tax code "{name}" is {percentage} %, an amount without VAT needs 0 %'
        raise MappingError(
            message(why, name=found.name, percentage=found.percentage),
            code="tax-code-not-zero",
            field="mapping.shifted_tax_code" if shifted else "mapping.no_vat_tax_code",
            fix="choose a 0 % tax code in the settings",
        )
    return found


def to_line(references: References, cents: int, item_id: str, code: TaxCode, text: str) -> DocumentLine:
    return DocumentLine(to_euros(cents), item_id, code.id, text, class_id=references.class_id)


def to_tax(code: TaxCode, net_cents: int, vat_cents: int = 0, rate: Decimal = Decimal(0)) -> DocumentTax:
    return DocumentTax(code.id, to_euros(net_cents), to_euros(vat_cents), rate, code.rate_id)


def get_rounding_item(references: References) -> str:
    """The item of rounding lines; ItemNeeded if there is none."""
    found = references.rounding_item_id or references.special_items.get("rounding") or references.fallback_item_id
    if found is None:
        raise ItemNeeded(
            "the books round the tax differently and there is no item for the rounding line",
            code="no-rounding-item",
            reference="rounding_item_id",
            field="mapping.special_items",
            fix="choose an item for rounding differences in mapping.special_items",
        )
    return found


def get_clearing_item(references: References) -> str:
    """The item of money that is moved between documents; ItemNeeded if there is none."""
    if references.clearing_item_id is None:
        raise ItemNeeded(
            "it was paid in several ways and there is no item for the clearing line",
            code="no-clearing-item",
            reference="clearing_item_id",
            field="mapping.clearing_account",
            fix="choose an account for such money in mapping.clearing_account",
        )
    return references.clearing_item_id


def get_order_deposit_item(references: References) -> str:
    """The item of deposits on orders; ItemNeeded if there is none."""
    if references.order_deposit_item_id is None:
        raise ItemNeeded(
            "a deposit on an order was paid and there is no item for it",
            code="no-deposit-item",
            reference="order_deposit_item_id",
            field="mapping.order_deposit_account",
            fix="choose the account of deposits on orders in mapping.order_deposit_account",
        )
    return references.order_deposit_item_id


def find_account(references: References, method: str, kind: DocumentKind) -> str | None:
    """The account of a tender's money; a refund must name one, else MappingError."""
    account = references.deposit_accounts.get(method, references.default_deposit_account_id)
    if account is None and kind is DocumentKind.REFUND_RECEIPT:
        raise MappingError(
            "a refund needs the account the money leaves, and none is mapped",
            code="no-refund-account",
            field="mapping.deposit_accounts",
            fix=message('choose an account for "{method}" in mapping.deposit_accounts', method=method or "refunds"),
        )
    return account


def get_gift_card_item(references: References) -> str:
    """The item of gift cards, sold and redeemed; MappingError if there is none."""
    found = references.special_items.get("gift_card")
    if found is None:
        raise MappingError(
            "it was paid with a gift card, and there is no item for gift cards",
            code="no-gift-card-item",
            field="mapping.special_items.gift_card",
            fix="make an item on the account of gift cards and name it in mapping.special_items.gift_card",
        )
    return found

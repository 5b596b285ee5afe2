"""An item of the books as a product of the till; and whether its texts there are the gateway's or the staff's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, get_args

from mapping import items
from mapping.errors import MappingError, NotBookable, naming
from mapping.messages import message
from mapping.money import round_to_cents
from mapping.records import Article, Item, Product, fingerprint
from mapping.rules import Rule, Value, evaluate
from mapping.sections import ProductField, ProductSettings
from mapping.vat_table import VatTable, find_turnover_group, get_vat_code

Traces = Mapping[str, str]
"""A short hash of what the gateway last wanted a text to be, by the name of its field."""

ENRICHED: Final = ("receipt_text", "invoice_text", "display_text", "extra_text")
"""Texts that the staff may improve; without a policy the staff's texts stay."""
_ATTRIBUTES: Final = ("colour", "size")
NAME: Final = "description"
"""The article's name: it is the staff's only if the gateway is known to have written another one."""
_TRACED: Final = (NAME, *ENRICHED, "barcode", *_ATTRIBUTES)
_CUSTOM: Final = "custom."
_TRACE_LENGTH: Final = 16

_SKIPPED_TYPES = {
    "Group": "bundles are not sold at the till",
    "Category": "a category becomes an article group, not a product",
}
POLICY_FIELDS = {"price": ("price_incl_cents", "price_excl_cents"), "vat": ("vat_code",), "custom": ("custom_fields",)}
_SWITCHES = {
    "offer": ("price", "vat", "barcode", "active", "webshop", "stock_article", "turnover_group"),
    "content": (NAME, *ENRICHED, *_ATTRIBUTES, "custom"),
}
_EMPTY = Article()
_GOVERNED: tuple[ProductField, ...] = get_args(ProductField)
_NEEDED_TO_CREATE = ("description", "vat")
NO_UPDATES = "it exists already, and updates are switched off"
_UNKNOWN: Traces = {}


def require_wanted(item: Item, settings: ProductSettings) -> None:
    """Return if the item belongs in the till; else raise NotBookable with the reason."""
    if reason := items.OWN if items.is_own(item) else _SKIPPED_TYPES.get(item.type):
        raise NotBookable(reason, record=items.name_item(item), field="type")
    if item.type not in settings.types:
        reason = message('products.types in the settings leaves out items of type "{type}"', type=item.type)
        raise NotBookable(reason, record=items.name_item(item), field="products.types")
    with naming(record=items.name_item(item), field="products.filter"):
        passes = settings.filter is None or settings.filter.holds(item.rule_source)
    if not passes:
        reason = "products.filter in the settings leaves this item out"
        raise NotBookable(reason, record=items.name_item(item), field="products.filter")
    if not item.active and not items.needs_allocation(item, settings):
        try:
            items.to_article_number(item, settings)
        except MappingError as refusal:  # nobody has to give a number to an item that is inactive
            raise NotBookable(refusal.reason, record=items.name_item(item), field="SKU") from refusal


def is_wanted(item: Item, settings: ProductSettings) -> bool:
    """Whether the item belongs in the till; not either where the settings' filter fails on it."""
    try:
        require_wanted(item, settings)
    except MappingError:
        return False
    return True


def to_product(
    item: Item,
    *,
    settings: ProductSettings,
    vat: VatTable,
    existing: Product | None = None,
    allocated: int | None = None,
    traces: Traces = _UNKNOWN,
) -> Product:
    """The product that the till should have; None in a field means: leave it alone, "" means: empty it.

    For an article in `existing`, the write policies for updates apply, otherwise those for creating. Without a
    policy a text that was enriched in the till stays. `allocated` is the number given to a SKU with letters, `traces`
    distinguish the gateway's texts from the staff's.
    NotBookable for what does not belong in the till, MappingError for what a person must correct.
    """
    article, before = to_wanted(item, settings, vat, existing, allocated, traces)
    # Set to None the fields that must not be written now; `before` is the till's article, if any.
    ours = find_kept_ours(article, before, traces)
    skipped = [field for field in _GOVERNED if why_kept(field, settings, before, ours)]
    names = [name for field in skipped for name in POLICY_FIELDS.get(field, (field,))]
    empty: dict[str, Any] = {name: getattr(_EMPTY, name) for name in names}
    kept = replace(article, **empty)
    name = kept.description
    if name and (family := items.find_family(item, settings)):
        # A new member does not rename the product, nor does another spelling.
        present = (existing.description if existing else None) or ""
        is_named = present and (before is None or present.casefold() == family.name.casefold())
        name = None if is_named else family.name
    return Product(number=existing.number if existing else None, description=name, articles=(kept,))


def to_wanted(
    item: Item,
    settings: ProductSettings,
    vat: VatTable,
    existing: Product | None,
    allocated: int | None,
    traces: Traces,
) -> tuple[Article, Article | None]:
    """The article before the write policies, and the till's of its number. Raises as `to_product` does."""
    require_wanted(item, settings)
    if item.currency and item.currency != settings.currency:
        said = "the item is priced in {currency}, the till in {till_currency}; prices are not converted"
        raise MappingError(
            message(said, currency=item.currency, till_currency=settings.currency),
            code="other-currency",
            record=items.name_item(item),
            field="currency",
            fix=message("price the item in {currency}", currency=settings.currency),
        )
    number = items.to_article_number(item, settings, allocated=allocated)
    before = find_article(existing, number)
    _require_own(item, before, settings)
    return empty_cleared(to_article(item, number, settings, vat), before, traces, settings), before


def find_kept_ours(article: Article, before: Article | None, traces: Traces) -> frozenset[str]:
    """The texts at the till that the gateway wanted last, or wants now: overwriting them loses nothing.

    The name too, unless the staff is known to have changed it.
    """
    if before is None:
        return frozenset({NAME})
    present = {name: getattr(before, name) for name in _TRACED}
    ours = {name for name, text in present.items() if _is_ours(name, text, traces) or text == getattr(article, name)}
    renamed = before.description and NAME in traces and NAME not in ours
    return frozenset(ours - {NAME} if renamed else ours | {NAME})


def to_article(item: Item, number: int, settings: ProductSettings, vat: VatTable) -> Article:
    """The article as the books want it, before any write policy: a mapped field without a result has its default."""
    with naming(record=items.name_item(item)):
        default = to_default_article(item, number, settings, vat)
    found = {name: _run(rule, item, name) for name, rule in settings.fields.items()}
    mapped: dict[str, Any] = {name: str(value) for name, value in found.items() if value is not None}
    custom = {name: _run(rule, item, name) for name, rule in settings.custom_fields.items()}
    return replace(
        default, **mapped, custom_fields={name: value for name, value in custom.items() if value is not None}
    )


def find_article(product: Product | None, number: int) -> Article | None:
    articles = product.articles if product else ()
    return next((article for article in articles if article.number == number), None)


def _require_own(item: Item, before: Article | None, settings: ProductSettings) -> None:
    """An article of another item is never written; one without an owner is adopted."""
    if before is None:
        return
    if before.ext_id not in (None, "", item.id):
        said = 'article {number} "{description}" belongs to another item of QuickBooks already'
        fix = "give one of the two items another SKU, or empty extArticleId of article {number} in the till"
        raise MappingError(
            message(said, number=before.number, description=before.description),
            code="article-of-another-item",
            record=items.name_item(item),
            field="SKU",
            fix=message(fix, number=before.number),
        )
    if not settings.update_existing:
        raise NotBookable(NO_UPDATES, record=items.name_item(item), field="products")


def to_default_article(item: Item, number: int, settings: ProductSettings, vat: VatTable) -> Article:
    """The default article, before any mapped field and any write policy."""
    sku = (item.sku or "").strip()
    family = items.find_family(item, settings)
    name = items.to_variant_name(item, family, settings)
    vat_code = get_vat_code(vat, settings.vat, item.tax_code_id, branch=settings.vat_branch)
    code = vat.tax_codes.get(item.tax_code_id or "")
    percentage = code.percentage if code else None
    if percentage is None and vat_code is not None:
        percentage = vat.find_percentage(vat_code, settings.vat_branch)
    price = to_price(item, settings, percentage)
    is_tracked = item.track_stock or item.type == "Inventory"
    parts = family.parts if family else {}
    return Article(
        number=number,
        ext_id=item.id,
        plu=sku if str(number) != sku else None,
        active=item.active,
        description=name,
        receipt_text=name,
        invoice_text=name,
        display_text=name,
        extra_text=item.description,
        barcode=sku if settings.barcode_from_sku and items.is_gtin(sku) else None,
        turnover_group=find_turnover_group(item, vat_code, settings),
        vat_code=vat_code,
        **price,
        stock_article=is_tracked if settings.stock_article == "tracked" else settings.stock_article == "always",
        webshop=settings.webshop,
        colour=parts.get("colour"),
        size=parts.get("size"),
    )


def to_price(item: Item, settings: ProductSettings, percentage: Decimal | None) -> dict[str, Any]:
    """The field of an article with the price in cents, incl. or excl. VAT as the item keeps it; none without a price.

    A net price with fractions of a cent has no exact net cents; it is usually computed from a gross price, so by
    default the gross price is sent. MappingError if the settings park such prices, or the rate is not known.
    """
    if item.unit_price is None:
        return {}
    cents = round_to_cents(item.unit_price)
    if item.price_includes_tax:
        return {"price_incl_cents": cents}
    if item.unit_price.scaleb(2) == cents or settings.sub_cent_prices == "round":
        return {"price_excl_cents": cents}
    if settings.sub_cent_prices == "park" or percentage is None:
        raise MappingError(
            message("the price {price} without VAT is not a whole number of cents", price=item.unit_price),
            code="price-of-part-cents",
            field="sales price",
            fix="enter the price including VAT in QuickBooks, or choose products.sub_cent_prices in the settings",
        )
    return {"price_incl_cents": round_to_cents(item.unit_price * (100 + percentage) / 100)}


def has_stale_price(wanted: Article, present: Article, vat: VatTable, branch: int | None = None) -> bool:
    """Whether the till's computed price does not match the price we set at the rate of its VAT code.

    Till and gateway may round a net price differently, and it is never charged: there a cent is no difference.
    """
    code = wanted.vat_code if wanted.vat_code is not None else present.vat_code
    rate = None if code is None else vat.find_percentage(code, branch)
    net, gross = wanted.price_excl_cents, wanted.price_incl_cents
    if rate is None:
        return False
    if net is not None and gross is None and present.price_incl_cents is not None:
        return present.price_incl_cents != round_to_cents(Decimal(net).scaleb(-2) * (100 + rate) / 100)
    if gross is not None and net is None and present.price_excl_cents is not None:
        return abs(present.price_excl_cents - Decimal(gross) * 100 / (100 + rate)) > 1
    return False


def _run(rule: Rule, item: Item, field: str) -> Value:
    with naming(record=items.name_item(item), field=f"products.fields.{field}"):
        return evaluate(rule, item.rule_source).value


def why_kept(
    field: ProductField, settings: ProductSettings, before: Article | None, ours: Collection[str] = ()
) -> str | None:
    """Why a field is left as it is, in words; None if it is written. `before` None: the article is being created.

    In the fields of `ours` the till has the gateway's own text.
    """
    switched_off = next(
        (name for name, fields in _SWITCHES.items() if field in fields and not getattr(settings, name)), None
    )
    if switched_off and (before is not None or field not in _NEEDED_TO_CREATE):
        return f"products.{switched_off} is switched off"
    policy = settings.write.get(field)
    if policy is None and field == "turnover_group" and before is not None:
        return "only a new article gets its turnover group from the settings"
    if policy is None:
        if before is None or field in ours or field not in (NAME, *ENRICHED):
            return None
        text = getattr(before, field)
        is_own = text and (field == NAME or text != before.description)
        return "the till has a text of its own there" if is_own else None
    written = policy in ("both", "create" if before is None else "update")
    return None if written else f'products.write.{field} is "{policy}"'


def why_kept_left_out(item: Item, settings: ProductSettings) -> str | None:
    """Why the article of an item that does not belong at the till now stays on sale; None if it does not.

    An inactive item's article is made inactive whatever `left_out` says, unless updates are off.
    """
    if item.active and settings.left_out == "keep":
        return 'products.left_out is "keep"'
    if not item.active and not settings.update_existing:
        return NO_UPDATES
    return why_kept("active", settings, Article())


# --- the traces of its texts ------------------------------------------------------------------------------------------


def trace(article: Article) -> dict[str, str]:
    """The traces to store of an article's wanted texts; empty texts leave no trace."""
    plain: dict[str, Any] = {name: getattr(article, name) for name in _TRACED}
    free = {f"{_CUSTOM}{name}": value for name, value in article.custom_fields.items() if isinstance(value, str)}
    return {name: fingerprint(text)[:_TRACE_LENGTH] for name, text in (plain | free).items() if text}


def without_name(traces: Traces) -> Traces:
    """The traces of an article that was another item's, or of another article: the owner of its name is unknown."""
    return {name: mark for name, mark in traces.items() if name != NAME}


def empty_cleared(wanted: Article, before: Article | None, traces: Traces, settings: ProductSettings) -> Article:
    """The article with "" for every text that was emptied in the books, if the till still has the gateway's text.

    A text that was changed at the till is not written, nor one that the settings do not map any more.
    """
    if before is None:
        return wanted
    # The optional texts that come from the item; removing one from the settings does not empty it.
    by_name = _ATTRIBUTES if settings.variants else ()
    by_rule = [name for name in ("barcode", *_ATTRIBUTES) if name in settings.fields]
    plain: dict[str, Any] = {
        name: ""
        for name in ("extra_text", *by_name, *by_rule)
        if getattr(wanted, name) is None and _is_ours(name, getattr(before, name), traces)
    }
    free = {
        name: ""
        for name in settings.custom_fields
        if name not in wanted.custom_fields and _is_ours(_CUSTOM + name, before.custom_fields.get(name), traces)
    }
    return replace(wanted, **plain, custom_fields={**wanted.custom_fields, **free})


def _is_ours(name: str, text: object, traces: Traces) -> bool:
    return isinstance(text, str) and bool(text) and traces.get(name) == fingerprint(text)[:_TRACE_LENGTH]

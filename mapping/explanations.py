"""Explain the values of an article: every target field with its source, the steps, and why it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from mapping import products, texts
from mapping.paths import find
from mapping.products import POLICY_FIELDS, VatTable
from mapping.records import Article, Item, Product
from mapping.rules import Rule, RuleStep, Value, evaluate
from mapping.sections import ProductField, ProductSettings
from mapping.texts import Traces

_ORIGINS = {
    "number": "Sku",
    "ext_id": "Id",
    "plu": "Sku, when it is not the number itself",
    "active": "Active",
    "description": "Name",
    "receipt_text": "Name",
    "invoice_text": "Name",
    "display_text": "Name",
    "extra_text": "Description",
    "barcode": "Sku, when it is an EAN or GTIN (products.barcode_from_sku)",
    "turnover_group": "products.turnover_group",
    "vat_code": "SalesTaxCodeRef, by its rate (products.vat)",
    "price_incl_cents": "UnitPrice",
    "price_excl_cents": "UnitPrice",
    "stock_article": "products.stock_article",
    "webshop": "products.webshop",
    "colour": "Name or Sku, by products.family_pattern",
    "size": "Name or Sku, by products.family_pattern",
}
_UNKNOWN: Traces = {}
_GOVERNOR = {name: field for field, names in POLICY_FIELDS.items() for name in names}
_RAW = {
    "number": "Sku",
    "ext_id": "Id",
    "active": "Active",
    "description": "Name",
    "receipt_text": "Name",
    "invoice_text": "Name",
    "display_text": "Name",
    "extra_text": "Description",
    "barcode": "Sku",
    "vat_code": "SalesTaxCodeRef.value",
    "price_incl_cents": "UnitPrice",
    "price_excl_cents": "UnitPrice",
    "colour": "Name",
    "size": "Name",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One target field: its new value and why. `kept` says why the till's value stays, if it does."""

    field: str
    value: Value
    present: Value
    source: str
    steps: tuple[RuleStep, ...]
    kept: str | None


def explain(
    item: Item,
    *,
    settings: ProductSettings,
    vat: VatTable,
    existing: Product | None = None,
    number: int,
    traces: Traces = _UNKNOWN,
) -> tuple[Explanation, ...]:
    """Every field that has a value or is emptied, in the order of the record. Raises what `to_product` raises."""
    products.to_product(item, settings=settings, vat=vat, existing=existing, allocated=number, traces=traces)
    before = products.find_article(existing, number)
    wanted = texts.empty_cleared(products.to_article(item, number, settings, vat), before, traces, settings)
    at_till = _AtTill(before, products.find_kept_ours(wanted, before, traces))
    names = (each.name for each in fields(Article) if each.name in _ORIGINS)
    plain = [_explain(name, getattr(wanted, name), item, settings, at_till) for name in names]
    own = _explain_custom(wanted, item, settings, before)
    return tuple(each for each in (*plain, *own) if each.value is not None)


@dataclass(frozen=True, slots=True)
class _AtTill:
    """The article as the till has it, and the fields with the gateway's own text."""

    article: Article | None
    ours: frozenset[str]


def _explain(name: str, wanted: Value, item: Item, settings: ProductSettings, at_till: _AtTill) -> Explanation:
    rule = next((rule for field, rule in settings.fields.items() if field == name), None)
    value, steps = _run(rule, item) if rule else (None, ())
    return Explanation(
        field=name,
        value=wanted,
        present=getattr(at_till.article, name) if at_till.article else None,
        source=f"products.fields.{name}" if value is not None else _ORIGINS[name],
        steps=steps or _default_steps(name, wanted, item),
        kept=_kept(name, settings, at_till),
    )


def _kept(name: str, settings: ProductSettings, at_till: _AtTill) -> str | None:
    if name == "number":
        return None
    field: ProductField = _GOVERNOR.get(name, name)  # type: ignore[assignment]
    return products.why_kept(field, settings, at_till.article, at_till.ours)


def _default_steps(name: str, value: Value, item: Item) -> tuple[RuleStep, ...]:
    path = _RAW.get(name)
    return (RuleStep(f"field {path}", find(item.raw, path), value),) if path and value is not None else ()


def _explain_custom(
    wanted: Article, item: Item, settings: ProductSettings, before: Article | None
) -> Iterator[Explanation]:
    kept = products.why_kept("custom", settings, before)
    for name, rule in settings.custom_fields.items():
        present = before.custom_fields.get(name) if before else None
        value, steps = wanted.custom_fields.get(name), _run(rule, item)[1]
        yield Explanation(f"custom.{name}", value, present, f"products.custom_fields.{name}", steps, kept)


def _run(rule: Rule, item: Item) -> tuple[Value, tuple[RuleStep, ...]]:
    found = evaluate(rule, products.source_of(item))
    return found.value, found.steps

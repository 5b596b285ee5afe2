"""Explain the values of an article, customer or relation: every target field, its source, and why it is kept. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from mapping import customers, products
from mapping.conditions import find
from mapping.products import POLICY_FIELDS
from mapping.records import Article, Customer, Item, Product, Relation
from mapping.rules import Rule, RuleStep, Value, evaluate
from mapping.sections import CustomerSettings, ProductField, ProductSettings
from mapping.texts import Traces
from mapping.vat_table import VatTable


@dataclass(frozen=True, slots=True)
class _Origin:
    """The source of a field: its name there, the rule, and its path in our record."""

    source: str
    path: str = ""
    rule: str = ""

    @property
    def said(self) -> str:
        return f"{self.source}, {self.rule}" if self.rule else self.source


_NAME, _PRICE = _Origin("Name", "Name"), _Origin("UnitPrice", "UnitPrice")
_PART = _Origin("Name or Sku", "Name", "by products.family_pattern")
_ORIGINS = {
    "number": _Origin("Sku", "Sku"),
    "ext_id": _Origin("Id", "Id"),
    "plu": _Origin("Sku", rule="when it is not the number itself"),
    "active": _Origin("Active", "Active"),
    **dict.fromkeys(("description", "receipt_text", "invoice_text", "display_text"), _NAME),
    "extra_text": _Origin("Description", "Description"),
    "barcode": _Origin("Sku", "Sku", "when it is an EAN or GTIN (products.barcode_from_sku)"),
    "turnover_group": _Origin("products.turnover_group"),
    "vat_code": _Origin("SalesTaxCodeRef", "SalesTaxCodeRef.value", "by its rate (products.vat)"),
    **dict.fromkeys(("price_incl_cents", "price_excl_cents"), _PRICE),
    "stock_article": _Origin("products.stock_article"),
    "webshop": _Origin("products.webshop"),
    **dict.fromkeys(("colour", "size"), _PART),
}
_UNKNOWN: Traces = {}
_GOVERNOR = {name: field for field, names in POLICY_FIELDS.items() for name in names}


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
    wanted, before = products.to_wanted(item, settings, vat, existing, number, traces)
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
        source=f"products.fields.{name}" if value is not None else _ORIGINS[name].said,
        steps=steps or _default_steps(name, wanted, item),
        kept=_kept(name, settings, at_till),
    )


def _kept(name: str, settings: ProductSettings, at_till: _AtTill) -> str | None:
    if name == "number":
        return None
    field: ProductField = _GOVERNOR.get(name, name)  # type: ignore[assignment]
    return products.why_kept(field, settings, at_till.article, at_till.ours)


def _default_steps(name: str, value: Value, item: Item) -> tuple[RuleStep, ...]:
    path = _ORIGINS[name].path
    return (RuleStep(f"field {path}", find(item.rule_source, path), value),) if path and value is not None else ()


def _explain_custom(
    wanted: Article, item: Item, settings: ProductSettings, before: Article | None
) -> Iterator[Explanation]:
    kept = products.why_kept("custom", settings, before)
    for name, rule in settings.custom_fields.items():
        present = before.custom_fields.get(name) if before else None
        value, steps = wanted.custom_fields.get(name), _run(rule, item)[1]
        yield Explanation(f"custom.{name}", value, present, f"products.custom_fields.{name}", steps, kept)


def _run(rule: Rule, item: Item) -> tuple[Value, tuple[RuleStep, ...]]:
    found = evaluate(rule, item.rule_source)
    return found.value, found.steps


NO_UPDATES = "customers.update_existing is switched off"
NOT_CHANGED = "nothing of it changed since it was written last"
SAME_NAME = "it was found by its name and is taken as it is"
TILL_HAS_NONE, BOOKS_HAVE_NONE = "the till has nothing there", "QuickBooks has nothing there"
BOOKS_NAME, TILL_NAME = "a customer that exists keeps its name", "a relation that exists keeps its name"
OTHER_ID = "the till has another id there"
KEPT = (NO_UPDATES, NOT_CHANGED, SAME_NAME, TILL_HAS_NONE, BOOKS_HAVE_NONE, BOOKS_NAME, TILL_NAME, OTHER_ID)


def explain_customer(
    relation: Relation,
    *,
    settings: CustomerSettings,
    existing: Customer | None = None,
    tried: Sequence[RuleStep] = (),
    kept: str | None = None,
) -> tuple[Explanation, ...]:
    """Every field of the customer that has a value or is kept. `tried` are the names that are already used.

    `kept` says why nothing is written to the existing one. Raises `MappingError` if every name is used.
    """
    ruled = customers.to_customer(relation, settings=settings, attempt=len(tried))
    written = customers.to_customer(relation, settings=settings, existing=existing) if existing else ruled
    sides = _Sides(relation, ruled, existing, written, kept, TILL_HAS_NONE, {"display_name": BOOKS_NAME})
    return _explain_all(_customer_origins(relation), sides, {"display_name": tried})


def explain_relation(
    customer: Customer, *, existing: Relation | None = None, kept: str | None = None
) -> tuple[Explanation, ...]:
    """Every field of the relation that has a value or is kept. `kept` says why nothing is written."""
    ruled, written = customers.to_relation(customer), customers.to_relation(customer, existing=existing)
    reasons = {"name": TILL_NAME, "ext_id": OTHER_ID}
    return _explain_all(
        _relation_origins(customer), _Sides(customer, ruled, existing, written, kept, BOOKS_HAVE_NONE, reasons)
    )


def _customer_origins(relation: Relation) -> Mapping[str, _Origin]:
    named = next((name for name in ("company", "name", "contact") if getattr(relation, name)), "name")
    person = "contact" if relation.company else "name"
    till_name = {"company": "companyName"}
    country = "by customers.countries, else by its known names"
    return {
        "display_name": _Origin(till_name.get(named, named), named, "the first there is of companyName, name, contact"),
        "email": _Origin("email", "email", "the first address, in lower case"),
        "given_name": _Origin(person, person, "the first word of several"),
        "family_name": _Origin(person, person, "what follows the first word"),
        "company_name": _Origin("companyName", "company"),
        "phone": _Origin("telephone", "phone"),
        "mobile": _Origin("mobile", "mobile"),
        "billing.lines": _Origin("address", "address.street"),
        "billing.postal_code": _Origin("zipcode", "address.postal_code"),
        "billing.city": _Origin("city", "address.city"),
        "billing.country": _Origin("country", "address.country", country),
        "shipping.lines": _Origin("deliveryAddress", "delivery_address.street"),
        "shipping.postal_code": _Origin("deliveryZipcode", "delivery_address.postal_code"),
        "shipping.city": _Origin("deliveryCity", "delivery_address.city"),
        "shipping.country": _Origin("deliveryCountry", "delivery_address.country", country),
        "vat_number": _Origin("vatNumber", "vat_number", "without blanks"),
        "active": _Origin("active", "active"),
    }


def _relation_origins(customer: Customer) -> Mapping[str, _Origin]:
    person = "GivenName and FamilyName"
    names = {"CompanyName": customer.company_name, person: customer.given_name or customer.family_name}
    named = next((source for source, name in names.items() if name), "DisplayName")
    paths = {"CompanyName": "company_name", person: "given_name", "DisplayName": "display_name"}
    street = "the last of its lines"
    return {
        "name": _Origin(
            named, paths[named], "the first there is of CompanyName, GivenName and FamilyName, DisplayName"
        ),
        "ext_id": _Origin("Id", "id"),
        "email": _Origin("PrimaryEmailAddr", "email", "the first address, in lower case"),
        "company": _Origin("CompanyName", "company_name"),
        "contact": _Origin(person, "given_name", "where there is a CompanyName"),
        "phone": _Origin("PrimaryPhone", "phone"),
        "mobile": _Origin("Mobile", "mobile"),
        "address.street": _Origin("BillAddr", "billing.lines", street),
        "address.postal_code": _Origin("BillAddr.PostalCode", "billing.postal_code"),
        "address.city": _Origin("BillAddr.City", "billing.city"),
        "address.country": _Origin("BillAddr.Country", "billing.country"),
        "delivery_address.street": _Origin("ShipAddr", "shipping.lines", street),
        "delivery_address.postal_code": _Origin("ShipAddr.PostalCode", "shipping.postal_code"),
        "delivery_address.city": _Origin("ShipAddr.City", "shipping.city"),
        "delivery_address.country": _Origin("ShipAddr.Country", "shipping.country"),
        "vat_number": _Origin("customers.vat_number_field", "vat_number"),
    }


@dataclass(frozen=True, slots=True)
class _Sides:
    """The source record, the value by the rules, the present record, and what would be written to it."""

    source: Customer | Relation
    ruled: Customer | Relation
    present: Customer | Relation | None
    written: Customer | Relation
    kept: str | None
    empty: str
    reasons: Mapping[str, str]


def _explain_all(
    origins: Mapping[str, _Origin], sides: _Sides, tried: Mapping[str, Sequence[RuleStep]] | None = None
) -> tuple[Explanation, ...]:
    rows = (_explain_one(name, origin, sides, (tried or {}).get(name, ())) for name, origin in origins.items())
    return tuple(row for row in rows if row.value is not None or row.present is not None)


def _explain_one(name: str, origin: _Origin, sides: _Sides, tried: Sequence[RuleStep]) -> Explanation:
    value, present = _part(sides.ruled, name), _part(sides.present, name)
    taken = f"field {origin.source}"
    before = _part(sides.source, origin.path)
    start = tried[0].before if tried else value
    steps = (RuleStep(taken, before, start), *tried) if value is not None else ()
    return Explanation(name, value, present, origin.said, steps, _why_kept(name, value, present, sides))


def _why_kept(name: str, value: Value, present: Value, sides: _Sides) -> str | None:
    if sides.present is None or value == present:
        return None
    if sides.kept:
        return sides.kept
    if _part(sides.written, name) != present:
        return None
    return sides.empty if value is None else sides.reasons.get(name)


def _part(record: Customer | Relation | None, path: str) -> Value:
    """A part of a record by its path; lines of an address in one."""
    found: object = record
    for name in path.split("."):
        found = getattr(found, name, None) if found is not None else None
    return ", ".join(found) or None if isinstance(found, tuple) else found  # type: ignore[return-value]

"""Explain the values of an article, customer or relation: every target field, its source, and why it is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from mapping import customers, products
from mapping.conditions import find
from mapping.messages import join, message
from mapping.products import POLICY_FIELDS, Traces
from mapping.records import Article, Customer, Item, Product, Relation
from mapping.rules import RuleStep, Value, evaluate
from mapping.sections import CustomerSettings, ProductField, ProductSettings
from mapping.vat_table import VatTable


@dataclass(frozen=True, slots=True)
class _Origin:
    """The source of a field: its name there, the rule, and its path in our record."""

    source: str
    path: str = ""
    rule: str = ""

    @property
    def said(self) -> str:
        return join((self.source, self.rule)) if self.rule else self.source


_NAME, _PRICE = _Origin("Name", "Name"), _Origin("UnitPrice", "UnitPrice")
_PART = _Origin("Name or Sku", "Name", message("by products.family_pattern"))
_ORIGINS = {
    "number": _Origin("Sku", "Sku"),
    "ext_id": _Origin("Id", "Id"),
    "plu": _Origin("Sku", rule=message("when it is not the number itself")),
    "active": _Origin("Active", "Active"),
    **dict.fromkeys(("description", "receipt_text", "invoice_text", "display_text"), _NAME),
    "extra_text": _Origin("Description", "Description"),
    "barcode": _Origin("Sku", "Sku", message("when it is an EAN or GTIN (products.barcode_from_sku)")),
    "turnover_group": _Origin("products.turnover_group"),
    "vat_code": _Origin("SalesTaxCodeRef", "SalesTaxCodeRef.value", message("by its rate (products.vat)")),
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
    ours = products.find_kept_ours(wanted, before, traces)
    names = (each.name for each in fields(Article) if each.name in _ORIGINS)
    found = [_explain(name, item, settings, wanted, before, ours) for name in names]
    kept = products.why_kept("custom", settings, before)
    for name, rule in settings.custom_fields.items():
        value, present = wanted.custom_fields.get(name), before.custom_fields.get(name) if before else None
        steps = evaluate(rule, item.rule_source).steps
        found.append(Explanation(f"custom.{name}", value, present, f"products.custom_fields.{name}", steps, kept))
    return tuple(each for each in found if each.value is not None)


def _explain(
    name: str, item: Item, settings: ProductSettings, wanted: Article, before: Article | None, ours: frozenset[str]
) -> Explanation:
    """The explanation of a field of the article; in the fields of `ours` the till has the gateway's own text."""
    value, origin = getattr(wanted, name), _ORIGINS[name]
    rule = next((rule for field, rule in settings.fields.items() if field == name), None)
    found = evaluate(rule, item.rule_source) if rule else None
    steps = found.steps if found else ()
    if not steps and origin.path and value is not None:
        steps = (RuleStep(f"field {origin.path}", find(item.rule_source, origin.path), value),)
    governor: ProductField = _GOVERNOR.get(name, name)  # type: ignore[assignment]
    return Explanation(
        field=name,
        value=value,
        present=getattr(before, name) if before else None,
        source=f"products.fields.{name}" if found and found.value is not None else origin.said,
        steps=steps,
        kept=None if name == "number" else products.why_kept(governor, settings, before, ours),
    )


NO_UPDATES = "customers.update_existing is switched off"
NOT_CHANGED = "nothing of it changed since it was written last"
SAME_NAME = "it was found by its name and is taken as it is"
TILL_HAS_NONE, BOOKS_HAVE_NONE = "the till has nothing there", "QuickBooks has nothing there"
BOOKS_NAME, TILL_NAME = "a customer that exists keeps its name", "a relation that exists keeps its name"
OTHER_ID = "the till has another id there"
SAME_ADDRESS = "the same address is there, written in another way"
KEPT = (
    NO_UPDATES,
    NOT_CHANGED,
    SAME_NAME,
    TILL_HAS_NONE,
    BOOKS_HAVE_NONE,
    BOOKS_NAME,
    TILL_NAME,
    OTHER_ID,
    SAME_ADDRESS,
)


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
    reasons = {"display_name": BOOKS_NAME, "email": SAME_ADDRESS}
    sides = _Sides(relation, ruled, existing, written, kept, TILL_HAS_NONE, reasons)
    return _explain_all(_customer_origins(relation), sides, tried)


def explain_relation(
    customer: Customer, *, existing: Relation | None = None, kept: str | None = None
) -> tuple[Explanation, ...]:
    """Every field of the relation that has a value or is kept. `kept` says why nothing is written."""
    ruled, written = customers.to_relation(customer), customers.to_relation(customer, existing=existing)
    reasons = {"name": TILL_NAME, "ext_id": OTHER_ID, "email": SAME_ADDRESS}
    return _explain_all(
        _relation_origins(customer), _Sides(customer, ruled, existing, written, kept, BOOKS_HAVE_NONE, reasons)
    )


def _customer_origins(relation: Relation) -> Mapping[str, _Origin]:
    named = next((name for name in ("company", "name", "contact") if getattr(relation, name)), "name")
    person = "contact" if relation.company else "name"
    till_name = {"company": "companyName"}
    country = message("by customers.countries, else by its known names")
    return {
        "display_name": _Origin(
            till_name.get(named, named), named, message("the first there is of companyName, name, contact")
        ),
        "email": _Origin("email", "email", message("the first address, in lower case")),
        "given_name": _Origin(person, person, message("the first word of several")),
        "family_name": _Origin(person, person, message("what follows the first word")),
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
        "vat_number": _Origin("vatNumber", "vat_number", message("without blanks")),
        "active": _Origin("active", "active"),
    }


def _relation_origins(customer: Customer) -> Mapping[str, _Origin]:
    person = "GivenName and FamilyName"
    names = {"CompanyName": customer.company_name, person: customer.given_name or customer.family_name}
    named = next((source for source, name in names.items() if name), "DisplayName")
    paths = {"CompanyName": "company_name", person: "given_name", "DisplayName": "display_name"}
    street = message("the last of its lines")
    return {
        "name": _Origin(
            named, paths[named], message("the first there is of CompanyName, GivenName and FamilyName, DisplayName")
        ),
        "ext_id": _Origin("Id", "id"),
        "email": _Origin("PrimaryEmailAddr", "email", message("the first address, in lower case")),
        "company": _Origin("CompanyName", "company_name"),
        "contact": _Origin(person, "given_name", message("where there is a CompanyName")),
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
    origins: Mapping[str, _Origin], sides: _Sides, tried: Sequence[RuleStep] = ()
) -> tuple[Explanation, ...]:
    found = []
    for name, origin in origins.items():
        value, present = _part(sides.ruled, name), _part(sides.present, name)
        if value is None and present is None:
            continue
        names = tried if name == "display_name" else ()
        taken = RuleStep(
            f"field {origin.source}", _part(sides.source, origin.path), names[0].before if names else value
        )
        steps = (taken, *names) if value is not None else ()
        kept = None
        if sides.present is not None and value != present:
            stays = _part(sides.written, name) == present
            reason = sides.empty if value is None else sides.reasons.get(name)
            kept = sides.kept or (reason if stays else None)
        found.append(Explanation(name, value, present, origin.said, steps, kept))
    return tuple(found)


def _part(record: Customer | Relation | None, path: str) -> Value:
    """A part of a record by its path; lines of an address in one."""
    found: object = record
    for name in path.split("."):
        found = getattr(found, name, None) if found is not None else None
    return ", ".join(found) or None if isinstance(found, tuple) else found  # type: ignore[return-value]

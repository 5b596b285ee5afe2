"""Explain the values of a customer or relation: every target field with its source and why it is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mapping import customers, relations
from mapping.explanations import Explanation
from mapping.records import Customer, Relation
from mapping.rules import RuleStep, Value
from mapping.sections import CustomerSettings

NO_UPDATES = "customers.update_existing is switched off"
NOT_CHANGED = "nothing of it changed since it was written last"
SAME_NAME = "it was found by its name and is taken as it is"
TILL_HAS_NONE, BOOKS_HAVE_NONE = "the till has nothing there", "QuickBooks has nothing there"
BOOKS_NAME, TILL_NAME = "a customer that exists keeps its name", "a relation that exists keeps its name"
OTHER_ID = "the till has another id there"
KEPT = (NO_UPDATES, NOT_CHANGED, SAME_NAME, TILL_HAS_NONE, BOOKS_HAVE_NONE, BOOKS_NAME, TILL_NAME, OTHER_ID)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The source of a field: its name there, the rule, and its path in our record."""

    source: str
    path: str
    rule: str = ""

    @property
    def said(self) -> str:
        return f"{self.source}, {self.rule}" if self.rule else self.source


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
    return _explain(_customer_origins(relation), sides, {"display_name": tried})


def explain_relation(
    customer: Customer, *, existing: Relation | None = None, kept: str | None = None
) -> tuple[Explanation, ...]:
    """Every field of the relation that has a value or is kept. `kept` says why nothing is written."""
    ruled, written = relations.to_relation(customer), relations.to_relation(customer, existing=existing)
    reasons = {"name": TILL_NAME, "ext_id": OTHER_ID}
    return _explain(
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


def _explain(
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
    return Explanation(name, value, present, origin.said, steps, _kept(name, value, present, sides))


def _kept(name: str, value: Value, present: Value, sides: _Sides) -> str | None:
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

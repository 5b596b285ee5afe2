"""Golden records: real records with what the mapping made of them, kept in a file and mapped again later. Pure.

A file holds the records as both systems gave them, the settings, and the answers of both systems that the mapping needs
(ids of the books, VAT codes). So the same mapping runs without them, with other settings or a newer release.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from mapping import customers, list_entries, orders, products, settings_document
from mapping.control import Control, ControlQuestion
from mapping.errors import MappingError, NotBookable
from mapping.records import Customer, Item, ListEntry, Relation, Sale, TaxCode
from mapping.references import References
from mapping.sale_lines import is_without_vat, read_totals
from mapping.settings_document import SettingsDocument
from mapping.vat_table import VatTable

FORMAT: Final = "kassabridge golden records 1"
KINDS: Final = ("item", "sale", "relation", "customer")
NOT_REPLAYED: Final = (
    *("mapping.special_items", "mapping.income_accounts", "mapping.shipping_methods", "mapping.clearing_account"),
    *("mapping.order_deposit_account", "mapping.create_payment_methods", "orders.fallback_item", "orders.summary"),
    *("orders.missing_item", "orders.summary_item", "customers.default_debtor", "customers.without_email"),
)
"""Settings that take effect by asking the systems: another value needs another recording."""
Data = dict[str, Any]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(record: Any) -> Data:
    """A record as data for JSON, without what has its default value."""
    kind: Any = type(record)
    data: Data = _adapter(kind).dump_python(record, exclude_defaults=True)
    return data


def map_again(entry: Mapping[str, Any], settings: SettingsDocument) -> Data:
    """What these settings make of a recorded record; a refusal is an outcome, too."""
    kind, record, known = entry["kind"], entry["record"], entry["known"]
    try:
        match kind:
            case "item":
                item = _adapter(Item).validate_python(record)
                vat = _adapter(VatTable).validate_python(known["vat"])
                product = products.to_product(item, settings=settings.products, vat=vat, allocated=known["number"])
                return {
                    "article": dump(product.articles[0]),
                    "product": dump(dataclasses.replace(product, articles=())),
                }
            case "relation":
                relation = _adapter(Relation).validate_python(record)
                customers.require_wanted(relation)
                return {"customer": dump(customers.to_customer(relation, settings=settings.customers))}
            case "customer":
                customer = _adapter(Customer).validate_python(record)
                customers.require_switched_on(settings.customers)
                customers.require_wanted_at_till(customer, known["currency"])
                return {"relation": dump(customers.to_relation(customer))}
            case "sale":
                sale = _adapter(Sale).validate_python(record)
                posting = orders.to_posting(sale, _refer(sale, known, settings), settings.orders)
                return {
                    "document": dump(posting.document),
                    "payments": [dump(each) for each in posting.payments],
                    "beside": [dump(each) for each in posting.beside],
                }
    except MappingError as refusal:
        outcome = "skipped" if isinstance(refusal, NotBookable) else "parked"
        return {"outcome": outcome, "reason": refusal.reason, "field": refusal.field}
    raise KeyError(kind)


def _refer(sale: Sale, known: Data, settings: SettingsDocument) -> References:
    mapping, automatic = settings.mapping, known["automatic"]
    entries = {name: [ListEntry(**each) for each in rows] for name, rows in known["entries"].items()}
    codes = [_adapter(TaxCode).validate_python(each) for each in known["tax_codes"]]
    base: References = _adapter(References).validate_python(known["references"])

    def choose(rule: Control, setting: str, kind: str, key: str) -> str | None:
        asked = ControlQuestion(setting=setting, key=key, automatic=automatic.get(setting, {}).get(key))
        return list_entries.choose(rule, asked, entries.get(kind, ()))

    def each_tender(rule: Control, setting: str, kind: str) -> dict[str, str]:
        found = {code: choose(rule, setting, kind, code) for code in known["tenders"]}
        return {code: id_ for code, id_ in found.items() if id_}

    def of_branch(rule: Control, setting: str, kind: str) -> str | None:
        return choose(rule, setting, kind, str(sale.branch)) if kind in entries else None

    rates = [] if is_without_vat(sale) else read_totals(sale)
    days = known.get("days_to_pay")
    return dataclasses.replace(
        base,
        tax_codes={
            rate.percentage: list_entries.tax_code(
                rate, codes, mapping.tax_codes, country=known["country"], source=sale, place=f"branch {sale.branch}"
            )
            for rate in rates
        },
        untaxed=list_entries.untaxed(mapping.no_vat_tax_code, codes),
        shifted=list_entries.named_tax_code(mapping.shifted_tax_code, codes),
        payment_methods=each_tender(mapping.payment_methods, "mapping.payment_methods", "PaymentMethod"),
        deposit_accounts=each_tender(mapping.deposit_accounts, "mapping.deposit_accounts", "Account"),
        department_id=of_branch(mapping.departments, "mapping.departments", "Department"),
        class_id=of_branch(mapping.classes, "mapping.classes", "Class"),
        term_id=choose(mapping.terms, "mapping.terms", "Term", str(days)) if days is not None else base.term_id,
        tip_articles=mapping.tip_articles,
        gift_card_tenders=mapping.gift_card_tenders,
        countries=settings.customers.countries,
    )


def find_not_replayed(before: SettingsDocument, after: SettingsDocument) -> list[str]:
    """The settings that differ and cannot be tried with recorded answers."""
    values = operator.attrgetter(*NOT_REPLAYED)
    compared = zip(NOT_REPLAYED, values(before), values(after), strict=True)
    return [path for path, old, new in compared if old != new]


def compare(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, before, after) of every value that differs; None for one that is not there."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*map(str, before), *map(str, after)}):
            yield from compare(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        longest = max(len(before), len(after))
        for number in range(longest):
            left, right = (side[number] if number < len(side) else None for side in (before, after))
            yield from compare(left, right, f"{path}[{number}]")
    elif before != after:
        yield path, before, after


# --- without names of persons ------------------------------------------------------------------------------------

_INSTEAD: Final[Mapping[str, str]] = {
    **dict.fromkeys(("name", "display_name", "relation_name", "contact"), "Pat Person"),
    "given_name": "Pat",
    "family_name": "Person",
    "company": "Company BV",
    "company_name": "Company BV",
    "email": "person@example.com",
    "phone": "0100000000",
    "mobile": "0600000000",
    "street": "Street 1",
    "postal_code": "1000 AA",
    "city": "Town",
    "vat_number": "NL000000000B01",
    "reference": "reference",
}
_PERSONAL: Final = frozenset({"sale", "relation", "customer"})


def without_persons(kind: str, record: Data) -> Data:
    """The record with other names, addresses and free texts where it has some; countries and numbers stay."""
    if kind not in _PERSONAL:
        vendor = {"PrefVendorRef": {"value": "1", "name": "Vendor"}} if "PrefVendorRef" in record.get("raw", {}) else {}
        return {**record, "raw": {**record.get("raw", {}), **vendor}} if vendor else record
    replaced: Data = {}
    for name, value in record.items():
        if name == "raw" or (name == "employee_number" and kind == "sale"):
            continue
        if name in ("billing", "shipping", "address", "delivery_address") and isinstance(value, Mapping):
            replaced[name] = without_persons(kind, dict(value))
        elif name == "lines" and kind == "sale":
            replaced[name] = [_without_text(line) for line in value]
        elif name == "lines":
            replaced[name] = ["Street 1" for _ in value]
        else:
            replaced[name] = _INSTEAD[name] if value and name in _INSTEAD else value
    return replaced


def _without_text(line: Mapping[str, Any]) -> Data:
    """A line without an article is a text that somebody wrote."""
    own = {"text": "text"} if not line["article"] and line.get("text") else {}
    below = [_without_text(each) for each in line.get("sublines", ())]
    return {**line, **own, **({"sublines": below} if below else {})}


def to_file(entries: Sequence[Data], settings: SettingsDocument, *, with_persons: bool) -> Data:
    """The content of a file, its records in order, each with what the settings make of it."""
    return {
        "format": FORMAT,
        "personal_data": "kept" if with_persons else "replaced",
        "settings": settings_document.to_data(settings),
        "records": [{**each, "result": map_again(each, settings)} for each in entries],
    }

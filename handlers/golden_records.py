"""Record real records for the tests of a mapping: read both systems, keep what the mapping needs, write nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import simplejson

from gateway.errors import GatewayError, NotFound
from gateway.store.events import Event
from gateway.store.requests import By
from handlers import known_records
from handlers.catalogue import items
from handlers.deps import Deps
from handlers.references import parties
from handlers.result import Result, done
from handlers.sales import drafts, dry_runs, till_sales
from mapping import golden_records, list_entries, money_documents
from mapping.control import Control
from mapping.errors import MappingError
from mapping.golden_records import Data, dump
from mapping.items import needs_allocation
from mapping.list_entries import KnownLists, require_home
from mapping.messages import message
from mapping.records import Customer, Relation, Sale
from mapping.sections import MappingSettings

_LISTS: Final = ("PaymentMethod", "Account", "Department", "Class", "Term")


def handle(event: Event, deps: Deps) -> Result:
    """The file as the result of the event, with the records that could not be recorded and why."""
    asked = event.asked
    reading_only = dry_runs.without_writes(deps)
    entries, missing = [], []
    for kind, name in asked["records"]:
        try:
            entries.append(_record(kind, name, reading_only, with_persons=asked["with_persons"]))
        except (MappingError, GatewayError) as refusal:
            if isinstance(refusal, GatewayError) and not isinstance(refusal, NotFound):
                raise
            missing.append({"kind": kind, "id": name, "reason": refusal.reason})
    file = golden_records.to_file(entries, deps.settings, with_persons=asked["with_persons"])
    text = simplejson.dumps({"file": file, "missing": missing}, use_decimal=True, default=str)
    counts = {"n": len(entries), "all": len(asked["records"])}
    result = done(message("recorded {n} of {all} records; nothing was written", **counts))
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=text))


def _record(kind: str, name: str, deps: Deps, *, with_persons: bool) -> Data:
    found, known = _READERS[kind](name, deps)
    # A second time through JSON, so that what is mapped now is what will be read from the file.
    text = simplejson.dumps({"record": dump(found), "known": known}, use_decimal=True, default=str)
    match found:  # what it is called in the file, by which it can be recorded again: no e-mail address
        case Sale():
            called = found.number or found.id
        case Customer():
            called = str(found.id)
        case Relation():
            called = str(found.number)
        case _:
            called = name
    entry = {"kind": kind, "id": called, **simplejson.loads(text, use_decimal=True)}
    if not with_persons:
        entry["record"] = golden_records.without_persons(kind, entry["record"])
    return entry


def _read_item(name: str, deps: Deps) -> tuple[object, Data]:
    item = next(iter(deps.books.items_by_sku(name)), None) or deps.books.item(name)
    number = items.find_number(item, deps)
    if number is None and needs_allocation(item, deps.settings.products):
        number = deps.settings.products.allocate_from
    return item, {"number": number, "vat": dump(deps.vat_table())}


def _read_sale(name: str, deps: Deps) -> tuple[object, Data]:
    read = till_sales.find_anywhere(name, deps)
    if read is None:
        raise NotFound(message("the till has no sale with the id or number {name}", name=name))
    sale = drafts.assess(read, deps).marked
    try:
        _, references = drafts.prepare(sale, deps)
    except MappingError:
        references = drafts.find_references(sale, deps)  # a sale that is refused afterwards is a result, too
    relation = deps.till.relation(sale.relation_number) if sale.relation_number else None
    tenders = sorted(money_documents.by_method(drafts.assess(sale, deps).in_money.payments))
    known = deps.lists.read(*_LISTS, on=sale.business_date)
    return sale, {
        "references": dump(references),
        "tenders": tenders,
        "country": parties.country(sale, relation, deps),
        "days_to_pay": list_entries.days_to_pay(sale, relation),
        "tax_codes": [dump(code) for code in known.tax_codes if code.active],
        "automatic": _match_automatically(sale, relation, tenders, known, deps),
        "entries": {
            kind: [{"id": e.id, "name": e.name, **({} if e.active else {"active": False})} for e in rows]
            for kind, rows in known.entries.items()
        },
    }


def _match_automatically(
    sale: Sale, relation: Relation | None, tenders: Iterable[str], known: KnownLists, deps: Deps
) -> dict[str, dict[str, str]]:
    """What each control finds without a setting, by setting and key."""
    plain = Control(on_miss="skip")
    mapping = MappingSettings(payment_methods=plain, departments=plain, classes=plain, terms=plain)
    settings = deps.settings.model_copy(update={"mapping": mapping})
    trial = dataclasses.replace(deps, settings=settings)
    branch = str(sale.branch)
    found: dict[str, Mapping[str, str | None]] = {
        "mapping.payment_methods": drafts.payment_methods(tenders, known, trial),
        "mapping.departments": {branch: list_entries.department(sale.branch, known, mapping)},
        "mapping.classes": {branch: list_entries.class_id(sale.branch, known, mapping)},
        "mapping.terms": {
            str(list_entries.days_to_pay(sale, relation)): list_entries.term(sale, relation, known.of("Term"), plain)
        },
    }
    return {name: {key: id_ for key, id_ in each.items() if id_} for name, each in found.items()}


_READERS: Final[Mapping[str, Callable[[str, Deps], tuple[object, Data]]]] = {
    "item": _read_item,
    "relation": lambda name, deps: (known_records.get_relation(By.EMAIL if "@" in name else By.ID, name, deps), {}),
    "customer": lambda name, deps: (
        known_records.get_customer(By.EMAIL if "@" in name else By.ID, name, deps),
        {"currency": require_home(deps.lists.company(), deps.settings.products.currency)},
    ),
    "sale": _read_sale,
}

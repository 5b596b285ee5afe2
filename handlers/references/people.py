"""A relation of the till and its customer of the books: how they are matched, what was written, and a preview."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import NotFound
from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.requests import By
from handlers import known_records
from handlers.deps import Deps
from handlers.references import parties
from mapping import customers, explanations
from mapping.customers import Agreed, email_key, email_keys
from mapping.errors import NotBookable
from mapping.explanations import NO_UPDATES, NOT_CHANGED, SAME_NAME, Explanation
from mapping.list_entries import require_home
from mapping.messages import message
from mapping.records import Customer, Relation
from mapping.rules import RuleStep

BY_LINK, BY_EMAIL, BY_ID = "by what was written before", "by its e-mail address", "by our id"
PreviewData = dict[str, Any]
BY_NAME: Final = "by its name and e-mail address"
MATCHES: Final = (BY_LINK, BY_EMAIL, BY_ID, BY_NAME)
_KINDS: Final = {"Vendor": "supplier", "Employee": "employee"}
_MAX_NAMED: Final = 5


def get_relation(by: By, record: str, deps: Deps) -> Relation:
    """The requested relation. Raises `NotFound`."""
    found = _RELATIONS[by](record, deps)
    if found is None:
        raise NotFound(
            message('no relation at the till has the {field} "{record}"', field=_WORDS[by], record=record),
            fix="look at its spelling",
        )
    return found


def get_customer(by: By, record: str, deps: Deps) -> Customer:
    """The requested customer of the books. Raises `NotFound`, also if several have this name."""
    if by is By.ID:
        return deps.books.customer(record)
    found = _CUSTOMERS[by](record, deps)
    if len(found) > 1:
        named = ", ".join(each.id or "" for each in found[:_MAX_NAMED])
        why = message(
            '{n} customers in QuickBooks have the {field} "{record}": {named}',
            n=len(found),
            field=_WORDS[by],
            record=record,
            named=named,
        )
        raise NotFound(why, fix="ask for one of them by its id")
    if not found:
        raise NotFound(
            message('no customer in QuickBooks has the {field} "{record}"', field=_WORDS[by], record=record),
            fix="look at its spelling",
        )
    return found[0]


_WORDS: Final = {By.ID: "number", By.NAME: "name", By.EMAIL: "e-mail address", By.SKU: "SKU"}
_RELATIONS: Final[Mapping[By, Callable[[str, Deps], Relation | None]]] = {
    By.ID: lambda number, deps: deps.till.relation(int(number)) if number.isdecimal() else None,
    By.NAME: lambda name, deps: deps.till.find_relation_by_name(name),
    By.EMAIL: lambda email, deps: deps.till.find_relation_by_email(email_key(email) or email),
    By.SKU: lambda _sku, _deps: None,
}
_CUSTOMERS: Final[Mapping[By, Callable[[str, Deps], Sequence[Customer]]]] = {
    By.NAME: lambda name, deps: deps.books.customers_by_name(name),
    By.EMAIL: lambda email, deps: deps.books.customers_by_email(email),
    By.SKU: lambda _sku, _deps: (),
}


def explain_relation(relation: Relation, deps: Deps) -> PreviewData:
    """The relation as a customer, field by field. Raises `MappingError` for what would be parked or skipped."""
    if not deps.settings.customers.enabled:
        raise NotBookable("customers are switched off in the settings", field="customers.enabled")
    email = customers.require_wanted(relation)
    found = parties.find(relation, deps)
    if found is None:
        return _explain_new(relation, deps)
    by = BY_EMAIL if email in email_keys(found.email) else BY_LINK
    return _explain_customer(relation, found, by, deps, kept=_why_kept(relation, deps))


def _why_kept(relation: Relation, deps: Deps) -> str | None:
    if of_relation(relation, deps).relation == customers.relation_fingerprint(relation):
        return NOT_CHANGED
    return None if deps.settings.customers.update_existing else NO_UPDATES


def _explain_customer(
    relation: Relation,
    found: Customer | None,
    by: str | None,
    deps: Deps,
    *,
    kept: str | None,
    tried: Sequence[RuleStep] = (),
) -> PreviewData:
    if found is None:
        known_records.note_relation(relation, deps)
    else:
        known_records.note_pair(relation, found, deps)
    rows = explanations.explain_customer(
        relation, settings=deps.settings.customers, existing=found, tried=tried, kept=kept
    )
    return _to_preview("books", rows, found.id if found else None, by)


def _explain_new(relation: Relation, deps: Deps) -> PreviewData:
    """With the first free name: the books keep one list of names for customers, suppliers, employees."""
    tried: list[RuleStep] = []
    names = customers.display_names(relation)
    for name, next_name in zip(names, (*names[1:], None), strict=True):
        wanted = customers.to_customer(relation, settings=deps.settings.customers, attempt=len(tried))
        if same := parties.find_same(wanted, deps):
            return _explain_customer(relation, same, BY_NAME, deps, kept=SAME_NAME)
        if (holder := _find_holder(name, deps)) is None:
            break
        tried.append(RuleStep(f"{holder} has this name", name, next_name))
    return _explain_customer(relation, None, None, deps, kept=None, tried=tried)


def _find_holder(name: str, deps: Deps) -> str | None:
    namesake = parties.oldest(deps.books.customers_by_name(name))
    if namesake:
        return f"customer {namesake.id}"
    other = next(iter(deps.books.holders_of_name(name)), None)
    return f"{_KINDS[other.type or '']} {other.id}" if other else None


def explain_customer(customer: Customer, deps: Deps) -> PreviewData:
    """The customer as a relation, field by field. Raises `MappingError` for what would be skipped."""
    customers.require_switched_on(deps.settings.customers)
    customers.require_wanted_at_till(customer, require_home(deps.lists.company(), deps.settings.products.currency))
    known = of_customer(customer, deps)
    match = find_relation(customer, known, deps)
    if match.relation is None:
        known_records.note_customer(customer, deps)
    else:
        known_records.note_pair(match.relation, customer, deps)
    kept = NOT_CHANGED if known.customer == customers.content_fingerprint(customer) else None
    rows = explanations.explain_relation(customer, existing=match.relation, kept=kept)
    return _to_preview("till", rows, match.relation.number if match.relation else None, match.by)


def _to_preview(into: str, rows: Sequence[Explanation], there: str | int | None, by: str | None) -> PreviewData:
    changed = any(row.value != row.present and row.kept is None for row in rows)
    outcome = "created" if there is None else "updated" if changed else "unchanged"
    fields = [dataclasses.asdict(row) for row in rows]
    return {"outcome": outcome, "into": into, "target": there, "matched": by, "fields": fields}


@dataclass(frozen=True, slots=True)
class LastWritten:
    """Fingerprints of both sides as last written, and the relation's number; None where nothing was written.

    `agreed`: their fields then; None if an earlier release wrote them, which did not keep the fields.
    """

    relation: str | None = None
    customer: str | None = None
    number: int | None = None
    agreed: Agreed | None = field(default_factory=lambda: Agreed({}, {}))
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """The relation of a customer, and how it was found."""

    relation: Relation | None = None
    by: str | None = None


def of_relation(relation: Relation, deps: Deps) -> LastWritten:
    link = deps.read(links.find, LinkKind.RELATION, parties.key_of_relation(relation))
    return _to_last_written(None if link and parties.is_another(link, relation) else link)


def of_customer(customer: Customer, deps: Deps) -> LastWritten:
    found = deps.read(links.find_by_target, LinkKind.RELATION, customer.id or "")
    return _to_last_written(next(iter(found), None))


def find_relation(customer: Customer, known: LastWritten, deps: Deps) -> Match:
    """The relation of the till that is this customer, if there is one."""
    linked = deps.till.relation(known.number) if known.number else None
    if linked and known.link and not parties.is_another(known.link, linked):
        return Match(linked, BY_LINK)
    found = (deps.till.find_relation_by_email(key) for key in email_keys(customer.email))
    if same := next(filter(None, found), None):
        return Match(same, BY_EMAIL)
    # A record whose create answer was lost contains our id.
    ours = deps.till.find_relation_by_ext_id(customer.id or "")
    return Match(ours, BY_ID) if ours else Match()


def _to_last_written(link: Link | None) -> LastWritten:
    if link is None:
        return LastWritten()
    detail: Mapping[str, Any] = link.detail or {}
    fields = detail.get("fields")
    agreed = Agreed(fields["relation"], fields["customer"]) if fields else None
    return LastWritten(detail.get("relation"), detail.get("customer"), detail.get("number"), agreed, link)

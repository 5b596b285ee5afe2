"""Customers without a sale: a relation of the till changed, or (if wanted) a customer of the books.

One link stores the last written content of both sides, so the echo of our own write is recognised and ends there. A
field that only one side changed since then, or that only one of two records had when they met, goes to the other side
whichever of them is looked at first. A preview decides as a real run does, and shows both sides field by field.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from gateway.errors import Conflict, DuplicateName, NotFound
from gateway.store import links
from gateway.store.events import Event, Flow
from gateway.store.links import Link, LinkKind
from handlers import known_records
from handlers.deps import Deps
from handlers.known_records import PreviewData
from handlers.references import parties
from handlers.result import Result, done, skipped
from mapping import customers, explanations
from mapping.customers import Agreed, email_key, email_keys
from mapping.errors import NotBookable
from mapping.explanations import NO_UPDATES, NOT_CHANGED, SAME_NAME, Explanation
from mapping.list_entries import require_home
from mapping.messages import message
from mapping.records import Customer, Relation
from mapping.rules import RuleStep

BY_LINK, BY_EMAIL, BY_ID = "by what was written before", "by its e-mail address", "by our id"
BY_NAME: Final = "by its name and e-mail address"
MATCHES: Final = (BY_LINK, BY_EMAIL, BY_ID, BY_NAME)
_KINDS: Final = {"Vendor": "supplier", "Employee": "employee"}
TRIES = 3


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


def handle_relation(event: Event, deps: Deps) -> Result:
    relation = deps.till.relation(int(event.entity_id))
    if relation is None:
        return skipped("the relation was deleted at the till; its customer stays in the books")
    deps.set_facts(email=email_key(relation.email), record=message("relation {number}", number=relation.number))
    known_records.note_relation(relation, deps)
    known = _of_relation(relation, deps)
    kept = _why_kept(relation, known, deps)
    if kept == NOT_CHANGED:
        return done("unchanged")
    found = _match(relation, deps)
    customer, is_ahead = found, False
    if customer is None:
        customer = parties.create(relation, deps)
        deps.note("created the customer", id=customer.id)
    elif not kept:
        customer, is_ahead = _update(relation, customer, known, deps)
    parties.remember(relation, customer, deps, written=customer != found)
    link = _to_link(relation, customer)
    if is_ahead and deps.settings.customers.to_till:
        link = _ahead(link, "Customer", customer.id or "", event, deps)
    reason = "it exists, updates are switched off" if found and kept else None
    return done(reason, links=(link,), target_entity="Customer", target_id=customer.id)


def _update(relation: Relation, found: Customer, known: LastWritten, deps: Deps) -> tuple[Customer, bool]:
    """Write what differs; and whether the customer has something that the relation has not.

    The customer may change in the books meanwhile, for example its balance. If it was written before, a different name
    is a change made at the till.
    """
    clashes = 0
    for attempt in range(1, TRIES + 1):
        _, newer = customers.changed_alone(relation, found, known.agreed) if known.agreed else ((), ())
        wanted = customers.to_customer(
            relation,
            settings=deps.settings.customers,
            existing=found,
            attempt=clashes,
            renamed=known.relation is not None,
        )
        wanted = customers.keep_of_customer(wanted, found, newer)
        # Whether nothing would change. A VAT number is read back masked, so it is written only with another change.
        same = customers.content_fingerprint(wanted) == customers.content_fingerprint(found)
        if same and wanted.vat_number == found.vat_number:
            return found, bool(newer)
        try:
            return deps.books.update_customer(
                wanted, deps.books.request_id("customer update", found.id, found.sync_token)
            ), bool(newer)
        except DuplicateName:
            clashes += 1
            deps.note("the books know the new name already, trying the next", relation=relation.number)
        except Conflict:
            deps.note("another writer was faster; reading the customer again", attempt=attempt)
            found = deps.books.customer(found.id or "")
    raise Conflict(
        "the customer keeps changing in QuickBooks", record=message('customer "{name}"', name=found.display_name)
    )


def handle_customer(event: Event, deps: Deps) -> Result:
    """A customer of the books changed: apply a merge, and write it to the till if that is wanted."""
    merged_ids = [str(event.asked["deleted_id"])] if event.asked.get("deleted_id") else []
    for merged_id in merged_ids:
        known_records.note_merge(known_records.CUSTOMER, merged_id, event.entity_id, deps)
        parties.move(merged_id, event.entity_id, deps)
    if not parties.links_with(event.entity_id, deps):
        parties.mark(event.entity_id, deps)
    parties.note((), deps, gone=merged_ids)
    known_records.release_customers([event.entity_id, *merged_ids], deps)
    customers.require_switched_on(deps.settings.customers)
    try:
        customer = deps.books.customer(event.entity_id)
    except NotFound:
        return skipped("the customer was deleted in QuickBooks; the till keeps its relation")
    deps.set_facts(email=email_key(customer.email), record=f'customer "{customer.display_name}"')
    customers.require_wanted_at_till(customer, require_home(deps.lists.company(), deps.settings.products.currency))
    known = _of_customer(customer, deps)
    if known.number is None:
        known_records.note_customer(customer, deps)
    if known.customer == customers.content_fingerprint(customer):
        return done("our own change, or nothing of it changed")
    return _to_till(customer, known, event, deps)


def _to_till(customer: Customer, known: LastWritten, event: Event, deps: Deps) -> Result:
    present, _ = _find_relation(customer, known, deps)
    wanted = customers.to_relation(customer, existing=present)
    newer: Collection[str] = ()
    if present and known.agreed and deps.settings.customers.update_existing:
        newer, _ = customers.changed_alone(present, customer, known.agreed)
        wanted = customers.keep_of_relation(wanted, present, newer)
    number = present.number if present else _create_relation(wanted, customer, deps)
    differs = not present or customers.relation_fingerprint(wanted) != customers.relation_fingerprint(present)
    if present and differs:
        deps.till.update_relation(wanted, present)
    written = deps.till.relation(number)
    if written is None:
        return done(target_entity="Relation", target_id=str(number))
    link = _to_link(written, customer)
    if newer:
        link = _ahead(link, "Relation", str(number), event, deps)
    parties.remember(written, customer, deps, written=differs)
    return done(links=(link,), target_entity="Relation", target_id=str(number))


def _create_relation(wanted: Relation, customer: Customer, deps: Deps) -> int:
    """Create the relation of a customer; the number of the one that stays.

    The till takes no request ids and deletes no relation. Where another installation has made one of this customer at
    the same moment, the one that the till finds first stays, and the other becomes inactive.
    """
    number = deps.till.create_relation(wanted)
    first = deps.till.find_relation_by_ext_id(customer.id or "")
    if first is None or first.number == number or not set(email_keys(first.email)) & set(email_keys(customer.email)):
        return number
    if made := deps.till.relation(number):
        deps.till.update_relation(replace(made, active=False), made)
    deps.note("another installation made this relation at the same moment; ours is inactive", relation=number)
    return first.number


def _to_link(relation: Relation, customer: Customer) -> Link:
    written = {
        "relation": customers.relation_fingerprint(relation),
        "customer": customers.content_fingerprint(customer),
        "number": relation.number,
        "fields": asdict(customers.agree(relation, customer)),
        **parties.to_origin(relation),
    }
    return Link(LinkKind.RELATION, f"relation:{relation.number}", "Customer", customer.id or "", detail=written)


def _ahead(link: Link, entity: str, entity_id: str, event: Event, deps: Deps) -> Link:
    """The link of two records of which this one has something newer, which its own event writes to the other."""
    key = f"ahead:{deps.connection}:{entity}:{entity_id}:{event.id}"
    deps.enqueue(deps.to_change(key, Flow.CUSTOMERS, entity, entity_id, priority=event.priority))
    return replace(link, detail={**link.detail, entity.lower(): None})


def _of_relation(relation: Relation, deps: Deps) -> LastWritten:
    link = deps.read(links.find, LinkKind.RELATION, parties.key_of_relation(relation))
    return _to_last_written(None if link and parties.is_another(link, relation) else link)


def _of_customer(customer: Customer, deps: Deps) -> LastWritten:
    found = deps.read(links.find_by_target, LinkKind.RELATION, customer.id or "")
    return _to_last_written(next(iter(found), None))


def _find_relation(customer: Customer, known: LastWritten, deps: Deps) -> tuple[Relation | None, str | None]:
    """The relation of a customer, and how it was found."""
    linked = deps.till.relation(known.number) if known.number else None
    if linked and known.link and not parties.is_another(known.link, linked):
        return linked, BY_LINK
    found = (deps.till.find_relation_by_email(key) for key in email_keys(customer.email))
    if same := next(filter(None, found), None):
        return same, BY_EMAIL
    # A record whose create answer was lost contains our id.
    ours = deps.till.find_relation_by_ext_id(customer.id or "")
    return ours, BY_ID if ours else None


def _to_last_written(link: Link | None) -> LastWritten:
    if link is None:
        return LastWritten()
    detail = link.detail
    fields = detail.get("fields")
    agreed = Agreed(fields["relation"], fields["customer"]) if fields else None
    return LastWritten(detail.get("relation"), detail.get("customer"), detail.get("number"), agreed, link)


def explain_relation(relation: Relation, deps: Deps) -> PreviewData:
    """The relation as a customer, field by field. Raises `MappingError` for what would be parked or skipped."""
    kept = _why_kept(relation, _of_relation(relation, deps), deps)
    try:
        found = _match(relation, deps)
    except NotBookable as refusal:
        if kept != NOT_CHANGED:
            raise
        return {"outcome": "unchanged", **refusal.problem.named("reason")}
    if found is None:
        return _explain_new(relation, deps)
    by = BY_EMAIL if email_key(relation.email) in email_keys(found.email) else BY_LINK
    return _explain_customer(relation, found, by, deps, kept=kept)


def _why_kept(relation: Relation, known: LastWritten, deps: Deps) -> str | None:
    """Why nothing is written to the customer that the relation has in the books; None if what differs is."""
    if known.relation == customers.relation_fingerprint(relation):
        return NOT_CHANGED
    return None if deps.settings.customers.update_existing else NO_UPDATES


def _match(relation: Relation, deps: Deps) -> Customer | None:
    """The relation's customer, None for one that is created. Raises `MappingError` if it does not go to the books."""
    if not deps.settings.customers.enabled:
        raise NotBookable("customers are switched off in the settings", field="customers.enabled")
    customers.require_wanted(relation)
    try:
        return parties.find(relation, deps)
    except parties.Inactive as refusal:
        said = message("{reason}: unchanged", reason=message(refusal.reason))
        raise NotBookable(said, field=refusal.field) from refusal


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
    known = _of_customer(customer, deps)
    found, by = _find_relation(customer, known, deps)
    if found is None:
        known_records.note_customer(customer, deps)
    else:
        known_records.note_pair(found, customer, deps)
    kept = NOT_CHANGED if known.customer == customers.content_fingerprint(customer) else None
    rows = explanations.explain_relation(customer, existing=found, kept=kept)
    return _to_preview("till", rows, found.number if found else None, by)


def _to_preview(into: str, rows: Sequence[Explanation], there: str | int | None, by: str | None) -> PreviewData:
    changed = any(row.value != row.present and row.kept is None for row in rows)
    outcome = "created" if there is None else "updated" if changed else "unchanged"
    fields = [asdict(row) for row in rows]
    return {"outcome": outcome, "into": into, "target": there, "matched": by, "fields": fields}

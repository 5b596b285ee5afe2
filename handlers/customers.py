"""Customers without a sale: a relation of the till changed, or (if wanted) a customer of the books.

One link stores the last written content of both sides, so the echo of our own write is recognised and ends there. A
field that only one side changed since then, or that only one of two records had when they met, goes to the other side
whichever of them is looked at first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace

from gateway.errors import Conflict, DuplicateName, NotFound
from gateway.store.events import Change, Event, Flow
from gateway.store.links import Link, LinkKind
from handlers import known_records
from handlers.deps import Deps
from handlers.references import parties, people
from handlers.references.people import LastWritten
from handlers.result import Result, done, skipped
from mapping import customers
from mapping.customers import email_key
from mapping.list_entries import require_home
from mapping.messages import message
from mapping.records import Customer, Relation

TRIES = 3


def carry_relation(event: Event, deps: Deps) -> Result:
    relation = deps.till.relation(int(event.entity_id))
    if relation is None:
        return skipped("the relation was deleted at the till; its customer stays in the books")
    deps.learn(email=email_key(relation.email), record=message("relation {number}", number=relation.number))
    known_records.note_relation(relation, deps)
    known = people.of_relation(relation, deps)
    if known.relation == customers.relation_fingerprint(relation):
        return done("unchanged")
    customers.require_wanted(relation)
    try:
        found = parties.find(relation, deps)
    except parties.Inactive as refusal:
        return skipped(message("{reason}: unchanged", reason=message(refusal.reason)))
    is_ahead = False
    if found is None:
        customer = parties.create(relation, deps)
        deps.say("created the customer", id=customer.id)
    elif deps.settings.customers.update_existing:
        customer, is_ahead = _update(relation, found, known, deps)
    else:
        customer = found
    parties.remember(relation, customer, deps)
    link = _to_link(relation, customer)
    if is_ahead and deps.settings.customers.to_till:
        link = _ahead(link, "Customer", customer.id or "", event, deps)
    reason = None if found is None or deps.settings.customers.update_existing else "it exists, updates are switched off"
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
            deps.say("the books know the new name already, trying the next", relation=relation.number)
        except Conflict:
            deps.say("another writer was faster; reading the customer again", attempt=attempt)
            found = deps.books.customer(found.id or "")
    raise Conflict(
        "the customer keeps changing in QuickBooks",
        record=message('customer "{name}"', name=found.display_name),
    )


def carry_customer(event: Event, deps: Deps) -> Result:
    """A customer of the books changed: apply a merge, and write it to the till if that is wanted."""
    merged_ids = _follow_merge(event, deps)
    if not parties.links_with(event.entity_id, deps):
        parties.mark(event.entity_id, deps)
    parties.note((), deps, gone=merged_ids)
    known_records.release_customers([event.entity_id, *merged_ids], deps)
    customers.require_switched_on(deps.settings.customers)
    try:
        customer = deps.books.customer(event.entity_id)
    except NotFound:
        return skipped("the customer was deleted in QuickBooks; the till keeps its relation")
    deps.learn(email=email_key(customer.email), record=f'customer "{customer.display_name}"')
    customers.require_wanted_at_till(customer, require_home(deps.lists.company(), deps.settings.products.currency))
    known = people.of_customer(customer, deps)
    if known.number is None:
        known_records.note_customer(customer, deps)
    if known.customer == customers.content_fingerprint(customer):
        return done("our own change, or nothing of it changed")
    return _to_till(customer, known, event, deps)


def _follow_merge(event: Event, deps: Deps) -> tuple[str, ...]:
    """Point links of a merged customer to the remaining one; returns the merged ids."""
    merged_id = event.asked.get("deleted_id")
    if not merged_id:
        return ()
    known_records.note_merge(known_records.CUSTOMER, str(merged_id), event.entity_id, deps)
    parties.move(str(merged_id), event.entity_id, deps)
    return (str(merged_id),)


def _to_till(customer: Customer, known: LastWritten, event: Event, deps: Deps) -> Result:
    present = people.find_relation(customer, known, deps).relation
    wanted = customers.to_relation(customer, existing=present)
    newer: Collection[str] = ()
    if present and known.agreed and deps.settings.customers.update_existing:
        newer, _ = customers.changed_alone(present, customer, known.agreed)
        wanted = customers.keep_of_relation(wanted, present, newer)
    number = present.number if present else deps.till.create_relation(wanted)
    if present and customers.relation_fingerprint(wanted) != customers.relation_fingerprint(present):
        deps.till.update_relation(wanted, present)
    written = deps.till.relation(number)
    if written is None:
        return done(target_entity="Relation", target_id=str(number))
    link = _to_link(written, customer)
    if newer:
        link = _ahead(link, "Relation", str(number), event, deps)
    parties.remember(written, customer, deps)
    return done(links=(link,), target_entity="Relation", target_id=str(number))


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
    deps.pass_on(
        Change(
            key=f"ahead:{deps.connection}:{entity}:{entity_id}:{event.id}",
            flow=Flow.CUSTOMERS,
            source="gateway",
            entity=entity,
            entity_id=entity_id,
            connection=deps.connection,
            priority=event.priority,
        )
    )
    return replace(link, detail={**(link.detail or {}), entity.lower(): None})

"""Customers without a sale: a relation of the till changed, or (if wanted) a customer of the books.

One link stores the last written content of both sides, so the echo of our own write is recognised and ends there.
"""

from __future__ import annotations

import json

from gateway.errors import Conflict, DuplicateName, NotFound
from gateway.store.events import Event
from gateway.store.links import Link, LinkKind
from handlers import awaited_records, merges
from handlers.deps import Deps
from handlers.references import addresses, counterparts, parties
from handlers.references.counterparts import LastWritten
from handlers.result import Result, done, skipped
from mapping import customers, relations
from mapping.list_entries import require_home
from mapping.messages import message
from mapping.records import Customer, Relation

TRIES = 3


def carry_relation(event: Event, deps: Deps) -> Result:
    """Update the books' customer from the relation."""
    relation = deps.till.relation(int(event.entity_id))
    if relation is None:
        return skipped("the relation was deleted at the till; its customer stays in the books")
    deps.learn(email=customers.email_key(relation.email), record=message("relation {number}", number=relation.number))
    before = counterparts.of_relation(relation, deps).relation
    if before == relations.relation_fingerprint(relation):
        return done("unchanged")
    customers.require_wanted(relation)
    try:
        found = parties.find(relation, deps)
    except parties.Inactive as refusal:
        return skipped(message("{reason}: left alone", reason=message(refusal.reason)))
    return _to_books(relation, found, deps, written_before=before is not None)


def _to_books(relation: Relation, found: Customer | None, deps: Deps, *, written_before: bool) -> Result:
    if found is None:
        customer = parties.create(relation, deps)
        deps.say("created the customer", id=customer.id)
    elif deps.settings.customers.update_existing:
        customer = _update(relation, found, deps, written_before=written_before)
    else:
        customer = found
    parties.remember(relation, customer, deps)
    reason = None if found is None or deps.settings.customers.update_existing else "it exists, updates are switched off"
    return done(reason, links=(_to_link(relation, customer),), target_entity="Customer", target_id=customer.id)


def _update(relation: Relation, found: Customer, deps: Deps, *, written_before: bool) -> Customer:
    """Write what differs. The customer may change in the books meanwhile, for example its balance.

    `written_before`: the customer was written before, so a different name is a change made at the till.
    """
    clashes = 0
    for attempt in range(1, TRIES + 1):
        wanted = customers.to_customer(
            relation, settings=deps.settings.customers, existing=found, attempt=clashes, renamed=written_before
        )
        if _is_written(wanted, found):
            return found
        try:
            return deps.books.update_customer(
                wanted, deps.books.request_id("customer update", found.id, found.sync_token)
            )
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


def _is_written(wanted: Customer, found: Customer) -> bool:
    """Whether nothing would change. A VAT number is read back masked, so it is written only with another change."""
    same = customers.content_fingerprint(wanted) == customers.content_fingerprint(found)
    return same and wanted.vat_number == found.vat_number


def carry_customer(event: Event, deps: Deps) -> Result:
    """A customer of the books changed: apply a merge, and write it to the till if that is wanted."""
    merged_ids = _follow_merge(event, deps)
    if not parties.links_with(event.entity_id, deps):
        addresses.mark(event.entity_id, deps)
    addresses.note((), deps, gone=merged_ids)
    awaited_records.release_customers([event.entity_id, *merged_ids], deps)
    relations.require_switched_on(deps.settings.customers)
    try:
        customer = deps.books.customer(event.entity_id)
    except NotFound:
        return skipped("the customer was deleted in QuickBooks; the till keeps its relation")
    deps.learn(email=customers.email_key(customer.email), record=f'customer "{customer.display_name}"')
    relations.require_wanted(customer, require_home(deps.lists.company(), deps.settings.products.currency))
    known = counterparts.of_customer(customer, deps)
    if known.customer == customers.content_fingerprint(customer):
        return done("our own change, or nothing of it changed")
    return _to_till(customer, known, deps)


def _follow_merge(event: Event, deps: Deps) -> tuple[str, ...]:
    """Point links of a merged customer to the remaining one; returns the merged ids."""
    merged_id = json.loads(event.hint).get("deleted_id") if event.hint else None
    if not merged_id:
        return ()
    merges.note(merges.CUSTOMER, str(merged_id), event.entity_id, deps)
    parties.move(str(merged_id), event.entity_id, deps)
    return (str(merged_id),)


def _to_till(customer: Customer, known: LastWritten, deps: Deps) -> Result:
    present = counterparts.find_relation(customer, known, deps).relation
    wanted = relations.to_relation(customer, existing=present)
    number = present.number if present else deps.till.create_relation(wanted)
    if present and relations.relation_fingerprint(wanted) != relations.relation_fingerprint(present):
        deps.till.update_relation(wanted, present)
    written = deps.till.relation(number)
    link = (_to_link(written, customer),) if written else ()
    if written:
        parties.remember(written, customer, deps)
    return done(links=link, target_entity="Relation", target_id=str(number))


def _to_link(relation: Relation, customer: Customer) -> Link:
    written = {
        "relation": relations.relation_fingerprint(relation),
        "customer": customers.content_fingerprint(customer),
        "number": relation.number,
    }
    return Link(LinkKind.RELATION, f"relation:{relation.number}", "Customer", customer.id or "", detail=written)

"""Customers without a sale: a relation of the till changed, or (if wanted) a customer of the books.

Each side's content as last carried is kept on one link, so that our own write coming back is recognised and ends there.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.errors import Conflict, NotFound
from gateway.store import links
from gateway.store.events import Event
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.identity import request_id
from handlers.references import parties
from handlers.result import Result, done, parked, skipped
from mapping import customers, relations
from mapping.records import Customer, Relation

TRIES = 3


def carry_relation(event: Event, deps: Deps) -> Result:
    """Bring the books' customer to what the relation is now."""
    relation = deps.till.relation(int(event.entity_id))
    if relation is None:
        return skipped("the relation was deleted at the till; its customer stays in the books")
    email = customers.email_key(relation.email)
    deps.learn(email=email)
    known = _carried(f"relation:{relation.number}", deps)
    if known.get("relation") == relations.relation_fingerprint(relation):
        return done("unchanged")
    if email is None:
        return _without_key(relation)
    if not relation.active:
        return skipped("the relation is inactive: its customer is left alone")
    return _to_books(relation, email, deps)


def _without_key(relation: Relation) -> Result:
    if (relation.email or "").strip():
        return parked(
            f"the e-mail address of relation {relation.number} is none",
            code="no-email",
            record=f"relation {relation.number}",
            fix="correct the e-mail address at the till; this event then resolves by itself",
        )
    return skipped("without an e-mail address it has no key; it becomes a customer with its first sale, if at all")


def _to_books(relation: Relation, email: str, deps: Deps) -> Result:
    found = parties.find(relation, email, deps)
    if found is None:
        customer = parties.create(relation, deps)
        deps.say("created the customer", id=customer.id)
    elif deps.settings.customers.update_existing:
        customer = _update(relation, found, deps)
    else:
        customer = found
    parties.remember(relation, customer, deps)
    reason = None if found is None or deps.settings.customers.update_existing else "it exists, updates are switched off"
    return done(reason, links=(_to_link(relation, customer),), target_entity="Customer", target_id=customer.id)


def _update(relation: Relation, found: Customer, deps: Deps) -> Customer:
    """Write what differs. The books' copy may be touched meanwhile, by a sale's balance for one."""
    for attempt in range(1, TRIES + 1):
        wanted = customers.to_customer(relation, settings=deps.settings.customers, existing=found)
        if _is_carried(wanted, found):
            return found
        try:
            return deps.books.update_customer(wanted, request_id(deps.connection, "customer", wanted))
        except Conflict:
            deps.say("somebody was faster; reading the customer again", attempt=attempt)
            found = deps.books.customer(found.id or "")
    raise Conflict("the customer keeps changing in QuickBooks", record=f"customer {found.id}")


def _is_carried(wanted: Customer, found: Customer) -> bool:
    """Whether nothing would change. A VAT number that reads back masked is written with whatever else is new."""
    same = customers.content_fingerprint(wanted) == customers.content_fingerprint(found)
    return same and wanted.vat_number == found.vat_number


def carry_customer(event: Event, deps: Deps) -> Result:
    """A customer of the books changed: follow a merge, and carry it to the till if that is wanted."""
    _follow_merge(event, deps)
    if not (deps.settings.customers.enabled and deps.settings.customers.to_till):
        return skipped("customers of QuickBooks do not flow to the till: customers.to_till is off")
    try:
        customer = deps.books.customer(event.entity_id)
    except NotFound:
        return skipped("the customer was deleted in QuickBooks; the till keeps its relation")
    email = customers.email_key(customer.email)
    deps.learn(email=email)
    if email is None or not customer.active:
        return skipped("without an e-mail address it has no key" if customer.active else "the customer is inactive")
    known = _carried_for(customer, deps)
    if known.get("customer") == customers.content_fingerprint(customer):
        return done("our own change, or nothing of it changed")
    return _to_till(customer, email, known, deps)


def _follow_merge(event: Event, deps: Deps) -> None:
    """What pointed at a customer that was merged away points at the one that stayed."""
    vanished = json.loads(event.hint).get("deleted_id") if event.hint else None
    for link in parties.links_with(str(vanished), deps) if vanished else ():
        deps.remember(Link(Kind.CUSTOMER, link.source_id, "Customer", event.entity_id))
        deps.say("the customer was merged into another", link=link.source_id.split(":")[0], now=event.entity_id)


def _to_till(customer: Customer, email: str, known: dict[str, Any], deps: Deps) -> Result:
    number = known.get("number")
    present = deps.till.relation(int(number)) if number else None
    present = present or deps.till.find_relation_by_email(email)
    # A create whose answer was lost carries our id.
    present = present or deps.till.find_relation_by_ext_id(customer.id or "")
    wanted = relations.to_relation(customer, existing=present)
    if present is None:
        saved = deps.till.create_relation(wanted).number
    elif relations.relation_fingerprint(wanted) != relations.relation_fingerprint(present):
        saved = deps.till.update_relation(wanted).number
    else:
        saved = present.number
    written = deps.till.relation(saved)
    link = (_to_link(written, customer),) if written else ()
    if written:
        parties.remember(written, customer, deps)
    return done(links=link, target_entity="Relation", target_id=str(saved))


def _to_link(relation: Relation, customer: Customer) -> Link:
    carried = {
        "relation": relations.relation_fingerprint(relation),
        "customer": customers.content_fingerprint(customer),
        "number": relation.number,
    }
    return Link(Kind.RELATION, f"relation:{relation.number}", "Customer", customer.id or "", detail=carried)


def _carried(key: str, deps: Deps) -> dict[str, Any]:
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, Kind.RELATION, key)
    return dict(link.detail or {}) if link else {}


def _carried_for(customer: Customer, deps: Deps) -> dict[str, Any]:
    with reading(deps.engine) as session:
        found = links.find_by_target(session, deps.connection, Kind.RELATION, customer.id or "")
    return dict(found[0].detail or {}) if found else {}

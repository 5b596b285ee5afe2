"""The customer a sale is booked on: the relation's, found or created by e-mail, or the default debtor."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import DuplicateName
from gateway.store import links
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.identity import request_id
from mapping import customers
from mapping.errors import MappingError
from mapping.records import Customer, Relation, Sale, SaleKind


def customer_id(sale: Sale, deps: Deps) -> str:
    """The id of the books' customer for this sale, created when there is none yet."""
    rules = deps.settings.customers
    if not sale.relation_number or rules.always_default_debtor:
        return default_debtor(deps)
    relation = deps.till.relation(sale.relation_number)
    email = customers.email_key(relation.email) if relation else None
    if relation and email:
        deps.learn(email=email)
        return _linked(deps, f"email:{email}") or _by_email(relation, email, deps)
    return _without_email(sale, relation, deps)


def _without_email(sale: Sale, relation: Relation | None, deps: Deps) -> str:
    """A relation that has no e-mail address has no key; what is on account still needs a debtor of its own."""
    policy = deps.settings.customers.without_email
    if policy == "park":
        raise MappingError(
            f"relation {sale.relation_number} has no e-mail address",
            record=f"{sale.kind} {sale.number}",
            field="customers.without_email",
            fix="enter the e-mail address at the till, then retry (or change the setting)",
        )
    if relation is None or (policy == "default_debtor" and sale.kind is not SaleKind.INVOICE):
        return default_debtor(deps)
    key = f"relation:{relation.number}"
    return _linked(deps, key) or _created(key, relation, deps)


def _created(key: str, relation: Relation, deps: Deps) -> str:
    customer = _create(relation, deps)
    _remember(deps, key, customer)
    return customer.id or ""


def default_debtor(deps: Deps) -> str:
    """The one customer for walk-ins, created when it does not exist yet."""
    name = deps.settings.customers.default_debtor
    return _linked(deps, f"name:{name.casefold()}") or _by_name(name, deps)


def _by_email(relation: Relation, email: str, deps: Deps) -> str:
    found = oldest(deps.books.customers_by_email(email)) or _create(relation, deps)
    _remember(deps, f"email:{email}", found)
    return found.id or ""


def _by_name(name: str, deps: Deps) -> str:
    found = oldest(deps.books.customers_by_name(name))
    if found is None:
        debtor = customers.default_debtor(deps.settings.customers)
        found = deps.books.create_customer(debtor, request_id(deps.connection, "customer", debtor))
    _remember(deps, f"name:{name.casefold()}", found)
    return found.id or ""


def _create(relation: Relation, deps: Deps, *, attempt: int = 0) -> Customer:
    """Create the customer under the first of its names that the books accept; `to_customer` ends the series."""
    customer = customers.to_customer(relation, settings=deps.settings.customers, attempt=attempt)
    try:
        return deps.books.create_customer(customer, request_id(deps.connection, "customer", customer))
    except DuplicateName:
        same = _same_person(customer, deps)
        if same is None:
            deps.say("the books know this name already, trying the next", name=customer.display_name)
        return same or _create(relation, deps, attempt=attempt + 1)


def _same_person(customer: Customer, deps: Deps) -> Customer | None:
    """Who holds the name already, if the e-mail address is the same but for capitals: a search there may mind them."""
    if customer.email is None:
        return None
    holders = deps.books.customers_by_name(customer.display_name)
    return oldest([holder for holder in holders if customers.email_key(holder.email) == customer.email])


def oldest(found: Sequence[Customer]) -> Customer | None:
    """Of several customers with one key the active one that was there first."""
    ranked = sorted(found, key=lambda c: (not c.active, len(c.id or ""), c.id or ""))
    return next((c for c in ranked if c.active), None)


def _linked(deps: Deps, source_id: str) -> str | None:
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, Kind.CUSTOMER, source_id)
    return link.target_id if link else None


def _remember(deps: Deps, source_id: str, customer: Customer) -> None:
    deps.remember(Link(Kind.CUSTOMER, source_id, "Customer", customer.id or "", customer.sync_token))

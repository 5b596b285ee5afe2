"""A relation of the till and its customer of the books: how they are matched, and what was last written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.references import parties
from mapping.customers import email_keys
from mapping.records import Customer, Relation
from mapping.relations import Agreed

BY_LINK, BY_EMAIL, BY_ID = "by what was written before", "by its e-mail address", "by our id"


@dataclass(frozen=True, slots=True)
class LastWritten:
    """Fingerprints of both sides as last written, and the relation's number; None where nothing was written.

    `agreed`: their fields then; None if an earlier release wrote them, which did not keep the fields.
    """

    relation: str | None = None
    customer: str | None = None
    number: int | None = None
    agreed: Agreed | None = field(default_factory=lambda: Agreed({}, {}))


@dataclass(frozen=True, slots=True)
class Match:
    """The relation of a customer, and how it was found."""

    relation: Relation | None = None
    by: str | None = None


def of_relation(relation: Relation, deps: Deps) -> LastWritten:
    """What was last written for this relation and its customer."""
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, LinkKind.RELATION, parties.key_of_relation(relation))
    return _to_last_written(link)


def of_customer(customer: Customer, deps: Deps) -> LastWritten:
    """What was last written for this customer and its relation."""
    with reading(deps.engine) as session:
        found = links.find_by_target(session, deps.connection, LinkKind.RELATION, customer.id or "")
    return _to_last_written(next(iter(found), None))


def find_relation(customer: Customer, known: LastWritten, deps: Deps) -> Match:
    """The relation of the till that is this customer, if there is one."""
    if known.number and (linked := deps.till.relation(known.number)):
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
    return LastWritten(detail.get("relation"), detail.get("customer"), detail.get("number"), agreed)

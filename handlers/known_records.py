"""Records of both systems: what one handler learns of a record and others need, and the one that a person asks for.

A record was seen, merged into another, or is not missing any more.

What was seen of a product or customer on both sides is for the pages, and stored with the event's outcome.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from gateway.database.session import writing
from gateway.errors import NotFound
from gateway.store import claims, inbox, links
from gateway.store.links import Link, LinkKind
from gateway.store.records import RecordFacts, RecordKind
from gateway.store.requests import By
from handlers.deps import Deps
from mapping import explanations
from mapping.customers import email_key
from mapping.errors import MappingError
from mapping.explanations import Explanation
from mapping.items import is_digits
from mapping.messages import message
from mapping.records import Customer, Item, Relation

PreviewData = dict[str, Any]


def note_item(item: Item, link: Link | None, deps: Deps, **more: Any) -> None:
    """An item of the books was read; `more` are facts of its article."""
    known: PreviewData = {"till_number": link.target_id if link else None, **more}
    deps.note_record(
        RecordFacts(
            RecordKind.PRODUCT,
            item.id,
            code=item.sku or None,
            books_id=item.id,
            books_name=item.name,
            active=item.active,
            changed_at=item.updated_at,
            **known,
        )
    )


def note_article(
    item: Item, number: int | str, name: str | None, rows: Iterable[Explanation], deps: Deps, *, written: bool
) -> None:
    """An item and its article were compared; `written`: what differed was written."""
    fields = [
        {**each, "present": each["value"]} if written and each["kept"] is None else each for each in map(to_field, rows)
    ]
    note_item(item, None, deps, till_number=str(number), till_name=name, fields=fields, written=written)


def to_field(row: Explanation) -> PreviewData:
    return {name: getattr(row, name) for name in ("field", "value", "present", "source", "kept")}


def note_relation(relation: Relation, deps: Deps) -> None:
    deps.note_record(_of_relation(relation))


def note_customer(customer: Customer, deps: Deps) -> None:
    """A customer of the books was read that no relation is known of."""
    deps.note_record(RecordFacts(RecordKind.CUSTOMER, f"customer:{customer.id}", **_of_customer(customer)))


def note_pair(relation: Relation, customer: Customer, deps: Deps, *, written: bool = False) -> None:
    facts = _of_relation(relation)
    try:
        rows = explanations.explain_customer(relation, settings=deps.settings.customers, existing=customer, kept=None)
    except MappingError:  # no name is left for it; the rest is known
        rows = ()
    # QuickBooks shows only the end of a VAT number.
    fields = [to_field(row) for row in rows if row.field != "vat_number"]
    of_customer = {name: value for name, value in _of_customer(customer).items() if value}
    deps.note_record(dataclasses.replace(facts, **{**of_customer, "fields": fields, "written": written}))


def _of_relation(relation: Relation) -> RecordFacts:
    return RecordFacts(
        RecordKind.CUSTOMER,
        f"relation:{relation.number}",
        code=email_key(relation.email),
        till_number=str(relation.number),
        till_name=relation.company or relation.name or None,
    )


def _of_customer(customer: Customer) -> PreviewData:
    return {
        "code": email_key(customer.email),
        "books_id": customer.id,
        "books_name": customer.display_name,
        "active": customer.active,
    }


ITEM, CUSTOMER = "Item", "Customer"


def note_merge(entity: str, merged_id: str, remaining_id: str, deps: Deps) -> None:
    """Store a merge; earlier merges into the merged record are redirected to the remaining one."""
    if deps.dry_run:
        return
    with writing(deps.engine) as session:
        claims.hold(session, deps.claim)
        found = links.find_by_target(session, deps.connection, LinkKind.MERGED, merged_id)
        earlier = [dataclasses.replace(link, target_id=remaining_id) for link in found if link.target_entity == entity]
        merged = Link(LinkKind.MERGED, _merge_key(entity, merged_id), entity, remaining_id)
        links.save(session, deps.connection, merged, *earlier)


def find_remaining(entity: str, merged_id: str, deps: Deps) -> str | None:
    link = deps.read(links.find, LinkKind.MERGED, _merge_key(entity, merged_id))
    return link.target_id if link else None


def find_merged(entity: str, remaining_id: str, deps: Deps) -> list[str]:
    found = deps.read(links.find_by_target, LinkKind.MERGED, remaining_id)
    return [link.source_id.partition("/")[2] for link in found if link.target_entity == entity]


def _merge_key(entity: str, merged_id: str) -> str:
    return f"{entity}/{merged_id}"


MISSING_ITEM: Final = "missing-item"
INACTIVE_ITEM: Final = "inactive-item"
INACTIVE_CUSTOMER: Final = "inactive-customer"
_OF_ITEMS: Final = (MISSING_ITEM, INACTIVE_ITEM)


def cause_of_item(wanted: str) -> str:
    """The cause of events that wait for an item: the SKU or name they looked for."""
    return f"item {wanted}"


def cause_of_customer(customer_id: str) -> str:
    return f"customer {customer_id}"


def awaits_items(deps: Deps) -> bool:
    return bool(deps.read(inbox.find_causes, _OF_ITEMS))


def release_items(items: Iterable[Item], deps: Deps) -> None:
    """These items exist: release the events that wait for any active one."""
    names: set[str] = set()
    for item in items:
        if item.active:
            sku = (item.sku or "").strip()
            names |= {sku, item.name, item.id, str(int(sku)) if is_digits(sku) else ""}
    _go_on(_OF_ITEMS, {cause_of_item(name) for name in names if name}, deps)


def release_customers(customer_ids: Iterable[str], deps: Deps) -> None:
    """These customers are or may be active: release the events that wait for them; each event checks again."""
    _go_on((INACTIVE_CUSTOMER,), {cause_of_customer(id_) for id_ in customer_ids}, deps)


def _go_on(codes: tuple[str, ...], causes: set[str], deps: Deps) -> None:
    """Usually no event waits, so that is checked first."""
    if not causes:
        return
    waiting = deps.read(inbox.find_causes, codes)
    for code, cause in waiting:
        if cause in causes:
            deps.release_waiting(code, cause)


# --- the one record that a person asks for: by its id, its SKU, its name, or its e-mail address ---

Found = TypeVar("Found", Item, Customer, Relation)
_WORDS: Final[Mapping[By, str]] = {By.ID: "number", By.NAME: "name", By.EMAIL: "e-mail address", By.SKU: "SKU"}
_MAX_NAMED: Final = 5


def get_item(by: By, record: str, deps: Deps) -> Item:
    """The requested item. Raises `NotFound` if there is none, or if several have this SKU or name."""
    if by is By.ID:
        return deps.books.item(record)
    found = deps.books.items_by_sku(record) if by is By.SKU else ()
    found = deps.books.items_by_name(record) if by is By.NAME else found
    said = (
        'no item in QuickBooks has the {field} "{record}"',
        '{n} items in QuickBooks have the {field} "{record}": {named}',
    )
    return _choose_only(found, by, record, said)


def get_customer(by: By, record: str, deps: Deps) -> Customer:
    """The requested customer of the books. Raises `NotFound`, also if several have this name or address."""
    if by is By.ID:
        return deps.books.customer(record)
    found = deps.books.customers_by_name(record) if by is By.NAME else ()
    found = deps.books.customers_by_email(record) if by is By.EMAIL else found
    said = (
        'no customer in QuickBooks has the {field} "{record}"',
        '{n} customers in QuickBooks have the {field} "{record}": {named}',
    )
    return _choose_only(found, by, record, said)


def get_relation(by: By, record: str, deps: Deps) -> Relation:
    """The requested relation. Raises `NotFound`."""
    found: Relation | None = None
    if by is By.ID and record.isdecimal():
        found = deps.till.relation(int(record))
    elif by is By.NAME:
        found = deps.till.find_relation_by_name(record)
    elif by is By.EMAIL:
        found = deps.till.find_relation_by_email(email_key(record) or record)
    said = 'no relation at the till has the {field} "{record}"', ""
    return _choose_only([found] if found else [], by, record, said)


def _choose_only(found: Sequence[Found], by: By, record: str, said: tuple[str, str]) -> Found:
    """The only one; `said`: that there is none, and that there are several."""
    none, several = said
    if len(found) == 1:
        return found[0]
    field = _WORDS[by]
    if not found:
        raise NotFound(message(none, field=field, record=record), fix="look at its spelling")
    named = ", ".join(str(each.number if isinstance(each, Relation) else each.id) for each in found[:_MAX_NAMED])
    why = message(several, n=len(found), field=field, record=record, named=named)
    raise NotFound(why, fix="ask for one of them by its id")

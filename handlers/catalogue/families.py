"""A family of items becomes one product of the till with an article for each of them: its variants."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.connectors.mpluskassa.answers import ReadProduct
from gateway.errors import Conflict, NotFound
from gateway.store import links
from gateway.store.events import BACKFILL, Change, Event, Flow
from gateway.store.leases import Lease
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers.catalogue import articles, bridge, items, kinship, ownership
from handlers.catalogue.articles import Member
from handlers.catalogue.items import Reading
from handlers.deps import Deps
from handlers.result import Result, done, parked, skipped
from mapping import products
from mapping.categories import CATEGORY
from mapping.errors import MappingError, NotBookable
from mapping.products import VatTable
from mapping.records import Item, Product

_DELETED = " (deleted)"
LONELY = "it has neither a SKU nor items below it"
LONELY_FIX = "enter a SKU of digits at the item, or make its variants sub-items of it; it then goes on by itself"


@dataclass(frozen=True, slots=True)
class Family:
    """The parent, its variants that can be carried, and what keeps the others from it."""

    parent: Item
    members: tuple[Member, ...]
    faults: tuple[MappingError, ...]
    prints: Mapping[str, str]


def carry(event: Event, deps: Deps) -> Result:
    """Bring the till's product to what the family is now."""
    try:
        parent = deps.books.item(event.entity_id)
    except NotFound:
        return skipped("the parent item was deleted; its variants follow by themselves")
    if parent.type == CATEGORY:
        return skipped("the parent is a category now; its items follow by themselves")
    deps.learn(sku=parent.sku)
    read_at = items.now(deps)
    below = find_members(parent, deps)
    if not below:
        return _park_lonely(parent)
    deps.remember(_family_link(parent.id, _home(parent.id, deps)))
    family = _examine(parent, below, event, deps)
    known = all(
        articles.is_settled(m, family.prints[m.item.id], ownership.find_owner(m.number, deps)) for m in family.members
    )
    settled = known and not items.is_repeated(event)
    if not settled:
        with ownership.hold([member.number for member in family.members], deps) as lease:
            _write(family, lease, deps)
    written = tuple(
        link for member in family.members for link in articles.finish(member, family.prints[member.item.id], deps)
    )
    result = _park_fault(family, written) if family.faults else done("unchanged" if settled else None, links=written)
    return dataclasses.replace(result, changes=_to_stock(family, read_at, event, deps))


def _to_stock(family: Family, read_at: datetime, event: Event, deps: Deps) -> tuple[Change, ...]:
    """The stock of variants that are new at the till. That of others is told by their own events, or by a backfill."""
    if not deps.settings.stock.enabled or event.priority == BACKFILL:
        return ()
    new = (m.item for m in family.members if m.link is None or m.link.target_id != str(m.number))
    return tuple(
        items.follow(Flow.STOCK, event, Reading(item, read_at), entity_id=item.id, key=f"{event.key}>stock:{item.id}")
        for item in new
        if item.quantity_on_hand is not None
    )


def find_members(parent: Item, deps: Deps) -> list[Item]:
    """Everything directly below the parent that can be sold, and the parent itself when it has a SKU."""
    full_name = str(parent.raw.get("FullyQualifiedName") or parent.name).removesuffix(_DELETED)
    below = [item for item in deps.books.items_under(full_name) if item.parent_id == parent.id]
    sellable = [item for item in below if item.type not in (CATEGORY, "Group")]
    own = [parent] if (parent.sku or "").strip() else []
    return [*own, *sorted(sellable, key=lambda item: (len(item.id), item.id))]


def _examine(parent: Item, below: Iterable[Item], event: Event, deps: Deps) -> Family:
    """Tell those that can be carried from those that cannot, so that one bad variant does not keep the rest away."""
    group = kinship.find_parent(parent, event, deps).group
    vat = articles.vat_table(deps)
    members: list[Member] = []
    faults: list[MappingError] = []
    prints: dict[str, str] = {}
    for item in below:
        link = articles.find_link(item.id, deps)
        if not item.active and link is None:
            continue
        try:
            member = _to_member(item, link, group, parent.name, vat, deps)
            prints[item.id] = articles.print_of(member, _to_product(parent, [member], vat, None, deps))
        except NotBookable as reason:
            deps.say("left out", item=item.id, reason=reason.reason)
        except MappingError as fault:
            faults.append(fault)
        else:
            members.append(member)
    return Family(parent, tuple(members), tuple(faults), prints)


def _to_member(item: Item, link: Link | None, group: int | None, family: str, vat: VatTable, deps: Deps) -> Member:
    number = bridge.number_of(item, deps)
    traces = products.to_traces(item, settings=deps.settings.products, vat=vat, allocated=number, family=family)
    return Member(item, number, group, link, traces)


def _to_product(parent: Item, members: Sequence[Member], vat: VatTable, present: Product | None, deps: Deps) -> Product:
    return products.to_variants(
        [member.item for member in members],
        settings=deps.settings.products,
        vat=vat,
        existing=present,
        name=parent.name,
        allocated={member.item.id: member.number for member in members},
        traces={member.item.id: member.former_traces for member in members},
    )


def _write(family: Family, lease: Lease, deps: Deps) -> None:
    """Update the products the articles are in already; what is new joins the family's own."""
    found = deps.till.products_of_articles(member.number for member in family.members)
    homes = {a.number: read for read in found for a in read.product.articles}
    home = _find_home(family, found, deps)
    by_product: dict[int | None, list[Member]] = {}
    for member in family.members:
        owner = homes.get(member.number, home)
        by_product.setdefault(owner.product.number if owner else None, []).append(member)
    reads = {read.product.number: read for read in (*found, *([home] if home else []))}
    for number, members in by_product.items():
        lease.require()
        _write_one(family, reads.get(number), members, home, deps)


def _write_one(
    family: Family, read: ReadProduct | None, members: Sequence[Member], home: ReadProduct | None, deps: Deps
) -> None:
    vat = articles.vat_table(deps)
    present = read.product if read else None
    for member in members:
        present = ownership.claim(member.item, member.number, present, deps)
        ownership.keep(member.item, member.number, deps)
    if read is not None and not deps.settings.products.update_existing:
        return
    product = _to_product(family.parent, members, vat, present, deps)
    if read is None:
        made = articles.create(product, members, deps)
        if made is None:
            raise Conflict("one of its articles was made by somebody else just now", record=f"item {family.parent.id}")
        deps.remember(_family_link(family.parent.id, str(made)))
        return
    if home and read.product.number != home.product.number:
        deps.say(
            "these variants stay in the product they are in: the till cannot move them", product=read.product.number
        )
        product = Product(product.number, None, product.articles)
    if not articles.update(product, read, members, deps):
        raise Conflict("it was changed at the till at this moment", record=f"product {read.product.number}")


def _find_home(family: Family, found: Sequence[ReadProduct], deps: Deps) -> ReadProduct | None:
    """The product of the family: the one it was made as, else the first that holds one of its articles."""
    known = _home(family.parent.id, deps)
    read = next((each for each in found if str(each.product.number) == known), None)
    if read is None and known:
        read = deps.till.product(int(known))
    return read or next(iter(found), None)


def _home(parent_id: str, deps: Deps) -> str:
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, Kind.FAMILY, parent_id)
    return link.target_id if link else ""


def _family_link(parent_id: str, product: str) -> Link:
    return Link(Kind.FAMILY, parent_id, "Product", product)


def _park_lonely(parent: Item) -> Result:
    return parked(
        f'"{parent.name}": {LONELY}',
        code="no-sku",
        record=products.name_item(parent),
        fix=LONELY_FIX,
    )


def _park_fault(family: Family, written: tuple[Link, ...]) -> Result:
    first = family.faults[0]
    more = len(family.faults) - 1
    return parked(
        first.reason + (f" (and {more} more variants cannot be carried)" if more else ""),
        code=first.code or "variant",
        record=first.record or products.name_item(family.parent),
        fix=first.fix or "mend the variant in QuickBooks",
        links=written,
    )

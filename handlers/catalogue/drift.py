"""Find what was changed by hand at the till since the gateway wrote it; one call reads many articles.

A link stores what was last written, so an unchanged item needs no read. A re-sync reads pages of the till anyway: if a
page differs from what the gateway would write, the link is marked as unsure, and the item's own event reads the
article and writes what differs. Fields that the settings leave to the staff are no difference. If the page is equal
and nothing changed in the books or the settings, no event is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.store import links, records
from gateway.store.links import Link, LinkKind
from gateway.store.records import RecordKind
from gateway.store.session import reading, writing
from handlers.catalogue import articles, categories, items
from handlers.catalogue.articles import Member
from handlers.deps import Deps
from mapping.errors import MappingError, NotBookable
from mapping.items import find_family
from mapping.records import Item, Product
from mapping.vat_table import VatTable


@dataclass(frozen=True, slots=True)
class View:
    """What a page of items is compared with: groups by category, owners by article number."""

    groups: Mapping[str, Link]
    owners: Mapping[str, Link]
    vat: VatTable

    def awaits_category(self, item: Item, deps: Deps) -> bool:
        """Whether the till has no group of its category yet."""
        return item.parent_id is not None and item.parent_id not in self.groups and deps.settings.categories.enabled

    def group_of(self, item: Item, deps: Deps) -> int | None:
        """The article group of its category, if there is one and groups are written."""
        category = self.groups.get(item.parent_id or "")
        return categories.group_number(category, deps) if category else None


def find_known(page: Sequence[Item], deps: Deps) -> dict[str, Link]:
    """The links of these items, by item; items that were never written are absent."""
    return deps.read(links.find_all, LinkKind.ITEM, [item.id for item in page])


def look(page: Sequence[Item], known: Mapping[str, Link], numbers: Iterable[int], deps: Deps) -> View:
    """`numbers`: articles that are not linked yet, of which the owners are wanted too."""
    ids = sorted({item.parent_id for item in page if item.parent_id})
    asked = [*(link.target_id for link in known.values()), *map(str, numbers)]
    with reading(deps.engine) as session:
        groups = links.find_all(session, deps.connection, LinkKind.GROUP, ids)
        owners = links.find_all(session, deps.connection, LinkKind.ARTICLE, asked)
    return View(groups, owners, deps.vat_table())


def notice(
    page: Sequence[Item], known: Mapping[str, Link], present: Mapping[int | None, Product], deps: Deps
) -> frozenset[str]:
    """Mark as unsure the links of items whose articles differ from what the gateway would write; returns their ids.

    `present`: the products that the till has, by article number.
    """
    vat, trusted = deps.vat_table(), _trusted(page, known)
    altered = {item.id: link for item, link in trusted if _is_altered(item, link, present, vat, deps)}
    if altered:
        with writing(deps.engine) as session:
            links.mark_unsure(session, deps.connection, altered.values())
            records.note_altered(session, deps.connection, RecordKind.PRODUCT, altered)
    return frozenset(altered)


def find_settled(page: Sequence[Item], known: Mapping[str, Link], view: View, deps: Deps) -> frozenset[str]:
    """The ids of items that are unchanged since the last write, in the books and in what is wanted at the till."""
    if not deps.settings.products.enabled:
        return frozenset()
    return frozenset(item.id for item, link in _trusted(page, known) if _is_settled(item, link, view, deps))


def _trusted(page: Sequence[Item], known: Mapping[str, Link]) -> list[tuple[Item, Link]]:
    linked = ((item, known[item.id]) for item in page if item.id in known)
    return [(item, link) for item, link in linked if link.fingerprint not in (None, items.GONE, items.LEFT_OUT)]


def _is_settled(item: Item, link: Link, view: View, deps: Deps) -> bool:
    if (link.detail or {}).get("content") != items.content(item) or view.awaits_category(item, deps):
        return False
    try:
        family = find_family(item, deps.settings.products)
        member = Member(item, int(link.target_id), view.group_of(item, deps), link, family=family)
        plain = articles.to_product(member, view.vat, deps)
    except MappingError:
        return False
    owner = view.owners.get(link.target_id)
    is_owner = owner is not None and owner.target_id == item.id
    return is_owner and articles.is_written(member, articles.print_of(member, plain))


def _is_altered(item: Item, link: Link, products: Mapping[int | None, Product], vat: VatTable, deps: Deps) -> bool:
    present = products.get(int(link.target_id))
    if present is None:
        return True
    try:
        member = Member(item, int(link.target_id), None, link, guest=articles.guest_of(link))
        wanted = articles.to_product(member, vat, deps, present)
    except NotBookable:
        return False
    except MappingError:
        return True  # its own event reports the error
    branch = deps.settings.products.vat_branch
    if articles.differs(wanted, present, vat, branch):
        return True
    group = articles.group_of(link)
    return group is not None and categories.are_groups_written(deps) and group not in present.group_numbers

"""What somebody altered by hand at the till since the gateway wrote it, noticed with one look at many articles.

A link remembers what was last written, so that nothing has to be looked at twice. A re-sync reads pages of the till
anyway: where a page does not show what the gateway would leave there, the link is distrusted, and the item's own event
looks at the article and writes what differs. Fields that the settings leave to the staff are no difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.connectors.mpluskassa.answers import ReadProduct
from gateway.store import links
from gateway.store.links import Kind, Link
from gateway.store.session import reading, writing
from handlers.catalogue import articles, items, kinship
from handlers.deps import Deps
from mapping import products
from mapping.errors import MappingError, NotBookable
from mapping.products import VatTable
from mapping.records import Item, Product


@dataclass(frozen=True, slots=True)
class _View:
    """Both systems as one look saw them: products by article number, families by their parent, tax codes."""

    present: Mapping[int | None, Product]
    families: Mapping[str, Link]
    vat: VatTable


def find_known(page: Sequence[Item], deps: Deps) -> dict[str, Link]:
    """The links of these items, by item; those that were never carried are absent."""
    with reading(deps.engine) as session:
        return links.find_all(session, deps.connection, Kind.ITEM, [item.id for item in page])


def notice(page: Sequence[Item], known: Mapping[str, Link], found: Iterable[ReadProduct], deps: Deps) -> int:
    """Distrust the links of those items whose articles are not as the gateway would leave them; answers how many."""
    trusted = [(item, known[item.id]) for item in page if item.id in known and _is_trusted(known[item.id])]
    if not trusted:
        return 0
    view = _View(
        {article.number: read.product for read in found for article in read.product.articles},
        _find_families(page, deps),
        articles.vat_table(deps),
    )
    altered = [link for item, link in trusted if _is_altered(item, link, view, deps)]
    with writing(deps.engine) as session:
        return links.distrust(session, deps.connection, altered)


def _is_trusted(link: Link) -> bool:
    return link.fingerprint not in (None, items.GONE)


def _find_families(page: Sequence[Item], deps: Deps) -> dict[str, Link]:
    if not deps.settings.products.variants:
        return {}
    parents = {item.parent_id for item in page if item.parent_id}
    with reading(deps.engine) as session:
        return links.find_all(session, deps.connection, Kind.FAMILY, sorted(parents))


def _is_altered(item: Item, link: Link, view: _View, deps: Deps) -> bool:
    present = view.present.get(int(link.target_id))
    if present is None:
        return True
    try:
        wanted = _to_product(item, link, present, view, deps)
    except NotBookable:
        return False
    except MappingError:
        return True  # its own event says what is wrong with it
    return articles.differs(wanted, present) or _has_left_its_group(link, present, deps)


def _to_product(item: Item, link: Link, present: Product, view: _View, deps: Deps) -> Product:
    settings, number, traces = deps.settings.products, int(link.target_id), articles.traces_of(link)
    family = view.families.get(item.parent_id or "")
    if family is None:
        return products.to_product(
            item, settings=settings, vat=view.vat, existing=present, allocated=number, traces=traces
        )
    wanted = products.to_variants(
        [item],
        settings=settings,
        vat=view.vat,
        existing=present,
        name=_parent_name(item),
        allocated={item.id: number},
        traces={item.id: traces},
    )
    # Variants that stand in another product than their family's have not named it.
    return wanted if family.target_id == str(present.number) else dataclasses.replace(wanted, description=None)


def _parent_name(item: Item) -> str:
    """QuickBooks writes an item's full name with the names of all above it, and no name holds a colon."""
    return str(item.raw.get("FullyQualifiedName") or item.name).split(":")[-2:][0]


def _has_left_its_group(link: Link, present: Product, deps: Deps) -> bool:
    group = articles.group_of(link)
    return group is not None and kinship.are_groups_carried(deps) and group not in present.group_numbers

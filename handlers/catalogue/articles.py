"""The product of the till with an item's article: which one, read, compare, write differences, link.

The product of an item's article is that of its family, or one of its own. The till has no operation that moves an
article to another product, and it is undocumented whether an update of the other product moves it. So it is tried. If
the till refuses, the article stays in its product as a guest: it keeps its own name, and gives the product neither a
name nor groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.connectors.mpluskassa.wire_catalogue import to_empty_product
from gateway.errors import DuplicateNumber, Permanent
from gateway.store import links
from gateway.store.leases import Lease
from gateway.store.links import Link, LinkKind
from handlers.catalogue import items, ownership
from handlers.deps import Deps
from mapping import explanations, products
from mapping.explanations import Explanation
from mapping.items import Family, fold, to_own_name
from mapping.messages import message
from mapping.products import Traces, without_name
from mapping.records import Article, Item, Product, TurnoverGroup
from mapping.vat_table import VatTable, with_turnover_groups


@dataclass(frozen=True, slots=True)
class Member:
    """An item, its article, the group of its product, and what is known from earlier writes.

    `family`: what its product is named after, if any. `guest`: why the article is in a product that takes neither the
    item's name nor its group.
    """

    item: Item
    number: int
    group: int | None
    link: Link | None
    family: Family | None = None
    guest: str | None = None

    @property
    def former_traces(self) -> Traces:
        """The stored traces of the texts that the gateway last wanted for this article."""
        return traces_of(self.link, self.number)


def without_group(member: Member, why: str) -> Member:
    """The member without any group, neither a wanted one nor a former one."""
    link = member.link
    former = dataclasses.replace(link, detail={**link.detail, "group": None}) if link else None
    return dataclasses.replace(member, group=None, link=former, guest=why)


def as_before(member: Member) -> Member:
    """The member as it was last written to the till."""
    guest = guest_of(member.link)
    return without_group(member, guest) if guest else member


def guest_of(link: Link | None) -> str | None:
    """Why a linked article is a guest of its product, None when it is none."""
    return link.detail.get("guest") if link else None


def family_of(link: Link | None) -> str | None:
    return link.detail.get("family") if link else None


def group_of(link: Link | None) -> int | None:
    return link.detail.get("group") if link else None


def traces_of(link: Link | None, number: int) -> Traces:
    """The stored traces of the texts of a linked article, which may have had another number."""
    found: Traces = (link and link.detail.get("texts")) or {}
    return found if link is not None and link.target_id == str(number) else without_name(found)


def as_taken_over(member: Member) -> Member:
    """The member whose article was another item's until now: its name comes from that item, not from the staff."""
    link = member.link
    if link is None:
        return member
    texts = without_name(traces_of(link, member.number))
    return dataclasses.replace(member, link=dataclasses.replace(link, detail={**link.detail, "texts": texts}))


def find_link(item_id: str, deps: Deps) -> Link | None:
    return deps.read(links.find, LinkKind.ITEM, item_id)


def to_product(member: Member, vat: VatTable, deps: Deps, present: Product | None = None) -> Product:
    """The product that the till should have for a member; `present`: as it has it. A guest gives it no name."""
    wanted = products.to_product(
        member.item,
        settings=deps.settings.products,
        vat=vat,
        existing=present,
        allocated=member.number,
        traces=member.former_traces,
    )
    return dataclasses.replace(wanted, description=None) if member.guest else wanted


def explain(member: Member, present: Product | None, vat: VatTable, deps: Deps) -> tuple[Explanation, ...]:
    """Every field of the member's article, on both sides. Raises what `to_product` raises."""
    return explanations.explain(
        member.item,
        settings=deps.settings.products,
        vat=vat,
        existing=present,
        number=member.number,
        traces=member.former_traces,
    )


def to_new(product: Product, group: int | None, turnover_groups: Iterable[TurnoverGroup]) -> Product:
    groups = () if group is None else (group,)
    return with_turnover_groups(dataclasses.replace(product, number=None, group_numbers=groups), turnover_groups)


def create(new: Product, deps: Deps) -> int | None:
    """Make the product; None when the till has one of its articles already."""
    try:
        made = deps.till.create_product(new)
    except DuplicateNumber:
        return None
    deps.note("made the product", product=made, articles=[a.number for a in new.articles])
    return made


def update(product: Product, existing: ReadProduct, member: Member, vat: VatTable, deps: Deps) -> bool:
    """Write what differs, add the product to its group, and remove it from one that the gateway had added it to.

    The whole product is written as it was read, so it is read again right before. False, and nothing is written, if
    it was changed at the till meanwhile.
    """
    if differs(product, existing.product, vat, deps.settings.products.vat_branch):
        if deps.till.product(existing.product.number or 0) != existing:
            deps.note("it was changed at the till at this moment; it is read again", product=existing.product.number)
            return False
        try:
            deps.till.update_product(_with_turnover(product, existing.product, deps), existing)
        except DuplicateNumber:
            return False
        deps.note("changed the product", product=existing.product.number)
    else:
        deps.note("the product is like this already; nothing was written", product=existing.product.number)
    number = existing.product.number or 0
    group, former, present = member.group, group_of(member.link), existing.product.group_numbers
    if group is not None and group not in present:
        deps.till.add_products_to_group(group, [number])
        deps.note("put the product into a group", product=number, group=group)
    if former is not None and former != group and former in present:
        deps.till.delete_products_from_group(former, [number])
        deps.note("took the product out of a group", product=number, group=former)
    return True


def _with_turnover(product: Product, present: Product, deps: Deps) -> Product:
    """The product; every new article gets a turnover group, the others keep theirs."""
    known = {article.number for article in present.articles}
    new = tuple(article for article in product.articles if article.number not in known)
    given = with_turnover_groups(dataclasses.replace(product, articles=new), deps.lists.turnover_groups()).articles
    by_number = {article.number: article for article in given}
    return dataclasses.replace(product, articles=tuple(by_number.get(a.number, a) for a in product.articles))


def differs(wanted: Product, present: Product, vat: VatTable, branch: int | None) -> bool:
    """Whether any field that we set differs from the till; fields that we leave open (None) do not count.

    A price that the till computes from ours counts, at the rates of `vat` (of `branch`, where they differ).
    """
    if _says_otherwise(dataclasses.replace(wanted, articles=()), dataclasses.replace(present, articles=())):
        return True
    now = {article.number: article for article in present.articles}
    return any(
        a.number not in now
        or _says_otherwise(a, now[a.number])
        or products.has_stale_price(a, now[a.number], vat, branch)
        for a in wanted.articles
    )


def _says_otherwise(wanted: Product | Article, present: Product | Article) -> bool:
    for each in dataclasses.fields(wanted):
        value, there = getattr(wanted, each.name), getattr(present, each.name)
        if isinstance(value, dict) and isinstance(there, dict):
            is_so = all(str(there.get(name, "")) == str(said) for name, said in value.items())
        else:
            is_so = value == there or (value == "" and there is None)
        if value not in (None, ()) and not is_so:
            return True
    return False


def finish(member: Member, wanted: str, vat: VatTable, deps: Deps) -> Link:
    """Finish the write of a member: release a former number; returns the link to save."""
    link, item = member.link, member.item
    if link and link.target_id != str(member.number):
        ownership.release(item.id, int(link.target_id), deps, family=family_of(link))
    if not item.active or ownership.has_new_sku(link, item):
        ownership.free(member.number, deps)
    return to_link(member, wanted, vat, deps)


def to_link(member: Member, wanted: str, vat: VatTable, deps: Deps) -> Link:
    """The link of the item's article. The owner of the article is stored under the lease (`ownership.keep`)."""
    item = member.item
    traces = products.trace(products.to_article(item, member.number, deps.settings.products, vat))
    family = member.family.key if member.family else None
    own = {"group": member.group, "texts": traces, "family": family, "guest": member.guest}
    detail = {"content": items.content(item), "sku": fold(item), **own}
    return Link(LinkKind.ITEM, item.id, "Article", str(member.number), item.sync_token, wanted, detail)


REFUSED, BESIDE = "refused", "beside"
"""Why an article is a guest in its product: the till refused to move it, or it must not be moved."""


@dataclass(frozen=True, slots=True)
class ProductSlot:
    """The product as it was read, None to create one. A `guest` article does not give it its name.

    `reason` is for people.
    """

    read: ReadProduct | None
    guest: str | None = None
    reason: str | None = None


def find_family_product(key: str, deps: Deps) -> int | None:
    link = deps.read(links.find, LinkKind.FAMILY, key)
    return int(link.target_id) if link and link.target_id else None


def find_place(member: Member, existing: ReadProduct | None, lease: Lease, deps: Deps, *, again: bool) -> ProductSlot:
    """The product for the article. An article in another product is moved, unless the till refused that before.

    `again`: try to move it again.
    """
    home = _find_home(member, existing, deps)
    if existing is None or (home and home.product.number == existing.product.number):
        return ProductSlot(home)
    # Only families that the gateway created are split: the staff's own products stay as they are.
    is_ours = deps.settings.products.variants and _find_families(existing.product, deps)
    if len(existing.product.articles) > 1 and not is_ours:
        return ProductSlot(existing, guest=BESIDE)
    lease.require()
    if again or guest_of(member.link) != REFUSED:
        moved = _move(member, existing, home, deps)
        if moved:
            return ProductSlot(moved)
    said = 'article {number} stays in the product "{description}": the till does not move it'
    reason = message(said, number=member.number, description=existing.product.description)
    return ProductSlot(existing, guest=REFUSED, reason=reason)


def _find_home(member: Member, existing: ReadProduct | None, deps: Deps) -> ReadProduct | None:
    """The family's product, or the article's own, as the till has it; None when there is none yet."""
    family = member.family
    known = find_family_product(family.key, deps) if family else None
    if existing and known is not None and known == existing.product.number:
        return existing
    read = deps.till.product(known) if known is not None else None
    return read or (existing if existing and _is_free(existing.product, member, deps) else None)


def _is_free(product: Product, member: Member, deps: Deps) -> bool:
    """Whether the article's product may become the family's, or already is."""
    if not ownership.is_shared(product, member.item.id, deps):
        return True
    name = member.family.name if member.family else None
    same = name is not None and (product.description or "").casefold() == name.casefold()
    return same and not _find_families(product, deps)


def _find_families(product: Product, deps: Deps) -> list[str]:
    found = deps.read(links.find_by_target, LinkKind.FAMILY, str(product.number))
    # Links of earlier versions use the id of an item: the state of those products is not known.
    return [link.source_id for link in found if "/" in link.source_id]


def _move(member: Member, existing: ReadProduct, home: ReadProduct | None, deps: Deps) -> ReadProduct | None:
    """The article with all its fields, in its new product as read afterwards; None if the till refused."""
    try:
        target = home or _make_empty(member, deps)
        deps.till.move_article(member.number, existing, target)
        read = deps.till.product_of_article(member.number)
    except Permanent as refusal:
        deps.note("the till does not move the article", article=member.number, reason=refusal.reason)
        return None
    if read is None or read.product.number != target.product.number:
        deps.note("the till says that it moved the article, and shows it where it was", article=member.number)
        return None
    deps.note("moved the article to another product", article=member.number, product=read.product.number)
    return read


def _make_empty(member: Member, deps: Deps) -> ReadProduct:
    """A product without articles. The till may not show it until it has one, so the family's link is stored at once."""
    family = member.family
    known = find_family_product(family.key, deps) if family else None
    name = family.name if family else to_own_name(member.item)
    groups = () if member.group is None else (member.group,)
    if known is None:
        known = deps.till.create_product(Product(None, name, (), groups))  # not every installation may take one
        keep_family(member, known, deps)
    return to_empty_product(known, name, groups)


def keep_family(member: Member, product: int, deps: Deps) -> None:
    family = member.family
    if family is None or find_family_product(family.key, deps) == product:
        return
    former = deps.read(links.find_by_target, LinkKind.FAMILY, str(product))
    for link in former:
        deps.delete_link(LinkKind.FAMILY, link.source_id)
    deps.save_links(Link(LinkKind.FAMILY, family.key, "Product", str(product)))

"""The product of an item's article: the product of its family, or one of its own.

The till has no operation that moves an article to another product, and it is undocumented whether an update of the
other product moves it. So it is tried. If the till refuses, the article stays in its product as a guest: it keeps its
own name, and gives the product neither a name nor groups.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.connectors.mpluskassa.catalogue import to_empty_product
from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.errors import Permanent
from gateway.store import links
from gateway.store.leases import Lease
from gateway.store.links import Link, LinkKind
from handlers.catalogue import articles, ownership
from handlers.catalogue.articles import Member
from handlers.deps import Deps
from mapping.messages import message
from mapping.records import Product
from mapping.skus import to_own_name

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


def find_product(key: str, deps: Deps) -> int | None:
    link = deps.read(links.find, LinkKind.FAMILY, key)
    return int(link.target_id) if link and link.target_id else None


def find_place(member: Member, existing: ReadProduct | None, lease: Lease, deps: Deps, *, again: bool) -> ProductSlot:
    """The product for the article. An article in another product is moved, unless the till refused that before.

    `again`: try to move it again.
    """
    home = _find_home(member, existing, deps)
    if existing is None or (home and home.product.number == existing.product.number):
        return ProductSlot(home)
    if not _may_leave(existing.product, deps):
        return ProductSlot(existing, guest=BESIDE)
    lease.require()
    if again or articles.guest_of(member.link) != REFUSED:
        moved = _move(member, existing, home, deps)
        if moved:
            return ProductSlot(moved)
    reason = message(
        'article {number} stays in the product "{description}": the till does not move it',
        number=member.number,
        description=existing.product.description,
    )
    return ProductSlot(existing, guest=REFUSED, reason=reason)


def _find_home(member: Member, existing: ReadProduct | None, deps: Deps) -> ReadProduct | None:
    """The family's product, or the article's own, as the till has it; None when there is none yet."""
    family = member.family
    known = find_product(family.key, deps) if family else None
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


def _may_leave(product: Product, deps: Deps) -> bool:
    """Only families that the gateway created are split: the staff's own products stay as they are."""
    known = deps.settings.products.variants and _find_families(product, deps)
    return len(product.articles) == 1 or bool(known)


def _find_families(product: Product, deps: Deps) -> list[str]:
    found = deps.read(links.find_by_target, LinkKind.FAMILY, str(product.number))
    # Links of earlier versions use the id of an item: the state of those products is not known.
    return [link.source_id for link in found if "/" in link.source_id]


def _move(member: Member, existing: ReadProduct, home: ReadProduct | None, deps: Deps) -> ReadProduct | None:
    """The article with all its fields, in its new product as read afterwards; None if the till refused."""
    try:
        target = home or _found(member, deps)
        deps.till.move_article(member.number, existing, target)
        read = deps.till.product_of_article(member.number)
    except Permanent as refusal:
        deps.say("the till does not move the article", article=member.number, reason=refusal.reason)
        return None
    if read is None or read.product.number != target.product.number:
        deps.say("the till says that it moved the article, and shows it where it was", article=member.number)
        return None
    deps.say("moved the article to another product", article=member.number, product=read.product.number)
    return read


def _found(member: Member, deps: Deps) -> ReadProduct:
    """A product without articles. The till may not show it until it has one, so the family's link is stored at once."""
    family = member.family
    known = find_product(family.key, deps) if family else None
    name = family.name if family else to_own_name(member.item)
    groups = () if member.group is None else (member.group,)
    if known is not None:
        return to_empty_product(known, name, groups)
    made = deps.till.create_empty_product(name, groups)
    settle(member, made.product.number or 0, deps)
    return made


def settle(member: Member, product: int, deps: Deps) -> None:
    """Store the product as this family's only."""
    family = member.family
    if family is None or find_product(family.key, deps) == product:
        return
    former = deps.read(links.find_by_target, LinkKind.FAMILY, str(product))
    for link in former:
        deps.forget(LinkKind.FAMILY, link.source_id)
    deps.remember(Link(LinkKind.FAMILY, family.key, "Product", str(product)))

"""One product of the till for one or several items of the books: read, compare, write differences, link."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.errors import DuplicateNumber
from gateway.store import links
from gateway.store.links import Link, LinkKind
from handlers.catalogue import items, ownership
from handlers.deps import Deps
from mapping import fingerprints, products
from mapping.fingerprints import fingerprint
from mapping.list_entries import require_home
from mapping.records import Article, Item, Product
from mapping.texts import Traces, without_name
from mapping.variants import Family
from mapping.vat_table import VatTable, with_turnover_groups

_NO_RATES = VatTable()


@dataclass(frozen=True, slots=True)
class Member:
    """An item, its article, the group of its product, and what is known from earlier writes.

    `traces`: hashes of the item's present texts. `family`: what its product is named after, if any.
    `guest`: why the article is in a product that takes neither the item's name nor its group.
    """

    item: Item
    number: int
    group: int | None
    link: Link | None
    traces: Traces = field(default_factory=dict)
    family: Family | None = None
    guest: str | None = None

    @property
    def former_group(self) -> int | None:
        """The group the gateway put the product into."""
        return group_of(self.link)

    @property
    def former_traces(self) -> Traces:
        """The stored traces of the texts that the gateway last wanted for this article."""
        return traces_of(self.link, self.number)


def as_guest(member: Member, why: str) -> Member:
    """The member without any group, neither a wanted one nor a former one."""
    link = member.link
    former = dataclasses.replace(link, detail={**_detail(link), "group": None}) if link else None
    return dataclasses.replace(member, group=None, link=former, guest=why)


def as_before(member: Member) -> Member:
    """The member as it was last written to the till."""
    guest = guest_of(member.link)
    return as_guest(member, guest) if guest else member


def guest_of(link: Link | None) -> str | None:
    """Why a linked article is a guest of its product, None when it is none."""
    found: str | None = _detail(link).get("guest")
    return found


def family_of(link: Link | None) -> str | None:
    found: str | None = _detail(link).get("family")
    return found


def group_of(link: Link | None) -> int | None:
    """The group the gateway put a linked article's product into."""
    found: int | None = _detail(link).get("group")
    return found


def traces_of(link: Link | None, number: int) -> Traces:
    """The stored traces of the texts of a linked article, which may have had another number."""
    found: Traces = _detail(link).get("texts") or {}
    return found if link is not None and link.target_id == str(number) else without_name(found)


def as_taken_over(member: Member) -> Member:
    """The member whose article was another item's until now: its name comes from that item, not from the staff."""
    link = member.link
    if link is None:
        return member
    texts = without_name(traces_of(link, member.number))
    return dataclasses.replace(member, link=dataclasses.replace(link, detail={**_detail(link), "texts": texts}))


def _detail(link: Link | None) -> Mapping[str, Any]:
    return (link.detail if link else None) or {}


def is_same_content(item: Item, link: Link) -> bool:
    """Whether the item in the books is unchanged since it was last written."""
    return bool(_detail(link).get("content") == items.content(item))


def find_link(item_id: str, deps: Deps) -> Link | None:
    return deps.read(links.find, LinkKind.ITEM, item_id)


def vat_table(deps: Deps) -> VatTable:
    """Today's tax codes and VAT codes. Raises `MappingError` if prices are in another currency."""
    require_home(deps.lists.company(), deps.settings.products.currency)
    codes = {code.id: code for code in deps.lists.tax_codes(deps.now().date())}
    return VatTable(groups=tuple(deps.lists.vat_groups()), tax_codes=codes)


def print_of(member: Member, plain: Product) -> str:
    """Fingerprint of what the gateway would write for a member; if it is unchanged, the till is not read."""
    family = (member.family.key,) if member.family else ()
    return fingerprint((fingerprints.fingerprint(plain), member.group, *family))


def is_settled(member: Member, wanted: str, owner: str | None) -> bool:
    """Whether exactly this was written before under this number, and this item still owns the article."""
    link = member.link
    known = link is not None and link.target_id == str(member.number) and link.fingerprint == wanted
    return known and owner == member.item.id


def to_new(product: Product, members: Sequence[Member], deps: Deps) -> Product:
    """The product to create, with its groups and turnover groups."""
    groups = tuple(dict.fromkeys(m.group for m in members if m.group is not None))
    return with_turnover_groups(
        dataclasses.replace(product, number=None, group_numbers=groups), deps.lists.turnover_groups()
    )


def create(new: Product, deps: Deps) -> int | None:
    """Make the product; None when the till has one of its articles already."""
    try:
        made = deps.till.create_product(new)
    except DuplicateNumber:
        return None
    deps.say("made the product", product=made, articles=[a.number for a in new.articles])
    return made


def update(product: Product, existing: ReadProduct, members: Sequence[Member], deps: Deps) -> bool:
    """Write what differs, add the product to its groups, and remove it from groups that the gateway had added it to.

    The whole product is written as it was read, so it is read again right before. False, and nothing is written, if
    it was changed at the till meanwhile.
    """
    if differs(product, existing.product, vat_table(deps), deps.settings.products.vat_branch):
        if not _is_as_read(existing, deps):
            return False
        try:
            deps.till.update_product(_with_turnover(product, existing.product, deps), existing)
        except DuplicateNumber:
            return False
        deps.say("changed the product", product=existing.product.number)
    else:
        deps.say("the product is like this already; nothing was written", product=existing.product.number)
    number = existing.product.number or 0
    wanted = {m.group for m in members if m.group is not None}
    for group in sorted(wanted - set(existing.product.group_numbers)):
        deps.till.add_products_to_group(group, [number])
        deps.say("put the product into a group", product=number, group=group)
    former = {m.former_group for m in members if m.former_group is not None}
    for group in sorted((former - wanted) & set(existing.product.group_numbers)):
        deps.till.delete_products_from_group(group, [number])
        deps.say("took the product out of a group", product=number, group=group)
    return True


def _is_as_read(existing: ReadProduct, deps: Deps) -> bool:
    now = deps.till.product(existing.product.number or 0)
    if now == existing:
        return True
    deps.say("it was changed at the till at this moment; it is read again", product=existing.product.number)
    return False


def _with_turnover(product: Product, present: Product, deps: Deps) -> Product:
    """The product; every new article gets a turnover group, the others keep theirs."""
    known = {article.number for article in present.articles}
    new = tuple(article for article in product.articles if article.number not in known)
    given = with_turnover_groups(dataclasses.replace(product, articles=new), deps.lists.turnover_groups()).articles
    by_number = {article.number: article for article in given}
    return dataclasses.replace(product, articles=tuple(by_number.get(a.number, a) for a in product.articles))


def differs(wanted: Product, present: Product, vat: VatTable = _NO_RATES, branch: int | None = None) -> bool:
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
    said = {f.name: getattr(wanted, f.name) for f in dataclasses.fields(wanted)}
    return any(value not in (None, ()) and not _is_so(value, getattr(present, name)) for name, value in said.items())


def _is_so(wanted: object, present: object) -> bool:
    if isinstance(wanted, dict) and isinstance(present, dict):
        return all(str(present.get(name, "")) == str(value) for name, value in wanted.items())
    return wanted == present or (wanted == "" and present is None)


def finish(member: Member, wanted: str, deps: Deps) -> tuple[Link, ...]:
    """Finish the write of a member: release a former number; returns the links to save."""
    link, item = member.link, member.item
    if link and link.target_id != str(member.number):
        ownership.release(item.id, int(link.target_id), deps, family=family_of(link))
    if not item.active:
        ownership.free(member.number, deps)
    return to_links(member, wanted)


def to_links(member: Member, wanted: str) -> tuple[Link, ...]:
    """The link of the item's article. The owner of the article is stored under the lease (`ownership.keep`)."""
    item = member.item
    family = member.family.key if member.family else None
    own = {"group": member.group, "texts": dict(member.traces), "family": family, "guest": member.guest}
    detail = {"content": items.content(item), **own}
    return (Link(LinkKind.ITEM, item.id, "Article", str(member.number), item.sync_token, wanted, detail),)

"""The SKU bridge: the article number of an item, allocated permanently if its SKU is not a number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from sqlmodel import Session

from gateway.store import links
from gateway.store.session import reading, writing
from handlers.deps import Deps
from mapping.errors import MappingError
from mapping.items import fold, name_item, needs_allocation, to_article_number
from mapping.records import Item
from mapping.sections import ProductSettings

_AT_ONCE = 200


def number_of(item: Item, deps: Deps) -> int:
    """The item's article number; a new one from the reserved range if its SKU has letters.

    Raises `MappingError` for a SKU the settings refuse, and if no number is left in the range.
    """
    settings = deps.settings.products
    if not needs_allocation(item, settings):
        return to_article_number(item, settings)
    known = _find(item, deps)
    if known is None and not deps.read(links.has_numbers):
        # This database may be older than the till's articles (a restored backup) or empty: they name their item.
        _recall(deps)
        known = _find(item, deps)
    while known is None:
        number = _number_by_sku(item, deps) or _next_number(item, deps)
        if deps.write(links.claim_number, item.id, number):
            deps.say("the SKU has a number of its own", sku=item.sku, number=number)
        known = _find(item, deps)
    return to_article_number(item, settings, allocated=known)


def find_number(item: Item, deps: Deps) -> int | None:
    """The item's article number, or None when it has none or cannot have one."""
    return deps.read(find_numbers, [item], deps.settings.products).get(item.id)


def find_numbers(session: Session, connection: str, items: Sequence[Item], settings: ProductSettings) -> dict[str, int]:
    """The article numbers of these items; those that have none or cannot have one are absent."""
    given: Mapping[str, int] = {}
    if some := [item.id for item in items if needs_allocation(item, settings)]:
        given = links.find_numbers(session, connection, some)
    found: dict[str, int] = {}
    for item in items:
        with suppress(MappingError):
            found[item.id] = to_article_number(item, settings, allocated=given.get(item.id))
    return found


def give_all(items: Sequence[Item], deps: Deps) -> dict[str, int]:
    """New numbers for items of a load whose SKUs have letters, with three or four calls for all of them.

    Left out, for their events to look closer: items that have a number, or whose SKU another item or the till has.
    """
    wanted = [item for item in items if needs_allocation(item, deps.settings.products)]
    if not wanted:
        return {}
    alike = find_alike(wanted, deps)
    wanted = [item for item in wanted if all(other.id == item.id for other in alike[fold(item)])]
    if not deps.read(links.has_numbers):
        _recall(deps)
    given = deps.read(links.find_numbers, [item.id for item in wanted])
    at_till = deps.till.products_by_plu([(item.sku or "").strip() for item in wanted])
    taken = {article.plu for read in at_till for article in read.product.articles}
    new = [item for item in wanted if item.id not in given and (item.sku or "").strip() not in taken]
    reserved = _reserved(deps)
    start = deps.read(links.next_number, reserved[0], reserved[-1])
    # As far as the first block has them that has a number which the till does not use.
    for block in _blocks(range(start, reserved.stop) if new else range(0)):
        owners = _owners(block, deps)
        ours, free = set(owners.values()), [number for number in block if number not in owners]
        pairs = [*zip((item for item in new if item.id not in ours), free, strict=False)]
        if pairs:
            with writing(deps.engine) as session:
                return {item.id: n for item, n in pairs if links.claim_number(session, deps.connection, item.id, n)}
    return {}


def find_alike(items: Iterable[Item], deps: Deps) -> Mapping[str, Sequence[Item]]:
    """The active items of the books by SKU, as `items.fold` has it, for the SKUs of these items."""
    skus = {(item.sku or "").strip() for item in items}
    # Whether the books tell capitals from small letters when they search is not documented.
    spelt = {spelling for sku in skus for spelling in (sku, sku.upper(), sku.lower())}
    found: dict[str, list[Item]] = defaultdict(list)
    for item in deps.books.items_by_skus(sorted(spelt)):
        if item.active:
            found[fold(item)].append(item)
    return found


def _find(item: Item, deps: Deps) -> int | None:
    return deps.read(links.find_numbers, [item.id]).get(item.id)


def _number_by_sku(item: Item, deps: Deps) -> int | None:
    """The number of an article in the reserved range with this SKU that is not marked as another item's."""
    reserved = _reserved(deps)
    sku = (item.sku or "").strip()
    found = (each for read in deps.till.products_by_plu([sku]) for each in read.product.articles)
    mine = (a.number for a in found if a.plu == sku and a.number in reserved and a.ext_id in (None, "", item.id))
    with reading(deps.engine) as session:
        return next((n for n in mine if n and links.owner_of_number(session, deps.connection, n) is None), None)


def _next_number(item: Item, deps: Deps) -> int:
    """The next number that neither we nor the till has used, read in blocks; the item's own number comes first."""
    reserved = _reserved(deps)
    start = deps.read(links.next_number, reserved[0], reserved[-1])
    for block in _blocks(range(start, reserved.stop)):
        taken = _owners(block, deps)
        mine = next((number for number, owner in taken.items() if owner == item.id), None)
        free = next((number for number in block if number not in taken), None)
        if (number := mine or free) is not None:
            return number
    raise MappingError(
        "the reserved range of article numbers is used up",
        code="numbers-used-up",
        record=name_item(item),
        field="products.allocate_to",
        fix="widen products.allocate_from and products.allocate_to in the settings, then retry",
    )


def _recall(deps: Deps) -> None:
    """Read from the till which item owns each article of the reserved range, up to the first empty block."""
    for block in _blocks(_reserved(deps)):
        owners = _owners(block, deps)
        for number, owner in owners.items():
            if owner.isdecimal():
                deps.write(links.claim_number, owner, number)
        if not owners:
            return


def _owners(block: range, deps: Deps) -> dict[int, str]:
    """The till's articles with these numbers, in order, and the item that each one names as its owner."""
    found = (article for read in deps.till.products_of_articles(block) for article in read.product.articles)
    taken = {article.number: article.ext_id or "" for article in found if article.number in block}
    return {number: taken[number] for number in block if number in taken}


def _reserved(deps: Deps) -> range:
    return range(deps.settings.products.allocate_from, deps.settings.products.allocate_to + 1)


def _blocks(numbers_: range) -> Iterator[range]:
    return (numbers_[start : start + _AT_ONCE] for start in range(0, len(numbers_), _AT_ONCE))

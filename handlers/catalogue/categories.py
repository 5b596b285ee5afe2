"""A category of the books becomes an article group of the till: created, renamed, moved, and deleted if it is ours.

An item whose category is not at the till yet waits for it. The steps of a category; a real run takes the step, a
preview describes it:

| step | when | what is done |
| --- | --- | --- |
| OFF | categories are switched off | nothing |
| LOAD | it was not read yet | it is read, with what is stored of it; decided again |
| NEVER_HAD | deleted or inactive in the books, and it has no group | nothing |
| REMOVE | deleted or inactive in the books | its group is deleted, unless the staff uses it |
| AWAIT | the till has no group of its parent yet | its parent is brought along, it waits |
| NOTHING | exactly this was written before | nothing |
| WRITE | otherwise | its group is made, or what differs is written |
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import Final, NoReturn

from gateway.errors import NotFound, Permanent, Transient
from gateway.store import links
from gateway.store.events import Change, Event, Flow
from gateway.store.links import Link, LinkKind
from handlers.catalogue import items
from handlers.catalogue.items import ItemReading
from handlers.deps import Deps
from handlers.result import Result, done, skipped
from mapping.errors import MappingError
from mapping.items import CATEGORY, group_fingerprint, name_item, to_group
from mapping.records import ArticleGroup, Item
from mapping.settings_document import SettingsDocument

WAITS_FOR_CATEGORY = "category-first"


def cause_of_category(category_id: str) -> str:
    return f"category {category_id}"


def group_of(item: Item, group: Link | None, event: Event, deps: Deps) -> int | None:
    """The article group of the item's category, whose link is `group`; None without one or if groups are not written.

    Raises `Transient` for a category that the till does not have yet, and requests it.
    """
    if item.parent_id is None or not deps.settings.categories.enabled:
        return None
    if group:
        return group_number(group, deps)
    try:
        parent = items.read_now(item.parent_id, deps)
    except NotFound:
        return None
    if parent.item.type != CATEGORY:
        return None
    return _handle_parent_first(parent, event, deps)


def _handle_parent_first(parent: ItemReading, event: Event, deps: Deps) -> NoReturn:
    """Have this category brought to the till, and wait for it."""
    deps.enqueue(to_parent_change(parent, event))
    raise wait_for(parent.item)


def require_group(item: Item, event: Event, deps: Deps) -> None:
    """Raise `Transient`, and have it made again, if the group of the category was deleted at the till by hand."""
    link = find_link(item.parent_id, deps) if item.parent_id else None
    number = group_number(link, deps) if link else None
    if link is None or number is None:
        return
    if any(group.number == number for group in flatten(deps.till.article_groups(exist=True))):
        return
    deps.write(links.mark_unsure, [link])
    parent = items.read_now(link.source_id, deps)
    brought = to_parent_change(parent, event)
    deps.enqueue(brought._replace(key=f"{brought.key}:{number}", maybe_written=True))
    raise wait_for(parent.item)


def group_number(link: Link, deps: Deps) -> int | None:
    """The article group of a category's link, unless it is gone or groups are not written."""
    return int(link.target_id) if are_groups_written(deps) and link.target_id else None


def are_groups_written(deps: Deps) -> bool:
    return deps.settings.categories.enabled and deps.settings.products.content


def to_parent_change(parent: ItemReading, event: Event) -> Change:
    """A category that this event needs, as a separate event."""
    return items.follow(Flow.CATEGORIES, event, parent, key=f"{event.key}>{cause_of_category(parent.item.id)}")


def wait_for(category: Item) -> Transient:
    """Raised while a category is not at the till yet; the category's event releases it."""
    return Transient(
        "its category is brought to the till first",
        code=WAITS_FOR_CATEGORY,
        record=name_item(category),
        cause=cause_of_category(category.id),
    )


GONE = "deleted"
NEVER_HAD = "the category was deleted and the till never had it"
CategoryStep = Enum("CategoryStep", "OFF LOAD NEVER_HAD REMOVE AWAIT NOTHING WRITE")
"""What to do with a category: see the table at the head of this module."""


@dataclass(frozen=True, slots=True)
class CategoryContext:
    """What is known of a category; `repeated`: no stored state is trusted.

    `read`: the category as it is in the books, or it is `gone`. Stored are its `link`, and in `groups` the group of its
    parent, by the parent's id.
    """

    event: Event
    settings: SettingsDocument
    repeated: bool
    read: Item | None = None
    gone: bool = False
    link: Link | None = None
    groups: Mapping[str, int] = field(default_factory=dict)

    @property
    def item(self) -> Item:
        if self.read is None:
            raise LookupError(self.event.entity_id)
        return self.read

    @property
    def linked(self) -> Link:
        if self.link is None:
            raise LookupError(self.event.entity_id)
        return self.link

    @property
    def wanted(self) -> ArticleGroup:
        """The group that the till should have. Raises `MappingError` for what a person must correct."""
        return to_group(self.item, settings=self.settings.categories, groups=self.groups)


def decide(known: CategoryContext) -> CategoryStep:
    """The next step of this category. Raises `MappingError` for what a person must correct."""
    if not known.settings.categories.enabled:
        return CategoryStep.OFF
    if known.read is None and not known.gone:
        return CategoryStep.LOAD
    if known.gone or not known.item.active:
        return CategoryStep.REMOVE if known.link and known.link.target_id else CategoryStep.NEVER_HAD
    parent_id, link = known.item.parent_id, known.link
    if parent_id is not None and parent_id not in known.groups:
        return CategoryStep.AWAIT
    is_written = link and link.target_id and link.fingerprint == group_fingerprint(known.wanted)
    return CategoryStep.NOTHING if is_written and not known.repeated else CategoryStep.WRITE


def handle(event: Event, deps: Deps) -> Result:
    """Make the till's group what the category says. The steps: see the table at the head of this module."""
    known: Result | CategoryContext = CategoryContext(event, deps.settings, items.is_repeated(event))
    while isinstance(known, CategoryContext):
        known = ACTS[decide(known)](known, deps)
    return known


def _load(known: CategoryContext, deps: Deps) -> CategoryContext:
    try:
        item = items.read(known.event, deps).item
    except NotFound:
        return dataclasses.replace(known, gone=True, link=find_link(known.event.entity_id, deps))
    deps.set_facts(record=name_item(item))
    return load(dataclasses.replace(known, read=item), deps)


def load(known: CategoryContext, deps: Deps) -> CategoryContext:
    """With what is stored of a category that was read."""
    item = known.item
    found = deps.read(links.find_all, LinkKind.GROUP, [id_ for id_ in (item.id, item.parent_id) if id_])
    groups = {id_: int(link.target_id) for id_, link in found.items() if link.target_id and id_ == item.parent_id}
    return dataclasses.replace(known, link=found.get(item.id), groups=groups)


def _write(known: CategoryContext, deps: Deps) -> Result:
    item = known.item
    try:
        number = _put(known, deps)
    except Permanent:
        require_group(item, known.event, deps)
        raise
    written = _to_link(known, str(number), find_link(item.id, deps))
    deps.save_links(written)
    deps.release_waiting(WAITS_FOR_CATEGORY, cause_of_category(item.id))
    return done(links=(written,), target_entity="ArticleGroup", target_id=str(number))


def notice_altered(tree: Sequence[Item], deps: Deps) -> int:
    """Mark as unsure the links of categories whose groups were renamed, moved or deleted by hand; returns how many."""
    found = deps.read(links.find_all, LinkKind.GROUP, [item.id for item in tree])
    known = {id_: link for id_, link in found.items() if link.target_id and link.fingerprint not in (None, GONE)}
    if not known or not deps.settings.categories.enabled:
        return 0
    present = {group.number: group for group in flatten(deps.till.article_groups(exist=True))}
    numbers = {id_: int(link.target_id) for id_, link in known.items()}
    altered = [known[item.id] for item in tree if item.id in known and _is_altered(item, numbers, present, deps)]
    return deps.write(links.mark_unsure, altered)


def _is_altered(item: Item, numbers: Mapping[str, int], present: Mapping[int | None, ArticleGroup], deps: Deps) -> bool:
    group = present.get(numbers[item.id])
    if group is None:
        return True
    try:
        wanted = to_group(item, settings=deps.settings.categories, groups=numbers, existing=group)
    except MappingError:
        return False  # its parent is missing, or it is no category any more: its own event handles that
    return (wanted.name, wanted.parent or 0) != (group.name, group.parent or 0)


def _put(known: CategoryContext, deps: Deps) -> int:
    """Create or change the group; returns its number. A group of the same name and parent is taken over.

    Raises `Transient` where its new parent is still below it: the parent's own change comes first.
    """
    item, wanted = known.item, known.wanted
    existing = find_group(known.link, wanted, deps)
    if existing is None:
        number = deps.till.create_article_group(wanted)
        # Stored at once: otherwise a second attempt would create a second group.
        deps.save_links(
            Link(LinkKind.GROUP, item.id, "ArticleGroup", str(number), item.sync_token, detail={"made": True})
        )
        deps.note("made the article group", number=number, name=wanted.name)
        return number
    kept = wanted if deps.settings.categories.rename else dataclasses.replace(wanted, name=existing.name)
    if (kept.name, kept.parent or 0) != (existing.name, existing.parent or 0):
        if item.parent_id and any(group.number == kept.parent for group in flatten(existing.subgroups)):
            _bring_up(existing, kept.parent, known.event, deps)
            raise wait_for(deps.books.item(item.parent_id))
        changed = ArticleGroup(existing.number, kept.name, kept.name, kept.parent or 0, existing.sort_order)
        deps.till.update_article_group(changed)
        deps.note("changed the article group", number=existing.number, name=kept.name, parent=kept.parent)
    return existing.number or 0


def _bring_up(top: ArticleGroup, number: int | None, event: Event, deps: Deps) -> None:
    """Have the categories between a group and one below it written again, also those that the books did not change.

    Somebody may have moved one of them at the till.
    """
    between = [each for each in flatten(top.subgroups) if any(part.number == number for part in flatten([each]))]
    found = deps.read(links.find_by_targets, [LinkKind.GROUP], [str(each.number) for each in between])
    for link in chain.from_iterable(found.values()):
        key, brought = f"{event.key}>{cause_of_category(link.source_id)}", items.follow_gone(Flow.CATEGORIES, event)
        deps.enqueue(brought._replace(key=key, entity_id=link.source_id, maybe_written=True))


def find_group(link: Link | None, wanted: ArticleGroup | None, deps: Deps) -> ArticleGroup | None:
    """The category's group as the till has it, anywhere in the tree: the linked one, else one like `wanted`.

    Like it is one with its name and parent that is not another category's: created by us earlier, or by the staff.
    """
    # With a group of ours at the till an answer without any is at fault: this category would get a second group.
    exist = bool((link and link.target_id) or (wanted and wanted.parent))
    groups = list(flatten(deps.till.article_groups(exist=exist)))
    known = next((g for g in groups if link and str(g.number) == link.target_id), None)
    if known or wanted is None:
        return known
    name = wanted.name.strip().casefold()
    same = [g for g in groups if g.name.strip().casefold() == name and (g.parent or 0) == (wanted.parent or 0)]
    taken = deps.read(links.find_by_targets, [LinkKind.GROUP], [str(g.number) for g in same])
    return next((g for g in same if str(g.number) not in taken), None)


def _remove(known: CategoryContext, deps: Deps) -> Result:
    """Deleted in the books: delete our group, unless it contains something of the staff."""
    link = known.linked
    kept, empty = why_kept(link, deps), dataclasses.replace(link, target_id="", fingerprint=GONE)
    if kept:
        return done(kept, links=(empty,))
    deps.till.delete_article_group(int(link.target_id))
    return done("deleted in QuickBooks: the article group is gone", links=(empty,), target_id=link.target_id)


def why_kept(link: Link, deps: Deps) -> str | None:
    """Why the group of a category that was deleted in the books is not deleted at the till; None if it is."""
    groups = {group.number: group for group in flatten(deps.till.article_groups(exist=True))}
    group = groups.get(int(link.target_id))
    if group is None:
        return "deleted in QuickBooks; the till has no such group any more"
    stays = "deleted in QuickBooks; the group stays, because the till's staff uses it"
    if not link.detail.get("made") or group.subgroups:
        return stays
    read = (deps.till.product(number) for number in group.product_numbers)
    articles = [str(article.number) for found in read if found for article in found.product.articles]
    known = deps.read(links.find_all, LinkKind.ARTICLE, articles)
    return None if set(articles) <= known.keys() else stays


def flatten(groups: Iterable[ArticleGroup]) -> Iterator[ArticleGroup]:
    for group in groups:
        yield group
        yield from flatten(group.subgroups)


def find_link(category_id: str, deps: Deps) -> Link | None:
    return deps.read(links.find, LinkKind.GROUP, category_id)


def _to_link(known: CategoryContext, number: str, before: Link | None) -> Link:
    item, print_ = known.item, group_fingerprint(known.wanted)
    made = {"made": True} if before and before.detail.get("made") else {}
    detail = {**made, "content": items.content(item)}
    return Link(LinkKind.GROUP, item.id, "ArticleGroup", number, item.sync_token, print_, detail)


ACTS: Final[Mapping[CategoryStep, Callable[[CategoryContext, Deps], Result | CategoryContext]]] = {
    CategoryStep.OFF: lambda *_: skipped("categories are switched off in the settings"),
    CategoryStep.LOAD: _load,
    CategoryStep.NEVER_HAD: lambda *_: skipped(NEVER_HAD),
    CategoryStep.REMOVE: _remove,
    CategoryStep.AWAIT: lambda known, deps: _handle_parent_first(
        items.read_now(known.item.parent_id or "", deps), known.event, deps
    ),
    CategoryStep.NOTHING: lambda known, _: done(
        "unchanged", links=(_to_link(known, known.linked.target_id, known.link),)
    ),
    CategoryStep.WRITE: _write,
}
"""What is done in each step; what is known of the category now, if it has to be decided again."""

"""What to do with an item, decided from what is known of it: nothing is read or written here.

A real run takes the step, a preview describes it. What is not known yet is loaded by a step of its own, then it is
decided again.

| step | when | what is done |
| --- | --- | --- |
| OWN | the gateway made it, for its own lines | nothing |
| MERGE | another item was merged into it | that one's article leaves the till, its links move; decided again |
| FETCH | the item was not read yet | it is read; decided again |
| GONE | deleted in the books | its article is made inactive |
| PASS_ON | a category | it goes on in the flow of categories |
| LOAD | what is stored of it was not loaded yet | it is loaded, its stock passed on unless it waits; decided again |
| OFF | products are switched off | nothing |
| REFUSE | not to be at the till, and it has no article | nothing |
| KEEP | left out now, and the settings leave its article to the till | nothing |
| PARK | left out now, and `products.left_out` is "park" | a person decides about the article |
| STAY_OUT | left out, as it was before | nothing |
| DEACTIVATE | left out now | its article is made inactive |
| MAP | it belongs at the till | its number and product are found; decided again |
| NOTHING | exactly this was written before | nothing |
| NEVER_HAD | inactive, and it never had an article | nothing |
| READ | what follows depends on the till | its article is held and read; decided again |
| LOST | inactive, and the till has its article no more | nothing |
| EXISTS | the till has it, and `products.update_existing` is off | nothing |
| WRITE | otherwise | its article is made, or what differs is written |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.store.events import Event
from gateway.store.links import Link
from handlers.catalogue import items
from handlers.catalogue.articles import Member
from handlers.catalogue.items import ItemReading
from mapping import products
from mapping.errors import MappingError, NotBookable
from mapping.items import CATEGORY, name_item
from mapping.messages import message
from mapping.records import Item, Product
from mapping.settings_document import SettingsDocument
from mapping.vat_table import VatTable

NAMED: Final = "the settings name this item for lines of the gateway, and without a SKU it is no article"
ItemStep = Enum(
    "ItemStep",
    "OWN MERGE FETCH GONE PASS_ON LOAD OFF REFUSE KEEP PARK STAY_OUT DEACTIVATE MAP NOTHING NEVER_HAD READ LOST"
    " EXISTS WRITE",
)
"""What to do with an item: see the table at the head of this module."""


@dataclass(frozen=True, slots=True)
class ItemContext:
    """What is known of an item; `repeated`: no stored state is trusted.

    `ours`: the gateway made it; `merged_id`: the item that was merged into it, until that was handled; `reading`: the
    item as it was read, or it is `gone`. Stored, when it is `loaded`, are its `link`, whether it still `owns` the
    article of that, the `number` of its article if it has one, and the link of its `category`. `refusal`: why it does
    not belong at the till. The rest is loaded when needed. `wanted`: fingerprint of what would be written; `settled`:
    that was written last. `existing`: the product of its article, if `read`; `present`: the same, with the marks of a
    former owner replaced.
    """

    event: Event
    settings: SettingsDocument
    repeated: bool
    ours: bool = False
    merged_id: str | None = None
    reading: ItemReading | None = None
    gone: bool = False
    loaded: bool = False
    link: Link | None = None
    owns: bool = False
    number: int | None = None
    category: Link | None = None
    refusal: NotBookable | None = None
    member: Member | None = None
    vat: VatTable = field(default_factory=VatTable)
    wanted: str = ""
    settled: bool = False
    read: bool = False
    existing: ReadProduct | None = None
    present: Product | None = None

    @property
    def seen(self) -> ItemReading:
        if self.reading is None:
            raise LookupError(self.event.entity_id)
        return self.reading

    @property
    def item(self) -> Item:
        return self.seen.item

    @property
    def moves(self) -> bool:
        """Whether the item is about to get an article, another article, or one that another item owns now."""
        if self.link is None or self.number is None:
            return self.link is None
        return self.link.target_id != str(self.number) or not self.owns

    @property
    def mapped(self) -> Member:
        if self.member is None:
            raise LookupError(self.item.id)
        return self.member

    @property
    def linked(self) -> Link:
        if self.link is None:
            raise LookupError(self.item.id)
        return self.link

    @property
    def refused(self) -> NotBookable:
        if self.refusal is None:
            raise LookupError(self.item.id)
        return self.refusal


def find_refusal(known: ItemContext) -> NotBookable | None:
    """Why the item does not belong at the till; None if it does. Raises `MappingError` for a filter that fails."""
    item, link, settings = known.item, known.link, known.settings
    if not settings.products.enabled:
        return None
    try:
        products.require_wanted(item, settings.products)
    except NotBookable as reason:
        return reason
    # An inactive item with another SKU has no article to move to: the one it has leaves the till.
    if link and not item.active and known.number != int(link.target_id):
        said = "an inactive item gets no article under another SKU"
        return NotBookable(said, record=name_item(item), field="SKU")
    # One that is on sale is a person's to decide about: its SKU may be gone by mistake.
    is_on_sale = link is not None and link.fingerprint not in (items.GONE, items.LEFT_OUT)
    if not is_on_sale and settings.is_for_own_lines(item):
        return NotBookable(NAMED, record=name_item(item), field="SKU")
    return None


def decide(known: ItemContext) -> ItemStep:
    """The next step of this item."""
    if known.ours or known.merged_id:
        return ItemStep.OWN if known.ours else ItemStep.MERGE
    if known.reading is None:
        return ItemStep.GONE if known.gone else ItemStep.FETCH
    if known.item.type == CATEGORY:
        return ItemStep.PASS_ON
    if not known.loaded:
        return ItemStep.LOAD
    if not known.settings.products.enabled:
        return ItemStep.OFF
    return _decide_left_out(known) if known.refusal else _decide_wanted(known)


def _decide_wanted(known: ItemContext) -> ItemStep:
    if known.member is None:
        return ItemStep.MAP
    if known.settled and not known.repeated:
        return ItemStep.NOTHING
    if not known.item.active and known.link is None:
        return ItemStep.NEVER_HAD
    if not known.read:
        return ItemStep.READ
    if known.existing is None:
        return ItemStep.WRITE if known.item.active else ItemStep.LOST
    return ItemStep.WRITE if known.settings.products.update_existing else ItemStep.EXISTS


def _decide_left_out(known: ItemContext) -> ItemStep:
    if known.link is None:
        return ItemStep.REFUSE
    if products.why_kept_left_out(known.item, known.settings.products):
        return ItemStep.KEEP
    if known.item.active and known.settings.products.left_out == "park":
        return ItemStep.PARK
    was_out = known.link.fingerprint == items.LEFT_OUT and not known.repeated
    return ItemStep.STAY_OUT if was_out else ItemStep.DEACTIVATE


_REFUSALS: Final[Mapping[ItemStep, tuple[str, str]]] = {
    ItemStep.OFF: ("products are switched off in the settings", "products.enabled"),
    ItemStep.NEVER_HAD: ("an inactive item that the till never had", "active"),
    ItemStep.LOST: ("an inactive item that the till does not have any more", "active"),
    ItemStep.EXISTS: (products.NO_UPDATES, "products"),
}
"""Why nothing is done, and the field or setting."""
REFUSING: Final = (*_REFUSALS, ItemStep.REFUSE, ItemStep.KEEP, ItemStep.PARK)
"""The steps that end without anything done."""


def refuse(step: ItemStep, known: ItemContext) -> MappingError | None:
    """Why this step does nothing; `NotBookable`, unless a person has to act. None for a step that does something."""
    record = name_item(known.item)
    if step is ItemStep.REFUSE:
        return known.refused
    if step in _REFUSALS:
        reason, field = _REFUSALS[step]
        return NotBookable(reason, record=record, field=field)
    if step not in (ItemStep.KEEP, ItemStep.PARK):
        return None
    said, number = known.refused.reason, known.linked.target_id
    article = message("article {number}", number=number)
    if step is ItemStep.KEEP:
        kept = products.why_kept_left_out(known.item, known.settings.products)
        why = "{reason}; {article} stays as it is: {kept}"
        reason = message(why, reason=message(said), article=article, kept=message(kept or ""))
        return NotBookable(reason, record=record, field=known.refused.field)
    fix = "make {article} inactive at the till and ignore this event; or change {field} in the settings and retry"
    return MappingError(
        message("{reason}, and its article {number} is still on sale", reason=message(said), number=number),
        code="left-out",
        record=record,
        field=known.refused.field,
        fix=message(fix, article=article, field=known.refused.field),
    )

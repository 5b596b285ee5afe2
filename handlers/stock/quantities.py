"""A quantity of the books becomes stock of the till, in every branch that keeps it."""

from __future__ import annotations

from gateway.errors import NotFound, Transient
from gateway.store.events import Event
from handlers.catalogue import articles, bridge, items, ownership
from handlers.deps import Deps
from handlers.result import Result, done, skipped
from handlers.stock import levels, semaphore
from mapping import stock
from mapping.errors import NotBookable
from mapping.messages import message
from mapping.records import Item
from mapping.skus import name_item

# How often an article of a sale that is being booked is measured again; then the safe quantity is written.
PATIENCE = 4


def handle(event: Event, deps: Deps) -> Result:
    """Update the till's stock of the item from the books and the unposted sales."""
    if not deps.settings.stock.enabled:
        return skipped("stock is switched off in the settings")
    with semaphore.of(deps.connection).enter():
        return _handle(event, deps)


def _handle(event: Event, deps: Deps) -> Result:
    try:
        seen = items.read(event, deps)
    except NotFound:
        return skipped("the books do not have this item any more")
    deps.learn(sku=seen.item.sku, record=name_item(seen.item))
    stock.to_figures(seen.item)
    article = article_of(seen.item, deps)
    deps.learn(target_entity="Article", target_id=str(article))
    patient = event.attempts <= PATIENCE
    found = levels.settle({article: seen.item}, seen.read_at, deps, patient=patient)
    if not found:
        return skipped(message("{item} keeps no stock at the till", item=name_item(seen.item)))
    if patient and any(difference.unsure for difference in found):
        raise Transient(
            message("a sale of {item} is being booked at this moment", item=name_item(seen.item)), code="being-booked"
        )
    changed = [difference for difference in found if difference.change]
    return done(None if changed else "unchanged")


def article_of(item: Item, deps: Deps) -> int:
    """The article number of an item. Raises `NotBookable` for one that has none, or whose article is another's."""
    link = articles.find_link(item.id, deps)
    number = bridge.find_number(item, deps) or (int(link.target_id) if link else None)
    if number is None:
        raise NotBookable("the item is not at the till", record=name_item(item), field="SKU")
    if link and link.target_id != str(number) and deps.settings.products.enabled:
        raise NotBookable(
            message("article {number} is made of it first; its stock follows", number=number), record=name_item(item)
        )
    owner = ownership.find_owner(number, deps)
    if owner not in (None, item.id):
        raise NotBookable(
            message("article {number} is another item's in QuickBooks", number=number),
            record=name_item(item),
            field="SKU",
        )
    return number

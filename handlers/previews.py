"""A preview of one record: read both systems, show per field what would be written and why, write nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from gateway.errors import NotFound
from gateway.store.events import Event
from gateway.store.requests import By, Side
from handlers.catalogue import forecasts, items
from handlers.deps import Deps, on_trial
from handlers.references import people
from handlers.result import Result, done, telling
from handlers.stock import levels, quantities
from handlers.stock.bookings import StockDifference
from mapping import customers
from mapping.errors import MappingError, NotBookable
from mapping.messages import message
from mapping.records import Customer, Item, Relation
from mapping.sections import BranchStock, StockSettings
from mapping.skus import name_item

PreviewData = dict[str, Any]
Found = TypeVar("Found")
_MAX_NAMED = 5


def preview_product(event: Event, deps: Deps) -> Result:
    """What the item would become, or why it would not."""
    return _preview(event, deps, _get_item, forecasts.explain_product)


def preview_category(event: Event, deps: Deps) -> Result:
    """What the category would become, or why it would not."""
    return _preview(event, deps, _get_item, forecasts.explain_category)


def preview_stock(event: Event, deps: Deps) -> Result:
    """What the item's stock would become in every branch."""
    return _preview(event, deps, _get_item, _explain_stock)


def preview_customer(event: Event, deps: Deps) -> Result:
    """What a relation would become in the books, or a customer at the till; or why it would not."""
    if _asked(event).get("side") == Side.TILL:
        return _preview(event, deps, people.get_relation, people.explain_relation)
    return _preview(event, deps, people.get_customer, people.explain_customer)


def _asked(event: Event) -> PreviewData:
    hint: PreviewData = json.loads(event.hint or "{}")
    return hint


def _preview(
    event: Event, deps: Deps, get: Callable[[By, str, Deps], Found], explain: Callable[[Found, Deps], PreviewData]
) -> Result:
    """The event is done in any case: a record that would be parked or is unknown is a result; no action is needed."""
    deps, asked = on_trial(event, deps), _asked(event)
    try:
        found = get(By(asked.get("by", By.ID)), asked.get("record", event.entity_id), deps)
    except NotFound as absence:
        return _answer({"outcome": "unknown", "reason": absence.reason, "fix": absence.fix or ""})
    title = _introduce(found, deps)
    try:
        preview = explain(found, deps)
    except MappingError as refusal:
        preview = _refused(refusal)
    return _answer({**title, **preview})


def _introduce(found: object, deps: Deps) -> PreviewData:
    match found:
        case Item():
            deps.learn(sku=found.sku)
            return {"item": name_item(found), "id": found.id, "name": found.name}
        case Relation():
            deps.learn(email=customers.email_key(found.email))
            return {"who": f"relation {found.number}", "id": found.number, "name": found.company or found.name}
        case Customer():
            deps.learn(email=customers.email_key(found.email))
            return {"who": f"customer {found.id}", "id": found.id, "name": found.display_name}
        case _:
            raise TypeError(f"nothing is known of a {type(found).__name__}")


def _get_item(by: By, record: str, deps: Deps) -> Item:
    """The requested item. Raises `NotFound` if there is none, or if several have this name."""
    if by is By.ID:
        return deps.books.item(record)
    found = _FINDERS[by](deps, record)
    if len(found) > 1:
        named = ", ".join(each.id for each in found[:_MAX_NAMED])
        raise NotFound(
            message(
                '{n} items in QuickBooks have the {field} "{record}": {named}',
                n=len(found),
                field=_NAMES[by],
                record=record,
                named=named,
            ),
            fix="ask for one of them by its id",
        )
    if not found:
        raise NotFound(
            message('no item in QuickBooks has the {field} "{record}"', field=_NAMES[by], record=record),
            fix="look at its spelling",
        )
    return found[0]


_NAMES: Final = {By.SKU: "SKU", By.NAME: "name", By.EMAIL: "e-mail address"}
_FINDERS: Final[Mapping[By, Callable[[Deps, str], Sequence[Item]]]] = {
    By.SKU: lambda deps, sku: deps.books.items_by_sku(sku),
    By.NAME: lambda deps, name: deps.books.items_by_name(name),
    By.EMAIL: lambda _deps, _address: (),
}


def _explain_stock(item: Item, deps: Deps) -> PreviewData:
    """Branch by branch; nothing is listed where the till keeps no stock of the article."""
    settings = deps.settings.stock
    if not settings.enabled:
        raise NotBookable("stock is switched off in the settings", field="stock.enabled")
    read_at = items.now(deps)
    article = quantities.article_of(item, deps)
    rows = [_to_row(difference, settings) for difference in levels.measure({article: item}, read_at, deps)]
    return {"outcome": "stock", "on_hand": item.quantity_on_hand, "formula": settings.formula, "stock": rows}


def _to_row(difference: StockDifference, settings: StockSettings) -> PreviewData:
    own = settings.branches.get(str(difference.branch), BranchStock())
    return {
        "branch": difference.branch,
        "article": difference.article,
        "present": difference.present,
        "value": difference.wanted,
        "change": difference.change,
        "unposted": difference.figures.unposted,
        "estimates": difference.figures.estimates,
        "formula": own.formula or settings.formula,
        "share": own.share,
        "safety": settings.safety if own.safety is None else own.safety,
    }


def _refused(refusal: MappingError) -> PreviewData:
    outcome = "skipped" if isinstance(refusal, NotBookable) else "parked"
    return {"outcome": outcome, **refusal.problem.named("reason", "record", "field", "fix")}


def _answer(content: Mapping[str, Any]) -> Result:
    return telling(done("a preview: nothing was written"), content)

"""A settings document before it is put in force: what it names has to exist in both systems, and it has to work.

Refused is only what is new: what the document in force has wrong already keeps nobody from changing something else.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator

from gateway.errors import GatewayError
from gateway.store.events import Event
from handlers.checkup import settings, together
from handlers.checkup.finding import Finding
from handlers.deps import Deps, on_trial
from handlers.result import Result, done
from mapping import products, stock
from mapping.errors import MappingError, NotBookable
from mapping.records import Item

SAMPLE = 200
"""Items of the catalogue that patterns and formulas are tried on, with one read."""
_FRESH_SECONDS = 60.0

_Look = Callable[[Deps], Iterator[Finding]]


def carry(event: Event, deps: Deps) -> Result:
    """The result on the row: `faults` that refuse the document, `warnings`, and the systems that were not `asked`."""
    deps.lists.forget_older_than(_FRESH_SECONDS)
    draft = on_trial(event, deps)
    present = dataclasses.replace(deps, rehearsing=True)
    items: list[Item] = []
    unasked = [
        system
        for system, look in (("QuickBooks", lambda: items.extend(_sample(deps))), ("MplusKASSA", deps.lists.branches))
        if not _answers(look)
    ]
    looks: list[_Look] = []
    if "QuickBooks" not in unasked:
        looks.append(settings.look_at_books)
    if "MplusKASSA" not in unasked:
        looks.append(settings.look_at_till)
    if not unasked:
        looks.append(together.look)
    known = set(_look(looks, present))
    faults = [each for each in _look(looks, draft) if each not in known]
    faults += [each for each in _try_stock(items, draft, unasked) if each not in _try_stock(items, present, unasked)]
    rows = {
        "faults": [{"path": f.check, "message": f.said, "hint": f.fix} for f in dict.fromkeys(faults)],
        "warnings": [{"path": f.check, "message": f.said, "hint": f.fix} for f in _try_filter(items, draft, present)],
        "unasked": unasked,
    }
    result = done(f"{len(faults)} faults in a settings document that somebody wants in force")
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=json.dumps(rows)))


def _answers(look: Callable[[], object]) -> bool:
    try:
        look()
    except GatewayError:
        return False
    return True


def _sample(deps: Deps) -> list[Item]:
    return [item for item in deps.books.items_page(1, SAMPLE) if item.type != "Category"]


def _look(looks: list[_Look], deps: Deps) -> Iterator[Finding]:
    for look in looks:
        try:
            yield from (found for found in look(deps) if found.fix is not None)
        except MappingError as error:
            yield Finding(error.field or "(document)", error.reason, error.fix or "correct this setting")


def _try_stock(items: list[Item], deps: Deps, unasked: list[str]) -> list[Finding]:
    """The stock formulas, on what the books have of each item."""
    if unasked or not deps.settings.stock.enabled:
        return []
    branches = [branch.number for branch in deps.lists.branches()]
    for item in items:
        try:
            stock.to_quantities(stock.to_figures(item), deps.settings.stock, branches=branches, record=item.name)
        except NotBookable:
            continue
        except MappingError as error:
            said = f"{error.reason} (tried on item {item.name})"
            return [Finding(error.field or "stock.formula", said, error.fix or "correct the formula")]
    return []


def _try_filter(items: list[Item], draft: Deps, present: Deps) -> Iterator[Finding]:
    """A filter that leaves out every item may be meant, but seldom is."""
    if items and _let_in(items, present) and not _let_in(items, draft):
        said = f"none of the first {len(items)} items of QuickBooks would flow"
        yield Finding("products.filter", said, "look at products.filter and products.types once more")


def _let_in(items: list[Item], deps: Deps) -> bool:
    for item in items:
        try:
            products.require_wanted(item, deps.settings.products)
        except NotBookable:
            continue
        except MappingError:
            return True
        return True
    return False

"""Check a settings document before it is put in force: what it names must exist in both systems, and it must work.

Only new faults refuse the document: a fault that the document in force already has does not block other changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from gateway.errors import AuthLost, GatewayError, Permanent
from gateway.findings import Finding
from gateway.store.events import Event
from handlers.checkup import checks
from handlers.checkup.checks import BOOKS, TILL
from handlers.deps import Deps, on_trial
from handlers.result import Result, done, parked, telling
from mapping import products, stock
from mapping.errors import MappingError, NotBookable
from mapping.messages import join, message
from mapping.records import Item
from mapping.settings_document import SettingsDocument

SAMPLE = 200
"""Number of items of the catalogue that patterns and formulas are tested with, from one read."""
_FRESH_SECONDS = 60.0

_LATER = "it is saved all the same, and checked again automatically"


def handle(event: Event, deps: Deps) -> Result:
    """The result on the row: `faults` that refuse the document, `warnings`, and the systems that were not `asked`.

    A list that cannot be read is no fault of the document: a warning says that and why it was not checked.
    """
    deps.lists.forget_older_than(_FRESH_SECONDS)
    draft = on_trial(event, deps)
    present = deps.without_writes()
    items, unasked = _ask(deps)
    known = set(_look(unasked, present))
    faults = [each for each in _look(unasked, draft) if each not in known]
    faults += [each for each in _try_stock(items, draft, unasked) if each not in _try_stock(items, present, unasked)]
    warnings = [
        Finding("(document)", message("could not be checked: {why}", why=why), _LATER) for why in unasked.values()
    ]
    rows = {
        "faults": _to_rows(faults),
        "warnings": _to_rows([*warnings, *_try_filter(items, draft, present)]),
        "unasked": list(unasked),
    }
    return telling(done(message("{n} faults in a settings document that is to be put in force", n=len(faults))), rows)


def check_in_force(version: int, deps: Deps) -> Result:
    """Check a document that was put in force unchecked. The event is retried until both systems answer."""
    deps.lists.forget_older_than(_FRESH_SECONDS)
    present = deps.without_writes()
    default = dataclasses.replace(present, settings=SettingsDocument())
    items, unasked = _ask(deps, patient=True)
    # What is missing independently of the document is reported by the check of the whole connection.
    known = set(_look(unasked, default, patient=True))
    found = [*_look(unasked, present, patient=True), *_try_stock(items, present, unasked)]
    faults = [each for each in dict.fromkeys(found) if each not in known]
    if not faults:
        checked = message("version {version} of the settings names nothing that is missing", version=version)
        return done(
            join([message("could not be checked: {why}", why=why) for why in unasked.values()], "{first}; {second}")
            if unasked
            else checked
        )
    result = parked(
        message(
            "the settings in force name what is missing or cannot work: {names}",
            names=join([message(f.said) for f in faults], "{first}; {second}"),
        ),
        code="settings-fault",
        record=message("settings, version {version}", version=version),
        fix=message("{fix} and save the settings; or retry this once it is there", fix=message(faults[0].fix)),
    )
    paths = ", ".join(dict.fromkeys(f.subject for f in faults))
    return telling(
        dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, field=paths)), _to_rows(faults)
    )


def _to_rows(found: Iterable[Finding]) -> list[dict[str, str | None]]:
    return [{"path": f.subject, "message": f.said, "hint": f.fix or None} for f in dict.fromkeys(found)]


def _ask(deps: Deps, *, patient: bool = False) -> tuple[list[Item], dict[str, str]]:
    """Some items to test settings with, and the systems that cannot be asked, with the reason.

    `patient`: a transient failure or a missing login is raised instead.
    """
    items: list[Item] = []
    asked: tuple[tuple[str, Callable[[], object]], ...] = (
        (BOOKS, lambda: items.extend(_sample(deps))),
        (TILL, deps.lists.branches),
    )
    unasked: dict[str, str] = {}
    for system, ask in asked:
        with _noting(system, unasked, patient=patient):
            ask()
    return items, unasked


@contextmanager
def _noting(system: str, unasked: dict[str, str], *, patient: bool) -> Iterator[None]:
    try:
        yield
    except GatewayError as error:
        if patient and (isinstance(error, AuthLost) or not isinstance(error, Permanent)):
            raise
        unasked.setdefault(system, f"{system}: {error.reason}")


def _sample(deps: Deps) -> list[Item]:
    return [item for item in deps.books.items_page(1, SAMPLE) if item.type != "Category"]


def _look(unasked: dict[str, str], deps: Deps, *, patient: bool = False) -> list[Finding]:
    """The faults; a check whose list is refused adds its system to the `unasked`."""
    found: list[Finding] = []
    for check in checks.OF_SETTINGS:
        if check.needs & set(unasked):
            continue
        system = BOOKS if BOOKS in check.needs else TILL
        try:
            with _noting(system, unasked, patient=patient):
                found += [each for each in check.look(deps) if not each.good]
        except MappingError as error:
            found.append(Finding(error.field or "(document)", error.reason, error.fix or "correct this setting"))
    return found


def _try_stock(items: list[Item], deps: Deps, unasked: Collection[str]) -> list[Finding]:
    """Test the stock formulas with the quantities of each item."""
    if unasked or not deps.settings.stock.enabled:
        return []
    branches = [branch.number for branch in deps.lists.branches()]
    for item in items:
        try:
            stock.to_quantities(stock.to_figures(item), deps.settings.stock, branches=branches, record=item.name)
        except NotBookable:
            continue
        except MappingError as error:
            said = message("{reason} (tried on item {name})", reason=message(error.reason), name=item.name)
            return [Finding(error.field or "stock.formula", said, error.fix or "correct the formula")]
    return []


def _try_filter(items: list[Item], draft: Deps, present: Deps) -> Iterator[Finding]:
    """A filter that leaves out every item is probably a mistake."""
    if items and _let_in(items, present) and not _let_in(items, draft):
        said = message("none of the first {n} items of QuickBooks would flow", n=len(items))
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

"""The part of `doctor` that calls both systems, the check of a settings document, and the lists to choose from.

A settings document is checked before it is put in force: what it names must exist in both systems, and it must work.
Only new faults refuse it: a fault that the document in force already has does not block other changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from gateway import findings
from gateway.errors import AuthLost, GatewayError, Permanent
from gateway.findings import Check, Finding
from gateway.store import requests, systems
from gateway.store.events import Event
from handlers.checkup import both_systems, settings
from handlers.deps import Deps, on_trial
from handlers.result import Result, done, parked, telling
from mapping import products, stock
from mapping.choices import ListName, ListOption
from mapping.errors import MappingError, NotBookable
from mapping.items import category_path
from mapping.messages import join, message
from mapping.records import ArticleGroup, Item, ListEntry, VatGroup
from mapping.settings_document import SettingsDocument


def handle(event: Event, deps: Deps) -> Result:
    """Check everything a new installation gets wrong; the result is a list of findings on the row.

    Checks of a system that does not answer are left out. If a settings document is given, only that is checked. The
    lists that were read are stored for the pages.
    """
    asked = event.asked
    if requests.LISTS in asked:
        return refresh_lists(deps)
    if requests.SETTINGS in asked:
        return handle_draft(event, deps)
    if requests.IN_FORCE in asked:
        return check_in_force(asked[requests.IN_FORCE], deps)
    deps.lists.forget_older_than(0)  # so that a repair made a moment ago counts
    advice = "look at the address and the credentials, then try again"
    rows = [each.to_data() for each in findings.run(ALL, deps.without_writes(), otherwise=advice)]
    store_lists(deps)
    troubles = sum(not row["good"] for row in rows)
    return telling(done(message("{n} of {all} findings need attention", n=troubles, all=len(rows))), rows)


SAMPLE = 200
"""Number of items of the catalogue that patterns and formulas are tested with, from one read."""
_FRESH_SECONDS = 60.0

_LATER = "it is saved all the same, and checked again automatically"


def handle_draft(event: Event, deps: Deps) -> Result:
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
    if items and _let_in(items, present) and not _let_in(items, draft):  # probably a mistake
        said = message("none of the first {n} items of QuickBooks would flow", n=len(items))
        warnings.append(Finding("products.filter", said, "look at products.filter and products.types once more"))
    rows = {"faults": _to_rows(faults), "warnings": _to_rows(warnings), "unasked": list(unasked)}
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
    said = "the settings in force name what is missing or cannot work: {names}"
    result = parked(
        message(said, names=join([message(f.said) for f in faults], "{first}; {second}")),
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
        (BOOKS, lambda: items.extend([item for item in deps.books.items_page(1, SAMPLE) if item.type != "Category"])),
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


def _look(unasked: dict[str, str], deps: Deps, *, patient: bool = False) -> list[Finding]:
    """The faults; a check whose list is refused adds its system to the `unasked`."""
    found: list[Finding] = []
    for check in OF_SETTINGS:
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


def store_lists(deps: Deps) -> dict[ListName, str]:
    """Read and store every list; returns those that could not be read, with the reason: they stay as they were."""
    troubles: dict[ListName, str] = {}
    for name, read in _LISTS.items():
        try:
            options = list(read(deps))
        except GatewayError as error:
            troubles[name] = error.reason
            continue
        deps.write(systems.save_list, name, options)
    return troubles


def refresh_lists(deps: Deps) -> Result:
    """As a person's request: read everything anew; the result on the row are the lists that could not be read."""
    deps.lists.forget_older_than(0)
    troubles = store_lists(deps)
    read = len(_LISTS) - len(troubles)
    return telling(done(message("{read} of {all} lists were read", read=read, all=len(_LISTS))), troubles)


def _entries(found: Iterable[ListEntry]) -> Iterator[ListOption]:
    for entry in found:
        if entry.active:
            yield ListOption(entry.id, entry.name, full=entry.full_name, kind=entry.type, days=entry.due_days)


def _vat_codes(groups: Iterable[VatGroup]) -> Iterator[ListOption]:
    """A code with its rate; where branches differ it has none, and its name says them."""
    rates = {code: {each.percentage for each in groups if each.code == code} for code in {g.code for g in groups}}
    for code, some in sorted(rates.items()):
        name = " / ".join(f"{rate.normalize():f} %" for rate in sorted(some))
        yield ListOption(str(code), name, rate=next(iter(some)) if len(some) == 1 else None)


def _article_groups(groups: Iterable[ArticleGroup], above: str = "") -> Iterator[ListOption]:
    for group in groups:
        if not group.deleted:
            full = f"{above}{group.name}"
            yield ListOption(str(group.number), group.name, full=full)
            yield from _article_groups(group.subgroups, f"{full} / ")


def _company(deps: Deps) -> Iterator[ListOption]:
    company = deps.lists.company()
    if company.name:
        yield ListOption(deps.books.realm_id, company.name)


_LISTS: Final[Mapping[ListName, Callable[[Deps], Iterable[ListOption]]]] = {
    ListName.TAX_CODES: lambda deps: (
        ListOption(code.id, code.name, rate=code.percentage)
        for code in deps.lists.tax_codes(deps.now().date())
        if code.active
    ),
    ListName.ACCOUNTS: lambda deps: _entries(deps.lists.entries("Account")),
    ListName.PAYMENT_METHODS: lambda deps: _entries(deps.lists.entries("PaymentMethod")),
    ListName.LOCATIONS: lambda deps: _entries(deps.lists.entries("Department")),
    ListName.CLASSES: lambda deps: _entries(deps.lists.entries("Class")),
    ListName.TERMS: lambda deps: _entries(deps.lists.entries("Term")),
    ListName.VAT_CODES: lambda deps: _vat_codes(deps.lists.vat_groups()),
    ListName.TENDERS: lambda deps: (ListOption(m.code, m.description) for m in deps.lists.payment_methods()),
    ListName.BRANCHES: lambda deps: (ListOption(str(each.number), each.name) for each in deps.lists.branches()),
    ListName.TURNOVER_GROUPS: lambda deps: (
        ListOption(str(group.number), group.name, kind=group.type, vat_code=group.vat_code)
        for group in sorted(deps.lists.turnover_groups(), key=lambda group: group.number)
    ),
    ListName.ARTICLE_GROUPS: lambda deps: _article_groups(deps.till.article_groups()),
    ListName.CATEGORIES: lambda deps: (
        ListOption(each.id, each.name, full=":".join(category_path(each, itself=True)))
        for each in deps.books.categories()
        if each.active
    ),
    ListName.COMPANY: _company,
}


BOOKS: Final = "QuickBooks"
TILL: Final = "MplusKASSA"

OF_SETTINGS: Final[tuple[Check[Deps], ...]] = (
    Check("settings", settings.look_at_books, frozenset({BOOKS})),
    Check("settings", settings.look_at_till, frozenset({TILL})),
    Check("mapping", settings.look_at_both, frozenset({BOOKS, TILL})),
)
"""The checks that a settings document has to pass before it is put in force, too."""

ALL: Final[tuple[Check[Deps], ...]] = (
    Check(TILL, both_systems.look_at_till),
    Check(BOOKS, both_systems.look_at_books),
    Check("items", both_systems.look_at_items, frozenset({BOOKS})),
    *OF_SETTINGS,
    Check("products.turnover_group", settings.look_at_turnover_groups, frozenset({BOOKS, TILL})),
)

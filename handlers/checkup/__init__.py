"""The part of `doctor` that calls both systems, and the check of a settings document.

A settings document is checked before it is put in force: what it names must exist in both systems, and it must work.
Only new faults refuse it: a fault that the document in force already has does not block other changes.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from gateway import findings
from gateway.connectors.quickbooks.calls import is_last_page
from gateway.errors import AuthLost, GatewayError, NotConnected, Permanent
from gateway.findings import Check, Finding, enumerate_some
from gateway.store import links, requests, tokens
from gateway.store.events import Event
from gateway.store.links import LinkKind
from gateway.store.requests import ARTICLES
from handlers.checkup import settings
from handlers.deps import Deps, for_preview
from handlers.result import Result, done, parked, with_content
from mapping import products, stock
from mapping.choices import MONEY
from mapping.errors import MappingError, NotBookable
from mapping.items import find_own_number, is_own
from mapping.messages import join, message
from mapping.records import CompanyProfile, Item
from mapping.settings_document import SettingsDocument

BOOKS: Final = "QuickBooks"
TILL: Final = "MplusKASSA"


def handle(event: Event, deps: Deps) -> Result:
    """Check a part, if the request names one, else everything."""
    check = next((check for part, check in PARTS.items() if part in event.asked), check_all)
    return check(event, deps)


def check_all(_: Event, deps: Deps) -> Result:
    """Check everything a new installation gets wrong; the result is a list of findings on the row.

    Checks of a system that does not answer are left out. The lists that were read are stored for the pages.
    """
    deps.lists.forget_older_than(0)  # so that a repair made a moment ago counts
    advice = "look at the address and the credentials, then try again"
    rows = [each.to_data() for each in findings.run(ALL, deps.without_writes(), otherwise=advice)]
    settings.store_lists(deps)
    troubles = sum(not row["good"] for row in rows)
    return with_content(done(message("{n} of {all} findings need attention", n=troubles, all=len(rows))), rows)


SAMPLE = 200
"""Number of items of the catalogue that patterns and formulas are tested with, from one read."""
_FRESH_SECONDS = 60.0

_LATER = "it is saved all the same, and checked again automatically"


def check_draft(event: Event, deps: Deps) -> Result:
    """The result on the row: `faults` that refuse the document, `warnings`, and the systems that were not `asked`.

    A list that cannot be read is no fault of the document: a warning says that and why it was not checked.
    """
    deps.lists.forget_older_than(_FRESH_SECONDS)
    draft = for_preview(event, deps)
    present = deps.without_writes()
    items, unasked = _ask(deps)
    known = set(_look(unasked, present))
    faults = [each for each in _look(unasked, draft) if each not in known]
    faults += [each for each in _try_stock(items, draft, unasked) if each not in _try_stock(items, present, unasked)]
    warnings = [
        Finding("(document)", message("could not be checked: {why}", why=why), _LATER) for why in unasked.values()
    ]
    is_any_wanted = any(_is_wanted(item, present) for item in items)
    if is_any_wanted and not any(_is_wanted(item, draft) for item in items):  # probably a mistake
        said = message("none of the first {n} items of QuickBooks would flow", n=len(items))
        warnings.append(Finding("products.filter", said, "look at products.filter and products.types once more"))
    rows = {"faults": _to_rows(faults), "warnings": _to_rows(warnings), "unasked": list(unasked)}
    return with_content(
        done(message("{n} faults in a settings document that is to be put in force", n=len(faults))), rows
    )


def check_in_force(event: Event, deps: Deps) -> Result:
    """Check a document that was put in force unchecked. The event is retried until both systems answer."""
    version = event.asked[requests.IN_FORCE]
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
    return with_content(
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


SKEW = timedelta(seconds=30)
_OTHER_KIND = (
    "connect QuickBooks again; if that does not help, the app's keys are of another environment than the company: "
    "compare QUICKBOOKS_ENVIRONMENT with the tab of Intuit's portal the keys come from"
)
_NOT_OF_THE_KEYS = frozenset({"120", "6190"})
"""Faults of the user who connected, and of the subscription: no other keys and no other environment help."""


def check_books(deps: Deps) -> Iterator[Finding]:
    """Call the books; raises the error that explains a refusal."""
    try:
        company = deps.lists.company()
    except NotConnected:
        raise
    except AuthLost as error:
        refusal = deps.read(tokens.find_refusal)
        fix = tokens.REFUSED if refusal in _NOT_OF_THE_KEYS else _OTHER_KIND
        raise AuthLost(error.reason, code=error.code, fix=fix) from error
    said = "{name} ({country}), {home}"
    yield Finding(
        "QuickBooks",
        message(
            said, name=company.name, country=company.country, home=company.home_currency or message("no currency given")
        ),
    )
    yield from _look_at_money(company, deps)
    yield from _look_at_habits(company, deps)
    accounts = [account for account in deps.lists.entries("Account") if account.active]
    if not any(account.type == "Income" for account in accounts):
        yield Finding("income account", "there is none", "make an account of type Income: rounding lines need one")
    if not any(account.type in MONEY for account in accounts):
        yield Finding("deposit account", "none money can lie in", "make an account of type Bank: refunds need one")
    now = deps.now()
    skew = abs(deps.books.changes(["Department"], now - timedelta(minutes=1)).as_of - now)
    fix = "" if skew < SKEW else "let this machine take its time from NTP: tokens would be renewed too late"
    yield Finding("clock", message("{seconds} s beside QuickBooks'", seconds=f"{skew.total_seconds():.0f}"), fix)


def _look_at_money(company: CompanyProfile, deps: Deps) -> Iterator[Finding]:
    currency = deps.settings.products.currency
    if company.home_currency not in (None, currency):
        said = "the company keeps {home}, the till {currency}: nothing is synchronised"
        yield Finding(
            "currency",
            message(said, home=company.home_currency, currency=currency),
            "connect the right company, or correct products.currency (the till's currency)",
        )
    if company.multi_currency:
        yield Finding(
            "multicurrency",
            message("on: sales are booked in {currency}, on customers that keep this currency", currency=currency),
        )
    if not company.uses_tax:
        yield Finding(
            "sales tax",
            "VAT is switched off: only sales without VAT can be booked",
            "nothing, if the shop charges no VAT; else switch VAT on in QuickBooks and make its tax codes",
        )
    if company.computes_tax_itself:
        yield Finding(
            "sales tax",
            "QuickBooks computes it from addresses and overrules the till's",
            "connect a company without automated sales tax",
        )


def _look_at_habits(company: CompanyProfile, deps: Deps) -> Iterator[Finding]:
    numbered = company.custom_document_numbers
    yield Finding(
        "document numbers",
        "the till's number is kept"
        if numbered
        else "QuickBooks assigns the numbers; a sale is recognised by its private note (switch custom transaction "
        "numbers on under Account and settings > Sales to see the till's)",
    )
    if company.books_closed_through:
        kept = deps.settings.orders.closed_books
        what = message("set aside" if kept == "park" else "booked on the first open day")
        yield Finding(
            "closed books",
            message("closed through {day}; earlier sales are {what}", day=company.books_closed_through, what=what),
        )
    if deps.settings.stock.enabled and not company.tracks_stock:
        yield Finding(
            "stock",
            "the company does not track quantities",
            "switch it on (QuickBooks Plus or Advanced), or set stock.enabled = false",
        )


def check_till(deps: Deps) -> Iterator[Finding]:
    """Call the till; raises the error that explains a refusal. The WSDL needs no login, the first call does."""
    yield Finding("MplusKASSA", message("answers, version {version}", version=deps.till.api_version()))
    missing = list(deps.till.missing_operations())
    if missing:
        yield Finding(
            "operations",
            message("lacks {names}", names=enumerate_some(missing)),
            "ask MplusKASSA for an update, or switch off the flows that need them",
        )
    branches = deps.lists.branches()
    yield Finding(
        "branches",
        ", ".join(f"{b.number} {b.name}" for b in branches) or "none",
        "" if branches else "make a branch at the till",
    )
    methods = deps.lists.payment_methods()
    yield Finding(
        "payment methods",
        ", ".join(m.description for m in methods) or "none",
        "" if methods else "make a way to pay at the till",
    )


LOOKED_AT = 1000
MOST_PAGES = 30


def check_items(deps: Deps) -> Iterator[Finding]:
    """With one read per thousand items."""
    types = deps.settings.products.types
    items: list[Item] = []
    start = 1
    for _ in range(MOST_PAGES):
        some = deps.books.items_page(start, LOOKED_AT)
        ours = {item.id for item in some if is_own(item) or deps.settings.is_for_own_lines(item)}
        items += [item for item in some if item.type in types and item.id not in ours]
        if is_last_page(len(some), LOOKED_AT):
            break
        start += len(some)
    yield Finding("items", message("{n} that may become articles", n=len(items)) if items else "none yet")
    if items:
        yield _look_at_articles(items, deps)
    yield from _look_at_skus(items, deps)
    today = deps.now().date()
    late = [item.name for item in items if item.stocked_from and item.stocked_from > today]
    if late:
        yield Finding(
            "inventory start",
            message("in the future: {names}", names=enumerate_some(late)),
            "set an earlier inventory start date: sales before it are refused (6270)",
        )


def _look_at_articles(items: Sequence[Item], deps: Deps) -> Finding:
    """Which items that flow have no article at the till; a first load, or a change of the item, brings them."""
    wanted = [item for item in items if _is_wanted(item, deps)]
    known: set[str] = set()
    for start in range(0, len(wanted), LOOKED_AT):
        ids = [item.id for item in wanted[start : start + LOOKED_AT]]
        found = deps.read(links.find_all, LinkKind.ITEM, ids)
        known |= {id_ for id_, link in found.items() if link.target_id}
    missing = [item.name for item in wanted if item.id not in known]
    if not missing:
        return Finding(ARTICLES, "every item that flows has its article at the till")
    counted = message("{n} of {all} have no article at the till", n=len(missing), all=len(wanted))
    return Finding(ARTICLES, message("{counted}: {names}", counted=counted, names=enumerate_some(missing)))


def _is_wanted(item: Item, deps: Deps) -> bool:
    try:
        products.require_wanted(item, deps.settings.products)
    except NotBookable:
        return False
    except MappingError:
        pass  # the filter cannot be applied to it: its own event says so
    return True


def _look_at_skus(items: Sequence[Item], deps: Deps) -> Iterator[Finding]:
    counted = Counter(item.sku for item in items if item.sku)
    if doubles := sorted(sku for sku, count in counted.items() if count > 1):
        yield Finding("double SKUs", enumerate_some(doubles), "give each item a SKU of its own")
    if without := [item.name for item in items if not item.sku]:
        yield Finding(
            "items without SKU",
            message("{n}: {names}", n=len(without), names=enumerate_some(without)),
            "enter SKUs, or leave these items out with products.filter",
        )
    letters = sorted(sku for sku in counted if sku and find_own_number(sku) is None)
    if letters and deps.settings.products.sku_with_letters == "reject":
        yield Finding(
            "SKUs that are no number",
            message("{n}: {names}", n=len(letters), names=enumerate_some(letters)),
            'enter SKUs of at most 18 digits, or set products.sku_with_letters = "allocate"',
        )


OF_SETTINGS: Final[tuple[Check[Deps], ...]] = (
    Check("settings", settings.check_books, frozenset({BOOKS})),
    Check("settings", settings.check_till, frozenset({TILL})),
    Check("mapping", settings.check_both, frozenset({BOOKS, TILL})),
)
"""The checks that a settings document has to pass before it is put in force, too."""

ALL: Final[tuple[Check[Deps], ...]] = (
    Check(TILL, check_till),
    Check(BOOKS, check_books),
    Check("items", check_items, frozenset({BOOKS})),
    *OF_SETTINGS,
    Check("products.turnover_group", settings.check_turnover_groups, frozenset({BOOKS, TILL})),
)

PARTS: Final[Mapping[str, Callable[[Event, Deps], Result]]] = {
    requests.LISTS: lambda _, deps: settings.refresh_lists(deps),
    requests.SETTINGS: check_draft,
    requests.IN_FORCE: check_in_force,
}
"""What a request may name, and how only that is checked."""

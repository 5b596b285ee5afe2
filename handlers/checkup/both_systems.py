"""Checks of both systems: logins, company, VAT, numbers, closed periods, accounts, branches; and items of the books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta

from gateway.connectors.quickbooks.calls import is_last_page
from gateway.errors import AuthLost, NotConnected
from gateway.findings import Finding, enumerate_some
from gateway.store import links, tokens
from gateway.store.links import LinkKind
from gateway.store.requests import ARTICLES
from handlers.deps import Deps
from mapping import products
from mapping.choices import MONEY
from mapping.errors import MappingError, NotBookable
from mapping.items import find_own_number, is_own
from mapping.messages import message
from mapping.records import CompanyProfile, Item

SKEW = timedelta(seconds=30)
_OTHER_KIND = (
    "connect QuickBooks again; if that does not help, the app's keys are of another environment than the company: "
    "compare QUICKBOOKS_ENVIRONMENT with the tab of Intuit's portal the keys come from"
)
_NOT_OF_THE_KEYS = frozenset({"120", "6190"})
"""Faults of the user who connected, and of the subscription: no other keys and no other environment help."""


def look_at_books(deps: Deps) -> Iterator[Finding]:
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


def look_at_till(deps: Deps) -> Iterator[Finding]:
    """Call the till; raises the error that explains a refusal. The WSDL needs no login, the first call does."""
    yield Finding("MplusKASSA", message("answers, version {version}", version=deps.till.api_version().service))
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


def look_at_items(deps: Deps) -> Iterator[Finding]:
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

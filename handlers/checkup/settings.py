"""The lists of both systems: stored to choose from, and searched for what the settings, or the other system, name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Final

from gateway.connectors.quickbooks.client import ListEntity
from gateway.errors import GatewayError
from gateway.findings import Finding, enumerate_some
from gateway.store import connections
from handlers.catalogue import categories
from handlers.deps import Deps
from handlers.references import goods
from handlers.result import Result, done, with_content
from mapping import control, list_entries
from mapping.choices import BY_CATEGORY, BY_VAT_CODE, MONEY, ListName, ListOption, catch, first_groups
from mapping.control import Caught, Control, ControlQuestion
from mapping.errors import MappingError
from mapping.messages import message
from mapping.records import ArticleGroup, ListEntry, TaxCode, VatGroup
from mapping.sections import MappingSettings
from mapping.settings_document import KEEP_STOCK, LOSES_STOCK
from mapping.vat_table import NO_CATEGORY, SALES_GROUPS, find_category_row

_LISTS: Mapping[str, ListEntity] = {
    "payment_methods": "PaymentMethod",
    "deposit_accounts": "Account",
    "departments": "Department",
    "classes": "Class",
    "terms": "Term",
    "income_accounts": "Account",
}
"""Setting of the mapping section to the books' list that contains its values."""
_ABSENT: Mapping[ListEntity, str] = {
    "PaymentMethod": "QuickBooks has no active payment method {name}",
    "Account": "QuickBooks has no active account {name}",
    "Department": "QuickBooks has no active location {name}",
    "Class": "QuickBooks has no active class {name}",
    "Term": "QuickBooks has no active term {name}",
}


def check_books(deps: Deps) -> Iterator[Finding]:
    mapped = deps.settings.mapping
    for name in deps.settings.orders.retired:
        yield Finding(
            message("orders.{name}", name=name),
            "this setting was taken out and does nothing",
            message("take orders.{name} out", name=name),
        )
    if deps.settings.loses_stock:
        yield Finding("orders.summary", LOSES_STOCK, KEEP_STOCK)
    for setting, entity in _LISTS.items():
        yield from _look_at_list(setting, entity, named(getattr(mapped, setting)), deps)
    for setting in ("order_deposit_account", "clearing_account"):
        account = getattr(mapped, setting)
        yield from _look_at_list(setting, "Account", [account] if account else [], deps)
    yield from _look_at_tax_codes(mapped, deps)
    yield from _look_at_categories(deps)
    looks = (goods.special_items, partial(goods.settings_item, "fallback"), goods.summary_item)
    refused: list[Finding] = []
    for look in looks:
        try:
            look(deps)
        except MappingError as error:
            refused.append(Finding(error.field or "items", error.reason, error.fix or ""))
    yield from dict.fromkeys(refused)


def _missing(subject: str, said: str) -> Finding:
    return Finding(subject, said, message("correct {subject}", subject=subject))


def named(control: Control) -> list[str]:
    return sorted({v for v in (*control.table.values(), control.value, control.fallback) if v})


def _look_at_list(setting: str, entity: ListEntity, wanted: list[str], deps: Deps) -> Iterator[Finding]:
    currency = deps.settings.products.currency
    entries = [entry for entry in deps.lists.entries(entity) if entry.active] if wanted else []
    by_id = {entry.id: entry for entry in entries}
    for name in wanted:
        found = by_id.get(name) or list_entries.named(name, entries)
        subject = f"mapping.{setting}"
        if found is None:
            yield Finding(
                subject,
                message(_ABSENT[entity], name=name),
                message("make it there, or correct {subject}", subject=subject),
            )
        elif setting == "deposit_accounts" and found.type not in MONEY:
            yield Finding(
                subject,
                message("{name} is of type {type}", name=name, type=found.type),
                "name an account of type Bank or Other Current Asset",
            )
        elif found.currency not in (None, currency):
            yield Finding(
                subject,
                message("{name} keeps {currency}", name=name, currency=found.currency),
                message("name an account that keeps {currency}", currency=currency),
            )


def _look_at_tax_codes(mapped: MappingSettings, deps: Deps) -> Iterator[Finding]:
    wanted: dict[str, list[str]] = {
        "mapping.tax_codes": named(mapped.tax_codes),
        "mapping.shifted_tax_code": [mapped.shifted_tax_code] if mapped.shifted_tax_code else [],
        "mapping.no_vat_tax_code": [mapped.no_vat_tax_code] if mapped.no_vat_tax_code else [],
    }
    known = {text for c in deps.lists.tax_codes(deps.now().date()) if c.active for text in (c.id, c.name)}
    for subject, names in wanted.items():
        for name in names:
            if name not in known:
                yield _missing(subject, message("QuickBooks has no active tax code {name}", name=name))


def _look_at_categories(deps: Deps) -> Iterator[Finding]:
    wanted = deps.settings.products.turnover_group_by_category.table
    known = {NO_CATEGORY}
    for each in deps.books.categories() if wanted else ():
        known |= {each.id, each.name.casefold(), ":".join((*each.categories, each.name)).casefold()}
    for name in wanted:
        if name.strip().casefold() not in known:
            yield _missing(BY_CATEGORY, message("QuickBooks has no category {name}", name=name))


def check_till(deps: Deps) -> Iterator[Finding]:
    """Every branch, code, group and way to pay in the settings that the till does not have."""
    yield from _look_at_branches(deps)
    yield from _look_at_tenders(deps)
    yield from _look_at_numbers(deps)
    root = deps.settings.categories.root_group
    if root and all(each.number != root for each in categories.flatten(deps.till.article_groups())):
        subject = "categories.root_group"
        yield _missing(subject, message("the till has no article group {group}", group=root))


def _look_at_numbers(deps: Deps) -> Iterator[Finding]:
    """The VAT codes and turnover groups that new articles get."""
    products = deps.settings.products
    codes = {str(group.code) for group in deps.lists.vat_groups()}
    groups = {str(each.number) for each in deps.lists.turnover_groups()}
    one = [] if products.turnover_group is None else [str(products.turnover_group)]
    for subject, text in [
        *(("products.vat", text) for text in named(products.vat)),
        *((BY_VAT_CODE, text) for text in products.turnover_group_by_vat_code.table),
    ]:
        if text not in codes:
            yield Finding(
                subject,
                message("the till has no VAT code {text}", text=text),
                message("use one of its codes: {shown}", shown=", ".join(sorted(codes, key=int))),
            )
    for subject, text in [
        *(("products.turnover_group", text) for text in one),
        *((BY_CATEGORY, text) for text in named(products.turnover_group_by_category)),
        *((BY_VAT_CODE, text) for text in named(products.turnover_group_by_vat_code)),
    ]:
        if groups and text not in groups:
            yield _missing(subject, message("the till has no turnover group {group}", group=text))


def check_turnover_groups(deps: Deps) -> Iterator[Finding]:
    """Ask for the turnover groups of new articles where the till has several and the settings do not choose."""
    products = deps.settings.products
    groups = [each for each in deps.lists.turnover_groups() if each.type in SALES_GROUPS]
    if not products.enabled or not groups[1:]:
        return
    codes = [ListOption(str(code), str(code)) for code in sorted({each.code for each in deps.lists.vat_groups()})]
    options = [ListOption(str(each.number), each.name, vat_code=each.vat_code) for each in groups]
    lists = {ListName.TURNOVER_GROUPS: options, ListName.VAT_CODES: codes}
    undecided = first_groups(lists, products.turnover_group_by_vat_code)
    is_begun = products.turnover_group_by_category != Control(on_miss="skip")
    open_ = _without_group(deps) if is_begun and undecided else []
    if products.turnover_group is not None or not undecided or (is_begun and not open_):
        return
    given = ", ".join(dict.fromkeys(f"{group.id} · {group.name}" for _, group in undecided))
    if open_:
        said = message(
            "no turnover group is chosen for {names}: their new articles get the first one of their VAT code ({given})",
            names=enumerate_some(open_),
            given=given,
        )
    else:
        said = message(
            "no turnover group is chosen: new articles get the first one of their VAT code ({given})", given=given
        )
    yield Finding(
        "products.turnover_group",
        said,
        "choose under Mapping which turnover group new articles get, by category or VAT code",
        is_question=True,
    )


def _without_group(deps: Deps) -> list[str]:
    """The categories, and the items without one, for which the settings choose no turnover group."""
    chosen = deps.settings.products.turnover_group_by_category
    if chosen.mode == "rule":
        return []  # a rule decides for each item
    open_ = []
    paths = [((*each.categories, each.name), each.id) for each in deps.books.categories() if each.active]
    for path, category_id in [*paths, ([], None)]:
        key, _ = find_category_row(path, chosen, category_id)
        answer = catch(chosen, key, None)
        if answer.value is None and answer.by is not Caught.NOTHING:  # then a person is asked about each item
            open_.append(":".join(path) or NO_CATEGORY)
    return open_


def _look_at_branches(deps: Deps) -> Iterator[Finding]:
    stock, products, mapped = deps.settings.stock, deps.settings.products, deps.settings.mapping
    branches = {str(branch.number) for branch in deps.lists.branches()}
    named_at: Mapping[str, Iterable[object]] = {
        "stock.branches": stock.branches,
        "stock.main_branch": [stock.main_branch],
        "products.vat_branch": [products.vat_branch],
        "mapping.departments": mapped.departments.table,
        "mapping.classes": mapped.classes.table,
    }
    for subject, numbers in named_at.items():
        for number in numbers:
            if number is not None and str(number) not in branches:
                yield _missing(subject, message("the till has no branch {number}", number=number))


def _look_at_tenders(deps: Deps) -> Iterator[Finding]:
    """Ways to pay are named by their code at the till: another name never matches."""
    mapped = deps.settings.mapping
    named_at: Mapping[str, tuple[Iterable[str], Callable[[str, str], bool]]] = {
        "mapping.payment_methods": (mapped.payment_methods.table, _is_row_of),
        "mapping.deposit_accounts": (mapped.deposit_accounts.table, _is_row_of),
        "mapping.gift_card_tenders": (mapped.gift_card_tenders, str.__eq__),
    }
    if not any(wanted for wanted, _ in named_at.values()):
        return
    known = sorted(method.code for method in deps.lists.payment_methods())
    for subject, (wanted, fits) in named_at.items():
        for code in wanted:
            if known and not any(fits(code, each) for each in known):
                yield Finding(
                    subject,
                    message('the till has no payment method with the code "{code}"', code=code),
                    message("use one of its codes: {shown}", shown=", ".join(known)),
                )


def _is_row_of(name: str, code: str) -> bool:
    """Whether the row of a table is found by a code, see `mapping.rules.find_row`."""
    return name.strip().casefold() == code.strip().casefold()


def check_both(deps: Deps) -> Iterator[Finding]:
    known = [code for code in deps.lists.tax_codes(deps.now().date()) if code.active]
    for rate in sorted({group.percentage for group in deps.lists.vat_groups()}):
        yield _look_at_rate(rate, known, deps)
    yield from _match_tenders(deps)
    yield from _match_branches(deps)


def _look_at_rate(rate: Decimal, known: list[TaxCode], deps: Deps) -> Finding:
    plain = f"{rate.normalize():f}"
    subject, rule = f"VAT {plain} %", deps.settings.mapping.tax_codes
    if rule.mode == "rule":
        return Finding(subject, "a rule of the settings chooses for each sale")
    same = next((code.id for code in known if code.percentage == rate), None)
    try:
        chosen = control.resolve(rule, ControlQuestion(setting="mapping.tax_codes", key=plain, automatic=same)).value
    except MappingError:
        chosen = None
    found = next((code for code in known if chosen in {code.id, code.name}), None)
    if found is None:
        return Finding(
            subject,
            "QuickBooks has no active tax code of this rate",
            "make one in QuickBooks, or map the rate in mapping.tax_codes",
        )
    if found.percentage not in (None, rate):  # the books may not say: NON of an American company
        said = message("is booked on {name}, a code of {percentage} %", name=found.name, percentage=found.percentage)
        return Finding(subject, said, "correct mapping.tax_codes: totals would not be the till's")
    return Finding(subject, "QuickBooks has a tax code of this rate")


def _match_tenders(deps: Deps) -> Iterator[Finding]:
    mapped = deps.settings.mapping
    if mapped.create_payment_methods or mapped.payment_methods.mode != "default":
        return
    known = deps.lists.read("PaymentMethod")
    for method in known.till_methods:
        try:
            list_entries.payment_method(method.code, known, mapped)
        except MappingError as error:
            yield Finding(
                message("payment method {code}", code=method.code), "QuickBooks has none of this name", error.fix or ""
            )


def _match_branches(deps: Deps) -> Iterator[Finding]:
    known = deps.lists.read("Department")
    for branch in known.branches if known.company.tracks_departments else ():
        subject = f"branch {branch.number}"
        try:
            found = list_entries.department(branch.number, known, deps.settings.mapping)
        except MappingError as error:
            yield Finding(subject, message("no location is called {name}", name=branch.name), error.fix or "")
            continue
        if found is None:
            yield Finding(
                subject, message("no location is called {name}: its sales are booked without one", name=branch.name)
            )


def store_lists(deps: Deps) -> dict[ListName, str]:
    """Read and store every list; returns those that could not be read, with the reason: they stay as they were."""
    troubles: dict[ListName, str] = {}
    for name, read in _OPTIONS.items():
        try:
            options = list(read(deps))
        except GatewayError as error:
            troubles[name] = error.reason
            continue
        deps.write(connections.save_list, name, options)
    return troubles


def refresh_lists(deps: Deps) -> Result:
    """As a person's request: read everything anew; the result on the row are the lists that could not be read."""
    deps.lists.forget_older_than(0)
    troubles = store_lists(deps)
    read = len(_OPTIONS) - len(troubles)
    return with_content(done(message("{read} of {all} lists were read", read=read, all=len(_OPTIONS))), troubles)


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


_OPTIONS: Final[Mapping[ListName, Callable[[Deps], Iterable[ListOption]]]] = {
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
        ListOption(each.id, each.name, full=":".join((*each.categories, each.name)))
        for each in deps.books.categories()
        if each.active
    ),
    ListName.COMPANY: _company,
}

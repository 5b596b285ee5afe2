"""Store the lists of both systems that people choose from on the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from gateway.errors import GatewayError
from gateway.store import systems
from gateway.store.session import writing
from handlers.deps import Deps
from handlers.result import Result, done, telling
from mapping.choices import ListName, ListOption
from mapping.messages import message
from mapping.records import ArticleGroup, ListEntry, VatGroup


def store(deps: Deps) -> dict[ListName, str]:
    """Read and store every list; returns those that could not be read, with the reason: they stay as they were."""
    troubles: dict[ListName, str] = {}
    for name, read in _LISTS.items():
        try:
            options = list(read(deps))
        except GatewayError as error:
            troubles[name] = error.reason
            continue
        with writing(deps.engine) as session:
            systems.save_list(session, deps.connection, name, options)
    return troubles


def refresh(deps: Deps) -> Result:
    """As a person's request: read everything anew; the result on the row are the lists that could not be read."""
    deps.lists.forget_older_than(0)
    troubles = store(deps)
    read = len(_LISTS) - len(troubles)
    return telling(done(message("{read} of {all} lists were read", read=read, all=len(_LISTS))), troubles)


def _entries(found: Iterable[ListEntry]) -> Iterator[ListOption]:
    for entry in found:
        if entry.active:
            yield ListOption(entry.id, entry.name, full=entry.full_name, kind=entry.type, days=entry.due_days)


def _tax_codes(deps: Deps) -> Iterator[ListOption]:
    for code in deps.lists.tax_codes(deps.now().date()):
        if code.active:
            yield ListOption(code.id, code.name, rate=code.percentage)


def _vat_codes(groups: Iterable[VatGroup]) -> Iterator[ListOption]:
    """A code with its rate; where branches differ it has none, and its name says them."""
    rates = {code: {each.percentage for each in groups if each.code == code} for code in {g.code for g in groups}}
    for code, some in sorted(rates.items()):
        name = " / ".join(f"{rate.normalize():f} %" for rate in sorted(some))
        yield ListOption(str(code), name, rate=next(iter(some)) if len(some) == 1 else None)


def _turnover_groups(deps: Deps) -> Iterator[ListOption]:
    for group in sorted(deps.lists.turnover_groups(), key=lambda group: group.number):
        yield ListOption(str(group.number), group.name, kind=group.type, vat_code=group.vat_code)


def _article_groups(groups: Iterable[ArticleGroup], above: str = "") -> Iterator[ListOption]:
    for group in groups:
        if not group.deleted:
            full = f"{above}{group.name}"
            yield ListOption(str(group.number), group.name, full=full)
            yield from _article_groups(group.subgroups, f"{full} / ")


_LISTS: Final[Mapping[ListName, Callable[[Deps], Iterable[ListOption]]]] = {
    ListName.TAX_CODES: _tax_codes,
    ListName.ACCOUNTS: lambda deps: _entries(deps.lists.entries("Account")),
    ListName.PAYMENT_METHODS: lambda deps: _entries(deps.lists.entries("PaymentMethod")),
    ListName.LOCATIONS: lambda deps: _entries(deps.lists.entries("Department")),
    ListName.CLASSES: lambda deps: _entries(deps.lists.entries("Class")),
    ListName.TERMS: lambda deps: _entries(deps.lists.entries("Term")),
    ListName.VAT_CODES: lambda deps: _vat_codes(deps.lists.vat_groups()),
    ListName.TENDERS: lambda deps: (ListOption(m.code, m.description) for m in deps.lists.payment_methods()),
    ListName.BRANCHES: lambda deps: (ListOption(str(each.number), each.name) for each in deps.lists.branches()),
    ListName.TURNOVER_GROUPS: _turnover_groups,
    ListName.ARTICLE_GROUPS: lambda deps: _article_groups(deps.till.article_groups()),
}

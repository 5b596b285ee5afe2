"""The small lists of both systems (tax codes, payment methods, branches ...), read once and cached for a while.

Reads of the books are metered, so a sale must not cost one. A missing entry is searched once more in fresh copies
before a person is asked: see `forget_older_than`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar, cast

from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.connectors.mpluskassa.faults import MissingOperation
from gateway.connectors.quickbooks.client import ListEntity, QuickBooks
from mapping import list_entries
from mapping.list_entries import KnownLists
from mapping.records import Branch, CompanyProfile, Item, ListEntry, TaxCode, TillPaymentMethod, TurnoverGroup, VatGroup

KEEP_SECONDS = 4 * 3600.0
LISTS_SECONDS = 24 * 3600.0
"""For the metered lists of the books: what is missing there, or refused, is read again at once."""
ITEMS_AT_ONCE = 200
"""What one metered read answers."""
RATES_SECONDS = 60.0
"""For the till's VAT rates: a read costs only a call, and an outdated rate would make wrong prices."""
_T = TypeVar("_T")


@dataclass
class _Kept:
    value: Any
    read_at: float


class Lists:
    """Cached lists of one connection, shared by all threads of a process."""

    def __init__(self, books: QuickBooks, till: MplusKassa, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._books = books
        self._till = till
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._sold: set[str] = set()
        self._lock = threading.RLock()

    def read(self, *wanted: str, on: date | None = None) -> KnownLists:
        """These lists of the books, as far as the company keeps them, and the till's; tax codes of the day `on`."""
        company = self.company()
        kept = {"Department": company.tracks_departments, "Class": company.tracks_classes}
        return KnownLists(
            company,
            self.branches(),
            self.payment_methods() if "PaymentMethod" in wanted else (),
            self.tax_codes(on) if on else (),
            {kind: self.entries(cast("ListEntity", kind)) for kind in wanted if kept.get(kind, True)},
        )

    def company(self) -> CompanyProfile:
        """The company's preferences, and its name and country, which are read once a day."""
        return self._get("company", self._read_company)

    def _read_company(self) -> CompanyProfile:
        named = cast("CompanyProfile", self._kept["name"].value) if self._is_fresh("name", LISTS_SECONDS) else None
        profile = self._books.company(named)
        if named is None:
            self._kept["name"] = _Kept(profile, self._clock())
        return profile

    def tax_codes(self, on: date) -> tuple[TaxCode, ...]:
        """The books' tax codes with the rates in force on a day."""
        codes: tuple[TaxCode, ...] = self._get("tax_codes", self._books.tax_table, keep=LISTS_SECONDS).on(on)
        return list_entries.with_untaxed(codes, self.company())

    def entries(self, kind: ListEntity) -> tuple[ListEntry, ...]:
        """A small list of the books: PaymentMethod, Department, Class, Term, Account."""
        return self._get(kind, lambda: self._books.entries(kind), keep=LISTS_SECONDS)

    def stocked(self, item_ids: Collection[str], *, quiet: Collection[str] = ()) -> frozenset[str]:
        """The items among these whose quantity the books keep; nobody told of a change of a `quiet` one for a day.

        A read of one takes along those asked for before that would need a read of their own before long.
        """
        with self._lock:
            names = {each: f"item {each}" for each in item_ids}
            keep = {each: LISTS_SECONDS if each in quiet else KEEP_SECONDS for each in names}
            unknown = [each for each, name in names.items() if not self._is_fresh(name, keep[each])]
            if unknown:
                soon = sorted(each for each in self._sold if not self._is_fresh(f"item {each}", KEEP_SECONDS / 2))
                unknown += [each for each in soon if each not in names][: max(0, ITEMS_AT_ONCE - len(unknown))]
                read = {item.id: item.track_stock for item in self._books.items_by_ids(unknown)}
                self._kept |= {f"item {each}": _Kept(read.get(each, False), self._clock()) for each in unknown}
            self._sold |= names.keys()
            return frozenset(each for each, name in names.items() if self._kept[name].value)

    def note_stocked(self, item: Item, *, sold: bool = False) -> None:
        """Keep whether the books keep the quantity of this item, which was just read; `sold`: for a sale."""
        with self._lock:
            if sold:
                self._sold.add(item.id)
            self._kept[f"item {item.id}"] = _Kept(item.track_stock, self._clock())

    def vat_groups(self) -> tuple[VatGroup, ...]:
        """The till's VAT codes and rates of all branches."""
        return self._get("vat_groups", lambda: tuple(self._till.vat_groups()), keep=RATES_SECONDS)

    def turnover_groups(self) -> tuple[TurnoverGroup, ...]:
        """The till's turnover groups; empty if the installation does not return them."""
        return self._get("turnover_groups", self._turnover_groups)

    def _turnover_groups(self) -> tuple[TurnoverGroup, ...]:
        try:
            return self._till.turnover_groups()
        except MissingOperation:
            return ()

    def branches(self) -> tuple[Branch, ...]:
        return self._get("branches", lambda: tuple(self._till.branches()))

    def known_branches(self) -> tuple[Branch, ...]:
        """The till's branches if they were read before; no call is made for them, and none is waited for."""
        kept = self._kept.get("branches")
        return cast("tuple[Branch, ...]", kept.value) if kept else ()

    def known_rates(self, on: date) -> dict[str, Decimal | None]:
        """The rates of the books' tax codes, by their ids, if they were read before; no call is made for them.

        None is waited for either: this is asked inside a transaction, and the call of another thread, which holds the
        lock, may wait for that transaction to end.
        """
        kept = self._kept.get("tax_codes")
        return {code.id: code.percentage for code in kept.value.on(on)} if kept else {}

    def payment_methods(self) -> tuple[TillPaymentMethod, ...]:
        return self._get("payment_methods", lambda: tuple(self._till.payment_methods()))

    def forget(self, name: str) -> None:
        """Read this list again next time (an entry was added); `name` as in `entries`."""
        with self._lock:
            self._kept.pop(name, None)

    def read_again(self, kind: ListEntity) -> tuple[ListEntry, ...]:
        """The entries as they are now: one was added by another process."""
        self.forget(kind)
        return self.entries(kind)

    def add(self, kind: ListEntity, entry: ListEntry) -> None:
        """Add an entry that was just created, to save a metered read."""
        with self._lock:
            if kept := self._kept.get(kind):
                self._kept[kind] = _Kept((*cast("tuple[ListEntry, ...]", kept.value), entry), kept.read_at)

    def forget_older_than(self, seconds: float) -> bool:
        """Drop what was read longer ago than this; True if something was dropped, so that a second look-up may help."""
        with self._lock:
            old = [name for name, kept in self._kept.items() if self._clock() - kept.read_at >= seconds]
            for name in old:
                del self._kept[name]
            return bool(old)

    def _get(self, name: str, read: Callable[[], _T], *, keep: float = KEEP_SECONDS) -> _T:
        with self._lock:
            if not self._is_fresh(name, keep):
                self._kept[name] = _Kept(read(), self._clock())
            return cast("_T", self._kept[name].value)

    def _is_fresh(self, name: str, keep: float = KEEP_SECONDS) -> bool:
        kept = self._kept.get(name)
        return kept is not None and self._clock() - kept.read_at <= keep

"""The lists of both systems that people choose from, and what fits by name, rate or days. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from enum import StrEnum
from functools import cached_property
from typing import Final

_ALIKE: Final = 0.72
_COMPARED: Final = 4
_LETTERS: Final = 256  # fewer, and two letters of one name would share a bit
_SAME: Final = (
    frozenset({"pin", "pinnen", "maestro", "debit", "debit card", "ec", "girocard", "bankkaart", "bank card"}),
    frozenset({"contant", "contanten", "cash", "bar", "kas", "bargeld", "kassa"}),
    frozenset({"creditcard", "credit card", "kreditkarte", "visa", "mastercard"}),
    frozenset({"op rekening", "rekening", "rechnung", "on account", "invoice", "auf rechnung"}),
    frozenset({"cadeaubon", "cadeaukaart", "gift card", "gutschein", "geschenkkarte", "voucher"}),
    frozenset({"overboeking", "bank transfer", "ueberweisung", "überweisung", "bank"}),
)
"""Words for the same kind of payment in the languages of the shops."""


class ListName(StrEnum):
    """The lists, by the names under which they are stored."""

    TAX_CODES = "tax_codes"
    ACCOUNTS = "accounts"
    PAYMENT_METHODS = "payment_methods"
    LOCATIONS = "locations"
    CLASSES = "classes"
    TERMS = "terms"
    VAT_CODES = "till_vat_codes"
    TENDERS = "till_tenders"
    BRANCHES = "till_branches"
    TURNOVER_GROUPS = "till_turnover_groups"
    ARTICLE_GROUPS = "till_article_groups"
    CATEGORIES = "categories"
    COMPANY = "company"
    """One row: the company of the books."""


@dataclass(frozen=True, slots=True)
class ListOption:
    """An active row of a list. `id` is its id in the system; the rest is known of some lists only.

    `full` names what it is below, too; `rate` is a percentage, `kind` the type of an account or turnover group, `days`
    the length of a term, `vat_code` the VAT code of a turnover group.
    """

    id: str
    name: str
    full: str | None = None
    rate: Decimal | None = None
    kind: str | None = None
    days: int | None = None
    vat_code: int | None = None


@dataclass(frozen=True, slots=True)
class Spelled:
    """A name as it is compared: capitals and space aside, its words, the kinds of payment it means, its letters.

    Each letter is a bit, its second occurrence another one; letters that share a bit are counted as one letter, so that
    two names never share fewer bits than letters.
    """

    name: str
    words: frozenset[str]
    kinds: tuple[frozenset[str], ...]
    letters: int

    @classmethod
    def of(cls, name: str) -> Spelled:
        plain, letters = _plain(name), 0
        bits = [ord(letter) % _LETTERS for letter in plain]
        for place, bit in enumerate(bits):
            letters |= 1 << (bit + _LETTERS * bits[:place].count(bit))
        return cls(plain, frozenset(plain.split()), tuple(group for group in _SAME if plain in group), letters)


class Options(tuple[ListOption, ...]):  # noqa: SLOT001 - what was found out is kept beside the rows
    """The rows of a list, with what finds one among hundreds as fast as among few."""

    @cached_property
    def by_id(self) -> Mapping[str, ListOption]:
        return {each.id: each for each in reversed(self)}

    @cached_property
    def by_name(self) -> Mapping[str, ListOption]:
        """Capitals and surrounding space aside; of several of a name the first."""
        return {_plain(each.name): each for each in reversed(self)}

    @cached_property
    def spelled(self) -> Sequence[Spelled]:
        return [Spelled.of(each.name) for each in self]


def find(chosen: str | None, options: Iterable[ListOption]) -> ListOption | None:
    """The row that a value of the settings means: an id or a name."""
    if chosen is None:
        return None
    known = _index(options)
    return known.by_id.get(chosen) or (named(chosen, known) if chosen else None)


def named(name: str, options: Iterable[ListOption]) -> ListOption | None:
    """The row of this name, capitals and surrounding space aside."""
    return _index(options).by_name.get(_plain(name))


def _index(options: Iterable[ListOption]) -> Options:
    return options if isinstance(options, Options) else Options(options)


def of_rate(rate: Decimal | None, options: Iterable[ListOption]) -> ListOption | None:
    """The row of this rate; of several the oldest."""
    same = [each for each in options if rate is not None and each.rate == rate]
    return min(same, key=lambda each: (len(each.id), each.id), default=None)


def to_value(option: ListOption, options: Iterable[ListOption]) -> str:
    """How the settings name this row: by its name, or by its id where the name does not say which one."""
    found = [each for each in options if _plain(each.name) == _plain(option.name) or each.id == option.name]
    return option.name if found == [option] and option.name.strip() else option.id


def propose(name: str, options: Iterable[ListOption]) -> ListOption | None:
    """The row whose name is most like this one, or means the same kind of payment; None if none is."""
    wanted = Spelled.of(name)
    if not wanted.name:
        return None
    known = _index(options)
    likeness = [_likeness(wanted, each) for each in known.spelled]
    # No name is more alike than its letters are: of hundreds a few are compared letter by letter.
    least, letters, length = max([_ALIKE, *likeness]), wanted.letters, len(wanted.name)
    close = [
        (bound, -place)
        for place, each in enumerate(known.spelled)
        if (bound := 2 * (letters & each.letters).bit_count() / (length + len(each.name))) >= least
    ]
    for _, place in heapq.nlargest(_COMPARED, close):
        ratio = SequenceMatcher(None, wanted.name, known.spelled[-place].name).ratio()
        likeness[-place] = likeness[-place] or ratio
    best = max(range(len(known)), key=likeness.__getitem__, default=None)
    return known[best] if best is not None and likeness[best] >= _ALIKE else None


def _likeness(wanted: Spelled, other: Spelled) -> float:
    """Of what needs no comparison of letters: the same kind of payment, or all words of the one in the other."""
    if wanted.kinds and any(other.name in group for group in wanted.kinds):
        return 1.0
    return 0.9 if other.name and (wanted.words <= other.words or other.words <= wanted.words) else 0.0


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()

"""The lists of both systems that people choose from, and what fits by name, rate or days. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

_ALIKE: Final = 0.72
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


def find(chosen: str | None, options: Iterable[ListOption]) -> ListOption | None:
    """The row that a value of the settings means: an id or a name."""
    known = list(options)
    by_id = next((each for each in known if each.id == chosen), None)
    return by_id or (named(chosen, known) if chosen else None)


def named(name: str, options: Iterable[ListOption]) -> ListOption | None:
    """The row of this name, capitals and surrounding space aside."""
    wanted = _plain(name)
    return next((each for each in options if _plain(each.name) == wanted), None)


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
    wanted = _plain(name)
    if not wanted:
        return None
    ranked = [(_likeness(wanted, _plain(each.name)), each) for each in options]
    likeness, best = max(ranked, key=lambda pair: pair[0], default=(0.0, None))
    return best if likeness >= _ALIKE else None


def _likeness(wanted: str, name: str) -> float:
    if any(wanted in group and name in group for group in _SAME):
        return 1.0
    if name and (set(wanted.split()) <= set(name.split()) or set(name.split()) <= set(wanted.split())):
        return 0.9
    return SequenceMatcher(None, wanted, name).ratio()


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()

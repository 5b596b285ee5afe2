"""The lists of both systems that people choose from, and which row the settings, or a name or rate, make of a value."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import SequenceMatcher
from enum import StrEnum
from functools import cached_property
from typing import Final, Literal, TypeAlias

from mapping.control import Caught, Control, ControlAnswer, ControlQuestion, resolve
from mapping.errors import MappingError
from mapping.rules import find_row
from mapping.vat_table import NO_CATEGORY, SALES_GROUPS, find_category_row

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
        spelled, letters = plain(name), 0
        bits = [ord(letter) % _LETTERS for letter in spelled]
        for place, bit in enumerate(bits):
            letters |= 1 << (bit + _LETTERS * bits[:place].count(bit))
        return cls(spelled, frozenset(spelled.split()), tuple(group for group in _SAME if spelled in group), letters)


class Options(tuple[ListOption, ...]):  # noqa: SLOT001 - what was found out is kept beside the rows
    """The rows of a list, with what finds one among hundreds as fast as among few."""

    @cached_property
    def by_id(self) -> Mapping[str, ListOption]:
        return {each.id: each for each in reversed(self)}

    @cached_property
    def by_spelling(self) -> Mapping[str, ListOption]:
        return {each.name: each for each in reversed(self)}

    @cached_property
    def by_name(self) -> Mapping[str, ListOption]:
        """Capitals and surrounding space aside; of several of a name the first."""
        return {plain(each.name): each for each in reversed(self)}

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
    """The row of this name: spelled exactly so, else capitals and space aside."""
    known = _index(options)
    return known.by_spelling.get(name) or known.by_name.get(plain(name))


def _index(options: Iterable[ListOption]) -> Options:
    return options if isinstance(options, Options) else Options(options)


def of_rate(rate: Decimal | None, options: Iterable[ListOption]) -> ListOption | None:
    """The row of this rate; of several the oldest."""
    same = [each for each in options if rate is not None and each.rate == rate]
    return min(same, key=lambda each: (len(each.id), each.id), default=None)


def to_value(option: ListOption, options: Iterable[ListOption]) -> str:
    """How the settings name this row: by its name, or by its id where the name does not say which one."""
    found = [each for each in options if plain(each.name) == plain(option.name) or each.id == option.name]
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


def plain(name: str) -> str:
    """A name as it is compared: capitals aside, and how much space stands around and within it."""
    return " ".join(name.split()).casefold()


# --- what the settings make of a value -------------------------------------------------------------------------------

BY_CATEGORY: Final = "products.turnover_group_by_category"
BY_VAT_CODE: Final = "products.turnover_group_by_vat_code"
MONEY: Final = ("Bank", "Other Current Asset")
INCOME: Final = ("Income", "Other Income")
_OPEN: Final = (Caught.NOTHING, Caught.LEFT_OUT, Caught.FALLBACK)
Lists: TypeAlias = Mapping[ListName, Sequence[ListOption]]


@dataclass(frozen=True, slots=True)
class MappedSetting:
    """A setting that maps values of one system to a list of the other one. `kinds`: only accounts of these types.

    `found_by`: by what the gateway finds the choice without being told; "tax code" is by the rate of that code.
    """

    path: str
    sources: ListName | None
    targets: ListName
    kinds: tuple[str | None, ...] = ()
    found_by: Literal["name", "rate", "days", "tax code"] | None = None

    def offered(self, lists: Lists) -> Options:
        known = lists.get(self.targets, ())
        if not self.kinds and isinstance(known, Options):
            return known
        return Options(each for each in known if not self.kinds or each.kind in self.kinds)

    def to_value(self, option: ListOption, options: Iterable[ListOption]) -> str:
        """How the settings name this choice: the till's lists are known by their numbers."""
        return option.id if self.targets.startswith("till_") else to_value(option, options)


CONTROLS: Final = (
    MappedSetting("mapping.tax_codes", ListName.VAT_CODES, ListName.TAX_CODES, found_by="rate"),
    MappedSetting("mapping.payment_methods", ListName.TENDERS, ListName.PAYMENT_METHODS, found_by="name"),
    MappedSetting("mapping.deposit_accounts", ListName.TENDERS, ListName.ACCOUNTS, MONEY),
    MappedSetting("mapping.departments", ListName.BRANCHES, ListName.LOCATIONS, found_by="name"),
    MappedSetting("mapping.classes", ListName.BRANCHES, ListName.CLASSES, found_by="name"),
    MappedSetting("mapping.income_accounts", ListName.TURNOVER_GROUPS, ListName.ACCOUNTS, INCOME),
    MappedSetting("mapping.terms", None, ListName.TERMS, found_by="days"),
    MappedSetting("products.vat", ListName.TAX_CODES, ListName.VAT_CODES, found_by="tax code"),
    MappedSetting(BY_CATEGORY, ListName.CATEGORIES, ListName.TURNOVER_GROUPS, SALES_GROUPS),
    MappedSetting(BY_VAT_CODE, ListName.VAT_CODES, ListName.TURNOVER_GROUPS, SALES_GROUPS),
)
SINGLES: Final = (
    MappedSetting("products.turnover_group", None, ListName.TURNOVER_GROUPS, SALES_GROUPS),
    MappedSetting("categories.root_group", None, ListName.ARTICLE_GROUPS),
    MappedSetting("mapping.shifted_tax_code", None, ListName.TAX_CODES),
    MappedSetting("mapping.no_vat_tax_code", None, ListName.TAX_CODES),
    MappedSetting("mapping.order_deposit_account", None, ListName.ACCOUNTS),
    MappedSetting("mapping.clearing_account", None, ListName.ACCOUNTS),
)
"""Settings of one value."""


@dataclass(frozen=True, slots=True)
class SourceValue:
    """A value of the other system: its key in the settings, what people call it, and how often it occurs."""

    key: str
    name: str
    sales: int = 0
    cents: int = 0


@dataclass(frozen=True, slots=True)
class MappedValue:
    """A value with what the settings choose for it. `row` is what they name; `target` and `proposal` are choices."""

    source: SourceValue
    row: str | None
    caught: Caught
    target: ListOption | None
    proposal: ListOption | None

    @property
    def falls_through(self) -> bool:
        """Whether a sale with this value waits for a person."""
        return self.caught is Caught.NOTHING


def cover(
    setting: MappedSetting,
    control: Control,
    source: SourceValue,
    lists: Lists,
    offered: Options,
    *,
    creates: bool = False,
) -> MappedValue:
    """The value with what catches it, of what the setting offers; `creates`: the books get what they lack."""
    found, key = _match(setting, source, offered, lists), source.key
    if setting.path == BY_CATEGORY and key != NO_CATEGORY:
        # The key by which the settings name the category, or one above it.
        categories = lists.get(ListName.CATEGORIES, ())
        id_ = next((each.id for each in categories if (each.full or each.name) == key), None)
        key = find_category_row(key.split(":"), control, id_)[0]
    answer = catch(control, key, found.id if found else None)
    caught, row, target = answer.by, find_row(control.table, source.key), find(answer.value, offered)
    if caught is Caught.ROW and row is None:
        caught = Caught.ABOVE
    if control.mode == "default" and caught in _OPEN and setting.found_by and setting.targets not in lists:
        caught = Caught.UNKNOWN
    elif caught is Caught.NOTHING and creates and control.mode == "default":
        caught = Caught.CREATED
    is_open = row is None and found is None and caught is not Caught.ABOVE and setting.path != "products.vat"
    proposal = propose(source.name, offered) if is_open else None
    if is_open and setting.path == BY_VAT_CODE:  # of the turnover groups of a VAT code the only one
        same = [each for each in offered if str(each.vat_code) == source.key]
        proposal = same[0] if len(same) == 1 else None
    return MappedValue(source, row, caught, target, proposal)


def _match(
    setting: MappedSetting, source: SourceValue, offered: Sequence[ListOption], lists: Lists
) -> ListOption | None:
    """What the gateway finds by name, rate or days without being told."""
    match setting.found_by:
        case "name":
            return named(source.name, offered)
        case "days":
            return next((each for each in offered if str(each.days) == source.key), None)
        case "rate":
            with suppress(InvalidOperation):
                return of_rate(Decimal(source.key), offered)
        case "tax code":
            code = find(source.key, lists.get(ListName.TAX_CODES, ()))
            return of_rate(code.rate, offered) if code else None
    return None


def catch(control: Control, key: str, automatic: str | None) -> ControlAnswer:
    """What catches a value, and what it becomes; a rule decides for each record by itself."""
    if control.mode == "rule":
        return ControlAnswer(None, Caught.RULE)
    try:
        return resolve(control, ControlQuestion(setting="", key=key, automatic=automatic))
    except MappingError:
        return ControlAnswer(None, Caught.NOTHING)


def first_groups(lists: Lists, chosen: Control) -> list[tuple[ListOption, ListOption]]:
    """(VAT code, turnover group) that a new article gets for which nothing is chosen: neither one for all nor a row."""
    groups = [each for each in lists.get(ListName.TURNOVER_GROUPS, ()) if each.kind in SALES_GROUPS]
    groups.sort(key=lambda group: int(group.id))
    if not groups:
        return []
    known = lists.get(ListName.VAT_CODES, ())
    codes = [code for code in known if catch(chosen, code.id, None).value is None]
    return [(code, next((g for g in groups if str(g.vat_code) == code.id), groups[0])) for code in codes]

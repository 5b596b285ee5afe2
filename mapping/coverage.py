"""What the mapping of a settings document makes of the values that occur: which rule catches each one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

from mapping import choices
from mapping.choices import ListName, ListOption, Options
from mapping.control import Caught, Control, ControlQuestion, resolve
from mapping.errors import MappingError
from mapping.rules import find_row
from mapping.vat_table import NO_CATEGORY, SALES_GROUPS, find_category_row

BY_CATEGORY: Final = "products.turnover_group_by_category"
BY_VAT_CODE: Final = "products.turnover_group_by_vat_code"
MONEY: Final = ("Bank", "Other Current Asset")
INCOME: Final = ("Income", "Other Income")


_OPEN: Final = (Caught.NOTHING, Caught.LEFT_OUT, Caught.FALLBACK)
_Options: TypeAlias = Sequence[ListOption]
Lists: TypeAlias = Mapping[ListName, _Options]


@dataclass(frozen=True, slots=True)
class MappedSetting:
    """A setting that maps values of one system to a list of the other one. `kinds`: only accounts of these types."""

    path: str
    sources: ListName | None
    targets: ListName
    kinds: tuple[str | None, ...] = ()

    def offered(self, lists: Lists) -> Options:
        known = lists.get(self.targets, ())
        if not self.kinds and isinstance(known, Options):
            return known
        return Options(each for each in known if not self.kinds or each.kind in self.kinds)

    def to_value(self, option: ListOption, options: Iterable[ListOption]) -> str:
        """How the settings name this choice: the till's lists are known by their numbers."""
        return option.id if self.targets.startswith("till_") else choices.to_value(option, options)


CONTROLS: Final = (
    MappedSetting("mapping.tax_codes", ListName.VAT_CODES, ListName.TAX_CODES),
    MappedSetting("mapping.payment_methods", ListName.TENDERS, ListName.PAYMENT_METHODS),
    MappedSetting("mapping.deposit_accounts", ListName.TENDERS, ListName.ACCOUNTS, MONEY),
    MappedSetting("mapping.departments", ListName.BRANCHES, ListName.LOCATIONS),
    MappedSetting("mapping.classes", ListName.BRANCHES, ListName.CLASSES),
    MappedSetting("mapping.income_accounts", ListName.TURNOVER_GROUPS, ListName.ACCOUNTS, INCOME),
    MappedSetting("mapping.terms", None, ListName.TERMS),
    MappedSetting("products.vat", ListName.TAX_CODES, ListName.VAT_CODES),
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


_Find: TypeAlias = Callable[[SourceValue, _Options, Lists], ListOption | None]


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
    find = _AUTOMATIC.get(setting.path)
    found = find(source, offered, lists) if find else None
    key = source.key
    if setting.path == BY_CATEGORY and key != NO_CATEGORY:
        # The key by which the settings name the category, or one above it.
        categories = lists.get(ListName.CATEGORIES, ())
        id_ = next((each.id for each in categories if (each.full or each.name) == key), None)
        key = find_category_row(key.split(":"), control, id_)[0]
    caught, value = catch(control, key, found.id if found else None)
    row, target = find_row(control.table, source.key), choices.find(value, offered)
    if caught is Caught.ROW and row is None:
        caught = Caught.ABOVE
    if control.mode == "default" and caught in _OPEN and find and setting.targets not in lists:
        caught = Caught.UNKNOWN
    elif caught is Caught.NOTHING and creates and control.mode == "default":
        caught = Caught.CREATED
    is_open = row is None and found is None and caught is not Caught.ABOVE and setting.path != "products.vat"
    proposal = _propose(setting, source, offered) if is_open else None
    return MappedValue(source, row, caught, target, proposal)


def _propose(setting: MappedSetting, source: SourceValue, offered: _Options) -> ListOption | None:
    """By name; of the turnover groups of a VAT code the only one."""
    if setting.path != BY_VAT_CODE:
        return choices.propose(source.name, offered)
    same = [each for each in offered if str(each.vat_code) == source.key]
    return same[0] if len(same) == 1 else None


def catch(control: Control, key: str, automatic: str | None) -> tuple[Caught, str | None]:
    """What catches a value, and what it becomes; a rule decides for each record by itself."""
    if control.mode == "rule":
        return Caught.RULE, None
    try:
        answer = resolve(control, ControlQuestion(setting="", key=key, automatic=automatic))
    except MappingError:
        return Caught.NOTHING, None
    return answer.by, answer.value


def _of_rate(source: SourceValue, offered: _Options, _: Lists) -> ListOption | None:
    try:
        return choices.of_rate(Decimal(source.key), offered)
    except InvalidOperation:
        return None


def _of_code(source: SourceValue, offered: _Options, lists: Lists) -> ListOption | None:
    code = choices.find(source.key, lists.get(ListName.TAX_CODES, ()))
    return choices.of_rate(code.rate, offered) if code else None


def _by_name(source: SourceValue, offered: _Options, _: Lists) -> ListOption | None:
    return choices.named(source.name, offered)


_AUTOMATIC: Final[Mapping[str, _Find]] = {
    "mapping.tax_codes": _of_rate,
    "mapping.terms": lambda source, offered, _: next((each for each in offered if str(each.days) == source.key), None),
    "mapping.payment_methods": _by_name,
    "mapping.departments": _by_name,
    "mapping.classes": _by_name,
    "products.vat": _of_code,
}
"""What the gateway finds by rate, name or days without being told, by setting."""


def first_groups(lists: Lists, chosen: Control) -> list[tuple[ListOption, ListOption]]:
    """(VAT code, turnover group) that a new article gets for which nothing is chosen: neither one for all nor a row."""
    groups = [each for each in lists.get(ListName.TURNOVER_GROUPS, ()) if each.kind in SALES_GROUPS]
    groups.sort(key=lambda group: int(group.id))
    if not groups:
        return []
    known = lists.get(ListName.VAT_CODES, ())
    codes = [code for code in known if catch(chosen, code.id, None)[1] is None]
    return [(code, next((g for g in groups if str(g.vat_code) == code.id), groups[0])) for code in codes]

"""The form of the mapping: what it shows of each setting, and what it says otherwise than the document. Pure."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from typing import Any, Final

from gateway.queries.sales import SaleExample, SalesValues
from mapping import choices, settings_document
from mapping.choices import CONTROLS, SINGLES, ListName, ListOption, MappedSetting, MappedValue, Options, SourceValue
from mapping.control import Caught, Control
from mapping.messages import join, message
from mapping.rules import find_row
from mapping.vat_table import NO_CATEGORY, SALES_GROUPS

Lists = Mapping[ListName, Sequence[ListOption]]
Form = Mapping[str, str]
CREATES: Final = "mapping.create_payment_methods"
PARTS: Final = ("mode", "value", "on_miss", "fallback")
NO_VALUE, NO_FALLBACK, NO_ROW, UNKNOWN = FAULTS = (
    "Choose what is always taken.",
    "Choose what is taken for everything else.",
    "The list below is empty: choose for one value at least.",
    "This is not in the list. Refresh the lists if it is new.",
)
ROOT_GROUP: Final = "categories.root_group"
SHOWN_VALUES: Final = 60
LONGEST_NUMBER: Final = 9
LONG_LIST: Final = 40
"""A list with more rows is searched by typing."""
NUMBERS: Final = frozenset({"products.turnover_group", ROOT_GROUP})
"""Settings that are a number in the document."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What is chosen for every mapped setting: in the document, or in the form."""

    controls: Mapping[str, Control]
    singles: Mapping[str, str]
    creates: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What a setting chooses from. `names` are what people call each row, by its id: no two are called the same."""

    setting: MappedSetting
    options: Options
    is_known: bool
    names: Mapping[str, str]

    @classmethod
    def of(cls, setting: MappedSetting, lists: Lists) -> Offer:
        options = setting.offered(lists)
        called = [to_label(each, of_till=setting.targets.startswith("till_")) for each in options]
        times = Counter(called)
        named = list(zip(options, called, strict=True))
        # What is typed may be an id: a name that is the id of another row does not say which one.
        own = {each.id for each, name in named if times[name] == 1 and options.by_id.get(name, each) == each}
        names = {each.id: name if each.id in own else f"{name} [{each.id}]" for each, name in named}
        return cls(setting, options, setting.targets in lists, names)

    @property
    def list_id(self) -> str | None:
        """The list of suggestions beside a field that is typed in; None for one short enough to be chosen from."""
        is_long = len(self.options) > LONG_LIST
        return "-".join(["list", self.setting.targets, *map(str, self.setting.kinds[:1])]) if is_long else None

    def read(self, given: str, present: str | None) -> str:
        """A choice as the document names it; what was named otherwise before, and means the same, stays as it was."""
        option = self.options.by_id.get(given)
        if option is None and self.list_id and (typed := given.strip()):
            found = [id_ for id_, name in self.names.items() if name == typed]
            found = found or [each.id for each in self.options if each.name.strip().casefold() == typed.casefold()]
            option = self.options.by_id[found[0]] if len(found) == 1 else None
        if option is None:
            return given.strip()
        if present and choices.find(present, self.options) == option:
            return present
        return self.setting.to_value(option, self.options)

    def show(self, chosen: str | None) -> str:
        """What a field that is typed in shows of a choice."""
        found = choices.find(chosen, self.options)
        return self.names[found.id] if found else chosen or ""


@dataclass(frozen=True, slots=True)
class Block:
    """One setting as the page shows it.

    `shown` are the values of the page, each with its place among all: of hundreds those that occur most, and all that
    are chosen here or in the document.
    """

    setting: MappedSetting
    control: Control
    offer: Offer
    values: Sequence[MappedValue]
    shown: Sequence[tuple[int, MappedValue]]

    @property
    def open(self) -> list[MappedValue]:
        """The values that occur in sales, and that nothing catches."""
        return [each for each in self.values if each.falls_through and each.source.sales]

    @property
    def unchosen(self) -> list[MappedValue]:
        return [each for each in self.values if each.caught in (Caught.NOTHING, Caught.LEFT_OUT)]

    @property
    def is_settled(self) -> bool:
        """Whether every value that occurs in sales is caught for certain."""
        sold = [each for each in self.values if each.source.sales]
        return bool(sold) and not any(each.falls_through or each.caught is Caught.UNKNOWN for each in sold)

    def find(self, key: str, name: str = "") -> MappedValue | None:
        wanted = {text.casefold() for text in (key, name) if text}
        values = (each for each in self.values if wanted & {each.source.key.casefold(), each.source.name.casefold()})
        return next(values, None)


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A value of the sale in the preview, with its amount, and what it becomes by a setting."""

    path: str
    name: str
    cents: int | None
    value: MappedValue


def read_document(document: settings_document.SettingsDocument) -> Choices:
    singles = {each.path: get_setting(document, each.path) for each in SINGLES}
    if singles[ROOT_GROUP] == 0:
        singles[ROOT_GROUP] = None  # the top is no choice in the form
    return Choices(
        {each.path: get_setting(document, each.path) for each in CONTROLS},
        {path: "" if value is None else str(value) for path, value in singles.items()},
        document.mapping.create_payment_methods,
    )


def get_setting(document: settings_document.SettingsDocument, path: str) -> Any:
    return reduce(getattr, path.split("."), document)


def read_form(form: Form, present: Choices, lists: Lists) -> Choices:
    """What the form chooses; what it does not hold stays."""
    controls = {}
    for setting in CONTROLS:
        path, offer, now = setting.path, Offer.of(setting, lists), present.controls[setting.path]
        table = dict(now.table)
        for name, given in form.items():
            if name.startswith(f"{path}="):
                key = name.removeprefix(f"{path}=")
                _set_row(table, key, offer.read(given, find_row(table, key)))
        if new := form.get(f"{path}:new", "").strip():
            _set_row(table, new, offer.read(form.get(f"{path}:new-value", ""), None))
        said: dict[str, Any] = {}
        for name, known in (("value", now.value), ("fallback", now.fallback)):
            said[name] = offer.read(form.get(f"{path}:{name}", known or ""), known) or None
        said |= {name: form.get(f"{path}:{name}", getattr(now, name)) for name in ("mode", "on_miss")}
        # Not checked here: the form is shown again as it is, with what is wrong with it.
        controls[path] = Control.model_construct(**said, table=table, rule=now.rule)
    singles = {
        each.path: Offer.of(each, lists).read(
            form.get(each.path, present.singles[each.path]), present.singles[each.path]
        )
        for each in SINGLES
    }
    creates = form.get(CREATES) == "on" if "base" in form else present.creates
    return Choices(controls, singles, creates)


def find_unfinished(form: Form) -> dict[str, str]:
    """What was typed as another value and chooses nothing yet: a value without a choice, or a choice without one."""
    pairs = ((f"{each.path}:new", f"{each.path}:new-value") for each in CONTROLS)
    given = [{name: form.get(name, "").strip() for name in pair} for pair in pairs]
    return {name: text for pair in given if not all(pair.values()) for name, text in pair.items() if text}


def _set_row(table: dict[str, str], key: str, value: str) -> None:
    name = next((each for each in table if each.strip().casefold() == key.strip().casefold()), key)
    if value:
        table[name] = value
    else:
        table.pop(name, None)


def to_label(option: ListOption, *, of_till: bool = False) -> str:
    """A choice as people know it: with its number at the till, its rate, and what it is below."""
    name = " ".join((option.full or option.name).replace(":", " › ").split())
    if of_till:
        return f"{option.id} · {name}"
    rate = "" if option.rate is None else f"{option.rate.normalize():f} %"
    return f"{name} ({rate})" if rate and rate.replace(" ", "") not in name.replace(" ", "") else name


def merge(chosen: Choices, made_from: Choices, now: Choices) -> Choices:
    """What a form made from an earlier version chooses, where that is otherwise; all else as it is now."""

    def newer(mine: Any, before: Any, theirs: Any) -> Any:
        return theirs if mine == before else mine

    controls = {}
    for path, theirs in now.controls.items():
        mine, before = chosen.controls[path], made_from.controls[path]
        said = {name: newer(*(getattr(each, name) for each in (mine, before, theirs))) for name in PARTS}
        table = dict(theirs.table)
        for key in {**before.table, **mine.table}:
            if (row := find_row(mine.table, key)) != find_row(before.table, key):
                _set_row(table, key, row or "")
        controls[path] = Control.model_construct(**said, table=table, rule=theirs.rule)
    singles = {path: newer(chosen.singles[path], made_from.singles[path], now.singles[path]) for path in now.singles}
    return Choices(controls, singles, newer(chosen.creates, made_from.creates, now.creates))


def find_faults(chosen: Choices, before: Choices, lists: Lists) -> dict[str, str]:
    """What is wrong, by the name of the field. A choice that stands in the document already is not looked at."""
    faults: dict[str, str] = {}
    for setting in CONTROLS:
        control, path = chosen.controls[setting.path], setting.path
        if control.mode == "force" and not control.value:
            faults[f"{path}:value"] = NO_VALUE
        if control.on_miss == "default" and not control.fallback:
            faults[f"{path}:fallback"] = NO_FALLBACK
        if control.mode == "table" and not control.table:
            faults[f"{path}:mode"] = NO_ROW
        old = before.controls[path]
        rows = [(f"{path}={key}", value) for key, value in control.table.items() if value != find_row(old.table, key)]
        rows += [(f"{path}:{name}", getattr(control, name)) for name in ("value", "fallback")]
        known, offer = {old.value, old.fallback, None}, Offer.of(setting, lists)
        faults |= {name: UNKNOWN for name, value in rows if value not in known and _is_unknown(offer, value)}
    for setting in SINGLES:
        value = chosen.singles[setting.path]
        if value and value != before.singles[setting.path] and _is_unknown(Offer.of(setting, lists), value):
            faults[setting.path] = UNKNOWN
    return faults


def _is_unknown(offer: Offer, value: str | None) -> bool:
    if offer.setting.path in NUMBERS and value and not (value.isdecimal() and len(value) <= LONGEST_NUMBER):
        return True
    return offer.is_known and choices.find(value, offer.options) is None


def place(faults: Iterable[settings_document.DocumentFault], chosen: Choices) -> dict[str, str]:
    """The faults of a document by the field of this form that they are about; "" holds those of other settings."""
    found: dict[str, str] = {}
    for fault in faults:
        path = ".".join(fault.path.split(".")[:2])
        table = chosen.controls[path].table if path in chosen.controls else {}
        row = next((key for key, value in table.items() if value and value in fault.message), None)
        known = path in chosen.controls or path in chosen.singles
        name = f"{path}={row}" if row is not None else path if known else ""
        said = message(fault.message) if name else settings_document.say_all([fault])
        found[name] = join((found[name], said), "{first}; {second}") if name in found else said
    return found


def to_answers(text: str, chosen: Choices, before: Choices) -> dict[str, Any]:
    """What the form says otherwise than the document, as answers for `settings_guide.amend`."""
    written = tomllib.loads(text, parse_float=Decimal)
    answers: dict[str, Any] = {}
    for setting in CONTROLS:
        new, old = chosen.controls[setting.path], before.controls[setting.path]
        if any(getattr(new, name) != getattr(old, name) for name in (*PARTS, "table")):
            section, name = setting.path.split(".")
            answers[setting.path] = _to_table(written.get(section, {}).get(name), new, old)
    for path, value in chosen.singles.items():
        if value != before.singles[path]:
            empty = 0 if path == ROOT_GROUP else None
            answers[path] = empty if not value else int(value) if path in NUMBERS else value
    if chosen.creates != before.creates:
        answers[CREATES] = chosen.creates
    return answers


def _to_table(written: Mapping[str, Any] | None, new: Control, old: Control) -> dict[str, Any]:
    """The table of a control; what did not change stays as it is written."""
    table = dict(written or {})
    for name in (*PARTS, "table"):
        value = getattr(new, name)
        if written is not None and value == getattr(old, name):
            continue
        if value == getattr(_PLAIN, name):
            table.pop(name, None)
        else:
            table[name] = value
    # An empty table would be left out, and the default of some settings is not that of an empty table.
    return table or {"mode": new.mode}


_PLAIN: Final = Control()


def to_blocks(chosen: Choices, lists: Lists, values: SalesValues, in_force: Choices, whole: str = "") -> list[Block]:
    """Every setting with its values, those that occur most first; of the setting `whole` all are shown."""
    blocks = []
    for setting in CONTROLS:
        control = chosen.controls[setting.path]
        found = sorted(_sources(setting, lists, values), key=lambda source: -source.sales)
        table = in_force.controls[setting.path].table
        known = {source.key.strip().casefold() for source in found}
        # A row of the document that was emptied stays shown: what the form does not hold stays as it is.
        written = {key.strip().casefold(): key for key in (*table, *control.table)}
        sources = [*found, *(SourceValue(key, key) for plain, key in written.items() if plain not in known)]
        creates = chosen.creates and setting.path == "mapping.payment_methods"
        offer = Offer.of(setting, lists)
        covered = [choices.cover(setting, control, source, lists, offer.options, creates=creates) for source in sources]
        shown = [
            (place, each)
            for place, each in enumerate(covered, 1)
            if place <= SHOWN_VALUES or each.row or find_row(table, each.source.key) or setting.path == whole
        ]
        blocks.append(Block(setting, control, offer, covered, shown))
    return blocks


def _sources(setting: MappedSetting, lists: Lists, values: SalesValues) -> list[SourceValue]:
    options = lists.get(setting.sources, ()) if setting.sources else ()
    if setting.path == choices.BY_VAT_CODE:
        return [SourceValue(each.id, each.name) for each in options]
    if setting.path == choices.BY_CATEGORY:
        paths = sorted(each.full or each.name for each in options)
        return [SourceValue(path, path.replace(":", " › ")) for path in [*paths, NO_CATEGORY]]
    match setting.sources:
        case ListName.VAT_CODES:
            rates = [rate.removesuffix(" %") for each in options for rate in each.name.split(" / ")]
            return _count([SourceValue(rate, f"{rate} %") for rate in dict.fromkeys(rates)], values.vat_rates, " %")
        case ListName.TENDERS | ListName.BRANCHES as name:
            seen = values.tenders if name is ListName.TENDERS else values.branches
            return _count([SourceValue(each.id, each.name) for each in options], seen)
        case ListName.TURNOVER_GROUPS:
            sold = [SourceValue(f":{each.id}", each.name) for each in options if each.kind in SALES_GROUPS]
            groups = {f":{key}": replace(value, key=f":{key}") for key, value in values.turnover_groups.items()}
            return _count(sold, groups)
        case _:
            return [SourceValue(each.name, each.name) for each in options]


def _count(sources: list[SourceValue], seen: Mapping[str, SourceValue], unit: str = "") -> list[SourceValue]:
    """The values of a list with how often they occur, and those that occur and are in no list."""
    left = {name.casefold(): value for name, value in seen.items()}
    counted = []
    for source in sources:
        found = left.pop(source.key.casefold(), None) or left.pop(source.name.casefold(), None)
        counted.append(replace(source, sales=found.sales, cents=found.cents) if found else source)
    return counted + [replace(value, name=f"{value.name}{unit}") for value in left.values()]


def propose(chosen: Choices, blocks: Iterable[Block]) -> Choices:
    controls = dict(chosen.controls)
    for block in blocks:
        proposed = [(each.source.key, each.proposal) for each in block.values if each.proposal]
        rows = {key: block.setting.to_value(option, block.offer.options) for key, option in proposed if option}
        control = block.control
        controls[block.setting.path] = control.model_copy(update={"table": {**control.table, **rows}})
    return replace(chosen, controls=controls)


def preview(sale: SaleExample, blocks: Iterable[Block]) -> list[PreviewLine]:
    lines = []
    asked: Mapping[ListName | None, list[tuple[str, str, int | None]]] = {
        ListName.TENDERS: [(name, name, cents) for name, cents in sale.tenders],
        ListName.VAT_CODES: [(rate, f"{rate} %", cents) for rate, cents in sale.vat_rates],
        ListName.BRANCHES: [(sale.branch, sale.branch_name, None)],
        ListName.TURNOVER_GROUPS: [(f":{number}", number, None) for number in sale.turnover_groups],
    }
    for block in blocks:
        of_sales = block.setting.path.startswith("mapping.")
        for key, name, cents in asked.get(block.setting.sources, []) if of_sales else []:
            found = block.find(key, name)
            if found is not None and found.caught is not Caught.OFF:
                lines.append(PreviewLine(block.setting.path, found.source.name, cents, found))
    return lines

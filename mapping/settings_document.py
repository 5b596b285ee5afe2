"""The settings document of a connection: read it, and name every fault with its line."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from pydantic import BaseModel, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticKnownError

from mapping import patterns
from mapping.conditions import IN_FORCE, is_in_force
from mapping.items import LARGEST_NUMBER, fold
from mapping.messages import join, message
from mapping.records import Item
from mapping.sections import (
    HOUR_AND_MINUTE,
    AgreementSettings,
    CategorySettings,
    CustomerSettings,
    MappingSettings,
    OrderSettings,
    ProductSettings,
    Section,
    incomplete,
)
from mapping.stock import StockSettings

LARGEST: Final = 256 * 1024
"""Characters of a document."""
DEEPEST: Final = 40
"""Nested tables, lists and functions; real documents have at most a dozen levels."""
# The time to read a name grows with the square of its parts.
_LONG_NAME: Final = patterns.read(r"(?:(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*){" + str(DEEPEST) + "}")
MAX_FAULTS = 50
LOSES_STOCK = (
    'summary "day" books no articles, so QuickBooks never takes these sales off its stock, and the till would be '
    "given back what it sold"
)
KEEP_STOCK = 'set stock.enabled = false, or orders.summary = "sale"'

_TOO_DEEP = "its tables, lists and functions stand too deep within each other", "take some of them apart"
TOO_LARGE = "it is beyond the largest article number of the till"
TWO_ROWS = "one branch has two rows, and only one of them would count"


class SettingsDocument(Section):
    """Everything that can be set about one connection; an empty document means the defaults."""

    version: Literal[1] = Field(default=1, description="Version of this document's format")
    products: ProductSettings = Field(default_factory=ProductSettings)
    categories: CategorySettings = Field(default_factory=CategorySettings)
    stock: StockSettings = Field(default_factory=StockSettings)
    customers: CustomerSettings = Field(default_factory=CustomerSettings)
    orders: OrderSettings = Field(default_factory=OrderSettings)
    agreement: AgreementSettings = Field(default_factory=AgreementSettings)
    mapping: MappingSettings = Field(default_factory=MappingSettings)

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> SettingsDocument:
        if is_in_force(info):
            return self
        if self.loses_stock:
            raise incomplete(LOSES_STOCK, "orders.summary", KEEP_STOCK)
        if self.products.allocate_to > LARGEST_NUMBER:
            raise incomplete(TOO_LARGE, "products.allocate_to", "take a smaller number")
        if len({int(number) for number in self.stock.branches}) < len(self.stock.branches):
            raise incomplete(TWO_ROWS, "stock.branches", "keep one of the rows, without zeros before the number")
        return self

    def is_for_own_lines(self, item: Item) -> bool:
        """Whether it has no SKU and the settings name it for lines of the gateway's own: then it is no article."""
        orders = self.orders
        named = (orders.fallback_item, orders.summary_item, *self.mapping.special_items.values())
        return not fold(item) and item.name.casefold() in {name.casefold() for name in named if name}

    @property
    def loses_stock(self) -> bool:
        """Whether stock is written from quantities that do not include the sales of the day."""
        return self.orders.enabled and self.orders.summary == "day" and self.stock.enabled


@dataclass(frozen=True, slots=True)
class DocumentFault:
    """One fault of a document: where ("orders.split"), what, and what is allowed."""

    path: str
    message: str
    hint: str


def say_all(faults: Iterable[DocumentFault]) -> str:
    said = [message("{path}: {said}", path=each.path, said=message(each.message)) for each in faults]
    return join(said, "{first}; {second}") if said else ""


class DocumentError(ValueError):
    """A document was refused; `faults` are all of them, not only the first."""

    def __init__(self, faults: tuple[DocumentFault, ...]) -> None:
        super().__init__(say_all(faults))
        self.faults = faults


def parse(toml_text: str) -> SettingsDocument:
    """Read a TOML document that is to be put in force; DocumentError with every fault."""
    return parse_data(_read(toml_text))


def recall(toml_text: str) -> SettingsDocument:
    """Read a document that is already in force: it may lack what newer versions require of a new one."""
    return parse_data(_read(toml_text), in_force=True)


def _read(toml_text: str) -> Mapping[str, Any]:
    if excess := find_excess(toml_text):
        raise refuse(excess, "write it shorter: nothing that can be set needs so much")
    try:
        return tomllib.loads(toml_text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise refuse(
            message("this is not TOML: {error}", error=error), "texts stand in quotes, tables in [brackets]"
        ) from error
    except RecursionError:
        raise refuse(*_TOO_DEEP) from None


def refuse(message: str, hint: str) -> DocumentError:
    return DocumentError((DocumentFault("(document)", message, hint),))


def parse_data(data: Mapping[str, Any], *, in_force: bool = False) -> SettingsDocument:
    """Read a document from plain data (TOML or JSON already read); DocumentError with every fault."""
    if is_too_deep(data):
        raise refuse(*_TOO_DEEP)
    try:
        return SettingsDocument.model_validate(data, context={IN_FORCE: in_force})
    except ValidationError as error:
        rows = error.errors(include_url=False)
        faults = [_to_fault(row) for row in rows[:MAX_FAULTS]]
        if more := len(rows) - len(faults):
            faults.append(DocumentFault("(document)", message("and {n} more faults", n=more), "mend these first"))
        raise DocumentError(tuple(faults)) from error


def to_data(document: SettingsDocument) -> dict[str, Any]:
    """The document as plain data for TOML; settings without a value and defaults are left out."""
    return document.model_dump(by_alias=True, exclude_defaults=True, exclude_none=True)


def to_toml(value: object) -> str:
    match value:
        case bool():
            text = str(value).lower()
        case str():
            text = json.dumps(value, ensure_ascii=False)
        case BaseModel():
            text = to_toml(value.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True))
        case Mapping():
            written = {key if _BARE.fullmatch(key) else to_toml(key): to_toml(inner) for key, inner in value.items()}
            text = "{" + ", ".join(f"{key} = {inner}" for key, inner in written.items()) + "}"
        case tuple():
            text = "[" + ", ".join(map(to_toml, value)) + "]"
        case _:
            text = str(value)
    return text


_HINTS = {
    "extra_forbidden": "look at the example document for its name and place",
    "union_tag_invalid": "`do` names the function: field, constant, text, number, money, percentage, date, lookup, "
    "condition or concatenate",
    "union_tag_not_found": "a mapping function needs `do`, or write just the path of a field",
    "bool_parsing": "write true or false",
    "missing": "this setting is required here",
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"),
        "write its name in [brackets] on a line of its own, and what it holds below",
    ),
    HOUR_AND_MINUTE: 'write hours and minutes, such as "04:00"',
}


def _to_fault(row: Mapping[str, Any]) -> DocumentFault:
    context = row.get("ctx") or {}
    advice = ""
    steps = [*row["loc"], *([context["field"]] if row["type"] == "incomplete" else [])]
    path = ".".join(map(str, steps)) or "(document)"
    if "expected" in context:
        *others, last = str(context["expected"]).rsplit(" or ", 1)
        expected = message("{others} or {last}", others=others[0], last=last) if others else last
        context, advice = {**context, "expected": expected}, message("use {expected}", expected=expected)
    said = _to_message(row, context)
    hint = _HINTS.get(row["type"]) or _HINTS.get(str(context.get("pattern"))) or advice
    return DocumentFault(path, said, hint or context.get("hint", said))


def _to_message(row: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """What is wrong, with its values apart; as it is where its template does not give the same text."""
    text = str(row["msg"])
    match row["type"]:
        case "extra_forbidden":
            return message("there is no such setting")
        case "value_error":
            error: ValueError = context["error"]
            return message(error.args[0] if error.args else str(error))
        case "incomplete":
            return message(context["message"])
    try:
        template = PydanticKnownError(row["type"], row.get("ctx")).message_template
        plural = next(
            end for end in ("s", "") if template.replace("{expected_plural}", end).format_map(context) == text
        )
    except (KeyError, StopIteration, TypeError, ValueError):
        return text
    return message(template.replace("{expected_plural}", plural), **context)


# Each character matches in one way only, so that no document makes matching slow.
_TABLE = re.compile(r"\s*\[\[?([^\[\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A line (counted from 0) that opens the table `path`, or sets the key `path` within `table`."""

    at: int
    path: Path
    table: Path


def find_keys(lines: Sequence[str]) -> Iterator[KeyLine]:
    table: Path = ()
    for at, line in enumerate(lines):
        if heading := _TABLE.match(line):
            table = _split(heading[1])
            yield KeyLine(at, table, table)
        elif key := _KEY.match(line):
            yield KeyLine(at, table + _split(key[1]), table)


def _split(written: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(written))


def find_excess(text: str) -> str | None:
    """Why a text is refused before it is read; None if it may be read."""
    if len(text) > LARGEST:
        return message("it has {n} characters; a document may have {most}", n=len(text), most=LARGEST)
    return message("it has a name of more than {most} parts", most=DEEPEST) if _LONG_NAME.fits(text) else None


def is_too_deep(value: Any, *, left: int = DEEPEST) -> bool:
    """Whether tables and lists are nested more than `DEEPEST` times."""
    inner = list(value.values()) if isinstance(value, Mapping) else value
    return isinstance(inner, list | tuple) and (left == 0 or any(is_too_deep(each, left=left - 1) for each in inner))

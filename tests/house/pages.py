"""The parts of the documents that are made from the code: `python -m tests.house.pages` writes them, a test compares.

A made part stands between `<!-- made: NAME -->` and `<!-- end -->`; what is around it is written by people.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.cli.parser import to_parser
from gateway.connectors.quickbooks import faults
from gateway.observability import counters
from gateway.settings import VARIABLES
from gateway.web import health
from gateway.web.health import Gauge
from mapping import settings_guide
from mapping.settings_document import SettingsDocument
from tests.contract.catalogue import list_probes
from tests.house import personal_data
from tests.house.scenarios import list_scenarios
from workers import retry_policy

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))
EXAMPLE = ROOT / "docs/settings-example.toml"
TOUR, PICTURES = ROOT / "docs/tour.md", ROOT / "docs/pictures"
_PART = re.compile(r"(<!-- made: (?P<name>[\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SCHEMA = SettingsDocument.model_json_schema()
# Where a kind of value is explained, instead of being repeated in every row.
_EXPLAINED = {
    "Control": "[control](#the-control)",
    "BranchStock": "[row of a branch](#a-row-of-a-branch)",
    "NumberPrefixes": "[prefixes](#number-prefixes)",
}
_WORDS = {
    "boolean": "`true`, `false`",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "scalar": "text, number, `true` or `false`",
}
_RULE, _CONDITION = "[function](#mapping-functions)", "[condition](#conditions)"
_FUNCTIONS = ("FieldValue", "Constant", "Text", "Number", "Money", "Percentage", "DayRule", "Lookup", "Choice",
              "Concatenate")  # fmt: skip

Schema = Mapping[str, Any]


def main() -> None:
    """Write every made part anew."""
    for page in PAGES:
        page.write_text(fill(page.read_text("utf-8")), "utf-8")
    EXAMPLE.write_text(settings_guide.example(), "utf-8")


def fill(text: str) -> str:
    """A page with its made parts as the code has them now. KeyError for a part that nobody makes."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part['name']]()}{part[3]}", text)


def parts_of(text: str) -> list[str]:
    """The names of the made parts of a page."""
    return [part["name"] for part in _PART.finditer(text)]


def to_table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def list_variables() -> Iterator[Sequence[str]]:
    """Every variable of the environment, with its meaning and default."""
    for variable in VARIABLES.values():
        secret = " (secret)" if variable.secret else ""
        yield f"`{variable.name}`", variable.meaning + secret, f"`{variable.default}`" if variable.default else ""


def list_verbs() -> Iterator[Sequence[str]]:
    """Every verb of the command line, as it is called and what it does."""
    for name, parser in find_verbs().items():
        usage = " ".join(_to_usage(action) for action in parser._actions if _is_own(action))
        yield f"`{f'./run {name} {usage}'.strip()}`", parser.description or ""


def find_verbs() -> Mapping[str, argparse.ArgumentParser]:
    """The parser of every verb."""
    chosen = (a for a in to_parser()._actions if isinstance(a, argparse._SubParsersAction))
    verbs: Mapping[str, argparse.ArgumentParser] = next(chosen).choices
    return verbs


def _is_own(action: argparse.Action) -> bool:
    return action.dest not in {"help", "json", "connection"}


def _to_usage(action: argparse.Action) -> str:
    value = "|".join(action.choices) if action.choices and action.metavar is None else str(action.metavar or "")
    if not action.option_strings:
        text = value or action.dest.upper()
        return f"[{text}]" if action.nargs == "?" else text
    return f"[{' '.join(filter(None, [action.option_strings[0], value if action.nargs != 0 else '']))}]"


def list_settings(name: str) -> Iterator[Sequence[str]]:
    """Every setting of a section: name, default as in the example, what it may be, what it means."""
    defaults = _find_defaults(name)
    for setting, schema in _find_section(name)["properties"].items():
        yield f"`{setting}`", defaults[setting], to_kind(schema), schema["description"]


def _find_section(name: str) -> Schema:
    section: Schema = _SCHEMA["$defs"][_SCHEMA["properties"][name]["$ref"].rpartition("/")[2]]
    return section


def _find_defaults(name: str) -> Mapping[str, str]:
    """The defaults of a section, read from the example: one place says how a default is written."""
    section = settings_guide.example().split(f"\n[{name}]\n")[1].split("\n[")[0]
    found = re.findall(r"^# (\w+)(?: = (.*)| is not set)$", section, re.MULTILINE)
    return {setting: f"`{default}`" if default else "not set" for setting, default in found}


def list_fields(model: str) -> Iterator[Sequence[str]]:
    """Every field of a smaller part of the document."""
    for name, schema in _SCHEMA["$defs"][model]["properties"].items():
        yield f"`{name}`", _to_default(schema), to_kind(schema), schema["description"]


def _to_default(schema: Schema) -> str:
    default = schema.get("default")
    if schema.get("type") == "object":
        return "`{}`"
    if default is None:
        return "not set"
    # Decimals come as texts; a number never stands in quotes.
    quoted = isinstance(default, str) and not to_kind(schema).startswith("number")
    return f'`"{default}"`' if quoted else f"`{default}`"


def list_functions() -> Iterator[Sequence[str]]:
    """Every mapping function with its parameters."""
    for model in _FUNCTIONS:
        fields = dict(_SCHEMA["$defs"][model]["properties"])
        name = fields.pop("do")["const"]
        parameters = "; ".join(f"`{field}`: {to_kind(schema)}" for field, schema in fields.items())
        yield f"`{name}`", _SCHEMA["$defs"][model]["description"].splitlines()[0], parameters


def list_operators() -> Iterator[Sequence[str]]:
    """Every way to compare, on one row."""
    yield f"{to_kind(_SCHEMA['$defs']['Comparison']['properties']['is'])}", "`all`, `any`, `not`"


def list_faults() -> Iterator[Sequence[str]]:
    """Every fault of QuickBooks that has a row of its own."""
    return ((f"`{row.code}`", row.meaning, row.who, row.how) for row in faults.ROWS)


def list_states() -> Iterator[Sequence[str]]:
    """Every error, and the state its event is then in."""
    for kind, state in retry_policy.STATES.items():
        meaning = (kind.__doc__ or "").splitlines()[0]
        yield f"`{kind.__name__}`", meaning, f"`{state}`"


def list_holdings() -> Iterator[Sequence[str]]:
    """Every column that holds something of persons."""
    for table, holdings in personal_data.PERSONAL.items():
        for holding in holdings:
            columns = ", ".join(f"`{table}.{column}`" for column in holding.columns)
            yield columns, holding.what, holding.why, holding.kept, holding.erased


def list_impersonal() -> Iterator[Sequence[str]]:
    """Every other column, by table."""
    for table, columns in personal_data.IMPERSONAL.items():
        yield f"`{table}`", ", ".join(f"`{column}`" for column in columns)


def list_metrics() -> Iterator[Sequence[str]]:
    """Every family of numbers on /metrics but those of the process itself."""
    for family in health.Gauges(Gauge(datetime.now(UTC))).collect():
        of = counters.REGISTRY._names_to_collectors.get(family.name, family)
        names = getattr(of, "_labelnames", ())
        ending = "_total" if family.type == "counter" else ""
        shown = ", ".join(f"`{name}`" for name in names)
        yield f"`{family.name}{ending}`", family.type, shown, family.documentation


def to_kind(schema: Schema) -> str:
    """What a value may be, in words."""
    match schema:
        case {"$ref": ref}:
            return _EXPLAINED[ref.rpartition("/")[2]]
        case {"enum": words}:
            return ", ".join(f"`{word}`" for word in words)
        case {"oneOf": _}:
            return _RULE if "discriminator" in schema else _CONDITION
        case {"anyOf": kinds}:
            return " or ".join(dict.fromkeys(to_kind(kind) for kind in _without_spellings(kinds)))
        case _:
            return _to_plain_kind(schema)


def _to_plain_kind(schema: Schema) -> str:
    match schema["type"]:
        case "array":
            return f"list of {to_kind(schema['items'])}"
        case "object":
            return _to_table_kind(schema)
        case _:
            return _to_simple_kind(schema)


def _without_spellings(kinds: Sequence[Schema]) -> list[Schema]:
    """A number may also be written as a text, and a single value as anything: that is not worth a word each."""
    types = {kind.get("type") for kind in kinds}
    unwanted = {"null"}
    if "boolean" in types and "string" in types:
        return [{"type": "scalar"}]
    if "number" in types:
        unwanted = {"null", "string"}
    return [kind for kind in kinds if kind.get("type") not in unwanted]


def _to_table_kind(schema: Schema) -> str:
    key = schema.get("propertyNames")
    value = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()))
    return f"table of {to_kind(key) if key else 'text'} to {to_kind(value)}"


def _to_simple_kind(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = f"{f' from {low:g}' if low is not None else ''}{f' to {high:g}' if high is not None else ''}"
    length = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return _WORDS[schema["type"]] + limits + length


_SETTING = ("setting", "default", "may be", "meaning")
_SECTIONS = ("products", "categories", "stock", "customers", "orders", "agreement", "mapping")


def _making(head: Sequence[str], rows: Callable[..., Iterator[Sequence[str]]], *given: str) -> Callable[[], str]:
    return lambda: to_table(head, rows(*given))


PARTS: Mapping[str, Callable[[], str]] = {
    "variables": _making(("variable", "meaning", "default"), list_variables),
    "verbs": _making(("verb", "what it does"), list_verbs),
    **{name: _making(_SETTING, list_settings, name) for name in _SECTIONS},
    "control": _making(_SETTING, list_fields, "Control"),
    "branches": _making(_SETTING, list_fields, "BranchStock"),
    "prefixes": _making(_SETTING, list_fields, "NumberPrefixes"),
    "functions": _making(("`do`", "what it gives", "parameters"), list_functions),
    "faults": _making(("code", "meaning", "who can mend it", "how"), list_faults),
    "states": _making(("error", "meaning", "the event is then"), list_states),
    "metrics": _making(("number", "kind", "labels", "meaning"), list_metrics),
    "personal": _making(("column", "what of persons", "why", "kept", "erasing"), list_holdings),
    "impersonal": _making(("table", "columns"), list_impersonal),
    "scenarios": _making(("number", "what fails", "what happens then", "proved by"), list_scenarios),
    "probes": _making(("probe", "question", "ways, and the setting each decides"), list_probes),
    "operators": _making(("`is`", "joined by"), list_operators),
}

if __name__ == "__main__":
    main()

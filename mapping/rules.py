"""Typed mapping functions over any source field: no code is evaluated, a missing value stays missing.

A rule is a small tree in the settings, e.g.
`{ do = "text", action = "upper", of = "Name" }`; a plain text where a rule is expected is the path of a field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mapping.conditions import Condition, FieldPath, Scalar, find
from mapping.errors import MappingError
from mapping.messages import message

Value = bool | int | Decimal | str | date | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RuleStep:
    """One step of a rule as a preview shows it: what was done, to what, with which result."""

    action: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a rule made of a record, and every step on the way, innermost first."""

    value: Value
    steps: tuple[RuleStep, ...]


Trace = list[RuleStep]


class _Function(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def run(self, source: object, trace: Trace) -> Value:
        raise NotImplementedError


class _Transform(_Function):
    """A function of one inner value; a missing value gives no result."""

    step: ClassVar[str]
    """What a preview says was done; {0} is the rule."""
    of: Rule = Field(description="The rule (or field path) whose value is worked on")

    def run(self, source: object, trace: Trace) -> Value:
        before = self.of.run(source, trace)
        after = None if before is None else self.apply(before)
        trace.append(RuleStep(self.step.format(self), before, after))
        return after

    def apply(self, value: Value) -> Value:
        raise NotImplementedError


class FieldValue(_Function):
    """The value of a source field."""

    do: Literal["field"]
    path: FieldPath = Field(description='Path of the field, e.g. "SalesTaxCodeRef.value"')
    default: Scalar | None = Field(default=None, description="Taken when the field is missing or empty")

    def run(self, source: object, trace: Trace) -> Value:
        found = find(source, self.path)
        if found is not None and not isinstance(found, (bool, int, Decimal, str, date)):
            raise MappingError(
                message('"{path}" is not a single value', path=self.path),
                code="not-a-single-value",
                field=self.path,
                fix="let the path go on to one value, e.g. add .value",
            )
        value = self.default if found in (None, "") else found
        trace.append(RuleStep(f"field {self.path}", found, value))
        return value


class Constant(_Function):
    """An own constant."""

    do: Literal["constant"]
    value: Scalar = Field(description="The constant")

    def run(self, source: object, trace: Trace) -> Value:  # noqa: ARG002 - a constant looks at nothing
        trace.append(RuleStep("constant", None, self.value))
        return self.value


class Text(_Transform):
    """A change of text."""

    step = "text {0.action}"
    do: Literal["text"]
    action: Literal["upper", "lower", "title", "trim", "digits", "one_line", "left", "right", "replace"] = "trim"
    length: int = Field(default=0, ge=0, description="How many characters left or right keeps")
    find: str = Field(default="", description="What replace looks for")
    by: str = Field(default="", description="What replace puts there")

    def apply(self, value: Value) -> Value:
        return _TEXT_ACTIONS[self.action](self, str(value))


_TEXT_ACTIONS: dict[str, Callable[[Text, str], str]] = {
    "upper": lambda _, text: text.upper(),
    "lower": lambda _, text: text.lower(),
    "title": lambda _, text: text.title(),
    "trim": lambda _, text: text.strip(),
    "digits": lambda _, text: "".join(character for character in text if character.isdecimal()),
    "one_line": lambda _, text: " ".join(text.split()),
    "left": lambda rule, text: text[: rule.length],
    "right": lambda rule, text: text[-rule.length :] if rule.length else "",
    "replace": lambda rule, text: text.replace(rule.find, rule.by) if rule.find else text,
}


class Number(_Transform):
    """A number: multiplied, added to, rounded half up."""

    step = "number x {0.multiply} + {0.add}"
    do: Literal["number"]
    multiply: Decimal = Field(default=Decimal(1), description="Factor")
    add: Decimal = Field(default=Decimal(0), description="Added after multiplying")
    decimals: int | None = Field(default=None, ge=0, le=9, description="Decimals to round to; none keeps all")

    def apply(self, value: Value) -> Value:
        return _rounded(_decimal(value, "number") * self.multiply + self.add, self.decimals)


class Money(_Transform):
    """An amount of money between euros and cents."""

    step = "money to {0.to}"
    do: Literal["money"]
    to: Literal["cents", "euros"] = Field(default="cents", description="Unit of the result")

    def apply(self, value: Value) -> Value:
        amount = _decimal(value, "money")
        return int(_rounded(amount * 100, 0)) if self.to == "cents" else _rounded(amount / 100, 2)


class Percentage(_Transform):
    """A percentage of a number."""

    step = "{0.percent} % of it"
    do: Literal["percentage"]
    percent: Decimal = Field(description="Per cent; 121 adds a fifth and a hundredth")
    decimals: int | None = Field(default=2, ge=0, le=9, description="Decimals to round to; none keeps all")

    def apply(self, value: Value) -> Value:
        return _rounded(_decimal(value, "percentage") * self.percent / 100, self.decimals)


class DayRule(_Transform):
    """A calendar date, moved by days, perhaps written out."""

    step = "date {0.add_days:+d} days"
    do: Literal["date"]
    add_days: int = Field(default=0, description="Days to add; negative goes back")
    format: str | None = Field(default=None, description='How to write it, e.g. "%d-%m-%Y"; none keeps a date')

    def apply(self, value: Value) -> Value:
        try:
            day = date.fromisoformat(str(value)[:10]) + timedelta(days=self.add_days)
        except ValueError as error:
            raise MappingError(
                message('"{value}" is not a date', value=value),
                code="not-a-date",
                field="date",
                fix="choose a source field that holds a date like 2026-01-31",
            ) from error
        return day if self.format is None else day.strftime(self.format)


class Lookup(_Transform):
    """A row of a table; case does not matter."""

    step = "lookup in {0.rows} rows"
    do: Literal["lookup"]
    table: dict[str, Scalar] = Field(description="Source value to result")
    otherwise: Scalar | None = Field(default=None, description="Taken when no row fits")

    def apply(self, value: Value) -> Value:
        return find_row(self.table, str(value), self.otherwise)

    @property
    def rows(self) -> int:
        return len(self.table)


class Choice(_Function):
    """One of two rules, depending on a condition."""

    do: Literal["condition"]
    when: Condition = Field(description="The condition")
    then: Rule = Field(description="Taken when it holds")
    otherwise: Rule | None = Field(default=None, description="Taken when it does not hold")

    def run(self, source: object, trace: Trace) -> Value:
        holds = self.when.holds(source)
        trace.append(RuleStep("condition", None, holds))
        chosen = self.then if holds else self.otherwise
        return None if chosen is None else chosen.run(source, trace)


class Concatenate(_Function):
    """Several values as one text; missing ones are skipped."""

    do: Literal["concatenate"]
    of: tuple[Rule, ...] = Field(description="The parts")
    separator: str = Field(default=" ", description="Put between the parts")

    def run(self, source: object, trace: Trace) -> Value:
        parts = [part.run(source, trace) for part in self.of]
        text = self.separator.join(str(part) for part in parts if part not in (None, ""))
        trace.append(RuleStep("concatenate", None, text or None))
        return text or None


Rule = Annotated[
    Annotated[
        FieldValue | Constant | Text | Number | Money | Percentage | DayRule | Lookup | Choice | Concatenate,
        Field(discriminator="do"),
    ],
    BeforeValidator(lambda written: {"do": "field", "path": written} if isinstance(written, str) else written),
]

for _model in (_Transform, Text, Number, Money, Percentage, DayRule, Lookup, Choice, Concatenate):
    _model.model_rebuild()


def evaluate(rule: _Function, source: object) -> Evaluation:
    """Run a rule on a record; MappingError if a value is not of the kind a function works on."""
    trace: Trace = []
    return Evaluation(rule.run(source, trace), tuple(trace))


def find_row(table: Mapping[str, T], key: str, otherwise: T | None = None) -> T | None:
    """The row of a hand-written table: exactly as written, else ignoring case and surrounding space."""
    if key in table:
        return table[key]
    wanted = key.strip().casefold()
    return next((row for name, row in table.items() if name.strip().casefold() == wanted), otherwise)


def _rounded(number: Decimal, decimals: int | None) -> Decimal:
    return number if decimals is None else number.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def _decimal(value: Value, function: str) -> Decimal:
    try:
        number = Decimal(str(value).strip().replace(",", ".")) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise MappingError(
            message('"{value}" is not a number', value=value),
            code="not-a-number",
            field=function,
            fix="choose a source field that holds a number",
        )
    return number

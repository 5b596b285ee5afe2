"""The common control of every mapped setting: off, default, force, table or rule, and what happens on a miss."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from mapping.conditions import is_in_force
from mapping.errors import MappingError
from mapping.messages import message
from mapping.rules import Rule, evaluate, find_row

Mode = Literal["off", "default", "force", "table", "rule"]
OnMiss = Literal["park", "default", "skip"]
_NEEDS = {"force": "value", "table": "table", "rule": "rule"}


class Control(BaseModel):
    """How one value of the other system is chosen. Values are names or ids of the target's list."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(
        default="default",
        description="off: never set; default: matched automatically; force: always `value`; table: by `table`; "
        "rule: by `rule`",
    )
    value: str | None = Field(default=None, description="What force always sets")
    table: dict[str, str] = Field(default_factory=dict, description="Source value to target value")
    rule: Rule | None = Field(default=None, description="A mapping function over the source record")
    on_miss: OnMiss = Field(
        default="park", description="park: a person is asked; default: `fallback` is used; skip: the value is left out"
    )
    fallback: str | None = Field(default=None, description="What on_miss = default uses")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Control:
        needed = _NEEDS.get(self.mode)
        if needed and not getattr(self, needed):
            raise ValueError(message('mode "{mode}" needs `{needed}`', mode=self.mode, needed=needed))
        if self.on_miss == "default" and self.fallback is None:
            raise ValueError('on_miss "default" needs `fallback`')
        return self


def _chooses_numbers(chosen: Control, info: ValidationInfo) -> Control:
    answers = {**chosen.table, "value": chosen.value, "fallback": chosen.fallback}
    wrong = [(key, answer) for key, answer in answers.items() if answer is not None and not answer.isdecimal()]
    if wrong and not is_in_force(info):
        key, answer = wrong[0]
        said = '"{key}" = "{answer}": the till knows it by a number, such as "2"'
        raise ValueError(message(said, key=key, answer=answer))
    return chosen


NumberedControl = Annotated[Control, AfterValidator(_chooses_numbers)]
"""One whose values are numbers of a list of the till; a document in force is not checked."""


@dataclass(frozen=True, slots=True)
class ControlQuestion:
    """The input of a control: the source value `key`, and what matched by default (`automatic`).

    `setting` and `record` are names for messages, `what` is the key in a person's words ("VAT rate 12 % of branch 2");
    `source` is the record itself, for rules.
    """

    setting: str
    key: str
    automatic: str | None = None
    record: str | None = None
    source: object = None
    what: str | None = None


class Caught(StrEnum):
    """What catches a value. Only the look at many values knows `CREATED`, `ABOVE` and `UNKNOWN`."""

    ROW = "row"
    AUTOMATIC = "automatic"
    CREATED = "created"
    ALWAYS = "always"
    ABOVE = "above"
    """By the category above it."""
    FALLBACK = "fallback"
    LEFT_OUT = "left_out"
    OFF = "off"
    RULE = "rule"
    NOTHING = "nothing"
    UNKNOWN = "unknown"
    """What is found by itself is not known while its list was not read."""


@dataclass(frozen=True, slots=True)
class ControlAnswer:
    """The chosen value (None: leave it out), and what chose it."""

    value: str | None
    by: Caught


def resolve(control: Control, question: ControlQuestion) -> ControlAnswer:
    """Choose the value; MappingError naming the setting and the source value on a miss that parks."""
    answer = _choose(control, question)
    if answer.value is not None or answer.by is Caught.OFF:
        return answer
    if control.on_miss == "skip":
        return ControlAnswer(None, Caught.LEFT_OUT)
    if control.on_miss == "default":
        return ControlAnswer(control.fallback, Caught.FALLBACK)
    fix = 'add "{key}" to {setting} in the settings, or choose a fallback there'
    raise MappingError(
        message("nothing is mapped for {what}", what=message(question.what) if question.what else f'"{question.key}"'),
        code=f"not-mapped-{question.setting}",
        record=question.record,
        field=question.setting,
        fix=message(fix, key=question.key, setting=question.setting),
    )


def _choose(control: Control, question: ControlQuestion) -> ControlAnswer:
    match control.mode:
        case "off":
            return ControlAnswer(None, Caught.OFF)
        case "force":
            return ControlAnswer(control.value, Caught.ALWAYS)
        case "rule" if control.rule is not None:
            try:
                found = evaluate(control.rule, question.source).value
            except MappingError as refusal:
                refusal.about(record=refusal.record or question.record, field=f"{question.setting}.rule")
                raise
            return ControlAnswer(None if found is None else str(found), Caught.RULE)
    row = find_row(control.table, question.key)
    if row is not None or control.mode == "table":
        return ControlAnswer(row, Caught.ROW)
    return ControlAnswer(question.automatic, Caught.AUTOMATIC)

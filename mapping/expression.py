"""Small arithmetic for stock formulas: numbers, names, + - * / and min, max, floor, ceil, round; no code is run."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from mapping.messages import message

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z_]+)|(?P<symbol>[-+*/(),]))")
_DEPTH = 30
_LONGEST = 1_000


class ExpressionError(ValueError):
    """A formula cannot be read, or has no value for these numbers; the message is for its author."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula that was read: its text, and how to compute it."""

    text: str
    evaluate: Callable[[Mapping[str, Decimal]], Decimal]


_Node = Callable[[Mapping[str, Decimal]], Decimal]
_Operator = Callable[[Decimal, Decimal], Decimal]


def _one(values: Sequence[Decimal]) -> Decimal:
    if len(values) != 1:
        raise ExpressionError("floor, ceil and round take one number")
    return values[0]


_FUNCTIONS: dict[str, Callable[[Sequence[Decimal]], Decimal]] = {
    "min": min,
    "max": max,
    "floor": lambda values: _one(values).to_integral_value(ROUND_FLOOR),
    "ceil": lambda values: _one(values).to_integral_value(ROUND_CEILING),
    "round": lambda values: _one(values).to_integral_value(ROUND_HALF_UP),
}


def read_expression(text: str, *, names: Sequence[str], strict: bool = False) -> Expression:
    """Read a formula over the given names; ExpressionError says where it cannot be read.

    With `strict` one that always divides by zero is refused, too.
    """
    if len(text) > _LONGEST:
        raise ExpressionError(message("a formula has at most {most} characters", most=_LONGEST))
    return Expression(text, _Reader(text, frozenset(names), strict=strict).read())


class _Reader:
    """A recursive-descent reader: sums of products of factors."""

    def __init__(self, text: str, names: frozenset[str], *, strict: bool) -> None:
        self._tokens = _split(text)
        self._names = names
        self._strict = strict
        self._names_read = 0
        self._at = 0

    def read(self) -> _Node:
        node = self._read_sum(0)
        if self._at < len(self._tokens):
            raise ExpressionError(message('"{part}" is not expected here', part=self._tokens[self._at]))
        return node

    def _read_sum(self, depth: int) -> _Node:
        if depth > _DEPTH:
            raise ExpressionError("the formula is nested too deeply")
        return self._read_chain("+-", lambda depth: self._read_chain("*/", self._read_factor, depth), depth)

    def _read_chain(self, symbols: str, read: Callable[[int], _Node], depth: int) -> _Node:
        """Operands joined by symbols of one precedence, computed from left to right."""
        first, others = read(depth), []
        while (symbol := self._take(*symbols)) is not None:
            before = self._names_read
            operand = read(depth)
            if self._strict and symbol == "/" and before == self._names_read and operand({}) == 0:
                raise ExpressionError("it always divides by zero")
            others.append((_OPERATORS[symbol], operand))
        if not others:
            return first

        def compute(values: Mapping[str, Decimal]) -> Decimal:
            result = first(values)
            for operate, value in others:
                operand = value(values)
                if operate is operator.truediv and operand == 0:
                    raise ExpressionError("division by zero")
                result = operate(result, operand)
            return result

        return compute

    def _read_factor(self, depth: int) -> _Node:
        negative = False
        while self._take("-") is not None:
            negative = not negative
        node = self._read_atom(depth)
        return (lambda values: -node(values)) if negative else node

    def _read_atom(self, depth: int) -> _Node:
        if self._at >= len(self._tokens):
            raise ExpressionError("the formula ends too early")
        self._at += 1
        token = self._tokens[self._at - 1]
        if token == "(":  # noqa: S105 - a parenthesis
            return self._closed(self._read_sum(depth + 1))
        if token[0].isdigit():
            number = Decimal(token)
            return lambda _: number
        if token in _FUNCTIONS and self._take("(") is not None:
            arguments = [self._read_sum(depth + 1)]
            while self._take(",") is not None:
                arguments.append(self._read_sum(depth + 1))
            return self._closed(lambda values: _FUNCTIONS[token]([argument(values) for argument in arguments]))
        if token not in self._names:
            known = ", ".join(sorted(self._names))
            raise ExpressionError(message('"{name}" is not known; use {known}', name=token, known=known))
        self._names_read += 1
        return lambda values: values[token]

    def _closed(self, node: _Node) -> _Node:
        if self._take(")") is None:
            raise ExpressionError("a closing parenthesis is missing")
        return node

    def _take(self, *wanted: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at] in wanted:
            self._at += 1
            return self._tokens[self._at - 1]
        return None


def _split(text: str) -> list[str]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(message('"{part}" is not understood', part=text[at:].strip()[:20]))
        tokens.append(match.group().strip())
        at = match.end()
    return tokens


_OPERATORS: dict[str, _Operator] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}

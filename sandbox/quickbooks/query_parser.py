"""Parser of Intuit's query language: text in, a Statement out, or the parse fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from sandbox.quickbooks import faults

LARGEST_PAGE = 1000
DEFAULT_PAGE = 100

_TOKENS = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<symbol><=|>=|[=<>(),*])
    )""",
    re.VERBOSE | re.DOTALL,
)
_OPERATORS = frozenset({"=", "<", ">", "<=", ">="})
_T = TypeVar("_T")
_RESERVED = frozenset({"WHERE", "ORDERBY", "ORDER", "STARTPOSITION", "MAXRESULTS", "AND"})


@dataclass(frozen=True, slots=True)
class Condition:
    """`path operator values`; only IN has more than one value. Operators: = < > <= >= IN LIKE."""

    path: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ORDERBY."""

    path: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed query. `start` is 1-based, `limit` the page size asked for."""

    entity: str
    columns: tuple[str, ...] = ("*",)
    count: bool = False
    where: tuple[Condition, ...] = ()
    orders: tuple[Order, ...] = ()
    start: int = 1
    limit: int = DEFAULT_PAGE


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse(text: str) -> Statement:
    """Parse one SELECT statement. Raises fault 4000 when it is not in the language, 4001 for a page too large."""
    return _Parser(_scan(text)).parse_statement()


def _scan(text: str) -> list[_Token]:
    tokens = []
    at = 0
    rest = text.rstrip().rstrip(";").rstrip()
    while at < len(rest):
        match = _TOKENS.match(rest, at)
        if match is None or match.lastgroup is None:
            raise faults.unparsable_query(f'Encountered " {rest[at : at + 10]} " at column {at + 1}')
        tokens.append(_Token(match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return tokens


def _unescape(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)


class _Parser:
    """Recursive descent over the tokens of one statement."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def parse_statement(self) -> Statement:
        self._expect("SELECT")
        columns, count = self._parse_columns()
        self._expect("FROM")
        entity = self._take("word")
        where = self._parse_list(self._parse_condition, "AND") if self._accept("WHERE") else ()
        orders = self._parse_list(self._parse_order, ",") if self._accept_order() else ()
        start, limit = self._parse_page()
        if self._at < len(self._tokens):
            self._fail()
        return Statement(entity, columns, count, where, orders, start, limit)

    def _parse_columns(self) -> tuple[tuple[str, ...], bool]:
        if self._accept("COUNT"):
            for symbol in "(*)":
                self._expect(symbol)
            return ("*",), True
        return self._parse_list(self._parse_column, ","), False

    def _parse_column(self) -> str:
        return "*" if self._accept("*") else self._take("word")

    def _parse_condition(self) -> Condition:
        path = self._take_path()
        if self._accept("IN"):
            self._expect("(")
            values = self._parse_list(self._parse_value, ",")
            self._expect(")")
            return Condition(path, "IN", values)
        if self._accept("LIKE"):
            return Condition(path, "LIKE", (self._parse_value(),))
        operator = self._take("symbol")
        if operator not in _OPERATORS:
            self._fail(back=1)
        return Condition(path, operator, (self._parse_value(),))

    def _parse_value(self) -> str:
        token = self._peek()
        if token is None:
            self._fail()
        self._at += 1
        if token.kind == "string":
            return _unescape(token.text)
        if token.text.lower() not in ("true", "false"):
            self._fail(back=1)  # a number stands in quotes, too
        return token.text

    def _take_path(self) -> str:
        """A property; Intuit's own samples spell MetaData in two ways."""
        path = self._take("word")
        return "MetaData." + path[9:] if path.startswith("Metadata.") else path

    def _accept_order(self) -> bool:
        if self._accept("ORDERBY"):
            return True
        if self._accept("ORDER"):
            self._expect("BY")
            return True
        return False

    def _parse_order(self) -> Order:
        path = self._take_path()
        if self._accept("DESC"):
            return Order(path, descending=True)
        self._accept("ASC")
        return Order(path, descending=False)

    def _parse_page(self) -> tuple[int, int]:
        start, limit = 1, DEFAULT_PAGE
        while self._at < len(self._tokens):
            if self._accept("STARTPOSITION"):
                start = self._take_count()
            elif self._accept("MAXRESULTS"):
                limit = self._take_count()
            else:
                self._fail()
        if limit > LARGEST_PAGE:
            raise faults.invalid_query(f"value {limit} is too large. Max allowed value is {LARGEST_PAGE}.")
        return start, limit

    def _take_count(self) -> int:
        text = self._take("number")
        if not text.isdecimal() or int(text) < 1:
            raise faults.invalid_query(f"value {text} is too small. Min allowed value is 1.")
        return int(text)

    def _parse_list(self, parse_one: Callable[[], _T], separator: str) -> tuple[_T, ...]:
        found = [parse_one()]
        while self._accept(separator):
            found.append(parse_one())
        return tuple(found)

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _accept(self, text: str) -> bool:
        token = self._peek()
        if token is None or token.kind == "string" or token.text.upper() != text:
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail()

    def _take(self, kind: str) -> str:
        token = self._peek()
        if token is None or token.kind != kind or token.text.upper() in _RESERVED:
            self._fail()
        self._at += 1
        return token.text

    def _fail(self, *, back: int = 0) -> NoReturn:
        at = self._at - back
        shown = self._tokens[at].text if at < len(self._tokens) else "<EOF>"
        raise faults.unparsable_query(f'Encountered " {shown} " at token {at + 1}')

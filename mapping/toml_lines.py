"""The lines of a TOML text: which key each one sets or which table it opens, and the comment at its end. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
    opens: bool


def find_keys(lines: Sequence[str]) -> Iterator[KeyLine]:
    """Every line that opens a table or sets a key."""
    table: Path = ()
    for at, line in enumerate(lines):
        if heading := _TABLE.match(line):
            table = _split(heading[1])
            yield KeyLine(at, table, table, opens=True)
        elif key := _KEY.match(line):
            yield KeyLine(at, table + _split(key[1]), table, opens=False)


def _split(written: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(written))


def to_key(path: Sequence[str]) -> str:
    """A key as it is written: parts that need it in quotes, dots between them."""
    return ".".join(part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False) for part in path)


def find_comment(line: str) -> str:
    """The comment at the end of a line that sets a key, with the space before it; empty if there is none."""
    quote, escaped = "", False
    for at, sign in enumerate(line):
        if escaped:
            escaped = False
        elif quote:
            escaped = sign == "\\" and quote == '"'
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "#":
            return line[len(line[:at].rstrip()) :]
    return ""

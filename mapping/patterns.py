r"""Patterns in the settings, matched in linear time (RE2, not `re`).

The notation is Python's, without what cannot be matched in linear time: back-references and look-around are refused
when read. `\w`, `\d` and `\s` match letters, digits and blanks of every language, as in Python; `\b` uses ASCII
letters only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Final

import re2

from mapping.errors import MappingError
from mapping.messages import message

LONGEST: Final = 1_000
"""Characters of a pattern."""
_MEMORY: Final = 8 << 20
_PIECE: Final = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|\(\?P?<\w+>|\(\?P=|\(\?.?|\{,|[\[\]^]|[^\\(\[\]{^]+|.", re.DOTALL)
_WORD: Final = r"\p{L}\p{N}_"
_BLANK: Final = r"\t\n\v\f\r\x{1c}-\x{1f}\x{85}\p{Z}"
# Outside of [brackets]; None: it has no equivalent inside of them.
_CLASSES: Final[dict[str, tuple[str, str | None]]] = {
    r"\w": (f"[{_WORD}]", _WORD),
    r"\W": (f"[^{_WORD}]", None),
    r"\d": (r"\p{Nd}", r"\p{Nd}"),
    r"\D": (r"\P{Nd}", r"\P{Nd}"),
    r"\s": (f"[{_BLANK}]", _BLANK),
    r"\S": (f"[^{_BLANK}]", None),
    r"\Z": (r"\z", None),
}
_UNSUPPORTED: Final = {
    "(?=": "a look-ahead (?=...)",
    "(?!": "a look-ahead (?!...)",
    "(?<": "a look-behind (?<...)",
    "(?P=": "a back-reference (?P=...)",
    "(?(": "a conditional group (?(...)...)",
    "(?>": "an atomic group (?>...)",
    "(?#": "a comment (?#...)",
    "(?x": "the flag (?x)",
    "(?a": "the flag (?a)",
    "(?u": "the flag (?u)",
    "(?L": "the flag (?L)",
}


_FAULTS: Final = {
    "missing )": 'a ")" is missing',
    "unexpected )": 'a ")" has no "(" before it',
    "missing ]": 'a "]" is missing',
    "trailing \\": 'a "\\" stands at its end',
    "bad repetition operator": '"{piece}" repeats a repetition',
    "no argument for repetition operator": 'nothing stands before "{piece}" that it could repeat',
    "invalid repetition size": 'the repetition size "{piece}" is above 1000, or its first number is the larger one',
    "invalid character class range": '"{piece}" is not a range or class of characters',
    "invalid character class": '"{piece}" is not a range or class of characters',
    "invalid escape sequence": '"{piece}" means nothing after a backslash',
    "invalid named capture group": '"{piece}" does not name a part: write (?P<name>...)',
    "invalid perl operator": '"{piece}" is not known in this notation',
    "pattern too large": "it needs too much memory",
}
"""What is wrong, by how RE2 says it; most of its texts name the piece after a colon."""


class PatternError(ValueError):
    """A pattern cannot be read, or could take too long; the message is for its author."""


class Pattern:
    """A pattern that was read; `parts` are the names of its named parts."""

    def __init__(self, text: str) -> None:
        options = re2.Options()
        options.log_errors, options.max_mem = False, _MEMORY
        try:
            self._compiled = re2.compile(_translate(text), options)
        except re2.error as error:
            problem = error.args[0] if error.args else ""
            said = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else str(problem)
            found = next((text for start, text in _FAULTS.items() if said.startswith(start)), "RE2 cannot read it")
            reason = message(found, piece=said.partition(": ")[2])
            raise PatternError(message('"{text}" is not a pattern: {reason}', text=text, reason=reason)) from None
        self.parts: frozenset[str] = frozenset(self._compiled.groupindex)

    def find(self, text: str) -> dict[str, str] | None:
        """The named parts of the first match, without empty ones; None if there is no match."""
        # Lone surrogates are valid in JSON but not in UTF-8.
        found = self._compiled.search(text.encode("utf-8", "replace").decode())
        return None if found is None else {name: part for name, part in found.groupdict().items() if part}

    def fits(self, text: str) -> bool:
        return self.find(text) is not None


@lru_cache(maxsize=256)
def read(text: str) -> Pattern:
    """Read a pattern; PatternError with the reason if it is invalid or not supported."""
    if len(text) > LONGEST:
        raise PatternError(message("a pattern has at most {most} characters", most=LONGEST))
    return Pattern(text)


def require_parts(text: str, known: Collection[str], *, needed: str | None = None) -> None:
    """PatternError unless the pattern can be read and names some of these parts, no others, and the required one."""
    named = read(text).parts
    if not named or named - set(known):
        parts = ", ".join(f"(?P<{part}>...)" for part in known)
        raise PatternError(message("name the parts {parts}, and no others", parts=parts))
    if needed and needed not in named:
        raise PatternError(message("it has to name the part {part}", part=f"(?P<{needed}>...)"))


def recall(text: str) -> Pattern:
    """Read a pattern of a document in force, accepted perhaps by an older version; MappingError if it is invalid."""
    try:
        return read(text)
    except PatternError as error:
        raise MappingError(
            error.args[0], code="pattern-fault", fix="write this pattern differently in the settings, then retry"
        ) from None


def _translate(text: str) -> str:
    """Python's notation as RE2's. PatternError for what RE2 does not have."""
    names: set[str] = set()
    written: list[str] = []
    for piece, within in _pieces(text):
        if not within:
            _require_supported(piece, names, text)
        if piece in _CLASSES:
            outside, inside = _CLASSES[piece]
            if within and inside is None:
                raise PatternError(message('"{text}": write {piece} outside of the [brackets]', text=text, piece=piece))
            written.append((inside or "") if within else outside)
        elif piece.startswith(r"\u"):
            written.append(f"\\x{{{piece[2:]}}}")
        else:
            written.append("{0," if piece == "{," and not within else piece)
    return "".join(written)


def _require_supported(piece: str, names: set[str], text: str) -> None:
    problem = _UNSUPPORTED.get(piece)
    if re.fullmatch(r"\\[1-9]", piece):
        problem = message("a back-reference {piece}", piece=piece)
    if problem:
        said = '"{text}" uses {problem}, which is not supported because it may take too long'
        raise PatternError(message(said, text=text, problem=message(problem)))
    if piece.startswith("(?") and piece.endswith(">"):
        name = piece[piece.index("<") + 1 : -1]
        if name in names:
            raise PatternError(message('"{text}" names the part "{name}" twice', text=text, name=name))
        names.add(name)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    within, first = False, False
    for match in _PIECE.finditer(text):
        piece = match.group()
        yield piece, within
        if piece == "[" and not within:
            within = first = True
        elif piece == "]" and within and not first:
            within = False
        elif piece != "^" or not first:
            first = False

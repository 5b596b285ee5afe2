"""Removes secrets from what is logged or reported: known values, names of secret fields and patterns of secrets.

An exception leaves the process as location and class, and as its message only where that holds no data: the message
of a ValueError or a KeyError, and of most errors of libraries, quotes names and addresses.
"""

from __future__ import annotations

import base64
import builtins
import json
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

# Shorter than any secret it replaces, so that replacing ends and never makes a secret.
MASK = "***"
SHORTEST = 6
DEEPEST = 12

_NAMES = (
    r"ident|secret|secret[_-]key|client[_-]?secret|access[_-]?token|refresh[_-]?token|id[_-]?token|admin[_-]?token|token"
    r"|passw(?:or)?d|passwd|pwd|authorization|cookie|set-cookie|intuit-signature|x-mplus-signature|api[_-]?key|verifier"
)
_TELLING_KEY = re.compile(rf"(?:.*[_.-])?(?:{_NAMES})s?", re.IGNORECASE)
_PATTERNS = (
    # The whole header, scheme and all; then name=value of a query, name: value of a header, "name": "value" of JSON.
    re.compile(r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?)((?:bearer|basic)\s+)?[^\s\"',;]+"),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)()[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(rf"(?i)((?<![A-Za-z0-9])(?:{_NAMES})[\"']?\s*[=:]\s*)()(?:\"[^\"]*\"|'[^']*'|[^\s&\"',;]+)"),
    re.compile(r"(://[^/\s:@]*:)()[^/\s]+(?=@)"),
    # The domain of an e-mail address stays, so that it is clear that an address was removed.
    re.compile(r"()()(?<![\w.+-])[\w.+-]+(?=(?:@|%40)(?:[\w-]+\.)+[A-Za-z]{2,})"),
)
# No pattern matches a text without one of these; most logged values have none.
_SUSPECT = re.compile(r"[\s:=@%]")
# Their messages name code, files and hosts.
_OF_CODE: Final = (
    OSError,
    ImportError,
    NameError,
    AttributeError,
    TypeError,
    SyntaxError,
    ArithmeticError,
    MemoryError,
)
# Our messages hold no personal data by rule (see gateway.errors); the others' name connections.
_SAFE_PACKAGES: Final = frozenset({"gateway", "handlers", "workers", "mapping", "redis", "socket", "ssl"})
_BECAUSE: Final = "The above exception was the direct cause of the following exception:"
_DURING: Final = "During handling of the above exception, another exception occurred:"


@dataclass(frozen=True)
class Redactor:
    """Holds this process's secrets. `clean` returns any value as plain data without them."""

    secrets: frozenset[str]

    @cached_property
    def _known(self) -> re.Pattern[str] | None:
        spelled = (
            (
                secret,
                quote(secret, errors="replace"),
                quote(secret, safe="", errors="replace"),
                quote_plus(secret, errors="replace"),
                repr(secret)[1:-1],
                json.dumps(secret)[1:-1],
                json.dumps(secret, ensure_ascii=False)[1:-1],
                base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode("ascii"),
            )
            for secret in self.secrets
        )
        forms = {form for each in spelled for form in each if len(form) >= SHORTEST}
        return re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None

    def text(self, text: str) -> str:
        masked = self._without_known(text)
        if not _SUSPECT.search(masked):
            return masked
        for pattern in _PATTERNS:
            masked = pattern.sub(rf"\g<1>{MASK}", masked)
        return self._without_known(masked)

    def clean(self, value: Any, *, depth: int = 0) -> Any:
        """`value` as strings, numbers, lists and dicts without any secret; other types become text."""
        match value:
            case _ if depth > DEEPEST:
                cleaned: Any = "..."
            case None | bool():
                cleaned = value
            case int() | float():
                cleaned = value if self.text(str(value)) == str(value) else MASK
            case Mapping():
                cleaned = {
                    self.text(str(k)): MASK if v and _TELLING_KEY.fullmatch(str(k)) else self.clean(v, depth=depth + 1)
                    for k, v in value.items()
                }
            case list() | tuple() | set() | frozenset():
                cleaned = [self.clean(item, depth=depth + 1) for item in value]
            case bytes() | bytearray():
                cleaned = self.text(bytes(value).decode("utf-8", "replace"))
            case _:
                cleaned = self.text(str(value))
        return cleaned

    def _without_known(self, text: str) -> str:
        if self._known is None:
            return text
        while self._known.search(text):
            text = self._known.sub(MASK, text)
        return text


def to_redactor(values: Iterable[str], *, addresses: Iterable[str] = ()) -> Redactor:
    """A redactor for these secrets and for the passwords inside these addresses."""
    passwords = (urlsplit(address).password for address in addresses if "://" in address)
    return Redactor(frozenset(filter(None, (*values, *(unquote(p) for p in passwords if p)))))


def to_text(error: BaseException) -> str:
    """The whole chain, oldest first, as Python prints it but without messages that may hold data."""
    return "\n".join(_lines(error, set()))


def may_be_shown(module: str | None, name: str) -> bool:
    """Whether the message of this class of exceptions may be shown."""
    kind = getattr(builtins, name, None) if module in {None, "builtins"} else None
    if isinstance(kind, type):
        return issubclass(kind, _OF_CODE)
    return (module or "").partition(".")[0] in _SAFE_PACKAGES


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before, why = (error.__cause__, _BECAUSE) if error.__cause__ else (error.__context__, _DURING)
    if before is not None and id(before) not in seen and (error.__cause__ or not error.__suppress_context__):
        yield from _lines(before, seen)
        yield from ("", why, "")
    yield "Traceback (most recent call last):"
    yield from (line.rstrip("\n") for line in traceback.format_tb(error.__traceback__))
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = str(error) if may_be_shown(kind.__module__, kind.__qualname__) else MASK
    yield f"{name}: {text}" if text else name
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _lines(each, seen)

"""An exception as text that may leave the process: location and class; its message only where it holds no data.

The message of a ValueError or a KeyError, and of most errors of libraries, quotes data: names, addresses.
"""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Iterator
from typing import Final

from gateway.redaction import MASK

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
    yield _to_line(error)
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _lines(each, seen)


def _to_line(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = str(error) if may_be_shown(kind.__module__, kind.__qualname__) else MASK
    return f"{name}: {text}" if text else name

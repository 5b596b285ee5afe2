"""The gate that every call of both systems passes, and the calls that change nothing, which a dry run may make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeAlias

Gate: TypeAlias = Callable[[str], AbstractContextManager[Any]]
"""Entered around each call with its operation; it may raise instead of letting the call leave."""

_READS: Final = ("GET ", "QUERY ", "get", "find", "check")


class WriteRefused(Exception):
    """A dry run was about to write to a system: a fault of ours, not an error of the system."""


def is_read(operation: str) -> bool:
    """Whether a call changes nothing, by the names that both systems give their operations."""
    return operation.startswith(_READS)


def reading_only(gate: Gate) -> Gate:
    """The gate for a dry run: a call that is not known to be a read raises `WriteRefused` and does not leave."""

    @contextmanager
    def enter(operation: str) -> Iterator[None]:
        if not is_read(operation):
            raise WriteRefused(f"{operation} in a dry run")
        with gate(operation):
            yield

    return enter

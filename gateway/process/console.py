"""The terminal or log of `up`: its messages, and its children's lines with their names. Never waits for a reader."""

from __future__ import annotations

import os
import select
from contextlib import suppress

_AT_ONCE = 4096  # a pipe that is writable takes this much without blocking
_PATIENCE = 0.5


class Console:
    """Writes whole lines to a file descriptor; lines that are not read in time are dropped and counted."""

    def __init__(self, out: int = 1) -> None:
        self._out = out
        self._begun: dict[str, bytes] = {}
        self._dropped = 0

    def say(self, text: str) -> None:
        self._write(text.encode("utf-8", "replace") + b"\n", patience=_PATIENCE)

    def pass_on(self, name: str, data: bytes) -> None:
        """Output of a child, as it comes; a line is written when it is complete."""
        *lines, rest = (self._begun.pop(name, b"") + data).split(b"\n")
        if len(rest) > _AT_ONCE:
            lines, rest = [*lines, rest], b""
        if rest:
            self._begun[name] = rest
        for line in lines:
            self._write(f"{name:<8}| ".encode() + line + b"\n", patience=0)

    def end(self, name: str) -> None:
        """A child has exited: write its last incomplete line."""
        if self._begun.get(name):
            self.pass_on(name, b"\n")

    def _write(self, line: bytes, *, patience: float) -> None:
        with suppress(OSError):  # a closed terminal must not stop the gateway
            if not select.select([], [self._out], [], patience)[1]:
                self._dropped += 1
                return
            if self._dropped:
                note, self._dropped = f"({self._dropped} lines were dropped: they were not read in time)\n", 0
                os.write(self._out, note.encode())
            for start in range(0, len(line), _AT_ONCE):
                os.write(self._out, line[start : start + _AT_ONCE])

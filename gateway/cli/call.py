"""One call of the command line: its arguments, the settings, and the database opened when it is first needed.

What needs the database is imported then, so that the supervisor, which never does, stays small.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.database.sealing import Seal
from gateway.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

GOOD, PROBLEM, USAGE = 0, 1, 2
_CLEAR, _BAR = "\r\x1b[K", 30


class Trouble(Exception):
    """Something the person has to know, in one line; ends the call with exit code 1."""

    exit_code = PROBLEM


class Misuse(Trouble):
    """The arguments are invalid; ends the call with exit code 2."""

    exit_code = USAGE


@dataclass(frozen=True)
class Call:
    """What a verb works on. `called_from` is the person's working directory, for files they name."""

    arguments: argparse.Namespace
    settings: Settings
    environ: Mapping[str, str]
    var: Path
    called_from: Path

    @cached_property
    def engine(self) -> Engine:
        from gateway.database.session import open_engine

        return open_engine(self.settings.database_url, pool_size=2)

    def close(self) -> None:
        if "engine" in self.__dict__:
            self.engine.dispose()

    @cached_property
    def seal(self) -> Seal:
        """Decrypts the secrets in the database."""
        return Seal(self.settings.secret_keys)

    @property
    def as_json(self) -> bool:
        return bool(self.arguments.json)

    def connection_names(self) -> list[str]:
        """The key of the named connection, or those of all. Raises `Misuse` for an unknown name, or `Trouble`."""
        chosen = self.find_connections()
        if not chosen:
            raise Trouble("nothing is connected yet")
        return chosen

    def find_connections(self) -> list[str]:
        """The key of the connection that was named, or of all. Raises `Misuse` for an unknown name."""
        from gateway.database.session import reading
        from gateway.store import connections

        wanted = self.arguments.connection
        with reading(self.engine) as session:
            chosen, keys = connections.choose(session, wanted), connections.names(session)
        if wanted and not chosen:
            raise Misuse(self.say_unknown(wanted, keys))
        return chosen

    def say_unknown(self, wanted: str, keys: Sequence[str]) -> str:
        """That there is no such connection, and which of these may have been meant."""
        names = [self.called(key) for key in keys]
        near = get_close_matches(wanted, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(names)}" if names else ""
        return f"there is no connection {wanted}{hint}"

    @cached_property
    def display_names(self) -> Mapping[str, str]:
        from gateway.database.session import reading
        from gateway.store import connections

        with reading(self.engine) as session:
            return connections.display_names(session)

    def called(self, key: str | None) -> str:
        return self.display_names.get(key or "", key or "")

    def read_file(self, name: str | Path) -> str:
        """The text of a file that the person named; `-` is stdin. Raises `Misuse`."""
        try:
            return sys.stdin.read() if name == "-" else Path(self.called_from, name).read_text("utf-8")
        except UnicodeDecodeError:
            raise Misuse(f"{name} cannot be read: it is no text in UTF-8") from None
        except OSError as error:
            raise Misuse(f"{name} cannot be read: {(error.strerror or type(error).__name__).lower()}") from None

    def answer(self, data: Any, *lines: str) -> None:
        """Show the data, where it was asked for, or else the lines."""
        if self.as_json:
            show_json(data)
        else:
            for line in lines:
                show(line)


Verb = Callable[[Call], int]


def show(text: str) -> None:
    """Write a line of the answer. Raises `Trouble` where stdout takes none; a pipe that was closed is no trouble."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _abandon(1)
        raise Trouble(f"the answer cannot be written: {(error.strerror or type(error).__name__).lower()}") from None


def _abandon(descriptor: int) -> None:
    """Let what Python still holds for this stream go nowhere: writing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 record", "2 records"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_json(data: Any) -> None:
    plain = codecs.lookup(sys.stdout.encoding or "ascii").name != "utf-8"
    show(json.dumps(data, indent=2, ensure_ascii=plain, default=str))


def open_streams() -> None:
    """A stream that was closed (`>&-`) leads nowhere, and what its encoding lacks is escaped: neither ends a call.

    Left closed, its number would be that of the next file, such as the database.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole call
        elif mode == "w" and isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def remark(text: str) -> None:
    """Progress and remarks, on stderr, so that stdout holds nothing but the answer; where nobody reads it, lost."""
    _to_stderr(f"{_CLEAR if sys.stderr.isatty() else ''}{text}\n")


def _to_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _abandon(2)


def show_progress(text: str, *, done: int = 0, total: int = 0) -> bool:
    """A line that the next one overwrites, with a bar when `total` is known; False where stderr is no terminal."""
    if not sys.stderr.isatty():
        return False
    filled = _BAR * min(done, total) // total if total else 0
    bar = f"[{'#' * filled}{'-' * (_BAR - filled)}] {100 * filled // _BAR:>3} %  " if total else ""
    width = get_terminal_size().columns
    _to_stderr(f"{_CLEAR}{bar}{text}"[: len(_CLEAR) + width - 1])
    return True


def clear_progress() -> None:
    """Take the line of `show_progress` away, before the answer is written where it stood."""
    if sys.stderr.isatty():
        _to_stderr(_CLEAR)


def name_database(url: str) -> str:
    """The database as a person finds it, without its password."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return f"the database {url.partition(':///')[2]}"
    return f"the database {parts.path.strip('/')} at {parts.hostname}:{parts.port or 5432}"


def find_cause(error: BaseException) -> str:
    """What the driver said, in one line, without the addresses it repeats."""
    while error.__cause__ is not None and getattr(error, "orig", None) is None:
        error = error.__cause__
    said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return said.rpartition("failed: ")[2].removeprefix("FATAL:").strip() or type(error).__name__

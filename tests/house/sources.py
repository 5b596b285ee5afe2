"""The project's own Python files, read once and parsed once for every rule about them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "handlers", "workers", "mapping", "sandbox", "bench", "tests", "migrations")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file: its path inside the project, its text and its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree; parsing all files takes seconds, and tests are collected more often than these run."""
        return ast.parse(self.text)

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file that people wrote (generated migrations are left out)."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    written = [path for path in paths if "versions" not in path.parts]
    return tuple(Source(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in written)


def body_lines(function: Function) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@cache
def tracked() -> tuple[str, ...]:
    """Every file under version control; empty in a copy without its history."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    return tuple(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())

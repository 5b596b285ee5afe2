"""Counts the house: files, lines and functions of each package. `python -m tests.house.measures` prints the table."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from statistics import median, quantiles

from tests.house.pages import to_table
from tests.house.sources import PACKAGES, Source, body_lines, sources


def main() -> None:
    """Print the table."""
    head = ("package", "files", "lines", "of code", "longest file", "functions", "median body", "nine of ten below")
    sys.stdout.write(to_table(head, measure_all()))


def measure_all() -> Iterator[Sequence[str]]:
    """A row for each package."""
    for package in PACKAGES:
        found = [source for source in sources() if source.path.startswith(f"{package}/")]
        if found:
            yield measure(package, found)


def measure(package: str, found: Sequence[Source]) -> Sequence[str]:
    """Files, lines and functions of one package; bodies are counted without their docstrings.

    Lines of code are those that are not blank, no comment and no docstring.
    """
    lines = [source.text.count("\n") for source in found]
    bodies = [body_lines(function) for source in found for function in source.functions()]
    tenth = quantiles(bodies, n=10)[-1] if len(bodies) > 1 else 0
    code = sum(count_code(source) for source in found)
    numbers = (len(found), sum(lines), code, max(lines), len(bodies), median(bodies) if bodies else 0, tenth)
    return f"`{package}`", *(f"{number:g}" for number in numbers)


def count_code(source: Source) -> int:
    strings = (node for node in ast.walk(source.tree) if isinstance(node, ast.Expr))
    documented = {
        number
        for node in strings
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    numbered = enumerate(map(str.strip, source.text.splitlines()), 1)
    return sum(bool(line) and not line.startswith("#") and number not in documented for number, line in numbered)


if __name__ == "__main__":
    main()

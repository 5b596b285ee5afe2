"""Counts the house: files, lines and functions of each package. `python -m tests.house.measures` prints the table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from statistics import median, quantiles

from tests.house.pages import to_table
from tests.house.sources import PACKAGES, Source, body_lines, sources


def main() -> None:
    """Print the table."""
    head = ("package", "files", "lines", "longest file", "functions", "median body", "nine of ten below")
    sys.stdout.write(to_table(head, measure_all()))


def measure_all() -> Iterator[Sequence[str]]:
    """A row for each package."""
    for package in PACKAGES:
        found = [source for source in sources() if source.path.startswith(f"{package}/")]
        if found:
            yield measure(package, found)


def measure(package: str, found: Sequence[Source]) -> Sequence[str]:
    """Files, lines and functions of one package; bodies are counted without their docstrings."""
    lines = [source.text.count("\n") for source in found]
    bodies = [body_lines(function) for source in found for function in source.functions()]
    tenth = quantiles(bodies, n=10)[-1] if len(bodies) > 1 else 0
    numbers = (len(found), sum(lines), max(lines), len(bodies), median(bodies) if bodies else 0, tenth)
    return f"`{package}`", *(f"{number:g}" for number in numbers)


if __name__ == "__main__":
    main()

"""What a stranger gives to prove who he is, is compared in constant time."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.sources import sources

TELLING = re.compile(r"signature|token|csrf|mac$|digest|password|bearer")
PLACES = ("gateway/web/", "gateway/connectors/", "gateway/token_manager.py")


def comparisons(text: str) -> Iterator[str]:
    """Every comparison for sameness with something in it that proves who somebody is."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare) and any(isinstance(each, (ast.Eq, ast.NotEq, ast.In)) for each in node.ops):
            names = [getattr(side, "id", getattr(side, "attr", "")) for side in (node.left, *node.comparators)]
            if any(TELLING.search(name) for name in names):
                yield ast.unparse(node)


def test_22_no_proof_is_compared_so_that_time_tells_how_much_was_right() -> None:
    ours = [source for source in sources() if source.path.startswith(PLACES)]
    assert [found for source in ours for found in comparisons(source.text)] == []
    assert sum(len(re.findall(r"\b(compare_digest|is_same)\(", source.text)) for source in ours) >= 9


def test_22_a_plain_comparison_would_be_found() -> None:
    assert list(comparisons("ok = signature == expected")) == ["signature == expected"]

"""Every mapping error names its cause by a code: without one, all causes of a flow share a card of *To do*."""

from __future__ import annotations

import ast

from tests.house.sources import sources

RAISED = {"MappingError", "ItemNeeded"}


def test_every_mapping_error_has_a_code_of_its_own_kind() -> None:
    calls = [
        (source.path, node)
        for source in sources()
        if source.path.startswith(("mapping/", "handlers/"))
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISED
    ]
    assert len(calls) > 50, "it reads nothing"
    without = [f"{path}:{call.lineno}" for path, call in calls if "code" not in {each.arg for each in call.keywords}]
    assert without == []

"""The one-way street of imports, and the pins that every installation gets."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.house.sources import ROOT, sources


def test_every_import_contract_is_kept(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--cache-dir", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for types alone count too: whoever reads one module has to read all of a circle."""
    modules = {
        source.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): source
        for source in sources()
        if not source.path.startswith("tests/")
    }
    imported: dict[str, set[str]] = {}
    for name, source in modules.items():
        found = (node for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom) and node.module)
        names = {f"{node.module}.{alias.name}" for node in found for alias in node.names}
        whole = {each if each in modules else each.rpartition(".")[0] for each in names}
        imported[name] = (whole & modules.keys()) - {name}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None


def read_pins(name: str) -> dict[str, str]:
    """Package and version of each line of a requirements file."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", (ROOT / name).read_text("utf-8"), re.MULTILINE))


def test_tests_run_with_the_very_versions_that_are_deployed() -> None:
    deployed, tested = read_pins("requirements.txt"), read_pins("requirements-dev.txt")
    assert len(deployed) > 30
    assert {name: tested.get(name) for name in deployed} == deployed


def test_every_pin_carries_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-uv.txt", "requirements-audit.txt"):
        blocks = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text("utf-8"), flags=re.MULTILINE)
        assert [block.split()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block] == []

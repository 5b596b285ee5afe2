"""Small files, small functions, words where they help."""

from __future__ import annotations

import ast
import tomllib

from tests.house.sources import ROOT, body_lines, sources, tracked

LONGEST_FILE, LONGEST_FUNCTION, LONGEST_NAME = 400, 40, 70
MOST_MODULES = {"handlers/": 51, "mapping/": 34}
"""Modules of a package: lower it when some were joined. What is never entered alone is no module."""
VAGUE = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "managers",
    "base",
    "misc",
    "queue",
    "types",
    "logging",
}


def test_no_file_is_longer_than_400_lines() -> None:
    long = {s.path: n for s in sources() if (n := len(s.text.splitlines())) > LONGEST_FILE}
    assert long == {}


def test_no_function_is_longer_than_40_lines() -> None:
    long = {
        f"{s.path}:{f.lineno} {f.name}": n
        for s in sources()
        for f in s.functions()
        if (n := body_lines(f)) > LONGEST_FUNCTION
    }
    assert long == {}


def test_no_test_has_a_name_of_more_than_70_characters() -> None:
    names = [f.name for s in sources() if s.path.startswith("tests/") for f in s.functions()]
    assert [name for name in names if name.startswith("test_") and len(name) > LONGEST_NAME] == []


def test_every_module_says_what_it_is_responsible_for() -> None:
    silent = [s.path for s in sources() if s.text.strip() and not ast.get_docstring(s.tree)]
    assert silent == []


def test_every_function_says_what_it_answers() -> None:
    untyped = [f"{s.path}:{f.lineno} {f.name}" for s in sources() for f in s.functions() if f.returns is None]
    assert untyped == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [s.path for s in sources() if VAGUE & set(s.path.removesuffix(".py").split("/")[1:])]
    assert vague == []


def test_no_package_is_cut_into_ever_more_modules() -> None:
    count = {package: sum(s.path.startswith(package) for s in sources()) for package in MOST_MODULES}
    assert {package: n for package, n in count.items() if n > MOST_MODULES[package]} == {}


def test_one_module_knows_how_to_insert_unless_a_row_exists() -> None:
    product = ("gateway", "handlers", "workers")
    ours = [s for s in sources() if s.path.startswith(product) and "on_conflict_do_" in s.text.lower()]
    assert [s.path for s in ours] == ["gateway/database/sql.py"]


def test_every_tests_folder_is_a_package_so_that_it_shadows_none_of_ours() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


def test_every_toml_file_can_be_read() -> None:
    """A key that two changes added stops every page of that language."""
    read = [tomllib.loads((ROOT / name).read_text("utf-8")) for name in tracked() if name.endswith(".toml")]
    assert all(read)


def test_nothing_is_left_for_later() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X:")
    assert [s.path for s in sources() if any(mark in s.text for mark in marks)] == []

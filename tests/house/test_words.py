"""One word for one thing, and the field's word: no name of ours is taken twice, and none is a word nobody else uses."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict

from tests.house.pages import PAGES
from tests.house.sources import ROOT, Source, sources

PRODUCT = ("gateway/", "handlers/", "workers/", "mapping/")
BANNED = frozenset({
    "turnstile", "brake", "workshop", "world", "worlds", "rota", "custody", "duty", "duties", "fate", "fates", "guess",
    "guesses", "tally", "tallies", "reckon", "reckoning", "deed", "deeds", "weather", "waker", "mourn", "mourned",
    "heed", "barred", "carry", "careful", "doubtful", "rehearse", "rehearsal", "shelf", "shelves", "kinship",
    "elsewhen", "pulse",
})  # fmt: skip
"""Words this project once used for what the field calls otherwise; the glossary has what it is called now."""
PERSONIFYING = re.compile(r"\b(strangers?|died|dies|believes|forgets|remembers|thinks|hears)\b")
"""Words for people that docstrings and comments used for processes and systems."""
ONCE_USED = 9.3
"""Private functions with one caller, per 1,000 lines of the product: lower it when it has fallen."""
WITH_ONE_IMPORTER = 33
"""Modules of the product that one other imports: better joined with it. Lower it when it has fallen."""
MOST_MODULES = {
    "gateway/store/": 23,
    "gateway/database/": 4,
    "gateway/privacy/": 3,
    "gateway/queries/": 5,
    "workers/": 8,
    "": 196,
}
"""Modules below a folder of the product (`""`: all): lower it when it has fallen."""
LONGEST_ARCHITECTURE = 300


def product() -> list[Source]:
    return [source for source in sources() if source.path.startswith(PRODUCT)]


def words_of(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", name).lower()))


def test_no_rule_of_ours_reads_the_fields_of_a_vendor() -> None:
    """Records have typed fields; the settings read others by path, through `Item.rule_source`."""
    allowed = ("gateway/connectors/", "mapping/records/books.py")
    found = [
        f"{source.path}:{node.lineno}"
        for source in product()
        if not source.path.startswith(allowed)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr == "raw"
    ]
    assert found == []


def test_no_public_class_name_is_taken_by_two_modules() -> None:
    found = defaultdict(list)
    for source in product():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(source.path)
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_no_module_class_or_function_has_a_word_of_its_own_dialect() -> None:
    names = [(source.path, source.path.rpartition("/")[2].removesuffix(".py")) for source in product()]
    names += [
        (source.path, node.name)
        for source in product()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [f"{path}: {name}" for path, name in names if BANNED & words_of(name)] == []


def test_no_comment_says_of_a_program_what_only_people_do() -> None:
    lines = [(source.path, line.strip()) for source in product() for line in source.text.splitlines()]
    said = [(path, line) for path, line in lines if line.startswith(("#", '"""')) or "  # " in line]
    assert [f"{path}: {line}" for path, line in said if PERSONIFYING.search(line)] == []


def test_no_page_says_of_a_program_what_only_people_do() -> None:
    lines = [
        (page.name, re.sub(r"`[^`]*`", "", line)) for page in PAGES for line in page.read_text("utf-8").split("\n")
    ]
    assert [f"{name}: {line}" for name, line in lines if PERSONIFYING.search(line)] == []


def test_private_functions_with_one_caller_do_not_multiply() -> None:
    once = sum(count_once_used(source) for source in product())
    lines = sum(source.text.count("\n") for source in product())
    assert once / lines * 1000 <= ONCE_USED


def count_once_used(source: Source) -> int:
    used = Counter(node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name))
    used += Counter(node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute))
    private = (f.name for f in source.functions() if f.name.startswith("_") and not f.name.startswith("__"))
    return sum(used[name] == 1 for name in private)


def test_modules_that_only_one_other_imports_do_not_multiply() -> None:
    modules = {name_of(source): source for source in product()}
    importers: dict[str, set[str]] = defaultdict(set)
    for name, source in modules.items():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
                for each in imported & modules.keys() - {name}:
                    importers[each].add(name)
    alone = sorted(name for name, found in importers.items() if len(found) == 1)
    assert len(alone) <= WITH_ONE_IMPORTER, alone


def test_the_modules_of_the_product_do_not_multiply() -> None:
    paths = [source.path for source in product() if not source.path.endswith("__init__.py")]
    found = {folder: sum(path.startswith(folder) for path in paths) for folder in MOST_MODULES}
    assert {folder: n for folder, n in found.items() if n > MOST_MODULES[folder]} == {}


def name_of(source: Source) -> str:
    return source.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_the_architecture_is_read_in_one_sitting() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines()) < LONGEST_ARCHITECTURE

"""What the documents say and what the code does are the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from gateway import errors
from gateway.cli import parser
from gateway.jobs import Job
from gateway.settings import VARIABLES
from mapping import errors as mapping_errors
from tests.house.sources import ROOT, sources, tracked

README = ROOT / "README.md"


def read_documents() -> str:
    """README and docs; the test is skipped, visibly, until there is a README."""
    if not README.exists():
        pytest.skip("README.md is not written yet")
    pages = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text("utf-8") for page in pages)


@pytest.mark.parametrize("name", [variable.name for variable in VARIABLES.values()])
def test_every_variable_of_the_environment_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", read_documents())


def test_every_verb_of_the_command_line_is_documented() -> None:
    text = read_documents()
    shown = parser.to_parser().format_help()
    verbs = re.findall(r"^    ([a-z]+) ", shown, re.MULTILINE)
    assert len(verbs) >= 15
    assert [verb for verb in verbs if not re.search(rf"\b{verb}\b", text)] == []


def test_the_feature_table_names_tests_that_exist() -> None:
    read_documents()
    named = re.findall(r"`(tests/[\w/.-]+)(?:::(\w+))?`", (ROOT / "docs/features.md").read_text("utf-8"))
    assert named, "a page names the tests that prove its features"
    texts = {source.path: source.text for source in sources()}
    missing = [f"{path}::{test}" for path, test in named if not _exists(texts, path, test)]
    assert missing == []


def _exists(texts: dict[str, str], path: str, test: str) -> bool:
    if test:
        return f"def {test}(" in texts.get(path, "")
    return (ROOT / path).exists()


def test_every_job_has_an_actor_and_every_actor_a_job() -> None:
    declared = [
        name
        for source in sources()
        if source.path.startswith("workers/")
        for name in re.findall(r"actor_name=Job\.(\w+)", source.text)
    ]
    assert sorted(declared) == sorted(job.name for job in Job)


def every_error(module: object) -> Iterator[type[Exception]]:
    """The error classes a module defines."""
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.__name__:  # type: ignore[attr-defined]
            yield value


@pytest.mark.parametrize(
    "kind", [*every_error(errors), *every_error(mapping_errors)], ids=lambda kind: str(kind.__name__)
)
def test_every_error_has_a_state(kind: type[Exception]) -> None:
    retry_policy = pytest.importorskip("workers.retry_policy", reason="workers are not written yet")
    assert any(step in retry_policy.STATES for step in kind.__mro__)


# Put together here, so that this file does not hold what it looks for.
PLACES = ("/wo" + "rk/", "/fa" + "rm/", "/tmp/bash" + "_jobs", "/ro" + "ot/", "/ho" + "me/")
HOSTS = ("files.python" + "hosted", "registry.npm" + "js", "//py" + "pi.org", "deb.debian" + ".org")


def test_no_file_names_a_place_on_somebodys_machine_or_a_registry() -> None:
    if not tracked():
        pytest.skip("this copy has no version history to list files from")
    found = [f"{name}: {mark}" for name in tracked() for mark in (*PLACES, *HOSTS) if mark in _text(name)]
    assert found == []


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8", errors="ignore")

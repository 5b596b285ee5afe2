"""The documents are true: made parts are the code's, names exist, links lead somewhere, examples work."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from starlette.routing import Route

from gateway import VERSION, settings
from gateway.app import create_app
from gateway.cli import parser
from mapping import settings_document, settings_guide
from mapping.settings_document import SettingsDocument
from tests.house import pages
from tests.house.pages import EXAMPLE, PAGES, PICTURES, ROOT, TOUR
from tests.house.sources import PACKAGES, sources

README = ROOT / "README.md"
FEATURES, REFERENCE = ROOT / "docs/features.md", ROOT / "docs/reference.md"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
NUMBERS = [
    f"{letter}{number}"
    for letter, last in {"A": 11, "B": 5, "C": 7, "D": 12, "E": 5, "F": 12}.items()
    for number in range(1, last + 1)
]
# What people and programs outside rely on; a line leaves this list only together with those who use it.
PROMISED_ADDRESSES = (
    "POST /webhooks/quickbooks",
    "POST /webhooks/mpluskassa/{event}",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
    "GET /connect/quickbooks",
    "GET /oauth/quickbooks/callback",
    "GET /",
    "GET /admin/status",
    "GET /admin/events",
    "GET /admin/events/{id}",
    "POST /admin/events/{id}/retry",
    "POST /admin/events/{id}/ignore",
    "POST /admin/events/retry",
    "GET /admin/orders/{id}",
    "POST /admin/orders/{id}/resend",
    "GET /admin/connections/{name}/settings",
    "PUT /admin/connections/{name}/settings",
    "POST /admin/flows/{flow}/backfill",
    "POST /admin/people/{email}/export",
    "POST /admin/people/{email}/erase",
)
PROMISED_VERBS = (
    "up", "web", "worker", "clock", "migrate", "doctor", "sandbox", "config", "resend", "backfill", "poll", "status",
    "events", "purge", "person",
)  # fmt: skip

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors that headings get: lower case, without marks, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def rows(text: str, head: str) -> list[list[str]]:
    """The rows of the table whose first heading is `head`."""
    table = text.split(f"\n| {head} |")[1].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table]


# --- made parts --------------------------------------------------------------------------------------------------


@each_page
def test_what_is_made_from_the_code_is_as_the_code_has_it(page: Path) -> None:
    text = page.read_text("utf-8")
    assert pages.fill(text) == text, "write it anew with: python -m tests.house.pages"


def test_every_made_part_stands_on_exactly_one_page() -> None:
    used = [name for page in PAGES for name in pages.parts_of(page.read_text("utf-8"))]
    assert sorted(used) == sorted(pages.PARTS)


def test_the_example_of_the_settings_is_the_schemas_and_is_valid() -> None:
    text = EXAMPLE.read_text("utf-8")
    assert text == settings_guide.example(), "write it anew with: python -m tests.house.pages"
    assert settings_document.parse(text) == SettingsDocument()


def test_every_line_of_the_example_can_be_taken_into_use() -> None:
    lines = EXAMPLE.read_text("utf-8").splitlines()
    in_use = "\n".join(re.sub(r"^# (\w+ = )", r"\1", line) for line in lines)
    assert settings_document.parse(in_use) == SettingsDocument()
    assert len(tomllib.loads(in_use)["orders"]) > 10


def every_setting() -> Iterator[tuple[str, str]]:
    """Section and name of every setting."""
    for section, field in SettingsDocument.model_fields.items():
        for name in getattr(field.annotation, "model_fields", {}):
            yield section, name


@pytest.mark.parametrize(("section", "name"), list(every_setting()))
def test_every_setting_is_explained(section: str, name: str) -> None:
    page = (ROOT / "docs/mapping.md").read_text("utf-8")
    table = page.split(f"<!-- made: {section} -->")[1].split("<!-- end -->")[0]
    (row,) = re.findall(rf"^\| `{name}` \| .+ \| .+ \| (.+) \|$", table, re.MULTILINE)
    assert len(row) > 5


# --- the README, the features, the reference ---------------------------------------------------------------------


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.read_bytes()) < 12_000


def test_every_feature_has_a_row_in_order() -> None:
    assert [row[0] for row in rows(FEATURES.read_text("utf-8"), "number")] == NUMBERS


@pytest.mark.parametrize("row", rows(FEATURES.read_text("utf-8"), "number"), ids=lambda row: str(row[0]))
def test_a_feature_that_is_there_is_proved_and_one_that_is_not_says_so(row: list[str]) -> None:
    _, what, state, proof = row
    assert what
    assert re.fullmatch(r"yes|partly: .+|not yet(: .+)?", state)
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", proof)
    assert "<br>".join(f"`{path}::{name}`" for path, name in named) == proof or proof == "not yet"
    assert bool(named) is not state.startswith("not yet")
    assert [test for test in named if test not in defined_tests()] == []


@cache
def defined_tests() -> frozenset[tuple[str, str]]:
    """File and name of every test there is."""
    return frozenset((source.path, function.name) for source in sources() for function in source.functions())


def addresses(tmp_path: Path) -> set[str]:
    """Method and path of every route of the web process, static files aside."""
    app = create_app(settings.read({}, var=tmp_path))
    return {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def test_the_table_of_addresses_is_the_web_process(tmp_path: Path) -> None:
    listed = [
        cell for row in rows(REFERENCE.read_text("utf-8"), "address") for cell in re.findall(r"`([^`]+)`", row[0])
    ]
    assert sorted(listed) == sorted(addresses(tmp_path))


def test_no_promised_address_or_verb_is_gone(tmp_path: Path) -> None:
    assert [address for address in PROMISED_ADDRESSES if address not in addresses(tmp_path)] == []
    assert [verb for verb in PROMISED_VERBS if verb not in pages.find_verbs()] == []


def test_the_readme_shows_this_version_and_the_changes_speak_of_it() -> None:
    assert f"kassabridge {VERSION} is up" in README.read_text("utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## {VERSION}" in changes or "## Unreleased" in changes


# --- the tour ----------------------------------------------------------------------------------------------------


def test_the_tour_shows_each_of_its_pictures_once_and_they_are_small() -> None:
    text = TOUR.read_text("utf-8")
    sizes = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert sorted(re.findall(r"!\[.{20,}\]\(pictures/([^)]+)\)", text)) == sorted(sizes)
    assert {name: size for name, size in sizes.items() if size > 60_000} == {}
    assert sum(sizes.values()) < 600_000
    assert text.count("\n") <= 120


# --- every page --------------------------------------------------------------------------------------------------


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(text)):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file.read_text("utf-8")), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, left = {README}, [README]
    while left:
        page = left.pop()
        targets = re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text("utf-8"))
        found = {(page.parent / target).resolve() for target in targets} - seen
        seen |= found
        left += sorted(found)
    assert set(PAGES) - seen == set()


@each_page
def test_every_command_in_a_block_exists(page: Path) -> None:
    for line in "\n".join(blocks(page.read_text("utf-8"), "sh")).splitlines():
        words = line.split()
        if words[:1] == ["./run"] and len(words) > 1 and words[1] != "test":
            # argparse ends the process for what it does not know
            assert parser.to_parser().parse_args(words[1:]).verb == words[1]


@each_page
def test_every_settings_document_in_a_block_is_accepted(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "toml"):
        assert settings_document.parse(block) != SettingsDocument()


@each_page
def test_every_name_of_ours_in_code_type_exists(page: Path) -> None:
    tops = "|".join({"gateway", "handlers", "workers", *SettingsDocument.model_fields})
    for name in re.findall(rf"`((?:{tops})(?:\.\w+)+)`", prose(page.read_text("utf-8"))):
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether a dotted name is a setting, or a module of ours, or something in one."""
    section, _, setting = name.partition(".")
    if (section, setting) in set(every_setting()):
        return True
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


@each_page
def test_every_path_of_ours_in_code_type_exists(page: Path) -> None:
    folders = "|".join((*PACKAGES, "docs"))
    for path in re.findall(rf"`((?:{folders})/[\w./*-]*)`", prose(page.read_text("utf-8"))):
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_the_tree_of_the_architecture_names_every_package() -> None:
    tree = blocks(ARCHITECTURE.read_text("utf-8"), "text")[0]
    named = set(re.findall(r"([\w.]+)/", tree))
    packages = {
        path.parent.name
        for top in ("gateway", "handlers", "workers", "mapping", "sandbox", "migrations")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert packages - named == set()


def test_the_architecture_names_every_module_at_the_top_of_the_gateway() -> None:
    tree = blocks(ARCHITECTURE.read_text("utf-8"), "text")[0]
    named = set(re.findall(r"(\w+\.py)", tree))
    modules = {path.name for path in (ROOT / "gateway").glob("*.py")} - {"__init__.py"}
    assert modules - named == set()

"""The probes themselves: what they say can be set can be set, real books are left alone, and the report is readable."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.settings import PRODUCTION_API, SANDBOX_API, VARIABLES
from mapping import settings_document
from mapping.settings_document import SettingsDocument
from sandbox.mpluskassa.app import create_app as create_till
from sandbox.mpluskassa.simulation import Simulation as TillSimulation
from sandbox.quickbooks.app import create_app as create_books
from sandbox.quickbooks.demo import new_company
from sandbox.quickbooks.simulation import Simulation as BooksSimulation
from tests.contract import credentials, report
from tests.contract.catalogue import PROBES
from tests.contract.credentials import Permission
from tests.contract.probe import Fit, Probe, Seen, Way, run
from tests.contract.test_both_ways import furnish_till

ROOT = Path(__file__).resolve().parents[2]
REALM = "9341455000000009"
DECIDED = [(probe.name, way) for probe in PROBES for way in probe.ways if way.setting]
SECTIONS = "|".join(SettingsDocument.model_fields)
GIVEN = {"QUICKBOOKS_CLIENT_ID": "app", "QUICKBOOKS_CLIENT_SECRET": "app-secret", "QUICKBOOKS_REALM_ID": REALM}


def is_document(setting: str) -> bool:
    return re.match(rf"(?:{SECTIONS})\.", setting) is not None


def value_at(document: Any, setting: str) -> Any:
    path = setting.partition(" = ")[0].split(".")
    for name in path:
        document = document.get(name) if isinstance(document, dict) else getattr(document, name)
    return document


@pytest.mark.parametrize(("name", "way"), DECIDED, ids=[f"{name} {way.name}" for name, way in DECIDED])
def test_what_a_way_decides_is_the_default_exactly_when_it_fits(name: str, way: Way) -> None:
    if way.setting.startswith(("in QuickBooks: ", "./run ")):
        assert way.fit is Fit.SET
        return
    if not is_document(way.setting):
        variable, _, value = way.setting.partition("=")
        assert ({v.name: v.default for v in VARIABLES.values()}[variable] == value) is (way.fit is Fit.FITS)
        return
    document = settings_document.parse(f"version = 1\n{way.setting}\n")
    assert (value_at(document, way.setting) == value_at(SettingsDocument(), way.setting)) is (way.fit is Fit.FITS)
    assert tomllib.loads(way.setting)


def test_names_are_unique_and_every_probe_tells_at_least_two_ways_apart() -> None:
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    assert [p.name for p in PROBES if len({way.name for way in p.ways}) != len(p.ways) or len(p.ways) < 2] == []


@pytest.mark.parametrize(
    ("url", "is_test"),
    [(SANDBOX_API, True), ("http://127.0.0.1:8100", True), (PRODUCTION_API, False), ("https://books.example", False)],
)
def test_only_intuits_sandbox_and_this_machine_count_as_test_companies(url: str, is_test: bool) -> None:
    assert credentials.is_test_company(url) is is_test


@pytest.mark.parametrize(("allowed", "may_write"), [(Permission(), False), (Permission(books=True, till=True), True)])
def test_a_production_company_or_real_till_is_written_to_only_if_forced(allowed: Permission, may_write: bool) -> None:
    environment = {
        **GIVEN,
        "QUICKBOOKS_ENVIRONMENT": "production",
        "QUICKBOOKS_REFRESH_TOKEN": "token",
        "MPLUS_URL": "https://till.example:1234",
        "MPLUS_IDENT": "shop",
        "MPLUS_SECRET": "secret",
    }
    with httpx.Client() as http:
        grounds = credentials.from_environment(environment, http, allowed)
    assert {system: ground.may_write for system, ground in grounds.items()} == {
        "quickbooks": may_write,
        "mpluskassa": may_write,
    }


def test_a_writing_probe_is_not_even_asked_where_nothing_may_be_written() -> None:
    class Untouchable:
        system, may_write = "quickbooks", False

        def restore(self) -> list[str]:
            raise AssertionError("nothing was made")

    asked = [probe for probe in PROBES if probe.system == "quickbooks" and probe.writes]
    findings = list(run(asked, {"quickbooks": Untouchable()}))
    assert all(finding.way is None and finding.evidence.startswith("not asked") for finding in findings)
    assert len(findings) == len(asked)
    assert not report.is_clear(findings)


@pytest.fixture
def environment(serve: Callable[..., str], tmp_path: Path) -> dict[str, str]:
    """The variables of a company and an installation that are simulated."""
    books, till = BooksSimulation(), TillSimulation(ident="probe", secret="probe-secret")
    books.switches.limits.requests_per_second = 0
    new_company(books, REALM, "Sandbox Company_NL_1")
    books.register_app("app", "app-secret", "*")
    furnish_till(till)
    url = serve(create_books(books))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("QUICKBOOKS_", "MPLUS_"))}
    return {
        **plain,
        **GIVEN,
        "QUICKBOOKS_API_URL": url,
        "QUICKBOOKS_TOKEN_URL": f"{url}/oauth2/v1/tokens/bearer",
        "QUICKBOOKS_REFRESH_TOKEN": str(books.connect(REALM, "app")["refresh_token"]),
        "MPLUS_URL": serve(create_till(till)),
        "MPLUS_IDENT": "probe",
        "MPLUS_SECRET": "probe-secret",
        "PYTHONPATH": str(ROOT),
    }


def ask(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.contract", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_report_can_be_pasted_and_a_second_run_has_the_rotated_token(
    environment: dict[str, str], tmp_path: Path
) -> None:
    first = ask(environment, tmp_path, "--only", "vat-rounding", "--only", "percentages")
    assert (first.returncode, first.stderr) == (0, "")
    assert "ok  quickbooks/vat-rounding: line" in first.stdout
    assert '    the default fits: orders.rounding_model = "line"' in first.stdout
    assert first.stdout.rstrip().endswith("2 probes: 2 answered, 0 want a setting, 0 say stop")
    assert not any(environment[name] in first.stdout for name in ("QUICKBOOKS_REFRESH_TOKEN", "MPLUS_SECRET"))
    kept = tmp_path / "var/probe-refresh-token.json"
    assert kept.stat().st_mode & 0o077 == 0
    second = ask(environment, tmp_path, "--only", "vat-number", "--json")
    assert json.loads(second.stdout)["way"] == "kept"


def test_the_live_probes_run_where_credentials_are_given(environment: dict[str, str], tmp_path: Path) -> None:
    of_the_till = {name: value for name, value in environment.items() if not name.startswith("QUICKBOOKS_")}
    command = [sys.executable, "-m", "pytest", "-q", "tests/contract/test_live.py"]
    ended = subprocess.run(
        command, env={**of_the_till, "PROBE": "1"}, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    asked = sum(probe.system == "mpluskassa" for probe in PROBES)
    assert f"tests: {asked} passed, 0 failed, 1 skipped" in ended.stdout, ended.stdout


def test_without_credentials_it_names_what_to_set(tmp_path: Path) -> None:
    ended = ask({"PYTHONPATH": str(ROOT)}, tmp_path)
    assert ended.returncode == 2
    assert "MPLUS_URL" in ended.stderr


def test_a_finding_that_wants_a_setting_is_summed_up_at_the_end() -> None:
    probe = next(p for p in PROBES if p.name == "vat-rounding")
    finding = next(iter(run([_answering(probe, "code")], {"quickbooks": _Willing()})))
    assert report.to_text(finding).startswith("->  quickbooks/vat-rounding: code")
    assert '  set: orders.rounding_model = "code"' in report.summarise([finding])
    assert not report.is_clear([finding])


class _Willing:
    system, may_write = "quickbooks", True

    def restore(self) -> list[str]:
        return []


def _answering(probe: Probe, way: str) -> Probe:
    return replace(probe, ask=lambda _ground: Seen(way, "seen"))

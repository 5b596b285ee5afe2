"""The audit of the pinned packages says what it knows: a known vulnerability fails, ignorance is named."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.house import audit
from tests.house.sources import ROOT

BAD: dict[str, Any] = {
    "name": "starlette",
    "version": "0.1",
    "vulns": [{"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["0.2"], "description": "…"}],
}
GOOD: dict[str, Any] = {"name": "httpx", "version": "0.28.1", "vulns": []}
UNASKED: dict[str, Any] = {"name": "zeep", "skip_reason": "Dependency not found"}
TODAY = date(2026, 11, 22)


def test_a_known_vulnerability_is_named_with_its_way_out() -> None:
    verdict = audit.judge({"dependencies": [BAD, GOOD, UNASKED]}, {})
    assert (verdict.packages, verdict.asked) == (3, 2)
    assert verdict.against == ("starlette 0.1: PYSEC-2026-1 CVE-2026-1, fixed in 0.2",)
    assert "2 of 3 packages audited, 1 known" in verdict.say("requirements.txt")


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-1"])
def test_one_is_accepted_until_its_day_by_any_of_its_names(name: str) -> None:
    text = f"# why\n\n{name} 2026-11-22 the function is not used here\n"
    assert audit.judge({"dependencies": [BAD]}, audit.read_accepted(text, today=TODAY)).against == ()
    late = audit.read_accepted(text, today=date(2026, 11, 23))
    assert len(audit.judge({"dependencies": [BAD]}, late).against) == 1
    with pytest.raises(ValueError, match="reason"):
        audit.read_accepted(f"{name} 2026-11-22\n", today=TODAY)


@pytest.mark.parametrize("says", ["", "no network", '{"dependencies": [{"name": "zeep", "skip_reason": "x"}]}'])
def test_where_nobody_can_be_asked_that_is_said_and_nothing_fails(tmp_path: Path, says: str) -> None:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit 1\n", "utf-8")
    tool.chmod(0o755)
    command = [sys.executable, "-m", "tests.house.audit", str(tool)]
    ended = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("NOT AUDITED") == len(audit.FILES)


def test_every_requirements_file_is_audited_and_accepted_ones_are_listed() -> None:
    assert set(audit.FILES) == {path.name for path in ROOT.glob("requirements*.txt")}
    audit.read_accepted(audit.ACCEPTED.read_text("utf-8"), today=TODAY)

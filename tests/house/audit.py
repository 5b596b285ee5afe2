"""Asks whether a pinned package has a known vulnerability: `python -m tests.house.audit PIP_AUDIT`, the end of CI.

A known one fails, unless `.ci/accepted-vulnerabilities` accepts it until a day. Where the data cannot be reached, that
is said and nothing fails: it is not the change's fault.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from tests.house.sources import ROOT

FILES = ("requirements.txt", "requirements-dev.txt", "requirements-uv.txt", "requirements-audit.txt")
ACCEPTED = ROOT / ".ci" / "accepted-vulnerabilities"
_OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--timeout", "10", "--format", "json")
_SECONDS = 300


@dataclass(frozen=True)
class Verdict:
    """What is known of one requirements file: how many packages were asked for, and what stands against them."""

    packages: int
    asked: int
    against: tuple[str, ...]

    def say(self, name: str) -> str:
        """One line, and one for each vulnerability."""
        if not self.asked:
            return f"{name}: NOT AUDITED, the vulnerability data cannot be reached from here ({self.packages} packages)"
        line = f"{name}: {self.asked} of {self.packages} packages audited, {len(self.against)} known vulnerabilities"
        return "\n  ".join([line, *self.against])


def main() -> None:
    """Audit every file; exit code 1 for a known vulnerability that nobody accepted."""
    accepted = read_accepted(ACCEPTED.read_text("utf-8"), today=datetime.now(UTC).date())
    verdicts = {name: judge(ask(sys.argv[1], name), accepted) for name in FILES}
    for name, verdict in verdicts.items():
        sys.stdout.write(f"audit: {verdict.say(name)}\n")
    sys.exit(any(verdict.against for verdict in verdicts.values()))


def ask(program: str, name: str) -> Mapping[str, Any]:
    """The tool's own report; an empty one when it could not make any."""
    command = [program, "--requirement", str(ROOT / name), *_OPTIONS]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    try:
        report: Mapping[str, Any] = json.loads(ended.stdout)
    except ValueError:
        return {"dependencies": []}
    return report


def judge(report: Mapping[str, Any], accepted: Mapping[str, str]) -> Verdict:
    """What the report says; a package that could not be asked for carries no list of vulnerabilities."""
    packages = report["dependencies"]
    asked = [package for package in packages if "vulns" in package]
    return Verdict(len(packages), len(asked), tuple(line for package in asked for line in _against(package, accepted)))


def _against(package: Mapping[str, Any], accepted: Mapping[str, str]) -> Iterator[str]:
    for found in package["vulns"]:
        names = [found["id"], *found.get("aliases", ())]
        if not any(name in accepted for name in names):
            fixed = ", ".join(found.get("fix_versions", ())) or "no version yet"
            yield f"{package['name']} {package['version']}: {' '.join(names)}, fixed in {fixed}"


def read_accepted(text: str, *, today: date) -> Mapping[str, str]:
    """Accepted ids with their reasons: lines of `ID DAY REASON`, each until its day. ValueError for another line."""
    rows: Sequence[list[str]] = [line.split(maxsplit=2) for line in text.splitlines() if line and line[0] != "#"]
    for row in rows:
        if len(row) != len(("id", "day", "reason")):
            raise ValueError(f"should be an id, a day and a reason: {' '.join(row)}")
    return {name: reason for name, day, reason in rows if date.fromisoformat(day) >= today}


if __name__ == "__main__":
    main()

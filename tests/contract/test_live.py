"""The probes asked of real test systems, when their credentials are given: each says which way the vendor behaves.

They run in a process of their own: no test of this process may leave the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from tests.contract.catalogue import PROBES
from tests.contract.credentials import BOOKS_NEED, TILL_NEEDS, missing
from tests.contract.probe import Probe

ROOT = Path(__file__).resolve().parents[2]
ASKED = "PROBE"
NEEDS = {"quickbooks": BOOKS_NEED, "mpluskassa": TILL_NEEDS}


@cache
def ask(system: str) -> dict[str, dict[str, Any]]:
    """The findings about a system by probe."""
    command = [sys.executable, "-m", "tests.contract", "--system", system, "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    return {row["probe"]: row for row in map(json.loads, ended.stdout.splitlines())}


def find_cases() -> Iterator[ParameterSet]:
    """Every probe of a system that may be asked; one case that is skipped for a system that may not."""
    for system, needs in NEEDS.items():
        if missing(os.environ, needs) or os.environ.get(ASKED) != "1":
            reason = f"no test system given for live probes: {system}, set {ASKED}=1, {', '.join(needs)}"
            yield pytest.param(None, id=system, marks=pytest.mark.skip(reason=reason))
        else:
            yield from (pytest.param(p, id=f"{system} {p.name}") for p in PROBES if p.system == system)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("probe", list(find_cases()))
def test_a_probe_says_which_way_the_vendor_behaves(probe: Probe, record_property: Any) -> None:
    finding = ask(probe.system)[probe.name]
    record_property("finding", finding)
    if finding["way"] is None and finding["seen"].startswith(("not asked", "needs webhooks")):
        pytest.skip(f"{finding['seen']}: {probe.name}")
    assert finding["way"], finding["seen"]
    assert not finding["left"], finding["left"]

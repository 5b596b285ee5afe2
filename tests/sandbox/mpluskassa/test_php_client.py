"""Every operation of the simulated till through PHP's own SOAP extension, a client that nobody here wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.compact import OPERATIONS
from sandbox.mpluskassa.contract import COMPACT
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.sandbox.mpluskassa.conftest import Clock, Sandbox, stocked
from tests.sandbox.mpluskassa.test_operations import ASKED, FOUND, trade, with_ids
from tests.servers import Served

SCRIPT = Path(__file__).parent / "php_client.php"


@pytest.fixture(scope="module")
def php() -> str:
    """PHP with its SOAP extension."""
    found = shutil.which("php")
    if found is None:
        pytest.skip("there is no PHP here")
    modules = subprocess.run([found, "-m"], capture_output=True, text=True, check=True).stdout
    if "soap" not in modules.split():
        pytest.skip("PHP has no SOAP extension here")
    return found


@pytest.fixture(scope="module")
def answers(php: str) -> dict[str, dict[str, Any]]:
    """What PHP got for each operation, over the WSDL that the simulator serves."""
    simulation = stocked(Clock(datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM)))
    ids = trade(simulation)
    served = Served(create_app(simulation))
    try:
        given = {
            "wsdl": str(COMPACT),
            "address": Sandbox(simulation, served.url).address(),
            "calls": [[operation, with_ids(ASKED.get(operation, {}), ids)] for operation in OPERATIONS],
        }
        done = subprocess.run(
            [php, str(SCRIPT)], input=json.dumps(given), capture_output=True, text=True, timeout=100, check=False
        )
    finally:
        served.stop()
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["name"]: row for row in rows}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_operation_answers_php(answers: dict[str, dict[str, Any]], operation: str) -> None:
    row = answers[operation]
    assert row["ok"], row
    result = str((row["answer"] or {}).get("result", "-OK"))
    assert result.endswith(("-OK", "-NOTFOUND", "-NOT-FOUND", "-PAYMENT-TOO-HIGH")), row
    if operation in FOUND:
        assert row["answer"]

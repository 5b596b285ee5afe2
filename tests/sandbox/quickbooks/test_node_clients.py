"""The API through node-quickbooks and quickbooks-node-promise, clients that nobody here wrote."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.quickbooks.desk import CLIENT_ID, CLIENT_SECRET, REALM, Desk

HERE = Path(__file__).parent / "clients"
INSTALLED = Path(__file__).parents[3] / "var" / "node-clients"
TABLE = Path(__file__).parents[3] / "docs" / "real-clients.md"
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both clients, as the lock file has them; installed once and used again."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("there is no Node.js here")
    return install(INSTALLED, tmp_path_factory.mktemp("node"))


def install(target: Path, scratch: Path) -> Path:
    """The clients in `target`. Several test processes may ask at once, and one may be killed on the way: a lock lets
    one of them install, and the folder takes its name only when it is whole."""
    lock = (HERE / "package-lock.json").read_bytes()
    kept = target / "installed-lock.json"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    with (target.parent / f"{target.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if kept.exists() and kept.read_bytes() == lock:
            return target
        fresh = scratch / "clients"
        shutil.copytree(HERE, fresh)
        made = subprocess.run(INSTALL, cwd=fresh, capture_output=True, text=True, timeout=100, check=False)
        if made.returncode:
            pytest.skip(f"the clients could not be installed: {made.stderr.strip()[-200:]}")
        (fresh / kept.name).write_bytes(lock)
        whole = target.with_name(f"{target.name}.new")
        for old in (target, whole):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(fresh, whole, symlinks=True)
        whole.rename(target)
    return target


def run(node: Path, script: str, desk: Desk) -> list[dict[str, Any]]:
    """What each call of the script came to."""
    given = {
        "url": desk.url,
        "realm": REALM,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "access_token": desk.tokens["access_token"],
        "refresh_token": desk.tokens["refresh_token"],
        "service_id": desk.service_id,
        "tax_code": desk.code(21),
        "income": account_id(desk, "Sales of Product Income"),
        "bank": account_id(desk, "Bank"),
    }
    environment = {**os.environ, "GIVEN": json.dumps(given), "NODE_PATH": str(node / "node_modules")}
    done = subprocess.run(
        ["node", str(HERE / script)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def account_id(desk: Desk, name: str) -> str:
    """The id of an account by its name."""
    return next(str(row["Id"]) for row in desk.company.table("Account").values() if row["Name"] == name)


@pytest.mark.parametrize(
    ("script", "client"), [("node_quickbooks.js", "node-quickbooks"), ("node_promise.js", "quickbooks-node-promise")]
)
def test_every_call_of_a_client_is_answered_as_it_expects(node: Path, desk: Desk, script: str, client: str) -> None:
    calls = run(node, script, desk)
    refused = [(call["name"], call["why"]) for call in calls if not call["ok"]]
    assert refused == [("getCustomer", "610")]  # the one that is not there
    told = re.search(rf"^\| {client} [^|]*\| [^|]* \| (\d+) calls", TABLE.read_text("utf-8"), re.MULTILINE)
    assert told, f"{TABLE.name} has no row of {client}"
    assert len(calls) == int(told[1])


def test_the_finds_of_node_quickbooks_answer_rows(node: Path, desk: Desk) -> None:
    found = {call["name"]: call["found"] for call in run(node, "node_quickbooks.js", desk) if call["ok"]}
    assert [row["Name"] for row in found["findItems"]["QueryResponse"]["Item"]] == ["Mug", "Repair"]
    (captured,) = found["changeDataCapture"]["CDCResponse"]
    assert {row["DisplayName"] for row in captured["QueryResponse"][0]["Customer"]} >= {"Batch", "Jan de Vries"}

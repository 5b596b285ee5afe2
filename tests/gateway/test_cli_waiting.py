"""The command line where it has to wait, or cannot write: what it says then, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.store import installation, rate_limits
from gateway.store.events import Outcome, State
from gateway.store.rate_limits import QUICKBOOKS, Account, Limit
from tests.conftest import one_migrated_url as migrated_url  # noqa: F401 - a fixture
from tests.gateway.process.programs import ROOT
from tests.gateway.test_cli import KEY, Cli, Worker, run, shop, work

__all__ = ["run", "shop", "work"]


def test_a_wait_says_for_what_and_how_long_and_ends_in_time(
    run: Cli, shop: str, engine: Engine, work: Callable[..., Worker]
) -> None:
    installation.report(engine, "worker")
    away = "MplusKASSA could not be reached at till.example: refused"
    work(lambda _session, _event: Outcome(State.WAITING, reason=away, wait_seconds=60.0))
    code, _, err = run("agree", "--wait", "5.5")
    (waiting,) = [line for line in err.splitlines() if line.startswith("waiting")]
    assert away in waiting
    assert "Ctrl-C is safe" in waiting
    assert (code, err.splitlines()[-1].startswith("not ended after 6 s")) == (1, True)
    code, out, err = run("backfill", "products", "--wait", "6")
    assert (code, "waiting: " + away in err, "it goes on in the background" in out) == (1, True, True)


def test_doctor_in_a_cooldown_names_it_and_no_missing_worker(run: Cli, shop: str, engine: Engine) -> None:
    installation.report(engine, "worker")
    account = Account(QUICKBOOKS, "9130")
    rate_limits.open_account(engine, account, Limit(1))
    rate_limits.cool_down(engine, account, 290.0)
    code, out, _ = run("doctor", "--json")
    (found,) = [row for row in json.loads(out) if row["check"] == f"outside {shop}"]
    assert (code, found["said"].startswith("QuickBooks asked to slow down, it is asked again in 4 min")) == (1, True)
    assert "start the worker" not in found["fix"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("resend", " "), "argument ORDER: it is empty; name a sale by its id or its printed number"),
        (("person", "erase", "relation:abc"), "name an e-mail address, relation:NUMBER (of the till)"),
        (("person", "erase", "relation:\u0661"), "name an e-mail address, relation:NUMBER (of the till)"),
        (("config", "show", "shop.toml"), "config show takes no FILE"),
        (("connection", "list", "--data", "keep"), "connection list needs no NAME and no --data"),
        (("agree", "--from", "2999-01-02"), "2999-01-02 has not begun yet"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_what_cannot_be_meant_is_refused(
    run: Cli, wrong: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code, out, err = run(*wrong)
    except SystemExit as ended:  # found by the parser
        code, (out, err) = int(str(ended.code)), capsys.readouterr()
    assert (code, out, err.startswith(said)) == (2, "", True), err


Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def program(engine: Engine, shop: str, tmp_path: Path) -> Callable[..., Ran]:
    """The command line as a process of its own, its last words redirected by a shell."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    environ = {**os.environ, "SECRET_KEY": KEY, "ADMIN_TOKEN": KEY, "DATABASE_URL": url, "PYTHONPATH": str(ROOT)}

    def start(*words: str, redirected: str = "", **more: str) -> Ran:
        line = f'exec "$0" -m gateway "$@" {redirected}'
        command = ["sh", "-c", line, sys.executable, *words]
        given = {**environ, **more}
        return subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=False, timeout=60)

    return start


@pytest.mark.parametrize("words", [("status",), ("events", "--json"), ("config", "show")])
def test_a_full_disk_under_the_answer_is_one_line(program: Callable[..., Ran], words: tuple[str, ...]) -> None:
    ran = program(*words, redirected=">/dev/full", PYTHONUNBUFFERED="")
    assert (ran.returncode, ran.stderr) == (1, "the answer cannot be written: no space left on device\n")


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_stream_that_takes_nothing_changes_no_exit_code(program: Callable[..., Ran], redirected: str) -> None:
    assert program("status", redirected=redirected).returncode == 0
    assert program("status", "--connection", "nope", redirected=redirected).returncode == 2
    assert program("dance", redirected=redirected).returncode == 2


def test_a_terminal_without_unicode_gets_an_answer(program: Callable[..., Ran]) -> None:
    assert program("config", "apply", "-", redirected="<<'END'\nversion = 1 # \u20ac\nEND\n").returncode == 0
    ran = program("config", "show", PYTHONIOENCODING="ascii")
    assert (ran.returncode, ran.stdout) == (0, "version = 1 # \\u20ac\n")
    assert "\\u20ac" not in program("config", "show", "--json", PYTHONIOENCODING="ascii").stdout

"""The arguments of the command line: mistyped words, help, exit codes, what a terminal shows."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from gateway import __main__ as main
from gateway.cli import call
from tests.gateway.process.programs import ROOT


@pytest.mark.parametrize(
    "wrong",
    [
        *([], ["dance"], ["events", "--state", "lost"], ["backfill"], ["poll", "--bogus"]),
        ["agree", "--from", "2026-11-20", "--through", "2026-11-01"],
        *(
            [*verb, "--connection", "x"]
            for verb in (["purge"], ["forget-secrets"], ["migrate"], ["connection", "list"])
        ),
    ],
)
def test_wrong_usage_is_code_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(wrong)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("statsu",), "there is no verb statsu; did you mean status?"),
        (("backfill", "produts"), "there is no flow produts; did you mean products?"),
        (("events", "--state", "parkd"), "there is no state parkd; did you mean parked?"),
        (("certificate", "lst"), "there is no choice lst; did you mean list?"),
        (("resend", "5", "--dry-rn"), "./run resend has no argument --dry-rn; did you mean --dry-run?"),
        (
            ("certificate", "list", "--from", "2026-02-01", "--through", "2026-01-31"),
            "--through 2026-01-31 is before --from 2026-02-01",
        ),
        (("agree", "--from", "31-1-2026"), "31-1-2026 is not a day; write year-month-day, e.g. 2026-01-31"),
        (("events", "--limit", "-1"), "-1 is not a whole number above 0"),
        (("poll", "--wait", "soon"), "soon is not a number of seconds, e.g. 30"),
        (("poll", "--connection", ""), "it is empty; leave it out, or name a connection"),
        (("mapping", "record"), "the following arguments are required: FILE"),
    ],
)
def test_a_mistyped_argument_is_named_with_the_nearest_right_one(
    wrong: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main.main(wrong)
    printed = capsys.readouterr().err.splitlines()
    assert said in printed[0]
    assert printed[1:] == [
        f"(the arguments are shown by: ./run{' ' + wrong[0] if wrong[0] != 'statsu' else ''} --help)"
    ]


@pytest.mark.parametrize("words", [("--help",), ("resend", "--help")])
def test_help_names_run_has_examples_and_installs_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    for name in ("run", "gateway", "mapping"):
        (tmp_path / name).symlink_to(ROOT / name)
    ran = subprocess.run(["sh", "run", *words], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.startswith("usage: ./run ")
    assert "examples:\n  ./run " in ran.stdout
    assert "exit codes: 0 good, 1 found a problem, 2 wrong usage" in ran.stdout
    assert (ran.stderr, sorted(path.name for path in tmp_path.iterdir())) == ("", ["gateway", "mapping", "run"])


def test_a_backfill_on_a_terminal_is_a_bar_that_is_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    assert call.show_progress("orders under way: 5 of 10", done=5, total=10)
    assert call.show_progress("x" * 200)
    call.remark("done")
    bar, long, ended = terminal.getvalue().split("\r\x1b[K")[1:]
    assert bar == f"[{'#' * 15}{'-' * 15}]  50 %  orders under way: 5"
    assert (len(long), ended) == (59, "done\n")


def test_the_command_line_loads_no_handler_and_no_worker() -> None:
    code = (
        "import sys, gateway.__main__, gateway.cli.tasks, gateway.cli.connections, gateway.cli.files\n"
        "import gateway.cli.processes\n"
        "print([m for m in sys.modules if m.split('.')[0] in {'handlers', 'workers'}])"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout == "[]\n"


def test_a_program_looks_for_garbage_only_when_all_is_imported(tmp_path: Path) -> None:
    code = (
        "import atexit, gc, runpy, sys\n"
        "atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 100_000))\n"
        "sys.argv = ['gateway', 'status']\n"
        "runpy.run_module('gateway', run_name='__main__', alter_sys=True)\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-1] == "True True", ran.stderr

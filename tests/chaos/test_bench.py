"""The long way of chaos as a process of its own: ended from outside, it says so and takes its processes with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bench.chaos import NO_VERDICT
from tests.chaos.plan import PROCESSES
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]


def _list_within(folder: Path) -> set[int]:
    """The processes that work in a folder below this one."""
    found = set()
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdigit() and folder in (each / "cwd").readlink().parents:
                found.add(int(each.name))
        except OSError:  # it has ended, or is not ours
            continue
    return found


def test_a_run_ended_from_outside_says_so_and_leaves_no_process(short_folder: Path) -> None:
    folder = short_folder / "ended"
    folder.mkdir()
    command = [sys.executable, "bench/chaos.py", "--events", "10", "--sales", "4", "--seconds", "30"]
    run = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE)
    wait_until(lambda: len(_list_within(folder)) >= len(PROCESSES), seconds=60, what="the processes of the run")
    run.send_signal(signal.SIGTERM)
    told, _ = run.communicate(timeout=60)
    assert run.returncode == NO_VERDICT
    assert b"NO VERDICT: ended by SIGTERM" in told
    wait_until(lambda: not _list_within(folder), seconds=10, what="the last process of the run to be reaped")
    assert [str(each.relative_to(folder)) for each in folder.rglob("*")] == []

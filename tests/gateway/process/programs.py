"""Small real programs for the supervisor to keep, and a real supervisor process that keeps them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[3]

# Says when it starts and when it is asked to end; a grandchild sleeps beside it.
KEEPER = """
import os, signal, subprocess, sys, time
name, folder, manners = sys.argv[1:4]
def note(what):
    with open(folder + "/log", "a") as file:
        file.write(f"{name} {what} {os.getpid()}\\n")
def end(*_):
    note("asked")
    if manners == "stubborn":
        return
    if manners == "slow":
        time.sleep(0.3)
    note("ended")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
if manners == "parent":
    grandchild = subprocess.Popen(["sleep", "60"])
    with open(folder + "/log", "a") as file:
        file.write(f"{name} grandchild {grandchild.pid}\\n")
note("started")
print(name, "started", flush=True)
while True:
    time.sleep(0.05)
"""

SUPERVISOR = """
import json, os, sys
from pathlib import Path
from gateway.process.supervisor import Child
from gateway.process.supervisor import Console
from gateway.process.supervisor import Supervisor
console = Console()
def to_child(row):
    flag = row.get("ready_when")
    ready = (lambda: Path(flag).exists()) if flag else (lambda: True)
    heartbeat = Path(row["heartbeat"]) if "heartbeat" in row else None
    return Child(row["name"], tuple(row["argv"]), {**os.environ, **row.get("environ", {})}, row.get("rank", 0), ready,
        row.get("once", False), heartbeat)
stages = [[to_child(row) for row in stage] for stage in json.loads(sys.argv[1])]
sys.exit(Supervisor(stages, console, announce=lambda: console.say("all is up")).run())
"""


def keep(name: str, folder: Path, manners: str = "polite", **more: object) -> dict[str, object]:
    """A program that runs until it is asked to end; `manners`: polite, slow, stubborn, parent."""
    return {"name": name, "argv": [sys.executable, "-S", "-c", KEEPER, name, str(folder), manners], **more}


def do(name: str, code: str, **more: object) -> dict[str, object]:
    """A program that runs `code` and ends."""
    return {"name": name, "argv": [sys.executable, "-S", "-c", code], **more}


class Running:
    """A supervisor process and what it and its children wrote."""

    def __init__(
        self, folder: Path, argv: Sequence[str], environ: dict[str, str], *, hangup: signal.Handlers = signal.SIG_DFL
    ) -> None:
        self.folder = folder
        self._out = folder / "out"
        with self._out.open("ab") as out:
            self.process = subprocess.Popen(
                argv,
                cwd=folder,
                env=environ,
                stdout=out,
                stderr=subprocess.STDOUT,
                # What ignores SIGHUP hands that on to its children: the tests themselves may run under nohup.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup),  # noqa: PLW1509 - no lock is held here
            )

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return self._out.read_text("utf-8")

    def log(self) -> list[tuple[str, str, int]]:
        """(name, what, pid) in the order in which it happened."""
        path = self.folder / "log"
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(name, what, int(pid)) for name, what, pid in rows]

    def pids(self, name: str, what: str = "started") -> list[int]:
        """The pids that noted this."""
        return [pid for who, did, pid in self.log() if (who, did) == (name, what)]

    def wait_for(self, text: str, *, seconds: float = 20.0) -> None:
        """Until this was printed."""
        wait_until(lambda: text in self.output, seconds=seconds, what=f"{text!r} in:\n{self.output}")

    def wait_started(self, name: str, times: int = 1) -> int:
        """Until the program started so many times; answers its newest pid."""
        wait_until(lambda: len(self.pids(name)) >= times, what=f"{name} to start {times} times")
        return self.pids(name)[-1]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send the signal; answers the exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        return code, time.monotonic() - began

    def destroy(self) -> None:
        """After a test: nothing of it may stay, however the test ended."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
            self.process.kill()
            self.process.wait()
        for _, _, pid in self.log():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def supervise(
    folder: Path,
    *stages: Sequence[dict[str, object]],
    environment: Mapping[str, str] | None = None,
    hangup: signal.Handlers = signal.SIG_DFL,
) -> Running:
    """Start a supervisor of these stages, with more environment and this handling of SIGHUP inherited."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environment or {})}
    return Running(folder, [sys.executable, "-c", SUPERVISOR, json.dumps(stages)], environ, hangup=hangup)


def is_alive(pid: int) -> bool:
    """Whether this process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

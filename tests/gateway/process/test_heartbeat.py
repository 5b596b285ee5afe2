"""A suspended process is reported as stalled; one that runs, ended or was not watched is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.process import heartbeat
from gateway.process.heartbeat import HeartbeatMonitor
from tests.gateway.process.programs import ROOT
from tests.servers import wait_until

PATIENCE = 4.0
BEATING = "import os, time; from gateway.process import heartbeat; heartbeat.start(os.environ); time.sleep(120)"


@pytest.fixture
def monitor(tmp_path: Path) -> HeartbeatMonitor:
    return HeartbeatMonitor(tmp_path / "heartbeat", patience=PATIENCE)


@pytest.fixture
def beating(monitor: HeartbeatMonitor, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "heartbeat"
    environ = {"PYTHONPATH": str(ROOT), heartbeat.VARIABLE: str(folder)}
    with subprocess.Popen([sys.executable, "-c", BEATING], env=environ) as process:
        wait_until(lambda: any(folder.iterdir()), seconds=30, what="the first beat")
        yield process
        process.kill()


def test_40_a_suspended_process_is_stalled_until_it_continues(
    monitor: HeartbeatMonitor, beating: subprocess.Popen[bytes]
) -> None:
    os.kill(beating.pid, signal.SIGSTOP)
    wait_until(monitor.find_stalled, seconds=30, what="the stall to be found")
    assert (monitor.find_stalled() or PATIENCE) >= PATIENCE
    os.kill(beating.pid, signal.SIGCONT)
    wait_until(lambda: not _look(monitor), seconds=30, what="the stall to be over")


def test_a_process_that_ended_is_not_stalled(
    monitor: HeartbeatMonitor, beating: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    _look(monitor)
    beating.kill()
    beating.wait()
    assert _look(monitor) is None
    assert not any((tmp_path / "heartbeat").iterdir())


def test_a_supervisor_that_was_suspended_reports_no_stall(
    monitor: HeartbeatMonitor, beating: subprocess.Popen[bytes]
) -> None:
    os.kill(beating.pid, signal.SIGSTOP)
    _look(monitor)
    time.sleep(PATIENCE)
    assert monitor.find_stalled() is None


def test_what_was_left_by_processes_before_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / str(os.getpid())).touch()
    HeartbeatMonitor(tmp_path)
    assert not any(tmp_path.iterdir())


def _look(monitor: HeartbeatMonitor) -> float | None:
    time.sleep(0.6)  # sooner it does not look again
    return monitor.find_stalled()


def test_another_file_in_the_folder_is_deleted_without_a_kill(monitor: HeartbeatMonitor, tmp_path: Path) -> None:
    stray = tmp_path / "heartbeat" / "notes.txt"
    stray.touch()
    assert _look(monitor) is None
    assert not stray.exists()

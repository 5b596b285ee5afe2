"""A process that stands still is felt by its supervisor; one that runs, ends or was not looked at is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import heartbeat
from gateway.heartbeat import HeartbeatMonitor
from tests.gateway.programs import ROOT
from tests.servers import wait_until

PATIENCE = 4.0
BEATING = "import os, time; from gateway import heartbeat; heartbeat.start(os.environ); time.sleep(120)"


@pytest.fixture
def felt(tmp_path: Path) -> HeartbeatMonitor:
    return HeartbeatMonitor(tmp_path / "heartbeat", patience=PATIENCE)


@pytest.fixture
def beating(felt: HeartbeatMonitor, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "heartbeat"
    environ = {"PYTHONPATH": str(ROOT), heartbeat.VARIABLE: str(folder)}
    with subprocess.Popen([sys.executable, "-c", BEATING], env=environ) as process:
        wait_until(lambda: any(folder.iterdir()), seconds=30, what="the first beat")
        yield process
        process.kill()


def test_40_one_that_is_frozen_is_felt_until_it_goes_on(
    felt: HeartbeatMonitor, beating: subprocess.Popen[bytes]
) -> None:
    os.kill(beating.pid, signal.SIGSTOP)
    wait_until(felt.find_stalled, seconds=30, what="it to be felt")
    assert (felt.find_stalled() or PATIENCE) >= PATIENCE
    os.kill(beating.pid, signal.SIGCONT)
    wait_until(lambda: not _look(felt), seconds=30, what="it to be felt no more")


def test_one_that_ended_does_not_stand_still(
    felt: HeartbeatMonitor, beating: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    _look(felt)
    beating.kill()
    beating.wait()
    assert _look(felt) is None
    assert not any((tmp_path / "heartbeat").iterdir())


def test_who_stood_still_itself_accuses_nobody(felt: HeartbeatMonitor, beating: subprocess.Popen[bytes]) -> None:
    os.kill(beating.pid, signal.SIGSTOP)
    _look(felt)
    time.sleep(PATIENCE)
    assert felt.find_stalled() is None


def test_what_was_left_by_processes_before_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / str(os.getpid())).touch()
    HeartbeatMonitor(tmp_path)
    assert not any(tmp_path.iterdir())


def _look(felt: HeartbeatMonitor) -> float | None:
    time.sleep(0.6)  # sooner it does not look again
    return felt.find_stalled()


def test_what_else_lies_in_the_folder_is_taken_away_and_kills_nobody(felt: HeartbeatMonitor, tmp_path: Path) -> None:
    stray = tmp_path / "heartbeat" / "notes.txt"
    stray.touch()
    assert _look(felt) is None
    assert not stray.exists()

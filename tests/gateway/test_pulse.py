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

from gateway import pulse
from gateway.pulse import Pulse
from tests.gateway.programs import ROOT
from tests.servers import wait_until

PATIENCE = 4.0
BEATING = "import os, time; from gateway import pulse; pulse.start(os.environ); time.sleep(120)"


@pytest.fixture
def felt(tmp_path: Path) -> Pulse:
    return Pulse(tmp_path / "pulse", patience=PATIENCE)


@pytest.fixture
def beating(felt: Pulse, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "pulse"
    environ = {"PYTHONPATH": str(ROOT), pulse.VARIABLE: str(folder)}
    with subprocess.Popen([sys.executable, "-c", BEATING], env=environ) as process:
        wait_until(lambda: any(folder.iterdir()), seconds=30, what="the first beat")
        yield process
        process.kill()


def test_40_one_that_is_frozen_is_felt_until_it_goes_on(felt: Pulse, beating: subprocess.Popen[bytes]) -> None:
    os.kill(beating.pid, signal.SIGSTOP)
    wait_until(felt.find_still, seconds=30, what="it to be felt")
    assert (felt.find_still() or PATIENCE) >= PATIENCE
    os.kill(beating.pid, signal.SIGCONT)
    wait_until(lambda: not _look(felt), seconds=30, what="it to be felt no more")


def test_one_that_ended_does_not_stand_still(felt: Pulse, beating: subprocess.Popen[bytes], tmp_path: Path) -> None:
    _look(felt)
    beating.kill()
    beating.wait()
    assert _look(felt) is None
    assert not any((tmp_path / "pulse").iterdir())


def test_who_stood_still_itself_accuses_nobody(felt: Pulse, beating: subprocess.Popen[bytes]) -> None:
    os.kill(beating.pid, signal.SIGSTOP)
    _look(felt)
    time.sleep(PATIENCE)
    assert felt.find_still() is None


def test_what_was_left_by_processes_before_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / str(os.getpid())).touch()
    Pulse(tmp_path)
    assert not any(tmp_path.iterdir())


def _look(felt: Pulse) -> float | None:
    time.sleep(0.6)  # sooner it does not look again
    return felt.find_still()


def test_what_else_lies_in_the_folder_is_taken_away_and_kills_nobody(felt: Pulse, tmp_path: Path) -> None:
    stray = tmp_path / "pulse" / "notes.txt"
    stray.touch()
    assert _look(felt) is None
    assert not stray.exists()

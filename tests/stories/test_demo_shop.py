"""The demo as `./run` starts it in an empty folder: what its till holds after a while, seen through the window."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.gateway.process.programs import ROOT, Running
from tests.servers import wait_until

UP = [sys.executable, "-m", "gateway", "up"]
PATIENCE = 400.0  # three minutes on a quiet machine
LOOK_SECONDS = 1.0  # the window is a long page, and what it is to show is minutes away
PACE = "1.6"  # seconds between two sales: where they come faster than they are booked, stock waits for them for ever


@pytest.fixture
def running(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Running]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": str(free_port()), "SANDBOX_PACE": PACE}
    started = Running(tmp_path, UP, environ)
    yield started
    started.destroy()


@pytest.mark.timeout(600)
def test_the_till_gets_variants_a_moving_tree_and_stock_in_both_branches(running: Running) -> None:
    running.wait_for("is up", seconds=PATIENCE)
    address = re.search(r"MplusKASSA (http://\S+?),", running.output)
    assert address is not None

    def shows(pattern: str) -> bool:
        time.sleep(LOOK_SECONDS)
        return re.search(pattern, httpx.get(f"{address[1]}/_control/window", timeout=10).text) is not None

    # Groups are indented by two, their products by two more, the variants of one by two more again.
    family = r"\n    Schort linnen\n(      +15\d\d +(Blauw|Rood) (M|L) +2\d\.95 +Utrecht \d+, Amersfoort \d+\n){4}"
    for what, seen in (
        ("four variants of one product, in two branches", rf"Cadeaus\n(.*\n)*?  Aan tafel\n(.*\n)*?{family[2:]}"),
        ("a category that got another name", r"\n  Kaarten en cadeaubonnen\n"),
        ("a category that moved", r"Delicatessen\n(  .*\n)*?  Relatiegeschenken\n"),
    ):
        wait_until(partial(shows, seen), seconds=PATIENCE, what=what)

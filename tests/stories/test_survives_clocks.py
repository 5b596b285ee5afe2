"""Processes whose wall clocks are hours apart, and a clock that jumps under work: all is carried, and once.

libfaketime would stop Python's waits together with the clock, so `shift.c` moves the wall clock alone.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.servers import wait_until
from tests.stories.memory import opened
from tests.stories.stage import Stage
from tests.stories.trade import deliver, effects, furnish, ring_up, times_made

COMPILER = shutil.which("cc")
HOUR = 3600
Shift = Callable[[str, int], dict[str, str]]

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler to shift a clock with")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is loaded before a program so that its wall clock is off."""
    made = tmp_path_factory.mktemp("shift") / "shift.so"
    source = Path(__file__).with_name("shift.c")
    subprocess.run([COMPILER or "cc", "-shared", "-fPIC", "-O2", "-o", made, source, "-ldl"], check=True, timeout=60)
    return made


@pytest.fixture
def shift(library: Path, tmp_path: Path) -> Shift:
    """Call it with a clock's name and seconds for the environment of a process that has it; again, and it jumps."""

    def put(name: str, seconds: int) -> dict[str, str]:
        file = tmp_path / f"{name}.offset"
        file.with_suffix(".new").write_text(str(seconds), "ascii")
        file.with_suffix(".new").rename(file)
        return {"LD_PRELOAD": str(library), "SHIFT_FILE": str(file)}

    return put


def today() -> str:
    """The shop's day."""
    return datetime.now(ZoneInfo("Europe/Amsterdam")).date().isoformat()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_71_processes_whose_clocks_are_hours_apart_carry_everything_once(stage: Stage, shift: Shift) -> None:
    furnish(stage)
    stage.migrate()
    hours = {"web": -5, "worker-1": 3, "worker-2": -3, "clock": 26}
    for role, off in hours.items():
        stage.start(role, **shift(role, off * HOUR))
    items = {number: str(stage.add_item(str(number), "1.00")["Id"]) for number in range(7001, 7006)}
    with opened(stage) as memory:
        for item_id in items.values():
            assert deliver(stage, item_id, f"e-{item_id}").status_code == 200
        ring_up(stage, 3)
        memory.wait_for(3, entity="Receipt")
        for role, off in hours.items():
            shift(role, -off * HOUR)
        ring_up(stage, 3)
        rows = memory.wait_for(6, entity="Receipt") + memory.wait_for(5, entity="Item")
        assert {(row.state, row.crashes) for row in rows} <= {("done", 0), ("skipped", 0)}
    assert effects(stage)["create"] == 6
    assert {times_made(stage, number) for number in items} == {1}
    assert {row["TxnDate"] for row in stage.documents()} == {today()}


@pytest.mark.parametrize("hours", [2, -2])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_71_a_clock_that_jumps_during_work_loses_and_doubles_nothing(stage: Stage, shift: Shift, hours: int) -> None:
    furnish(stage)
    stage.migrate()
    stage.start(**shift("all", 0))
    with opened(stage) as memory:
        stage.books.injected.plan("POST salesreceipt", "delay", times=2, seconds=4.0)
        ring_up(stage, 4)
        wait_until(lambda: stage.books.injected.struck, seconds=40, what="work to be in flight")
        shift("all", hours * HOUR)
        ring_up(stage, 2)
        rows = memory.wait_for(6, entity="Receipt", seconds=80)
        assert {row.state for row in rows} == {"done"}
        assert {(row.attempts, row.crashes) for row in rows} == {(1, 0)}
    assert effects(stage)["create"] == 6
    assert {row["TxnDate"] for row in stage.documents()} == {today()}

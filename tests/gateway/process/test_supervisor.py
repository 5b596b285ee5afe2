"""The supervisor as a real process over real programs: restarts, order, clean ends, no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.process import programs
from tests.gateway.process.programs import Running, do, is_alive, keep
from tests.servers import wait_until

Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def run(*stages: list[dict[str, object]], hangup: signal.Handlers = signal.SIG_DFL) -> Running:
        started.append(programs.supervise(tmp_path, *stages, hangup=hangup))
        return started[-1]

    yield run
    for running in started:
        running.destroy()


def test_a_child_killed_with_9_is_started_again_and_said_so_in_one_line(start: Start, tmp_path: Path) -> None:
    running = start([keep("web", tmp_path), keep("clock", tmp_path)])
    clock = running.wait_started("clock")
    os.kill(running.wait_started("web"), signal.SIGKILL)
    running.wait_started("web", 2)
    assert is_alive(clock)
    assert running.output.count("web ended (killed by SIGKILL); it starts again in 0.2 s") == 1


def test_what_a_killed_child_had_started_is_gone_before_it_starts_again(start: Start, tmp_path: Path) -> None:
    running = start([keep("worker", tmp_path, "parent")])
    os.kill(running.wait_started("worker"), signal.SIGKILL)
    running.wait_started("worker", 2)
    first, second = running.pids("worker", "grandchild")
    assert not is_alive(first)
    assert is_alive(second)


def test_a_child_that_keeps_dying_is_given_more_and_more_time(start: Start) -> None:
    running = start([do("worker", "raise SystemExit(3)")])
    for pause in ("0.2", "0.4", "0.8"):
        running.wait_for(f"worker ended (exit code 3); it starts again in {pause} s")


def test_a_program_that_does_not_exist_is_named_and_tried_again(start: Start, tmp_path: Path) -> None:
    running = start([{"name": "ghost", "argv": [str(tmp_path / "missing")]}, keep("web", tmp_path)])
    running.wait_for("ghost could not be started (No such file or directory); it starts again in 0.4 s")
    running.wait_started("web")
    assert running.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_in_order_within_seconds(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    running = start(
        [keep("valkey", tmp_path, rank=3)],
        [keep("sandbox", tmp_path, rank=2)],
        [keep("web", tmp_path, "slow", rank=0), keep("worker", tmp_path, "parent", rank=1)],
    )
    running.wait_for("all is up")
    for name in ("web", "worker", "sandbox", "valkey"):
        running.wait_started(name)
    code, seconds = running.end(number)
    assert code == 0
    assert seconds < 5
    ends = [(name, what) for name, what, _ in running.log() if what in {"asked", "ended"}]
    assert [name for name, what in ends if what == "asked"] == ["web", "worker", "sandbox", "valkey"]
    assert ends.index(("web", "ended")) < ends.index(("worker", "asked"))
    # SIGKILL was sent to all of them; when the kernel has ended the last one is its matter.
    wait_until(lambda: not any(is_alive(pid) for _, _, pid in running.log()), seconds=3, what="all to be gone")


def test_under_nohup_a_closed_terminal_ends_nothing(start: Start, tmp_path: Path) -> None:
    running = start([keep("web", tmp_path)], hangup=signal.SIG_IGN)
    running.wait_for("all is up")
    web = running.wait_started("web")
    running.process.send_signal(signal.SIGHUP)
    os.kill(web, signal.SIGKILL)
    running.wait_started("web", 2)  # it saw SIGHUP first and goes on
    assert running.end()[0] == 0


def test_a_second_ctrl_c_ends_even_what_does_not_listen(start: Start, tmp_path: Path) -> None:
    running = start([keep("web", tmp_path, "stubborn")])
    pid = running.wait_started("web")
    running.process.send_signal(signal.SIGINT)
    wait_until(lambda: running.pids("web", "asked"), what="web to be asked")
    assert running.process.poll() is None
    code, seconds = running.end(signal.SIGINT)
    assert code == 0
    assert seconds < 3
    assert "web did not end in time and is killed" in running.output
    assert not is_alive(pid)


def test_what_does_not_end_holds_up_the_next_in_order_only_so_long(start: Start, tmp_path: Path) -> None:
    running = start([keep("sandbox", tmp_path, "stubborn", rank=2), keep("valkey", tmp_path, rank=3)])
    running.wait_started("sandbox")
    running.wait_started("valkey")
    running.process.send_signal(signal.SIGTERM)
    wait_until(lambda: running.pids("valkey", "ended"), seconds=4, what="valkey to be ended last")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_supervisor_killed_with_9_leaves_no_orphans(start: Start, tmp_path: Path) -> None:
    running = start([keep("web", tmp_path), keep("worker", tmp_path)])
    pids = [running.wait_started("web"), running.wait_started("worker")]
    running.end(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), seconds=3, what="the children to end")


def test_a_stage_waits_for_the_one_before(start: Start, tmp_path: Path) -> None:
    flag = tmp_path / "ready"
    running = start([keep("valkey", tmp_path, ready_when=str(flag))], [keep("web", tmp_path)])
    running.wait_started("valkey")
    time.sleep(0.4)
    assert running.pids("web") == []
    flag.touch()
    running.wait_started("web")


def test_a_step_that_must_succeed_runs_once_and_then_the_rest_starts(start: Start, tmp_path: Path) -> None:
    running = start([do("migrate", "print('migrated')", once=True)], [keep("web", tmp_path)])
    running.wait_started("web")
    time.sleep(0.5)
    assert running.output.count("migrated") == 1


def test_a_step_that_fails_ends_everything_with_code_1(start: Start, tmp_path: Path) -> None:
    running = start(
        [do("migrate", "raise SystemExit(1)", once=True), keep("valkey", tmp_path)], [keep("web", tmp_path)]
    )
    assert running.process.wait(timeout=10) == 1
    assert "migrate ended (exit code 1); nothing can run without it" in running.output
    assert running.pids("web") == []
    assert not [pid for _, _, pid in running.log() if is_alive(pid)]


def test_lines_of_the_children_come_whole_and_under_their_names(start: Start, tmp_path: Path) -> None:
    halves = (
        "import time; print('half', end='', flush=True); time.sleep(0.2); print(' and half'); print('rest', end='')"
    )
    running = start([do("clock", halves, once=True)], [keep("web", tmp_path)])
    running.wait_for("web     | web started")
    assert "clock   | half and half\nclock   | rest\n" in running.output


def test_78_a_reader_that_stops_reading_holds_nothing_up(tmp_path: Path) -> None:
    talker = do("web", "import time\nwhile True:\n print('x' * 1000, flush=True)")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(programs.ROOT)}
    argv = [sys.executable, "-c", programs.SUPERVISOR, json.dumps([[talker]])]
    with subprocess.Popen(argv, cwd=tmp_path, env=environ, stdout=subprocess.PIPE) as process:
        time.sleep(1.0)
        process.terminate()
        assert process.wait(timeout=5) == 0

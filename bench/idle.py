"""What a deployment costs at rest and how soon it is up: `python bench/idle.py`, all real processes under `up`.

- *start*: `up` with an empty folder, and a second time with the same folder: until the first webhook is acknowledged.
  Of the web process alone: from its start, measured by the kernel, to that acknowledgement.
- *after trade* (`--events N`): the memory of each process when so many webhooks were acknowledged and their events have
  ended, each about an item of its own that the books do not have.
- *at rest*: the processor time (user and system) and the memory (proportional set size) of each process while
  nothing happens. Polls run at their default intervals. The simulators are in this process and are not counted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from bench.latency import sign, to_body
from tests.servers import Postgres
from tests.stories.stage import Stage

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0
SETTLE_SECONDS = 20.0
SHORTENED = ("MPLUS_POLL_SECONDS", "QUICKBOOKS_CDC_SECONDS", "WORKER_THREADS", "REDIS_URL")
ROLES = {"uvicorn": "web", "workers.main:broker": "worker", "workers.scheduler": "clock", "up": "supervisor"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment: what it is, the seconds it computed, the memory that is its own (MiB), its start."""

    role: str
    seconds: float
    memory: float
    started: float


def read_tree(root: int) -> dict[int, Reading]:
    """The process `root` and everything that it started, by process id."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(_read_stat(int(entry.name))[1])
            except OSError:
                continue
    wanted, found = {root}, {root}
    while found:
        found = {pid for pid, parent in parents.items() if parent in found} - wanted
        wanted |= found
    readings = {}
    for pid in sorted(wanted):
        try:
            readings[pid] = _read(pid)
        except OSError:  # it ended
            continue
    return readings


def _read(pid: int) -> Reading:
    stat = _read_stat(pid)
    words = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")
    role = next((name for word, name in ROLES.items() if word in words), Path(words[0]).name)
    memory = next(
        int(line.split()[1])
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        if line.startswith("Pss:")
    )
    return Reading(role, (int(stat[11]) + int(stat[12])) / TICKS, memory / 1024, int(stat[19]) / TICKS)


def _read_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name of the program, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


class Deployment:
    """One gateway under `up`, between both simulators."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.stage = Stage(folder, database_url=database_url, redis_url="")
        for name in SHORTENED:
            del self.stage.environment[name]
        # As on a machine of its own: what was compiled once is there for the next start.
        self.stage.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    @contextmanager
    def running(self) -> Iterator[tuple[int, float, float]]:
        """Start it: its process id, the seconds to the first acknowledged webhook, and those of the web alone."""
        began = time.monotonic()
        with (self.stage.folder / "up.log").open("ab") as log:
            up = subprocess.Popen(
                [sys.executable, "-m", "gateway", "up"],
                env=self.stage.environment, cwd=self.stage.folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            while not self._acknowledges():
                if time.monotonic() > began + PATIENCE:
                    raise SystemExit(f"not up after {PATIENCE:g} s: {self.stage.logs()[-2000:]}")
                time.sleep(0.005)
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            web = min(each.started for each in read_tree(up.pid).values() if each.role == "web")
            yield up.pid, time.monotonic() - began, now - web
        finally:
            up.terminate()
            up.wait(timeout=PATIENCE)

    def _acknowledges(self) -> bool:
        body = to_body("1")
        headers = {"intuit-signature": sign(body)}
        try:
            return httpx.post(f"{self.stage.url}/webhooks/quickbooks", content=body, headers=headers).is_success
        except httpx.HTTPError:
            return False


def trade(deployment: Deployment, events: int) -> None:
    """Send so many webhooks, and wait until nothing of them is left to do."""
    with httpx.Client(base_url=deployment.stage.url, timeout=PATIENCE) as client:
        for number in range(events):
            body = to_body(f"{1_000_000 + number}")
            client.post(
                "/webhooks/quickbooks", content=body, headers={"intuit-signature": sign(body)}
            ).raise_for_status()
        until = time.monotonic() + PATIENCE + events / 10
        while (left := count_open(client, deployment.stage.environment["ADMIN_TOKEN"])) and time.monotonic() < until:
            time.sleep(1)
    print(f"{events} webhooks acknowledged, {left} of their events not ended", flush=True)


def count_open(client: httpx.Client, token: str) -> int:
    """How many events are still to be handled."""
    status = client.get("/admin/status", headers={"Authorization": f"Bearer {token}"}).raise_for_status().json()
    return int(status["queue"]["pending"]) + int(status["queue"]["working"])


def measure(deployment: Deployment, database: str, seconds: float, events: int) -> None:
    """Start twice, trade and rest once; print."""
    with deployment.running() as (_, first, web):
        print(f"{database}: first start {first:.1f} s, of which the web process {web:.1f} s", flush=True)
    with deployment.running() as (pid, second, web):
        print(f"{database}: second start {second:.1f} s, of which the web process {web:.1f} s", flush=True)
        if events:
            trade(deployment, events)
        time.sleep(SETTLE_SECONDS)
        before = read_tree(pid)
        time.sleep(seconds)
        after = read_tree(pid)
    cost: dict[str, tuple[float, float]] = {}
    for each, reading in after.items():
        share, memory = cost.get(reading.role, (0.0, 0.0))
        used = reading.seconds - (before[each].seconds if each in before else 0.0)
        cost[reading.role] = (share + 100 * used / seconds, memory + reading.memory)
    for role, (share, memory) in sorted(cost.items()):
        print(f"{database}: {role:<14} {share:5.2f} % of a core, {memory:5.0f} MiB", flush=True)
    share, memory = (sum(column) for column in zip(*cost.values(), strict=True))
    print(f"{database}: in all         {share:5.2f} % of a core, {memory:5.0f} MiB", flush=True)


def main() -> int:
    """Measure on each database that was asked for."""
    parser = argparse.ArgumentParser(description="Start-up, and what a gateway at rest costs.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look at it at rest (60)")
    parser.add_argument("--events", type=int, default=0, help="webhooks to send before (0)")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite"])
    asked = parser.parse_args()
    print(figures.machine(), flush=True)
    for database in asked.databases:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kb")))
            url = f"sqlite:///{folder}/gateway.db"
            if database == "postgresql":
                folder.chmod(0o755)
                server = Postgres(folder)
                stack.callback(server.stop)
                url = stack.enter_context(server.database())
            deployment = Deployment(folder, url)
            stack.callback(deployment.stage.close)
            measure(deployment, database, asked.seconds, asked.events)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())

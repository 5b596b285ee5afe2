"""The contest: `python -m bench.peers`. The same signed bodies, acknowledged when durable, until every job is done.

Every side does a delivery that comes twice once, and keeps how each job ended; with `--plain` only ours does.

Each round starts a side with an empty store, sends all deliveries over 32 connections and waits for the last effect.
After the rounds each side's worker is killed with signal 9 in the middle and started again at once: what was
acknowledged must be done, once. The packages of others lie in a folder outside the project; `--install` fills it.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import figures
from bench.peers import sides, wire
from bench.peers.sides import OURS, RECIPES, Side, find_missing, open_side, say
from bench.peers.wire import Load

WARM = 50
LONGEST_DRAIN = 20.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Round:
    """Acknowledged and done per second, the 95th percentile of an acknowledgement (seconds), and what a job cost.

    `cost`: processor time of all processes of the side, its database included (microseconds).
    """

    acknowledged: float
    done: float
    most: float
    cost: float


class Death:
    """A side whose worker was killed now; watches when everything that is sent to it is done."""

    def __init__(self, name: str, side: Side, ids: set[str], patience: float) -> None:
        self._name, self._side, self._ids, self._patience = name, side, ids, patience
        self._died = time.monotonic()
        self._seconds: float | None = None
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def _look(self) -> None:
        while (passed := time.monotonic() - self._died) < self._patience:
            if not self._ids - self._side.count().keys():
                self._seconds = passed
                return
            time.sleep(0.2)

    def tell(self) -> str:
        """Lost and doubled, in the end."""
        self._watch.join()
        counted = self._side.count()
        missing = len(self._ids - counted.keys())
        doubled = sum(counted[each] > 1 for each in self._ids)
        when = f"all done after {self._seconds:.1f} s" if self._seconds else f"not done within {self._patience:.0f} s"
        return f"{self._name:<17} {len(self._ids)} acknowledged, {missing} missing, {doubled} doubled, {when}"


def run(name: str, asked: argparse.Namespace, folder: Path) -> Round:
    """One round of one side."""
    with ExitStack() as stack:
        side = open_side(name, asked.packages, folder, stack, processes=asked.processes, plain=asked.plain)
        warm(side, folder)
        ids = wire.write_bodies(folder / "bodies.txt", "main", asked.count)
        computed = sides.read_processor_seconds(folder)
        load = wire.send(side.url, folder / "bodies.txt")
        if load.bad:
            raise SystemExit(f"{name} refused {load.bad} deliveries\n{_read_logs(folder)}")
        count, ended = _drain(side, set(ids), time.monotonic() + LONGEST_DRAIN)
        cost = 1e6 * (sides.read_processor_seconds(folder) - computed) / max(1, count)
        return Round(load.good / load.seconds, count / (ended - load.began), load.most, cost)


def _drain(side: Side, ids: set[str], until: float) -> tuple[int, float]:
    """How many are done, and since when, without the time that counting takes."""
    while True:
        is_late, is_busy, looked = time.monotonic() > until, side.is_busy(), time.time()
        left = ids if is_busy and not is_late else ids - side.count().keys()
        if is_late or not left:
            return len(ids) - len(left), looked
        time.sleep(0.02)


def warm(side: Side, folder: Path) -> None:
    """Until the worker carries its first jobs."""
    ids = wire.write_bodies(folder / "warm.txt", "warm", WARM, first=1_000_000)
    wire.send(side.url, folder / "warm.txt")
    if _drain(side, set(ids), time.monotonic() + sides.PATIENCE)[0] < WARM:
        raise SystemExit(f"no work is done\n{_read_logs(folder)}")


def _read_logs(folder: Path) -> str:
    return "\n".join(path.read_text("utf-8", "replace")[-2000:] for path in folder.glob("*.log"))


def kill(name: str, asked: argparse.Namespace, folder: Path, stack: ExitStack) -> Death:
    """Send, and kill the worker when a quarter is done; it is started again at once."""
    side = open_side(name, asked.packages, folder, stack, processes=asked.processes, plain=asked.plain)
    warm(side, folder)
    ids = wire.write_bodies(folder / "bodies.txt", "main", asked.count)
    loads: list[Load] = []
    sender = threading.Thread(target=lambda: loads.append(wire.send(side.url, folder / "bodies.txt")))
    sender.start()
    until = time.monotonic() + LONGEST_DRAIN
    while sum(each.startswith("main") for each in side.count()) < asked.count / 4 and time.monotonic() < until:
        time.sleep(0.005)
    side.kill_worker()
    death = Death(name, side, set(ids), asked.patience)
    side.start_worker()
    sender.join()
    if not loads or loads[0].bad:
        raise SystemExit(f"{name} did not acknowledge everything\n{_read_logs(folder)}")
    return death


def compete(names: list[str], asked: argparse.Namespace, folder: Path) -> None:
    """The rounds, every side in turn, and the medians with their ratios."""
    found: dict[str, list[Round]] = {name: [] for name in names}
    for turn in range(asked.rounds):
        for name in names:
            result = run(name, asked, folder / f"{turn}-{names.index(name)}")
            found[name].append(result)
            say(f"round {turn + 1} {name:<17} {_to_text(result)}")
    middles = {name: _middle(rounds) for name, rounds in found.items()}
    ours = middles[names[0]]
    say(f"\nmedians of {asked.rounds}, and how many times the first they are")
    for name, middle in middles.items():
        ratios = f"{middle.acknowledged / ours.acknowledged:.2f} and {middle.done / ours.done:.2f}"
        say(f"{name:<17} {_to_text(middle)}; {ratios}")


def _middle(rounds: list[Round]) -> Round:
    columns = zip(*((each.acknowledged, each.done, each.most, each.cost) for each in rounds), strict=True)
    return Round(*(statistics.median(column) for column in columns))


def _to_text(result: Round) -> str:
    return (
        f"{result.acknowledged:6.0f} acknowledged/s, {result.done:5.0f} done/s,"
        f" p95 of an acknowledgement {1000 * result.most:4.0f} ms, {result.cost:4.0f} us of processor a job"
    )


def die(names: list[str], asked: argparse.Namespace, folder: Path) -> None:
    """The deaths one after the other, then all of them waited for together."""
    say(f"\nworker killed with signal 9 after a quarter of {asked.count}, started again at once")
    with ExitStack() as stack:
        deaths = [kill(name, asked, folder / f"kill-{names.index(name)}", stack) for name in names]
        for death in deaths:
            say(death.tell())


def install(packages: Path) -> None:
    """The pinned packages of others, in a folder of their own; Debian's webhook is unpacked there, not installed."""
    packages.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", packages / "py"], check=True)
    pip = [str(packages / "py/bin/python"), "-m", "pip", "install", "-q", "-r", str(HERE / "requirements.txt")]
    subprocess.run(pip, check=True)
    for tool, folder, commands in (("npm", "node", [["npm", "install", "--no-fund", "--no-audit"]]),
                                   ("dpkg", "deb", [["apt-get", "download", "webhook"],
                                                    ["sh", "-c", "dpkg -x webhook_*.deb ."]])):  # fmt: skip
        (packages / folder).mkdir(exist_ok=True)
        shutil.copy(HERE / "package.json", packages / "node") if folder == "node" else None
        for command in commands if shutil.which(tool) else []:
            subprocess.run(command, cwd=packages / folder, check=False)


def _end(number: int, _frame: object) -> None:
    """End in order on a signal: by default nothing of what was started would be ended, and nothing would be said."""
    say(f"ended by signal {number}: ending what was started")
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main() -> None:
    """Say what is missing, compete, die."""
    asked = _read_arguments()
    for each in ENDING:
        signal.signal(each, _end)
    if asked.install:
        install(asked.packages)
    say(f"{figures.machine()}, {asked.processes} worker processes each")
    names = []
    for name in asked.sides:
        if missing := find_missing(name, asked.packages):
            say(f"SKIPPED {name}: {missing} is not there (--install)")
        else:
            names.append(name)
    with tempfile.TemporaryDirectory(prefix="kb") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL gives root's rights away
        if asked.rounds:
            compete(names, asked, Path(folder))
        if asked.patience:
            die([name for name in names if name != "webhook"], asked, Path(folder))
    say(figures.machine())


def _read_arguments() -> argparse.Namespace:
    everybody = [*OURS, *RECIPES]
    parser = argparse.ArgumentParser(description="Ingest and work, ours and others', side by side.")
    parser.add_argument("--sides", nargs="+", choices=everybody, default=everybody)
    parser.add_argument("--count", type=int, default=1000, help="deliveries a round (1000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=75.0, help="seconds waited after the kills; 0: no kills (75)")
    parser.add_argument("--processes", type=int, default=2, help="worker processes of every side (2)")
    parser.add_argument("--plain", action="store_true", help="peers do repeated deliveries again and keep no outcome")
    parser.add_argument("--packages", type=Path, default=Path.home() / ".cache/kassabridge-peers")
    parser.add_argument("--install", action="store_true", help="install the pinned packages of others there first")
    asked = parser.parse_args()
    asked.packages = asked.packages.resolve()
    return asked


if __name__ == "__main__":
    main()

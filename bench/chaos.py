"""Chaos by a seed, the long way: `python bench/chaos.py --seed 7 --events 5000 --sales 1000 --database postgresql`.

Real processes die, stand still and lose every wire while people trade; then everything heals and drains, and a checker
reads what senders saw acknowledged, what arrived outside and what is stored. The exit code is 1 if anything is wrong,
and 2 if the run was ended from outside before it had a verdict; then it says so and leaves no process behind.
"""

from __future__ import annotations

import argparse
import faulthandler
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy import create_engine, inspect, text

from tests.chaos import plan
from tests.chaos.run import Chaos
from tests.servers import Postgres

NO_VERDICT = 2
_LONGEST_DRAIN = 1800.0
_SILENT_SECONDS = 420.0
"""After so long without a word the stacks of all threads are printed: the longest step, agreeing, takes less."""
ACTS_PER_EVENT = 0.4
"""A webhook, a poll and what follows from both tell of one act: it makes two to three events."""


def main() -> int:
    """Let it happen, print what came of it."""
    asked = _read_arguments()
    acts = max(asked.sales, round(asked.events * ACTS_PER_EVENT))
    seconds = asked.seconds or acts / asked.rate
    made = plan.make(
        asked.seed, acts=acts, sales=asked.sales, seconds=seconds, every=asked.every, collisions=asked.collisions
    )
    command = (
        f"python bench/chaos.py --seed {asked.seed} --events {asked.events} --sales {asked.sales}"
        f" --seconds {seconds:g} --every {asked.every:g} --collisions {asked.collisions}"
        f" --database {asked.database}"
    )
    print(command, flush=True)
    signal.signal(signal.SIGTERM, _end_without_verdict)
    with tempfile.TemporaryDirectory(prefix="kb") as name, _open_database(Path(name), asked.database) as url:
        _say("first load")
        report = Chaos(made, Path(name), url, command, asked.drain, _say).run()
        faulthandler.cancel_dump_traceback_later()
        if asked.keep and not report.is_well:
            _keep_logs(Path(name), Path(asked.keep))
            _keep_tables(url, Path(asked.keep))
    print(report.to_text(), flush=True)
    return 0 if report.is_well else 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    faulthandler.dump_traceback_later(_SILENT_SECONDS, repeat=True)


def _end_without_verdict(number: int, _frame: FrameType | None) -> None:
    """Somebody, or a time limit, ends the run: what it started is ended in order."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"NO VERDICT: ended by {signal.Signals(number).name} before it was checked", flush=True)
    raise SystemExit(NO_VERDICT)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trade while everything dies, by a seed; then heal, drain and check.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=5000, help="events that reach the inbox, about (5000)")
    parser.add_argument("--sales", type=int, default=1000, help="sales at the till (1000)")
    parser.add_argument("--rate", type=float, default=5.0, help="acts of people a second (5)")
    parser.add_argument("--seconds", type=float, help="how long people act, instead of a rate")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two troubles, about (5)")
    parser.add_argument("--collisions", type=int, default=2, help="how often each kind of collision happens (2)")
    parser.add_argument(
        "--drain", type=float, default=_LONGEST_DRAIN, help="seconds from healing to rest at most (1800)"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--keep", help="a folder for the logs and the database when something is wrong")
    return parser.parse_args()


@contextmanager
def _open_database(folder: Path, kind: str) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/chaos.db"
        return
    folder.chmod(0o755)  # PostgreSQL gives root's rights away
    server = Postgres(folder)
    try:
        with server.database() as url:
            yield url.replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.stop()


def _keep_logs(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in (*folder.glob("*.log"), *folder.glob("*.db*")):
        (target / path.name).write_bytes(path.read_bytes())


def _keep_tables(url: str, target: Path) -> None:
    """What PostgreSQL has, as a database of SQLite without types and indexes."""
    if url.startswith("sqlite"):
        return
    with sqlite3.connect(target / "chaos.db") as copy, create_engine(url).connect() as original:
        for table in inspect(original).get_table_names():
            rows = original.execute(text(f'SELECT * FROM "{table}"'))  # noqa: S608 - a name of our own
            names = ", ".join(f'"{name}"' for name in rows.keys())  # noqa: SIM118 - no mapping
            copy.execute(f'CREATE TABLE "{table}" ({names})')
            marks = ", ".join("?" * len(rows.keys()))
            copy.executemany(
                f'INSERT INTO "{table}" VALUES ({marks})',  # noqa: S608
                ([value if isinstance(value, int | None) else str(value) for value in row] for row in rows),
            )


if __name__ == "__main__":
    sys.exit(main())

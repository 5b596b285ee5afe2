"""Ingest of signed webhooks beside the floor, alternating: `python bench/ingest.py [--seconds 4] [--rounds 3]`.

Both write to the same kind of database, `--database sqlite` or `postgres`, and wait for its disk. Needs `wrk`. Loopback
only. Every request has its own body (one CloudEvents entry of about 400 bytes) and signature. Prints requests per
second and the processor time of the web process for each of them, and the ratios of the medians; the second says the
same on a machine that is busy with other things.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from tests.servers import Postgres

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
VERIFIER = "a-verifier-token-for-the-bench"
LUA = """
local lines = {}
for line in io.lines(os.getenv("BENCH_BODIES")) do lines[#lines + 1] = line end
local at = 0
request = function()
  at = at % #lines + 1
  local signature, body = lines[at]:match("^(%S+) (.*)$")
  return wrk.format("POST", "/webhooks/quickbooks", {["intuit-signature"] = signature}, body)
end
"""


def write_bodies(path: Path, count: int, series: str) -> None:
    """Distinct signed deliveries, one per line."""
    with path.open("w", encoding="ascii") as file:
        for number in range(count):
            body = json.dumps(
                [
                    {
                        "specversion": "1.0",
                        "id": f"{series}-{number}-Item-{number}",
                        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
                        "type": "qbo.item.updated.v1",
                        "datacontenttype": "application/json",
                        "time": "2026-09-10T21:31:25.179851517Z",
                        "intuitentityid": str(number),
                        "intuitaccountid": "9341455000000001",
                        "data": {},
                    }
                ]
            )
            digest = hmac.new(VERIFIER.encode(), body.encode(), hashlib.sha256).digest()
            file.write(f"{base64.b64encode(digest).decode()} {body}\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(command: list[str], port: int, environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start one web process on the first core and wait until it listens."""
    process = subprocess.Popen(["taskset", "-c", "0", sys.executable, "-m", *command], env={**os.environ, **environ},
                               cwd=ROOT, stdout=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    raise SystemExit(f"{' '.join(command)} did not start")


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw answered with 2xx in a second, and the microseconds the server computed for each."""

    rate: float
    cost: float


def load(server: int, port: int, bodies: Path, script: Path, *, seconds: int, connections: int) -> Load:
    """Load the server (a process id) from the second core."""
    began = read_processor_seconds(server)
    done = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
         f"http://127.0.0.1:{port}"],
        env={**os.environ, "BENCH_BODIES": str(bodies)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "Non-2xx" in done.stdout:
        raise SystemExit(done.stdout)
    rate, count = (re.search(pattern, done.stdout) for pattern in (r"Requests/sec:\s+([\d.]+)", r"(\d+) requests in"))
    if rate is None or count is None:
        raise SystemExit(done.stdout)
    return Load(float(rate[1]), 1e6 * (read_processor_seconds(server) - began) / max(1, int(count[1])))


def read_processor_seconds(pid: int) -> float:
    """User and system time of a process until now."""
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / TICKS


def measure(name: str, folder: Path, turn: str, database: str, *, seconds: int, connections: int) -> Load:
    """One round of one side, with the fresh database at this address."""
    warm, bodies, script = folder / "warm.txt", folder / "bodies.txt", folder / "load.lua"
    script.write_text(LUA, "ascii")
    write_bodies(warm, 14_000, f"{name}-{turn}-warm")
    write_bodies(bodies, seconds * 14_000, f"{name}-{turn}")
    port = free_port()
    base = {"QUICKBOOKS_WEBHOOK_VERIFIER": VERIFIER, "PYTHONPATH": str(ROOT), "PORT": str(port)}
    if name == "floor":
        bare = ["uvicorn", "bench.floor:app", "--port", str(port), "--no-access-log", "--no-server-header"]
        process = serve(
            [*bare, "--log-level", "warning"], port, {**base, "FLOOR_DATABASE": database.removeprefix("sqlite:///")}
        )
    else:
        ours = {**base, "DATABASE_URL": database, "SECRET_KEY": "k" * 32, "ADMIN_TOKEN": "t" * 32}
        ours |= {"REDIS_URL": "redis://127.0.0.1:1", "LOG_LEVEL": "error", "QUICKBOOKS_REALM_ID": "9341455000000001"}
        subprocess.run([sys.executable, "-m", "gateway", "migrate"], env={**os.environ, **ours}, cwd=ROOT, check=True,
                       capture_output=True)  # fmt: skip
        process = serve(["gateway", "web"], port, base | ours)
    try:
        load(process.pid, port, warm, script, seconds=1, connections=connections)
        return load(process.pid, port, bodies, script, seconds=seconds, connections=connections)
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Callable[[str], AbstractContextManager[str]]]:
    """What makes a fresh database of this kind with a name, and answers its address."""
    if kind == "sqlite":
        yield lambda name: nullcontext(f"sqlite:///{folder / name}.db")
        return
    folder.chmod(0o755)  # PostgreSQL gives root's rights away
    server = Postgres(folder)
    try:
        server.run("ALTER SYSTEM SET fsync = on")  # the tests' is off
        server.run("SELECT pg_reload_conf()")
        yield lambda _name: server.database()
    finally:
        server.stop()


def compare(
    folder: Path, make: Callable[[str], AbstractContextManager[str]], *, seconds: int, rounds: int, connections: int
) -> None:
    """Some rounds with so many connections."""
    found: dict[str, list[Load]] = {"floor": [], "ours": []}
    for number in range(rounds):
        for name, loads in found.items():
            turn = f"{connections}-{number}"
            with make(f"{name}-{turn}") as database:
                loads.append(measure(name, folder, turn, database, seconds=seconds, connections=connections))
            print(f"{connections} connections, round {number + 1}, {name:<5} {loads[-1].rate:8.0f} requests/s,"
                  f" {loads[-1].cost:6.1f} us of processor each", flush=True)  # fmt: skip
    floor, ours = (statistics.median(each.rate for each in found[name]) for name in ("floor", "ours"))
    least, most = (statistics.median(each.cost for each in found[name]) for name in ("floor", "ours"))
    print(f"{connections} connections: median floor {floor:.0f}, ours {ours:.0f}, ratio {ours / floor:.2f};"
          f" processor time {least:.1f} and {most:.1f} us, ratio {least / most:.2f}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    asked = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed")
    with tempfile.TemporaryDirectory(prefix="kb") as folder, opened(asked.database, Path(folder)) as make:
        print(figures.machine(), flush=True)
        for connections in asked.connections:
            limits = {"seconds": min(asked.seconds, 20), "rounds": min(asked.rounds, 9)}
            compare(Path(folder), make, **limits, connections=connections)


if __name__ == "__main__":
    main()

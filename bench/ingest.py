"""Ingest of signed webhooks beside the floor, alternating: `python bench/ingest.py [--seconds 4] [--rounds 3]`.

Needs `wrk`. Loopback only. Every request has its own body (one CloudEvents entry of about 400 bytes) and signature.
Prints requests per second of each round and the ratio of the medians.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
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
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    raise SystemExit(f"{' '.join(command)} did not start")


def load(port: int, bodies: Path, script: Path, seconds: int) -> float:
    """Requests per second that wrk saw answered with 2xx, from the second core."""
    done = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"],
        env={**os.environ, "BENCH_BODIES": str(bodies)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "Non-2xx" in done.stdout:
        raise SystemExit(done.stdout)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    return float(found.group(1)) if found else 0.0


def measure(name: str, folder: Path, turn: int, seconds: int) -> float:
    """One round of one side, with a fresh database."""
    warm, bodies, script = folder / "warm.txt", folder / "bodies.txt", folder / "load.lua"
    script.write_text(LUA, "ascii")
    write_bodies(warm, 14_000, f"{name}-{turn}-warm")
    write_bodies(bodies, seconds * 14_000, f"{name}-{turn}")
    database = folder / f"{name}-{turn}.db"
    port = free_port()
    base = {"QUICKBOOKS_WEBHOOK_VERIFIER": VERIFIER, "PYTHONPATH": str(ROOT), "PORT": str(port)}
    if name == "floor":
        bare = ["uvicorn", "bench.floor:app", "--port", str(port), "--no-access-log", "--no-server-header"]
        process = serve([*bare, "--log-level", "warning"], port, {**base, "FLOOR_DATABASE": str(database)})
    else:
        ours = {**base, "DATABASE_URL": f"sqlite:///{database}", "SECRET_KEY": "k" * 32, "ADMIN_TOKEN": "t" * 32}
        ours |= {"REDIS_URL": "redis://127.0.0.1:1", "LOG_LEVEL": "error", "QUICKBOOKS_REALM_ID": "9341455000000001"}
        subprocess.run([sys.executable, "-m", "gateway", "migrate"], env={**os.environ, **ours}, cwd=ROOT, check=True,
                       capture_output=True)  # fmt: skip
        process = serve(["gateway", "web"], port, base | ours)
    try:
        load(port, warm, script, 1)
        return load(port, bodies, script, seconds)
    finally:
        process.terminate()
        process.wait(timeout=20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed")
    rates: dict[str, list[float]] = {"floor": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(min(arguments.rounds, 9)):
            for name, found in rates.items():
                found.append(measure(name, Path(folder), turn, min(arguments.seconds, 20)))
                print(f"round {turn + 1} {name:<5} {found[-1]:8.0f} requests/s", flush=True)
    floor, ours = (statistics.median(rates[name]) for name in ("floor", "ours"))
    print(f"median floor {floor:.0f}, ours {ours:.0f}, ratio {ours / floor:.2f}")


if __name__ == "__main__":
    main()

"""Processor time of a delivery without a network: `python bench/delivery.py [--connections 32 128] [--rounds 3]`.

The floor (`bench.floor`) and our web process in turn, each in a process of its own: a transport in memory gives the
HTTP protocol one signed request for each connection at once, and the time of the event loop's thread is taken until
all are answered. The tenth percentile of 100 such bursts is shown: what other programs on the machine do counts little.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.ingest import ROOT, VERIFIER, write_bodies

WARM, BURSTS = 10, 100
END = b"\r\n\r\n"


class Wire(asyncio.Transport):
    """A connection in memory."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def to_requests(folder: Path, count: int) -> list[bytes]:
    write_bodies(folder / "bodies.txt", count, "memory")
    lines = (folder / "bodies.txt").read_text("ascii").splitlines()
    head = "POST /webhooks/quickbooks HTTP/1.1\r\nHost: x\r\nintuit-signature: {}\r\nContent-Length: {}\r\n\r\n{}"
    return [head.format(sign, len(body), body).encode() for sign, _, body in (line.partition(" ") for line in lines)]


async def serve(app: Any, protocol: Any, requests: list[bytes], connections: int) -> float:
    """The tenth percentile of the microseconds for each request."""
    import uvicorn
    from uvicorn.lifespan.on import LifespanOn
    from uvicorn.server import ServerState

    config = uvicorn.Config(app, access_log=False, log_level="error", server_header=False)
    config.load()
    state, lifespan = ServerState(), LifespanOn(config)
    await lifespan.startup()
    wires = [Wire() for _ in range(connections)]
    protocols = [protocol(config, state, lifespan.state) for _ in wires]
    for each, wire in zip(protocols, wires, strict=True):
        each.connection_made(wire)
    costs: list[float] = []
    for begin in range(0, len(requests), connections):
        for wire in wires:
            wire.written = b""
        began = time.thread_time()
        for each, request in zip(protocols, requests[begin : begin + connections], strict=True):
            each.data_received(request)
        while not all(wire.written.endswith(END) for wire in wires):  # noqa: ASYNC110 - the loop has to be busy
            await asyncio.sleep(0)
        costs.append(1e6 * (time.thread_time() - began) / connections)
        if not all(wire.written.startswith(b"HTTP/1.1 200") for wire in wires):
            raise SystemExit(wires[0].written)
        if begin == 0:
            await asyncio.sleep(2)  # what a process does once after its start
    return sorted(costs[WARM:])[BURSTS // 10]


def run(side: str, connections: int) -> None:
    """One side, in this process; prints its figure."""
    import uvloop

    with tempfile.TemporaryDirectory() as name:
        database = f"{name}/gateway.db"
        os.environ |= {"QUICKBOOKS_WEBHOOK_VERIFIER": VERIFIER, "FLOOR_DATABASE": database, "SECRET_KEY": "k" * 32}
        os.environ |= {"DATABASE_URL": f"sqlite:///{database}", "ADMIN_TOKEN": "t" * 32, "LOG_LEVEL": "error"}
        os.environ |= {"REDIS_URL": "redis://127.0.0.1:1", "QUICKBOOKS_REALM_ID": "9341455000000001"}
        requests = to_requests(Path(name), connections * (WARM + BURSTS))
        if side == "floor":
            from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

            from bench.floor import app

            cost = uvloop.run(serve(app, HttpToolsProtocol, requests, connections))
        else:
            subprocess.run([sys.executable, "-m", "gateway", "migrate"], cwd=ROOT, check=True, capture_output=True)
            from gateway.app import from_environment
            from gateway.web.protocol import BoundedProtocol

            cost = uvloop.run(serve(from_environment(), BoundedProtocol, requests, connections))
    print(f"{cost:.1f}", flush=True)
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=("floor", "ours"), help="only this one, in this process")
    asked = parser.parse_args()
    if asked.side:
        run(asked.side, asked.connections[0])
    for connections in asked.connections:
        for turn in range(asked.rounds):
            costs = [
                float(
                    subprocess.run(
                        [sys.executable, __file__, "--side", side, "--connections", str(connections)],
                        cwd=ROOT,
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout.split()[-1]
                )
                for side in ("floor", "ours")
            ]
            ratio = costs[0] / costs[1]
            print(
                f"{connections}, round {turn + 1}: floor {costs[0]:.1f} us, ours {costs[1]:.1f} us, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()

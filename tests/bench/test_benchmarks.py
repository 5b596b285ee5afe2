"""The benchmarks start, and what they send is what a sender would."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bench import figures, latency
from bench.peers import sender, sides, wire
from gateway.connectors.quickbooks import webhook
from gateway.web import webhooks
from tests.servers import Served
from tests.stories.stage import REALM, VERIFIER


@pytest.fixture
def door() -> Iterator[tuple[Served, list[bytes]]]:
    """Takes what is rightly signed."""
    taken: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        right = webhook.is_authentic(body, request.headers.get("intuit-signature"), (VERIFIER,)) is not None
        taken.extend([body] if right else [])
        await Response(status_code=200 if right else 401)(scope, receive, send)

    served = Served(app, lifespan="off")
    yield served, taken
    served.stop()


def test_half_lie_below_the_median_and_one_in_twenty_above_the_95th() -> None:
    values = [number / 100 for number in range(1, 101)]
    assert figures.percentile(values, 50) == pytest.approx(0.505)
    assert figures.percentile(values, 95) == pytest.approx(0.9505)
    assert figures.percentile([0.3], 95) == 0.3
    assert "p95 950 ms" in figures.to_line(values)


def test_every_delivery_of_the_contest_is_signed_and_of_one_size(
    tmp_path: Path, door: tuple[Served, list[bytes]]
) -> None:
    served, taken = door
    wire.write_bodies(tmp_path / "bodies.txt", "main", 100)
    port = int(served.url.rpartition(":")[2])
    found = asyncio.run(sender.send(port, (tmp_path / "bodies.txt").read_text("ascii").splitlines()))
    assert (found["good"], found["bad"]) == (100, 0)
    assert {len(body) for body in taken} == {wire.SIZE}
    changes = [change for body in taken for change in webhooks.of_books(body, {REALM: "default"})]
    assert len({change.key for change in changes}) == len({change.subject for change in changes}) == 100


def test_each_latency_is_measured_once() -> None:
    with latency.open_bench("sqlite", slow=True) as bench:
        assert 0 <= bench.pick_up() < latency.PATIENCE
        assert 0 < bench.post_sale() < latency.PATIENCE


def test_the_processor_time_of_a_side_is_that_of_what_works_in_its_folder(tmp_path: Path) -> None:
    busy = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"
    before = sides.read_processor_seconds(tmp_path)
    with subprocess.Popen([sys.executable, "-c", busy], cwd=tmp_path, stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        spent = sides.read_processor_seconds(tmp_path) - before
        process.communicate()
    assert 0.2 < spent < 5.0

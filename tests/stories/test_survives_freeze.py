"""A process stands still with the database's one write lock in its hands: its supervisor replaces it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway import failpoints
from gateway.process import heartbeat
from tests.gateway.process import programs
from tests.servers import wait_until
from tests.stories.memory import opened
from tests.stories.stage import PATIENCE, Stage
from tests.stories.trade import deliver, furnish, times_made

# The first worker freezes in the middle of a transaction; the ones after it do not.
ONCE = 'if mkdir "$0" 2>/dev/null; then export {variable}="{place}=freeze"; fi; exec "$@"'
REPLACED = heartbeat.STILL_SECONDS + 30.0  # seconds, until webhooks are taken again


def to_rows(stage: Stage, folder: Path) -> list[dict[str, object]]:
    """Web and worker, as `up` starts them; a clock's poll would find items, and freeze the worker too early."""
    rows: list[dict[str, object]] = []
    for role in ("web", "worker"):
        command = stage.to_command(role)
        row = {"name": role, "argv": list(command.argv), "environ": dict(command.environ)}
        rows.append({**row, "heartbeat": str(folder / "heartbeat" / role)})
    frozen = ONCE.format(variable=failpoints.VARIABLE, place=f"{failpoints.WHILE_RECORD}:Item")
    rows[1]["argv"] = ["sh", "-c", frozen, str(folder / "frozen"), *stage.to_command("worker").argv]
    return rows


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_40_a_worker_frozen_with_the_write_lock_is_replaced_without_loss(stage: Stage) -> None:
    furnish(stage)
    stage.migrate()
    supervisor = programs.supervise(stage.folder, to_rows(stage, stage.folder), environment=stage.environment)
    numbers = iter(range(6000, 7000))
    taken: list[int] = []

    def offer() -> int:
        """A new item and its webhook, which is taken or not."""
        number = next(numbers)
        item = stage.add_item(str(number), "1.00")
        status = deliver(stage, str(item["Id"]), f"e-{number}").status_code
        taken.extend([number] if status == 200 else [])
        return status

    try:
        wait_until(lambda: stage.answers("readyz"), seconds=PATIENCE, what="the web process to be ready")
        wait_until(lambda: offer() == 503, seconds=PATIENCE, what="the lock to be held by a frozen worker")
        began = time.monotonic()
        wait_until(lambda: offer() == 200, seconds=REPLACED + PATIENCE, what="the frozen worker to be replaced")
        assert time.monotonic() - began < REPLACED
        supervisor.wait_for("worker has hung for")
        with opened(stage) as memory:
            rows = memory.wait_for(len(taken), entity="Item", seconds=2 * PATIENCE)
            assert 1 <= sum(row.crashes for row in rows) <= int(stage.environment["WORKER_THREADS"])
        assert {number: times_made(stage, number) for number in taken} == dict.fromkeys(taken, 1)
    finally:
        supervisor.end()

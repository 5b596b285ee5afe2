"""A backup taken while it works, with the very commands of the docs, is restored: all is there, nothing is doubled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import find_postgres_clients
from tests.stories.memory import opened
from tests.stories.stage import ROOT, Stage
from tests.stories.trade import effects, furnish, ring_up, times_made

PATIENCE = 60.0


def read_commands() -> dict[str, str]:
    """The commands of the chapter, by what they do."""
    chapter = (ROOT / "docs/operating.md").read_text("utf-8").partition("## Backups")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    return dict(zip(("save postgres", "save sqlite", "restore postgres", "restore sqlite"), blocks, strict=False))


def follow(stage: Stage, commands: str) -> None:
    """Type these commands in the folder of the installation."""
    if not (stage.folder / ".venv").exists():
        (stage.folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    run = stage.folder / "run"
    run.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway "$@"\n', "ascii")
    run.chmod(0o755)
    environ = {**stage.environment, "PATH": f"{find_postgres_clients()}{os.pathsep}{stage.environment['PATH']}"}
    subprocess.run(["sh", "-euc", commands], env=environ, cwd=stage.folder, check=True, timeout=60)


@pytest.mark.timeout(300)  # a dozen processes start, on machines that may be busy
def test_80_a_backup_taken_at_work_and_restored_loses_and_doubles_nothing(
    stage: Stage,
) -> None:
    kind = "sqlite" if stage.environment["DATABASE_URL"].startswith("sqlite") else "postgres"
    if kind == "sqlite":
        stage.environment["DATABASE_URL"] = f"sqlite:///{stage.folder}/var/gateway.db"
    commands = read_commands()
    furnish(stage)
    stage.books.switches.rotate_refresh_token = "daily"  # as Intuit's do; an older backup asks for a reconnect, visibly
    stage.migrate()
    stage.start("clock", "worker")
    stage.books.injected.plan("POST salesreceipt", "delay", times=2, seconds=0.5)
    ring_up(stage, 2)
    stage.add_item("7001", "1.00")
    follow(stage, commands[f"save {kind}"])
    ring_up(stage, 2)
    with opened(stage) as memory:
        memory.wait_for(4, seconds=PATIENCE, entity="Receipt")
        memory.wait_for(2, seconds=PATIENCE, entity="Item")
    stage.stop("clock")
    stage.stop("worker")
    follow(stage, commands[f"restore {kind}"])
    stage.start("clock", "worker")
    ring_up(stage)
    with opened(stage) as memory:
        sales = memory.wait_for(5, seconds=PATIENCE, entity="Receipt")
        memory.wait_for(2, seconds=PATIENCE, entity="Item")
    assert {row.state for row in sales} == {"done"}
    assert effects(stage)["create"] == 5
    assert times_made(stage, 7001) == 1

"""A worker that does the clock's work as well has one pool of database connections and one set of clients."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gateway.settings import SCHEDULING
from tests.gateway.web.conftest import ENVIRONMENT

COUNT = """
import gc, sqlalchemy, workers.main as main
from workers.connections import ConnectionRegistry
of = lambda kind: sum(type(each) is kind for each in gc.get_objects())
print(main._worker_threads.scheduler is not None, of(ConnectionRegistry), of(sqlalchemy.Engine))
"""


def test_a_worker_that_schedules_opens_no_second_set_of_clients(tmp_path: Path) -> None:
    given = {**ENVIRONMENT, "DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db", SCHEDULING: "1"}
    environ = {**os.environ, **given, "REDIS_URL": "redis://127.0.0.1:1"}
    done = subprocess.run([sys.executable, "-c", COUNT], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "1", "1"]

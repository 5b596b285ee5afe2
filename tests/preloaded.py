"""What the server of `tests.forking` imports, once: everything that the gateway's programs import, not the programs."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from gateway.process import up

os.environ |= up.WORKER_ENVIRONMENT  # Dramatiq reads it when it is imported
for _name in (
    "dramatiq.cli",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "gateway.app",
    "gateway.cli.parser",
    "gateway.cli.processes",
    "gateway.startup",
    "gateway.web.protocol",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "tests.mortal",
    "workers.scheduler",
    "workers.worker_threads",
):
    import_module(_name)
del sys.modules["workers.scheduler"]  # a program of its own: it is executed, not imported

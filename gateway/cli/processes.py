"""The verbs that start something long-running: everything (`up`), or one process as a PaaS does.

`up` stays as the supervisor, so what only the others need is imported by them.
"""

from __future__ import annotations

import importlib
import itertools
import os
import runpy
import sys
import time
from contextlib import suppress

from gateway.cli.call import GOOD, Call, remark
from gateway.errors import Transient
from gateway.process import commands, up

LOOK_SECONDS = 1.0
SAY_EVERY = 30  # looks


def start_all(call: Call) -> int:
    """Everything under one supervisor, until Ctrl-C."""
    return up.start(call.settings, call.environ, call.var)


def run_web(call: Call) -> int:
    if call.settings.web_concurrency > 1:
        # uvicorn would start children that cannot import it, again and again.
        for name in ("gateway.app", "gateway.web.api", "gateway.web.dashboard", "gateway.web.oauth"):
            importlib.import_module(name)
        return _become(commands.web(call.settings), call, checked=True)
    return _go_on_as(commands.web(call.settings), call)


def run_worker(call: Call) -> int:
    _wait_for_schema(call)
    return _become(commands.worker(call.settings), call, checked=True)


def run_clock(call: Call) -> int:
    _wait_for_schema(call)
    return _go_on_as(commands.clock(), call)


def run_sandbox(call: Call) -> int:
    command = commands.simulators()
    return _become(commands.Command((*command.argv, *call.arguments.rest)), call)


def _wait_for_schema(call: Call) -> None:
    """Some platforms start a release before its migrations run, and restart a process that exits ever later."""
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.store import installation

    for looks in itertools.count():
        try:
            if installation.is_current(call.engine):
                return
            lack = "is not migrated yet (`python -m gateway migrate` does it)"
        except (Transient, SQLAlchemyError) as error:
            lack = f"cannot be used ({type(getattr(error, 'orig', None) or error).__name__})"
        if looks % SAY_EVERY == 0:
            remark(f"waiting: the database {lack}")
        time.sleep(LOOK_SECONDS)


def _check_key(call: Call) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from gateway import resealing

    # The process itself waits for a database that is missing or not migrated; with a wrong key it must not start.
    with suppress(Transient, SQLAlchemyError):
        resealing.check(call.engine, call.seal)
    call.close()


def _go_on_as(command: commands.Command, call: Call) -> int:
    """Run a program of one process in this process, which has imported most of what it needs."""
    _check_key(call)
    os.environ.update({**call.environ, **command.environ})
    sys.argv = list(command.argv[2:])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    return GOOD


def _become(command: commands.Command, call: Call, *, checked: bool = False) -> int:
    if checked:
        _check_key(call)
    # The signals of the PaaS must reach the program itself, so there is no process of ours in between.
    os.execve(command.argv[0], command.argv, {**call.environ, **command.environ})  # noqa: S606 - our own arguments

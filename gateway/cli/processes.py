"""The verbs of a deployment: start everything (`up`), or one process as a PaaS does; migrate the database before.

`up` stays as the supervisor, so what only the others need is imported by them.
"""

from __future__ import annotations

import importlib
import itertools
import os
import runpy
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from gateway.cli.call import GOOD, Call, remark
from gateway.errors import Transient
from gateway.process import up

Answer = TypeVar("Answer")
LOOK_SECONDS = 1.0
SAY_EVERY = 30  # looks
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds; each try takes up to five more


def start_all(call: Call) -> int:
    """Everything under one supervisor, until Ctrl-C."""
    return up.start(call.settings, call.environ, call.var)


def run_web(call: Call) -> int:
    command, has_children = up.to_web_command(call.settings), call.settings.web_concurrency > 1
    if has_children:
        # uvicorn would start children that cannot import it, again and again.
        for name in ("gateway.app", "gateway.web.api", "gateway.web.dashboard", "gateway.web.oauth"):
            importlib.import_module(name)
    _check_key(call)
    return _become(command, call) if has_children else _go_on_as(command, call)


def run_worker(call: Call) -> int:
    _wait_for_schema(call)
    _check_key(call)
    return _become(up.to_worker_command(call.settings), call)


def run_clock(call: Call) -> int:
    _wait_for_schema(call)
    _check_key(call)
    return _go_on_as(up.CLOCK, call)


def run_sandbox(call: Call) -> int:
    return _become(up.Command((*up.SIMULATORS.argv, *call.arguments.rest)), call)


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


def migrate_database(call: Call) -> int:
    """Bring the database to this code's schema, and the first connection to what the environment says.

    It may run twice or concurrently. Cursors begin here, before any endpoint opens, so that no later sale is missed.
    """
    from gateway import startup
    from gateway.store import installation

    is_new = _patiently(lambda: installation.is_empty(call.engine))
    revision = _patiently(lambda: installation.upgrade(call.engine))
    remark(f"the database is at revision {revision}")
    if is_new:
        # Without its query: a password may stand there, too.
        where = call.engine.url.set(query={}).render_as_string(hide_password=True)
        remark(f"it was empty: a new installation begins in {where}; if there is one already, correct DATABASE_URL")
    _patiently(lambda: startup.seed(call.engine, call.settings))
    if not startup.begin_cursors(call.engine, call.settings):
        remark("a till did not give its sync markers: its sales are followed from the first poll that succeeds")
    return GOOD


def _patiently(step: Callable[[], Answer]) -> Answer:
    """A release should not fail because all database connections were in use for a moment."""
    from sqlalchemy.exc import OperationalError

    for pause in PAUSES:
        try:
            return step()
        except (Transient, OperationalError) as error:
            remark(f"waiting: the database cannot be used ({type(getattr(error, 'orig', None) or error).__name__})")
            time.sleep(pause)
    return step()


def _check_key(call: Call) -> None:
    """A process must not start with a wrong key; for a database that is missing or not migrated it waits itself."""
    from sqlalchemy.exc import SQLAlchemyError

    from gateway import startup

    with suppress(Transient, SQLAlchemyError):
        startup.check_keys(call.engine, call.seal)
    call.close()


def _go_on_as(command: up.Command, call: Call) -> int:
    """Run a program of one process in this process, which has imported most of what it needs."""
    os.environ.update({**call.environ, **command.environ})
    sys.argv = list(command.argv[2:])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    return GOOD


def _become(command: up.Command, call: Call) -> int:
    # The signals of the PaaS must reach the program itself, so there is no process of ours in between.
    os.execve(command.argv[0], command.argv, {**call.environ, **command.environ})  # noqa: S606 - our own arguments

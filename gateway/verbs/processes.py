"""The verbs that start something long-running: everything (`up`), or one process as a PaaS does."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from gateway import commands, resealing, up
from gateway.commands import Command
from gateway.errors import Transient
from gateway.verbs.call import Call


def start_all(call: Call) -> int:
    """Everything under one supervisor, until Ctrl-C."""
    return up.start(call.settings, call.environ, call.var)


def run_web(call: Call) -> int:
    """This process becomes the web server."""
    if call.settings.web_concurrency > 1:
        # uvicorn would start children that cannot import it again and again, and never end.
        importlib.import_module("gateway.app")
    return _become(commands.web(call.settings), call, checked=True)


def run_worker(call: Call) -> int:
    """This process becomes the worker."""
    return _become(commands.worker(call.settings), call, checked=True)


def run_clock(call: Call) -> int:
    """This process becomes the clock."""
    return _become(commands.clock(), call, checked=True)


def run_sandbox(call: Call) -> int:
    """This process becomes the simulators."""
    command = commands.simulators()
    return _become(Command((*command.argv, *call.arguments.rest)), call)


def _become(command: Command, call: Call, *, checked: bool = False) -> int:
    if checked:
        # A database that is away or not migrated yet is the process's own matter; a wrong key is nobody's to work with.
        with suppress(Transient, SQLAlchemyError):
            resealing.check(call.engine, call.seal)
        call.close()
    # The signals of the PaaS must reach the program itself, so no process of ours stands between.
    os.execve(command.argv[0], command.argv, {**call.environ, **command.environ})  # noqa: S606 - our own arguments

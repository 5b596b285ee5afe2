"""The verbs that start something long-running: everything (`up`), or one process as a PaaS does."""

from __future__ import annotations

import os

from gateway import commands, up
from gateway.commands import Command
from gateway.verbs.call import Call


def start_all(call: Call) -> int:
    """Everything under one supervisor, until Ctrl-C."""
    return up.start(call.settings, call.environ, call.var)


def run_web(call: Call) -> int:
    """This process becomes the web server."""
    return _become(commands.web(call.settings), call)


def run_worker(call: Call) -> int:
    """This process becomes the worker."""
    return _become(commands.worker(call.settings), call)


def run_clock(call: Call) -> int:
    """This process becomes the clock."""
    return _become(commands.clock(), call)


def run_sandbox(call: Call) -> int:
    """This process becomes the simulators."""
    command = commands.simulators()
    return _become(Command((*command.argv, *call.arguments.rest)), call)


def _become(command: Command, call: Call) -> int:
    # The signals of the PaaS must reach the program itself, so no process of ours stands between.
    os.execve(command.argv[0], command.argv, {**call.environ, **command.environ})  # noqa: S606 - our own arguments

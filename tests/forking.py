"""The gateway's programs, forked from a server that has imported their modules: a new interpreter takes a second each.

A program started so is a process of its own: a session, an environment, a working folder, a log. What only a new
interpreter shows is proved by the tests of `up`, of the command line, of the supervisor and of a deploy.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

OF_A_NEW_INTERPRETER = "LD_PRELOAD"
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.preloaded"])


class Process(Protocol):
    """What a test needs of a process, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code (minus the signal's number), once it ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; raises `subprocess.TimeoutExpired`."""

    def terminate(self) -> None:
        """SIGTERM, to this process alone."""


class Launch(Protocol):
    """Starts `python -m PROGRAM ...` or `python -c TEXT` in its own session; what it prints is appended to `log`."""

    def __call__(self, argv: Sequence[str], *, environ: Mapping[str, str], folder: Path, log: Path) -> Process:
        """The started process."""


def launch_anew(argv: Sequence[str], *, environ: Mapping[str, str], folder: Path, log: Path) -> Process:
    """In a new interpreter."""
    with log.open("ab") as out:
        return subprocess.Popen(argv, env=environ, cwd=folder, stdout=out, stderr=out, start_new_session=True)


def launch(argv: Sequence[str], *, environ: Mapping[str, str], folder: Path, log: Path) -> Process:
    """Forked, unless its environment asks for something that happens when an interpreter starts."""
    if OF_A_NEW_INTERPRETER in environ:
        return launch_anew(argv, environ=environ, folder=folder, log=log)
    return _Forked(argv, environ, folder, log)


class _Forked:
    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path) -> None:
        python, option, *program = argv
        assert python == sys.executable, f"not to be forked: {argv}"
        assert option in {"-m", "-c"}, f"not to be forked: {argv}"
        self._program = [option, *program]
        self._process = context.Process(target=_run, args=(self._program, dict(environ), folder, log), daemon=False)
        self._process.start()
        self.pid = self._process.pid or 0
        while self.poll() is None and not self._leads():
            time.sleep(0.001)

    def _leads(self) -> bool:
        try:
            return os.getpgid(self.pid) == self.pid
        except ProcessLookupError:
            return True

    def poll(self) -> int | None:
        """Its exit code (minus the signal's number), once it ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; raises `subprocess.TimeoutExpired`."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(self._program, timeout or 0.0)
        return code

    def terminate(self) -> None:
        """SIGTERM, to this process alone."""
        self._process.terminate()


def _run(program: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path) -> None:
    os.setsid()
    with log.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    from gateway.store import installation

    installation.BOOT = uuid.uuid4().hex  # the server's own: it is made when the module is imported
    multiprocessing.set_start_method(None, force=True)  # the server's is forkserver, and would be inherited
    option, named, *_ = program
    sys.argv = list(program[1:])
    try:
        if option == "-m":
            runpy.run_module(named, run_name="__main__", alter_sys=True)
        else:
            exec(compile(named, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102 - a test's own text
    finally:
        atexit._run_exitfuncs()  # a forked process ends without them

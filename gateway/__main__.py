"""The command line: `python -m gateway VERB ...`. Imports no handler and no worker. Exit codes: 0, 1, 2."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from gateway.cli.call import PROBLEM, USAGE, Call, Trouble, Verb, find_cause, name_database, open_streams, remark
from gateway.cli.parser import parse
from gateway.errors import GatewayError, Transient
from gateway.process import demo
from gateway.settings import Settings, SettingsError, read

VAR = Path("var")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb of the arguments; returns the exit code."""
    open_streams()
    asked = parse(arguments)
    environ = {**os.environ}
    called_from = Path(environ.pop("CALLED_FROM", ""))
    try:
        if asked.verb not in {"up", "sandbox"}:
            environ = {**demo.find_beside(environ, VAR), **environ}
        settings = read(environ, var=VAR)
    except SettingsError as error:
        remark(str(error))
        return USAGE
    try:
        with closing(Call(asked, settings, environ, VAR, called_from)) as call:
            return _load(asked.call)(call)
    except SettingsError as error:  # what only `up` can see: a taken port, another gateway in this folder
        remark(str(error))
        return USAGE
    except Trouble as trouble:
        remark(str(trouble))
        return trouble.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `... | head` closed the pipe; write nothing more at exit
    except KeyboardInterrupt:
        remark("interrupted; what was asked for goes on without us")
    except Exception as error:  # noqa: BLE001 - one that nobody foresaw is raised again
        remark(_explain(error, settings))
    return PROBLEM


def _load(name: str) -> Verb:
    """A verb's function, imported on use, so that no process loads what it does not need."""
    module, _, function = name.partition(":")
    verb: Verb = getattr(importlib.import_module(f"gateway.cli.{module}"), function)
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
    return verb


def _explain(error: Exception, settings: Settings) -> str:
    """What the person should know about an error; one that nobody foresaw is raised again."""
    # By name: a process that never uses the database should not import SQLAlchemy, which takes most of a start.
    if isinstance(error, Transient) or any(kind.__module__ == "sqlalchemy.exc" for kind in type(error).__mro__):
        cause = find_cause(error)
        is_old = any(words in cause for words in ("no such table", "no such column", "does not exist"))
        fix = "./run migrate" if is_old else "start it, or correct DATABASE_URL; after an update also ./run migrate"
        return f"{name_database(settings.database_url)} cannot be used: {cause}; to do: {fix}"
    if not isinstance(error, GatewayError):
        raise error
    return f"{error.reason}{f'; to do: {error.fix}' if error.fix else ''}"


if __name__ == "__main__":
    gc.disable()  # until all is imported: modules are no garbage, and looking for some took a third of a start
    sys.exit(main())

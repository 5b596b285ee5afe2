"""`python -m sandbox`: both simulators with the demo shop in them, until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from sandbox import serving, settings, state

OPTIONS = {
    "--quickbooks-port": "SANDBOX_QUICKBOOKS_PORT",
    "--mplus-port": "SANDBOX_MPLUS_PORT",
    "--state-dir": "SANDBOX_STATE_DIR",
    "--trade": "SANDBOX_TRADE",
    "--seed": "SANDBOX_SEED",
    "--pace": "SANDBOX_PACE",
}
"""What may be said on the command line; secrets may not, because others can read it."""
WRONG_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Run until a signal; the exit code is 2 when it cannot start as it is set."""
    given = vars(_build_parser().parse_args(arguments))
    said = {name: value for name, value in given.items() if value is not None}
    os.umask(0o077)
    try:
        return _run(settings.read({**os.environ, **said}))
    except (settings.SettingsError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)  # noqa: T201 - this is what a person reads
        return WRONG_USAGE


def _build_parser() -> argparse.ArgumentParser:
    width = max(map(len, settings.VARIABLES))
    rows = "\n".join(f"  {name:<{width}}  {meaning}" for name, meaning in settings.VARIABLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Runs the QuickBooks and MplusKASSA simulators with a small Dutch shop in them, which trades.",
        epilog=f"environment (an option goes before its variable):\n{rows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, variable in OPTIONS.items():
        parser.add_argument(option, dest=variable, metavar="X", help=settings.VARIABLES[variable])
    return parser


def _run(chosen: settings.Settings) -> int:
    doors = serving.open_doors(chosen)
    simulations = state.open_simulations(chosen)
    for line in doors.describe():
        print(line, flush=True)  # noqa: T201 - this is what a person reads
    return asyncio.run(serving.serve(chosen, simulations, doors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m tests.contract`: ask the probes of a test company and a test installation, and print what was found."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import httpx

from tests.contract import credentials, report
from tests.contract.catalogue import PROBES
from tests.contract.credentials import ALLOWED, BOOKS_NEED, TILL_NEEDS, Permission
from tests.contract.listener import Listener
from tests.contract.listening import serve
from tests.contract.probe import Finding, Ground, Probe, run

CLEAR, TO_DO, NOTHING = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the defaults fit everything, 1 when something is to be done, 2 when there is nothing to ask."""
    asked = _to_parser().parse_args(arguments)
    with _listening(asked.listen) as listener, httpx.Client() as http:
        grounds = _open(asked, os.environ, http, listener)
        probes = _choose(asked)
        if not any(probe.system in grounds for probe in probes):
            print(
                f"nothing to ask: set {', '.join((*BOOKS_NEED, *TILL_NEEDS))}, or name a --connection", file=sys.stderr
            )
            return NOTHING
        findings = list(_tell(run(probes, grounds), as_json=asked.json))
    if not asked.json:
        print(report.summarise(findings))
    return CLEAR if report.is_clear(findings) else TO_DO


def _tell(findings: Iterator[Finding], *, as_json: bool) -> Iterator[Finding]:
    """Print each finding as soon as it is there: a line of JSON, or a paragraph."""
    for finding in findings:
        print(json.dumps(finding.to_data(), default=str) if as_json else report.to_text(finding), flush=True)
        yield finding


def _choose(asked: argparse.Namespace) -> list[Probe]:
    wanted = set(asked.only or ())
    return [p for p in PROBES if p.system in (asked.system, p.system if not asked.system else "") and _is_in(p, wanted)]


def _is_in(probe: Probe, wanted: set[str]) -> bool:
    return not wanted or probe.name in wanted


def _open(
    asked: argparse.Namespace, environ: Mapping[str, str], http: httpx.Client, listener: Listener | None
) -> dict[str, Ground]:
    allowed = Permission(asked.force_production, asked.test_installation or environ.get(ALLOWED) == "1")
    if asked.connection:
        return credentials.from_gateway(environ, asked.connection, http, allowed, listener)
    return credentials.from_environment(environ, http, allowed, listener)


@contextmanager
def _listening(port: int | None) -> Iterator[Listener | None]:
    if port is None:
        yield None
        return
    listener = Listener()
    with serve(listener, port):
        yield listener


def _to_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("--only", action="append", metavar="PROBE", choices=[p.name for p in PROBES])
    parser.add_argument("--system", choices=sorted({p.system for p in PROBES}))
    parser.add_argument("--connection", metavar="NAME", help="ask with the tokens of this gateway's connection")
    parser.add_argument("--listen", type=int, metavar="PORT", help="take in webhooks of QuickBooks on this port")
    parser.add_argument("--test-installation", action="store_true", help="the till is a test: make records in it")
    parser.add_argument("--force-production", action="store_true", help="write test records into real books")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each finding")
    return parser


if __name__ == "__main__":
    sys.exit(main())

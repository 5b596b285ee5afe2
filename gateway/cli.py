"""The command line: `python -m gateway VERB ...`. Imports no handler and no worker. Exit codes: 0, 1, 2."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from gateway import settings, valkey
from gateway.errors import GatewayError, Transient
from gateway.settings import SettingsError
from gateway.store.events import Flow, State
from gateway.verbs.call import PROBLEM, USAGE, Call, Trouble, Verb, remark
from gateway.version import VERSION

VAR = Path("var")
LONGEST_WAIT = 24 * 3600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb of the arguments; returns the exit code."""
    parser = to_parser()
    asked, rest = parser.parse_known_args(arguments)
    if rest and asked.verb != "sandbox":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    asked.rest = rest
    try:
        with closing(_read(asked)) as call:
            return _find_verb(asked.call)(call)
    except SettingsError as error:
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
        remark(_explain(error))
    return PROBLEM


def _explain(error: Exception) -> str:
    """What the person should know about an error; one that nobody foresaw is raised again."""
    # By name: a process that never uses the database should not import SQLAlchemy, which takes most of a start.
    if isinstance(error, Transient) or any(kind.__module__ == "sqlalchemy.exc" for kind in type(error).__mro__):
        return "the database cannot be used right now: is it running, and was `./run migrate` done?"
    if not isinstance(error, GatewayError):
        raise error
    return f"{error.reason}{f'; to do: {error.fix}' if error.fix else ''}"


def _read(asked: argparse.Namespace) -> Call:
    environ = {**os.environ}
    if not environ.get("REDIS_URL", "").strip():
        environ["REDIS_URL"] = valkey.address(VAR)
    called_from = Path(environ.pop("CALLED_FROM", ""))
    return Call(asked, settings.read(environ, var=VAR), environ, VAR, called_from)


def _find_verb(place: str) -> Verb:
    """`module:function` below `gateway.verbs`, imported on use, so that no process loads what it does not need."""
    module, _, function = place.partition(":")
    verb: Verb = getattr(importlib.import_module(f"gateway.verbs.{module}"), function)
    return verb


def to_parser() -> argparse.ArgumentParser:
    """Every verb, its arguments and its function."""
    parser = argparse.ArgumentParser(prog="gateway", description="QuickBooks Online <-> MplusKASSA, self-hosted.")
    parser.add_argument("--version", action="version", version=f"kassabridge {VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, place, words in _PLAIN:
        _add(verbs, name, place, words)
    _add_config(verbs)
    _add_asking(verbs)
    _add_events(verbs)
    connection = _add(verbs, "connection", "connecting:handle_connection", "list, rename or remove connections")
    connection.add_argument("what", choices=("list", "rename", "remove"))
    connection.add_argument("name", nargs="?", metavar="NAME", help="what the connection is called (rename, remove)")
    connection.add_argument("wanted", nargs="?", metavar="NEW", help="its other name (rename)")
    connection.add_argument("--data", choices=("keep", "purge"), help="what becomes of its data (remove)")
    person = _add(verbs, "person", "upkeep:answer_person", "hand out or erase what is kept about a person")
    person.add_argument("what", choices=("export", "erase"))
    person.add_argument("email", metavar="PERSON", help="an e-mail address, relation:NUMBER or customer:ID")
    _add_files(verbs)
    return parser


_PLAIN = (
    ("up", "processes:start_all", "start everything on this machine (the default of ./run)"),
    ("web", "processes:run_web", "the web process"),
    ("worker", "processes:run_worker", "the worker process"),
    ("clock", "processes:run_clock", "the clock process: polls and housekeeping"),
    ("sandbox", "processes:run_sandbox", "the two simulators alone"),
    ("migrate", "upkeep:migrate_database", "bring the database to this version's schema"),
    ("doctor", "checking:examine_all", "check settings, both logins, branches, VAT rates; say what to do"),
    ("status", "looking:show_status", "connections, flows, what waits"),
    ("forget-secrets", "upkeep:forget_secrets", "clear the stored secrets that a lost SECRET_KEY locks up"),
    ("purge", "upkeep:purge_log", "delete log lines and ended events older than RETENTION_DAYS"),
)
_CERTIFICATE_EXAMPLES = """examples:
  ./run certificate list --from 2026-11-01 --through 2026-11-30
  ./run certificate list --connection default --json > november.json
  ./run certificate verify november.json
exit codes: 0 valid, 1 not valid (with the reason), 2 wrong usage"""
_MAPPING_EXAMPLES = """examples:
  ./run mapping record shop.json sale:1.2.2026.9 item:1001 relation:17
  ./run mapping record shop.json                    (the same records again, as they are now)
  ./run mapping test shop.json                      (after an update of this program)
  ./run mapping test shop.json --settings new.toml  (before the settings change)
exit codes: 0 the same, 1 something differs or was not recorded, 2 wrong usage"""
_Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns


def _add(verbs: _Verbs[argparse.ArgumentParser], name: str, place: str, words: str) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=words, description=words[:1].upper() + words[1:] + ".")
    verb.set_defaults(call=place)
    verb.add_argument("--json", action="store_true", help="answer with data instead of words")
    verb.add_argument("--connection", metavar="NAME", help="which connection (default: all, or the only one)")
    return verb


def _add_config(verbs: _Verbs[argparse.ArgumentParser]) -> None:
    config = _add(verbs, "config", "documents:handle_config", "show or replace the settings document of a connection")
    config.add_argument("what", choices=("show", "apply"))
    config.add_argument("file", nargs="?", metavar="FILE", help="TOML, or - for stdin (apply only)")


def _add_asking(verbs: _Verbs[argparse.ArgumentParser]) -> None:
    resend = _add(verbs, "resend", "asking:resend_order", "run an order again; what is booked stays booked once")
    resend.add_argument("order", metavar="ORDER", help="receiptId, invoiceId or orderId, or the printed number")
    resend.add_argument("--dry-run", action="store_true", help="only say what would be done")
    resend.add_argument("--reason", default="", help="why, for the audit log")
    backfill = _add(verbs, "backfill", "loading:backfill_flow", "synchronise what already existed when you connected")
    backfill.add_argument("flow", choices=[str(flow) for flow in Flow], metavar="FLOW", help=", ".join(Flow))
    backfill.add_argument(
        "--since", type=date.fromisoformat, metavar="DATE", help="only what changed since, e.g. 2026-01-31"
    )
    poll = _add(verbs, "poll", "asking:poll_now", "ask both systems now what changed")
    agree = _add(verbs, "agree", "agreeing:compare_days", "compare till and books, and explain every cent between them")
    _add_days(agree, first="a week ago", last="today")
    for verb, seconds in ((resend, 120.0), (backfill, LONGEST_WAIT), (poll, 120.0), (agree, 600.0)):
        verb.add_argument("--wait", type=float, default=seconds, metavar="SECONDS", help=f"watch so long ({seconds:g})")


def _add_days(verb: argparse.ArgumentParser, *, first: str, last: str) -> None:
    verb.add_argument("--from", dest="start", type=date.fromisoformat, metavar="DATE", help=f"first day ({first})")
    verb.add_argument("--through", type=date.fromisoformat, metavar="DATE", help=f"last day ({last})")


def _add_files(verbs: _Verbs[argparse.ArgumentParser]) -> None:
    certificate = _add(
        verbs,
        "certificate",
        "certifying:handle_certificate",
        "list the signed results of days, or verify a file of them",
    )
    certificate.formatter_class = argparse.RawDescriptionHelpFormatter
    certificate.epilog = _CERTIFICATE_EXAMPLES
    certificate.add_argument("what", choices=("list", "verify"))
    certificate.add_argument("file", nargs="?", metavar="FILE", help="what list --json wrote, or - for stdin (verify)")
    certificate.add_argument("--key", metavar="KEY", help="the public key that must have signed it (verify)")
    _add_days(certificate, first="the first there is", last="the last")
    mapping = _add(
        verbs, "mapping", "mapping_tests:handle_mapping", "record real records, and test what settings make of them"
    )
    mapping.formatter_class = argparse.RawDescriptionHelpFormatter
    mapping.epilog = _MAPPING_EXAMPLES
    mapping.add_argument("what", choices=("record", "test"))
    mapping.add_argument("file", metavar="FILE", help="the file of records, to keep beside your settings")
    mapping.add_argument(
        "records",
        nargs="*",
        metavar="KIND:ID",
        help="sale:NUMBER item:SKU relation:NUMBER customer:ID (record; else those of FILE)",
    )
    mapping.add_argument(
        "--settings", metavar="FILE", help="settings to test (else those of --connection, or as recorded)"
    )
    mapping.add_argument("--with-persons", action="store_true", help="keep names and addresses (record)")
    mapping.add_argument("--wait", type=float, default=120.0, metavar="SECONDS", help="watch so long (120; record)")


def _add_events(verbs: _Verbs[argparse.ArgumentParser]) -> None:
    events = _add(verbs, "events", "looking:list_events", "the newest events")
    events.add_argument("--state", choices=[str(state) for state in State], metavar="S", help=", ".join(State))
    events.add_argument("--flow", choices=[str(flow) for flow in Flow], metavar="F", help=", ".join(Flow))
    events.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (50)")

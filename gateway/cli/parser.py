"""Every verb of the command line, with its arguments, its examples and the function that does it.

It needs the standard library alone, so that `./run --help` is answered before anything is installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, NoReturn

from gateway import VERSION
from gateway.store.events import Flow, State

PROGRAM = "./run"
LONGEST_WAIT = 24 * 3600.0
_EXAMPLES: Mapping[str, Sequence[str]] = {
    "": (
        "./run                                  (everything on this machine)",
        "./run doctor                           (what is missing, and what to do)",
        "./run resend 1234 --dry-run            (what a sale would become in the books)",
        "./run agree --from 2026-11-01 --through 2026-11-30",
        "./run VERB --help                      (the arguments of a verb, with examples)",
        "./run test                             (every test; the sources have to be here)",
    ),
    "doctor": ("./run doctor", "./run doctor --json"),
    "status": ("./run status", "./run status --connection amsterdam --json"),
    "purge": ("./run purge",),
    "config": ("./run config show > shop.toml", "./run config apply shop.toml --connection amsterdam"),
    "resend": ("./run resend 1234 --dry-run", "./run resend 1234 --reason 'VAT code corrected'"),
    "backfill": ("./run backfill products", "./run backfill orders --since 2026-11-01"),
    "poll": ("./run poll", "./run poll --connection amsterdam"),
    "agree": ("./run agree", "./run agree --from 2026-11-01 --through 2026-11-30 --json"),
    "events": ("./run events --state parked", "./run events --flow orders --limit 10 --json"),
    "connection": (
        "./run connection list",
        "./run connection rename default amsterdam",
        "./run connection remove amsterdam --data keep",
    ),
    "person": ("./run person export jan@example.nl > jan.json", "./run person erase relation:17"),
    "certificate": (
        "./run certificate list --from 2026-11-01 --through 2026-11-30",
        "./run certificate list --connection default --json > november.json",
        "./run certificate verify november.json",
    ),
    "mapping": (
        "./run mapping record shop.json sale:1.2.2026.9 item:1001 relation:17",
        "./run mapping record shop.json                    (the same records again, as they are now)",
        "./run mapping test shop.json                      (after an update of this program)",
        "./run mapping test shop.json --settings new.toml  (before the settings change)",
    ),
}
_EXIT_CODES = {
    "certificate": "0 valid, 1 not valid (with the reason), 2 wrong usage",
    "mapping": "0 the same, 1 something differs or was not recorded, 2 wrong usage",
}


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments, and names the nearest word that would be right."""

    def __init__(self, **given: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **given)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n(the arguments are shown by: {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        called = action.metavar if isinstance(action.metavar, str) else "choice"
        hint = suggest(value, list(map(str, action.choices)))
        raise argparse.ArgumentError(None, f"there is no {called.lower()} {value}; {hint}")

    def refuse_unknown(self, words: Sequence[str]) -> NoReturn:
        options = [option for option in self._option_string_actions if option.startswith("--")]
        self.error(f"{self.prog} has no argument {words[0]}; {suggest(words[0], options)}")


def suggest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"


def to_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a day; write year-month-day, e.g. 2026-01-31") from None


def needs_text(hint: str) -> Callable[[str], str]:
    """Reads a name. An empty one is a variable of a script that is not set: argparse shows an error with the hint."""

    def read(text: str) -> str:
        if text.strip():
            return text.strip()
        raise argparse.ArgumentTypeError(f"it is empty; {hint}")

    return read


def to_number(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")


def to_seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if 0 <= found < float("inf"):
        return found
    raise argparse.ArgumentTypeError(f"{text} is not a number of seconds, e.g. 30")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments, before anything is opened or asked; exit code 2 where they cannot be meant."""
    asked, rest = to_parser().parse_known_args(arguments)
    asked.rest = rest
    if rest and asked.verb != "sandbox":
        asked.parser.refuse_unknown(rest)
    start, through = (getattr(asked, name, None) for name in ("start", "through"))
    if start and through and through < start:
        asked.parser.error(f"--through {through} is before --from {start}")
    return asked


def to_parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="QuickBooks Online <-> MplusKASSA, self-hosted.", epilog=_to_epilog(""))
    parser.add_argument("--version", action="version", version=f"kassabridge {VERSION}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, place, words in _OF_ALL:
        _add(verbs, name, place, words, of_one=False)
    _add(verbs, "doctor", "tasks:examine_all", "check settings, both logins, branches, VAT rates; say what to do")
    _add(verbs, "status", "connections:show_status", "connections, flows, what waits")
    config = _add(verbs, "config", "connections:handle_config", "show or replace the settings document of a connection")
    config.add_argument("what", choices=("show", "apply"))
    config.add_argument("file", nargs="?", metavar="FILE", help="TOML, or - for stdin (apply only)")
    _add_asking(verbs)
    events = _add(verbs, "events", "connections:list_events", "the newest events")
    events.add_argument("--state", choices=list(map(str, State)), metavar="STATE", help=", ".join(State))
    events.add_argument("--flow", choices=list(map(str, Flow)), metavar="FLOW", help=", ".join(Flow))
    events.add_argument("--limit", type=to_number, default=50, metavar="N", help="at most so many (50)")
    words = "list, rename or remove connections"
    connection = _add(verbs, "connection", "connections:handle_connection", words, of_one=False)
    connection.add_argument("what", choices=("list", "rename", "remove"))
    connection.add_argument("name", nargs="?", metavar="NAME", help="what the connection is called (rename, remove)")
    connection.add_argument("wanted", nargs="?", metavar="NEW", help="its other name (rename)")
    connection.add_argument("--data", choices=("keep", "purge"), help="what becomes of its data (remove)")
    person = _add(verbs, "person", "connections:answer_person", "hand out or erase what is kept about a person")
    person.add_argument("what", choices=("export", "erase"))
    person.add_argument("email", metavar="PERSON", help="an e-mail address, relation:NUMBER or customer:ID")
    _add_files(verbs)
    return parser


_OF_ALL = (
    ("up", "processes:start_all", "start everything on this machine (the default of ./run)"),
    ("web", "processes:run_web", "the web process"),
    ("worker", "processes:run_worker", "the worker process"),
    ("clock", "processes:run_clock", "the clock process: polls and housekeeping"),
    ("sandbox", "processes:run_sandbox", "the two simulators alone"),
    ("migrate", "processes:migrate_database", "bring the database to this version's schema"),
    ("forget-secrets", "connections:forget_secrets", "clear the stored secrets that a lost SECRET_KEY locks up"),
    ("purge", "connections:purge_log", "delete log lines and ended events older than RETENTION_DAYS"),
)
_Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns


def _add(verbs: _Verbs[Parser], name: str, place: str, words: str, *, of_one: bool = True) -> Parser:
    """`of_one`: it can be about one connection, which is then an argument."""
    description = words[:1].upper() + words[1:] + "."
    verb = verbs.add_parser(name, help=words, description=description, epilog=_to_epilog(name))
    verb.set_defaults(call=place, parser=verb)
    verb.add_argument("--json", action="store_true", help="answer with data instead of words")
    if of_one:
        read = needs_text("leave it out, or name a connection")
        verb.add_argument(
            "--connection", type=read, metavar="NAME", help="which connection (default: all, or the only one)"
        )
    return verb


def _to_epilog(name: str) -> str | None:
    lines = [f"  {line}" for line in _EXAMPLES.get(name, ())]
    codes = _EXIT_CODES.get(name, "0 good, 1 found a problem, 2 wrong usage")
    return "\n".join([*(["examples:", *lines] if lines else []), f"exit codes: {codes}"])


def _add_asking(verbs: _Verbs[Parser]) -> None:
    resend = _add(verbs, "resend", "tasks:resend_order", "run an order again; what is booked stays booked once")
    read = needs_text("name a sale by its id or its printed number")
    resend.add_argument(
        "order", type=read, metavar="ORDER", help="receiptId, invoiceId or orderId, or the printed number"
    )
    resend.add_argument("--dry-run", action="store_true", help="only say what would be done")
    resend.add_argument("--reason", default="", help="why, for the audit log")
    backfill = _add(verbs, "backfill", "tasks:backfill_flow", "synchronise what already existed when you connected")
    backfill.add_argument("flow", choices=list(map(str, Flow)), metavar="FLOW", help=", ".join(Flow))
    backfill.add_argument("--since", type=to_day, metavar="DATE", help="only what changed since, e.g. 2026-01-31")
    poll = _add(verbs, "poll", "tasks:poll_now", "ask both systems now what changed")
    agree = _add(verbs, "agree", "tasks:compare_days", "compare till and books, and explain every cent between them")
    _add_days(agree, first="a week ago", last="today")
    for verb, seconds in ((resend, 120.0), (backfill, LONGEST_WAIT), (poll, 120.0), (agree, 600.0)):
        verb.add_argument(
            "--wait", type=to_seconds, default=seconds, metavar="SECONDS", help=f"watch so long ({seconds:g})"
        )


def _add_days(verb: Parser, *, first: str, last: str) -> None:
    verb.add_argument("--from", dest="start", type=to_day, metavar="DATE", help=f"first day ({first})")
    verb.add_argument("--through", type=to_day, metavar="DATE", help=f"last day ({last})")


def _add_files(verbs: _Verbs[Parser]) -> None:
    words = "list the signed results of days, or verify a file of them"
    certificate = _add(verbs, "certificate", "files:handle_certificate", words)
    certificate.add_argument("what", choices=("list", "verify"))
    certificate.add_argument("file", nargs="?", metavar="FILE", help="what list --json wrote, or - for stdin (verify)")
    certificate.add_argument("--key", metavar="KEY", help="the public key that must have signed it (verify)")
    _add_days(certificate, first="the first there is", last="the last")
    mapping = _add(verbs, "mapping", "files:handle_mapping", "record real records, and test what settings make of them")
    mapping.add_argument("what", choices=("record", "test"))
    mapping.add_argument("file", metavar="FILE", help="the file of records, to keep beside your settings")
    mapping.add_argument(
        "records",
        nargs="*",
        default=[],
        metavar="KIND:ID",
        help="sale:NUMBER item:SKU relation:NUMBER customer:ID (record; else those of FILE)",
    )
    mapping.add_argument(
        "--settings", metavar="FILE", help="settings to test (else those of --connection, or as recorded)"
    )
    mapping.add_argument("--with-persons", action="store_true", help="keep names and addresses (record)")
    mapping.add_argument(
        "--wait", type=to_seconds, default=120.0, metavar="SECONDS", help="watch so long (120; record)"
    )


if __name__ == "__main__":
    parse()  # of `./run ... --help` in a folder where nothing is installed yet

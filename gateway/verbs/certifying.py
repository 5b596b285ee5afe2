"""The verb about certificates of compared days: list them, export them as a file, verify such a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.verbs.call import GOOD, PROBLEM, Call, Misuse, remark, show, show_json
from mapping.money import show_cents

if TYPE_CHECKING:
    from gateway.store.certificates import Certificate


def handle_certificate(call: Call) -> int:
    """`certificate list` or `certificate verify FILE`."""
    asked = call.arguments
    if asked.what == "verify":
        if not asked.file:
            raise Misuse("certificate verify needs a FILE (or - for stdin)")
        return _verify(call, _read(call))
    if asked.file or asked.key:
        raise Misuse("usage: certificate list [--from DATE] [--through DATE] | certificate verify FILE [--key KEY]")
    return _list(call)


def _list(call: Call) -> int:
    """The certificates of one connection or all; as data they are the file that `verify` reads."""
    from gateway.store import certificates
    from gateway.store.session import reading

    start, through = call.arguments.start, call.arguments.through
    found: list[Certificate] = []
    with reading(call.engine) as session:
        for name in call.find_connections():
            found += certificates.find(session, connection=name, start=start, through=through)
    if call.as_json:
        key = certificates.find_key(call.engine, call.seal)
        show_json(certificates.export(found, key=key, at=datetime.now(UTC)))
        return GOOD
    for each in found:
        show(_to_line(each, call.called(each.connection)))
    if not found:
        show("no day is certified yet: a day is, when it is over and was compared (./run agree)")
    return GOOD


def _to_line(each: Certificate, called: str) -> str:
    content = each.content
    till, books = show_cents(content["till_cents"]), show_cents(content["books_cents"])
    later = f", superseded by {each.superseded_by}" if each.superseded_by else ""
    records = f", {len(content['records'])} record(s)" if content["records"] else ""
    return f"{called} {each.number}: {each.day} {each.result}, till {till}, books {books}{records}{later}"


def _read(call: Call) -> Any:
    name = call.arguments.file
    try:
        text = sys.stdin.read() if name == "-" else Path(call.called_from, name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{name} cannot be read ({type(error).__name__})") from None
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A repeated name would let two readers see two values."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is repeated in one object")
    return dict(pairs)


def _verify(call: Call, file: Any) -> int:
    """Whether a file is valid; with the installation's own keys at hand, also whether this installation signed it."""
    from gateway.store import certificates

    faults = [file] if isinstance(file, str) else list(certificates.find_faults(file))
    signed_by: set[str] = set() if faults else certificates.keys_of(file)
    own, kept = _look_at_home(call, [] if faults else file["certificates"])
    faults += kept
    trusted = {call.arguments.key} if call.arguments.key else own
    if trusted and not signed_by <= trusted:
        strange = ", ".join(sorted(signed_by - trusted))
        whose = "that was named with --key" if call.arguments.key else "of this installation"
        faults.append(f"it is signed with {strange}, which is not the key {whose}")
    entries = [] if faults else [each["certificate"] for each in file["certificates"]]
    if call.as_json:
        compared = bool(trusted)
        keys = sorted(signed_by)
        show_json({"valid": not faults, "faults": faults, "certificates": len(entries), "keys": keys, "own": compared})
        return PROBLEM if faults else GOOD
    for fault in faults:
        show(f"not valid: {fault}")
    if faults:
        return PROBLEM
    _show_valid(entries, signed_by, is_compared=bool(trusted))
    return GOOD


def _show_valid(entries: Sequence[dict[str, Any]], signed_by: Collection[str], *, is_compared: bool) -> None:
    newest = {(each["connection"], each["day"]): each for each in entries}
    for (connection, day), each in sorted(newest.items()):
        show(f"{connection} {day}: {each['result']}, certificate {each['number']}")
    show(f"valid: {len(entries)} certificates of {len(newest)} days")
    if not is_compared:
        remark(
            f"signed with {', '.join(sorted(signed_by))}: compare it with the key on the installation's Agreement page"
        )


def _look_at_home(call: Call, entries: Sequence[dict[str, Any]]) -> tuple[set[str], list[str]]:
    """The keys of this installation, and which of these certificates it has otherwise by now.

    Nothing where there is no database: the file is verified without one.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.errors import Transient
    from gateway.store import certificates
    from gateway.store import session as store

    url = call.settings.database_url
    if url.startswith("sqlite") and not Path(store.sqlite_path(url)).exists():
        return set(), []
    try:
        with store.reading(call.engine) as session:
            contents = [each["certificate"] for each in entries]
            return certificates.known_keys(session), list(certificates.find_conflicts(session, contents))
    except (Transient, SQLAlchemyError):
        return set(), []

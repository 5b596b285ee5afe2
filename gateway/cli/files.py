"""The verbs about files: signed results of days (certificate), and recorded records (mapping)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import simplejson

from gateway.cli.call import GOOD, PROBLEM, Call, Misuse, Trouble, count, remark, show, show_json
from mapping import golden_records, settings_document
from mapping.messages import message
from mapping.money import show_cents

if TYPE_CHECKING:
    from gateway.store.agreements import Certificate
MOST = 200
"""The most records in one file: each costs calls of both systems."""
_COMPARED = ("field", "before", "after")


def handle_certificate(call: Call) -> int:
    asked = call.arguments
    if asked.what == "verify":
        if not asked.file:
            raise Misuse("certificate verify needs a FILE (or - for stdin)")
        return _verify(call)
    if asked.file or asked.key:
        raise Misuse("usage: certificate list [--from DATE] [--through DATE] | certificate verify FILE [--key KEY]")
    from gateway.database.session import reading
    from gateway.queries import figures
    from gateway.store import agreements

    found: list[Certificate] = []
    with reading(call.engine) as session:
        for name in call.find_connections():
            found += agreements.find_certificates(session, connection=name, start=asked.start, through=asked.through)
    if call.as_json:  # the file that `verify` reads
        key = agreements.find_key(call.engine, call.seal)
        show_json(figures.export_certificates(found, key=key, at=datetime.now(UTC)))
        return GOOD
    for each in found:
        content, called = each.content, call.called(each.connection)
        till, books = show_cents(content["till_cents"]), show_cents(content["books_cents"])
        later = f", superseded by {each.superseded_by}" if each.superseded_by else ""
        records = f", {count(len(content['records']), 'record')}" if content["records"] else ""
        show(f"{called} {each.number}: {each.day} {each.result}, till {till}, books {books}{records}{later}")
    if not found:
        show("no day is certified yet: a day is, when it is over and was compared (./run agree)")
    return GOOD


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A repeated name would let two readers see two values."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is repeated in one object")
    return dict(pairs)


def _verify(call: Call) -> int:
    """Whether a file is valid; with the installation's own keys at hand, also whether this installation signed it."""
    from gateway.queries import figures

    try:
        file = json.loads(call.read_file(call.arguments.file), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        file, faults = None, [f"no JSON: {error}"]
    else:
        faults = list(figures.find_faults(file))
    signed_by: set[str] = set() if faults else figures.keys_of(file)
    own, kept = _look_at_home(call, [] if faults else file["certificates"])
    faults += kept
    trusted = {call.arguments.key} if call.arguments.key else own
    if trusted and not signed_by <= trusted:
        strange = ", ".join(sorted(signed_by - trusted))
        whose = "that was named with --key" if call.arguments.key else "of this installation"
        faults.append(f"it is signed with {strange}, which is not the key {whose}")
    entries = [] if faults else [each["certificate"] for each in file["certificates"]]
    keys, compared = sorted(signed_by), bool(trusted)
    lines = [f"not valid: {fault}" for fault in faults]
    if not faults:
        newest = sorted({(each["connection"], each["day"]): each for each in entries}.items())
        lines = [f"{name} {day}: {each['result']}, certificate {each['number']}" for (name, day), each in newest]
        lines.append(f"valid: {count(len(entries), 'certificate')} of {count(len(newest), 'day')}")
    call.answer(
        {"valid": not faults, "faults": faults, "certificates": len(entries), "keys": keys, "own": compared},
        *lines,
    )
    if not (faults or compared or call.as_json):
        remark(f"signed with {', '.join(keys)}: compare it with the key on the installation's Agreement page")
    return PROBLEM if faults else GOOD


def _look_at_home(call: Call, entries: Sequence[dict[str, Any]]) -> tuple[set[str], list[str]]:
    """The keys of this installation, and which of these certificates it has otherwise by now.

    Nothing where there is no database: the file is verified without one.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.database import session as store
    from gateway.errors import Transient
    from gateway.queries import figures

    url = call.settings.database_url
    if url.startswith("sqlite") and not Path(store.sqlite_path(url)).exists():
        return set(), []
    try:
        with store.reading(call.engine) as session:
            contents = [each["certificate"] for each in entries]
            return figures.known_keys(session), list(figures.find_conflicts(session, contents))
    except (Transient, SQLAlchemyError):
        return set(), []


def handle_mapping(call: Call) -> int:
    asked = call.arguments
    if asked.what == "record":
        if asked.settings:
            raise Misuse("mapping record uses the settings in force: leave out --settings")
        return _record(call, Path(call.called_from, asked.file))
    if asked.records or asked.with_persons:
        raise Misuse("mapping test takes a FILE only: which records are tested stands in it")
    return _test(call, _read_file(call, Path(call.called_from, asked.file)))


def _record(call: Call, path: Path) -> int:
    from gateway.cli import tasks
    from gateway.store import requests

    wanted = list(_find_wanted(call, path))
    names = call.connection_names()
    if len(names) > 1:
        raise Misuse(
            f"there are several connections ({', '.join(map(call.called, names))}): name one with --connection"
        )
    # Before a worker reads both systems for it. What is in the file stays; a new one is not left behind empty.
    is_new = not path.exists()
    with _writing(path):
        path.open("ab").close()
        if is_new:
            path.resolve().unlink()
    change = requests.record_mapping(wanted, connection=names[0], with_persons=call.arguments.with_persons)
    (event_id,) = tasks.send(call, [change], action="mapping record", target=message("{n} records", n=len(wanted)))
    event = tasks.watch(call, event_id, seconds=call.arguments.wait, quiet=call.as_json)
    if not event.result:
        show(tasks.to_words(event))
        return PROBLEM
    result = simplejson.loads(event.result, use_decimal=True)
    text = simplejson.dumps(result["file"], indent=1, sort_keys=True, ensure_ascii=False, use_decimal=True)
    with _writing(path):
        path.write_text(text + "\n", "utf-8")
    for each in result["missing"]:
        remark(f"not recorded: {each['kind']} {each['id']}: {each['reason']}")
    recorded = len(result["file"]["records"])
    answer = {"file": str(path), "recorded": recorded, "missing": result["missing"]}
    call.answer(answer, f"{path} holds {count(recorded, 'record')}")
    return PROBLEM if result["missing"] else GOOD


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Trouble(f"{path} cannot be written: {(error.strerror or type(error).__name__).lower()}") from None


def _find_wanted(call: Call, path: Path) -> Iterator[tuple[str, str]]:
    """What is named, or what the file has."""
    named = call.arguments.records
    if not named:
        if not path.exists():
            raise Misuse("name what to record, such as sale:1.2.2026.9 item:1001 relation:17 customer:5")
        named = [f"{each['kind']}:{each['id']}" for each in _read_file(call, path)["records"]]
    if len(named) > MOST:
        raise Misuse(f"at most {MOST} records in one file")
    for each in named:
        kind, colon, name = each.partition(":")
        if kind not in golden_records.KINDS or not colon or not name.strip():
            raise Misuse(f"{each} should be KIND:ID, with a kind of {', '.join(golden_records.KINDS)}")
        yield kind, name.strip()


def _read_file(call: Call, path: Path) -> Mapping[str, Any]:
    text = call.read_file(path)
    try:
        file = simplejson.loads(text, use_decimal=True)
    except (ValueError, RecursionError) as error:
        raise Misuse(f"{path} is no JSON: {error}") from None
    if not isinstance(file, dict) or file.get("format") != golden_records.FORMAT:
        raise Misuse(f"{path} is not a file that mapping record wrote ({golden_records.FORMAT})")
    return file


def _test(call: Call, file: Mapping[str, Any]) -> int:
    try:
        before = settings_document.parse_data(file["settings"])
        after = _find_settings(call) or before
        found: dict[str, list[dict[str, Any]]] = {}
        for each in file["records"]:
            now = simplejson.dumps(golden_records.map_again(each, after), use_decimal=True, default=str)
            rows = golden_records.compare(each["result"], simplejson.loads(now, use_decimal=True))
            found[f"{each['kind']} {each['id']}"] = [dict(zip(_COMPARED, row, strict=True)) for row in rows]
    except settings_document.DocumentError as error:
        raise Misuse("; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Misuse(f"something of the file is missing or wrong ({type(error).__name__}: {error})") from None
    untested = golden_records.find_not_replayed(before, after)
    differing = {record: rows for record, rows in found.items() if rows}
    lines = [
        f"{record}: {row['field']}: {_show(row['before'])} -> {_show(row['after'])}"
        for record, rows in differing.items()
        for row in rows
    ]
    for path in [] if call.as_json else untested:
        remark(f"not tested: {path} differs, and what it chooses is asked of both systems; record again to see it")
    answer = {"records": len(found), "differing": differing, "not_tested": untested}
    call.answer(answer, *lines, f"{count(len(found), 'record')}, {len(differing)} differ")
    return PROBLEM if differing else GOOD


def _find_settings(call: Call) -> settings_document.SettingsDocument | None:
    """The settings to test: of a file, or those in force of a connection that was named."""
    if call.arguments.settings:
        return settings_document.parse(call.read_file(Path(call.called_from, call.arguments.settings)))
    if call.arguments.connection:
        from gateway.database.session import reading
        from gateway.store import connections

        (name,) = call.find_connections()
        with reading(call.engine) as session:
            version = connections.newest_settings(session, name)
        return settings_document.recall(version[1]) if version else settings_document.SettingsDocument()
    return None


def _show(value: object) -> str:
    if isinstance(value, Mapping | list):
        return simplejson.dumps(value, use_decimal=True, ensure_ascii=False)
    return "nothing" if value is None else str(value)

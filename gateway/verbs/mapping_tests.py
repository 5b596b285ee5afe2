"""The verb about golden records: `mapping record` keeps real records, `mapping test` maps them again, off-line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import simplejson

from gateway.verbs.call import GOOD, PROBLEM, Call, Misuse, Trouble, remark, show, show_json
from mapping import golden_records, settings_document
from mapping.messages import message
from mapping.settings_document import DocumentError, SettingsDocument

MOST = 200
"""The most records in one file: each costs calls of both systems."""


def handle_mapping(call: Call) -> int:
    """`mapping record FILE [KIND:ID ...]` or `mapping test FILE [--settings FILE]`."""
    asked = call.arguments
    if asked.what == "record":
        if asked.settings:
            raise Misuse("mapping record uses the settings in force: leave out --settings")
        return _record(call, Path(call.called_from, asked.file))
    if asked.records or asked.with_persons:
        raise Misuse("mapping test takes a FILE only: which records are tested stands in it")
    return _test(call, _read_file(Path(call.called_from, asked.file)))


# --- record ------------------------------------------------------------------------------------------------------


def _record(call: Call, path: Path) -> int:
    from gateway.store import audit, inbox, requests
    from gateway.store.session import writing
    from gateway.verbs import asking

    wanted = list(_wanted(call.arguments.records or _recorded_before(path)))
    names = call.connection_names()
    if len(names) > 1:
        raise Misuse(
            f"there are several connections ({', '.join(map(call.called, names))}): name one with --connection"
        )
    change = requests.record_mapping(wanted, connection=names[0], with_persons=call.arguments.with_persons)
    with writing(call.engine) as session:
        (received,) = inbox.receive(session, [change])
        audit.note(session, actor="cli", action="mapping record", target=message("{n} records", n=len(wanted)))
    asking.notify(call, [received.id])
    event = asking.watch(call, received.id, seconds=call.arguments.wait, quiet=call.as_json)
    if not event.result:
        show(asking.to_words(event))
        return PROBLEM
    result = simplejson.loads(event.result, use_decimal=True)
    text = simplejson.dumps(result["file"], indent=1, sort_keys=True, ensure_ascii=False, use_decimal=True)
    try:
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise Trouble(f"{path} cannot be written ({type(error).__name__})") from None
    for each in result["missing"]:
        remark(f"not recorded: {each['kind']} {each['id']}: {each['reason']}")
    count = len(result["file"]["records"])
    if call.as_json:
        show_json({"file": str(path), "recorded": count, "missing": result["missing"]})
    else:
        show(f"{count} records are in {path}")
    return PROBLEM if result["missing"] else GOOD


def _wanted(named: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(named) > MOST:
        raise Misuse(f"at most {MOST} records in one file")
    for each in named:
        kind, colon, name = each.partition(":")
        if kind not in golden_records.KINDS or not colon or not name.strip():
            raise Misuse(f"{each} should be KIND:ID, with a kind of {', '.join(golden_records.KINDS)}")
        yield kind, name.strip()


def _recorded_before(path: Path) -> list[str]:
    if not path.exists():
        raise Misuse("name what to record, such as sale:1.2.2026.9 item:1001 relation:17 customer:5")
    return [f"{each['kind']}:{each['id']}" for each in _read_file(path)["records"]]


# --- test --------------------------------------------------------------------------------------------------------


def _read_file(path: Path) -> Mapping[str, Any]:
    try:
        file = simplejson.loads(path.read_text("utf-8"), use_decimal=True)
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{path} cannot be read ({type(error).__name__})") from None
    except (ValueError, RecursionError) as error:
        raise Misuse(f"{path} is no JSON: {error}") from None
    if not isinstance(file, dict) or file.get("format") != golden_records.FORMAT:
        raise Misuse(f"{path} is not a file that mapping record wrote ({golden_records.FORMAT})")
    return file


def _test(call: Call, file: Mapping[str, Any]) -> int:
    try:
        before = settings_document.parse_data(file["settings"])
        after = _find_settings(call) or before
        found = {f"{each['kind']} {each['id']}": _differ(each, after) for each in file["records"]}
    except DocumentError as error:
        raise Misuse("; ".join(f"{fault.path}: {fault.message}" for fault in error.faults)) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Misuse(f"something of the file is missing or wrong ({type(error).__name__}: {error})") from None
    untested = golden_records.find_not_replayed(before, after)
    differing = {record: rows for record, rows in found.items() if rows}
    if call.as_json:
        show_json({"records": len(found), "differing": differing, "not_tested": untested})
        return PROBLEM if differing else GOOD
    for record, rows in differing.items():
        for row in rows:
            show(f"{record}: {row['field']}: {_show(row['before'])} -> {_show(row['after'])}")
    for path in untested:
        remark(f"not tested: {path} differs, and what it chooses is asked of both systems; record again to see it")
    show(f"{len(found)} records, {len(differing)} differ")
    return PROBLEM if differing else GOOD


def _find_settings(call: Call) -> SettingsDocument | None:
    """The settings to test: of a file, or those in force of a connection that was named."""
    if call.arguments.settings:
        path = Path(call.called_from, call.arguments.settings)
        try:
            return settings_document.parse(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Misuse(f"{path} cannot be read ({type(error).__name__})") from None
    if call.arguments.connection:
        from gateway.store import documents
        from gateway.store.session import reading

        (name,) = call.find_connections()
        with reading(call.engine) as session:
            version = documents.newest(session, name)
        return settings_document.recall(version[1]) if version else SettingsDocument()
    return None


def _differ(entry: Mapping[str, Any], settings: SettingsDocument) -> list[dict[str, Any]]:
    """What the settings make of it now, beside what was recorded."""
    again = simplejson.loads(
        simplejson.dumps(golden_records.map_again(entry, settings), use_decimal=True, default=str), use_decimal=True
    )
    rows = golden_records.compare(entry["result"], again)
    return [{"field": path, "before": before, "after": after} for path, before, after in rows]


def _show(value: object) -> str:
    if isinstance(value, Mapping | list):
        return simplejson.dumps(value, use_decimal=True, ensure_ascii=False)
    return "nothing" if value is None else str(value)

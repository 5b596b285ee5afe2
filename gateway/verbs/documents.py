"""The verbs about settings documents: show the one in force, put a file in force."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gateway.store import audit, connections, documents, inbox, installation, progress, requests
from gateway.store.events import State
from gateway.store.session import reading, writing
from gateway.verbs import asking
from gateway.verbs.call import GOOD, PROBLEM, Call, Misuse, remark, show, show_json
from mapping import settings_document
from mapping.messages import message

_CHECK_SECONDS = 15.0


def handle_config(call: Call) -> int:
    """`config show` or `config apply FILE` of one connection (default: `default`)."""
    wanted = call.arguments.connection or connections.DEFAULT
    with reading(call.engine) as session:
        key = connections.find_key(session, wanted)
    if key is None and wanted != connections.DEFAULT:
        call.find_connections()
    name = key or connections.DEFAULT
    return _show(call, name) if call.arguments.what == "show" else _apply(call, name)


def _show(call: Call, name: str) -> int:
    with reading(call.engine) as session:
        version, text = documents.newest(session, name) or (0, settings_document.example())
    if call.as_json:
        settings = settings_document.to_data(settings_document.recall(text))
        show_json({"connection": name, "version": version, "settings": settings})
    else:
        show(text.rstrip("\n"))
    return GOOD


def _apply(call: Call, name: str) -> int:
    text = _read(call)
    try:
        settings_document.parse(text)
    except settings_document.DocumentError as error:
        for fault in error.faults:
            remark(f"{fault.path}: {fault.message} ({fault.hint})")
        remark(f"refused: {len(error.faults)} faults; the document in force stays")
        return PROBLEM
    passed, checked = _check(call, name, text)
    if not passed:
        return PROBLEM
    with writing(call.engine) as session:
        version = documents.save(session, name, text, author="cli")
        later = progress.request_check(session, name, version, checked=checked)
        audit.note(
            session,
            actor="cli",
            action="settings",
            target=message("connection {name}, version {version}", name=name, version=version),
        )
    if later:
        asking.notify(call, later)
    if call.as_json:
        show_json({"connection": name, "version": version})
    else:
        show(f"version {version} is in force for the connection {name}")
    return GOOD


def _check(call: Call, name: str, text: str) -> tuple[bool, bool]:
    """Whether both systems have what the document names, as far as a worker could check; and whether it could."""
    with writing(call.engine) as session:
        if "worker" not in {process.role for process in installation.alive(session)}:
            remark("no worker runs: saved, and checked against QuickBooks and MplusKASSA as soon as one does")
            return True, False
        (received,) = inbox.receive(session, [requests.check_settings(text, connection=name)])
    asking.notify(call, [received.id])
    event = asking.watch(call, received.id, seconds=_CHECK_SECONDS, quiet=True)
    found = json.loads(event.result) if event.state == State.DONE and event.result else {}
    checked = bool(found) and not found["unasked"]
    if not checked:
        remark("not checked against both systems now: one of them, or the worker, did not answer; it is checked later")
    for row in [*found.get("faults", ()), *found.get("warnings", ())]:
        remark(f"{row['path']}: {row['message']} ({row['hint']})")
    if faults := found.get("faults"):
        remark(f"refused: {len(faults)} faults; the document in force stays")
    return not faults, checked


def _read(call: Call) -> str:
    if call.arguments.file is None:
        raise Misuse("config apply needs a FILE (or - for stdin)")
    try:
        if call.arguments.file == "-":
            return sys.stdin.read()
        return Path(call.called_from, call.arguments.file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{call.arguments.file} cannot be read ({type(error).__name__})") from None

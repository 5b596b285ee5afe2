"""The verbs about settings documents: show the one in force, put a file in force."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.store import audit, connections, documents
from gateway.store.session import reading, writing
from gateway.verbs.call import GOOD, PROBLEM, Call, Trouble, show, show_json, tell
from mapping import settings_document


def handle_config(call: Call) -> int:
    """`config show` or `config apply FILE` of one connection (default: `default`)."""
    name = call.arguments.connection or connections.DEFAULT
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
    except settings_document.SettingsError as error:
        for fault in error.faults:
            tell(f"{fault.path}: {fault.message} ({fault.hint})")
        tell(f"refused: {len(error.faults)} faults; the document in force stays")
        return PROBLEM
    with writing(call.engine) as session:
        version = documents.save(session, name, text, author="cli")
        audit.note(session, actor="cli", action="settings", target=f"connection {name}, version {version}")
    if call.as_json:
        show_json({"connection": name, "version": version})
    else:
        show(f"version {version} is in force for the connection {name}")
    return GOOD


def _read(call: Call) -> str:
    if call.arguments.file is None:
        raise Trouble("config apply needs a FILE (or - for stdin)")
    try:
        if call.arguments.file == "-":
            return sys.stdin.read()
        return Path(call.called_from, call.arguments.file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{call.arguments.file} cannot be read ({type(error).__name__})") from None

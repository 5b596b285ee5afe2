"""The verbs about connections and what is kept of them: status, events, settings documents; rename, remove, purge."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from http import HTTPStatus

from gateway import removal, startup
from gateway.cli import tasks
from gateway.cli.call import GOOD, PROBLEM, Call, Misuse, count, remark, show_json
from gateway.database.session import reading, writing
from gateway.errors import Rejected
from gateway.privacy import people, retention
from gateway.queries import activity
from gateway.store import audit, connections, installation, requests
from gateway.store.events import Flow, State
from gateway.web import api
from gateway.web.dashboard import settings
from mapping import settings_document, settings_guide
from mapping.messages import message

_CHECK_SECONDS = 15.0


def show_status(call: Call) -> int:
    """Connections, flows, processes. Exit code 1 when something waits for a person."""
    names = call.find_connections()
    with reading(call.engine) as session:
        overview = api.status.look(session, call.seal)
    if call.arguments.connection:
        shown = [connection for connection in overview.connections if connection.name in names]
        overview = dataclasses.replace(overview, connections=shown)
    lines = []
    for connection in overview.connections:
        status = f"paused: {connection.paused}" if connection.paused else "live" if connection.live else "not live yet"
        lines.append(f"connection {connection.display_name}: {status}")
    for flow in overview.flows:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(flow.counts.items())) or "nothing yet"
        waits = f"; the oldest waits {flow.unsynced_seconds:.0f} s" if flow.unsynced_seconds else ""
        waits += f"; a system has not answered for {flow.unseen_seconds:.0f} s" if flow.unseen_seconds else ""
        lines.append(f"{flow.flow:<11} {counts}{waits}")
    lines += [tasks.to_line(found) for found in overview.backfills if not found.over]
    running = ", ".join(sorted(process.role for process in overview.processes)) or "nothing"
    lines = [*(lines or ["nothing is connected yet"]), f"running     {running}"]
    call.answer(api.status.to_status(call.settings, overview), *lines)
    paused = any(connection.paused for connection in overview.connections)
    return PROBLEM if overview.count(State.PARKED) or paused else GOOD


def list_events(call: Call) -> int:
    asked = call.arguments
    if asked.connection not in {*call.display_names, *call.display_names.values()}:  # a removed one is looked back at
        call.find_connections()
    wanted = activity.Filter(
        state=State(asked.state) if asked.state else None,
        flow=Flow(asked.flow) if asked.flow else None,
        connection=asked.connection,
        limit=asked.limit,
    )
    with reading(call.engine) as session:
        page = activity.find_events(session, wanted)
    lines = (f"{e.id:>7} {e.received_at:%Y-%m-%d %H:%M:%S} {e.flow:<10} {tasks.to_words(e)}" for e in page.rows)
    call.answer(api.events.to_list(page, call.display_names), *lines)
    return GOOD


def handle_connection(call: Call) -> int:
    asked = call.arguments
    try:
        match asked.what:
            case "rename" if asked.name and asked.wanted and not asked.data:
                with writing(call.engine) as session:
                    removal.rename(session, asked.name, asked.wanted, actor="cli")
                said = f"the connection {asked.name} is called {asked.wanted} now"
                call.answer({"name": asked.wanted, "before": asked.name}, said)
                return GOOD
            case "remove" if asked.name and asked.data and not asked.wanted:
                return _remove(call, asked.name, removal.Data(asked.data))
            case "list" if not (asked.name or asked.data):
                return _list(call)
    except Rejected as refusal:
        if refusal.status == HTTPStatus.NOT_FOUND:
            with reading(call.engine) as session:
                raise Misuse(call.say_unknown(asked.name, connections.names(session))) from None
        if refusal.status == HTTPStatus.BAD_REQUEST:
            raise Misuse(refusal.reason) from None
        raise
    needed = {
        "list": "no NAME and no --data",
        "rename": "NAME and NEW alone",
        "remove": "NAME, and --data keep or --data purge",
    }
    raise Misuse(f"connection {asked.what} needs {needed[asked.what]} (./run connection --help has examples)")


def _list(call: Call) -> int:
    with reading(call.engine) as session:
        every, gone = connections.every(session, call.seal), retention.find_removed(session)
        unknown = connections.with_unknown_status(session)
    said = [(each.display_name, each.paused or ("live" if each.live else "not live yet")) for each in every]
    said += [(each.called, "being purged" if each.status == "purging" else "removed, its data kept") for each in gone]
    said += [(name, f'stopped: its status "{status}" is one of a later release') for name, status in unknown]
    lines = [f"{name}: {status}" for name, status in said] or ["nothing is connected yet"]
    call.answer([{"name": name, "standing": status} for name, status in said], *lines)
    return GOOD


def _remove(call: Call, name: str, data: removal.Data) -> int:
    outcome = removal.remove(call.engine, call.settings, name, data, actor="cli")
    lines = [f"the connection {name} was removed; waiting events ended: {outcome.ended}"]
    if outcome.trouble:
        lines.append(f"its tokens were not revoked: {outcome.trouble}")
    if data is removal.Data.PURGE:
        lines.append("the clock process purges its data now; see how far it is with: connection list")
    call.answer(dataclasses.asdict(outcome), *lines)
    return PROBLEM if outcome.trouble else GOOD


def handle_config(call: Call) -> int:
    if call.arguments.what == "show" and call.arguments.file is not None:
        raise Misuse("config show takes no FILE; write its answer into one: ./run config show > FILE")
    wanted = call.arguments.connection or connections.DEFAULT
    with reading(call.engine) as session:
        key = connections.find_key(session, wanted)
    if key is None and wanted != connections.DEFAULT:
        call.find_connections()
    name = key or connections.DEFAULT
    if call.arguments.what == "apply":
        return _apply(call, name)
    with reading(call.engine) as session:
        version, text = connections.newest_settings(session, name) or (0, settings_guide.example())
    settings = settings_document.to_data(settings_document.recall(text))
    call.answer({"connection": name, "version": version, "settings": settings}, text.rstrip("\n"))
    return GOOD


def _apply(call: Call, name: str) -> int:
    if call.arguments.file is None:
        raise Misuse("config apply needs a FILE (or - for stdin)")
    text = call.read_file(call.arguments.file)
    if not text.strip():  # as of a pipe whose first command failed
        raise Misuse(f'{call.arguments.file} is empty; the document in force stays ("version = 1" means the defaults)')
    try:
        settings_document.parse(text)
    except settings_document.DocumentError as error:
        for each in settings.find_places(text, error.faults):
            hint = f" ({each.fault.hint})" if each.fault.hint != each.fault.message else ""
            at = f"line {each.line}: " if each.line else ""
            remark(f"{at}{each.fault.path}: {each.fault.message}{hint}")
        remark(f"refused: {count(len(error.faults), 'fault')}; the document in force stays")
        return PROBLEM
    passed, checked = _check(call, name, text)
    if not passed:
        return PROBLEM
    with writing(call.engine) as session:
        version = connections.save_settings(session, name, text, author="cli")
        later = requests.request_check(session, name, version, checked=checked)
        audit.note(session, actor="cli", action=api.connections.ACTION, target=api.connections.to_target(name, version))
    if later:
        tasks.notify(call, later)
    said = f"version {version} is in force for the connection {name}"
    call.answer({"connection": name, "version": version}, said)
    return GOOD


def _check(call: Call, name: str, text: str) -> tuple[bool, bool]:
    """Whether both systems have what the document names, as far as a worker could check; and whether it could."""
    with reading(call.engine) as session:
        roles = {process.role for process in installation.alive(session)}
    if "worker" not in roles:
        remark("no worker runs: saved, and checked against QuickBooks and MplusKASSA as soon as one does")
        return True, False
    (event_id,) = tasks.send(call, [requests.check_settings(text, connection=name)])
    event = tasks.watch(call, event_id, seconds=_CHECK_SECONDS, quiet=True)
    found = json.loads(event.result) if event.state == State.DONE and event.result else {}
    checked = bool(found) and not found["unasked"]
    if not checked:
        remark("not checked against both systems now: one of them, or the worker, did not answer; it is checked later")
    for row in [*found.get("faults", ()), *found.get("warnings", ())]:
        remark(f"{row['path']}: {row['message']} ({row['hint']})")
    if faults := found.get("faults"):
        remark(f"refused: {count(len(faults), 'fault')}; the document in force stays")
    return not faults, checked


# --- what is kept ---


def forget_secrets(call: Call) -> int:
    cleared = startup.forget_locked(call.engine, call.seal)
    target = message("{count} stored secrets", count=cleared)
    with writing(call.engine) as session:
        audit.note(session, actor="cli", action="forget-secrets", target=target)
    fix = "to do: connect QuickBooks again in the dashboard, and set MPLUS_IDENT and MPLUS_SECRET"
    said = f"cleared {count(cleared, 'stored secret')} that no SECRET_KEY opens"
    call.answer({"cleared": cleared}, said, *([fix] if cleared else []))
    return GOOD


def purge_log(call: Call) -> int:
    """Delete what is older than RETENTION_DAYS: lines of the activity log, ended events; the rest are emptied."""
    lines, events, emptied = retention.purge(call.engine, days=call.settings.retention_days)
    call.answer(
        {"deleted": lines, "events": events, "emptied": emptied},
        f"deleted {lines} lines of the activity log and {events} ended events, emptied {emptied} others",
    )
    return GOOD


def answer_person(call: Call) -> int:
    who, connection = call.arguments.email, call.arguments.connection
    unknown = f"nothing is kept about {who}; spelled differently, or never known here"
    try:
        if call.arguments.what == "export":
            found = people.export(call.engine, who, connection=connection)
            show_json(found)
            if not any(found.values()):
                remark(unknown)
            return GOOD if any(found.values()) else PROBLEM
        note = partial(audit.note, actor="cli", action="erase", target="a person")
        done = people.erase(call.engine, who, connection=connection, note=note)
    except people.Unclear as unclear:
        raise Misuse(str(unclear)) from None
    erased, documents, left = (done[name] for name in ("erased", "documents", "left"))
    call.answer(
        done,
        f"erased from {count(erased['events'], 'event')} and {count(erased['journal'], 'log line')}; "
        f"links deleted: {erased['links']}",
        f"erased from {count(erased['alerts'], 'alert')} and {count(erased['audit'], 'audit line')}",
        *(f"kept: {line}" for line in people.KEPT),
        *(f"kept: sale {d['source_id']} is {d['target']['entity']} {d['target']['id']}" for d in documents),
        *(f"left: {each['rows']} rows of {each['table']}.{each['column']}: {each['why']}" for each in left),
    )
    is_known = any(erased.values()) or documents or left
    if not is_known:
        remark(unknown)
    return PROBLEM if left or not is_known else GOOD

"""The verbs that read: the status of everything, and the events."""

from __future__ import annotations

import dataclasses

from gateway.store import views
from gateway.store.events import Flow, State
from gateway.store.session import reading
from gateway.store.views import Filter
from gateway.verbs import loading
from gateway.verbs.asking import to_words
from gateway.verbs.call import GOOD, PROBLEM, Call, show, show_json
from gateway.web import admin_status, presentation
from gateway.web.admin_status import Overview


def show_status(call: Call) -> int:
    """Connections, flows, processes. Exit code 1 when something waits for a person."""
    names = call.find_connections()
    with reading(call.engine) as session:
        overview = admin_status.look(session, call.seal)
    if call.arguments.connection:
        shown = [connection for connection in overview.connections if connection.name in names]
        overview = dataclasses.replace(overview, connections=shown)
    if call.as_json:
        show_json(admin_status.to_status(call.settings, overview))
    else:
        for line in _to_lines(overview):
            show(line)
    paused = any(connection.paused for connection in overview.connections)
    return PROBLEM if overview.count(State.PARKED) or paused else GOOD


def _to_lines(overview: Overview) -> list[str]:
    lines = []
    for connection in overview.connections:
        status = f"paused: {connection.paused}" if connection.paused else "live" if connection.live else "not live yet"
        lines.append(f"connection {connection.display_name}: {status}")
    for flow in overview.flows:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(flow.counts.items())) or "nothing yet"
        waits = f"; the oldest waits {flow.unsynced_seconds:.0f} s" if flow.unsynced_seconds else ""
        waits += f"; a system has not answered for {flow.unseen_seconds:.0f} s" if flow.unseen_seconds else ""
        lines.append(f"{flow.flow:<11} {counts}{waits}")
    lines += [loading.to_line(found) for found in overview.backfills if not found.over]
    running = ", ".join(sorted(process.role for process in overview.processes)) or "nothing"
    return [*(lines or ["nothing is connected yet"]), f"running     {running}"]


def list_events(call: Call) -> int:
    """The newest events that fit the filter."""
    asked = call.arguments
    if asked.connection not in {*call.display_names, *call.display_names.values()}:  # a removed one is looked back at
        call.find_connections()
    wanted = Filter(
        state=State(asked.state) if asked.state else None,
        flow=Flow(asked.flow) if asked.flow else None,
        connection=asked.connection,
        limit=asked.limit,
    )
    with reading(call.engine) as session:
        page = views.find_events(session, wanted)
    if call.as_json:
        show_json(presentation.to_list(page, call.display_names))
    else:
        for event in page.events:
            show(f"{event.id:>7} {event.received_at:%Y-%m-%d %H:%M:%S} {event.flow:<10} {to_words(event)}")
    return GOOD

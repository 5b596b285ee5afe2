"""The verb that compares till and books: `agree`. Exit code 0 when all agree or differ as set, else 1."""

from __future__ import annotations

import json
from typing import Any

from gateway.store import audit, inbox, requests
from gateway.store.events import Event
from gateway.store.session import writing
from gateway.verbs import asking
from gateway.verbs.call import GOOD, PROBLEM, Call, show, show_json
from mapping.agreement import AGREES, EXPLAINED
from mapping.agreement_text import to_text


def compare_days(call: Call) -> int:
    """Have a worker compare the days for one connection or all, and show the reports."""
    start, through = call.arguments.start, call.arguments.through
    changes = [requests.agree(connection=name, start=start, through=through) for name in call.connection_names()]
    with writing(call.engine) as session:
        ids = [row.id for row in inbox.receive(session, changes)]
        audit.note(session, actor="cli", action="agreement", target=f"{start or ''}..{through or ''}")
    asking.notify(call, ids)
    ended = [asking.watch(call, event_id, seconds=call.arguments.wait, quiet=call.as_json) for event_id in ids]
    reports = [_to_report(event, call.called(event.connection)) for event in ended]
    if call.as_json:
        show_json(reports[0] if len(reports) == 1 else reports)
    else:
        for event, report in zip(ended, reports, strict=True):
            show(f"{call.called(event.connection)}\n{to_text(report)}" if event.result else asking.to_words(event))
    return GOOD if all(report.get("status") in {AGREES, EXPLAINED} for report in reports) else PROBLEM


def _to_report(event: Event, called: str) -> dict[str, Any]:
    """The report; where there is none (yet), `agrees` is null and the event says why."""
    if event.result:
        report: dict[str, Any] = json.loads(event.result)
        return report
    return {
        "agrees": None,
        "status": None,
        "connection": called,
        "event": event.id,
        "state": event.state,
        "reason": event.reason,
    }

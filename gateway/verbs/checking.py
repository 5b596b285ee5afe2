"""The verb `doctor`: prints the findings of this side, then those of a worker."""

from __future__ import annotations

import json
from typing import Any

from gateway import doctor
from gateway.findings import Finding
from gateway.store import connections, inbox, requests
from gateway.store.events import Event, State
from gateway.store.session import writing
from gateway.verbs import asking
from gateway.verbs.call import GOOD, PROBLEM, Call, show, show_json

OUTSIDE_SECONDS = 30.0


def examine_all(call: Call) -> int:
    """Exit code 1 when anything needs a person."""
    findings = []
    for finding in doctor.examine(call.settings, call.engine, call.seal):
        findings.append(finding)
        _print(call, finding)
    usable = all(finding.good for finding in findings if finding.subject == "database")
    for finding in _ask_worker(call) if usable else []:
        findings.append(finding)
        _print(call, finding)
    if call.as_json:
        show_json([finding.to_data() for finding in findings])
    return GOOD if all(finding.good for finding in findings) else PROBLEM


def _print(call: Call, finding: Finding) -> None:
    if not call.as_json:
        show(f"{'ok' if finding.good else '!!'}  {finding.subject}: {finding.said}")
        if finding.fix:
            show(f"    to do: {finding.fix}")


def _ask_worker(call: Call) -> list[Finding]:
    """Logins, branches, VAT rates, plan and preferences, as a worker finds them."""
    with writing(call.engine) as session:
        changes = [requests.check_up(connection=name) for name in connections.names(session)]
        ids = [row.id for row in inbox.receive(session, changes)]
    asking.notify(call, ids)
    ended = [asking.watch(call, event_id, seconds=OUTSIDE_SECONDS, quiet=True) for event_id in ids]
    return [finding for event in ended for finding in to_findings(event)]


def to_findings(event: Event) -> list[Finding]:
    """A worker's result, `[{"check", "good", "said", "fix"}, ...]` on its row; or why there is none."""
    subject = f"outside {event.connection}"
    if event.state in {State.RECEIVED, State.WORKING}:
        return [Finding(subject, "no worker answered", "start the worker, then run doctor again")]
    rows = _parse(event.result)
    if event.state != State.DONE or rows is None:
        said = f"{event.state}: {event.reason}" if event.reason else str(event.state)
        return [Finding(subject, said, "" if event.state == State.DONE else event.fix or "look at the event's log")]
    return [Finding(f"{r['check']} ({event.connection})", str(r["said"]), str(r.get("fix") or "")) for r in rows]


def _parse(result: str | None) -> list[dict[str, Any]] | None:
    rows = json.loads(result) if result else None
    return rows if isinstance(rows, list) else None

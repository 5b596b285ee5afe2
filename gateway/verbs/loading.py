"""The verb `backfill`, which synchronises existing records, and the text of its progress."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gateway.store import audit, inbox, progress, requests
from gateway.store.events import Flow, State
from gateway.store.progress import Progress
from gateway.store.session import reading, writing
from gateway.verbs import asking
from gateway.verbs.call import GOOD, PROBLEM, Call, remark, show, show_json
from gateway.web import admin_backfills

_GLANCE = 0.5
_REPORT_EVERY, _UNTOUCHED = 6, 10  # glances
_MINUTE, _HOUR = 60, 3600


def backfill_flow(call: Call) -> int:
    """Synchronise a flow's existing records, for one connection or all. Exit code 1 when something needs a person."""
    flow, since = Flow(call.arguments.flow), call.arguments.since
    with writing(call.engine) as session:
        changes = [progress.ask(session, flow, connection=name, since=since) for name in call.connection_names()]
        ids = [row.id for row in inbox.receive(session, changes)]
        audit.note(session, actor="cli", action="backfill", target=requests.name_backfill(flow, since))
    asking.notify(call, ids)
    until = time.monotonic() + call.arguments.wait
    ended = [found for event_id in ids for found in _follow(call, event_id, until)]
    _show(call, ended)
    well = all(found.over and found.event.state != State.PARKED and not found.parked for found in ended)
    return GOOD if well else PROBLEM


def to_line(found: Progress) -> str:
    """The status of a backfill, in one line."""
    said = [f"{found.done:,} of {found.total:,}" if found.total else "nothing read yet"]
    said += [f"{found.parked:,} parked"] if found.parked else []
    if found.over:
        return f"{found.event.flow} {found.event.state}: {', '.join(said)} in {to_words(found.seconds)}"
    said += [f"{found.per_second:.1f} a second"] if found.per_second else []
    left = (found.ends_at - found.now).total_seconds() if found.ends_at else None
    said += [f"about {to_words(left)} left"] if left else []
    return f"{found.event.flow} under way: {', '.join(said)}"


def to_words(seconds: float) -> str:
    """A duration in words."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _follow(call: Call, event_id: int, until: float) -> list[Progress]:
    """The backfill, and the one of stock that follows one of products, each when it has ended or the time is up."""
    found = _watch(call, event_id, until)
    with reading(call.engine) as session:
        following = progress.find_follower(session, found.event)
    return [found, *(_follow(call, following.id, until) if following else [])]


def _watch(call: Call, event_id: int, until: float) -> Progress:
    glances = 0
    while True:
        with reading(call.engine) as session:
            found = progress.get(session, event_id)
        at_end = found.over or time.monotonic() >= until
        if at_end or glances % _REPORT_EVERY == 0:
            remark(to_line(found))
        if at_end:
            return found
        glances += 1
        if glances == _UNTOUCHED:
            asking.report_no_worker(call, found.event)
        time.sleep(_GLANCE)


def _show(call: Call, ended: Sequence[Progress]) -> None:
    if call.as_json:
        said = [admin_backfills.to_backfill(found, call.display_names) for found in ended]
        show_json(said[0] if len(said) == 1 else said)
        return
    for found in ended:
        show(to_line(found) + (f" ({found.event.reason})" if found.over and found.event.reason else ""))
    if not all(found.over for found in ended):
        show("it goes on in the background; see how far it is with: status")

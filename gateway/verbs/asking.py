"""The verbs that send a request to a worker and watch it: resend, poll."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import redis

from gateway import jobs
from gateway.store import audit, inbox, installation, progress, requests, views
from gateway.store.events import Change, Event, State, name_record
from gateway.store.progress import SETTLED, Snapshot
from gateway.store.session import reading, writing
from gateway.verbs import dry_run_text
from gateway.verbs.call import GOOD, PROBLEM, USAGE, Call, Trouble, remark, show, show_json
from gateway.web import presentation

_GLANCE = 0.2
_UNTOUCHED_SECONDS = 5.0


def resend_order(call: Call) -> int:
    """Run an order again, or only show what would be done."""
    order, names = call.arguments.order, call.connection_names()
    with reading(call.engine) as session:
        earlier = [event for event in views.events_of_order(session, order) if event.connection in names]
    if not earlier and len(names) > 1:
        raise Trouble(
            f"several connections could have this order ({', '.join(map(call.called, names))}); "
            "name one with --connection"
        )
    dry, reason = call.arguments.dry_run, call.arguments.reason
    change = requests.resend(order, connection=names[0], earlier=earlier, dry_run=dry, reason=reason)
    return ask(call, [change], action="dry run" if dry else "resend", target=f"order {order}", reason=reason)


def poll_now(call: Call) -> int:
    """Ask both systems now what changed, for one connection or all."""
    changes = [requests.poll(connection=name) for name in call.connection_names()]
    return ask(call, changes, action="poll", target=", ".join(c.entity_id for c in changes))


def ask(call: Call, changes: Sequence[Change], *, action: str, target: str, reason: str = "") -> int:
    """Put the changes into the inbox, audited, notify a worker, and watch them until the last one ends."""
    with writing(call.engine) as session:
        ids = [row.id for row in inbox.receive(session, changes)]
        audit.note(session, actor="cli", action=action, target=target, reason=reason or None)
    notify(call, ids)
    ended = [watch(call, event_id, seconds=call.arguments.wait) for event_id in ids]
    if call.as_json:
        answers = [_to_data(event, call) for event in ended]
        show_json(answers[0] if len(answers) == 1 else answers)
    else:
        for event in ended:
            show(to_words(event))
            for line in dry_run_text.to_lines(event):
                show(line)
    if any(event.code == requests.UNKNOWN_ORDER for event in ended):
        return USAGE
    good = all(event.state in {State.DONE, State.SKIPPED} and not dry_run_text.is_refused(event) for event in ended)
    return GOOD if good else PROBLEM


def _to_data(event: Event, call: Call) -> dict[str, Any]:
    """The event; a dry run with all that it found."""
    content = presentation.to_event(event, call.display_names)
    return content | ({"result": presentation.parse(event.result)} if event.result else {})


def notify(call: Call, event_ids: Sequence[int]) -> None:
    """Notify a worker, if the broker answers; without it the sweeper finds the rows a little later."""
    client = jobs.open_redis(call.settings.redis_url, tls_insecure=call.settings.redis_tls_insecure, timeout=1)
    try:
        broker = jobs.open_broker(client)
        for event_id in event_ids:
            jobs.send_wake_up(broker, event_id)
    except (redis.RedisError, OSError):
        remark("the broker does not answer; a worker finds the request in the database within seconds")
    finally:
        client.close()


def watch(call: Call, event_id: int, *, seconds: float, quiet: bool = False) -> Event:
    """The event when it has ended, or as it is after `seconds`; shows its log lines meanwhile."""
    began, untouched, glance = time.monotonic(), False, _look(call, event_id, None, quiet=quiet)
    while glance.event.state not in SETTLED and (waited := time.monotonic() - began) < seconds:
        if not untouched and waited > _UNTOUCHED_SECONDS:
            untouched = True
            report_no_worker(call, glance.event)
        time.sleep(_GLANCE)
        glance = _look(call, event_id, glance, quiet=quiet)
    following_id = _find_next(call, glance.event)
    if following_id is None:
        return glance.event
    remark(f"goes on as event {following_id}")
    return watch(call, following_id, seconds=seconds - (time.monotonic() - began), quiet=quiet)


def _look(call: Call, event_id: int, before: Snapshot | None, *, quiet: bool) -> Snapshot:
    with reading(call.engine) as session:
        glance = progress.take_snapshot(session, event_id, after_line=before.line if before else 0)
    if quiet:
        return glance
    if before is None or before.event.state != glance.event.state:
        remark(f"event {event_id}: {glance.event.state}")
    for title in glance.titles:
        remark(f"  {title}")
    return glance


def _find_next(call: Call, event: Event) -> int | None:
    with reading(call.engine) as session:
        return progress.find_next(session, event)


def report_no_worker(call: Call, event: Event) -> None:
    """Say that no worker runs, when a request waits for that reason."""
    if event.state != State.RECEIVED:
        return
    with reading(call.engine) as session:
        roles = {process.role for process in installation.alive(session)}
    if "worker" not in roles:
        remark("no worker has reported for a minute; the request is kept and handled when one starts")


def to_words(event: Event) -> str:
    """The status of an event, in one line."""
    target = f" -> {event.target_entity} {event.target_id}" if event.target_id else ""
    named = (("record", event.record), ("field", event.field), ("to do", event.fix))
    more = "".join(f"; {name}: {value}" for name, value in named if value)
    reason = f" ({event.reason})" if event.reason else ""
    return f"{name_record(event, {})}: {event.state}{reason}{target}{more}"

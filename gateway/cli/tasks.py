"""The verbs that send a request to a worker and watch it: resend, poll, backfill, agree, doctor."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import redis

from gateway import doctor, jobs
from gateway.cli.call import (
    GOOD,
    PROBLEM,
    USAGE,
    Call,
    Misuse,
    Trouble,
    clear_progress,
    remark,
    show,
    show_json,
    show_progress,
)
from gateway.database import sql
from gateway.database.session import reading, writing
from gateway.findings import Finding
from gateway.queries import activity
from gateway.store import audit, connections, inbox, installation, rate_limits, requests
from gateway.store.events import ENDED, SETTLED, Change, Event, Flow, State, name_record
from gateway.store.sales import AMSTERDAM
from gateway.web import api
from gateway.web.dashboard import preview
from mapping.agreement import AGREES, EXPLAINED, to_text
from mapping.errors import MappingError

_GLANCE, _GLANCE_AT_BACKFILL = 0.2, 0.5  # seconds
_SILENT_SECONDS, _REMIND_SECONDS = 5.0, 30.0
_REPORT_EVERY, _UNTOUCHED, _REMIND_EVERY = 6, 10, 60  # glances
OUTSIDE_SECONDS = 30.0
_NO_WORKER = "no worker has reported for a minute"
_SAFE = "Ctrl-C is safe, it goes on without us"


def resend_order(call: Call) -> int:
    order, names = call.arguments.order, call.connection_names()
    with reading(call.engine) as session:
        earlier = [event for event in activity.find_order(session, order) if event.connection in names]
    if not earlier and len(names) > 1:
        raise Trouble(
            f"several connections could have this order ({', '.join(map(call.called, names))}); "
            "name one with --connection"
        )
    dry, reason = call.arguments.dry_run, call.arguments.reason
    change = requests.resend(order, connection=names[0], earlier=earlier, dry_run=dry, reason=reason)
    return ask(call, [change], action="dry run" if dry else "resend", target=f"order {order}", reason=reason)


def poll_now(call: Call) -> int:
    changes = [requests.poll(connection=name) for name in call.connection_names()]
    return ask(call, changes, action="poll", target=", ".join(c.entity_id for c in changes))


def ask(call: Call, changes: Sequence[Change], *, action: str, target: str, reason: str = "") -> int:
    """Send the changes, audited, and watch them until the last one ends. A dry run is shown with all that it found."""
    ids = send(call, changes, action=action, target=target, reason=reason)
    ended = _watch_all(call, ids, seconds=call.arguments.wait)
    answers = [
        api.events.to_event(event, call.display_names)
        | ({"result": api.events.parse(event.result)} if event.result else {})
        for event in ended
    ]
    call.answer(_alone(answers), *(line for event in ended for line in (to_words(event), *to_lines(event))))
    if any(event.code == requests.UNKNOWN_ORDER for event in ended):
        return USAGE
    good = all(event.state in ENDED and not is_refused(event) for event in ended)
    return GOOD if good else PROBLEM


def _alone(answers: list[dict[str, Any]]) -> Any:
    """An answer about one connection is no list."""
    return answers[0] if len(answers) == 1 else answers


def send(
    call: Call, changes: Sequence[Change], *, action: str | None = None, target: str = "", reason: str = ""
) -> list[int]:
    """Put the changes into the inbox, audited as this `action`, and notify a worker; answers their events."""
    with writing(call.engine) as session:
        ids = [row.id for row in inbox.receive(session, changes)]
        if action:
            audit.note(session, actor="cli", action=action, target=target, reason=reason or None)
    notify(call, ids)
    return ids


def notify(call: Call, event_ids: Sequence[int]) -> None:
    """Notify a worker, if the broker answers; without it the sweeper finds the rows a little later."""
    client = jobs.open_redis(call.settings.redis_url, tls_insecure=call.settings.redis_tls_insecure, timeout=1)
    try:
        broker = jobs.open_broker(client)
        for event_id in event_ids:
            jobs.send_wake_up(broker, event_id)
    except (redis.RedisError, OSError) as error:
        remark(f"the broker does not answer ({error}); a worker finds the request in the database within seconds")
    finally:
        client.close()


def _watch_all(call: Call, event_ids: Sequence[int], *, seconds: float, quiet: bool = False) -> list[Event]:
    """The events when they have ended, or as they are after `seconds`, of all of them together."""
    until = time.monotonic() + seconds
    ended = [watch(call, event_id, seconds=until - time.monotonic(), quiet=quiet) for event_id in event_ids]
    if seconds and any(event.state not in SETTLED for event in ended):
        remark(f"not ended after {to_duration(seconds)}; it goes on without us: ./run events shows how far it is")
    return ended


def watch(call: Call, event_id: int, *, seconds: float, quiet: bool = False) -> Event:
    """The event when it has ended, or as it is after `seconds`; shows its log lines, and what it waits for."""
    began, remind, glance = time.monotonic(), _SILENT_SECONDS, _look(call, event_id, None, quiet=quiet)
    while glance.event.state not in SETTLED and (waited := time.monotonic() - began) < seconds:
        if waited >= remind:
            remind = waited + _REMIND_SECONDS
            left = to_duration(seconds - waited)
            remark(f"waiting {left} more: {_find_cause(call, glance.event).said}; {_SAFE}")
        show_progress(f"event {event_id}: {glance.event.state}, {to_duration(waited)}")
        time.sleep(_GLANCE)
        glance = _look(call, event_id, glance, quiet=quiet)
    clear_progress()
    with reading(call.engine) as session:
        following_id = activity.find_next(session, glance.event)
    if following_id is None:
        return glance.event
    remark(f"goes on as event {following_id}")
    return watch(call, following_id, seconds=seconds - (time.monotonic() - began), quiet=quiet)


def _look(call: Call, event_id: int, before: activity.Snapshot | None, *, quiet: bool) -> activity.Snapshot:
    with reading(call.engine) as session:
        glance = activity.take_snapshot(session, event_id, after_line=before.line if before else 0)
    if quiet:
        return glance
    if before is None or before.event.state != glance.event.state:
        remark(f"event {event_id}: {glance.event.state}")
    for title in glance.titles:
        remark(f"  {title}")
    return glance


def _find_cause(call: Call, event: Event) -> Finding:
    """What a request that has not ended waits for, and what to do about it."""
    subject, again = f"outside {event.connection}", "run it again later; ./run status shows what waits"
    with reading(call.engine) as session:
        if all(process.role != "worker" for process in installation.alive(session)):
            return Finding(subject, _NO_WORKER, "start the worker, then run it again")
        rests = list(rate_limits.find_cooldowns_of(session, event.connection or ""))
        now = sql.now_of(session)
        silent = [each for each in connections.find_silent(session, now) if each.connection == event.connection]
    for name, seconds in rests:
        return Finding(subject, f"{name} asked to slow down, it is asked again in {to_duration(seconds)}", again)
    for each in silent:
        name, since = rate_limits.NAMES[each.system], to_duration(each.seconds)
        said = f"{name} has not answered for {since}{f' ({each.failure})' if each.failure else ''}"
        return Finding(subject, said, f"see whether the worker's machine reaches {name}, then run it again")
    if event.state in {State.WAITING, State.UNCERTAIN}:
        later = max(0.0, ((event.due_at or now) - now).total_seconds())
        said = f"{event.reason or event.state}, the next attempt begins in {to_duration(later)}"
        return Finding(subject, said, event.fix or again)
    if event.state == State.RECEIVED:
        return Finding(subject, "a worker runs, but has other work and has not begun it", again)
    fix = "see whether the worker's machine reaches both systems, then run it again"
    return Finding(subject, "a worker has asked QuickBooks or MplusKASSA and has no answer yet", fix)


def to_words(event: Event) -> str:
    target = f" -> {event.target_entity} {event.target_id}" if event.target_id else ""
    named = (("record", event.record), ("field", event.field), ("to do", event.fix))
    more = "".join(f"; {name}: {value}" for name, value in named if value)
    reason = f" ({event.reason})" if event.reason else ""
    return f"{name_record(event, {})}: {event.state}{reason}{target}{more}"


def compare_days(call: Call) -> int:
    start, through = call.arguments.start, call.arguments.through
    try:
        first, last = requests.find_period(start, through, datetime.now(AMSTERDAM).date())
    except MappingError as error:
        raise Misuse(error.reason) from None
    names = call.connection_names()
    changes = [requests.agree(connection=name, start=start, through=through) for name in names]
    target = requests.name_agreement(", ".join(map(call.called, names)), first, last)
    ids = send(call, changes, action="agreement", target=target)
    remark(f"comparing {first} to {last}")
    ended = _watch_all(call, ids, seconds=call.arguments.wait, quiet=True)
    reports: list[dict[str, Any]] = []
    lines = []
    for event in ended:
        called = call.called(event.connection)
        if event.result:
            reports.append(json.loads(event.result))
            lines.append(f"{called}\n{to_text(reports[-1])}")
        else:
            report = {"agrees": None, "status": None, "connection": called, "event": event.id}
            reports.append({**report, "state": event.state, "reason": event.reason})
            lines.append(to_words(event))
    call.answer(_alone(reports), *lines)
    return GOOD if all(report.get("status") in {AGREES, EXPLAINED} for report in reports) else PROBLEM


def backfill_flow(call: Call) -> int:
    """Synchronise a flow's existing records, for one connection or all. Exit code 1 when something needs a person."""
    flow, since = Flow(call.arguments.flow), call.arguments.since
    if fault := requests.refuse_backfill(flow, since, datetime.now(AMSTERDAM).date()):
        raise Misuse(f"{fault} (./run backfill --help has examples)")
    with writing(call.engine) as session:
        names = call.connection_names()
        changes = [requests.widen_backfill(session, flow, connection=name, since=since) for name in names]
        ids = [row.id for row in inbox.receive(session, changes)]
        audit.note(session, actor="cli", action="backfill", target=requests.name_backfill(flow, since))
    notify(call, ids)
    until = time.monotonic() + call.arguments.wait
    ended = [found for event_id in ids for found in _follow(call, event_id, until)]
    lines = [to_line(f) + (f" ({f.event.reason})" if f.over and f.event.reason else "") for f in ended]
    if not all(found.over for found in ended):
        lines.append("it goes on in the background; see how far it is with: status")
    call.answer(_alone([api.status.to_backfill(found, call.display_names) for found in ended]), *lines)
    well = all(found.over and found.event.state != State.PARKED and not found.parked for found in ended)
    return GOOD if well else PROBLEM


def to_line(found: activity.Progress) -> str:
    unread = "nothing there" if found.over else "nothing read yet"
    said = [f"{found.done:,} of {found.total:,}" if found.total else unread]
    said += [f"{found.parked:,} parked"] if found.parked else []
    if found.over:
        return f"{found.event.flow} {found.event.state}: {', '.join(said)} in {to_duration(found.seconds)}"
    said += [f"{found.per_second:.1f} a second"] if found.per_second else []
    left = (found.ends_at - found.now).total_seconds() if found.ends_at else None
    said += [f"about {to_duration(left)} left"] if left else []
    return f"{found.event.flow} under way: {', '.join(said)}"


def to_duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)  # an estimate may lie behind us
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _follow(call: Call, event_id: int, until: float) -> list[activity.Progress]:
    """The backfill, and the one of stock that follows one of products, each when it has ended or the time is up."""
    for glances in itertools.count():
        with reading(call.engine) as session:
            found = activity.find_progress(session, event_id)
        if found.over or time.monotonic() >= until:
            break
        shown = show_progress(to_line(found), done=found.done, total=found.total or 0)
        if not shown and glances % _REPORT_EVERY == 0:
            remark(to_line(found))
        if (glances + 1) % _REMIND_EVERY == _UNTOUCHED and not found.notes.read:
            remark(f"waiting: {_find_cause(call, found.event).said}; {_SAFE}")
        time.sleep(_GLANCE_AT_BACKFILL)
    remark(to_line(found))
    with reading(call.engine) as session:
        following = activity.find_follower(session, found.event)
    return [found, *(_follow(call, following.id, until) if following else [])]


def examine_all(call: Call) -> int:
    """Exit code 1 when anything needs a person."""
    findings = []
    for finding in _examine(call):
        findings.append(finding)
        if call.as_json:
            continue
        mark = "!!" if not finding.good else "??" if finding.is_question else "ok"
        show(f"{mark}  {finding.subject}: {finding.said}")
        if finding.fix:
            show(f"    to do: {finding.fix}")
    if call.as_json:
        show_json([finding.to_data() for finding in findings])
    return GOOD if all(finding.good for finding in findings) else PROBLEM


def _examine(call: Call) -> Iterator[Finding]:
    """What is seen from here, then what a worker finds: logins, branches, VAT rates, plan and preferences."""
    only, is_usable = call.find_connections() if call.arguments.connection else None, True
    for finding in doctor.examine(doctor.Installation(call.settings, call.engine, call.seal, only)):
        is_usable &= finding.good or finding.subject != "database"
        yield finding
    if not is_usable:
        return
    names = call.find_connections()
    ids = send(call, [requests.check_up(connection=name) for name in names])
    with reading(call.engine) as session:
        rests = [rest for name in names for _, rest in rate_limits.find_cooldowns_of(session, name)]
    # During a long cooldown of a system no worker asks it, and nobody is kept waiting for one.
    seconds = OUTSIDE_SECONDS if max(rests, default=0.0) < OUTSIDE_SECONDS else 0.0
    for event in _watch_all(call, ids, seconds=seconds, quiet=True):
        yield from to_findings(call, event)


def to_findings(call: Call, event: Event) -> list[Finding]:
    """A worker's result, `[{"check", "good", "said", "fix"}, ...]` on its row; or why there is none."""
    if event.state not in SETTLED:
        return [_find_cause(call, event)]
    subject = f"outside {event.connection}"
    rows = json.loads(event.result) if event.result else None
    if event.state != State.DONE or not isinstance(rows, list):
        said = f"{event.state}: {event.reason}" if event.reason else str(event.state)
        return [Finding(subject, said, "" if event.state == State.DONE else event.fix or "look at the event's log")]
    found = ((row, str(row.get("fix") or "")) for row in rows)
    return [
        Finding(f"{row['check']} ({event.connection})", str(row["said"]), fix, is_question=bool(fix and row["good"]))
        for row, fix in found
    ]


def is_refused(event: Event) -> bool:
    """Whether the dry run says that the sale could not be booked."""
    found = preview.read_result(event)
    return found is not None and found.reason is not None


def to_lines(event: Event) -> Iterator[str]:
    """Nothing for an event that is no dry run."""
    found = preview.read_result(event)
    if found is None or not found.result.get("sale"):
        return
    yield found.headline
    result, sale = found.result, found.result["sale"]
    if there := result.get("already"):
        number = f", number {there['number']}" if there.get("number") else ""
        yield f"  in the books as  {there['entity']} {there['id']}{number}"
    yield from (f"  - {step}" for step in result.get("steps", ()))
    for name, value in (("why", found.reason), ("field", result.get("field")), ("to do", result.get("fix"))):
        if value:
            yield f"  {name}: {value}"
    yield "at the till: {kind} {number} of {day}, total {total}".format_map(sale)
    yield from (f"  paid by {tender['name']:<24} {tender['amount']:>10}" for tender in sale["tenders"])
    if found.plan:
        yield from _of_document(found.plan)


def _of_document(plan: Mapping[str, Any]) -> Iterator[str]:
    yield f"in QuickBooks: {plan['entity']}, total {plan['total']}"
    yield from (f"  {label}: {value}" for label, value in plan["facts"] if label != "Private note")
    yield "  lines (net)"
    for line in plan["lines"]:
        many = f"{line['quantity']} x {line['price']}" if line["quantity"] else ""
        yield f"    {line['description']:<32} {many:>20} {line['code']!s:>12} {line['amount']:>10}"
    for tax in plan["taxes"]:
        yield f"  VAT {tax['percent']} % of {tax['net']}: {tax['tax']}"
    for payment in plan["payments"]:
        facts = (f"{label} {value}" for label, value in payment.items() if label != "Private note")
        yield f"  payment: {', '.join(facts)}"
    yield from (f"  document of money beside it: {each}" for each in plan["beside"])
    yield from (f"  would be made first: {kind.lower()} {name}" for kind, name in plan["created"])

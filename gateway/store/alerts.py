"""Alerts: what needs a person now, read from the database, and what has been told of it.

An alert is raised once per cause, cleared when it is gone, and sent by the first process that claims it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, case, func, or_, select, text, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from gateway.database import sql
from gateway.database.sealing import digest
from gateway.database.sql import moment, upsert
from gateway.errors import AUTH_LOST
from gateway.store import connections, counts, cursors, installation, rate_limits, round_robin, tokens
from gateway.store.agreements import WATCHED, AgreementStatus
from gateway.store.events import BACKFILL, UNSETTLED, Flow, State
from gateway.store.rate_limits import QUICKBOOKS
from gateway.store.tables import AgreementDayRow, AgreementRecordRow, AlertRow, ConnectionRow, InboxRow, TokenRow
from mapping import messages
from mapping.messages import message

ROLES = ("web", "worker", "clock")
KINDS = (
    *("parked", "paused", "lost", "refused", "reconnect", "behind", "uncertain"),
    *("silent", "poll", "plan", "process", "agreement", "comparison"),
)
"""The first part of a cause's key."""
OF_PEOPLE = frozenset({Flow.CUSTOMERS, Flow.ORDERS})
CALM_SECONDS = 45.0  # a cause not reported for this long is gone
SENDING_SECONDS = 60.0
RETRY_SECONDS = 30.0
SETTLING_SECONDS = 90.0  # a new deployment is still starting its processes
OVERDUE = timedelta(hours=6)
WITHHELD = "the dashboard says which and why"
_MAX_NAMED = 5
_FIX_DAYS = "open the agreement in the dashboard, or run `./run agree`: every record is named with what to do"


@dataclass(frozen=True, slots=True)
class AlertCause:
    """One thing that needs a person. `key` stays the same while it lasts; a new `stage` is sent again."""

    key: str
    title: str
    detail: str = ""
    fix: str = ""
    connection: str | None = None
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How late a flow may be, and the plan's monthly number of reads."""

    behind: timedelta
    monthly_reads: int


def find_causes(session: Session, patience: Thresholds) -> list[AlertCause]:
    """Every present cause, in one reading transaction."""
    now = sql.now_of(session)
    return [cause for find in _FINDERS for cause in find(session, patience, now)]


def _parked(session: Session, _patience: Thresholds, _now: datetime) -> Iterator[AlertCause]:
    about = (col(InboxRow.connection), col(InboxRow.flow), col(InboxRow.code))
    # Events that wait for a lost authorisation have one alert, that of the connection; the books may also refuse one
    # that is not lost (a subscription that ended, the till's credentials).
    unreported = or_(col(InboxRow.code).is_(None), about[2] != AUTH_LOST, about[0].not_in(tokens.LOST))
    parked = and_(col(InboxRow.state) == State.PARKED, unreported)
    found = select(*about, func.count(), func.max(col(InboxRow.id))).where(parked).group_by(*about)
    groups = session.execute(found).all()
    # The newest of a group is shown for it: its reason and its fix belong together.
    words = select(col(InboxRow.id), col(InboxRow.reason), col(InboxRow.fix), col(InboxRow.messages))
    newest = session.execute(words.where(col(InboxRow.id).in_([row[-1] for row in groups]))).all()
    said = {id_: messages.restore([reason, fix], stored) for id_, reason, fix, stored in newest}
    for name, flow, code, count, id_ in groups:
        reason, fix = said.get(id_, (None, None))
        # A reason may quote the other system about a person: that is shown after login only.
        shown, fix = WITHHELD if flow in OF_PEOPLE else reason or "", fix or "open them in the dashboard"
        yield AlertCause(f"parked/{name}/{flow}/{code}", message(_PARKED[flow], count=count), shown, fix, name)


_PARKED: Final[Mapping[str, str]] = {
    Flow.ORDERS: "{count} sales need attention",
    Flow.CUSTOMERS: "{count} customers need attention",
    Flow.PRODUCTS: "{count} products need attention",
    Flow.STOCK: "the stock of {count} products needs attention",
    Flow.CATEGORIES: "{count} categories need attention",
}


def _stopped(session: Session, _patience: Thresholds, now: datetime) -> Iterator[AlertCause]:
    for row in session.execute(select(ConnectionRow).where(col(ConnectionRow.paused).is_not(None))).scalars():
        yield AlertCause(f"paused/{row.name}", "the connection is paused", row.paused or "", "let it go on", row.name)
    for token in session.execute(select(TokenRow)).scalars():
        name = token.connection
        if token.lost is not None and token.lost_code is not None:
            yield AlertCause(f"refused/{name}", "QuickBooks refuses the company", token.lost, tokens.REFUSED, name)
        elif token.lost is not None:
            yield AlertCause(f"lost/{name}", "QuickBooks is no longer connected", token.lost, tokens.RECONNECT, name)
        elif (stage := tokens.stage_of(token, now)) is not None:
            ends = message("the authorisation ends on {day}", day=f"{tokens.ends_at(token):%Y-%m-%d}")
            title = "QuickBooks must be connected again soon"
            yield AlertCause(f"reconnect/{name}", title, ends, tokens.RECONNECT, name, str(stage))


def _behind(session: Session, patience: Thresholds, _now: datetime) -> Iterator[AlertCause]:
    # What a person had tried again, or a healed cause released, has waited since then, however old it is. At its later
    # attempts it is as old as it was between them.
    is_first = and_(col(InboxRow.state) == State.WORKING, col(InboxRow.attempts) <= 1)
    is_due = or_(col(InboxRow.state) == State.RECEIVED, is_first)
    oldest = func.min(case((is_due, col(InboxRow.updated_at)), else_=col(InboxRow.received_at)))
    for state, key, title in (
        (UNSETTLED, "behind", "{flow} is behind"),
        ((State.UNCERTAIN,), "uncertain", "a write of {flow} has been without an answer for long"),
    ):
        name, flow = col(InboxRow.connection), col(InboxRow.flow)
        found = (
            select(name, flow, func.count(), oldest)
            .where(col(InboxRow.state).in_(state), col(InboxRow.priority) < BACKFILL)
            .where(name.not_in(round_robin.RESTING))
            .group_by(name, flow)
            .having(oldest < _now - patience.behind)
        )
        for name, flow, count, _ in session.execute(found).all():
            minutes = f"{patience.behind.total_seconds() / 60:.0f}"
            late = message("{count} wait, the oldest for more than {minutes} minutes", count=count, minutes=minutes)
            fix = "see in the dashboard what they wait for: the other system, or a worker process"
            yield AlertCause(f"{key}/{name}/{flow}", message(title, flow=message(flow)), late, fix, name)


def _silent(session: Session, _patience: Thresholds, now: datetime) -> Iterator[AlertCause]:
    lost = set(session.execute(tokens.LOST).scalars())
    # Whether a clock process has run long enough to have asked both systems.
    clocks = [each.started_at for each in installation.alive(session) if each.role == "clock"]
    is_asking = now - min(clocks, default=now) > timedelta(seconds=SETTLING_SECONDS)
    for silence in connections.find_silent(session, now):
        if silence.failure is None and not is_asking:
            continue
        if silence.system == QUICKBOOKS and silence.connection in lost:
            continue
        name = rate_limits.NAMES[silence.system]
        since = message("it has not answered for {minutes} minutes", minutes=max(1, round(silence.seconds / 60)))
        detail = message("{since}: {failure}", since=since, failure=silence.failure) if silence.failure else since
        title, key = message("{name} does not answer", name=name), f"silent/{silence.connection}/{name}"
        fix = "look whether {name} works and can be reached from here, then at the address and credentials"
        yield AlertCause(key, title, detail, message(fix, name=name), silence.connection)


def _failing_polls(session: Session, _patience: Thresholds, now: datetime) -> Iterator[AlertCause]:
    """A feed that fails although its system answers; a silent system is one cause, not one for every feed."""
    silent = {(silence.connection, silence.system) for silence in connections.find_silent(session, now)}
    for row in cursors.find_failing(session, now):
        if (row.connection, row.source.partition(".")[0]) in silent:
            continue
        title = message("the poll {source} fails", source=row.source)
        fix = "look at the other system, then at the address and credentials of the connection"
        if kind := cursors.part_of(row.source):
            title = message("QuickBooks cannot say what changed of its records of the kind {kind}", kind=kind)
            fix = "open what was changed last of the kind {kind} in QuickBooks and save it; or ask Intuit's support"
            fix = message(fix, kind=kind)
        yield AlertCause(f"poll/{row.connection}/{row.source}", title, row.failure or "", fix, row.connection)


def _used_plan(session: Session, patience: Thresholds, now: datetime) -> Iterator[AlertCause]:
    calls = counts.calls_of_month(session, f"{now:%Y-%m}")
    made = counts.forecast_reads(calls, now=now, allowance=patience.monthly_reads)
    if made.warning:
        stage, state = ("used up", "used up") if made.share >= 1 else ("80 %", "nearly used up")
        detail = message(
            "{reads} of {allowance} reads in {month}; at this pace {forecast} by its end",
            reads=made.reads,
            allowance=made.allowance,
            month=made.month,
            forecast=made.forecast,
        )
        fix = "poll less often (QUICKBOOKS_CDC_SECONDS), or take a larger plan and set QUICKBOOKS_MONTHLY_READS"
        title = message("the monthly allowance of QuickBooks reads is {state}", state=message(state))
        yield AlertCause(f"plan/{made.month}", title, detail, fix, stage=stage)


def _gone_processes(session: Session, _patience: Thresholds, now: datetime) -> Iterator[AlertCause]:
    alive = installation.alive(session)
    # Only running processes count: those before a restart say nothing about those starting now.
    if not alive or now - min(each.started_at for each in alive) < timedelta(seconds=SETTLING_SECONDS):
        return
    # A process that ended a moment ago may be restarting, and others still count as running for a while.
    lately = installation.alive(session, seconds=SETTLING_SECONDS)
    for role in sorted(set(ROLES) - {process.role for process in lately}):
        yield AlertCause(
            f"process/{role}",
            message("no {role} process is running", role=role),
            fix=message("start the {role} process; see its log", role=role),
        )


def _differing(session: Session, _patience: Thresholds, now: datetime) -> Iterator[AlertCause]:
    """Days on which till and books differ; sent again when other records differ."""
    day, record = AgreementDayRow, AgreementRecordRow
    watched = and_(col(day.status) == AgreementStatus.DIFFERS, col(day.day) >= (now - WATCHED).date())
    wrong = and_(
        col(record.connection) == col(day.connection), col(record.day) == col(day.day), col(record.by_policy).is_(False)
    )
    columns = (col(day.connection), col(day.day), col(record.record), col(record.cause), col(record.cents))
    rows = session.execute(select(*columns).join(record, wrong).where(watched).order_by(*columns[:3])).all()
    by_connection: dict[str, list[tuple[date, str, str, int]]] = {}
    for name, when, what, cause, cents in rows:
        by_connection.setdefault(name, []).append((when, what, cause, cents))
    for name, found in by_connection.items():
        days = sorted({str(when) for when, *_ in found})
        more_days = "till and books differ on {day} and {n} other days"
        title = message(more_days if days[1:] else "till and books differ on {day}", day=days[0], n=len(days) - 1)
        named = []
        for when, what, cause, cents in found[:_MAX_NAMED]:
            kind, _, number = what.partition(" ")
            said = {"record": message("{kind} {number}", kind=message(kind), number=number), "cause": message(cause)}
            named.append(message("{day} {record}: {cause}, {amount}", day=when, amount=messages.Amount(cents), **said))
        if len(found) > _MAX_NAMED:
            named.append(message("and {n} more", n=len(found) - _MAX_NAMED))
        stage = digest(repr(found))[:16]
        detail = messages.join(named, "{first}; {second}")
        yield AlertCause(f"agreement/{name}", title, detail, _FIX_DAYS, name, stage)


def _not_compared(session: Session, _patience: Thresholds, now: datetime) -> Iterator[AlertCause]:
    day = AgreementDayRow
    # The first row of a connection is never compared, and today not yet.
    opened = aliased(AgreementDayRow)
    first = select(func.min(col(opened.day))).where(col(opened.connection) == col(ConnectionRow.name)).scalar_subquery()
    lost = and_(col(day.due_at).is_(None), col(day.day) < (now - timedelta(days=2)).date())
    waits = and_(col(day.status) == AgreementStatus.NOT_CLOSED, or_(col(day.due_at) < now - OVERDUE, lost))
    late = (
        select(col(day.connection), func.min(col(day.day)), func.count())
        .join(ConnectionRow, col(ConnectionRow.name) == col(day.connection))
        .where(or_(col(day.status) == AgreementStatus.FAILED, waits), col(day.connection).in_(connections.WORKING))
        .where(col(day.day) > first, col(day.day) >= (now - WATCHED).date())
        .group_by(col(day.connection))
    )
    for name, when, count in session.execute(late).all():
        detail = message("{count} days wait for it, the oldest is {when}", count=count, when=when)
        fix = "look at the newest event Agreement and the log of the clock process; ./run agree tries it again"
        title = "till and books could not be compared"
        yield AlertCause(f"comparison/{name}", title, detail, fix, name, str(when))


_Finder = Callable[[Session, Thresholds, datetime], Iterator[AlertCause]]
_FINDERS: tuple[_Finder, ...] = (
    *(_parked, _stopped, _behind, _silent, _failing_polls),
    *(_used_plan, _gone_processes, _differing, _not_compared),
)


# --- told -----------------------------------------------------------------------------------------------------------


def note(session: Session, causes: Sequence[AlertCause]) -> None:
    """Open an alert for every new cause, prolong the open ones, clear those whose cause is gone."""
    for cause in causes:
        texts: dict[str, str | None] = {each: getattr(cause, each) for each in ("title", "detail", "fix", "stage")}
        texts["messages"] = messages.store(cause.title, cause.detail, cause.fix)
        times = {"first_seen": moment(), "seen_at": moment()}
        row = {"cause": cause.key, "connection": cause.connection, "told": "", "clear_told": "", **texts, **times}
        is_same = col(AlertRow.stage) == cause.stage
        sent_at = case((is_same, col(AlertRow.sent_at)))
        told = case((is_same, col(AlertRow.told)), else_="")
        values = {**texts, "seen_at": moment(), "sent_at": sent_at, "told": told}
        upsert(session, AlertRow, row, values, keys=["cause"], index_where=text("cleared_at IS NULL"))
    gone = and_(col(AlertRow.cleared_at).is_(None), col(AlertRow.seen_at) < moment(-CALM_SECONDS))
    session.execute(update(AlertRow).where(gone).values(cleared_at=moment(), sending_until=None))


def take_unsent(session: Session, *, limit: int = 20) -> list[AlertRow]:
    """Alerts and all-clears that are not sent yet, claimed for a minute."""
    raised = and_(col(AlertRow.sent_at).is_(None), col(AlertRow.cleared_at).is_(None))
    # An all-clear only for an alert that was sent.
    cleared = and_(
        col(AlertRow.cleared_at).is_not(None), col(AlertRow.clear_sent_at).is_(None), col(AlertRow.sent_at).is_not(None)
    )
    tried = col(AlertRow.sending_until)
    due = and_(or_(raised, cleared), or_(tried.is_(None), tried < moment()))
    # New alerts go first: a channel that keeps failing must not delay them.
    first = select(col(AlertRow.id)).where(due).order_by(tried.is_not(None), tried, col(AlertRow.id)).limit(limit)
    taking = update(AlertRow).where(col(AlertRow.id).in_(first), due).values(sending_until=moment(SENDING_SECONDS))
    return sorted(session.execute(taking.returning(AlertRow)).scalars(), key=lambda row: row.id or 0)


def mark_sent(session: Session, alert: AlertRow, channels: Sequence[str], *, everyone: bool) -> None:
    """Record the channels that took it; with `everyone` it is done, else the others are tried again soon."""
    clear = alert.cleared_at is not None
    values: dict[str, Any] = {"clear_told" if clear else "told": ",".join(channels)}
    values["sending_until"] = None if everyone else moment(RETRY_SECONDS)
    if everyone:
        values["clear_sent_at" if clear else "sent_at"] = moment()
    same = and_(col(AlertRow.id) == alert.id, col(AlertRow.stage) == alert.stage)
    session.execute(update(AlertRow).where(same).values(**values))

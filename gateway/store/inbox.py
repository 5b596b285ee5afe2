"""The inbox: the row is the truth. Receive (insert or nothing), claim (fenced lease), finish, and find what is due."""

from __future__ import annotations

import dataclasses
import random
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Engine, and_, case, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from gateway.errors import GatewayError
from gateway.store import turns
from gateway.store.clock import moment
from gateway.store.events import PENDING, URGENT, Change, Event, Outcome, Received, State
from gateway.store.session import reading, writing
from gateway.store.tables import InboxRow, TokenRow
from gateway.store.turns import Rota

LEASE_SECONDS = 10.0
_COLUMNS = tuple(f.name for f in dataclasses.fields(Event))
# What a new row takes from its change, by the names of the columns.
SAID = (
    *("key", "connection", "account", "flow", "source", "entity", "entity_id", "operation", "subject", "priority"),
    *("state", "reason", "fix", "hint", "order_id", "sku", "email", "occurred_at", "careful"),
)
said_by = attrgetter(*SAID)
_FACTS = frozenset({"order_id", "sku", "email", "target_entity", "target_id", "connection"})


class LeaseLost(GatewayError):
    """Another worker has taken this event over; what this one did must not be recorded."""


def receive(session: Session, changes: Sequence[Change]) -> list[Received]:
    """Store the changes that are new, in the caller's transaction; answers one `Received` per change, in order."""
    return [_receive_one(session, change) for change in changes]


def _receive_one(session: Session, change: Change) -> Received:
    dialect = session.get_bind().dialect.name
    conflict_insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = conflict_insert(InboxRow).values(**row_values(change), received_at=moment(), updated_at=moment())
    created = session.execute(
        statement.on_conflict_do_nothing(index_elements=["key"]).returning(col(InboxRow.id))
    ).scalar_one_or_none()
    if created is not None:
        return Received(int(created), created=True, pending=change.state in PENDING)
    row = session.execute(select(col(InboxRow.id), col(InboxRow.state)).where(col(InboxRow.key) == change.key)).one()
    return Received(int(row[0]), created=False, pending=row[1] in PENDING)


def row_values(change: Change) -> dict[str, Any]:
    """The columns of a new row for `change`, without its two times."""
    values: dict[str, Any] = dict(zip(SAID, said_by(change), strict=True))
    return values | {"correlation": new_correlation(), "attempts": 0, "crashes": 0}


def new_correlation() -> str:
    """What ties together everything that is logged and sent because of one event."""
    return f"{random.getrandbits(128):032x}"


def claim(
    engine: Engine, event_id: int, *, seconds: float = LEASE_SECONDS, barred: Collection[str] = ()
) -> Event | None:
    """Take the newest due event about the same subject as `event_id`, or None if there is nothing to do.

    Older pending events of the subject are closed as superseded: the one claimed reads the present truth. Nothing is
    taken of a connection that rests or is `barred`.
    """
    subject = select(col(InboxRow.subject)).where(col(InboxRow.id) == event_id).scalar_subquery()
    # An abandoned row still holds the subject's lock, so it is taken over before anything newer.
    order = (case((col(InboxRow.state) == State.WORKING, 0), else_=1), col(InboxRow.id).desc())
    wanted = and_(col(InboxRow.subject) == subject, _due(), turns.may_run(barred))
    newest = select(col(InboxRow.id)).where(wanted).order_by(*order).limit(1)
    return _take(engine, newest.scalar_subquery(), seconds)


def claim_next(
    engine: Engine, *, seconds: float = LEASE_SECONDS, rota: Rota | None = None, barred: Collection[str] = ()
) -> Event | None:
    """Take the next due event, or None: what a dead worker left, then one connection after the other in turn.

    Within a connection the most urgent comes first. One connection's thousands do not delay another's one.
    """
    round_of = rota or Rota()
    with reading(engine) as session:
        abandoned = session.execute(select(col(InboxRow.id)).where(_abandoned()).limit(1)).scalar_one_or_none()
        waiting = [turn for turn in turns.find_turns(session) if turn.connection not in barred]
    if abandoned is not None and (event := _take(engine, literal(abandoned), seconds)):
        return event
    lock = engine.dialect.name == "postgresql"
    for turn in round_of.order(waiting):
        which = turns.next_of(resting=turn.resting, lock=lock)
        if event := _take(engine, which, seconds, **{turns.TURN: turn.connection}):
            round_of.serve(turn.connection)
            return event
    return None


def _abandoned() -> Any:
    return and_(col(InboxRow.state) == State.WORKING, col(InboxRow.leased_until) < moment())


def _due() -> Any:
    pending = and_(
        col(InboxRow.state).in_(PENDING), or_(col(InboxRow.due_at).is_(None), col(InboxRow.due_at) <= moment())
    )
    return or_(pending, _abandoned())


def _take(engine: Engine, which: Any, seconds: float, **bound: str) -> Event | None:
    lease = uuid.uuid4().hex
    taking = (
        update(InboxRow)
        .where(and_(col(InboxRow.id) == which, _due()))
        .values(
            state=State.WORKING,
            lease=lease,
            leased_until=moment(seconds),
            attempts=col(InboxRow.attempts) + 1,
            # Still 'working' when it is taken: the worker before died with it.
            crashes=col(InboxRow.crashes) + case((col(InboxRow.state) == State.WORKING, 1), else_=0),
            updated_at=moment(),
        )
        .returning(*(getattr(InboxRow, name) for name in _COLUMNS))
    )
    try:
        with writing(engine) as session:
            row = session.execute(taking, bound).one_or_none()
            if row is None:
                return None
            event = Event(*row)
            return dataclasses.replace(event, careful=_supersede(session, event) or event.careful)
    except IntegrityError:
        return None  # somebody is working on this subject; finishing it wakes the next


def _supersede(session: Session, event: Event) -> bool:
    """Close older pending events of the subject; True when one of them had been tried, so a write may be out."""
    closed = session.execute(
        update(InboxRow)
        .where(
            and_(
                col(InboxRow.subject) == event.subject,
                col(InboxRow.id) < event.id,
                col(InboxRow.state).in_((*PENDING, State.PARKED)),
            )
        )
        .values(state=State.SKIPPED, reason=f"superseded by event {event.id}", updated_at=moment(), due_at=None)
        .returning(col(InboxRow.attempts))
    ).all()
    careful = any(row[0] > 0 for row in closed)
    if careful and not event.careful:
        session.execute(update(InboxRow).where(col(InboxRow.id) == event.id).values(careful=True))
    return careful


def renew(engine: Engine, leases: Sequence[str], *, seconds: float = LEASE_SECONDS) -> None:
    """Prolong the leases that are still ours."""
    if not leases:
        return
    alive = and_(col(InboxRow.lease).in_(leases), col(InboxRow.state) == State.WORKING)
    with writing(engine) as session:
        session.execute(update(InboxRow).where(alive).values(leased_until=moment(seconds)))


def finish(session: Session, event: Event, outcome: Outcome) -> None:
    """Record how the attempt ended, in the caller's transaction. Raises `LeaseLost` if the claim is no longer ours."""
    values: dict[str, Any] = {name: value for name, value in outcome.facts.items() if name in _FACTS}
    values |= {name: getattr(outcome, name) for name in ("state", "reason", "code", "record", "field", "fix")}
    if outcome.result is not None:
        values["result"] = outcome.result
    if not outcome.burn_attempt:
        values["attempts"] = col(InboxRow.attempts) - 1
    due = moment(outcome.wait_seconds) if outcome.wait_seconds is not None else None
    ended = session.execute(
        update(InboxRow)
        .where(
            and_(
                col(InboxRow.id) == event.id,
                col(InboxRow.lease) == event.lease,
                col(InboxRow.state) == State.WORKING,
            )
        )
        .values(**values, lease=None, leased_until=None, due_at=due, updated_at=moment())
        .returning(col(InboxRow.id))
    ).one_or_none()
    if ended is None:
        raise LeaseLost(f"event {event.id} was taken over by another worker")


def due_ids(session: Session, *, limit: int) -> list[int]:
    """Events that somebody should be woken for: due, or abandoned by a dead worker; a few of each connection."""
    homeless = and_(col(InboxRow.connection).is_(None), col(InboxRow.state).in_(PENDING), _due())
    left = select(col(InboxRow.id)).where(or_(_abandoned(), homeless)).limit(limit)
    found = [int(row[0] or 0) for row in session.execute(left)]
    waiting = turns.find_turns(session)
    share = max(1, limit // max(1, len(waiting)))
    for turn in waiting:
        if len(found) < limit:
            found += turns.find_due(session, turn, limit=share)
    return found[:limit]


def pending_of(session: Session, subject: str) -> int | None:
    """A due event of this subject, if one arrived while another was being worked on."""
    statement = select(col(InboxRow.id)).where(and_(col(InboxRow.subject) == subject, _due())).limit(1)
    return session.execute(statement).scalar_one_or_none()


def requeue(session: Session, event_id: int, *, states: Sequence[State]) -> bool:
    """Make an event due again at once, with a fresh series of attempts, if it is in one of `states`."""
    changed = session.execute(
        update(InboxRow)
        .where(and_(col(InboxRow.id) == event_id, col(InboxRow.state).in_(states)))
        .values(state=State.RECEIVED, attempts=0, crashes=0, careful=True, due_at=None, updated_at=moment())
        .returning(col(InboxRow.id))
    ).one_or_none()
    return changed is not None


def ignore(session: Session, event_id: int, reason: str) -> bool:
    """Close an event that a person decided not to carry over."""
    changed = session.execute(
        update(InboxRow)
        .where(and_(col(InboxRow.id) == event_id, col(InboxRow.state).in_((*PENDING, State.PARKED))))
        .values(state=State.SKIPPED, reason=reason, due_at=None, updated_at=moment())
        .returning(col(InboxRow.id))
    ).one_or_none()
    return changed is not None


def park_lost(session: Session, *, code: str, fix: str) -> int:
    """Park what is due for connections that are no longer authorised, unattempted; answers how many.

    `requeue_parked` with the same code lets it go on. What a person asked for is left to answer for itself.
    """
    lost = select(col(TokenRow.connection)).where(col(TokenRow.lost).is_not(None))
    asked = and_(col(InboxRow.priority) == URGENT, turns.is_asked())
    why = select(col(TokenRow.lost)).where(col(TokenRow.connection) == col(InboxRow.connection))
    reason = why.correlate(InboxRow).scalar_subquery()
    parked = session.execute(
        update(InboxRow)
        .where(and_(col(InboxRow.connection).in_(lost), col(InboxRow.state).in_(PENDING), ~asked))
        .values(state=State.PARKED, code=code, reason=reason, fix=fix, due_at=None, updated_at=moment())
        .returning(col(InboxRow.id))
    ).all()
    return len(parked)


def mend_times(session: Session) -> int:
    """Make due what was received in a future that a clock set back has made of the past; answers how many."""
    ahead = and_(col(InboxRow.state) == State.RECEIVED, col(InboxRow.turn_at) > moment(60))
    mended = update(InboxRow).where(ahead).values(due_at=moment()).returning(col(InboxRow.id))
    return len(session.execute(mended).all())


def requeue_parked(session: Session, *, connection: str, code: str) -> int:
    """Make every event of a connection that was parked for this cause due again; answers how many."""
    parked = and_(
        col(InboxRow.connection) == connection, col(InboxRow.state) == State.PARKED, col(InboxRow.code) == code
    )
    changed = session.execute(
        update(InboxRow)
        .where(parked)
        .values(state=State.RECEIVED, attempts=0, careful=True, due_at=None, updated_at=moment())
        .returning(col(InboxRow.id))
    ).all()
    return len(changed)


def requeue_caused(session: Session, connection: str, *, code: str, record: str) -> list[int]:
    """Make due again what waits or is parked because of this cause, which is gone now; answers the ids."""
    caused = and_(
        col(InboxRow.connection) == connection,
        col(InboxRow.state).in_((State.PARKED, State.WAITING)),
        col(InboxRow.code) == code,
        col(InboxRow.record) == record,
    )
    changed = session.execute(
        update(InboxRow)
        .where(caused)
        .values(state=State.RECEIVED, attempts=0, careful=True, due_at=None, updated_at=moment())
        .returning(col(InboxRow.id))
    ).all()
    return [int(row[0]) for row in changed]


def heard_since(session: Session, event: Event, when: datetime) -> bool:
    """Whether anything else about the event's subject has come in since a moment."""
    other = and_(
        col(InboxRow.subject) == event.subject, col(InboxRow.id) != event.id, col(InboxRow.received_at) >= when
    )
    return session.execute(select(col(InboxRow.id)).where(other).limit(1)).scalar_one_or_none() is not None


def tally(session: Session, prefix: str) -> dict[str, int]:
    """How many events whose key begins with this stand where."""
    begins = col(InboxRow.key).startswith(prefix, autoescape=True)
    rows = session.execute(select(col(InboxRow.state), func.count()).where(begins).group_by(col(InboxRow.state))).all()
    return {str(state): int(count) for state, count in rows}

"""Data-protection requests: everything we keep about one e-mail address, handed out or erased.

A person is found by the address, and through the customer links of that address: other addresses of the same customer,
the relation at the till, the customer in the books.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, false, func, or_, select, update
from sqlmodel import Session, col

from gateway.store import addresses
from gateway.store.clock import moment
from gateway.store.links import Kind
from gateway.store.tables import AlertRow, AuditRow, InboxRow, JournalRow, LinkRow
from mapping.customers import email_keys

GONE = "(erased)"
_TEXTS = ("hint", "result", "reason", "record", "fix", "subject")
_OF_PEOPLE = (Kind.CUSTOMER, Kind.RELATION)
_EMAIL, _RELATION = "email:", "relation:"


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of each table were cleaned."""

    events: int
    journal: int
    links: int
    alerts: int = 0
    audit: int = 0


@dataclass(frozen=True, slots=True)
class _Person:
    """By what a person is known: addresses, and (connection, id) of customers and relations."""

    emails: frozenset[str]
    customers: frozenset[tuple[str, str]]
    relations: frozenset[tuple[str, str]]


def export(session: Session, email: str) -> dict[str, list[dict[str, Any]]]:
    """Every event, log line, link, alert and deed that holds the person, as plain data."""
    person = _find(session, email)
    found: dict[str, tuple[Any, ColumnElement[bool]]] = {
        "events": (InboxRow, _event_of(person)),
        "journal": (JournalRow, _line_of(person)),
        "links": (LinkRow, _link_of(person)),
        "alerts": (AlertRow, _alert_of(session, person)),
        "audit": (AuditRow, _mentions(person, AuditRow.target, AuditRow.reason)),
    }
    return {
        name: [_to_data(row) for row in session.execute(select(table).where(wanted).order_by(col(table.id))).scalars()]
        for name, (table, wanted) in found.items()
    }


def erase(session: Session, email: str) -> Erased:
    """Take the person out of our records, in the caller's transaction.

    What was booked stays booked: the numbers of documents and their links hold no personal data.
    """
    person = _find(session, email)
    lines = _erase_lines(session, person)
    alerts = _erase_alerts(session, person)
    deeds = _erase_deeds(session, person)
    events = _erase_events(session, person)
    addresses.forget(session, {key for email in person.emails for key in email_keys(email)}, person.customers)
    links = session.execute(delete(LinkRow).where(_link_of(person)).returning(col(LinkRow.id))).all()
    return Erased(events=events, journal=lines, links=len(links), alerts=alerts, audit=deeds)


def _find(session: Session, email: str) -> _Person:
    customers = _targets(session, col(LinkRow.source_id) == f"{_EMAIL}{email.lower()}")
    keys = session.execute(
        select(col(LinkRow.connection), col(LinkRow.source_id)).where(_link_to(customers))
    ).all()  # fmt: skip
    emails = {key.removeprefix(_EMAIL) for _, key in keys if key.startswith(_EMAIL)}
    relations = {(name, key.removeprefix(_RELATION)) for name, key in keys if key.startswith(_RELATION)}
    return _Person(frozenset({email.lower(), *emails}), customers, frozenset(relations))


def _targets(session: Session, wanted: ColumnElement[bool]) -> frozenset[tuple[str, str]]:
    about = select(col(LinkRow.connection), col(LinkRow.target_id)).where(col(LinkRow.kind) == Kind.CUSTOMER, wanted)
    return frozenset((str(name), str(target)) for name, target in session.execute(about).all() if target)


def _link_to(customers: Iterable[tuple[str, str]]) -> ColumnElement[bool]:
    each = (and_(col(LinkRow.connection) == name, col(LinkRow.target_id) == target) for name, target in customers)
    # The default debtor, linked by its name, is nobody.
    keyed = or_(col(LinkRow.source_id).startswith(_EMAIL), col(LinkRow.source_id).startswith(_RELATION))
    return and_(col(LinkRow.kind).in_(_OF_PEOPLE), keyed, or_(false(), *each))


def _erase_lines(session: Session, person: _Person) -> int:
    rows = session.execute(select(JournalRow).where(_line_of(person))).scalars().all()
    for row in rows:
        # The log of the person's events holds names and addresses too, so its details go as a whole.
        values = {"detail": None, "title": _without(row.title, person)}
        session.execute(update(JournalRow).where(col(JournalRow.id) == row.id).values(**values))
    return len(rows)


def _erase_events(session: Session, person: _Person) -> int:
    rows = session.execute(select(InboxRow).where(_event_of(person))).scalars().all()
    for row in rows:
        cleaned = {name: _without(getattr(row, name), person) for name in _TEXTS}
        # A reason may quote what the other system said of the person.
        gone = {"email": None, "hint": None, "result": None, "reason": GONE if row.reason else None}
        values = cleaned | gone | {"updated_at": moment()}
        session.execute(update(InboxRow).where(col(InboxRow.id) == row.id).values(**values))
    return len(rows)


def _erase_alerts(session: Session, person: _Person) -> int:
    wanted = _alert_of(session, person)
    rows = session.execute(select(AlertRow).where(wanted)).scalars().all()
    for row in rows:
        values = {"detail": GONE, "title": _without(row.title, person), "fix": _without(row.fix, person)}
        session.execute(update(AlertRow).where(col(AlertRow.id) == row.id).values(**values))
    return len(rows)


def _erase_deeds(session: Session, person: _Person) -> int:
    rows = session.execute(select(AuditRow).where(_mentions(person, AuditRow.target, AuditRow.reason))).scalars().all()
    for row in rows:
        values = {"target": _without(row.target, person), "reason": _without(row.reason, person)}
        session.execute(update(AuditRow).where(col(AuditRow.id) == row.id).values(**values))
    return len(rows)


def _without(text: str | None, person: _Person) -> str | None:
    for email in person.emails if text else ():
        text = re.sub(re.escape(email), GONE, text or "", flags=re.IGNORECASE)
    return text


def _event_of(person: _Person) -> ColumnElement[bool]:
    return or_(
        func.lower(col(InboxRow.email)).in_(sorted(person.emails)),
        _mentions(person, *(getattr(InboxRow, name) for name in _TEXTS)),
        _about("Relation", person.relations),
        _about("Customer", person.customers),
    )


def _about(entity: str, ids: Iterable[tuple[str, str]]) -> ColumnElement[bool]:
    each = (and_(col(InboxRow.connection) == name, col(InboxRow.entity_id) == id_) for name, id_ in ids)
    return and_(col(InboxRow.entity) == entity, or_(false(), *each))


def _line_of(person: _Person) -> ColumnElement[bool]:
    events = select(col(InboxRow.id)).where(_event_of(person))
    return or_(col(JournalRow.event_id).in_(events), _mentions(person, JournalRow.detail, JournalRow.title))


def _link_of(person: _Person) -> ColumnElement[bool]:
    mentions = _mentions(person, LinkRow.source_id, LinkRow.detail)
    return or_(and_(col(LinkRow.kind).in_(_OF_PEOPLE), mentions), _link_to(person.customers))


def _alert_of(session: Session, person: _Person) -> ColumnElement[bool]:
    """Alerts quote the reason of an event."""
    said = select(col(InboxRow.reason)).where(_event_of(person), col(InboxRow.reason).is_not(None))
    reasons = [str(reason) for reason in session.execute(said).scalars() if reason != GONE]
    quotes = col(AlertRow.detail).in_(reasons)
    return or_(quotes, _mentions(person, AlertRow.title, AlertRow.detail, AlertRow.fix))


def _mentions(person: _Person, *columns: Any) -> ColumnElement[bool]:
    return or_(*(col(column).icontains(email, autoescape=True) for column in columns for email in person.emails))


def _to_data(row: InboxRow | JournalRow | LinkRow | AlertRow | AuditRow) -> dict[str, Any]:
    data = json.loads(row.model_dump_json(exclude={"lease", "leased_until", "sending_until"}))
    return {name: value for name, value in data.items() if value is not None}


def kept() -> Sequence[str]:
    """What an erasure leaves, and why."""
    return (
        "document numbers and their links: fiscal records, without personal data",
        "documents in QuickBooks and MplusKASSA: erase the person there, by the rules for fiscal records",
    )

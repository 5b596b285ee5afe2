"""Data-protection requests: all stored data about one person, exported or erased, and what is left afterwards.

A person is named by an e-mail address, or as `relation:12` or `customer:5`. Customer links lead to its other addresses
and numbers, and the log to its names, streets, telephone numbers and sales. Transactions are small: windows of ids.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, and_, delete, false, or_, select, tuple_, update
from sqlmodel import Session, col

from gateway.database.session import reading, windows, writing
from gateway.database.sql import chunks, given, holds_one, moment
from gateway.privacy import personal
from gateway.privacy.personal import EMAIL, GONE, OF_PEOPLE, RELATION, TEXTS, Person
from gateway.store import connections
from gateway.store.events import ENDED
from gateway.store.links import LinkKind
from gateway.store.records import RecordKind
from gateway.store.requests import AGREEMENT, BACKFILLING, DOCTOR, GO_LIVE, POLL
from gateway.store.sales import SaleContentRow
from gateway.store.tables import AlertRow, AuditRow, InboxRow, JournalRow, LinkRow, RecordRow, SaleRow, SaleTagRow
from mapping import side_by_side
from mapping.customers import email_spellings
from mapping.messages import message

WINDOW, BATCH, PAUSE_SECONDS = 2_000, 25, 0.02
"""Ids read at once, rows changed by one write, and a pause after it: SQLite has no queue of writers."""
_ASKED = (*(getattr(InboxRow, name) for name in TEXTS), InboxRow.email)
_SAID = (JournalRow.detail, JournalRow.title)
_CUSTOMER = "customer:"
_OF_MANY = frozenset({AGREEMENT, BACKFILLING, DOCTOR, GO_LIVE, POLL, "Day"})
"""Events that are about many records: of these only what mentions the person goes."""
_WISHES = ("resend", "dry_run", "actor", "by", "side", "since", "from", "through", "settings")
KEPT = (
    "document numbers and their links: fiscal records, without personal data",
    "documents in QuickBooks and MplusKASSA: erase the person there, by the rules for fiscal records",
)
"""What an erasure leaves, and why."""
_NAMED = col(SaleRow.customer).is_not(None)
_IS_CUSTOMER = col(RecordRow.kind) == RecordKind.CUSTOMER


class Unclear(ValueError):
    """The name fits no person, or more than one."""


@dataclass
class _Found:
    """A person, its own events, and its sales as (connection, till id); `told`: also those that name it."""

    person: Person
    own: set[int] = field(default_factory=set)
    sales: set[tuple[str, str]] = field(default_factory=set)
    told: set[tuple[str, str]] = field(default_factory=set)


def parse(who: str) -> str:
    """The person's name in the form used for the search. Raises `Unclear`."""
    text = who.strip().lower()
    prefix, _, number = text.partition(":")
    shaped = {RELATION: number.isdigit(), _CUSTOMER: number.isalnum()}.get(f"{prefix}:", False)
    is_number = shaped and number.isascii()
    if not is_number and not personal.is_address(text):
        raise Unclear("name an e-mail address, relation:NUMBER (of the till) or customer:ID (of QuickBooks)")
    return text


def export(engine: Engine, who: str, *, connection: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Every row that holds the person, as plain data, by what it is of; takes no write lock."""
    found = _find(engine, who, connection)
    holding = {part.name: [_to_data(row, found) for row in part.rows] for part in _list_parts(engine, found)}
    return {**holding, "documents": _documents(engine, found)}


def erase(
    engine: Engine, who: str, *, connection: str | None = None, note: Callable[[Session], None] = lambda _: None
) -> dict[str, Any]:
    """Remove the person from our records, in small steps. If it is interrupted, run it again.

    `note` writes in the audit who asked for it, with the first step: what is gone cannot be looked up for a second try.
    Returns how many rows of each kind were `erased`, the `documents` (fiscal records) that stay, what is `left` that
    still mentions the person, and why, and what any erasure has `kept`.

    Bookings stay: the numbers of documents and their links hold no personal data. The links to the
    person are deleted last, as they lead to all other rows.
    """
    found = _find(engine, who, connection)
    person, documents = found.person, _documents(engine, found)
    with writing(engine) as session:
        note(session)
        personal.forget_addresses(session, person.emails, person.customers)
    erased = {part.name: _erase(engine, part) for part in _list_parts(engine, found)}
    left = personal.find_mentions(engine, person.texts())
    return {"erased": erased, "documents": documents, "left": left, "kept": list(KEPT)}


class _Part(NamedTuple):
    """Rows of a table that hold the person, and what an erasure makes of each; None: it is deleted."""

    name: str
    table: Any
    rows: Iterable[Any]
    to_values: Callable[[Any], Mapping[str, Any]] | None = None


def _list_parts(engine: Engine, found: _Found) -> list[_Part]:
    """In the order in which they are erased; rows are read when they are asked for."""
    person, clean, own = found.person, found.person.erase_from, found.own
    # Alerts quote the reason of an event.
    reasons = {row.reason for row in _rows(engine, InboxRow, own) if row.reason and row.reason != GONE}
    quoted, said = _mentioned(person, "title", "detail", "fix"), _mentioned(person, *TEXTS, "email")
    alerts = _scan(engine, AlertRow, lambda row: row.detail in reasons or quoted(row))
    actions = _scan(engine, AuditRow, _mentioned(person, "target", "reason"))
    of_others = holds_one(_ASKED, person.texts())
    others = _scan(engine, InboxRow, lambda row: row.id not in own and said(row), of_others)
    seen = _scan(engine, RecordRow, person.has_record, _IS_CUSTOMER)
    sales = _scan(engine, SaleRow, _is_sale_of(found), _NAMED)
    tags = _scan(engine, SaleTagRow, _mentioned(person, "name"), holds_one([SaleTagRow.name], person.texts()))
    return [
        _Part("alerts", AlertRow, alerts, lambda row: {
            "detail": GONE, "messages": None, "title": clean(row.title), "fix": clean(row.fix)}),
        _Part("audit", AuditRow, actions, lambda row: {
            "target": clean(row.target), "reason": clean(row.reason), "messages": None}),
        _Part("journal", JournalRow, _lines(engine, found), lambda row: {
            "detail": None, "messages": None, "title": clean(row.title)}),
        _Part("events", InboxRow, chain(_rows(engine, InboxRow, own), others), lambda row: _without(row, found)),
        _Part("sale_contents", SaleContentRow, _contents(engine, found)),
        _Part("sale_tags", SaleTagRow, tags, lambda row: {"name": clean(row.name)}),
        _Part("sales", SaleRow, sales, lambda _: {"customer": None}),
        _Part("records", RecordRow, seen),
        _Part("links", LinkRow, _scan(engine, LinkRow, person.has_link)),
    ]  # fmt: skip


# --- who it is -----------------------------------------------------------------------------------------------------


def _find(engine: Engine, who: str, called: str | None) -> _Found:
    with reading(engine) as session:
        names = connections.display_names(session)
        if called and called not in {*names, *names.values()}:
            raise Unclear(f"there is no connection {called}")
        person = _identify(session, parse(who), connections.keys_of(session, called)[0] if called else None)
    found = _Found(person)
    coarse = list(personal.list_prefilters(person))
    is_about = (
        and_(col(InboxRow.entity) == entity, col(InboxRow.entity_id).in_([number for _, number in numbers]))
        for entity, numbers in person.records.items()
    )
    said, known = holds_one(_SAID, coarse), or_(holds_one(_ASKED, coarse), *is_about)
    by_line: set[int] = set()
    for row in _scan(engine, JournalRow, lambda row: person.is_referred_to(row.connection, row.detail), said):
        person.learn(row.connection, row.detail)
        by_line |= {row.event_id} if row.event_id else set()
    by_itself = _scan(engine, InboxRow, person.has_event, known)
    for row in (*by_itself, *_rows(engine, InboxRow, by_line)):
        if row.entity not in _OF_MANY and row.id is not None:
            found.own.add(row.id)
            found.sales |= {(row.connection or "", row.entity_id)}
        for text in (row.hint, row.result):
            person.learn(row.connection, text)
    return found


def _identify(session: Session, who: str, connection: str | None) -> Person:
    """The person with every address and number of its customer links."""
    person = Person()
    if personal.is_address(who):
        person.emails.update(email_spellings(who))
        keyed = col(LinkRow.source_id).in_([f"{EMAIL}{each}" for each in person.emails])
        person.customers |= _targets(session, keyed, connection)
    else:
        names = [name for name in connections.names(session) if connection in {None, name}]
        if len(names) != 1:
            raise Unclear("numbers are of one connection: name it" if names else "nothing is connected yet")
        (name,), number = names, who.partition(":")[2]
        if who.startswith(RELATION):
            person.relations.add((name, number))
            person.customers |= _targets(session, col(LinkRow.source_id) == who, name)
        else:
            person.customers.add((name, number))
    _refuse_debtor(session, person)
    keys = session.execute(select(col(LinkRow.connection), col(LinkRow.source_id)).where(_link_to(person))).all()
    for name, key in keys:
        if key.startswith(EMAIL):
            person.emails.update(email_spellings(key.removeprefix(EMAIL)))
        else:
            person.relations.add((str(name), key.removeprefix(RELATION)))
    return person


def _refuse_debtor(session: Session, person: Person) -> None:
    """The default debtor, linked by its name, is no person: it stands for all walk-in customers."""
    for name, customer in person.customers:
        mine = given((LinkRow.connection, name), (LinkRow.kind, LinkKind.CUSTOMER), (LinkRow.target_id, customer))
        named = col(LinkRow.source_id).startswith("name:")
        if session.execute(select(col(LinkRow.id)).where(*mine, named).limit(1)).first():
            said = "customer {customer} is the default debtor of {name}, and no person"
            raise Unclear(message(said, customer=customer, name=connections.display_names(session).get(name, name)))


def _targets(session: Session, keyed: ColumnElement[bool], connection: str | None) -> set[tuple[str, str]]:
    mine = given((LinkRow.connection, connection or None), (LinkRow.kind, LinkKind.CUSTOMER))
    about = select(col(LinkRow.connection), col(LinkRow.target_id)).where(keyed, *mine)
    return {(name, target) for name, target in session.execute(about) if target}


def _link_to(person: Person) -> ColumnElement[bool]:
    of = (and_(col(LinkRow.connection) == name, col(LinkRow.target_id) == number) for name, number in person.customers)
    at = (and_(col(LinkRow.connection) == name, col(LinkRow.source_id) == f"{RELATION}{number}")
          for name, number in person.relations)  # fmt: skip
    by = [col(LinkRow.source_id).in_([f"{EMAIL}{each}" for each in sorted(person.emails)])]
    keyed = or_(col(LinkRow.source_id).startswith(EMAIL), col(LinkRow.source_id).startswith(RELATION))
    return and_(col(LinkRow.kind).in_(OF_PEOPLE), keyed, or_(false(), *of, *at, *by))


# --- what is about it ----------------------------------------------------------------------------------------------


def _lines(engine: Engine, found: _Found) -> Iterator[JournalRow]:
    """The log of the person's own events, and the lines of others that mention it."""
    yield from _rows(engine, JournalRow, found.own, by=JournalRow.event_id)
    person, mentioned = found.person, _mentioned(found.person, "detail", "title")

    def is_mine(row: JournalRow) -> bool:
        about = mentioned(row) or person.is_referred_to(row.connection, row.detail)
        return row.event_id not in found.own and about

    yield from _scan(engine, JournalRow, is_mine, holds_one(_SAID, personal.list_prefilters(person)))


def _is_sale_of(found: _Found) -> Callable[[SaleRow], bool]:
    mentioned = _mentioned(found.person, "customer")
    return lambda row: (row.connection, row.sale_id) in found.sales or mentioned(row)


def _contents(engine: Engine, found: _Found) -> Iterator[SaleContentRow]:
    """Both sides of the person's sales, and those of others whose lines mention the person."""
    named = _scan(engine, SaleRow, _is_sale_of(found), _NAMED)
    found.told = {*found.sales, *((row.connection, row.sale_id) for row in named)}
    for some in chunks(sorted(found.told), BATCH):
        with reading(engine) as session:
            mine = tuple_(col(SaleContentRow.connection), col(SaleContentRow.sale_id)).in_(some)
            yield from session.execute(select(SaleContentRow).where(mine)).scalars().all()
    mentioned = holds_one([SaleContentRow.content], found.person.texts())
    yield from _scan(engine, SaleContentRow, lambda row: (row.connection, row.sale_id) not in found.told, mentioned)


def _mentioned(person: Person, *names: str) -> Callable[[Any], bool]:
    texts = [each.lower() for each in person.texts()]

    def is_mentioned(row: Any) -> bool:
        said = "\0".join(getattr(row, name) or "" for name in names).lower()
        return any(each in said for each in texts)

    return is_mentioned


def _documents(engine: Engine, found: _Found) -> list[dict[str, Any]]:
    """The fiscal records of the person's sales: which sale is which document of the books."""
    named: list[dict[str, Any]] = []
    for some in chunks(sorted(found.sales), BATCH):
        mine = or_(*(and_(col(LinkRow.connection) == name, col(LinkRow.source_id) == id_) for name, id_ in some))
        with reading(engine) as session:
            rows = session.execute(select(LinkRow).where(col(LinkRow.kind) == LinkKind.DOCUMENT, mine)).scalars().all()
        named += [{"connection": row.connection, "source_id": row.source_id,
                   "target": {"entity": row.target_entity, "id": row.target_id}} for row in rows]  # fmt: skip
    return named


def _scan(
    engine: Engine, table: Any, wanted: Callable[[Any], bool], coarse: ColumnElement[bool] | None = None
) -> Iterator[Any]:
    """The matching rows, oldest first. `coarse` is the filter that SQL can apply."""
    for window in windows(engine, table.__table__, WINDOW):
        query = select(table).where(*window).order_by(col(table.id))
        if coarse is not None:
            query = query.where(coarse)
        with reading(engine) as session:
            rows = session.execute(query).scalars().all()
        yield from (row for row in rows if wanted(row))


def _rows(engine: Engine, table: Any, ids: Iterable[int], *, by: Any = None) -> Iterator[Any]:
    key = col(table.id if by is None else by)
    for some in chunks(sorted(ids), BATCH):
        with reading(engine) as session:
            yield from session.execute(select(table).where(key.in_(some)).order_by(col(table.id))).scalars().all()


def _erase(engine: Engine, part: _Part) -> int:
    """Delete these rows, or give them new values, read again in the transaction that writes them; how many."""
    ids = [row.id for row in part.rows]
    for some in chunks(ids, BATCH):
        mine = col(part.table.id).in_(some)
        with writing(engine) as session:
            if part.to_values is None:
                session.execute(delete(part.table).where(mine))
                continue
            for row in session.execute(select(part.table).where(mine)).scalars().all():
                session.execute(update(part.table).where(col(part.table.id) == row.id).values(**part.to_values(row)))
        time.sleep(PAUSE_SECONDS)
    return len(ids)


def _without(row: InboxRow, found: _Found) -> dict[str, Any]:
    cleaned: dict[str, Any] = {name: found.person.erase_from(getattr(row, name)) for name in TEXTS}
    if row.id in found.own:
        data = None if row.state in ENDED else personal.parse_json(cleaned["hint"])
        # Only the request of an open event's hint stays: a dry run must stay one.
        asked = {name: data[name] for name in _WISHES if name in data} if isinstance(data, Mapping) else None
        hint = None if asked is None else json.dumps(asked)
        cleaned |= {"email": None, "reason": GONE if row.reason else None, "result": None, "hint": hint}
    return cleaned | {"messages": None, "updated_at": moment()}


def _to_data(row: Any, found: _Found) -> dict[str, Any]:
    """The row as plain data; a line of another one's event, or sale, with only the part of it about the person."""
    data = json.loads(row.model_dump_json(exclude={"lease", "leased_until", "sending_until"}))
    if isinstance(row, JournalRow) and row.event_id not in found.own and row.detail is not None:
        data["detail"] = json.dumps(found.person.records_in(row.connection, row.detail), ensure_ascii=False)
    if isinstance(row, SaleContentRow) and (row.connection, row.sale_id) not in found.told:
        said = (line.name for line in side_by_side.load(row.content).lines)
        data["content"] = json.dumps([name for name in said if found.person.is_mentioned(name)], ensure_ascii=False)
    return {name: value for name, value in data.items() if value is not None}

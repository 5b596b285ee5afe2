"""What was last seen of products and customers on both sides: written with the outcome of the event that saw it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, insert, select, update
from sqlmodel import Session, col

from gateway.database.sql import moment
from gateway.store.events import DRY, ENDED, Event, Flow, Outcome, State
from gateway.store.tables import RecordRow


class RecordKind(StrEnum):
    PRODUCT = "product"
    CUSTOMER = "customer"


class RecordStatus(StrEnum):
    """What became of a record. `unlinked`: one side does not have it; `gone`: it was deleted in the books."""

    LINKED = "linked"
    WAITING = "waiting"
    NEEDS_ATTENTION = "needs_attention"
    UNLINKED = "unlinked"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What an event saw of a record; None: nothing was seen of that.

    `fields` have the keys field, value, present, source and kept; `stock` the keys of a preview of stock. `altered`: it
    was changed by hand at the till; `written`: the gateway wrote it.
    """

    kind: RecordKind
    source_id: str
    code: str | None = None
    books_id: str | None = None
    books_name: str | None = None
    till_number: str | None = None
    till_name: str | None = None
    active: bool | None = None
    fields: Sequence[Mapping[str, Any]] | None = None
    stock: Sequence[Mapping[str, Any]] | None = None
    changed_at: datetime | None = None
    written: bool = False
    gone: bool = False

    def with_earlier(self, other: RecordFacts | None) -> RecordFacts:
        """These facts, and what only earlier ones of the same event have."""
        if other is None:
            return self
        missing = {each.name: getattr(other, each.name) for each in fields(self) if getattr(self, each.name) is None}
        return replace(self, **missing, written=self.written or other.written, gone=self.gone or other.gone)


class _Ending(NamedTuple):
    """How an event about a record ended."""

    state: State
    event_id: int


_Part: TypeAlias = tuple[str, RecordFacts, _Ending | None]
"""The connection of a record, what was seen of it, and how an event about it ended."""
_RECORDS: Final = RecordRow.__table__  # type: ignore[attr-defined]
_UNKNOWN: Final = RecordRow(connection="", kind="", source_id="", status="")
_MOMENTS: Final = frozenset({"looked_at", "written_at", "updated_at"})
_KNOWN: Final = select(_RECORDS).where(
    _RECORDS.c.connection == bindparam("of"),
    _RECORDS.c.kind == bindparam("like"),
    _RECORDS.c.source_id.in_(bindparam("ids", expanding=True)),
)


def find_own(event: Event) -> tuple[RecordKind, str] | None:
    match event.flow, event.entity:
        case Flow.PRODUCTS, "Item":
            return RecordKind.PRODUCT, event.entity_id
        case Flow.CUSTOMERS, "Relation":
            return RecordKind.CUSTOMER, f"relation:{event.entity_id}"
        case Flow.CUSTOMERS, "Customer":
            return RecordKind.CUSTOMER, f"customer:{event.entity_id}"
    return None


def record_all(session: Session, found: Iterable[tuple[Event, Outcome, Sequence[RecordFacts]]]) -> None:
    """Store what events saw of records, and how the records they are about ended. A dry run stores nothing."""
    parts: list[_Part] = []
    for event, outcome, seen in found:
        if event.subject.endswith(DRY):
            continue
        own, name, ending = find_own(event), event.connection or "", _Ending(outcome.state, event.id)
        known = {(facts.kind, facts.source_id): facts for facts in seen}
        parts += [(name, facts, ending if _is_own(own, facts) else None) for facts in known.values()]
        if own and not any(_is_own(own, facts) for facts in seen):
            # Of an event that is tried again a customer of the books stands here with its relation.
            noted = select(_RECORDS.c.source_id).where(_RECORDS.c.event_id == event.id).limit(1)
            known_as = session.execute(noted).scalar_one_or_none() if event.maybe_written else None
            parts.append((name, RecordFacts(own[0], known_as or own[1]), ending))
    _record(session, parts)


def record_seen(session: Session, connection: str, seen: Iterable[RecordFacts]) -> None:
    """Store what was seen of records by an event that is about many."""
    _record(session, [(connection, facts, None) for facts in seen])


def _is_own(own: tuple[RecordKind, str] | None, facts: RecordFacts) -> bool:
    """Whether the event is about this record; a customer of the books stands with its relation where it has one."""
    of_books = (RecordKind.CUSTOMER, f"customer:{facts.books_id}")
    return own in {(facts.kind, facts.source_id), of_books if facts.kind is RecordKind.CUSTOMER else None}


def _record(session: Session, parts: Iterable[_Part]) -> None:
    """Each record is read and written once; a second part about a record waits until the first one is written."""
    # In one order everywhere, so that two processes never wait for each other.
    left = sorted(parts, key=_key)
    while left:
        now = {_key(part): part for part in reversed(left)}
        left = [part for part in left if now[_key(part)] is not part]
        _write(session, [now[key] for key in sorted(now)])


def _key(part: _Part) -> tuple[str, str, str]:
    connection, facts, _ = part
    return connection, facts.kind, facts.source_id


def _write(session: Session, parts: Sequence[_Part]) -> None:
    """Parts about different records: with one statement for all that set the same columns."""
    known = _find_known(session, parts)
    inserts: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    updates: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for part in parts:
        connection, facts, ended = part
        row = known.get(_key(part))
        if row is None and not (facts.books_id or facts.till_number):
            continue  # nothing is known of it but its id
        values = _to_values(facts, row or _UNKNOWN, ended, is_new=row is None)
        if row is None:
            values |= {"connection": connection, "kind": facts.kind, "source_id": facts.source_id}
            inserts.setdefault(tuple(sorted(values)), []).append(values)
        else:
            updates.setdefault(tuple(sorted(values)), []).append({**values, "of": row.id})
    for columns, rows in inserts.items():
        session.execute(insert(_RECORDS).values(_to_set(columns)), rows)
    for columns, rows in updates.items():
        session.execute(update(_RECORDS).where(_RECORDS.c.id == bindparam("of")).values(_to_set(columns)), rows)
    # A customer that was known without a relation has one now.
    for connection, facts, _ in (part for part in parts if _key(part) not in known):
        if facts.kind is RecordKind.CUSTOMER and facts.books_id and facts.source_id.startswith("relation:"):
            alone = col(RecordRow.source_id) == f"customer:{facts.books_id}"
            session.execute(delete(RecordRow).where(_of(connection, facts.kind), alone))


def _find_known(session: Session, parts: Sequence[_Part]) -> dict[tuple[str, str, str], Any]:
    wanted: dict[tuple[str, str], list[str]] = {}
    for connection, facts, _ in parts:
        wanted.setdefault((connection, facts.kind), []).append(facts.source_id)
    return {
        (row.connection, row.kind, row.source_id): row
        for (connection, kind), ids in wanted.items()
        for row in session.execute(_KNOWN, {"of": connection, "like": kind, "ids": ids})
    }


def _to_set(columns: Iterable[str]) -> dict[str, Any]:
    """What a statement sets: a moment is the database's."""
    return {name: moment() if name in _MOMENTS else bindparam(name) for name in columns}


def _to_values(facts: RecordFacts, known: Any, ended: _Ending | None, *, is_new: bool) -> dict[str, Any]:
    """The values of columns; those of `_MOMENTS` are set by the statement."""

    def to_text(value: object) -> str:
        return f"{value.normalize():f}" if hasattr(value, "normalize") else str(value)

    plain = ("code", "books_id", "books_name", "till_number", "till_name", "active", "changed_at")
    values = {name: value for name in plain if (value := getattr(facts, name)) is not None}
    books_id, till_number, *names = (
        values.get(each) or getattr(known, each) for each in ("books_id", "till_number", "books_name", "till_name")
    )
    # A list is sorted by it, and no erasure has to look for it twice.
    values["name"] = next(filter(None, names), "") if facts.kind is RecordKind.PRODUCT else facts.source_id
    differs, is_linked = known.differs, bool(books_id and till_number)
    if facts.fields is not None or facts.stock is not None:
        lists = {each: getattr(facts, each) for each in ("fields", "stock")}
        values |= {each: json.dumps(found, default=to_text) for each, found in lists.items() if found is not None}
        present = (
            json.loads(getattr(known, each) or "[]") if found is None else found for each, found in lists.items()
        )
        differs = is_differing(*present)
        values["looked_at"] = None
    values["differs"] = bool(differs) and is_linked
    values |= {"event_id": ended.event_id} if ended else {}
    values |= {"written_at": None} if facts.written else {}
    if ended or is_new:
        values["status"] = find_status(ended.state if ended else State.DONE, is_linked=is_linked, is_gone=facts.gone)
    return values | {"updated_at": None}


def is_differing(fields_: Sequence[Mapping[str, Any]], stock: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a field or quantity differs; a field that the settings or the staff keep may."""
    of_fields = any(
        not each.get("kept") and str(each.get("value") or "") != str(each.get("present") or "") for each in fields_
    )
    return of_fields or any(str(each.get("value")) != str(each.get("present")) for each in stock)


def find_status(state: State, *, is_linked: bool, is_gone: bool) -> RecordStatus:
    if state is State.PARKED:
        return RecordStatus.NEEDS_ATTENTION
    if state not in ENDED:
        return RecordStatus.WAITING
    return RecordStatus.GONE if is_gone else RecordStatus.LINKED if is_linked else RecordStatus.UNLINKED


def close(session: Session, event_ids: Sequence[int]) -> None:
    """A person has closed these events: nothing about their records waits."""
    linked = and_(col(RecordRow.books_id).is_not(None), col(RecordRow.till_number).is_not(None))
    set_status(session, event_ids, case((linked, RecordStatus.LINKED.value), else_=RecordStatus.UNLINKED.value))


def set_status(session: Session, event_ids: Sequence[int], status: RecordStatus | ColumnElement[Any]) -> None:
    """Of the records of these events, which are handled again, or wait for a person."""
    mine = col(RecordRow.event_id).in_(event_ids)
    session.execute(update(RecordRow).where(mine).values(status=status, updated_at=moment()))


def note_altered(session: Session, connection: str, kind: RecordKind, source_ids: Iterable[str]) -> None:
    """These records were changed by hand at the till."""
    mine = and_(_of(connection, kind), col(RecordRow.source_id).in_(list(source_ids)))
    session.execute(update(RecordRow).where(mine).values(differs=True, altered_at=moment(), updated_at=moment()))


def _of(connection: str, kind: RecordKind) -> ColumnElement[bool]:
    return and_(col(RecordRow.connection) == connection, col(RecordRow.kind) == kind)

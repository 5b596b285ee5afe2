"""Writes the rows of sales: with the outcome of each event about one, in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import and_, bindparam, select, update
from sqlmodel import Session, col

from gateway.store import links, upserts
from gateway.store.clock import fixed, moment
from gateway.store.events import SALES, Event, Outcome, State
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.tables import InboxRow, SaleRow
from mapping.records import SaleKind
from mapping.sale_identity import NOT_YET

KINDS: Final = (SALES[SaleKind.RECEIPT], SALES[SaleKind.INVOICE])
"""What the inbox calls the sales that have a row. An order has none: its receipt or invoice has its money."""
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
_DAY_SECONDS = 86_400.0
_VOIDED: Final = frozenset({BookingStatus.WITHDRAWN, BookingStatus.DELETED, BookingStatus.VOIDED})
_ABSENT: Final = _VOIDED | {BookingStatus.LEFT_OUT}
_SALES = SaleRow.__table__  # type: ignore[attr-defined]
_INBOX = InboxRow.__table__  # type: ignore[attr-defined]
_KEY = ("connection", "sale_id")
_KNOWN = (
    select(_SALES.c.event_id, _INBOX.c.state, _INBOX.c.entity)
    .select_from(_SALES.outerjoin(_INBOX, _INBOX.c.id == _SALES.c.event_id))
    .where(_SALES.c.connection == bindparam("of"), _SALES.c.sale_id == bindparam("sale"))
)


class SaleStatus(StrEnum):
    """What became of a sale. `open`: not final at the till yet; `skipped`: the settings leave it out."""

    WAITING = "waiting"
    OPEN = "open"
    BOOKED = "booked"
    VOIDED = "voided"
    NEEDS_ATTENTION = "needs_attention"
    IGNORED = "ignored"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class SaleFacts:
    """A sale as the till has it. `tenders` are names and cents, `vat_rates` rates and cents with tax."""

    number: str
    day: date
    branch: int
    branch_name: str | None
    customer: str | None
    amount_cents: int
    vat_cents: int
    tenders: tuple[tuple[str, int], ...]
    vat_rates: tuple[tuple[str, int], ...] = ()
    turnover_groups: tuple[int, ...] = ()


def find_by_number(session: Session, number: str) -> list[tuple[str, str, str]]:
    """(connection, what the inbox calls its kind, the till's id) of every sale whose document has this number.

    The number may be cut, or given by the books.
    """
    columns = (col(SaleRow.connection), col(SaleRow.kind), col(SaleRow.sale_id))
    found = session.execute(select(*columns).where(col(SaleRow.document_number) == number)).all()
    return [(str(connection), str(kind), str(sale_id)) for connection, kind, sale_id in found]


def record(session: Session, event: Event, outcome: Outcome, seen: Mapping[str, SaleFacts | None]) -> None:
    """Store what an event found about sales (by the till's id; None: it was not read) and how it ended.

    An event about a document of the books changes only a sale that is known, and only to call for a person, or to
    say that this is over. A sale's own event does not end that call.
    """
    for sale_id, facts in seen.items():
        _record_one(session, event, outcome, sale_id, facts)


def _record_one(session: Session, event: Event, outcome: Outcome, sale_id: str, facts: SaleFacts | None) -> None:
    connection, is_own = event.connection or "", event.entity in KINDS
    known = session.execute(_KNOWN, {"of": connection, "sale": sale_id}).one_or_none()
    if not is_own and (known is None or (outcome.state is not State.PARKED and known.event_id != event.id)):
        return
    link = links.find(session, connection, LinkKind.DOCUMENT, sale_id)
    values: dict[str, Any] = {**_to_columns(facts), **_to_document(link)}
    if not (is_own and known and _calls_for_a_person(known, event)):
        values |= {"status": find_status(outcome.state, outcome.code, link), "event_id": event.id}
    key = {"connection": connection, "sale_id": sale_id}
    if known is not None:
        mine = and_(*(_SALES.c[name] == bindparam(f"of_{name}") for name in _KEY))
        bound = {**values, **{f"of_{name}": value for name, value in key.items()}}
        session.execute(_changing(tuple(values)).where(mine), bound)
        return
    first = {
        **key,
        "kind": event.entity,
        "number": event.order_id,
        "day": event.received_at.astimezone(AMSTERDAM).date(),
    }
    row = {**first, **values}
    session.execute(_adding(session.get_bind().dialect.name, tuple(row)), row)


def _calls_for_a_person(known: Any, event: Event) -> bool:
    """Whether an event about the sale's document in the books waits for a person."""
    return bool(known.event_id != event.id and known.state == State.PARKED and known.entity not in KINDS)


def find_status(state: State, code: str | None, link: Link | None) -> SaleStatus:
    """The status of a sale whose last event ended like this."""
    match state:
        case State.PARKED:
            return SaleStatus.NEEDS_ATTENTION
        case State.DONE | State.SKIPPED if link and link.status in _VOIDED:
            return SaleStatus.VOIDED
        case State.DONE | State.SKIPPED if link and link.status not in _ABSENT:
            return SaleStatus.BOOKED
        case State.DONE | State.SKIPPED:
            return SaleStatus.OPEN if code == NOT_YET else SaleStatus.SKIPPED
        case _:
            return SaleStatus.WAITING


def _to_columns(facts: SaleFacts | None) -> dict[str, Any]:
    if facts is None:
        return {}
    columns = {
        name: getattr(facts, name) for name in ("number", "day", "branch", "customer", "amount_cents", "vat_cents")
    }
    named = {"branch_name": facts.branch_name} if facts.branch_name else {}
    lists = {name: getattr(facts, name) for name in ("tenders", "vat_rates", "turnover_groups")}
    return {**columns, **named, **{name: json.dumps(value, ensure_ascii=False) for name, value in lists.items()}}


def _to_document(link: Link | None) -> dict[str, Any]:
    if link is None or not link.target_id:
        return {}
    number = (link.detail or {}).get("document_number")
    return {"document_entity": link.target_entity, "document_id": link.target_id, "document_number": number}


@cache
def _adding(dialect: str, names: tuple[str, ...]) -> Any:
    row: dict[str, Any] = {name: bindparam(name) for name in names} | {"updated_at": moment()}
    changing = [name for name in row if name not in (*_KEY, "kind")]
    return upserts.statement(dialect, _SALES, row, lambda new: {name: new[name] for name in changing}, keys=_KEY)


@cache
def _changing(names: tuple[str, ...]) -> Any:
    given: dict[str, Any] = {name: bindparam(name) for name in names}
    return update(_SALES).values(**given, updated_at=moment())


def ignore(session: Session, event_id: int) -> None:
    """A person closed this event: its sale is in the books as it is, or is left out."""
    rows = session.execute(select(SaleRow).where(col(SaleRow.event_id) == event_id)).scalars().all()
    for row in rows:
        link = links.find(session, row.connection, LinkKind.DOCUMENT, row.sale_id)
        is_in_books = link is not None and link.status not in _ABSENT
        _set_status(session, [event_id], SaleStatus.BOOKED if is_in_books else SaleStatus.IGNORED)


def reopen(session: Session, event_ids: Iterable[int]) -> None:
    """These events are handled again."""
    _set_status(session, list(event_ids), SaleStatus.WAITING)


def end(session: Session, event_ids: Iterable[int]) -> None:
    """These events ended because their connection was removed."""
    _set_status(session, list(event_ids), SaleStatus.SKIPPED)


def _set_status(session: Session, event_ids: list[int], status: SaleStatus) -> None:
    mine = col(SaleRow.event_id).in_(event_ids)
    session.execute(update(SaleRow).where(mine).values(status=status, updated_at=moment()))


def forget_customers(session: Session, *, days: int, limit: int) -> int:
    """Empty the customers' names of sales that did not change for so many days; returns the number of rows."""
    old = and_(col(SaleRow.customer).is_not(None), col(SaleRow.updated_at) < fixed(-_DAY_SECONDS * days))
    some = select(col(SaleRow.id)).where(old).limit(limit)
    emptied = update(SaleRow).where(col(SaleRow.id).in_(some)).values(customer=None)
    return len(session.execute(emptied.returning(col(SaleRow.id))).all())

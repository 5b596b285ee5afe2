"""Article numbers given to items whose SKU is no number: one per item, for ever, whoever asks and however often."""

from __future__ import annotations

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import NumberRow


def find(session: Session, connection: str, item_id: str) -> int | None:
    """The number this item was given, or None."""
    mine = and_(col(NumberRow.connection) == connection, col(NumberRow.item_id) == item_id)
    return session.execute(select(col(NumberRow.number)).where(mine)).scalar_one_or_none()


def give(session: Session, connection: str, item_id: str, *, first: int, last: int) -> int | None:
    """The item's number, the next free one of the range when it has none yet; None when the range is used up.

    Two that ask at once are told apart by the table's keys; the one that was late looks again.
    """
    while (known := find(session, connection, item_id)) is None:
        number = _next(session, connection, first, last)
        if number > last:
            return None
        row = {"connection": connection, "number": number, "item_id": item_id, "given_at": moment()}
        try:
            with session.begin_nested():
                session.execute(insert(NumberRow).values(**row))
        except IntegrityError:
            continue
    return known


def _next(session: Session, connection: str, first: int, last: int) -> int:
    inside = and_(col(NumberRow.connection) == connection, col(NumberRow.number).between(first, last))
    highest = session.execute(select(func.max(col(NumberRow.number))).where(inside)).scalar_one_or_none()
    return first if highest is None else int(highest) + 1


def take_back(session: Session, connection: str, item_id: str) -> None:
    """The item's number turned out to be taken at the till: it gets another one, and nobody gets this one again."""
    mine = and_(col(NumberRow.connection) == connection, col(NumberRow.item_id) == item_id)
    session.execute(update(NumberRow).where(mine).values(item_id=None))

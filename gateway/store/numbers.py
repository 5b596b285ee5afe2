"""Article numbers given to items whose SKU is no number: one per item, permanent."""

from __future__ import annotations

from sqlalchemy import and_, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import NumberRow


def find(session: Session, connection: str, item_id: str) -> int | None:
    """The number this item was given, or None."""
    mine = and_(col(NumberRow.connection) == connection, col(NumberRow.item_id) == item_id)
    return session.execute(select(col(NumberRow.number)).where(mine)).scalar_one_or_none()


def owner(session: Session, connection: str, number: int) -> str | None:
    """The item that was given this number, or None."""
    it = and_(col(NumberRow.connection) == connection, col(NumberRow.number) == number)
    return session.execute(select(col(NumberRow.item_id)).where(it)).scalar_one_or_none()


def claim(session: Session, connection: str, item_id: str, number: int) -> bool:
    """Give the item this number; False when another process gave the number, or gave the item one, before."""
    row = {"connection": connection, "number": number, "item_id": item_id, "given_at": moment()}
    try:
        with session.begin_nested():
            session.execute(insert(NumberRow).values(**row))
    except IntegrityError:
        return False
    return True


def next_after(session: Session, connection: str, first: int, last: int) -> int:
    """The number after the highest that was given in this range."""
    inside = and_(col(NumberRow.connection) == connection, col(NumberRow.number).between(first, last))
    highest = session.execute(select(func.max(col(NumberRow.number))).where(inside)).scalar_one_or_none()
    return first if highest is None else int(highest) + 1


def has_any(session: Session, connection: str) -> bool:
    """Whether any number was given for this connection."""
    mine = select(col(NumberRow.number)).where(col(NumberRow.connection) == connection).limit(1)
    return session.execute(mine).scalar_one_or_none() is not None

"""Key rotation: values sealed with an older SECRET_KEY or release are sealed again; a wrong key prevents the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, select, update
from sqlmodel import Session, col

from gateway.store import certificates, connections, tokens
from gateway.store.sealing import Seal, SealedColumn
from gateway.store.session import reading, writing
from gateway.store.sql import moment
from gateway.store.tables import ConnectionRow, SigningKeyRow, TokenRow

LOCKED = "it was sealed with a SECRET_KEY that is lost"
_SEALED = (
    (ConnectionRow, "name", connections.SEALED),
    (TokenRow, "connection", tokens.SEALED),
    (SigningKeyRow, "public_key", certificates.SEALED),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A sealed value and the row it is in."""

    table: type[Any]
    key: str
    place: SealedColumn
    sealed: str

    def is_there(self) -> ColumnElement[bool]:
        """The row, unless the value was replaced."""
        same = getattr(self.table, self.place.column) == self.sealed
        return and_(same, col(getattr(self.table, self.key)) == self.place.owner)


def check(engine: Engine, seal: Seal) -> None:
    """Raises `Permanent` when something stored cannot be opened with the keys there are; changes nothing."""
    with reading(engine) as session:
        for found in _find_sealed(session):
            seal.open(found.sealed, found.place)


def reseal(engine: Engine, seal: Seal) -> int:
    """Seal again what is not sealed with the newest key for its place; returns the number of values.

    Raises `Permanent` like `check`, before any of it. A value that is replaced meanwhile (a refreshed token) is
    left as it is.
    """
    check(engine, seal)
    with reading(engine) as session:
        stale = [found for found in _find_sealed(session) if not seal.is_newest(found.sealed, found.place)]
    for found in stale:
        again = seal.seal(seal.open(found.sealed, found.place), found.place)
        with writing(engine) as session:
            session.execute(update(found.table).where(found.is_there()).values({found.place.column: again}))
    return len(stale)


def forget(engine: Engine, seal: Seal) -> int:
    """Clear what none of the keys opens, after a key was lost; returns the number of values. All other data stay.

    An authorisation that is cleared counts as lost, and a refresh token of the environment may be planted again.
    """
    with reading(engine) as session:
        locked = [found for found in _find_sealed(session) if not seal.fits(found.sealed, found.place)]
    for found in locked:
        lost = {"lost": LOCKED, "lost_code": None, "lost_at": moment(), "seed": None} if found.table is TokenRow else {}
        with writing(engine) as session:
            session.execute(update(found.table).where(found.is_there()).values({found.place.column: None} | lost))
    return len(locked)


def _find_sealed(session: Session) -> list[_Found]:
    found: list[_Found] = []
    for table, key, columns in _SEALED:
        for column in columns:
            rows = session.execute(select(getattr(table, key), getattr(table, column))).all()
            name = str(table.__tablename__)
            found += [
                _Found(table, key, SealedColumn(name, column, str(row[0])), str(row[1])) for row in rows if row[1]
            ]
    return found

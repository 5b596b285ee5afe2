"""Key rotation: what an older SECRET_KEY sealed is sealed again with the newest; a wrong key stops the start."""

from __future__ import annotations

from sqlalchemy import Engine, and_, select, update
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.sealing import Seal
from gateway.store.session import reading, writing
from gateway.store.tables import ConnectionRow, TokenRow

LOCKED = "it was sealed with a SECRET_KEY that is lost"
_SEALED = (
    (ConnectionRow, "name", ("mplus_ident_sealed", "mplus_secret_sealed", "mplus_webhook_secrets_sealed")),
    (TokenRow, "connection", ("access_sealed", "refresh_sealed")),
)


def check(engine: Engine, seal: Seal) -> None:
    """Raises `Permanent` when something stored cannot be opened with the keys there are; changes nothing."""
    with reading(engine) as session:
        for _, _, _, sealed in _find_sealed(session):
            seal.open(sealed)


def reseal(engine: Engine, seal: Seal) -> int:
    """Seal again what is not under the newest key; answers how much. Raises `Permanent` like `check`, before any of it.

    A value that somebody replaces meanwhile (a refreshed token) is left as it is.
    """
    check(engine, seal)
    with reading(engine) as session:
        stale = [found for found in _find_sealed(session) if not seal.is_newest(found[3])]
    for table, key, column, sealed in stale:
        same = and_(getattr(table, column) == sealed, col(getattr(table, key[0])) == key[1])
        with writing(engine) as session:
            session.execute(update(table).where(same).values({column: seal.rotate(sealed)}))
    return len(stale)


def forget(engine: Engine, seal: Seal) -> int:
    """Clear what none of the keys opens, for whoever lost a key; answers how much. The rest of the memory stays.

    An authorisation that is cleared counts as lost, and a refresh token of the environment may be planted again.
    """
    with reading(engine) as session:
        locked = [found for found in _find_sealed(session) if not seal.fits(found[3])]
    for table, key, column, sealed in locked:
        same = and_(getattr(table, column) == sealed, col(getattr(table, key[0])) == key[1])
        values = {column: None} | ({"lost": LOCKED, "lost_at": moment(), "seed": None} if table is TokenRow else {})
        with writing(engine) as session:
            session.execute(update(table).where(same).values(values))
    return len(locked)


def _find_sealed(session: Session) -> list[tuple[type, tuple[str, str], str, str]]:
    found: list[tuple[type, tuple[str, str], str, str]] = []
    for table, name, columns in _SEALED:
        for column in columns:
            rows = session.execute(select(getattr(table, name), getattr(table, column))).all()
            found += [(table, (name, str(row[0])), column, str(row[1])) for row in rows if row[1]]
    return found

"""Whether the database accepts writes: a row is written and deleted in one committed transaction."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine, delete, insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import col

from gateway.errors import Transient
from gateway.store.clock import moment
from gateway.store.session import writing
from gateway.store.tables import JournalRow

OK, UNREACHABLE = "ok", "unreachable"
_CHARACTERS = 16_000  # what a webhook needs: a change within a page of the file succeeds also when the file is full
_REASONS: Mapping[str, str] = {
    "SQLITE_FULL": "full: no write succeeds",
    "SQLITE_READONLY": "read-only: no write succeeds",
    "SQLITE_BUSY": "locked by another program: no write succeeds",
    "SQLITE_IOERR": "input/output error: no write succeeds",
    "ReadOnlySqlTransaction": "read-only: no write succeeds",
    "DiskFull": "full: no write succeeds",
    "InsufficientPrivilege": "the user may not write",
    "QueryCanceled": "too slow: no write succeeds",
    "LockNotAvailable": "locked by another program: no write succeeds",
}


def find_trouble(engine: Engine) -> str:
    """`OK`, or a short reason why nothing can be stored; never the server's own text, which names hosts."""
    try:
        with writing(engine) as session:
            line = insert(JournalRow).values(at=moment(), kind="probe", title="probe", detail="-" * _CHARACTERS)
            (id_,) = session.execute(line.returning(col(JournalRow.id))).one()
            session.execute(delete(JournalRow).where(col(JournalRow.id) == id_))
    except Transient as error:
        return _name(error.__cause__)
    except SQLAlchemyError as error:
        return _name(error)
    return OK


def _name(error: BaseException | None) -> str:
    if isinstance(error, PoolTimeout):
        return "every connection is in use"
    raised = getattr(error, "orig", None) or error
    name = getattr(raised, "sqlite_errorname", None) or type(raised).__name__
    # SQLite has extended codes: SQLITE_READONLY_DBMOVED, SQLITE_IOERR_WRITE.
    return next((words for code, words in _REASONS.items() if name.startswith(code)), UNREACHABLE)

"""This installation: its database's schema, its name, its processes and what they counted, whether it can write.

The schema is migrated safely when several processes try at once, or twice. Two releases use one database during an
update, so a schema newer than the code is accepted: a migration only adds, and what it replaces is dropped one release
later (`docs/deploy.md`). Every process asks whether the schema is current; only a migration imports Alembic.

The name is written on documents in the books, so that a second writer is recognised. A process has a boot id that is
new at every start. Each adds what it counted since its last flush, so that no count is lost when it exits; a scrape
reads the totals, so any process can answer it.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from sqlalchemy import Connection, Engine, delete, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, col

from gateway import MIGRATIONS, VERSION, known_revisions
from gateway.database.session import reading, writing
from gateway.database.sql import moment, upsert
from gateway.errors import Transient
from gateway.observability import counters
from gateway.store.tables import CounterTotalRow, InstallationRow, JournalRow, ProcessRow

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 715_302_001  # an arbitrary number: PostgreSQL's advisory lock for "migrating kassabridge"


def migration_config(connection: Connection) -> Config:
    """Alembic's configuration, bound to an open connection."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def upgrade(engine: Engine) -> str:
    """Apply missing migrations; other processes wait, find nothing to do and succeed too. Returns the revision.

    The database of a newer release is left as it is, so that a rollback works. Each migration of a database in use has
    its own transaction: with the locks of one, it would wait for workers of the release before who wait for these.
    """
    while (revision := _upgrade_once(engine)) is None:
        pass
    return revision


def _upgrade_once(engine: Engine) -> str | None:
    """Apply one missing migration, or all of an empty database; returns the revision when none was missing."""
    with engine.begin() as connection:
        # SQLite needs no extra lock: our transactions begin IMMEDIATE.
        if connection.dialect.name == "postgresql":
            from gateway.database.postgres import BoundedConnection

            driver = connection.connection.driver_connection
            if isinstance(driver, BoundedConnection):
                driver.patience = None
            connection.detach()
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        if _is_ours_or_newer(connection):
            return _revision(connection) or ""
        from alembic import command

        command.upgrade(migration_config(connection), "+1" if _revision(connection) else "head")
    return None


def is_current(engine: Engine) -> bool:
    """Whether the database has this code's schema, or one of a newer release."""
    with engine.execution_options(reading=True).connect() as connection:
        return _is_ours_or_newer(connection)


def is_empty(engine: Engine) -> bool:
    """Whether no release has begun in this database yet."""
    with engine.execution_options(reading=True).connect() as connection:
        return _revision(connection) is None


def _is_ours_or_newer(connection: Connection) -> bool:
    """Whether the database is at this code's newest revision, or at one that was written after this code."""
    revision, known = _revision(connection), known_revisions()
    return revision is not None and (revision == max(known) or revision not in known)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


# --- processes and their counts -------------------------------------------------------------------------------------


def name_of(engine: Engine) -> str:
    """The installation's name, made on first use. One database has exactly one."""
    with reading(engine) as session:
        known: str | None = session.execute(select(col(InstallationRow.name))).scalar_one_or_none()
    if known:
        return known
    with writing(engine) as session:
        upsert(session, InstallationRow, {"only": 1, "name": uuid.uuid4().hex[:12]})
        return str(session.execute(select(col(InstallationRow.name))).scalar_one())


Key: TypeAlias = tuple[str, str]
"""A sample's name and its labels as JSON."""


class CounterShare:
    """One process's counts: `flush` adds what `registry` counted since the last flush."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._reported: dict[Key, float] = {}
        self._lock = threading.Lock()

    def flush(self, engine: Engine) -> None:
        """Add to the totals. Raises `Transient`; then the counts are kept for the next flush."""
        with self._lock:
            now = dict(sample for family in self._registry.collect() for sample in _samples_of(family))
            fresh = {key: value - self._reported.get(key, 0.0) for key, value in now.items()}
            fresh = {key: value for key, value in fresh.items() if value}
            # In one order, so that two processes never deadlock.
            rows = [{"name": key[0], "labels": key[1], "value": value} for key, value in sorted(fresh.items())]
            if rows:
                with writing(engine) as session:
                    total = col(CounterTotalRow.value)
                    upsert(session, CounterTotalRow, rows, lambda new: {"value": total + new.value})
            self._reported = now


def _samples_of(family: Metric) -> Iterator[tuple[Key, float]]:
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            yield (sample.name, json.dumps(sample.labels, sort_keys=True)), sample.value


def find_totals(session: Session) -> dict[Key, float]:
    return {(row.name, row.labels): row.value for row in session.execute(select(CounterTotalRow)).scalars()}


def to_families(registry: CollectorRegistry, sums: Mapping[Key, float]) -> Iterator[Metric]:
    """The families of `registry` with the totals instead of this process's counts."""

    def to_order(key: Key) -> tuple[str, str, float]:
        labels = json.loads(key[1])
        bound = labels.pop("le", "0")
        return json.dumps(labels, sort_keys=True), key[0], float(bound)

    for family in registry.collect():
        own = {key for key, _ in _samples_of(family)}
        endings = ("_bucket", "_count", "_sum") if family.type == "histogram" else ("_total",)
        names = {family.name + ending for ending in endings}
        known = {key for key in sums if key[0] in names}
        summed = Metric(family.name, family.documentation, family.type)
        for name, labels in sorted(own | known, key=to_order):
            summed.add_sample(name, json.loads(labels), sums.get((name, labels), 0.0))
        yield summed


ALIVE_SECONDS = 60.0
BOOT = uuid.uuid4().hex
COUNTS = CounterShare(counters.REGISTRY)


def report(engine: Engine, role: str) -> None:
    """Report that this process runs, and what it counted; rows of processes that ended long ago are removed."""
    COUNTS.flush(engine)
    values: dict[str, Any] = {"role": role, "version": VERSION, "seen_at": moment()}
    if isinstance(pool := engine.pool, QueuePool):
        values |= {"pool_size": pool.size(), "pool_used": pool.checkedout()}
    with writing(engine) as session:
        upsert(session, ProcessRow, {"boot": f"{role}-{BOOT}", "started_at": moment(), **values}, values)
        session.execute(delete(ProcessRow).where(col(ProcessRow.seen_at) < moment(-10 * ALIVE_SECONDS)))


def alive(session: Session, *, seconds: float = ALIVE_SECONDS) -> list[ProcessRow]:
    """The processes that reported within the last minute, or so many seconds."""
    recent = col(ProcessRow.seen_at) > moment(-seconds)
    return list(session.execute(select(ProcessRow).where(recent).order_by(col(ProcessRow.role))).scalars())


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
        return _to_reason(error.__cause__)
    except SQLAlchemyError as error:
        return _to_reason(error)
    return OK


def _to_reason(error: BaseException | None) -> str:
    if isinstance(error, PoolTimeout):
        return "every connection is in use"
    raised = getattr(error, "orig", None) or error
    name = getattr(raised, "sqlite_errorname", None) or type(raised).__name__
    # SQLite has extended codes: SQLITE_READONLY_DBMOVED, SQLITE_IOERR_WRITE.
    return next((words for code, words in _REASONS.items() if name.startswith(code)), UNREACHABLE)

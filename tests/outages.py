"""Real servers with a misbehaving network before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from sandbox.chaos.proxy import Proxy

POSTGRES_PORT = 5432


@contextmanager
def before_postgres(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy before the server of `url` (SQLAlchemy's kind, on a unix socket), and the address that leads through."""
    given = make_url(url)
    folder = given.query["host"]
    assert isinstance(folder, str)
    proxy = Proxy(Path(folder) / f".s.PGSQL.{given.port or POSTGRES_PORT}")
    through = given.set(host="127.0.0.1", port=proxy.port, query={})
    try:
        yield proxy, through.render_as_string(hide_password=False)
    finally:
        proxy.stop()


def to_plain(url: str) -> str:
    """An address as DATABASE_URL and psycopg have it."""
    return url.replace("postgresql+psycopg", "postgresql")


def end_connections(url: str) -> None:
    """The server ends every other connection to this database, as in a failover."""
    with psycopg.connect(to_plain(url), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def set_read_only(url: str, *, read_only: bool) -> None:
    """The database takes no writes, as a standby; every connection to it is ended."""
    with psycopg.connect(to_plain(url), autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        name = admin.execute("SELECT quote_ident(current_database())").fetchone()
        assert name is not None
        admin.execute(f"ALTER DATABASE {name[0]} SET default_transaction_read_only = {read_only}".encode())
    end_connections(url)


def refuse_writes(url: str, sqlstate: str) -> None:
    """From now on a write to the inbox is refused with this SQLSTATE, as PostgreSQL words it."""
    with psycopg.connect(to_plain(url), autocommit=True) as admin:
        admin.execute(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{sqlstate}'; END $$".encode()
        )
        admin.execute("CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON inbox EXECUTE FUNCTION refuse()")


def accept_writes(url: str) -> None:
    """There is room again."""
    with psycopg.connect(to_plain(url), autocommit=True) as admin:
        admin.execute("DROP TRIGGER refuse ON inbox")

"""Databases of one kind only, for what differs between SQLite and PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests import servers
from tests.conftest import to_sqlalchemy
from tests.engines import cheap_engine


@pytest.fixture
def engine_of() -> Iterator[Callable[[str], Engine]]:
    """Call it with an address for an engine that is disposed of after the test."""
    with ExitStack() as opened:
        yield lambda url: opened.enter_context(cheap_engine(url))


@pytest.fixture
def migrated_sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A fresh SQLite database with all our tables."""
    return f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'only.db')}"


@pytest.fixture
def url(postgres: servers.Postgres) -> Iterator[str]:
    """A fresh PostgreSQL database with all our tables."""
    with postgres.migrated() as address:
        yield to_sqlalchemy(address)


@pytest.fixture
def postgres_engine(url: str, engine_of: Callable[[str], Engine]) -> Engine:
    """An engine on `url`."""
    return engine_of(url)

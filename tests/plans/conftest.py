"""A seeded database, made once for each kind and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import DATABASES, to_sqlalchemy
from tests.engines import cheap_engine
from tests.plans import seed

ROWS = 100_000
SEEDED = "seeded"


@pytest.fixture(scope="session")
def seeded_sqlite(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded SQLite file: copy it."""
    path = tmp_path_factory.mktemp("seeded") / "gateway.db"
    shutil.copy(migrated_sqlite, path)
    with cheap_engine(f"sqlite:///{path}") as engine:
        seed.seed(engine, ROWS)
    return path


@pytest.fixture(scope="session")
def seeded_postgres(postgres: servers.Postgres) -> str:
    """The name of a seeded database: a template for others."""
    with postgres.database(template=servers.TEMPLATE) as url:
        with cheap_engine(to_sqlalchemy(url)) as engine:
            seed.seed(engine, ROWS)
        name = url.partition("?")[0].rpartition("/")[2]
        postgres.run(f'CREATE DATABASE "{SEEDED}" TEMPLATE "{name}"')
    return SEEDED


@pytest.fixture(params=DATABASES)
def seeded_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh seeded database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "postgres":
        server: servers.Postgres = request.getfixturevalue("postgres")
        with server.database(template=request.getfixturevalue("seeded_postgres")) as url:
            yield to_sqlalchemy(url)
        return
    yield f"sqlite:///{shutil.copy(request.getfixturevalue('seeded_sqlite'), tmp_path / 'seeded.db')}"

"""A stage per story, with a broker of its own database; a story about work, not about storage, runs on one database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forking
from tests.conftest import DATABASES, migrated
from tests.servers import Valkey
from tests.stories.stage import Stage

_databases = itertools.count(1)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database after the release phase, which the stories of a deploy and of a backup go through themselves."""
    with migrated(request, request.param, tmp_path / "gateway.db") as url:
        yield url


@pytest.fixture
def stage(tmp_path: Path, database_url: str, valkey: Valkey, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Both systems served, nothing of ours running yet."""
    broker = f"{valkey.url}?db={next(_databases) % 16}"
    made = Stage(tmp_path, database_url=database_url, redis_url=broker, launch=forking.launch)
    yield made
    made.close()
    if request.session.testsfailed:
        print(made.logs()[-8000:])

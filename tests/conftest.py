"""Fixtures shared by every test: free ports, served apps, fresh databases (SQLite and PostgreSQL), a Valkey."""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

import hypothesis
import pytest
from sqlalchemy import Engine
from xdist.scheduler import LoadScopeScheduling

from gateway.database.session import open_engine
from gateway.store import installation
from tests import closing, loopback, servers, tls
from tests.engines import cheap_engine
from tests.servers import TEMPLATE

DATABASES = ("sqlite", "postgres")
on_both_databases = pytest.mark.parametrize("migrated_url", DATABASES, indirect=True)
"""For a test of statements where others run on one kind of database."""
LONG = {"stories", "chaos", "bench", "process"}
"""Folders whose tests start processes: they wait for them, and take each other's time where many run at once."""
TOGETHER = {"browser", "house", "mpluskassa", "plans", "quickbooks"}
"""Folders that one process runs: a browser, a seeded database, parsed sources and WSDLs cost more than most tests."""

gc.disable()  # until everything is imported: what has been imported is no garbage
loopback.guard()
# Examples share two cores with other tests: how long one takes says nothing.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first: begun last, one of them would keep one core busy and the others idle."""
    items.sort(key=lambda item: (item.get_closest_marker("timeout") is None, item.path.parent.name not in LONG))


class _Groups(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out groups, the largest first. With this pytest the marker `xdist_group` does nothing."""

    def _split_scope(self, nodeid: str) -> str:
        """What runs one after the other in one process; at most two tests that start processes run at once."""
        folder = nodeid.partition("::")[0].split("/")[-2]
        if folder in TOGETHER:
            return folder
        return f"long {crc32(nodeid.encode()) % 2}" if folder in LONG else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Groups | None:
    """Our groups for `--dist loadgroup`."""
    return _Groups(config, log) if config.getoption("dist") == "loadgroup" else None


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collector does not look at it again, and looks less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print the closing line after everything else."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(closing.say(reporter))


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One authority to trust: reading the hundred and forty real ones takes 20 ms for each client that is opened."""
    certificate, _ = tls.write_certificate(tmp_path_factory.mktemp("authority"), "127.0.0.9", days=30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        yield


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Call it for a port nobody listens on."""
    return servers.find_free_port


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Call it with an ASGI app (and uvicorn options) for the app's address; it is stopped after the test."""
    running: list[servers.Served] = []

    def start(app: Any, **options: Any) -> str:
        running.append(servers.Served(app, **options))
        return running[-1].url

    yield start
    for served in reversed(running):
        served.stop()


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for unix sockets and that other users of the machine may enter."""
    folder = Path(tempfile.mkdtemp(prefix="kb"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(short_folder: Path) -> Iterator[servers.Postgres]:
    """One PostgreSQL server for the whole run, holding a database that is already migrated."""
    server = servers.Postgres(short_folder)
    try:
        with server.database() as url:
            name = url.partition("?")[0].rpartition("/")[2]
            _migrate(to_sqlalchemy(url))
            server.run(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE "{name}"')
        yield server
    finally:
        server.stop()


@pytest.fixture
def postgres_url(postgres: servers.Postgres) -> Iterator[str]:
    """The address (as `Settings.database_url` has it) of a fresh, empty PostgreSQL database."""
    with postgres.database() as url:
        yield to_sqlalchemy(url)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that is already migrated: copy it."""
    path = tmp_path_factory.mktemp("migrated") / "gateway.db"
    _migrate(f"sqlite:///{path}")
    return path


@contextmanager
def migrated(request: pytest.FixtureRequest, kind: str, copy: Path) -> Iterator[str]:
    """The address of a fresh database of this kind with all our tables; one of SQLite is the file `copy`."""
    if kind == "postgres":
        server: servers.Postgres = request.getfixturevalue("postgres")
        with server.migrated() as url:
            yield to_sqlalchemy(url)
        return
    yield f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_sqlite'), copy)}"


@pytest.fixture
def one_migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with all our tables, of the kind that is asked for, else of one by the test's name.

    Files whose subject has no statements of its own import it as `migrated_url`: half of their tests run on each kind.
    """
    kind = getattr(request, "param", DATABASES[crc32(request.node.name.encode()) % len(DATABASES)])
    with migrated(request, kind, tmp_path / "migrated.db") as url:
        yield url


@pytest.fixture(params=DATABASES)
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh database with all our tables: the test runs once on SQLite and once on PostgreSQL."""
    with migrated(request, request.param, tmp_path / "migrated.db") as url:
        yield url


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated database: the test runs once on SQLite and once on PostgreSQL."""
    with cheap_engine(migrated_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def valkey(short_folder: Path) -> Iterator[servers.Valkey]:
    """One Valkey for the whole run; a test that stops it takes `own_valkey`."""
    server = servers.Valkey(short_folder)
    yield server
    server.stop()


@pytest.fixture
def own_valkey() -> Iterator[servers.Valkey]:
    """A Valkey that the test may stop, fill or change, in a folder with a short name."""
    folder = Path(tempfile.mkdtemp(prefix="kb"))
    server = servers.Valkey(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def valkey_url(valkey: servers.Valkey) -> str:
    """The address of the running Valkey, as REDIS_URL has it."""
    return valkey.url


def to_sqlalchemy(url: str) -> str:
    """`postgresql://` as SQLAlchemy wants it: with the driver named."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _migrate(url: str) -> None:
    opened = open_engine(url)
    installation.upgrade(opened)
    opened.dispose()

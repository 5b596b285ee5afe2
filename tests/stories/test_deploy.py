"""On a PaaS, from nothing: the packages of requirements.txt, no disk, TLS to everything, twenty connections, an update.

This is `docs/deploy.md` followed with plain processes; nothing of the environment that runs the tests is used.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import psycopg
import pytest
from alembic.script import ScriptDirectory

from sandbox.mpluskassa.webhooks import Subscription
from tests.servers import Postgres, Valkey, find_free_port, wait_until
from tests.stories.building import INSTALL, build, find_strangers
from tests.stories.memory import opened
from tests.stories.platform import GRACE, Platform, Slug, read_procfile
from tests.stories.stage import ROOT, SUBSCRIPTION, WEBHOOK_SECRET, Stage
from tests.stories.trade import effects, furnish, ring_up, times_made
from tests.tls import Door, write_certificate

PATIENCE = 60.0
ALLOWED = 20
PASSWORD = "p@ss/w%rd"
ROLES = ("web", "worker", "clock", "clock")
NEXT_MIGRATION = '''"""What a later release adds"""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"

def upgrade() -> None:
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    op.add_column("inbox", sa.Column("later", sa.String(), nullable=True))
    op.add_column("links", sa.Column("later", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("inbox_later", "inbox", ["later"])
'''


@pytest.fixture
def database_url() -> str:
    """The stage's own address is never used: the platform gives one."""
    return "postgresql://nowhere.invalid/none"


class Counted:
    """How many connections our role has, looked at all the time."""

    def __init__(self, uri: str, role: str) -> None:
        self.most = 0
        self._uri, self._role = uri, role
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._uri, autocommit=True) as connection:
            while not self._over.wait(0.02):
                row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [self._role])
                self.most = max(self.most, row.fetchall()[0][0])


@pytest.fixture
def plan(postgres: Postgres, tmp_path: Path) -> Iterator[tuple[str, Counted]]:
    """A small plan: a database whose role may open twenty connections, by TLS only; its address, and who counts."""
    with postgres.database() as uri:
        name = uri.partition("?")[0].rpartition("/")[2]
        postgres.run(f"CREATE ROLE tenant LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT {ALLOWED}")
        postgres.run(f'ALTER DATABASE "{name}" OWNER TO tenant')
        door = Door(postgres.socket, *write_certificate(tmp_path, "127.0.0.1"), postgres=True)
        with Counted(uri, "tenant") as counted:
            yield f"postgres://tenant:p%40ss%2Fw%25rd@127.0.0.1:{door.port}/{name}?sslmode=require", counted
        door.close()
        postgres.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant'")
        postgres.run(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(b"DROP OWNED BY tenant CASCADE")
        postgres.run("DROP ROLE tenant")


@pytest.fixture
def now(tmp_path: Path) -> Slug:
    """The release as it is in this folder."""
    return Slug(tmp_path / "now")


@pytest.fixture
def python(now: Slug, tmp_path: Path) -> Path:
    """The interpreter that the platform built for it."""
    return build(tmp_path / "environment", now.folder)


@pytest.fixture
def platform(
    stage: Stage, plan: tuple[str, Counted], valkey: Valkey, python: Path, tmp_path: Path
) -> Iterator[Platform]:
    """A platform with that database and a Redis whose certificate nobody signed."""
    (tmp_path / "broker").mkdir()
    secure = Door(valkey.socket, *write_certificate(tmp_path / "broker", "127.0.0.1"))
    redis_url = f"rediss://127.0.0.1:{secure.port}/15"
    stage.environment |= {"DATABASE_URL": plan[0], "REDIS_URL": redis_url, "REDIS_TLS_INSECURE": "1"}
    stage.environment |= {name: secrets.token_urlsafe(32) for name in ("SECRET_KEY", "ADMIN_TOKEN")}
    made = Platform(tmp_path, stage.environment, python)
    yield made
    made.close()
    print(made.logs()[-6000:])
    secure.close()


def start(platform: Platform, slug: Slug, release: str) -> str:
    """The processes of a release; answers the address of its web, which a router would know."""
    port = str(find_free_port())
    url = f"http://127.0.0.1:{port}"
    for number, process in enumerate(ROLES):
        platform.start(slug, process, name=f"{release}-{process}-{number}", PORT=port, PUBLIC_URL=url)
    return url


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def route(stage: Stage, url: str) -> None:
    """What a router does at the end of a deployment: webhooks go to the new release."""
    stage.url = url
    stage.send_webhooks()
    stage.till.subscribe(Subscription(SUBSCRIPTION, WEBHOOK_SECRET, f"{url}/webhooks/mpluskassa"))


@pytest.mark.timeout(600)  # packages are fetched and a dozen processes start, on machines that may be busy
def test_a_paas_builds_deploys_and_updates_it_without_loss_or_local_disk(
    stage: Stage, platform: Platform, plan: tuple[str, Counted], now: Slug, python: Path, tmp_path: Path
) -> None:
    assert find_strangers(python) == (set(), set())
    later = Slug(tmp_path / "later")
    later.add_migration("9999_later.py", NEXT_MIGRATION.format(head=find_head()))
    now.seal()
    later.seal()
    furnish(stage)
    deploy_as_scalingo_does(stage, platform, now)
    stage.add_item("6101", "1.00")
    ring_up(stage, 2)
    with opened(stage) as memory:
        memory.wait_for(2, seconds=PATIENCE, entity="Receipt")
        look_as_the_document_says(platform, now, stage.url)
        update_as_heroku_does(stage, platform, later)
        stage.add_item("6103", "1.00")
        sales = memory.wait_for(10, seconds=PATIENCE, entity="Receipt")
        # A poll may tell of an earlier item again: a number of events does not say that the last one was among them.
        wait_until(lambda: times_made(stage, 6103), seconds=PATIENCE, what="the last item to be made")
        memory.wait_for(4, seconds=PATIENCE, entity="Item")
    assert platform.release(now) == 0, "a rollback goes through although the database is ahead"
    assert max(platform.end("second").values()) < GRACE
    assert {(row.state, row.crashes) for row in sales} == {("done", 0)}
    assert effects(stage)["create"] == len(sales) == 10
    assert [times_made(stage, number) for number in (6101, 6102, 6103)] == [1, 1, 1]
    assert 10 < plan[1].most <= ALLOWED
    assert [
        word for word in ("TooManyConnections", "too many connections", "Traceback") if word in platform.logs()
    ] == []
    assert now.is_untouched()
    assert later.is_untouched()
    assert not list(platform.temporary.iterdir())


def deploy_as_scalingo_does(stage: Stage, platform: Platform, slug: Slug) -> None:
    """Processes first, then the migrations; requests come when both are done."""
    url = start(platform, slug, "first")
    assert platform.release(slug, process="postdeploy") == 0
    wait_until(lambda: is_ready(url), seconds=PATIENCE, what="the first release to be ready")
    route(stage, url)


def look_as_the_document_says(platform: Platform, slug: Slug, url: str) -> None:
    """The doctor, in the platform's shell: nothing needs a person."""
    said = platform.look(slug, PUBLIC_URL=url)
    assert "processes: running: clock, web, worker" in said
    (used,) = re.findall(rf"connections left: (\d+) are used, {ALLOWED} allowed", said)
    assert 0 < int(used) <= ALLOWED


def update_as_heroku_does(stage: Stage, platform: Platform, slug: Slug) -> None:
    """Migrations first; then both releases run for a while, and there is work in everybody's hands."""
    assert platform.release(slug) == 0
    assert is_ready(stage.url)
    stage.books.injected.plan("POST salesreceipt", "delay", times=6, seconds=1.0)
    ring_up(stage, 6)
    wait_until(lambda: stage.books.injected.struck, seconds=PATIENCE, what="work to be in flight")
    url = start(platform, slug, "second")
    assert max(platform.end("first").values()) < GRACE
    stage.add_item("6102", "1.00")
    ring_up(stage, 2)
    wait_until(lambda: is_ready(url), seconds=PATIENCE, what="the second release to be ready")
    route(stage, url)


def find_head() -> str:
    return str(ScriptDirectory(str(ROOT / "migrations")).get_current_head())


def test_the_procfile_fits_the_strictest_platform_and_starts_real_verbs() -> None:
    commands = read_procfile((ROOT / "Procfile").read_text("utf-8"))
    assert commands == {
        "release": "python -m gateway migrate",
        "postdeploy": "python -m gateway migrate",  # what Scalingo calls it
        "web": "python -m gateway web",
        "worker": "python -m gateway worker",
        "clock": "python -m gateway clock",
    }


def test_what_the_document_tells_to_type_is_what_is_tried_here() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    commands = read_procfile((ROOT / "Procfile").read_text("utf-8"))
    assert set(re.findall(r"startCommand: (.+)", page)) == {commands[name] for name in ("web", "worker", "clock")}
    assert re.findall(r"preDeployCommand: (.+)", page) == [commands["release"]]
    assert set(re.findall(r"buildCommand: (.+)", page)) == {" ".join(INSTALL)}
    (unit,) = re.findall(r"ExecStart=\S+/(python -m gateway \w+)", page)
    assert unit == commands["web"]

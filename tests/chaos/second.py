"""A second deployment beside the first by mistake: another database, its connection called otherwise, the same shop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Engine, select
from sqlmodel import col

from gateway import settings
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, reading, writing
from gateway.store import connections, tokens
from gateway.store.connections import Connection
from gateway.store.tables import InboxRow
from tests.chaos import goods
from tests.chaos.troupe import deferred
from tests.forking import Process
from tests.servers import wait_until
from tests.stories.stage import REALM, Stage

NAME = "second-shop"
_APP, _SECRET = "second-client", "marked-second-client-secret"
_OURS = ("MPLUS_URL", "MPLUS_IDENT", "MPLUS_SECRET", "MPLUS_WEBHOOK_SUBSCRIPTION_ID", "MPLUS_WEBHOOK_SECRET",
         "QUICKBOOKS_REALM_ID", "QUICKBOOKS_REFRESH_TOKEN", "SETTINGS_FILE")  # fmt: skip
_LOADING_SECONDS = 180.0
_ROLES = ("worker", "clock")


class SecondDeployment:
    """A worker and a clock on a database of their own; it hears of sales by its polls only."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._url = f"sqlite:///{stage.folder}/second.db"
        ours = {name: value for name, value in stage.environment.items() if name not in _OURS}
        credentials = {"QUICKBOOKS_CLIENT_ID": _APP, "QUICKBOOKS_CLIENT_SECRET": _SECRET}
        broker = stage.environment["REDIS_URL"].rpartition("/")[0] + "/1"
        self._environment = {**ours, **credentials, "DATABASE_URL": self._url, "REDIS_URL": broker}
        self._processes: list[Process] = []

    def prepare(self) -> None:
        """Connect it to the same company and till, and let it do its first load."""
        stage = self._stage
        stage.books.register_app(_APP, _SECRET, "*")
        migrate = [sys.executable, "-m", "gateway", "migrate"]
        subprocess.run(migrate, env=self._environment, cwd=stage.folder, check=True, timeout=60)
        self._connect(str(stage.books.connect(REALM, _APP)["refresh_token"]))
        self.start()
        engine = open_engine(self._url)
        wait_until(lambda: _has_loaded(engine), seconds=_LOADING_SECONDS, what="the second deployment's first load")
        engine.dispose()
        self.stop()

    @property
    def runs(self) -> bool:
        """Whether it has been started and not been stopped."""
        return bool(self._processes)

    def start(self) -> None:
        """Somebody leaves it running."""
        stage = self._stage
        for role in _ROLES:
            command = stage.to_command(role)
            environ, log = {**self._environment, **command.environ}, stage.folder / f"second-{role}.log"
            with deferred(signal.SIGTERM):
                self._processes.append(stage.launch(command.argv, environ=environ, folder=stage.folder, log=log))

    def _connect(self, refresh_token: str) -> None:
        first, engine = self._stage.environment, open_engine(self._url)
        seal = Seal(settings.read(self._environment).secret_keys)
        till = (first["MPLUS_URL"], first["MPLUS_IDENT"], first["MPLUS_SECRET"])
        with writing(engine) as session:
            connections.save(session, Connection(NAME, REALM, *till, None, (), live=True, paused=None), seal)
            tokens.save_first(session, NAME, refresh_token, seal)
            document = Path(first["SETTINGS_FILE"]).read_text("utf-8")
            connections.save_settings(session, NAME, document, author="chaos")
        engine.dispose()

    def stop(self) -> None:
        """Somebody notices, and ends it in the middle of its work."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()


def _has_loaded(engine: Engine) -> bool:
    with reading(engine) as session:
        states = list(session.execute(select(col(InboxRow.state))).scalars())
    return len(states) >= len(goods.STOCKED) and not set(states) & {"received", "waiting", "uncertain", "working"}

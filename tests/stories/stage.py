"""The stage of a story: both simulators and the gateway's real processes around a fresh database and a broker."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import httpx
import redis
from starlette.types import ASGIApp

from gateway import settings
from gateway.jobs import QUEUE
from gateway.process import up
from gateway.process.up import Command
from sandbox.mpluskassa.app import create_app as create_till
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation as TillSimulation
from sandbox.mpluskassa.webhooks import Subscription
from sandbox.quickbooks.app import create_app as create_books
from sandbox.quickbooks.demo import new_company, tax_code_id
from sandbox.quickbooks.simulation import Simulation as BooksSimulation
from tests import forking
from tests.forking import Launch, Process
from tests.servers import Served, find_free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
REALM = "9341455000000001"
VERIFIER = "a-verifier-token-for-tests"
ADMIN_TOKEN = "an-admin-token-for-tests"
SUBSCRIPTION = "6f0f6d1e-0000-4000-8000-00000000aaaa"
WEBHOOK_SECRET = base64.b64encode(b"a webhook secret of thirty-two b").decode()
PATIENCE = 40.0  # the machine may be busy


class Stage:
    """Everything of one story. Times are short so that a story takes seconds; nothing else differs from production."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        redis_url: str,
        watch: Callable[[ASGIApp], ASGIApp] = lambda app: app,
        launch: Launch = forking.launch_anew,
    ) -> None:
        """`watch` may stand around both simulators, to see what arrives there and when."""
        self.launch = launch
        self.folder = folder
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.books = BooksSimulation()
        self.books.switches.limits.requests_per_second = 0
        self.till = TillSimulation(ident="shop", secret="marked-till-secret")
        self.company = new_company(self.books, REALM, "Stage BV", departments=("Winkel Utrecht", "Winkel Amersfoort"))
        self.books.register_app("client", "marked-client-secret", "*")
        grant = self.books.connect(REALM, "client")
        self.refresh_token = str(grant["refresh_token"])
        self._served = [Served(watch(create_books(self.books))), Served(watch(create_till(self.till)))]
        self.books_url, self.till_url = (served.url for served in self._served)
        self.environment = self._environment(database_url, redis_url)
        self.processes: dict[str, Process] = {}
        self._sequence = 0

    def _environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        ours = {
            "PORT": str(self.port),
            "DATABASE_URL": database_url.replace("postgresql+psycopg://", "postgresql://"),
            "REDIS_URL": redis_url,
            "SECRET_KEY": "a-secret-key-for-tests",
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "QUICKBOOKS_CLIENT_ID": "client",
            "QUICKBOOKS_CLIENT_SECRET": "marked-client-secret",
            "QUICKBOOKS_WEBHOOK_VERIFIER": VERIFIER,
            "QUICKBOOKS_API_URL": self.books_url,
            "QUICKBOOKS_TOKEN_URL": f"{self.books_url}/oauth2/v1/tokens/bearer",
            "QUICKBOOKS_REALM_ID": REALM,
            "QUICKBOOKS_CALLS_PER_SECOND": "10000",  # a story is told in seconds
            "QUICKBOOKS_CALLS_PER_MINUTE": "100000",
            "QUICKBOOKS_REFRESH_TOKEN": self.refresh_token,
            "MPLUS_URL": self.till_url,
            "MPLUS_IDENT": "shop",
            "MPLUS_SECRET": "marked-till-secret",
            "MPLUS_WEBHOOK_SUBSCRIPTION_ID": SUBSCRIPTION,
            "MPLUS_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "MPLUS_POLL_SECONDS": "1",
            "QUICKBOOKS_CDC_SECONDS": "1",
            "WORKER_THREADS": "4",
            "LOG_FORMAT": "json",
        }
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**keep, **ours, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    # --- the gateway's processes ---

    def migrate(self) -> None:
        """The release phase."""
        log = self.folder / "migrate.log"
        release = self.launch(up.MIGRATE.argv, environ=self.environment, folder=self.folder, log=log)
        assert release.wait(60) == 0, log.read_text("utf-8")

    def use_settings(self, document: str) -> None:
        """Put a settings document (TOML) in force from the next start on."""
        path = self.folder / "settings.toml"
        path.write_text(document, "utf-8")
        self.environment["SETTINGS_FILE"] = str(path)

    def start(self, *roles: str, ready: str = "readyz", **environment: str) -> None:
        """Start these processes (all by default), with more environment, and wait until the web answers at `ready`.

        There may be several of a role: "worker-1", "worker-2".
        """
        for role in roles or ("web", "worker", "clock"):
            command = self.to_command(role)
            environ = {**self.environment, **command.environ, **environment}
            log = self.folder / f"{role}.log"
            self.processes[role] = self.launch(command.argv, environ=environ, folder=self.folder, log=log)
        if not roles or "web" in roles:
            wait_until(lambda: self.answers(ready), seconds=PATIENCE, what="the web process to be ready")

    def kill(self, role: str) -> None:
        """kill -9 for a process and everything it started."""
        process = self.processes.pop(role)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)

    def stop(self, role: str, *, seconds: float = 25.0) -> None:
        """SIGTERM, as a PaaS sends it; the process must end by itself within `seconds`."""
        self.processes[role].terminate()
        self.processes[role].wait(timeout=seconds)
        del self.processes[role]

    def await_death(self, role: str) -> None:
        """Wait until a process died by itself; nothing that it started is left behind."""
        self.processes[role].wait(timeout=PATIENCE)
        process = self.processes.pop(role)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def signal(self, role: str, number: int) -> None:
        """A signal for a process and everything it started."""
        os.killpg(self.processes[role].pid, number)

    def close(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=25)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(timeout=PATIENCE)
        for served in self._served:
            served.stop()

    def to_command(self, role: str) -> Command:
        """What the verb of this name becomes: the verb itself would cost every start a second."""
        given = settings.read(self.environment)
        match role.partition("-")[0]:
            case "web":
                return up.to_web_command(given)
            case "worker":
                return up.to_worker_command(given)
            case _:
                return up.CLOCK

    def answers(self, path: str) -> bool:
        """Whether this address of the web process answers 200."""
        try:
            return httpx.get(f"{self.url}/{path}", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    # --- the outside systems ---

    def send_webhooks(self, doors: str | None = None) -> None:
        """Let both systems send their webhooks from now on, to the web process or to what stands before it."""
        doors = doors or self.url
        self.books.switches.deliveries.verifier = VERIFIER
        self.books.switches.deliveries.group_seconds = 0.02
        self.books.switches.deliveries.url = f"{doors}/webhooks/quickbooks"
        self.till.subscribe(Subscription(SUBSCRIPTION, WEBHOOK_SECRET, f"{doors}/webhooks/mpluskassa"))

    def add_item(
        self, sku: str, price: str, *, rate: int = 21, name: str | None = None, **fields: Any
    ) -> dict[str, Any]:
        """An item in the books, priced including VAT."""
        accounts = {row["Name"]: row["Id"] for row in self.books.rows(REALM, "Account")}
        body = {
            "Name": name or f"Item {sku}",
            "Sku": sku,
            "Type": "NonInventory",
            "UnitPrice": Decimal(price),
            "SalesTaxIncluded": True,
            "SalesTaxCodeRef": {"value": tax_code_id(self.company, rate)},
            "IncomeAccountRef": {"value": accounts["Sales of Product Income"]},
            "ExpenseAccountRef": {"value": accounts["Cost of Goods Sold"]},
            **fields,
        }
        return dict(self.books.put_item(REALM, body))

    def add_article(self, number: int, price_cents: int, vat_code: int) -> None:
        """An article at the till that was there before the gateway."""
        article = {
            "articleNumber": number,
            "description": f"Item {number}",
            "priceIncl": price_cents,
            "vatCode": vat_code,
            "turnoverGroup": 1,
        }
        self.till.add_product({"description": f"Item {number}", "articleList": {"article": [article]}})

    def sell(self, *lines: ItemSold, **details: Any) -> dict[str, Any]:
        """A paid sale at the till; its webhook goes out beside us, as a till's does."""
        done: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: done.append(self.till.sell(lines=lines, **details)))
        thread.start()
        thread.join(timeout=PATIENCE)
        return done[0]

    # --- what can be seen ---

    def admin(self, path: str, **more: Any) -> Any:
        """GET an admin address."""
        answer = httpx.get(f"{self.url}/admin/{path}", headers=self.bearer, timeout=10, **more)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """POST to an admin address."""
        return httpx.post(f"{self.url}/admin/{path}", headers=self.bearer, json=body, timeout=70)

    @property
    def bearer(self) -> dict[str, str]:
        """The header that opens the admin API."""
        return {"Authorization": f"Bearer {ADMIN_TOKEN}"}

    def documents(self, entity: str = "SalesReceipt") -> list[dict[str, Any]]:
        """The sales documents in the books."""
        return [dict(row) for row in self.books.rows(REALM, entity)]

    def articles(self) -> dict[int, dict[str, Any]]:
        """The articles at the till, by number."""
        return {row["articleNumber"]: dict(row) for row in self.till.till["articles"]}

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        """Inbox events, newest first."""
        found: list[dict[str, Any]] = self.admin("events", params=filters)["events"]
        return found

    def notifies(self) -> list[int]:
        """The ids in the broker's wake-ups that no worker has taken."""
        with redis.Redis.from_url(self.environment["REDIS_URL"]) as broker:
            messages = cast("list[bytes]", broker.hvals(f"dramatiq:{QUEUE}.msgs"))
        return [json.loads(message)["args"][0] for message in messages]

    def logs(self) -> str:
        """Everything the processes wrote."""
        return "\n".join(path.read_text("utf-8", "replace") for path in self.folder.glob("*.log"))

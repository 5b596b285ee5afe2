"""Everything a chaos needs around the gateway: a stage, its processes, and a proxy on every wire between them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine, make_url

from gateway.database.session import open_engine
from sandbox.chaos.proxy import Proxy
from tests.chaos import goods
from tests.chaos.troupe import Troupe
from tests.forking import Launch
from tests.outages import before_postgres
from tests.servers import Valkey
from tests.stories.stage import Stage

_DUPLICATES, _LOSSES, _REORDERINGS = 0.1, 0.05, 0.1
_RETRY_SCALE = 0.001  # the vendor waits ten seconds and more before it repeats a webhook
_POSTMAN_SECONDS = 0.01  # the till's webhooks come beside its sales, not in the middle of them


class Arena:
    """`url` is SQLAlchemy's address of an empty database; `engine` reaches it without the proxy before it."""

    def __init__(self, folder: Path, url: str, *, seed: int, launch: Launch) -> None:
        self.engine: Engine = open_engine(url)
        self.broker = Valkey(folder)
        self.wires: dict[str, Proxy] = {"broker": Proxy(self.broker.socket, seed=seed)}
        self._database = before_postgres(url) if make_url(url).get_backend_name() == "postgresql" else None
        through = url
        if self._database:
            self.wires["database"], through = self._database.__enter__()
        broker = f"redis://127.0.0.1:{self.wires['broker'].port}/0"
        self.stage = Stage(folder, database_url=through, redis_url=broker, launch=launch)
        self._lay_wires(seed)
        self.troupe = Troupe(self.stage)

    def _lay_wires(self, seed: int) -> None:
        stage = self.stage
        for name, url in (("books", stage.books_url), ("till", stage.till_url), ("doors", stage.url)):
            self.wires[name] = Proxy(("127.0.0.1", urlsplit(url).port or 0), seed=seed)
        books, till = (f"http://127.0.0.1:{self.wires[name].port}" for name in ("books", "till"))
        stage.environment |= {
            "QUICKBOOKS_API_URL": books,
            "QUICKBOOKS_TOKEN_URL": f"{books}/oauth2/v1/tokens/bearer",
            "MPLUS_URL": till,
            "MPLUS_CALLS_AT_ONCE": "4",  # more may go wrong at once
        }
        stage.books.switches.rotate_refresh_token = "daily"
        stage.books.switches.limits.requests_per_second = 0
        stage.books.switches.limits.requests_per_minute = 0
        stage.use_settings(goods.SETTINGS)

    def open(self) -> None:
        """Migrate, start every process, let both systems send their webhooks through a proxy, and mistreat them."""
        self.stage.migrate()
        self.troupe.start()
        deliveries, doors = self.stage.books.switches.deliveries, f"http://127.0.0.1:{self.wires['doors'].port}"
        self.stage.send_webhooks(doors)
        deliveries.time_scale = _RETRY_SCALE
        self.stage.till.courier.manners.delay_seconds = _POSTMAN_SECONDS

    def mistreat(self) -> None:
        """Webhooks of the books come twice, never, or in another order."""
        deliveries = self.stage.books.switches.deliveries
        deliveries.duplicate_rate, deliveries.drop_rate = _DUPLICATES, _LOSSES
        deliveries.reorder_rate = _REORDERINGS

    def heal(self) -> None:
        """Everything behaves."""
        deliveries = self.stage.books.switches.deliveries
        deliveries.duplicate_rate = deliveries.drop_rate = deliveries.reorder_rate = 0.0
        for wire in self.wires.values():
            wire.end()
        self.stage.books.injected.clear()
        self.stage.till.misbehaviour.plans.clear()
        self.troupe.resume()

    def count_strikes(self) -> Mapping[str, int]:
        """How often each wire failed a connection."""
        return {name: wire.struck for name, wire in self.wires.items()}

    def close(self) -> None:
        """End everything."""
        self.troupe.end()
        self.stage.close()
        for wire in self.wires.values():
            if not self._database or wire is not self.wires["database"]:
                wire.stop()
        if self._database:
            self._database.__exit__(None, None, None)
        self.broker.stop()
        self.engine.dispose()

"""The broker is full, read-only, busy or silent, or hands out nonsense: work goes on from the database."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine

from gateway import jobs
from gateway.database.session import open_engine
from gateway.jobs import QUEUE, Notifier
from gateway.store.events import Change, Flow
from sandbox.chaos.faults import Blackhole
from sandbox.chaos.proxy import Proxy
from tests.handlers.shop import Shop
from tests.servers import Valkey, wait_until
from tests.workers.live import working

WITHIN = 30.0  # a rest of the notifier, a round of the sweeper, and a busy machine


@pytest.fixture
def engine(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'gateway.db')}")
    yield opened
    opened.dispose()


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    made = Shop(engine)
    yield made
    made.close()


@pytest.fixture
def proxy(own_valkey: Valkey) -> Iterator[Proxy]:
    made = Proxy(own_valkey.socket)
    yield made
    made.stop()


class Web:
    """Where changes come in: a notifier of its own."""

    def __init__(self, shop: Shop, url: str) -> None:
        self._shop = shop
        self._client = jobs.open_redis(url, timeout=1.0)
        self.notifier = Notifier(jobs.open_broker(self._client))

    def hear_of(self, *numbers: int) -> None:
        for number in numbers:
            item = self._shop.add_item(str(number))
            change = Change(f"k-{number}", Flow.PRODUCTS, "webhook", "Item", str(item["Id"]), connection="default")
            self.notifier.notify([self._shop.receive(change)])

    def close(self) -> None:
        self.notifier.close()
        self._client.close()


@pytest.fixture
def web(shop: Shop, proxy: Proxy) -> Iterator[Web]:
    made = Web(shop, url_of(proxy))
    yield made
    made.close()


def url_of(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}"


def await_done(shop: Shop, count: int) -> None:
    def done() -> bool:
        events = shop.events(entity="Item")
        return len(events) == count and all(event.state == "done" for event in events)

    wait_until(done, seconds=WITHIN, what=f"{count} items to be handled")


@contextmanager
def full(own_valkey: Valkey, _proxy: Proxy) -> Iterator[None]:
    with redis.Redis.from_url(own_valkey.url) as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)


@contextmanager
def read_only(own_valkey: Valkey, _proxy: Proxy) -> Iterator[None]:
    with redis.Redis.from_url(own_valkey.url) as admin:
        admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield
        admin.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def busy(own_valkey: Valkey, _proxy: Proxy) -> Iterator[None]:
    def run_for_ever() -> None:
        with suppress(redis.RedisError), redis.Redis.from_url(own_valkey.url) as other:
            other.eval("while true do end", 0)

    with redis.Redis.from_url(own_valkey.url) as admin:
        admin.config_set("busy-reply-threshold", 20)
        script = threading.Thread(target=run_for_ever)
        script.start()
        yield
        while script.is_alive():
            with suppress(redis.RedisError):
                admin.script_kill()
            script.join(0.1)


@contextmanager
def silent(_server: Valkey, proxy: Proxy) -> Iterator[None]:
    with proxy.during(Blackhole()):
        yield


@contextmanager
def cut(_server: Valkey, proxy: Proxy) -> Iterator[None]:
    proxy.cut()
    yield
    proxy.cut()


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(full, id="44-full"),
        pytest.param(read_only, id="45-read-only"),
        pytest.param(busy, id="45-busy"),
        pytest.param(silent, id="05-silent"),
        pytest.param(cut, id="43-cut"),
    ],
)
def test_05_43_44_45_with_a_failing_broker_work_goes_on(
    shop: Shop,
    engine: Engine,
    own_valkey: Valkey,
    proxy: Proxy,
    web: Web,
    trouble: Callable[[Valkey, Proxy], Iterator[None]],
) -> None:
    with working(engine, {**shop.environment, "REDIS_URL": url_of(proxy)}):
        web.hear_of(3001)
        await_done(shop, 1)
        with trouble(own_valkey, proxy):  # type: ignore[attr-defined]
            web.hear_of(3002, 3003)
            await_done(shop, 3)
        wait_until(lambda: not web.notifier.resting, seconds=WITHIN, what="the web's notifier to try again")
        web.hear_of(3004)
        await_done(shop, 4)
    assert {(event.attempts, event.crashes) for event in shop.events(entity="Item")} == {(1, 0)}


NONSENSE = (
    b"no json at all",
    b'{"queue_name": "gateway"}',
    json.dumps(
        {"queue_name": QUEUE, "actor_name": "nobody", "args": [1], "kwargs": {}, "options": {"redis_message_id": "x"},
         "message_id": "x", "message_timestamp": 0}
    ).encode(),
    json.dumps(
        {"queue_name": QUEUE, "actor_name": "work", "args": ["one"], "kwargs": {}, "options": {"redis_message_id": "y"},
         "message_id": "y", "message_timestamp": 0}
    ).encode(),
)  # fmt: skip


def test_46_50_invalid_messages_and_wake_ups_without_a_row_delay_nothing(
    shop: Shop, engine: Engine, own_valkey: Valkey, proxy: Proxy, web: Web
) -> None:
    with redis.Redis.from_url(own_valkey.url) as admin:
        for number, message in enumerate(NONSENSE):
            admin.hset(f"dramatiq:{QUEUE}.msgs", f"bad-{number}", message)
            admin.rpush(f"dramatiq:{QUEUE}", f"bad-{number}")
    web.notifier.notify([999_999])
    web.hear_of(3001, 3002)
    with working(engine, {**shop.environment, "REDIS_URL": url_of(proxy)}):
        await_done(shop, 2)
        web.hear_of(3003)
        await_done(shop, 3)
    assert {event.state for event in shop.events()} == {"done"}

"""Whatever a network does on the way to either system, at a read or a write: given up in time, and one effect."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine

from gateway.connectors.http import Limits
from gateway.database.session import open_engine
from gateway.store.events import Change, Flow
from sandbox.chaos.faults import Blackhole, Drip, Fault, Latency, LoseReply, LoseRequest, Refuse, Reset, Truncate
from sandbox.chaos.proxy import Proxy
from sandbox.mpluskassa.documents import Tender
from tests.handlers.counter import add_stocked, physical, writes
from tests.handlers.shop import REALM, Shop, sold
from tests.servers import Served, wait_until
from tests.workers.attempts import created, ends_of, handled, made_articles
from workers.connections import ConnectionRegistry

HASTY = Limits(connect=1.5, read=1.5, total=2.0)
MUCH_TOO_LONG = 12.0  # seconds; the machine may be busy, and what drips takes longer
PART = 250  # bytes of an answer: its head and a little
CUTS: dict[str, Callable[[bytes], Fault]] = {
    "reset at connect": lambda _: Refuse(),
    "request lost": LoseRequest,
    "reset mid-answer": lambda _: Reset(PART),
    "truncated": lambda _: Truncate(PART),
    "reply lost": LoseReply,
}
NEVER_SENT_OR_OPEN = {name: ("waiting" if name == "reset at connect" else "uncertain", "done") for name in CUTS}
STALLS: dict[str, Fault] = {"silent": Blackhole(), "dripping": Drip(1, 0.1)}
BOOKS, TILL = range(2)


class FarShop(Shop):
    """A shop both of whose systems are at the end of a network, in `ways`."""

    def __init__(self, engine: Engine) -> None:
        self.ways: list[Proxy] = []
        self.patience: Limits | None = None
        super().__init__(engine)

    def address_of(self, served: Served) -> str:
        """The near end of the way there."""
        place = urlsplit(served.url)
        self.ways.append(Proxy((str(place.hostname), int(place.port or 0))))
        return f"http://127.0.0.1:{self.ways[-1].port}"

    def open_contexts(self) -> ConnectionRegistry:
        """A worker process with this patience."""
        return ConnectionRegistry(self.engine, self._given, self.woken.extend, limits=self.patience)

    def shorten_delays(self) -> None:
        """From now on it is a worker that does not wait for long."""
        self.patience = HASTY
        self.restart()
        self.poll()  # the till's WSDL is read once

    def close(self) -> None:
        """The ways end with the shop."""
        super().close()
        for way in self.ways:
            way.stop()


@dataclass(frozen=True)
class Act:
    """Something that is handled: where the network is bad, for which request, and what it comes to if it is done once.

    `begin` brings about the one of a number and answers whose event it is; `count` counts what exists of its effects.
    """

    system: int
    asking: bytes
    begin: Callable[[FarShop, int], str]
    count: Callable[[FarShop, int], Sequence[int]]
    once: Sequence[int]


def _sell(shop: FarShop, number: int) -> str:
    relation = shop.till.add_relation(name=f"Customer {number}", email=f"c{number}@example.nl")
    receipt = shop.till.sell(lines=[sold(1001)], relation=relation["relationNumber"])
    shop.poll()
    return str(receipt["receiptId"])


def _sell_again(shop: FarShop, number: int) -> str:
    sale = _sell(shop, number)
    shop.contexts.context("default").lists.forget_older_than(0.0)
    return sale


def _invoice(shop: FarShop, number: int) -> str:
    relation = shop.till.add_relation(name=f"Customer {number}", email=f"c{number}@example.nl")
    tenders = [Tender("PIN", 3000), Tender("CONTANT", 2000)]
    made = shop.till.invoice(lines=[sold(1003)], relation=relation["relationNumber"], payments=tenders)
    shop.poll()
    return str(made["invoiceId"])


def _hear(shop: FarShop, item_id: str, key: str) -> str:
    shop.receive(Change(key, Flow.PRODUCTS, "webhook", "Item", item_id, connection="default"))
    return item_id


def _list(shop: FarShop, number: int) -> str:
    return _hear(shop, str(shop.add_item(str(number))["Id"]), f"made-{number}")


def _count(shop: FarShop, number: int) -> str:
    item_id = _hear(shop, str(add_stocked(shop, str(number), 12)["Id"]), f"made-{number}")
    shop.work()
    shop.books.set_stock(REALM, item_id, Decimal(20))
    return _hear(shop, item_id, f"counted-{number}")


def _booked(shop: FarShop, _number: int) -> Sequence[int]:
    return created(shop, "Customer"), created(shop, "SalesReceipt")


def _paid(shop: FarShop, _number: int) -> Sequence[int]:
    return created(shop, "Invoice"), created(shop, "Payment")


def _made(shop: FarShop, number: int) -> Sequence[int]:
    return (made_articles(shop, number),)


def _stocked(shop: FarShop, number: int) -> Sequence[int]:
    return int(physical(shop, number)), writes(shop, "updateStock")


READS = {
    "the books' lists": Act(BOOKS, b"/query?", _sell_again, _booked, (1, 1)),
    "a sale": Act(TILL, b"getReceipts", _sell, _booked, (1, 1)),
}
BOOKINGS = {
    "customer": Act(BOOKS, b"/customer?", _sell, _booked, (1, 1)),
    "receipt": Act(BOOKS, b"/salesreceipt?", _sell, _booked, (1, 1)),
    "payment": Act(BOOKS, b"/payment?", _invoice, _paid, (1, 2)),
}
BRINGINGS = {
    "article": Act(TILL, b"createProduct", _list, _made, (1,)),
    "stock": Act(TILL, b"updateStock", _count, _stocked, (8, 1)),
}


@pytest.fixture
def shop(tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FarShop]:
    monkeypatch.chdir(tmp_path)  # no WSDL is kept there: an earlier test's till may have had the same address
    engine = open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'shop.db')}")
    made = FarShop(engine)
    yield made
    made.close()
    engine.dispose()


def break_once(shop: FarShop, act: Act, number: int, fault: Fault) -> tuple[str, ...]:
    """Inject the fault once, end it, go on. Answers how the attempts ended: all of it in time, its effect once."""
    of_whom, way = act.begin(shop, number), shop.ways[act.system]
    before, struck = act.count(shop, number), way.struck
    asking = b""
    if isinstance(fault, Refuse):
        way.cut()  # only new connections are refused
    else:
        asking = act.asking
    began = time.monotonic()
    with way.during(fault, times=1, asking=asking):
        shop.work()
    assert time.monotonic() - began < MUCH_TOO_LONG
    assert way.struck == struck + 1
    if shop.patience is HASTY:
        shop.restart()
        wait_until(lambda: way.open == 0, what="what was held to have arrived")
    event = handled(shop, of_whom)
    gained = [after - earlier for after, earlier in zip(act.count(shop, number), before, strict=True)]
    assert (event.state, event.crashes, gained) == ("done", 0, list(act.once))
    assert not shop.parked()
    ends = tuple(ends_of(shop, event))
    assert event.attempts == len(ends)
    return ends


def break_each(shop: FarShop, act: Act) -> dict[str, tuple[str, ...]]:
    """How it ends when the connection is cut in each of the ways there are."""
    return {name: break_once(shop, act, 3000 + at, CUTS[name](act.asking)) for at, name in enumerate(CUTS)}


@pytest.mark.parametrize("what", list(READS))
def test_60_a_read_whose_connection_is_cut_anyhow_is_asked_again(shop: FarShop, what: str) -> None:
    assert break_each(shop, READS[what]) == dict.fromkeys(CUTS, ("waiting", "done"))


@pytest.mark.parametrize("what", list(BOOKINGS))
def test_61_a_write_to_the_books_that_is_cut_is_found_and_exists_once(shop: FarShop, what: str) -> None:
    assert break_each(shop, BOOKINGS[what]) == NEVER_SENT_OR_OPEN


@pytest.mark.parametrize("what", list(BRINGINGS))
def test_62_a_write_to_the_till_that_is_cut_is_found_and_exists_once(shop: FarShop, what: str) -> None:
    assert break_each(shop, BRINGINGS[what]) == NEVER_SENT_OR_OPEN


@pytest.mark.parametrize(
    ("act", "ended"),
    [
        *((act, "waiting") for act in READS.values()),
        *((act, "uncertain") for act in (BOOKINGS["receipt"], *BRINGINGS.values())),
    ],
    ids=[*READS, "receipt", *BRINGINGS],
)
def test_60_61_62_slow_answers_are_cut_and_late_writes_are_found(shop: FarShop, act: Act, ended: str) -> None:
    shop.shorten_delays()
    for number, fault in enumerate(STALLS.values(), start=3000):
        # On a very busy machine an honest answer may take too long, too.
        assert break_once(shop, act, number, fault)[-2:] == (ended, "done")


def test_60_a_slow_network_only_takes_time(shop: FarShop) -> None:
    acts = [*READS.values(), *BOOKINGS.values(), *BRINGINGS.values()]
    subjects = [act.begin(shop, number) for number, act in enumerate(acts, start=3000)]
    for way in shop.ways:
        way.begin(Latency(0.02, jitter=0.02))
    events = [handled(shop, of_whom) for of_whom in subjects]
    assert [ends_of(shop, event) for event in events] == [["done"]] * len(acts)
    assert (created(shop, "SalesReceipt"), created(shop, "Payment"), made_articles(shop, 3005)) == (4, 2, 1)
    assert physical(shop, 3006) == Decimal(20)

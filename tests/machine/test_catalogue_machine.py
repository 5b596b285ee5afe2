"""A bookkeeper edits items, the staff alters articles; hints get lost, come twice, in any order. Both systems agree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from gateway.database.session import open_engine
from gateway.store.events import Change, Flow
from handlers import known_records
from tests.conftest import to_sqlalchemy
from tests.handlers.counter import add_category, add_stocked, article, capture, change, has_article, members, physical
from tests.handlers.shop import Shop, sold
from tests.handlers.test_first_load import load
from tests.servers import Postgres

PRICES = st.sampled_from(["0.00", "0.01", "2.95", "12.50", "100.00"])
ALTERED = st.fixed_dictionaries({}, optional={"priceIncl": st.integers(1, 999), "active": st.booleans()})
NAMES = st.sampled_from(["Kaas", "Oude kaas", "Brood", "Thé & koffie", "Ünïcode"])


class Catalogue(RuleBasedStateMachine):
    """Each rule is an action of a person, or of the network that carries the news of it."""

    database: Callable[[], AbstractContextManager[str]]

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.engine = open_engine(self.opened.enter_context(type(self).database()))
        self.shop = Shop(self.engine)
        self.groups = [add_category(self.shop, name)["Id"] for name in ("Food", "Gifts")]
        self.items: list[str] = []
        self.hints: list[str] = []
        self.told = 0

    @rule(price=PRICES, pieces=st.integers(-3, 50))
    def add_item(self, price: str, pieces: int) -> None:
        sku = str(7001 + len(self.items))
        item = add_stocked(self.shop, sku, pieces, price=price)
        self.items.append(str(item["Id"]))
        self.hints.append(str(item["Id"]))

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def edit_item(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.items), label="item")
        self.edit(item, **data.draw(st.fixed_dictionaries({}, optional=self.edits()), label="fields"))

    def edits(self) -> dict[str, st.SearchStrategy[Any]]:
        under = [{"value": group} for group in self.groups]
        return {
            "UnitPrice": PRICES.map(Decimal),
            "Description": NAMES | st.just(""),
            "Active": st.booleans(),
            "QtyOnHand": st.integers(-3, 60).map(Decimal),
            "ParentRef": st.sampled_from(under),
        }

    def edit(self, item: str, **fields: Any) -> None:
        if "ParentRef" in fields:
            fields["SubItem"] = True
        change(self.shop, item, **fields)
        self.hints.append(item)

    @precondition(lambda self: self.items)
    @rule(data=st.data(), pieces=st.integers(1, 3))
    def sell(self, data: st.DataObject, pieces: int) -> None:
        number = 7001 + data.draw(st.integers(0, len(self.items) - 1), label="article")
        if has_article(self.shop, number):
            self.shop.till.sell(lines=[sold(number, pieces)])

    @precondition(lambda self: self.items)
    @rule(data=st.data(), fields=ALTERED)
    def alter_by_hand(self, data: st.DataObject, fields: dict[str, Any]) -> None:
        number = 7001 + data.draw(st.integers(0, len(self.items) - 1), label="article")
        if has_article(self.shop, number):
            self.shop.till.till["articles"].get(number).update(fields)

    @precondition(lambda self: self.hints)
    @rule(data=st.data())
    def deliver_some_hint(self, data: st.DataObject) -> None:
        """Any of them, in any order, perhaps once more later."""
        self.tell(data.draw(st.sampled_from(self.hints), label="hint"))

    @precondition(lambda self: self.hints)
    @rule(data=st.data())
    def lose_a_hint(self, data: st.DataObject) -> None:
        self.hints.remove(data.draw(st.sampled_from(self.hints), label="lost"))

    def tell(self, item: str) -> None:
        self.told += 1
        hint = Change(f"hint-{self.told}", Flow.PRODUCTS, "webhook", "Item", item, connection="default")
        self.shop.receive(hint)

    @rule()
    def work(self) -> None:
        self.shop.settle()

    def teardown(self) -> None:
        try:
            self.agree()
        finally:
            self.shop.close()
            self.engine.dispose()
            self.opened.close()

    def agree(self) -> None:
        """Drain, let change data capture tell what was lost, bring all in step once, compare every article."""
        self.drain()
        if waiting := self.shop.parked():
            # Sold before its item was made inactive: that waits for the bookkeeper, who does what the message advises.
            assert {event.code for event in waiting} == {known_records.INACTIVE_ITEM}
            for item in self.items:
                change(self.shop, item, Active=True)
            self.drain()
        load(self.shop, Flow.PRODUCTS)
        assert self.shop.parked() == []
        for item in self.items:
            self.compare(self.shop.find("Item", Id=item))

    def drain(self) -> None:
        for _ in range(4):
            self.shop.settle()
            capture(self.shop)
            for event in self.shop.events(state="waiting"):
                self.shop.retry(event)

    def compare(self, item: dict[str, Any]) -> None:
        number = int(item["Sku"])
        if not has_article(self.shop, number):
            assert item["Active"] is False  # never was worth telling the till of
            return
        found = article(self.shop, number)
        assert found["active"] is item["Active"]
        assert found["extArticleId"] == item["Id"]
        assert found["priceIncl"] == int(item["UnitPrice"] * 100)
        assert found["extraText"] == item.get("Description", "")
        assert physical(self.shop, number) == item["QtyOnHand"]
        group = {"Food": self.groups[0], "Gifts": self.groups[1]}
        parent = item.get("ParentRef", {}).get("value")
        for name, id_ in group.items():
            assert (number in members_or_none(self.shop, name)) is (parent == id_)


def members_or_none(shop: Shop, group: str) -> set[int]:
    return members(shop, group) if any(row["name"] == group for row in shop.till.till["groups"]) else set()


@contextmanager
def copy_of(migrated: Path) -> Iterator[str]:
    """A copy of a migrated SQLite file, for as long as it is used."""
    with tempfile.TemporaryDirectory(prefix="kb") as folder:
        yield f"sqlite:///{shutil.copy(migrated, Path(folder) / 'shop.db')}"


@contextmanager
def database_of(server: Postgres) -> Iterator[str]:
    """A fresh migrated database of a PostgreSQL server, for as long as it is used."""
    with server.migrated() as url:
        yield to_sqlalchemy(url)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "examples", "steps"), [("sqlite", 4, 20), ("postgres", 2, 14)])
def test_whatever_is_edited_lost_doubled_and_reordered_both_systems_agree(
    request: pytest.FixtureRequest, kind: str, examples: int, steps: int
) -> None:
    if kind == "postgres":
        Catalogue.database = partial(database_of, request.getfixturevalue("postgres"))
    else:
        Catalogue.database = partial(copy_of, request.getfixturevalue("migrated_sqlite"))
    run_state_machine_as_test(
        Catalogue,
        settings=settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck)),
    )

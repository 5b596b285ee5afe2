"""A shop per test, on SQLite alone unless the store has a part in it: its own tests hold both databases to a word."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.store.session import open_engine
from tests.handlers.shop import Shop


@pytest.fixture
def open_shop(tmp_path: Path, migrated_sqlite: Path) -> Iterator[Callable[..., Shop]]:
    """Call it with a settings document for a connected shop."""
    copy = tmp_path / "shop.db"
    shutil.copy(migrated_sqlite, copy)
    engine = open_engine(f"sqlite:///{copy}")
    shops: list[Shop] = []

    def make(document: str = "", *, wsdl: bytes | None = None) -> Shop:
        shops.append(Shop(engine, document, wsdl=wsdl))
        return shops[-1]

    yield make
    for shop in shops:
        shop.close()
    engine.dispose()


@pytest.fixture
def shop_of_each(engine: Engine) -> Iterator[Shop]:
    """A shop with the default settings, once on SQLite and once on PostgreSQL: for what the store has a part in."""
    made = Shop(engine)
    yield made
    made.close()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with the default settings."""
    return open_shop()

"""A shop per test, on SQLite only unless the test concerns the store: the store's own tests use both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import DATABASES, migrated
from tests.engines import cheap_engine
from tests.handlers.shop import Shop


@pytest.fixture
def shop_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database with all our tables: SQLite, or by `shop.on_both_databases`."""
    kind = getattr(request, "param", DATABASES[0])
    with migrated(request, kind, tmp_path / "shop.db") as url:
        yield url


@pytest.fixture
def open_shop(shop_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Shop]]:
    """Call it with a settings document for a connected shop."""
    monkeypatch.chdir(tmp_path)  # here is no `var`, in which each shop would leave the till's WSDL
    shops: list[Shop] = []
    with cheap_engine(shop_database) as engine:

        def make(document: str = "", *, wsdl: bytes | None = None) -> Shop:
            shops.append(Shop(engine, document, wsdl=wsdl))
            return shops[-1]

        yield make
        for shop in shops:
            shop.close()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop with the default settings."""
    return open_shop()

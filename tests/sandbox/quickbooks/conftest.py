"""One real server for all tests of this folder, with a fresh simulation for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.quickbooks.app import Intuit
from tests.sandbox.quickbooks.desk import Desk, make_simulation, open_desk, serve


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[Intuit, str]]:
    """The application and its address."""
    with serve(make_simulation()) as running:
        yield running


@pytest.fixture
def desk(served: tuple[Intuit, str]) -> Iterator[Desk]:
    """A fresh simulation with one Dutch company."""
    app, url = served
    app.state.simulation = make_simulation()
    with open_desk(app.state.simulation, url) as opened:
        yield opened


@pytest.fixture
def own_desk() -> Iterator[Desk]:
    """A fresh simulation on a server of its own: for tests that leave the webhook sender busy."""
    simulation = make_simulation()
    with serve(simulation) as (_, url), open_desk(simulation, url) as opened:
        yield opened

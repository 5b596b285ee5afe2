"""A simulation survives a restart, and is the same every time it is told the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import simplejson

from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.sandbox.mpluskassa.conftest import Clock, stocked
from tests.servers import Served, wait_until


def trade(simulation: Simulation) -> None:
    simulation.count_stock(1, 1001, Decimal("2.5"))
    sold = simulation.sell(lines=[ItemSold(1001, Decimal("0.5"))])
    simulation.refund(sold["receiptId"])
    simulation.take_order(lines=[ItemSold(1001)], relation=501)
    simulation.invoice(lines=[ItemSold(2001)], relation=501)


def fresh_clock() -> Clock:
    return Clock(datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM))


def dump(simulation: Simulation) -> str:
    return simplejson.dumps(simulation.till.to_snapshot(), use_decimal=True, sort_keys=True)


def test_a_saved_simulation_opens_as_it_was_and_goes_on(tmp_path: Path) -> None:
    simulation, path = stocked(fresh_clock()), tmp_path / "saved.json"
    trade(simulation)
    simulation.save(path)
    again = Simulation(clock=fresh_clock(), snapshot=path)
    assert dump(again) == dump(simulation)
    clocks: list[Any] = [simulation.till, again.till]
    for till in clocks:
        till.clock = fresh_clock()
    trade(simulation)
    trade(again)
    assert dump(again) == dump(simulation)


def test_the_same_story_gives_the_same_numbers_and_ids() -> None:
    simulations = [stocked(fresh_clock()) for _ in "12"]
    for simulation in simulations:
        trade(simulation)
    assert dump(simulations[0]) == dump(simulations[1])


def test_the_served_simulation_saves_itself_while_running_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    simulation = stocked(fresh_clock(), snapshot=path)
    served = Served(create_app(simulation))
    wait_until(path.exists, seconds=5, what="the first snapshot")
    simulation.sell(lines=[ItemSold(1001)])
    served.stop()
    assert dump(Simulation(clock=fresh_clock(), snapshot=path)) == dump(simulation)


def test_a_simulation_without_a_snapshot_writes_nothing(tmp_path: Path, serve: Callable[..., str]) -> None:
    serve(create_app(stocked(fresh_clock())))
    assert list(tmp_path.iterdir()) == []

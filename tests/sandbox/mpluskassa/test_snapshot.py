"""A world survives a restart, and is the same every time it is told the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import simplejson

from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.mpluskassa.world import World
from tests.sandbox.mpluskassa.conftest import Clock, stocked
from tests.servers import Served, wait_until


def trade(world: World) -> None:
    world.count_stock(1, 1001, Decimal("2.5"))
    sold = world.sell(lines=[ItemSold(1001, Decimal("0.5"))])
    world.refund(sold["receiptId"])
    world.take_order(lines=[ItemSold(1001)], relation=501)
    world.invoice(lines=[ItemSold(2001)], relation=501)


def fresh_clock() -> Clock:
    return Clock(datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM))


def dump(world: World) -> str:
    return simplejson.dumps(world.till.to_snapshot(), use_decimal=True, sort_keys=True)


def test_a_saved_world_opens_as_it_was_and_goes_on(tmp_path: Path) -> None:
    world, path = stocked(fresh_clock()), tmp_path / "world.json"
    trade(world)
    world.save(path)
    again = World(clock=fresh_clock(), snapshot=path)
    assert dump(again) == dump(world)
    clocks: list[Any] = [world.till, again.till]
    for till in clocks:
        till.clock = fresh_clock()
    trade(world)
    trade(again)
    assert dump(again) == dump(world)


def test_the_same_story_gives_the_same_numbers_and_ids() -> None:
    worlds = [stocked(fresh_clock()) for _ in "12"]
    for world in worlds:
        trade(world)
    assert dump(worlds[0]) == dump(worlds[1])


def test_the_served_world_saves_itself_while_running_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    world = stocked(fresh_clock(), snapshot=path)
    served = Served(create_app(world))
    wait_until(path.exists, seconds=5, what="the first snapshot")
    world.sell(lines=[ItemSold(1001)])
    served.stop()
    assert dump(World(clock=fresh_clock(), snapshot=path)) == dump(world)


def test_a_world_without_a_snapshot_writes_nothing(tmp_path: Path, serve: Callable[..., str]) -> None:
    serve(create_app(stocked(fresh_clock())))
    assert list(tmp_path.iterdir()) == []

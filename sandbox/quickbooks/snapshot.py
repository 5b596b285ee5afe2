"""A world as one JSON file, so that the demo's books survive a restart."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.quickbooks import wire
from sandbox.quickbooks.company import Company, Tombstone
from sandbox.quickbooks.faults import Json

if TYPE_CHECKING:
    from sandbox.quickbooks.world import World

_FIELDS = (
    "person",
    "warn_duplicates",
    "subscription_ended",
    "denied",
    "elsewhere",
    "custom_fields",
    "rows",
    "answers",
    "series",
)


def save(world: World, path: Path) -> None:
    """Write the world beside `path` and move it into place."""
    body = {
        "seed": world.seed,
        "offset": world.clock.offset,
        "switches": world.switches.to_json(),
        "grants": world.grants.to_json(),
        "outbox": world.outbox.to_json(),
        "ledger": world.ledger.to_json(),
        "companies": {realm: _to_json(company) for realm, company in world.companies.items()},
    }
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(wire.dump(body))
    draft.replace(path)


def load(world: World, path: Path) -> World:
    """Fill an empty world from a saved file."""
    saved = wire.load_object(path.read_bytes())
    world.seed = saved["seed"]
    world.grants.seed = world.outbox.seed = saved["seed"]
    world.clock.offset = float(saved["offset"])
    world.switches.apply(saved["switches"])
    world.grants.restore(saved["grants"])
    world.outbox.restore(saved["outbox"])
    world.ledger.restore(saved["ledger"])
    for realm, company in saved["companies"].items():
        _restore(world.add_company(realm), company)
    return world


def _to_json(company: Company) -> Json:
    body: Json = {name: getattr(company, name) for name in _FIELDS}
    return {**body, "tombstones": [asdict(each) for each in company.tombstones]}


def _restore(company: Company, saved: Json) -> None:
    for name in saved.keys() & set(_FIELDS):
        setattr(company, name, saved[name])
    company.tombstones = [Tombstone(**each) for each in saved["tombstones"]]
    company.index_names()

"""A simulation as one JSON file, so that the demo's books survive a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from sandbox.quickbooks import wire
from sandbox.quickbooks.company import Company, Tombstone
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.simulation import Simulation

_FIELDS = (
    "person",
    "warn_duplicates",
    "subscription_ended",
    "denied",
    "elsewhere",
    "locked_out",
    "view_only",
    "custom_fields",
    "rows",
    "answers",
    "series",
)


def save(simulation: Simulation, path: Path) -> None:
    """Write everything to one JSON file beside `path`, and move it into place."""
    with simulation.lock:
        body = wire.dump(
            {
                "seed": simulation.seed,
                "offset": simulation.clock.offset,
                "switches": simulation.switches.to_json(),
                "grants": simulation.grants.to_json(),
                "outbox": simulation.outbox.to_json(),
                "ledger": simulation.ledger.to_json(),
                "companies": {realm: _to_json(company) for realm, company in simulation.companies.items()},
            }
        )
        draft = path.with_name(path.name + ".new")
        draft.write_bytes(body)
        draft.replace(path)


def load(path: Path, *, time_source: Callable[[], float] | None = None) -> Simulation:
    """A simulation as it was saved."""
    saved, simulation = wire.load_object(path.read_bytes()), Simulation(time_source=time_source)
    simulation.seed = saved["seed"]
    simulation.grants.seed = simulation.outbox.seed = saved["seed"]
    simulation.clock.offset = float(saved["offset"])
    simulation.switches.apply(saved["switches"])
    simulation.grants.restore(saved["grants"])
    simulation.outbox.restore(saved["outbox"])
    simulation.ledger.restore(saved["ledger"])
    for realm, company in saved["companies"].items():
        _restore(simulation.add_company(realm), company)
    return simulation


def _to_json(company: Company) -> Json:
    body: Json = {name: getattr(company, name) for name in _FIELDS}
    return {**body, "tombstones": [asdict(each) for each in company.tombstones]}


def _restore(company: Company, saved: Json) -> None:
    for name in saved.keys() & set(_FIELDS):
        setattr(company, name, saved[name])
    company.tombstones = [Tombstone(**each) for each in saved["tombstones"]]
    company.index_names()

"""A simulation that is saved and loaded goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

from sandbox.quickbooks import snapshot
from tests.sandbox.quickbooks.desk import REALM, Desk, make_simulation, open_desk, serve


def test_a_restarted_simulation_keeps_books_tokens_answers_and_ledger(desk: Desk, tmp_path: Path) -> None:
    body = desk.receipt(desk.line("10.00"), DocNumber="A")
    first = desk.post("salesreceipt", body, requestid="once")
    gone = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
    desk.simulation.delete(REALM, "SalesReceipt", gone["Id"])
    desk.control("POST", "switches", {"tax_rounding": "code", "deliveries": {"group_seconds": 0.5}})
    path = tmp_path / "saved.json"
    snapshot.save(desk.simulation, path)
    loaded = snapshot.load(path)
    for entity in ("Item", "SalesReceipt", "TaxCode", "Preferences"):
        assert loaded.rows(REALM, entity) == desk.simulation.rows(REALM, entity)
    assert loaded.ledger.to_json() == desk.simulation.ledger.to_json()
    assert loaded.switches.to_json() == desk.simulation.switches.to_json()
    assert list(loaded.outbox.waiting) == list(desk.simulation.outbox.waiting)
    with serve(loaded) as (_, url):
        desk.url, desk.simulation = url, loaded
        assert desk.post("salesreceipt", body, requestid="once") == first
        assert desk.fault("salesreceipt", body)["code"] == "6140"
        (found,) = desk.get("cdc", entities="SalesReceipt", changedSince="2026-01-01")["CDCResponse"]
        assert found["QueryResponse"][0]["maxResults"] == 2
        created = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
        assert int(created["Id"]) > int(gone["Id"])


def test_two_simulations_with_one_seed_make_the_same_tokens_and_ids(desk: Desk) -> None:
    other = make_simulation()
    with serve(other) as (_, url), open_desk(other, url) as twin:
        assert twin.tokens == desk.tokens
        assert twin.item_id == desk.item_id

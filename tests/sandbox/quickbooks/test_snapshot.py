"""A world that is saved and loaded goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

from sandbox.quickbooks.world import World
from tests.sandbox.quickbooks.desk import REALM, Desk, make_world, open_desk, serve


def test_a_restarted_world_keeps_books_tokens_answers_and_ledger(desk: Desk, tmp_path: Path) -> None:
    body = desk.receipt(desk.line("10.00"), DocNumber="A")
    first = desk.post("salesreceipt", body, requestid="once")
    gone = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
    desk.world.delete(REALM, "SalesReceipt", gone["Id"])
    desk.control("POST", "switches", {"tax_rounding": "code", "deliveries": {"group_seconds": 0.5}})
    path = tmp_path / "world.json"
    desk.world.save(path)
    loaded = World.load(path)
    for entity in ("Item", "SalesReceipt", "TaxCode", "Preferences"):
        assert loaded.rows(REALM, entity) == desk.world.rows(REALM, entity)
    assert loaded.ledger.to_json() == desk.world.ledger.to_json()
    assert loaded.switches.to_json() == desk.world.switches.to_json()
    assert list(loaded.outbox.waiting) == list(desk.world.outbox.waiting)
    with serve(loaded) as (_, url):
        desk.url, desk.world = url, loaded
        assert desk.post("salesreceipt", body, requestid="once") == first
        assert desk.fault("salesreceipt", body)["code"] == "6140"
        (found,) = desk.get("cdc", entities="SalesReceipt", changedSince="2026-01-01")["CDCResponse"]
        assert found["QueryResponse"][0]["maxResults"] == 2
        created = desk.post("salesreceipt", desk.receipt(desk.line("1.00")))["SalesReceipt"]
        assert int(created["Id"]) > int(gone["Id"])


def test_two_worlds_with_one_seed_make_the_same_tokens_and_ids(desk: Desk) -> None:
    other = make_world()
    with serve(other) as (_, url), open_desk(other, url) as twin:
        assert twin.tokens == desk.tokens
        assert twin.item_id == desk.item_id

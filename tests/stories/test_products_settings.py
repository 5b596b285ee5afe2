"""The settings document at work: refused as a whole with every fault, and in force without a restart."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.servers import wait_until
from tests.stories.stage import REALM, Stage

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def put_settings(stage: Stage, document: str) -> httpx.Response:
    address = f"{stage.url}/admin/connections/default/settings"
    return httpx.put(address, headers=stage.bearer, content=document, timeout=20)


def put_once_checked(stage: Stage, document: str) -> httpx.Response:
    """The answer of a worker that looked; while none has reported, or none answers in time, the document is taken."""
    answers: list[httpx.Response] = []

    def is_checked() -> bool:
        answers.append(put_settings(stage, document))
        if answers[-1].status_code == 200 and not answers[-1].json()["checked"]:
            # A fault that the document in force already has refuses no other document.
            assert put_settings(stage, "# nothing is set").status_code == 200
            return False
        return True

    wait_until(is_checked, seconds=60, what="a worker to check the document")
    return answers[-1]


def preview(stage: Stage, item_id: str) -> dict[str, Any]:
    answer = stage.post("connections/default/preview?wait=20", {"flow": "products", "id": item_id})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["result"]
    return found


def test_a_changed_setting_changes_what_happens_without_a_restart(stage: Stage) -> None:
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    refused = put_settings(stage, '[products]\ncurency = "EUR"\n[stock]\nformula = "on_hand - gone"')
    assert refused.status_code == 422
    assert {fault["path"] for fault in refused.json()["faults"]} == {"products.curency", "stock.formula"}
    nowhere = put_once_checked(stage, "[stock]\nmain_branch = 99\n[products]\nturnover_group = 555\n")
    assert nowhere.status_code == 422, nowhere.text
    assert {fault["path"] for fault in nowhere.json()["faults"]} == {"stock.main_branch", "products.turnover_group"}
    letters = stage.add_item("KAAS-1", "12.50", name="Oude kaas")
    wait_until(lambda: stage.events(state="parked"), seconds=20, what="the SKU with letters to be refused")
    assert preview(stage, letters["Id"])["outcome"] == "parked"
    taken = put_once_checked(stage, '[products]\nsku_with_letters = "allocate"')
    assert (taken.status_code, taken.json()["checked"]) == (200, True)

    def is_carried() -> bool:
        stage.post("events/retry", {"flow": "products"})
        return bool(stage.articles())

    wait_until(is_carried, seconds=20, what="the new setting to be in force")
    wait_until(lambda: not stage.events(state="parked"), seconds=20, what="nothing to be parked")
    (article,) = stage.articles().values()
    assert (article["pluNumber"], article["extArticleId"]) == ("KAAS-1", letters["Id"])
    told = preview(stage, letters["Id"])
    assert {row["field"]: row["value"] for row in told["fields"]}["price_incl_cents"] == 1250


def test_a_first_load_through_the_api_shows_how_far_it_is_and_ends(stage: Stage) -> None:
    for number in range(7001, 7031):
        stage.add_item(str(number), "1.00")
    stage.books.put(REALM, "Item", {"Name": "Food", "Type": "Category"})
    stage.migrate()
    stage.start("web", "worker")
    answer = stage.post("flows/products/backfill", {})
    assert answer.status_code == 202, answer.text
    wait_until(lambda: len(stage.articles()) == 30, seconds=30, what="the whole catalogue at the till")

    def ended() -> bool:
        return any(e["entity"] == "Backfill" and e["state"] == "done" for e in stage.events(flow="products"))

    wait_until(ended, seconds=20, what="the backfill to end")
    (event,) = [e for e in stage.events(flow="products", limit=200) if e["entity"] == "Backfill"]
    assert "30 done" in event["reason"] or "31 done" in event["reason"]

"""Two people ask for the same order at the same moment: the work is done once, and both answers say what came of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx

from gateway.database.session import writing
from gateway.store import claims
from gateway.store.events import Outcome, State
from tests.claiming import claim_next, finish
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import Gateway
from tests.servers import wait_until


def resend(gateway: Gateway, reason: str) -> httpx.Response:
    return gateway.admin("POST", "/admin/orders/345/resend?wait=20", json={"reason": reason}, timeout=30)


def work_once(gateway: Gateway) -> None:
    """A worker that is woken when both have asked."""
    wait_until(lambda: len(gateway.rows()) > 1, seconds=20, what="both requests")
    event = claims.claim(gateway.engine, gateway.rows()[-1].id or 0)
    assert event is not None
    with writing(gateway.engine) as session:
        finish(session, event, Outcome(State.DONE, facts={"target_id": "88"}))
    assert claim_next(gateway.engine) is None


@on_both_databases
def test_d11_two_resends_at_once_get_the_result_of_one_run(gateway: Gateway) -> None:
    with ThreadPoolExecutor(3) as pool:
        worker = pool.submit(work_once, gateway)
        answers = list(pool.map(lambda person: resend(gateway, person), ("Anna", "Bram")))
        worker.result()
    results = [(answer.status_code, answer.json()["state"], answer.json()["target"]["id"]) for answer in answers]
    assert results == [(200, "done", "88")] * 2
    assert answers[0].headers["location"] == answers[1].headers["location"]
    assert sorted(row[3] or "" for row in gateway.audit()) == ["Anna", "Bram"]

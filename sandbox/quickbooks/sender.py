"""Delivers waiting webhook events: grouped, signed, retried on Intuit's schedule, and mishandled when told to."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import httpx

from sandbox.quickbooks import clock, webhooks
from sandbox.quickbooks.switches import RETRY_SECONDS

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation
    from sandbox.quickbooks.webhooks import Event

_IDLE_SECONDS = 0.05
_LAST_STEP = 21_600.0
# A connection that is reset as it opens is an AttributeError of the library (no peer to name), not one of HTTP's.
_FAILURES = (httpx.HTTPError, TimeoutError, OSError, AttributeError)
_log = logging.getLogger(__name__)


@cache
def _tls() -> ssl.SSLContext:
    """The authorities that a receiver's certificate is checked against, read once for every simulation."""
    return httpx.create_ssl_context(trust_env=False)


async def run(find_simulation: Callable[[], Simulation]) -> None:
    """Deliver until cancelled. The first undelivered group holds back what came later, as Intuit does."""
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False, verify=_tls()) as client:
        while True:
            simulation = find_simulation()
            plan = simulation.switches.deliveries
            if not plan.url or plan.paused or not simulation.outbox.waiting:
                await asyncio.sleep(_IDLE_SECONDS)
                continue
            await asyncio.sleep(plan.group_seconds + plan.delay_seconds)
            await _deliver_group(simulation, client)


async def _deliver_group(simulation: Simulation, client: httpx.AsyncClient) -> None:
    with simulation.lock:
        group = simulation.outbox.take_group(simulation.switches.deliveries.largest_group)
    plan = simulation.switches.deliveries
    if simulation.draw(plan.drop_rate):
        _acknowledge(simulation, group, delivered=False)
        return
    sent = list(reversed(group)) if simulation.draw(plan.reorder_rate) else group
    if await _deliver(simulation, client, sent):
        _acknowledge(simulation, group, delivered=True)
        if simulation.draw(plan.duplicate_rate):
            await _post(simulation, client, sent)


def _acknowledge(simulation: Simulation, group: list[Event], *, delivered: bool) -> None:
    with simulation.lock:
        simulation.outbox.drop(group)
        if delivered:
            simulation.outbox.delivered += len(group)
            simulation.outbox.acknowledged += group


async def _deliver(simulation: Simulation, client: httpx.AsyncClient, events: list[Event]) -> bool:
    """Try until acknowledged; False when deliveries were switched off meanwhile."""
    attempt = 0
    while not await _post(simulation, client, events):
        await asyncio.sleep(_wait(attempt) * simulation.switches.deliveries.time_scale)
        attempt += 1
        if not simulation.switches.deliveries.url or simulation.switches.deliveries.paused:
            return False
    return True


def _wait(attempt: int) -> float:
    return RETRY_SECONDS[attempt] if attempt < len(RETRY_SECONDS) else _LAST_STEP


async def _post(simulation: Simulation, client: httpx.AsyncClient, events: list[Event]) -> bool:
    plan = simulation.switches.deliveries
    body = webhooks.to_body(events, plan.format)
    simulation.outbox.attempts += 1
    headers = {
        "content-type": "application/json; charset=utf-8",
        "intuit-signature": webhooks.sign(body, plan.verifier),
        "intuit-created-time": clock.to_stamp(simulation.clock.now()),
        "intuit-t-id": events[0].key,
        "intuit-notification-schema-version": "1.0" if plan.format == "cloudevents" else "0.1",
        "user-agent": "intuit_notification_server/0.1",
    }
    try:
        async with asyncio.timeout(plan.timeout_seconds):
            answer = await client.post(plan.url, content=body, headers=headers, timeout=plan.timeout_seconds)
    except _FAILURES as error:
        _log.info("webhook delivery failed: %s", type(error).__name__)
        return False
    return answer.status_code == httpx.codes.OK

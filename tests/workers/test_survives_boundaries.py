"""A worker is killed, fails or is suspended at every boundary of its work: all is handled in the end, and once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, update
from sqlmodel import col
from structlog.testing import capture_logs

from gateway import failpoints
from gateway.database.session import writing
from gateway.database.sql import epoch, moment
from gateway.store.events import Change, Flow, State
from gateway.store.tables import CallSlotRow, InboxRow, LeaseRow
from tests import mortal
from tests.handlers.shop import REALM, Shop, sold
from tests.workers import live
from workers import retry_policy

SALE = (
    "before_claim",
    "after_claim:Receipt",
    "before_call:getReceipts",
    "before_call:POST customer",
    "after_call:POST customer",
    "before_call:POST salesreceipt",
    "after_call:POST salesreceipt",
    "before_record:Receipt",
    "after_record:Receipt",
)
ITEM = (
    "before_claim",
    "after_claim:Item",
    "before_call:createProduct",
    "after_call:createProduct",
    "before_record:Item",
    "after_record:Item",
)
PLACES = {"sale": SALE, "item": ITEM}
BEFORE_IT_IS_OURS = ("before_claim",)
WHEN_ALL_IS_SAID = ("after_record:Receipt", "after_record:Item")

each_kind = pytest.mark.parametrize("what", list(PLACES))


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    made = Shop(engine)
    yield made
    failpoints.arm({})
    made.close()


@pytest.fixture
def environ(shop: Shop, migrated_url: str) -> dict[str, str]:
    """The environment of another process of this gateway."""
    return {**shop.environment, "DATABASE_URL": migrated_url.replace("postgresql+psycopg", "postgresql")}


def bring_about(shop: Shop, what: str, number: int) -> int:
    """A sale to an unknown customer, or an item that is not sold yet; answers its event."""
    if what == "item":
        item = shop.add_item(str(number))
        return shop.receive(
            Change(f"k-{number}", Flow.PRODUCTS, "webhook", "Item", str(item["Id"]), connection="default")
        )
    relation = shop.till.add_relation(name=f"Customer {number}", email=f"c{number}@example.nl")
    receipt = shop.till.sell(lines=[sold(1001)], relation=relation["relationNumber"])
    shop.poll()
    shop.restart()  # what this process may call is given back
    return shop.newest(str(receipt["receiptId"])).id


def set_leases(engine: Engine, seconds: float) -> None:
    """Shorten or end the leases of a killed or suspended worker's events; its call slots end at once."""
    working = col(InboxRow.state) == State.WORKING
    with writing(engine) as session:
        session.execute(update(InboxRow).where(working).values(leased_until=moment(seconds)))
        session.execute(update(CallSlotRow).values(leased_until=epoch() - 0.1))
        session.execute(update(LeaseRow).values(leased_until=moment(-0.1)))


def arm(*mishaps: str) -> None:
    failpoints.arm({failpoints.VARIABLE: ",".join(mishaps)})


def assert_once(shop: Shop, what: str, count: int) -> None:
    """So many sales are as many documents and customers; so many items, numbered from 3000, as many articles."""
    for entity in ("SalesReceipt", "Customer"):
        made = shop.books.ledger.find_effects(realm=REALM, entity=entity, operation="create", source="api")
        assert len(made) == (count if what == "sale" else 0), entity
    articles = [n for entry in shop.till.till.ledger if entry["effect"] == "createProduct" for n in entry["articles"]]
    made_up = sorted(number for number in articles if number >= 3000)
    assert made_up == (list(range(3000, 3000 + count)) if what == "item" else [])


@each_kind
def test_38_killed_with_9_at_every_boundary_all_is_handled_once(
    shop: Shop, engine: Engine, environ: dict[str, str], what: str
) -> None:
    ids = []
    for number, place in enumerate(PLACES[what], start=3000):
        ids.append(bring_about(shop, what, number))
        mortal.die(mortal.handle, {**environ, failpoints.VARIABLE: place}, ids[-1])
        state = shop.event(ids[-1]).state
        assert state == {"before_claim": "received"}.get(place, "done" if place in WHEN_ALL_IS_SAID else "working")
        set_leases(engine, 3600)
    set_leases(engine, -1)
    shop.work()
    events = [shop.event(event_id) for event_id in ids]
    assert {event.state for event in events} == {"done"}
    crashes = [event.crashes for event in events]
    assert crashes == [int(place not in (*BEFORE_IT_IS_OURS, *WHEN_ALL_IS_SAID)) for place in PLACES[what]]
    assert_once(shop, what, len(ids))


@each_kind
@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_38_an_internal_error_at_any_boundary_loses_and_doubles_nothing(shop: Shop, engine: Engine, what: str) -> None:
    ids = []
    with capture_logs():  # printing our own traceback costs seconds
        for number, place in enumerate(PLACES[what], start=3000):
            ids.append(bring_about(shop, what, number))
            fail_at(shop, engine, place, ids[-1])
            event = shop.event(ids[-1])
            shop.retry(event) if event.state == "parked" else shop.work()
    assert {shop.event(event_id).state for event_id in ids} == {"done"}
    assert_once(shop, what, len(ids))


def fail_at(shop: Shop, engine: Engine, place: str, event_id: int) -> None:
    """Work on the event until the place is met; it is then visibly parked, or still to be done, or done."""
    arm(f"{place}=raise")
    try:
        shop.worker.work(event_id)
    except failpoints.InjectedFault:
        set_leases(engine, -1)
    event = shop.event(event_id)
    assert event.code == "unexpected" if event.state == "parked" else event.state in {"received", "working", "done"}


@each_kind
@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_40_suspended_at_any_boundary_a_worker_is_replaced_and_fenced(
    shop: Shop, engine: Engine, environ: dict[str, str], what: str
) -> None:
    places = [place for place in PLACES[what] if place not in (*BEFORE_IT_IS_OURS, *WHEN_ALL_IS_SAID)]
    for number, place in enumerate(places, start=3000):
        event_id = bring_about(shop, what, number)
        with mortal.frozen(mortal.handle, {**environ, failpoints.VARIABLE: f"{place}=freeze"}, event_id):
            set_leases(engine, -1)
            shop.work()
            known = shop.event(event_id)
            assert (known.state, known.attempts, known.crashes) == ("done", 2, 1), place
            shop.restart()
        assert shop.event(event_id) == known, place
    assert_once(shop, what, len(places))


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_pause_at_every_boundary_only_takes_time(shop: Shop) -> None:
    event_id = bring_about(shop, "sale", 3000)
    arm(*(f"{place}=stall 0.05" for place in SALE))
    began = time.monotonic()
    shop.worker.work(event_id)
    assert time.monotonic() - began > 0.05 * len(SALE)
    assert (shop.event(event_id).state, shop.event(event_id).attempts) == ("done", 1)
    assert_once(shop, "sale", 1)


def test_47_an_event_that_crashes_every_worker_is_parked(shop: Shop, engine: Engine, environ: dict[str, str]) -> None:
    crashing = bring_about(shop, "item", 3000)
    harmless = bring_about(shop, "sale", 3001)
    for _ in range(retry_policy.MAX_CRASHES):
        mortal.die(mortal.handle, {**environ, failpoints.VARIABLE: "after_claim:Item"}, crashing)
        set_leases(engine, -1)
    shop.work()
    parked = shop.event(crashing)
    assert (parked.state, parked.code, parked.crashes) == ("parked", "crashed", retry_policy.MAX_CRASHES)
    assert "crashed 5 times" in (parked.reason or "")
    assert parked.fix
    assert shop.event(harmless).state == "done"
    assert shop.retry(parked).state == "done"


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_47_events_beside_a_crashing_one_are_not_parked(shop: Shop, engine: Engine, environ: dict[str, str]) -> None:
    crashing = bring_about(shop, "item", 3000)
    harmless = [bring_about(shop, "sale", number) for number in (3001, 3002, 3003)]
    # Each sale takes longer than the item takes to crash: unless they are kept apart, they crash with it every time.
    slow = ",".join(f"before_call:{each}=stall 1" for each in ("getReceipts", "POST customer", "POST salesreceipt"))
    armed = {failpoints.VARIABLE: f"before_call:createProduct,{slow}"}
    for _ in range(retry_policy.MAX_CRASHES):
        mortal.die(mortal.carry_together, {**environ, **armed}, [crashing, *harmless])
        set_leases(engine, -1)
    shop.work()
    parked = shop.event(crashing)
    assert (parked.state, parked.code, parked.crashes) == ("parked", "crashed", retry_policy.MAX_CRASHES)
    assert {shop.event(event_id).state for event_id in harmless} == {"done"}
    assert all(shop.event(event_id).crashes <= retry_policy.SUSPECT_CRASHES for event_id in harmless)


@pytest.mark.parametrize("migrated_url", ["postgres"], indirect=True)
def test_48_a_process_with_an_event_that_never_ends_gives_it_up_and_itself(
    shop: Shop, engine: Engine, environ: dict[str, str], valkey_url: str
) -> None:
    hung, other = bring_about(shop, "item", 3000), bring_about(shop, "sale", 3001)
    place = {failpoints.VARIABLE: "after_call:createProduct=stall 600", "REDIS_URL": valkey_url}
    with mortal.living(live.live, {**environ, **place}, 0.5) as process:
        process.join(mortal.PATIENCE)
        assert process.exitcode == 0
    assert shop.event(hung).state == "working"
    set_leases(engine, -1)
    shop.work()
    assert {shop.event(event_id).state for event_id in (hung, other)} == {"done"}
    assert shop.event(hung).crashes == 1

"""New items of a load are made in batches: killed anywhere, refused, interrupted or overtaken, each is right once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from sqlalchemy import event as sqlalchemy_event

from gateway import failpoints
from gateway.database.session import reading, writing
from gateway.queries import activity
from gateway.queries.records import RecordFilter, find
from gateway.store import claims, inbox, links, requests
from gateway.store.events import URGENT, Change, Flow
from gateway.store.links import LinkKind
from gateway.store.records import RecordKind, RecordStatus
from handlers.backfills import batches, pages
from sandbox.mpluskassa.faults import Plan
from tests.handlers.counter import article, change, has_article, writes
from tests.handlers.shop import Shop, on_both_databases
from tests.handlers.test_first_load import finish, load

OpenShop = Callable[..., Shop]
ONLY_PRODUCTS = "version = 1\n[categories]\nenabled = false\n[stock]\nenabled = false\n"
LETTERS = f'{ONLY_PRODUCTS}[products]\nsku_with_letters = "allocate"\nallocate_from = 900000\nallocate_to = 900999\n'
PLACES = (
    f"{failpoints.AFTER_CLAIM}:Item",
    f"{failpoints.BEFORE_CALL}:createProduct",
    f"{failpoints.AFTER_CALL}:createProduct",
    f"{failpoints.BEFORE_RECORD}:Item",
    f"{failpoints.WHILE_RECORD}:Item",
    f"{failpoints.AFTER_RECORD}:Item",
)


class Killed(BaseException):
    """The process ends here."""


def kill_at(place: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """End the process when it reaches this place for the first time; returns where it did."""
    reached: list[str] = []

    def reach(name: str, detail: str = "") -> None:
        if not reached and f"{name}:{detail}" == place:
            reached.append(place)
            raise Killed

    monkeypatch.setattr(failpoints, "reach", reach)
    return reached


def load_killed_at(place: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first load whose process ends there, and that another process takes over and finishes."""
    asked = shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    reached = kill_at(place, monkeypatch)
    with pytest.raises(Killed):
        shop.work()
    assert reached == [place]
    monkeypatch.undo()
    claims.end_of(shop.engine, shop.contexts.process)
    shop.restart()
    assert finish(shop, asked).state == "done", place


@on_both_databases
def test_a_load_killed_anywhere_makes_every_article_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.set_document(ONLY_PRODUCTS)
    shop.restart()
    for turn, place in enumerate(PLACES):
        numbers = [7000 + 10 * turn + each for each in range(3)]
        rows = {number: shop.add_item(str(number))["Id"] for number in numbers}
        load_killed_at(place, shop, monkeypatch)
        assert writes(shop, "createProduct") == 3 + 3 * (turn + 1), place
        with reading(shop.engine) as session:
            found = links.find_all(session, "default", LinkKind.ITEM, list(rows.values()))
            owners = links.find_all(session, "default", LinkKind.ARTICLE, [str(number) for number in numbers])
        assert {link.target_id: link.source_id for link in found.values()} == {str(n): rows[n] for n in numbers}, place
        assert all(link.fingerprint for link in found.values()), place
        assert {link.source_id: link.target_id for link in owners.values()} == {str(n): rows[n] for n in numbers}, place
    assert shop.events(state="working") == shop.parked() == []


def test_a_new_item_costs_a_dozen_statements_and_has_its_own_history(open_shop: OpenShop) -> None:
    shop = open_shop(ONLY_PRODUCTS)
    counted = [0]
    sqlalchemy_event.listen(shop.engine, "before_cursor_execute", lambda *_: counted.append(counted.pop() + 1))
    used = []
    for first, count in ((7001, 20), (7101, 100)):
        rows = [shop.add_item(str(number)) for number in range(first, first + count)]
        before = counted[0]
        load(shop, Flow.PRODUCTS)
        used.append(counted[0] - before)
    assert (used[1] - used[0]) / 80 < 12
    (own,) = shop.events(entity_id=rows[0]["Id"])
    assert (own.state, own.target_id, own.sku, own.attempts) == ("done", "7101", "7101", 1)
    with reading(shop.engine) as session:
        listed = find(session, RecordFilter(RecordKind.PRODUCT, q="7101")).rows[0].row
    assert (listed.status, listed.event_id, listed.differs) == (RecordStatus.LINKED, own.id, False)
    assert listed.written_at is not None


def numbers_of(shop: Shop) -> dict[str, int]:
    """The articles with PLU numbers."""
    return {row["pluNumber"]: row["articleNumber"] for row in shop.till.till["articles"] if row.get("pluNumber")}


def test_items_with_letters_are_made_in_batches_too(open_shop: OpenShop) -> None:
    shop = open_shop(LETTERS)
    shop.till.add_product(by_hand(900001))
    shop.till.add_product(by_hand(900003, pluNumber="AB-7"))
    rows = {row["Sku"]: row["Id"] for row in (shop.add_item(f"AB-{number}") for number in range(40))}
    assert load(shop, Flow.PRODUCTS).state == "done"
    found = numbers_of(shop)
    assert found.keys() == rows.keys()
    assert found["AB-7"] == 900003
    assert set(found.values()) <= set(range(900000, 900042)) - {900001}
    assert {sku: article(shop, number)["extArticleId"] for sku, number in found.items()} == rows
    assert shop.till.traffic.calls["getProducts"] < 20
    load(shop, Flow.PRODUCTS)
    assert writes(shop, "createProduct") == 3 + 2 + 39
    assert shop.parked() == []


@on_both_databases
def test_a_killed_load_gives_no_item_two_numbers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.set_document(LETTERS)
    shop.restart()
    for turn, place in enumerate((PLACES[1], PLACES[3])):
        rows = [shop.add_item(f"AB-{turn}{each}") for each in range(3)]
        load_killed_at(place, shop, monkeypatch)
        assert writes(shop, "createProduct") == 3 + 3 * (turn + 1), place
        with reading(shop.engine) as session:
            given = links.find_numbers(session, "default", [row["Id"] for row in rows])
        assert given == {row["Id"]: numbers_of(shop)[row["Sku"]] for row in rows}
    assert shop.events(state="working") == shop.parked() == []


def test_a_newer_change_is_not_overwritten_by_the_page_that_was_read(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop(ONLY_PRODUCTS)
    monkeypatch.setattr(batches, "FIRST", 5)  # three articles that exist, and two of the new items
    monkeypatch.setattr(batches, "MOST", 5)
    rows = [shop.add_item(str(number)) for number in range(7001, 7005)]

    def raise_prices() -> None:
        for number, row in enumerate(rows):
            change(shop, row["Id"], UnitPrice=Decimal(f"{number + 5}.00"))
            shop.receive(to_hint(row["Id"]))

    shop.till.misbehaviour.meanwhile["createProduct"] = [raise_prices]
    load(shop, Flow.PRODUCTS)
    assert [article(shop, number)["priceIncl"] for number in range(7001, 7005)] == [500, 600, 700, 800]
    assert writes(shop, "createProduct") == 3 + 4
    assert shop.parked() == []


def to_hint(item_id: str) -> Change:
    return Change(f"urgent-{item_id}", Flow.PRODUCTS, "webhook", "Item", item_id, connection="default", priority=URGENT)


def test_a_load_lets_urgent_changes_pass_after_a_batch(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(ONLY_PRODUCTS)
    monkeypatch.setattr(batches, "FIRST", 5)
    monkeypatch.setattr(batches, "MOST", 5)
    monkeypatch.setattr(pages, "SLICE_SECONDS", 0.0)
    rows = [shop.add_item(str(number)) for number in range(7001, 7021)]
    asked = shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    there = [0]

    def see() -> None:
        there[0] = writes(shop, "createProduct") - 3

    shop.till.misbehaviour.meanwhile["createProduct"] = [
        lambda: shop.receive(to_hint(rows[-1]["Id"])),
        lambda: None,
        see,
    ]
    finish(shop, asked)
    made = [row for row in shop.till.till.ledger if row["effect"] == "createProduct"]
    assert there == [2]
    assert has_article(shop, 7020)
    assert len(made) == 3 + 20
    assert [str(number) for number in article_order(shop)].index("7020") == 2


def article_order(shop: Shop) -> list[int]:
    return [row["articleNumber"] for row in shop.till.till["articles"]][3:]


def by_hand(number: int, **more: str) -> dict[str, object]:
    """A product that the staff makes."""
    alike = {"description": "By hand", "vatCode": 1, "turnoverGroup": 1, "priceIncl": 100, **more}
    return {"description": "By hand", "articleList": {"article": [{"articleNumber": number, **alike}]}}


@pytest.mark.parametrize("kind", ["lost_reply", "error_500", "reset"])
def test_a_call_that_goes_wrong_doubles_and_loses_nothing(open_shop: OpenShop, kind: str) -> None:
    shop = open_shop(ONLY_PRODUCTS)
    for number in range(7001, 7007):
        shop.add_item(str(number))
    shop.till.misbehaviour.plans.append(Plan(kind, "createProduct", times=2))
    asked = shop.receive(requests.backfill(Flow.PRODUCTS, connection="default"))
    for _ in range(5):
        shop.work()
        for event in (*shop.events(state="uncertain"), *shop.events(state="waiting")):
            shop.retry(event)
    assert finish(shop, asked).state == "done"
    assert [has_article(shop, number) for number in range(7001, 7007)] == [True] * 6
    assert writes(shop, "createProduct") == 3 + 6
    assert shop.parked() == []


def test_an_item_that_cannot_be_made_parks_alone_in_its_batch(open_shop: OpenShop) -> None:
    shop = open_shop(ONLY_PRODUCTS)
    twins = [shop.add_item(sku, Name=name) for sku, name in (("7001", "One"), ("07001", "Other"))]
    shop.add_item("7002", UnitPrice=Decimal("1.234567"), SalesTaxIncluded=False)
    shop.add_item("7004")
    shop.till.add_product(by_hand(7005))
    shop.add_item("7005")
    ended = load(shop, Flow.PRODUCTS)
    assert ended.state == "done"
    assert has_article(shop, 7004)
    assert article(shop, 7005)["extArticleId"] == shop.find("Item", Sku="7005")["Id"]
    assert [event.entity_id in {row["Id"] for row in twins} for event in shop.parked()] == [True]


def test_a_number_taken_at_the_till_while_a_batch_is_made_is_looked_at(open_shop: OpenShop) -> None:
    shop = open_shop(ONLY_PRODUCTS)
    shop.add_item("7001")
    shop.till.misbehaviour.meanwhile["createProduct"] = [lambda: shop.till.add_product(by_hand(7001))]
    assert load(shop, Flow.PRODUCTS).state == "done"
    item_id = shop.find("Item", Sku="7001")["Id"]
    assert article(shop, 7001)["extArticleId"] == item_id
    assert shop.parked() == []
    (own,) = shop.events(entity_id=item_id)
    with reading(shop.engine) as session:
        titles = [entry.title for entry in activity.read_log(session, own.id)]
    assert titles.index("waiting: the till has the article already") < titles.index("done")


def test_a_load_paused_between_two_batches_makes_no_more(open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop(ONLY_PRODUCTS)
    monkeypatch.setattr(batches, "FIRST", 5)
    monkeypatch.setattr(batches, "MOST", 5)
    for number in range(7001, 7011):
        shop.add_item(str(number))
    event = shop.event(shop.receive(requests.backfill(Flow.PRODUCTS, connection="default")))

    def pause() -> None:
        with writing(shop.engine) as session:
            assert requests.pause(session, event)

    shop.till.misbehaviour.meanwhile["createProduct"] = [pause]
    shop.work()
    assert writes(shop, "createProduct") == 3 + 2
    with writing(shop.engine) as session:
        found = activity.look(session, event)
        assert requests.resume(session, event)
    assert (found.notes.read, found.notes.position, found.open) == (5, "6", 0)
    assert finish(shop, event.id).state == "done"
    assert writes(shop, "createProduct") == 3 + 10
    with reading(shop.engine) as session:
        assert inbox.due_ids(session, limit=10) == []

"""A search and a list reach every event of a year, page by page, and what has a name at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from gateway.database.session import reading, writing
from gateway.database.sql import Page
from gateway.privacy import retention
from gateway.queries import activity
from gateway.queries.activity import LISTED_BACK, SEARCHED_BACK, Filter
from gateway.store.events import Event, Flow, State
from tests.engines import cheap_engine
from tests.gateway.privacy.test_people_at_size import LONGEST_SECONDS, waits_during
from tests.plans.conftest import ROWS


@pytest.fixture
def seeded(seeded_url: str) -> Iterator[Engine]:
    with cheap_engine(seeded_url) as engine:
        yield engine


def find(engine: Engine, **wanted: object) -> Page[Event, int]:
    with reading(engine) as session:
        return activity.find_events(session, Filter(**wanted))  # type: ignore[arg-type]


def walk(engine: Engine, **wanted: object) -> tuple[int, list[int]]:
    """The number of pages, and the ids on them."""
    pages, ids, before = 0, [], None
    while pages == 0 or before is not None:
        page = find(engine, before=before, **wanted)
        pages, before = pages + 1, page.next
        ids += [event.id for event in page.rows]
    return pages, ids


def test_what_has_a_name_is_found_at_once_however_old_it_is(seeded: Engine) -> None:
    with writing(seeded) as session:
        session.execute(text("UPDATE inbox SET sku = 'Sku-Old', email = 'old@example.nl' WHERE id = 12341"))
    for typed in ("1.12341", "90012341", "Sku-Ol", "old@", "OLD@example.nl"):
        assert 12341 in [event.id for event in find(seeded, q=typed, limit=200).rows], typed
    assert [event.id for event in find(seeded, q="Sku-Old", state=State.DONE).rows] == [12341]
    assert find(seeded, q="Sku-Old", state=State.SKIPPED).rows == []


def test_the_reason_of_an_event_is_found_at_once_or_by_going_back(seeded: Engine) -> None:
    with writing(seeded) as session:
        session.execute(text("UPDATE inbox SET reason = 'no VAT code for 9 %' WHERE id IN (5000, 7000)"))
    first = find(seeded, q="vat CODE for")
    assert [event.id for event in first.rows] == [5000]
    assert walk(seeded, q="vat CODE for", state=State.DONE)[1] == [7000]


def test_a_search_without_a_hit_ends_after_all_of_them(seeded: Engine) -> None:
    assert walk(seeded, q="nowhere") == (ROWS // SEARCHED_BACK, [])


@pytest.mark.parametrize("wanted", [{"connection": "third"}, {"flow": Flow.CUSTOMERS, "state": State.SKIPPED}])
def test_a_list_names_every_event_once_newest_first(seeded: Engine, wanted: dict[str, str]) -> None:
    pages, ids = walk(seeded, limit=200, **wanted)
    conditions = " AND ".join(f"{name} = '{value}'" for name, value in wanted.items())
    with reading(seeded) as session:
        every = session.execute(text(f"SELECT id FROM inbox WHERE {conditions} ORDER BY id DESC")).scalars().all()  # noqa: S608
    assert ids == every
    assert pages <= len(ids) // 200 + ROWS // LISTED_BACK + 1


def test_webhooks_do_not_wait_for_a_year_that_leaves(seeded: Engine) -> None:
    purged: list[retention.Purged] = []
    assert waits_during(seeded, lambda: purged.append(retention.purge(seeded, days=330))) < LONGEST_SECONDS
    with reading(seeded) as session:
        (left,) = session.execute(text("SELECT count(*) FROM inbox")).one()
        counted = {flow.flow: flow.counts for flow in activity.flow_statuses(session)}
    assert purged[0].events > ROWS // 20
    assert sum(sum(counts.values()) for counts in counted.values()) == left

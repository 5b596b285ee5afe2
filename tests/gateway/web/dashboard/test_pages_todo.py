"""To do: causes with their marks, many records changed at once with their progress, and what can be undone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import update
from sqlmodel import col

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.queries import todo
from gateway.store import audit, claims, connections, inbox, records
from gateway.store.audit import CauseMarkRow
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.records import RecordFacts, RecordKind
from gateway.store.tables import InboxRow
from tests.claiming import finish
from tests.conftest import on_both_databases
from tests.gateway.web.conftest import Gateway, a_connection
from tests.gateway.web.dashboard.test_pages_sales import PARKED, store
from tests.gateway.web.test_users import Open, admin, join, open_browser, press

__all__ = ["admin", "open_browser"]
EVIL = '"><script>alert(1)</script>'


def park(gateway: Gateway, key: str, *, code: str | None = "no-item", connection: str = "default") -> int:
    about: dict[str, Any] = {"source": "t", "entity": "Item", "entity_id": key, "connection": connection}
    change = Change(f"{connection}-{key}", Flow.PRODUCTS, state=State.PARKED, code=code, reason=f"why {key}", **about)
    (event_id,) = gateway.receive(change)
    return event_id


def pick(code: str = "no-item", connection: str = "default") -> dict[str, str]:
    """The tick of a cause."""
    return {f"cause-{connection}/code:{code}": "on"}


def mark(browser: httpx.Client, *, connection: str = "default", **fields: str) -> int:
    cause = {"cause": f"{connection}/code:no-item"}
    return press(browser, "/todo/mark", **{"note": "", "snooze": ""} | cause | fields).status_code


def state_of(gateway: Gateway, event_id: int) -> tuple[str, str | None]:
    (row,) = [row for row in gateway.rows() if row.id == event_id]
    return row.state, row.reason


@on_both_databases
def test_a_cause_is_counted_before_and_its_progress_is_counted_from_rows(gateway: Gateway, admin: httpx.Client) -> None:
    store(gateway, "451", PARKED)
    mine = [park(gateway, f"m{n}") for n in range(3)]
    other = park(gateway, "o", code="other")
    page = admin.get("/todo").text
    assert "One sale, €24.50 · 3 other records" in page
    asked = admin.get("/todo/confirm", params={"action": "retry", **pick()}).text
    assert "<b>4 records</b> · One sale, €24.50" in asked
    assert "why m2" in asked
    assert "why o" not in asked
    assert "Try 4 again" in asked
    assert "Nothing is ticked" in admin.get("/todo/confirm?action=retry").text
    done = press(admin, "/todo", action="retry", **pick())
    shown = done.headers["location"]
    assert "0 of 4 are done" in admin.get(shown).text
    assert [state_of(gateway, each)[0] for each in (*mine, other)] == ["received"] * 3 + ["parked"]
    with writing(gateway.engine) as session:
        finished = update(InboxRow).where(col(InboxRow.id).in_(mine)).values(state=State.DONE)
        session.execute(finished)
    assert "3 of 4 sind fertig".replace("of", "von") in admin.get(shown, headers={"Accept-Language": "de"}).text
    assert "1 not done yet" in admin.get("/todo").text
    assert press(admin, "/todo", action="retry", **pick()).status_code == 409
    assert ("dashboard", "retry", "4 records, action 1", None) in gateway.audit()


@on_both_databases
def test_what_is_ignored_needs_a_reason_and_can_be_undone(gateway: Gateway, admin: httpx.Client) -> None:
    ids = [park(gateway, f"m{n}") for n in range(2)]
    assert press(admin, "/todo", action="ignore", reason=" ", **pick()).status_code == 400
    done = press(admin, "/todo", action="ignore", reason=EVIL, **pick())
    page = admin.get(done.headers["location"])
    assert "2 are ignored" in page.text
    assert EVIL not in page.text
    assert state_of(gateway, ids[0]) == ("skipped", f"ignored by a person: {EVIL}")
    event = admin.get(f"/events/{ids[0]}", headers={"Accept-Language": "de"}).text
    assert "von einer Person ignoriert" in event
    assert "Nothing needs you." in admin.get("/todo").text
    assert press(admin, f"{done.headers['location']}/undo").status_code == 303
    assert [state_of(gateway, each)[0] for each in ids] == ["received", "received"]
    assert press(admin, f"{done.headers['location']}/undo").status_code == 409
    assert press(admin, "/todo", action="delete", **pick()).status_code == 400


@on_both_databases
def test_a_cause_has_a_note_somebody_and_can_be_put_off_until_it_is_gone(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    join(admin, open_browser(), "Anna", "bookkeeper", "default")
    event_id = park(gateway, "1")
    form = {"note": f"asked the supplier {EVIL}", "assignee": "Anna", "snooze": "7"}
    assert mark(admin, **form) == 303
    page = admin.get("/todo").text
    assert "Anna looks after it" in page
    assert "put off until" in page
    assert EVIL not in page
    home = admin.get("/").text
    assert "Everything is in order" in home
    assert "One cause is put off" in home
    with writing(gateway.engine) as session:
        session.execute(update(CauseMarkRow).values(snoozed_until=datetime.now(UTC) - timedelta(minutes=1)))
    home = admin.get("/").text
    assert "One thing needs your attention" in home
    assert "Anna looks after it" in home
    for wrong in ({"snooze": "9"}, {"note": "x" * 501}, {"note": "a\x00b"}):
        assert mark(admin, **wrong) == 400
    with writing(gateway.engine) as session:
        assert audit.purge_marks(session) == 0
        inbox.ignore(session, event_id, "x")
        assert audit.purge_marks(session) == 1
    assert mark(admin, **form) == 404


@on_both_databases
def test_causes_of_another_connection_are_neither_shown_nor_changed(
    gateway: Gateway, admin: httpx.Client, open_browser: Open, seal: Seal
) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("other", realm_id="2", mplus_subscription_id="s2"), seal)
    _, foreign = park(gateway, "1"), park(gateway, "2", connection="other")
    keeper = join(admin, open_browser(), "Anna", "bookkeeper", "default")
    assert "why 2" not in keeper.get("/todo").text
    both = {**pick(), **pick(connection="other")}
    assert "<b>One record</b>" in keeper.get("/todo/confirm", params={"action": "retry", **both}).text
    done = press(keeper, "/todo", action="retry", **both).headers["location"]
    assert "0 of 1 are done" in keeper.get(done).text
    assert state_of(gateway, foreign)[0] == "parked"
    assert mark(keeper, connection="other", note="x") == 404
    theirs = press(admin, "/todo", action="ignore", reason="x", **pick(connection="other")).headers["location"]
    assert keeper.get(theirs).status_code == 404
    assert press(keeper, f"{theirs}/undo").status_code == 404
    viewer = join(admin, open_browser(), "Bo", "viewer", "default")
    assert viewer.get("/todo").status_code == 200
    assert viewer.get("/todo/confirm?action=retry").status_code == 403
    assert press(viewer, "/todo", action="retry", **both).status_code == 403


@on_both_databases
def test_a_cause_that_is_healed_closes_its_own_messages(gateway: Gateway, admin: httpx.Client) -> None:
    event_id = park(gateway, "1")
    assert "why 1" in admin.get("/todo").text
    with writing(gateway.engine) as session:
        session.execute(update(InboxRow).values(cause="item 9"))
        assert inbox.requeue_by_code(session, "default", code="no-item", cause="item 9") == [event_id]
    event = claims.claim(gateway.engine, event_id)
    assert event is not None
    with writing(gateway.engine) as session:
        finish(session, event, Outcome(State.DONE))
    assert "Nothing needs you." in admin.get("/todo").text
    with reading(gateway.engine) as session:
        assert todo.find_recent(session, None) == []


@on_both_databases
def test_an_old_page_still_names_a_cause_whose_newest_record_is_healed(gateway: Gateway, admin: httpx.Client) -> None:
    ids = [park(gateway, f"m{n}") for n in range(3)]
    form = re.findall(r'name="(cause-[^"]+)"', admin.get("/todo").text)
    assert press(admin, f"/events/{ids[-1]}/retry").status_code == 303
    assert "<b>2 records</b>" in admin.get("/todo/confirm", params={"action": "retry", form[0]: "on"}).text
    done = press(admin, "/todo", action="retry", **{form[0]: "on"}).headers["location"]
    assert "0 of 2 are done" in admin.get(done).text
    # All of them are being tried again: what somebody was typing meanwhile is kept.
    assert mark(admin, note="asked the supplier") == 303
    again = claims.claim(gateway.engine, ids[0])
    assert again is not None
    with writing(gateway.engine) as session:
        finish(session, again, Outcome(State.PARKED, reason="why", code="no-item"))
    assert "asked the supplier" in admin.get("/todo").text
    assert "0 of 2 are done" in admin.get(done).text
    with writing(gateway.engine) as session:
        session.execute(update(InboxRow).where(col(InboxRow.id) == ids[1]).values(state=State.DONE))
    page = admin.get(done).text
    assert "1 of 2 still needs you" in page
    assert "All 2 are done" not in page
    assert "1 needs you" in admin.get("/todo").text


@on_both_databases
def test_a_note_that_is_changed_takes_nothing_else_back(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    park(gateway, "1")
    join(admin, open_browser(), "Agnes", "agency")
    keeper = join(admin, open_browser(), "Anna", "bookkeeper", "default")
    assert mark(admin, note="asked the supplier", assignee="Agnes", snooze="7") == 303
    page = keeper.get("/todo").text
    assert "<option selected>Agnes</option>" in page
    assert re.search(r'<option value="keep" selected>as it is: until \d', page)
    until = re.findall(r"put off until ([^<]+)<", page)
    assert mark(keeper, note="they deliver", assignee="Agnes", snooze="keep") == 303
    page = keeper.get("/todo").text
    assert re.search(r"they deliver <span[^>]*>Anna, <time", page)
    assert "Agnes looks after it" in page
    assert re.findall(r"put off until ([^<]+)<", page) == until != []
    assert mark(keeper, note="they deliver") == 303
    assert "put off until" not in keeper.get("/todo").text


def test_a_cause_of_one_product_says_which(gateway: Gateway, admin: httpx.Client) -> None:
    (event_id,) = gateway.receive(Change("k", Flow.PRODUCTS, "poll", "Item", "17", "default"))
    event = claims.claim(gateway.engine, event_id)
    assert event is not None
    outcome = Outcome(State.PARKED, reason="the item has no SKU", code="no-sku")
    with writing(gateway.engine) as session:
        finish(session, event, outcome)
        seen = RecordFacts(RecordKind.PRODUCT, "17", books_id="17", books_name="Kaas & <b>zo</b>")
        records.record_all(session, [(event, outcome, [seen])])
    for page in ("/", "/todo"):
        assert "<b>Kaas &amp; &lt;b&gt;zo&lt;/b&gt;</b>: the item has no SKU" in admin.get(page).text, page
        assert 'aria-label="Look at it: Kaas &amp; &lt;b&gt;zo&lt;/b&gt;"' in admin.get(page).text, page
    park(gateway, "18", code="no-sku")
    assert "Kaas &amp;" not in admin.get("/todo").text
    labels = re.findall(r"aria-label=\"(Show all[^\"]*)", admin.get("/").text)
    assert labels == ["Show all 2: 2 records, why 18"]
    gateway.receive(Change("e", Flow.ORDERS, "poll", "Receipt", "9", "default", state=State.PARKED))
    for page in ("/", "/todo"):
        assert 'aria-label="Look at it: One record"' in admin.get(page).text, page


def test_cards_of_one_cause_in_two_connections_say_which_in_every_name(
    gateway: Gateway, admin: httpx.Client, seal: Seal
) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("utrecht", realm_id="2", mplus_subscription_id="s2"), seal)
    for connection in ("default", "utrecht"):
        gateway.receive(
            *(
                Change(
                    f"{connection}{key}",
                    Flow.PRODUCTS,
                    "t",
                    "Item",
                    key,
                    connection,
                    state=State.PARKED,
                    reason="no SKU",
                )
                for key in ("1", "2")
            )
        )
    for path in ("/", "/todo"):
        labels = re.findall(r'aria-label="([^"]+: 2 records, no SKU[^"]*)"', admin.get(path).text)
        assert len(labels) == len(set(labels)) == 4, (path, labels)


@on_both_databases
def test_home_tries_one_cause_again_and_shows_how_far_it_is(gateway: Gateway, admin: httpx.Client) -> None:
    ids = [park(gateway, "1", code=None), park(gateway, "2", code="other")]
    page = admin.get("/").text
    (form,) = (each for each in page.split("<form")[1:] if "cause-default/flow:products" in each)
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', form))
    done = admin.post("/todo", data=fields)
    assert "0 of 1 are done" in admin.get(done.headers["location"]).text
    assert [state_of(gateway, each)[0] for each in ids] == ["received", "parked"]


def test_a_cause_is_named_by_what_its_connection_is_called_now(gateway: Gateway, admin: httpx.Client) -> None:
    event_id = park(gateway, "1")
    assert gateway.admin("POST", "/admin/connections/default/rename", json={"name": "winkel"}).status_code == 200
    assert "default" not in admin.get("/todo").text
    assert mark(admin, connection="winkel", note="asked the supplier") == 303
    assert mark(admin, connection="default", note="asked the supplier") == 303  # a page from before
    done = press(admin, "/todo", action="retry", **pick(connection="winkel"))
    assert "0 of 1 are done" in admin.get(done.headers["location"]).text
    assert state_of(gateway, event_id)[0] == "received"

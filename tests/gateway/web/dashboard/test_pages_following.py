"""Pages about what happened: the audit trail, alerts, loads and reads, kept to what a visitor may see."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import Engine, insert, update
from sqlmodel import col

from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.queries import todo
from gateway.queries.todo import AuditFilter
from gateway.store import alerts, audit, connections, counts, requests, users
from gateway.store.alerts import WITHHELD, AlertCause
from gateway.store.events import Outcome, State
from gateway.store.requests import Notes
from gateway.store.tables import AlertRow, AuditRow
from gateway.store.users import Role
from mapping.messages import message
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.claiming import finish
from tests.conftest import on_both_databases
from tests.gateway.backfills import begin, handle
from tests.gateway.store.test_figures import sell
from tests.gateway.web.conftest import Gateway, a_connection
from tests.gateway.web.test_users import Open, admin, join, open_browser, press

__all__ = ["admin", "open_browser"]
EVIL = '"><script>alert(1)</script>'


def act(engine: Engine, actor: str, action: str, *, days_ago: int = 0, target: str = "event 1") -> None:
    row = {"actor": actor, "action": action, "target": target, "at": moment(-86_400.0 * days_ago)}
    with writing(engine) as session:
        session.execute(insert(AuditRow).values(row))


def shown(page: httpx.Response) -> list[tuple[str, str]]:
    assert page.status_code == 200, page.text
    found = re.findall(r'<td class="who">(.*?)</td>\s*<td class="did">(.*?)</td>', page.text)
    return [(who, what) for who, what in found]


@on_both_databases
def test_the_audit_is_found_by_person_kind_and_day(gateway: Gateway, admin: httpx.Client) -> None:
    with writing(gateway.engine) as session:
        session.execute(update(AuditRow).values(at=moment(-9 * 86_400.0)))  # the login before
    act(gateway.engine, "dashboard: Anna", "ignore", days_ago=3)
    act(gateway.engine, "dashboard: Anna", "retry", days_ago=2)
    act(gateway.engine, "cli", "retry", days_ago=1, target=EVIL)
    every = admin.get("/audit")
    assert shown(every)[:3] == [("The command line", "Tried again"), ("Anna", "Tried again"), ("Anna", "Ignored")]
    assert EVIL not in every.text
    assert '<option value="dashboard: Anna" >Anna</option>' in every.text
    today = datetime.now(AMSTERDAM).date()
    for query, found in (
        ("who=dashboard: Anna", ["Tried again", "Ignored"]),
        ("what=retry", ["Tried again", "Tried again"]),
        ("who=dashboard: Anna&what=retry", ["Tried again"]),
        (f"from={today - timedelta(days=2)}&what=ignore", []),
        (f"through={today - timedelta(days=2)}&who=dashboard: Anna", ["Tried again", "Ignored"]),
        ("from=2020-01-01&through=2020-12-31", []),
        ("from=2120-01-01", []),
    ):
        assert [what for _, what in shown(admin.get(f"/audit?{query}"))] == found, query
    rows = list(csv.reader(io.StringIO(admin.get("/audit.csv?what=retry").text)))
    assert [row[1:4] for row in rows[1:]] == [["cli", "retry", EVIL], ["Anna", "retry", "event 1"]]
    assert "Erneut versucht" in admin.get("/audit", headers={"Accept-Language": "de"}).text
    assert admin.get("/audit?from=yesterday").status_code == 400


@on_both_databases
def test_the_audit_has_pages_and_names_its_records_in_every_language(gateway: Gateway, admin: httpx.Client) -> None:
    for number in range(60):
        with writing(gateway.engine) as session:
            audit.note(session, actor="cli", action="ignore", target=message("event {id}", id=number))
    first = admin.get("/audit?what=ignore")
    following = re.findall(r'rel="next" href="([^"]+)"', first.text)[0].replace("&amp;", "&")
    second = admin.get(following, headers={"Accept-Language": "nl"})
    assert len(shown(first)) + len(shown(second)) == 60
    assert "gebeurtenis 9\n" in re.sub("<.*?>", "\n", second.text)
    with reading(gateway.engine) as session:
        rows, _ = todo.find_actions(session, AuditFilter(action="ignore", actor="cli"), before=3, limit=9)
    assert all(row.id and row.id < 3 for row in rows)


def test_the_audit_is_for_who_configures_and_keeps_to_a_connection(
    gateway: Gateway, admin: httpx.Client, open_browser: Open, seal: Seal
) -> None:
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("other", realm_id="2", mplus_subscription_id="s2"), seal)
        users.add(session, "Bo", Role.OWNER, "default")
    act(gateway.engine, "dashboard: Bo", "ignore", days_ago=9)  # somebody else, of that name, before Bo came
    act(gateway.engine, "dashboard: Bo", "retry")
    act(gateway.engine, "dashboard: Cor", "retry")
    owner = join(admin, open_browser(), "Anna", "owner", "default")
    page = owner.get("/audit")
    assert ("Bo", "Tried again") in shown(page)
    assert "Cor" not in page.text
    assert "Ignored</td>" not in page.text
    assert "Somebody with the ADMIN_TOKEN" not in page.text
    assert "Cor" not in owner.get("/audit.csv").text
    keeper = join(admin, open_browser(), "Dirk", "bookkeeper")
    assert keeper.get("/audit").status_code == keeper.get("/audit.csv").status_code == 403
    assert "/audit" not in keeper.get("/sales").text


@pytest.fixture
def told(gateway: Gateway, seal: Seal) -> Gateway:
    """An alert that lasts and was sent, two that are over, and those of another connection."""
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("other", realm_id="2", mplus_subscription_id="s2"), seal)
        alerts.note(session, [AlertCause("parked/default/orders/x", "2 sales need attention", WITHHELD, "", "default")])
        alerts.note(session, [AlertCause("paused/other", "the connection is paused", EVIL, "", "other")])
        gone = update(AlertRow).values(cleared_at=moment(-60), first_seen=moment(-660), told="")
        session.execute(gone)
        silent = message("{name} does not answer", name="MplusKASSA")
        detail = message("it has not answered for {minutes} minutes", minutes=7)
        alerts.note(session, [AlertCause("silent/default/MplusKASSA", silent, detail, "", "default")])
        alerts.note(session, [AlertCause("process/clock", message("no {role} process is running", role="clock"))])
        session.execute(update(AlertRow).where(col(AlertRow.cleared_at).is_(None)).values(told="email,webhook"))
    return gateway


def test_alerts_say_since_when_until_when_and_who_was_told(told: Gateway, admin: httpx.Client) -> None:
    page = admin.get("/alerts").text
    now, before = page.split("<h2>Before</h2>")
    assert "MplusKASSA does not answer" in now
    assert "it has not answered for 7 minutes" in now
    assert "told by e-mail, webhook" in now
    assert "Alerts go to nobody: set ALERT_EMAIL" in now
    assert "2 sales need attention" in before
    assert WITHHELD not in before
    assert "lasted 10 min" in before
    assert "nobody was told" in before
    assert EVIL not in page
    german = admin.get("/alerts", headers={"Accept-Language": "de"}).text
    assert "MplusKASSA antwortet nicht" in german
    assert "gemeldet per E-Mail, Webhook" in german
    with writing(told.engine) as session:
        row = {"title": "x", "told": "", "clear_told": "", "stage": ""}
        times = dict.fromkeys(("first_seen", "seen_at", "cleared_at"), moment(-9))
        many = [{**row, **times, "cause": f"paused/{n}", "connection": "default"} for n in range(60)]
        for each in many:
            session.execute(insert(AlertRow).values(each))
    first = admin.get("/alerts").text
    following = re.findall(r'rel="next" href="([^"]+)"', first)[0]
    second = admin.get(following).text
    assert first.count("lasted") + second.count("lasted") == 62
    assert "<h2>Now</h2>" not in second


@on_both_databases
def test_alerts_of_other_connections_are_not_shown(told: Gateway, admin: httpx.Client, open_browser: Open) -> None:
    viewer = join(admin, open_browser(told.url), "Anna", "viewer", "default")
    page = viewer.get("/alerts").text
    assert "MplusKASSA does not answer" in page
    assert "lasted" in page
    assert "The connection is paused" not in page
    assert "No clock process" not in page


# --- loads, reads, charts ---------------------------------------------------------------------------------------


def test_a_load_is_paused_let_go_on_and_cancelled_on_its_page(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    event = begin(gateway.engine)
    with writing(gateway.engine) as session:
        requests.note(session, event, Notes(total=400, read=100, unchanged=7))
        handle(session, event, State.DONE, State.PARKED)
        finish(session, event, Outcome(State.WAITING, wait_seconds=60.0))
    page = admin.get("/backfills").text
    assert "99 of 400 records" in page
    assert "7 of them were right already" in page
    assert press(admin, f"/backfills/{event.id}/pause").headers["location"] == "/backfills"
    assert "Paused:" in admin.get("/backfills").text
    assert [each["paused"] for each in gateway.admin("GET", "/admin/backfills").json()["backfills"]] == [True]
    assert press(admin, f"/backfills/{event.id}/resume").status_code == 303
    assert [each["paused"] for each in gateway.admin("GET", "/admin/status").json()["backfills"]] == [False]
    viewer = join(admin, open_browser(), "Anna", "viewer", "default")
    assert "99 of 400 records" in viewer.get("/backfills").text
    assert "/cancel" not in viewer.get("/backfills").text
    assert press(viewer, f"/backfills/{event.id}/cancel").status_code == 403
    assert press(admin, f"/backfills/{event.id}/cancel").status_code == 303
    page = admin.get("/backfills", headers={"Accept-Language": "de"}).text
    assert "Abgebrochen:" in page
    assert press(admin, f"/backfills/{event.id}/resume").status_code == 409
    assert press(admin, f"/backfills/{event.id}/stop").status_code == 404
    assert ("cancel load", "connection default, products") in [row[1:3] for row in gateway.audit()]


@on_both_databases
def test_reads_stand_against_the_allowance_by_day_kind_and_month(
    gateway: Gateway, admin: httpx.Client, seal: Seal, open_browser: Open
) -> None:
    today = datetime.now(UTC).date()
    with writing(gateway.engine) as session:
        connections.save(session, a_connection("other", realm_id="2", mplus_subscription_id="s2"), seal)
        for name, what, count in (("default", "item", 1200), ("default", "Odd", 30), ("other", "cdc", 4)):
            counts.add_reads(session, name, day=today, what=what, reads=count)
            month = f"{today:%Y-%m}"
            counts.add_calls(session, name, system="quickbooks", month=month, kind="read", calls=count)
    page = admin.get("/reads").text
    assert "1,234 of 500,000 metered reads used" in page
    for said in ('>Products</td><td class="money">1,200<', ">Odd</td>", '>other</td><td class="money">4<'):
        assert said in page
    assert "1.234 von 500.000" in admin.get("/reads", headers={"Accept-Language": "de"}).text
    viewer = join(admin, open_browser(), "Anna", "viewer", "other").get("/reads").text
    assert "4 of them by this connection" in viewer
    assert "Products</td>" not in viewer


def test_home_draws_charts_with_their_tables(gateway: Gateway, admin: httpx.Client) -> None:
    page = admin.get("/").text
    assert "chart" not in page.replace("charts", "")  # nothing to draw yet
    sell(gateway.engine, "1", 12345, connection="default")
    counts.keep_booked(gateway.engine, days=2)
    counts.keep_hour(gateway.engine)
    page = admin.get("/", headers={"Accept-Language": "nl"}).text
    assert "Geboekt per dag en vestiging" in page
    assert re.search(r"<rect [^>]*><title>[^<]*: €\s123,45</title>", page.replace("\xa0", " "))
    assert re.search(r"<th scope=\"row\">[^<]*</th><td>€\s123,45</td>", page.replace("\xa0", " "))
    assert "<script>" not in page


def test_sales_of_several_connections_are_drawn_by_their_names(
    gateway: Gateway, admin: httpx.Client, seal: Seal
) -> None:
    for key, called, cents in (("a", "Winkel Zeist", 100), ("b", "Winkel Utrecht", 250)):
        with writing(gateway.engine) as session:
            made = a_connection(key, display_name=called, realm_id=key, mplus_ident=key, mplus_subscription_id=key)
            connections.save(session, made, seal)
        sell(gateway.engine, key, cents, connection=key)
    counts.keep_booked(gateway.engine, days=2)
    page = admin.get("/sales").text
    assert "Booked per day and connection" in page
    assert re.findall(r'<th scope="col">(Winkel [^<]+)</th>', page) == ["Winkel Utrecht", "Winkel Zeist"]

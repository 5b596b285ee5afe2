"""People with roles: invited by link, kept to what their role and their connection allow, their sessions ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlmodel import col
from starlette.routing import Route

from gateway import doctor, removal
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import Rejected
from gateway.privacy import retention
from gateway.store import alerts, connections
from gateway.store.alerts import AlertCause
from gateway.store.events import Change, Flow, State
from gateway.store.tables import AuditRow, ConnectionRow, UserRow, WebSessionRow
from gateway.web import dashboard
from gateway.web.services import FAILURES
from tests.gateway.web.conftest import TOKEN, Gateway, a_connection, csrf_of
from tests.gateway.web.dashboard.test_pages_sales import PARKED, store
from tests.servers import wait_until

PASSWORD = "correct horse battery"
OTHER = "elsewhere"
Open = Callable[..., httpx.Client]


@pytest.fixture
def open_browser(gateway: Gateway) -> Iterator[Open]:
    """A browser that nobody logged in with."""
    with ExitStack() as stack:

        def open_one(url: str = gateway.url) -> httpx.Client:
            headers = {"Accept": "text/html", "User-Agent": "A browser"}
            return stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=10))

        yield open_one


@pytest.fixture
def admin(open_browser: Open) -> httpx.Client:
    """ADMIN_TOKEN's browser."""
    browser = open_browser()
    assert browser.post("/login", data={"password": TOKEN}).status_code == 303
    return browser


def press(browser: httpx.Client, path: str, *, page: str = "/account", **fields: str) -> httpx.Response:
    """Send a form of ours with the token of a page."""
    return browser.post(path, data={"csrf": csrf_of(browser.get(page).text), **fields})


def invite(admin: httpx.Client, name: str, role: str, connection: str = "") -> str:
    """The path of the invitation's link."""
    page = press(admin, "/users", name=name, role=role, connection=connection)
    assert page.status_code == 200, page.text
    link: str = re.findall(r'value="[^"]*(/invitation/[^"]+)"', page.text)[0]
    return link


def join(admin: httpx.Client, browser: httpx.Client, name: str, role: str, connection: str = "") -> httpx.Client:
    """The browser after somebody was invited and chose a password."""
    link = invite(admin, name, role, connection)
    assert browser.post(link, data={"password": PASSWORD, "again": PASSWORD}).status_code == 303
    return browser


def park(gateway: Gateway, connection: str = "default", key: str = "1") -> int:
    about: dict[str, Any] = {"source": "t", "entity": "Receipt", "entity_id": key, "connection": connection}
    (event_id,) = gateway.receive(Change(f"{connection}-{key}", Flow.ORDERS, state=State.PARKED, **about))
    return event_id


def test_a_person_is_invited_and_named_in_the_audit(gateway: Gateway, admin: httpx.Client, open_browser: Open) -> None:
    link, event_id = invite(admin, "Anna de Boer", "bookkeeper"), park(gateway)
    anna = open_browser()
    assert "Anna de Boer" in anna.get(link).text
    for *wrong, field in (
        ("short", "short", "password"),
        (PASSWORD, PASSWORD + "x", "again"),
        ("anna de boer", "anna de boer", "password"),
    ):
        refused = anna.post(link, data={"password": wrong[0], "again": wrong[1]})
        assert (refused.status_code, re.findall('id="([a-z]+)-fault"', refused.text)) == (422, [field])
    assert anna.post(link, data={"password": PASSWORD, "again": PASSWORD}).status_code == 303
    assert press(anna, f"/events/{event_id}/ignore", reason="twice").status_code == 303
    assert ("dashboard: Anna de Boer", "ignore", f"event {event_id}", "twice") in gateway.audit()
    # The link has been used; the name is known in any case of its letters.
    assert open_browser().get(link).status_code == 404
    assert open_browser().post(link, data={"password": PASSWORD, "again": PASSWORD}).status_code == 404
    again = open_browser().post("/login", data={"name": "ANNA DE BOER", "password": PASSWORD, "next": "/sales"})
    assert (again.status_code, again.headers["location"]) == (303, "/sales")
    assert open_browser().post("/login", data={"name": "Anna de Boer", "password": TOKEN}).status_code == 401
    with reading(gateway.engine) as session:
        stored = session.execute(select(UserRow)).scalar_one()
    assert stored.password is not None
    assert stored.password.startswith("$argon2id$")
    assert link.rsplit("/", 1)[1] not in str(stored.model_dump())


def test_each_role_may_do_what_it_says_and_no_more(gateway: Gateway, admin: httpx.Client, open_browser: Open) -> None:
    work = [f"/events/{park(gateway, key=str(n))}/ignore" for n in range(3)]
    people = {role: join(admin, open_browser(), role, role) for role in ("viewer", "bookkeeper", "owner")}
    for n, (role, browser) in enumerate(people.items()):
        assert browser.get("/").status_code == browser.get("/sales").status_code == 200
        worked = press(browser, work[n], reason="a test").status_code
        configured = press(browser, "/connections/default/pause").status_code
        shown = [browser.get(page).status_code for page in ("/users", "/setup", "/setup/default")]
        expected = {"viewer": (403, 403, 403), "bookkeeper": (303, 403, 403), "owner": (303, 303, 200)}[role]
        assert (worked, configured, *shown) == (*expected, expected[2], expected[2]), role
        page = browser.get("/").text
        assert ("/users" in page) == (role == "owner")


def test_every_form_of_the_pages_needs_a_role() -> None:
    # What needs no right beyond reading is listed here, so that a new form is not open to everybody by accident.
    everybodys = {"/login", "/logout", "/language", "/account", "/sessions/{digest}/end", "/invitation/{secret}"}
    forms = [route for route in dashboard.routes() if isinstance(route, Route) and route.methods == {"POST"}]
    assert {route.path for route in forms if getattr(route.endpoint, "right", 0) < 2} == everybodys


@pytest.fixture
def confined(gateway: Gateway, admin: httpx.Client, open_browser: Open, seal: Seal) -> httpx.Client:
    """An owner of the connection `default`, beside which there is another one with a bit of everything."""
    with writing(gateway.engine) as session:
        other = {"realm_id": "7", "mplus_url": "https://t:9", "mplus_subscription_id": None}
        connections.save(session, a_connection(OTHER, **other), seal)
        alerts.note(session, [AlertCause(f"parked/{OTHER}/orders/x", "one waits", connection=OTHER)])
        alerts.note(session, [AlertCause(f"silent/{OTHER}", "till is silent", connection=OTHER)])
    return join(admin, open_browser(), "Owner", "owner", "default")


LISTS = (
    *("/", "/sales", "/sales?q=9.9.2026.999", "/sales.csv", "/agreement", "/agreement.csv", "/mapping"),
    *("/events", "/preview", "/setup"),
)
OF_OTHER = (f"/setup/{OTHER}", *(f"/connections/{OTHER}/{page}" for page in ("mapping", "settings", "settings/1")))


def test_who_belongs_to_one_connection_sees_no_other(
    gateway: Gateway, admin: httpx.Client, confined: httpx.Client
) -> None:
    gateway.admin("PUT", f"/admin/connections/{OTHER}/settings", content="version = 1 # elsewhere")
    sale = store(gateway, "9.9.2026.999", PARKED, connection=OTHER, customer="A customer elsewhere")
    about: dict[str, Any] = {"source": "t", "connection": OTHER, "entity_id": OTHER}
    ids = gateway.receive(
        Change("2", Flow.ORDERS, entity="Doctor", **about),
        Change("3", Flow.PRODUCTS, entity="Preview", **about),
        Change("4", Flow.ORDERS, entity="Agreement", **about),
    )
    event_id = park(gateway, OTHER)
    pages_of_it = (f"/sales/{sale.id}", f"/events/{event_id}", f"/preview/{ids[1]}", f"/agreement/{ids[2]}")
    for path in LISTS:
        assert OTHER in admin.get(path).text or path in {"/preview", "/agreement.csv"}, path
        for asked in (path, f"{path}{'&' if '?' in path else '?'}connection={OTHER}"):
            answer = confined.get(asked, follow_redirects=True)
            assert answer.status_code == 200, asked
            assert OTHER not in answer.text.replace(f"connection={OTHER}", ""), asked
            assert "9.9.2026.999" not in answer.text.replace("q=9.9.2026.999", "").replace('"9.9.2026.999"', ""), asked
    for path in (*pages_of_it, *OF_OTHER):
        assert admin.get(path).status_code == 200, path
        assert confined.get(path).status_code == 404, path
    draft = f"/connections/default/settings?draft={ids[1]}"
    assert OTHER not in confined.get(draft).text
    assert OTHER not in confined.get("/connect/quickbooks", params={"connection": OTHER}).headers.get("location", "")


def test_who_belongs_to_one_connection_changes_no_other(
    gateway: Gateway, admin: httpx.Client, confined: httpx.Client
) -> None:
    mine, others = park(gateway), park(gateway, OTHER)
    assert press(confined, "/events/retry", connection=OTHER).status_code == 303
    assert press(confined, f"/events/{others}/ignore", reason="x").status_code == 404
    assert press(confined, f"/connections/{OTHER}/pause").status_code == 404
    assert press(confined, f"/setup/{OTHER}/remove", data="keep", confirmed=OTHER).status_code == 404
    asked = press(confined, "/agreement", connection=OTHER)
    assert asked.status_code == 303
    states = {row.id: (row.state, row.connection) for row in gateway.rows()}
    assert states[mine] == (State.RECEIVED, "default")
    assert states[others] == (State.PARKED, OTHER)
    assert states[int(asked.headers["location"].rsplit("/", 1)[1])][1] == "default"
    # Nor may they let anybody see more than they see.
    assert press(confined, "/users", name="Somebody", role="agency").status_code == 422
    link = invite(confined, "Somebody", "owner", OTHER)
    assert link
    with reading(gateway.engine) as session:
        made = session.execute(select(UserRow).where(col(UserRow.login) == "somebody")).scalar_one()
    assert made.connection == "default"
    assert join(admin, admin, "An agency", "agency").get("/users").status_code == 200
    (agency,) = (row for row in find_people(gateway) if row.name == "An agency")
    assert press(confined, f"/users/{agency.id}/remove").status_code == 404
    assert press(confined, f"/users/{made.id}/role", role="agency").status_code == 409


def find_people(gateway: Gateway) -> list[UserRow]:
    with reading(gateway.engine) as session:
        return list(session.execute(select(UserRow)).scalars())


def test_keeping_somebody_out_ends_their_sessions_at_once(
    gateway: Gateway, start: Callable[..., Gateway], admin: httpx.Client, open_browser: Open
) -> None:
    other = start()
    anna = join(admin, open_browser(), "Anna", "owner")
    elsewhere = open_browser(other.url)
    assert elsewhere.post("/login", data={"name": "Anna", "password": PASSWORD}).status_code == 303
    (row,) = find_people(gateway)
    assert press(anna, f"/users/{row.id}/disable").status_code == 409  # nobody locks themselves out
    assert "Anna" in admin.get("/users").text
    assert press(admin, f"/users/{row.id}/disable").status_code == 303
    for browser in (anna, elsewhere):
        assert browser.get("/sales").headers["location"] == "/login?next=/sales"
        assert browser.post("/login", data={"name": "Anna", "password": PASSWORD}).status_code == 401
    assert press(admin, f"/users/{row.id}/enable").status_code == 303
    assert anna.post("/login", data={"name": "Anna", "password": PASSWORD}).status_code == 303
    assert press(admin, f"/users/{row.id}/remove").status_code == 303
    assert anna.get("/sales").status_code == 303
    assert [action for _, action, _, _ in gateway.audit()].count("user remove") == 1


def test_a_session_is_listed_and_ended_and_a_password_changed(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    anna, thief = join(admin, open_browser(), "Anna", "viewer"), open_browser()
    for _ in range(2):
        assert thief.post("/login", data={"name": "Anna", "password": PASSWORD}).status_code == 303
    listed = re.findall(r"/sessions/([0-9a-f]+)/end", anna.get("/account").text)
    assert len(listed) == 2
    of_admin = re.findall(r"/sessions/([0-9a-f]+)/end", admin.get("/users").text)
    assert press(anna, f"/sessions/{next(d for d in of_admin if d in listed)}/end").status_code == 303
    with reading(gateway.engine) as session:
        digest = select(col(WebSessionRow.digest)).where(col(WebSessionRow.user_id).is_(None))
        tokens = list(session.execute(digest).scalars())
    assert press(anna, f"/sessions/{tokens[0]}/end").status_code == 404  # ADMIN_TOKEN's is not hers
    new = {"current": PASSWORD, "password": "another " + PASSWORD, "again": "another " + PASSWORD}
    assert press(anna, "/account", **new | {"current": "wrong " + PASSWORD}).status_code == 403
    assert press(anna, "/account", **new).status_code == 200
    assert (anna.get("/").status_code, thief.get("/").status_code) == (200, 303)
    assert thief.post("/login", data={"name": "Anna", "password": PASSWORD}).status_code == 401


def test_guessing_a_password_is_throttled(gateway: Gateway, admin: httpx.Client, open_browser: Open) -> None:
    join(admin, open_browser(), "Anna", "viewer")
    guesser = open_browser()
    names = ("Anna", "nobody", "A\x00B", "x" * 5000)
    said = [guesser.post("/login", data={"name": name, "password": "guess"}).status_code for name in names]
    assert said == [401] * 4
    said = [guesser.post("/login", data={"name": "Anna", "password": "guess"}).status_code for _ in range(FAILURES)]
    assert (said[0], said[-1]) == (401, 429)
    assert guesser.post("/login", data={"name": "Anna", "password": PASSWORD}).status_code == 429
    assert guesser.post("/login", data={"password": TOKEN}).status_code == 303  # the token is never refused


def test_wrong_links_of_invitations_keep_nobody_from_logging_in(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    join(admin, open_browser(), "Anna", "viewer")
    guesser = open_browser()
    assert [guesser.get(f"/invitation/{n}").status_code for n in range(FAILURES // 2)] == [404] * (FAILURES // 2)
    time.sleep(3)  # all sources together ask the database 20 times at once, then twice a second
    assert [guesser.get(f"/invitation/{n}").status_code for n in range(FAILURES)][-1] == 429
    login = {"name": "Anna", "password": PASSWORD}
    wait_until(
        lambda: guesser.post("/login", data=login).status_code == 303, seconds=10, what="the login"
    )  # not a minute
    with reading(gateway.engine) as session:
        row = session.execute(select(AuditRow).where(col(AuditRow.action) == "throttled")).scalar_one()
    assert (row.actor, row.target) == ("127.0.0.1", "invitation")


def test_an_invitation_ends_after_a_week_and_when_a_new_one_is_made(
    gateway: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    first = invite(admin, "Anna", "viewer")
    (row,) = find_people(gateway)
    page = press(admin, f"/users/{row.id}/invite")
    (second,) = re.findall(r'value="[^"]*(/invitation/[^"]+)"', page.text)
    assert [open_browser().get(link).status_code for link in (first, second)] == [404, 200]
    assert press(admin, "/users", name="ANNA", role="viewer").status_code == 409
    for wrong in ("", "anna@shop.example", "x" * 61, "a\nb" + "c" * 60):
        assert press(admin, "/users", name=wrong, role="viewer").status_code == 422
    with writing(gateway.engine) as session:
        session.execute(update(UserRow).values(invitation_ends_at=moment(-1)))
    assert open_browser().get(second).status_code == 404


def test_the_people_of_a_purged_connection_are_deleted(
    gateway: Gateway, admin: httpx.Client, confined: httpx.Client
) -> None:
    join(admin, admin, "Elsewhere", "owner", OTHER)
    assert len(find_people(gateway)) == 2
    answer = gateway.admin("DELETE", f"/admin/connections/{OTHER}", json={"data": "purge"})
    assert answer.status_code in {200, 202}, answer.text
    removal.follow(gateway.engine, gateway.settings)
    assert [row.connection for row in find_people(gateway)] == ["default"]
    assert confined.get("/").status_code == 200
    with reading(gateway.engine) as session:
        assert session.execute(select(func.count()).select_from(WebSessionRow)).scalar_one() >= 1


def test_who_belongs_to_a_removed_connection_sees_nothing_and_no_error(
    gateway: Gateway, confined: httpx.Client
) -> None:
    assert gateway.admin("DELETE", "/admin/connections/default", json={"data": "keep"}).status_code == 200
    for path in LISTS:
        answer = confined.get(path, follow_redirects=True)
        assert answer.status_code in {200, 404}, (path, answer.status_code)
        assert OTHER not in answer.text, path


def test_the_pages_of_people_speak_three_languages(admin: httpx.Client) -> None:
    for language, word in (("en", "Who may log in"), ("de", "Wer sich anmelden darf"), ("nl", "Wie mag inloggen")):
        assert word in admin.get("/users", headers={"Accept-Language": language}).text


def test_what_only_a_later_release_knows_is_read_only_or_stopped(
    gateway: Gateway, admin: httpx.Client, open_browser: Open, seal: Seal
) -> None:
    owner = join(admin, open_browser(), "Olaf", "owner")
    with writing(gateway.engine) as session:
        session.execute(update(UserRow).values(role="controller"))
        more = {"realm_id": "777", "mplus_url": "https://other.example", "mplus_subscription_id": "other"}
        connections.save(session, a_connection(OTHER, **more), seal)
        renamed = update(ConnectionRow).where(col(ConnectionRow.name) == OTHER)
        session.execute(renamed.values(status="suspended"))
    assert owner.get("/sales").status_code == 200
    assert press(owner, f"/events/{park(gateway)}/ignore", reason="a test").status_code == 403
    assert "The role controller is one of a later release" in admin.get("/users").text
    user_id = re.findall(r'action="/users/(\d+)/role"', admin.get("/users").text)[0]
    assert press(admin, f"/users/{user_id}/role", role="").status_code == 409
    assert press(admin, f"/users/{user_id}/role", role="owner").status_code == 303
    page = admin.get("/setup").text
    assert f"<b>{OTHER}</b>: stopped: its status suspended is one of a later release" in page
    assert admin.get(f"/setup/{OTHER}").status_code == 200
    with writing(gateway.engine) as session:
        assert OTHER not in connections.names(session)
        assert connections.new_key(session, OTHER) == f"{OTHER}~2"
        assert connections.names_by_realm(session)["777"] == OTHER
        assert retention.find_removed(session) == []  # or its tokens would be revoked and its data purged
    with pytest.raises(Rejected, match="there is no connection"):
        removal.remove(gateway.engine, gateway.settings, OTHER, removal.Data.PURGE, actor="test")
    at = doctor.Installation(gateway.settings, gateway.engine, seal)
    found = {each.subject: each for each in doctor.check_connections(at)}
    assert "later release" in found[f"connection {OTHER}"].said
    assert found[f"connection {OTHER}"].fix


def test_who_may_not_change_is_offered_no_change(gateway: Gateway, admin: httpx.Client, open_browser: Open) -> None:
    people = {role: join(admin, open_browser(), role, role) for role in ("viewer", "bookkeeper", "owner")}
    gateway.receive(Change("p", Flow.PRODUCTS, "poll", "Item", "17", "default", sku="7001"))
    for role, browser in people.items():
        for path in ("/connections/default/settings", "/connections/default/mapping"):
            page = browser.get(path).text
            assert ('name="action"' in page) == (role == "owner"), (role, path)
            assert ("an owner changes it" in page) == (role != "owner"), (role, path)
        preview = browser.get("/preview").text
        assert ('action="/preview"' in preview) == (role != "viewer"), role
        assert "7001" in preview


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/126.0 Safari/537.36 Edg/126.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0", "Firefox on Linux"),
        ("curl/8.5.0", "curl/8.5.0"),
    ],
)
def test_a_session_names_its_browser_in_words(gateway: Gateway, open_browser: Open, agent: str, words: str) -> None:
    browser = open_browser()
    browser.headers["User-Agent"] = agent
    assert browser.post("/login", data={"password": TOKEN}).status_code == 303
    assert f">{words}</p>" in browser.get("/account").text


def test_a_role_in_the_audit_is_said_in_words(gateway: Gateway, admin: httpx.Client, open_browser: Open) -> None:
    join(admin, open_browser(), "Anna de Boer", "bookkeeper")
    person = re.findall(r'action="/users/(\d+)/role"', admin.get("/users").text)[0]
    assert press(admin, f"/users/{person}/role", role="viewer").status_code == 303
    said = admin.get("/audit", headers={"Accept-Language": "de"}).text
    assert "Anna de Boer, Buchhaltung, jede Verbindung" in said
    assert "bookkeeper" not in said
    assert '<span class="reason">Nur lesen</span>' in said
    assert ("dashboard", "invite", "Anna de Boer, Bookkeeper, every connection", None) in gateway.audit()

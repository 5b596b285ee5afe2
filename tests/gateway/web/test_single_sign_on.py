"""Single sign-on: who was invited with a verified address is let in, bound to one account and one browser."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, func, select, text
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.store import users
from gateway.store.tables import UserRow, WebSessionRow
from gateway.store.users import Role
from gateway.web.services import FAILURES
from tests.conftest import on_both_databases
from tests.gateway.openid_provider import CLIENT, SECRET, OpenIdProvider
from tests.gateway.web.conftest import TOKEN, Gateway, csrf_of
from tests.servers import wait_until

ANNA = {"sub": "anna-1", "email": "Anna@Kantoor.example", "email_verified": True}
BUTTONS = {"en": "Log in with The agency", "de": "Mit The agency anmelden", "nl": "Inloggen met The agency"}


@dataclass
class Stage:
    """A gateway with a provider, and browsers that nobody logged in with."""

    gateway: Gateway
    provider: OpenIdProvider
    open_browser: Callable[[], httpx.Client]

    def invite(self, name: str = "Anna de Boer", email: str | None = "anna@kantoor.example") -> int:
        with writing(self.gateway.engine) as session:
            user_id = users.add(session, name, Role.BOOKKEEPER, None)
            assert user_id is not None
            assert users.change_email(session, user_id, email)
        return user_id

    def go_there(self, browser: httpx.Client, *, wanted: str = "/sales") -> str:
        """Press the button; the address that the provider sends the browser back to."""
        page = browser.get("/login", params={"next": wanted}).text
        found = re.search(r'class="button" href="(/login/oidc[^"]*)"', page)
        assert found, page
        out = browser.get(found[1].replace("&amp;", "&"))
        assert out.status_code == 302, out.text
        back = httpx.get(out.headers["location"], timeout=10).headers["location"]
        assert back.startswith("http://gateway.example/login/oidc/callback?")
        return back.removeprefix("http://gateway.example")

    def log_in(self, browser: httpx.Client | None = None, *, wanted: str = "/sales") -> httpx.Response:
        browser = browser or self.open_browser()
        return browser.get(self.go_there(browser, wanted=wanted))

    def count_sessions(self) -> int:
        with reading(self.gateway.engine) as session:
            return int(session.execute(select(func.count()).select_from(WebSessionRow)).scalar_one())

    def find_subjects(self) -> list[str | None]:
        with reading(self.gateway.engine) as session:
            return list(session.execute(select(col(UserRow.subject)).order_by(col(UserRow.id))).scalars())


@pytest.fixture
def stage(start: Callable[..., Gateway], serve: Callable[..., str]) -> Iterator[Stage]:
    provider = OpenIdProvider(account=dict(ANNA))
    provider.issuer = serve(provider.app())
    gateway = start(
        OIDC_ISSUER=provider.issuer + "/",
        OIDC_CLIENT_ID=CLIENT,
        OIDC_CLIENT_SECRET=SECRET,
        OIDC_NAME="The agency",
        PUBLIC_URL="http://gateway.example",
    )
    with ExitStack() as stack:

        def open_one() -> httpx.Client:
            return stack.enter_context(httpx.Client(base_url=gateway.url, headers={"Accept": "text/html"}, timeout=10))

        yield Stage(gateway, provider, open_one)


def test_the_button_leads_to_the_provider_and_back_as_the_person(stage: Stage) -> None:
    stage.invite()
    browser = stage.open_browser()
    answer = stage.log_in(browser, wanted="/sales?q=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sales?q=1")
    account = browser.get("/account").text
    assert ("Anna de Boer" in account, 'name="current"' in account) == (True, False)  # there is no password to change
    actor = "dashboard: Anna de Boer"
    noted = [(action, reason) for who, action, _, reason in stage.gateway.audit() if who == actor]
    assert noted == [("first sign-on", None), ("login", "by single sign-on")]
    # From now on the account counts, whatever its address becomes.
    stage.provider.account |= {"email": "anna@elsewhere.example", "email_verified": False}
    assert stage.log_in().status_code == 303
    assert stage.find_subjects() == [f"{stage.provider.issuer} anna-1"]
    assert stage.count_sessions() == 2


def test_nobody_is_let_in_who_was_not_invited(stage: Stage) -> None:
    user_id = stage.invite(email=None)
    refused = stage.log_in()
    assert refused.status_code == 403
    assert "Ask an owner to invite you under People" in refused.text
    assert 'name="next" value="/login">' in refused.text  # another language: the provider's answer is read once
    with writing(stage.gateway.engine) as session:
        users.change_email(session, user_id, "anna@kantoor.example")
    for unverified in (False, None):
        stage.provider.wrong = {"email_verified": unverified}
        refused = stage.log_in()
        assert (refused.status_code, "has not confirmed your e-mail address" in refused.text) == (403, True)
    # The Kelvin sign becomes a k in lower case: such an address is no other's.
    stage.provider.wrong = {"email": "anna@kantoor.example".replace("k", "\u212a")}
    assert stage.log_in().status_code == 403
    stage.provider.wrong = {}
    with writing(stage.gateway.engine) as session:
        users.enable(session, user_id, enabled=False)
    assert stage.log_in().status_code == 403
    assert (stage.count_sessions(), stage.find_subjects()) == (0, [None])
    with writing(stage.gateway.engine) as session:
        users.enable(session, user_id, enabled=True)
    assert stage.log_in().status_code == 303
    with writing(stage.gateway.engine) as session:
        users.enable(session, user_id, enabled=False)
    assert (stage.log_in().status_code, stage.count_sessions()) == (403, 0)


def test_another_account_with_the_same_address_waits_for_an_owner(stage: Stage) -> None:
    user_id = stage.invite()
    assert stage.log_in().status_code == 303
    stage.provider.account["sub"] = "another-account"
    refused = stage.log_in()
    assert refused.status_code == 403
    assert "ask an owner to save your address under People again" in refused.text
    assert stage.find_subjects() == [f"{stage.provider.issuer} anna-1"]
    owner = stage.open_browser()
    assert owner.post("/login", data={"password": TOKEN}).status_code == 303
    form = {"csrf": csrf_of(owner.get("/users").text), "email": "ANNA@kantoor.example"}
    assert owner.post(f"/users/{user_id}/email", data=form).status_code == 303
    assert stage.log_in().status_code == 303
    assert stage.find_subjects() == [f"{stage.provider.issuer} another-account"]
    assert "example" not in str(stage.gateway.audit())


def test_a_login_belongs_to_the_browser_that_began_it_and_works_once(stage: Stage) -> None:
    stage.invite()
    mine, other = stage.open_browser(), stage.open_browser()
    back = stage.go_there(mine)
    stage.go_there(other)
    asked = len(stage.provider.asked)
    for browser, address in ((other, back), (stage.open_browser(), back), (mine, re.sub("state=", "state=_", back))):
        refused = browser.get(address)
        assert (refused.status_code, "was not begun in this browser" in refused.text) == (400, True)
    assert (len(stage.provider.asked), stage.count_sessions()) == (asked, 0)
    back, cookie = stage.go_there(mine), mine.cookies.get("kassabridge_sign_on")
    assert mine.get(back).status_code == 303
    # The same once more, by a copy of the cookie.
    mine.cookies.set("kassabridge_sign_on", str(cookie))
    assert mine.get(back).status_code == 400
    state = httpx.URL(stage.go_there(other)).params["state"]
    page = other.get(f"/login/oidc/callback?error=access_denied&state={state}")
    assert (page.status_code, "did not let you in" in page.text) == (400, True)
    out = mine.get("/login/oidc").headers["set-cookie"]
    assert ("HttpOnly" in out, "SameSite=lax" in out, "Max-Age=600" in out) == (True, True, True)


def test_single_sign_on_leads_to_no_other_site(stage: Stage) -> None:
    stage.invite()
    for wanted in ("https://evil.example", "//evil.example", "/\\evil.example", "/" + "x" * 2000):
        browser = stage.open_browser()
        back = stage.go_there(browser, wanted=wanted)
        assert len(str(browser.cookies.get("kassabridge_sign_on"))) < 4000
        assert browser.get(back).headers["location"] == "/"
        # Nor when the address of the button is made by another site.
        out = browser.get("/login/oidc", params={"next": wanted})
        assert out.headers["location"].startswith(f"{stage.provider.issuer}/authorize?")
        back = httpx.get(out.headers["location"], timeout=10).headers["location"]
        assert browser.get(back.removeprefix("http://gateway.example")).headers["location"] == "/"


def test_a_provider_that_is_down_is_told_and_passwords_work(stage: Stage) -> None:
    stage.provider.status = 503
    browser = stage.open_browser()
    page = browser.get("/login/oidc", params={"next": "/sales"}, headers={"Accept-Language": "de"})
    assert page.status_code == 503
    assert "der Anmeldeanbieter antwortete 503" in page.text
    assert "Melden Sie sich mit Name und Passwort an" in page.text
    answer = browser.post("/login", data={"password": TOKEN, "next": "/sales"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sales")


def test_a_false_proof_is_refused_and_the_source_slowed_down(stage: Stage) -> None:
    stage.invite()
    stage.provider.wrong = {"nonce": "another"}
    refused = [stage.log_in() for _ in range(FAILURES)]
    assert {page.status_code for page in refused} == {403}
    assert "InvalidClaimError nonce" in refused[0].text
    before = list(stage.provider.asked)
    page = stage.open_browser().get("/login/oidc")
    assert (page.status_code, "Too many failed logins" in page.text) == (429, True)
    assert stage.provider.asked == before
    assert (stage.count_sessions(), stage.find_subjects()) == (0, [None])


def test_the_button_is_there_in_three_languages_where_it_is_set_up(stage: Stage, gateway: Gateway) -> None:
    browser = stage.open_browser()
    for language, words in BUTTONS.items():
        assert words in browser.get("/login", headers={"Accept-Language": language}).text
    assert "/login/oidc" not in gateway.http.get("/login").text
    for path in ("/login/oidc", "/login/oidc/callback"):
        assert gateway.http.get(path).status_code == 404


def test_an_owner_gives_people_their_address(stage: Stage) -> None:
    owner = stage.open_browser()
    owner.post("/login", data={"password": TOKEN})
    form = {"csrf": csrf_of(owner.get("/users").text), "name": "Anna", "role": "viewer"}
    assert owner.post("/users", data=form | {"email": "nobody"}).status_code == 422
    assert owner.post("/users", data=form | {"email": " Anna@kantoor.example "}).status_code == 200
    taken = owner.post("/users", data=form | {"name": "Ben", "email": "anna@kantoor.example"})
    assert (taken.status_code, "somebody has this e-mail address" in taken.text) == (409, True)
    assert owner.post("/users", data=form | {"name": "Ben"}).status_code == 200
    ben = re.findall(r'action="/users/(\d+)/email"', owner.get("/users").text)[1]
    csrf = {"csrf": form["csrf"]}
    answers = [
        owner.post(f"/users/{ben}/email", data=csrf | {"email": email}).status_code
        for email in ("anna@kantoor.example", "b", "ben@agency.example", "")
    ]
    assert answers == [409, 422, 303, 303]
    assert stage.log_in().status_code == 303
    assert "logs in by single sign-on" in owner.get("/users").text


@on_both_databases
def test_two_owners_give_one_address_at_once_and_the_second_is_told(stage: Stage) -> None:
    owner = stage.open_browser()
    owner.post("/login", data={"password": TOKEN})
    anna, ben = stage.invite(email=None), stage.invite("Ben", email=None)
    form = {"csrf": csrf_of(owner.get("/users").text), "email": "anna@kantoor.example"}
    with ThreadPoolExecutor(1) as pool:
        with writing(stage.gateway.engine) as session:
            assert users.change_email(session, anna, "anna@kantoor.example")
            second = pool.submit(owner.post, f"/users/{ben}/email", data=form)
            wait_until(lambda: is_blocked(stage.gateway.engine) or second.done(), seconds=20, what="the second owner")
        answer = second.result()
    assert answer.status_code == 409
    assert f'id="email-{ben}-fault" role="alert">somebody has this e-mail address' in answer.text
    assert f'id="email-{ben}" name="email" type="email" maxlength="254" autocomplete="off"' in answer.text
    assert answer.text.count('value="anna@kantoor.example"') == 2


@on_both_databases
def test_one_account_that_logs_in_twice_at_once_is_let_in_twice(stage: Stage) -> None:
    anna = stage.invite()
    said = ("https://provider anna-1", "anna@kantoor.example")

    def sign_on() -> Any:
        with writing(stage.gateway.engine) as session:
            return users.sign_on(session, *said)

    with ThreadPoolExecutor(1) as pool:
        with writing(stage.gateway.engine) as session:
            first = users.sign_on(session, *said)
            second = pool.submit(sign_on)
            wait_until(lambda: is_blocked(stage.gateway.engine) or second.done(), seconds=20, what="the second login")
        answers = [first, second.result()]
    assert [(user.id, is_first) for user, is_first in answers] == [(anna, True), (anna, False)]


def is_blocked(engine: Engine) -> bool:
    """Whether another transaction waits for ours; in SQLite the second begins after the first."""
    if engine.dialect.name == "sqlite":
        return True
    with reading(engine) as session:
        return bool(session.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def test_without_a_provider_its_libraries_are_not_imported() -> None:
    code = "import gateway.app, sys; print([name for name in sys.modules if name in {'authlib', 'joserfc'}])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"

"""Every page of the dashboard, light and dark, examined by axe-core; its pictures are looked at by people."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from starlette.routing import Route

from gateway.database.session import open_engine, writing
from gateway.database.sql import moment
from gateway.store import alerts, audit, claims, connections, inbox, requests, users
from gateway.store.agreements import AgreementStatus, DayResult
from gateway.store.alerts import AlertCause
from gateway.store.audit import BulkAction
from gateway.store.events import Flow, Outcome, State
from gateway.store.tables import AlertRow
from gateway.store.users import Role
from gateway.web import dashboard
from tests.browser.shop import KEY
from tests.claiming import finish
from tests.gateway.web.dashboard.test_pages_agreement import FIRST, MEANT, WRONG, add_days
from tests.gateway.web.dashboard.test_pages_previews import FIELDS
from tests.gateway.web.dashboard.test_pages_reports import REPORT

SAMPLES: Mapping[str, str] = {
    "/sales/{id}": "/sales/3",
    "/products/{id}": "/products/2",
    "/customers/{id}": "/customers/1",
    "/preview/{id}": "/preview/{preview}",
    "/agreement": "/agreement?month=2026-10",
    "/agreement/days/{day}": "/agreement/days/2026-10-03",
    "/agreement/{id}": "/agreement/{report}",
    "/connections/{name}/settings/{version}": "/connections/default/settings/1",
    "/events/{id}": "/events/9",
    "/todo/confirm": "/todo/confirm?action=ignore&cause-default/code:no-item=on",
    "/todo/bulk/{id}": "/todo/bulk/1",
    "/invitation/{secret}": "/invitation/a-secret-of-an-invitation",
}
"""An address of each page of something, and of the agreement in a month that has some."""
OUTSIDE = ("/login", "/invitation/{secret}")
"""Pages of who has not logged in."""
WIDTHS = (1280, 400)
ALL, COLOURS = {"resultTypes": ["violations"]}, "color-contrast"
THEMES: Mapping[str, Mapping[str, Any]] = {"light": ALL, "dark": {**ALL, "runOnly": [COLOURS]}}
"""A theme changes colours and nothing else: all rules in one, those of colours in the other too."""
IN_OTHER_WORDS: Mapping[str, Mapping[str, Any]] = {"light": {**ALL, "rules": {COLOURS: {"enabled": False}}}}
"""A language changes no colour and no element: every other rule, once, where its words have the least room."""
FILES = {
    *("/sales.csv", "/audit.csv", "/agreement.csv", "/agreement.json", "/login/oidc", "/login/oidc/callback"),
    "/setup/{name}/{step}",
}
"""Answers that are no page."""


def find_pages() -> dict[str, str]:
    """The address of every page, those for who has not logged in last. KeyError for one without a sample."""
    shown = {route.path for route in dashboard.routes() if isinstance(route, Route) and "GET" in (route.methods or ())}
    found = sorted(shown - FILES, key=lambda path: (path in OUTSIDE, path))
    named = {path: path.replace("{name}", "default") for path in found}
    return {path: SAMPLES[path] if "{" in to else SAMPLES.get(path, to) for path, to in named.items()}


def settle(engine: Engine, change: Any, content: object) -> int:
    """A request whose result is there."""
    with writing(engine) as session:
        (row,) = inbox.receive(session, [change])
    event = claims.claim(engine, row.id)
    assert event
    with writing(engine) as session:
        finish(session, event, Outcome(State.DONE, result=json.dumps(content)))
    return row.id


@pytest.fixture
def results(address: str, tmp_path: Path) -> Mapping[str, int]:
    """A month of compared days, a document of settings, and the events of a preview and a report."""
    assert address
    engine = open_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with writing(engine) as session:
        connections.save_settings(session, "default", "[orders]\nmemo = false\n", author="cli")
        users.invite(session, users.add(session, "Anna", Role.VIEWER, None) or 0, "a-secret-of-an-invitation")
        bulk_id = audit.begin_bulk(session, BulkAction.IGNORE, actor="dashboard: Anna", reason="x")
        audit.add_to_bulk(session, bulk_id, [8])
        audit.note(session, actor="dashboard: Anna", action="ignore", target="event 9", reason="a test receipt")
        alerts.note(session, [AlertCause("silent/default/MplusKASSA", "x", "it has not answered", "", "default")])
        session.execute(update(AlertRow).values(cleared_at=moment(-60), first_seen=moment(-660), told="email"))
        alerts.note(session, [AlertCause("paused/default", "the connection is paused", "by Anna", "", "default")])
    add_days(
        engine,
        KEY,
        DayResult(FIRST + timedelta(days=1), AgreementStatus.AGREES, 128330, 128330),
        DayResult(FIRST + timedelta(days=2), AgreementStatus.DIFFERS, 1550, 0, 1250, (WRONG, MEANT)),
        DayResult(FIRST + timedelta(days=3), AgreementStatus.EXPLAINED, 300, 0, 0, (MEANT,)),
    )
    found = {
        "preview": settle(engine, requests.preview(Flow.PRODUCTS, "7001", connection="default"), FIELDS),
        "report": settle(engine, requests.agree(connection="default"), REPORT),
    }
    engine.dispose()
    return found


def audit_page(tab: Any, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What axe, which the page has loaded, complains of."""
    return list(tab.evaluate("options => axe.run(options)", options)["violations"])


@pytest.mark.timeout(300)  # forty pages, audited up to four times each
@pytest.mark.parametrize("language", ["English", "Deutsch", "Nederlands"])
def test_axe_finds_nothing_on_any_page_at_any_width_in_any_theme(
    inside: Any, address: str, results: Mapping[str, int], shoot: Callable[[Any, str], None], language: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is missing").AXE_SCRIPT
    inside.get_by_role("button", name=language).click()
    inside.wait_for_load_state()
    audits, audited = (THEMES, WIDTHS) if language == "English" else (IN_OTHER_WORDS, WIDTHS[-1:])
    found: list[str] = []
    for path, page in find_pages().items():
        if path in OUTSIDE:
            inside.context.clear_cookies(name=re.compile(r"(?!.*language)"))
        answer = inside.goto(address + page.format(**results))
        assert answer.ok, page
        inside.evaluate(axe)
        for width, (theme, options) in itertools.product(WIDTHS, audits.items()):
            inside.set_viewport_size({"width": width, "height": 900})
            inside.emulate_media(color_scheme=theme)
            for each in audit_page(inside, options) if width in audited else []:
                at = f"{path} {width} {theme} {each['id']}"
                found += [f"{at}: {node['html']} {node['any']}" for node in each["nodes"]]
            shoot(inside, f"axe{path.replace('/', '-')}-{language}-{width}-{theme}")
            if inside.evaluate("document.documentElement.scrollWidth") != width:
                found.append(f"{path} is wider than {width} px")
    assert found == []
    inside.evaluate("document.querySelector('main').innerHTML = '<img src=/static/icon.svg><p>Pale</p>'")
    inside.evaluate("document.querySelector('main p').style.color = 'color-mix(in srgb, canvastext 10%, canvas)'")
    for theme, options in audits.items():
        inside.emulate_media(color_scheme=theme)
        rules = {each["id"] for each in audit_page(inside, options)}
        assert (COLOURS in rules) == (audits is THEMES), f"it audits nothing: {theme}"
        assert ("image-alt" in rules) == ("runOnly" not in options), f"it audits nothing: {theme}"

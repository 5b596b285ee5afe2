"""People in a browser: what a second press must not hide, and what only a second look removes."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import expect


def test_a_second_press_does_not_hide_the_link_of_an_invitation(inside: Any, address: str) -> None:
    sent: list[str] = []

    def delay(route: Any) -> None:
        sent.append(route.request.method)
        time.sleep(0.4)
        route.continue_()

    inside.goto(f"{address}/users")
    inside.route("**/users", delay)
    for name in ("Anna de Boer", "Bo"):  # the second after the page came back by the browser's button
        inside.get_by_label("Name", exact=True).fill(name)
        press = inside.get_by_role("button", name="Make the invitation")
        press.evaluate("button => { button.click(); setTimeout(() => button.click(), 150); }")
        expect(inside.get_by_role("heading", name=f"Send this link to {name}")).to_be_visible()
        assert sent.count("POST") == 1
        sent.clear()
        inside.go_back()


def test_a_person_is_removed_only_after_a_second_look(inside: Any, address: str) -> None:
    inside.goto(f"{address}/users")
    inside.get_by_label("Name", exact=True).fill("Anna de Boer")
    inside.get_by_role("button", name="Make the invitation").click()
    remove = inside.get_by_role("button", name="Remove: Anna de Boer")
    expect(remove).to_be_hidden()
    inside.get_by_text("Remove Anna de Boer").click()
    remove.click()
    expect(inside.get_by_text("Nobody yet: only who has the ADMIN_TOKEN logs in.")).to_be_visible()

"""The part of `doctor` that calls both systems: both logins, and whether what sales and items need exists."""

from __future__ import annotations

import json

from gateway import findings
from gateway.store import requests
from gateway.store.events import Event
from handlers.checkup import checks, draft, lists
from handlers.deps import Deps
from handlers.result import Result, done, telling
from mapping.messages import message


def handle(event: Event, deps: Deps) -> Result:
    """Check everything a new installation gets wrong; the result is a list of findings on the row.

    Checks of a system that does not answer are left out. If a settings document is given, only that is checked. The
    lists that were read are stored for the pages.
    """
    asked = json.loads(event.hint or "{}")
    if requests.LISTS in asked:
        return lists.refresh(deps)
    if requests.SETTINGS in asked:
        return draft.handle(event, deps)
    if requests.IN_FORCE in asked:
        return draft.check_in_force(asked[requests.IN_FORCE], deps)
    deps.lists.forget_older_than(0)  # so that a repair made a moment ago counts
    advice = "look at the address and the credentials, then try again"
    rows = [each.to_data() for each in findings.run(checks.ALL, deps.without_writes(), otherwise=advice)]
    lists.store(deps)
    troubles = sum(not row["good"] for row in rows)
    return telling(done(message("{n} of {all} findings need attention", n=troubles, all=len(rows))), rows)

"""The part of `doctor` that calls both systems: both logins, and whether what sales and items need exists."""

from __future__ import annotations

import dataclasses
import json

from gateway.store import requests
from gateway.store.events import Event
from handlers.checkup import books, draft, goods, settings, till, together
from handlers.checkup.finding import CheckFinding, guarded
from handlers.deps import Deps
from handlers.result import Result, done

__all__ = ["CheckFinding", "handle"]


def handle(event: Event, deps: Deps) -> Result:
    """Check everything a new installation gets wrong; the result is a list of findings on the row.

    Checks of a system that does not answer are left out. If a settings document is given, only that is checked.
    """
    asked = json.loads(event.hint or "{}")
    if requests.SETTINGS in asked:
        return draft.handle(event, deps)
    if requests.IN_FORCE in asked:
        return draft.check_in_force(asked[requests.IN_FORCE], deps)
    deps.lists.forget_older_than(0)  # so that a repair made a moment ago counts
    of_till = guarded("MplusKASSA", till.look, deps)
    of_books = guarded("QuickBooks", books.look, deps)
    findings = [*of_till, *of_books]
    trying = deps.without_writes()
    if _answers(of_books, "QuickBooks"):
        findings += guarded("items", goods.look, trying) + guarded("settings", settings.look_at_books, trying)
    if _answers(of_till, "MplusKASSA"):
        findings += guarded("settings", settings.look_at_till, trying)
    if _answers(of_till, "MplusKASSA") and _answers(of_books, "QuickBooks"):
        findings += guarded("mapping", together.look, trying)
    rows = [{"check": f.check, "good": f.fix is None, "said": f.said, "fix": f.fix} for f in findings]
    result = done(f"{sum(f.fix is not None for f in findings)} of {len(findings)} findings need attention")
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=json.dumps(rows)))


def _answers(findings: list[CheckFinding], system: str) -> bool:
    return not any(finding.check == system and finding.fix for finding in findings)

"""Checks of the till: version and login, operations, branches, payment methods."""

from __future__ import annotations

from collections.abc import Iterator

from handlers.checkup.finding import CheckFinding, enumerate_some
from handlers.deps import Deps


def look(deps: Deps) -> Iterator[CheckFinding]:
    """Call the till; raises the error that explains a refusal. The WSDL needs no login, the first call does."""
    yield CheckFinding("MplusKASSA", f"answers, {deps.till.api_version()}")
    missing = list(deps.till.missing_operations())
    if missing:
        yield CheckFinding("operations", f"lacks {enumerate_some(missing)}",
                      "ask MplusKASSA for an update, or switch off the flows that need them")  # fmt: skip
    branches = deps.lists.branches()
    yield CheckFinding("branches", ", ".join(f"{b.number} {b.name}" for b in branches) or "none", None if branches else
                  "make a branch at the till")  # fmt: skip
    methods = deps.lists.payment_methods()
    yield CheckFinding("payment methods", ", ".join(m.description for m in methods) or "none", None if methods else
                  "make a way to pay at the till")  # fmt: skip

"""Checks of the till: version and login, operations, branches, payment methods."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.findings import Finding, enumerate_some
from handlers.deps import Deps
from mapping.messages import message


def look(deps: Deps) -> Iterator[Finding]:
    """Call the till; raises the error that explains a refusal. The WSDL needs no login, the first call does."""
    yield Finding("MplusKASSA", message("answers, {version}", version=deps.till.api_version()))
    missing = list(deps.till.missing_operations())
    if missing:
        yield Finding(
            "operations",
            message("lacks {names}", names=enumerate_some(missing)),
            "ask MplusKASSA for an update, or switch off the flows that need them",
        )
    branches = deps.lists.branches()
    yield Finding(
        "branches",
        ", ".join(f"{b.number} {b.name}" for b in branches) or "none",
        "" if branches else "make a branch at the till",
    )
    methods = deps.lists.payment_methods()
    yield Finding(
        "payment methods",
        ", ".join(m.description for m in methods) or "none",
        "" if methods else "make a way to pay at the till",
    )

"""The outside half of `doctor`: both logins, and whether what sales and items need exists on both sides."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.store.events import Event
from handlers.deps import Deps
from handlers.result import Result, done


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `fix` is None when it is well."""

    check: str
    said: str
    fix: str | None = None


def carry(_event: Event, deps: Deps) -> Result:
    """Look at everything a new installation gets wrong; the result is on the row, a list of findings."""
    findings = [
        *_guarded("MplusKASSA", lambda: _look_at_till(deps)),
        *_guarded("QuickBooks", lambda: _look_at_books(deps)),
    ]
    if all(finding.fix is None for finding in findings):
        findings += _guarded("VAT rates", lambda: _compare_rates(deps))
    rows = [{"check": f.check, "good": f.fix is None, "said": f.said, "fix": f.fix} for f in findings]
    result = done(f"{sum(f.fix is not None for f in findings)} of {len(findings)} findings need somebody")
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=json.dumps(rows)))


def _guarded(check: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except GatewayError as error:
        return [Finding(check, error.reason, error.fix or "look at the address and the credentials, then try again")]


def _look_at_till(deps: Deps) -> Iterator[Finding]:
    yield Finding("MplusKASSA", f"answers, {deps.till.api_version()}")
    branches = deps.lists.branches()
    yield Finding("branches", ", ".join(f"{b.number} {b.name}" for b in branches) or "none", None if branches else
                  "make a branch at the till")  # fmt: skip
    methods = deps.lists.payment_methods()
    yield Finding("payment methods", ", ".join(m.description for m in methods) or "none")


def _look_at_books(deps: Deps) -> Iterator[Finding]:
    company = deps.lists.company()
    yield Finding("QuickBooks", f"{company.name} ({company.country}), {company.home_currency or 'no currency told'}")
    currency = deps.settings.products.currency
    if company.home_currency not in (None, currency):
        yield Finding("currency", f"the company keeps {company.home_currency}, the settings say {currency}",
                      "set products.currency to the company's, or connect the right company")  # fmt: skip
    numbered = company.custom_document_numbers
    yield Finding("document numbers", "the till's number is kept" if numbered else
                  "QuickBooks numbers by itself; a sale is recognised by its private note")  # fmt: skip
    if company.books_closed_through:
        yield Finding("closed books", f"closed through {company.books_closed_through}; earlier sales are parked")
    if not company.uses_tax:
        yield Finding("sales tax", "VAT is switched off", "switch VAT on in QuickBooks and make its tax codes")


def _compare_rates(deps: Deps) -> Iterator[Finding]:
    known = {c.percentage for c in deps.lists.tax_codes(deps.now().date()) if c.active and c.percentage is not None}
    for rate in sorted({group.percentage for group in deps.lists.vat_groups()}):
        fitting = f"{rate.normalize():f} %"
        yield (
            Finding(f"VAT {fitting}", "QuickBooks has a tax code of this rate")
            if rate in known
            else Finding(
                f"VAT {fitting}",
                "QuickBooks has no active tax code of this rate",
                "make one in QuickBooks, or map the rate in mapping.tax_codes",
            )
        )

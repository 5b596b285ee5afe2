"""What one system names and the other must have: VAT rates, payment methods, branches."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from gateway.findings import Finding
from handlers.deps import Deps
from mapping import control, list_entries
from mapping.control import ControlQuestion
from mapping.errors import MappingError
from mapping.messages import message
from mapping.records import TaxCode


def look(deps: Deps) -> Iterator[Finding]:
    """Check each rate, payment method and branch of the till."""
    known = [code for code in deps.lists.tax_codes(deps.now().date()) if code.active]
    for rate in sorted({group.percentage for group in deps.lists.vat_groups()}):
        yield _look_at_rate(rate, known, deps)
    yield from _look_at_tenders(deps)
    yield from _look_at_branches(deps)


def _look_at_rate(rate: Decimal, known: list[TaxCode], deps: Deps) -> Finding:
    plain = f"{rate.normalize():f}"
    subject, rule = f"VAT {plain} %", deps.settings.mapping.tax_codes
    if rule.mode == "rule":
        return Finding(subject, "a rule of the settings chooses for each sale")
    same = next((code.id for code in known if code.percentage == rate), None)
    try:
        chosen = control.resolve(rule, ControlQuestion(setting="mapping.tax_codes", key=plain, automatic=same)).value
    except MappingError:
        chosen = None
    found = next((code for code in known if chosen in {code.id, code.name}), None)
    if found is None:
        return Finding(
            subject,
            "QuickBooks has no active tax code of this rate",
            "make one in QuickBooks, or map the rate in mapping.tax_codes",
        )
    if found.percentage != rate:
        said = message("is booked on {name}, a code of {percentage} %", name=found.name, percentage=found.percentage)
        return Finding(subject, said, "correct mapping.tax_codes: totals would not be the till's")
    return Finding(subject, "QuickBooks has a tax code of this rate")


def _look_at_tenders(deps: Deps) -> Iterator[Finding]:
    mapped = deps.settings.mapping
    if mapped.create_payment_methods or mapped.payment_methods.mode != "default":
        return
    known = deps.lists.entries("PaymentMethod")
    for method in deps.lists.payment_methods():
        entry = list_entries.method_named(method.description, known) or list_entries.method_named(method.code, known)
        question = ControlQuestion(
            setting="mapping.payment_methods", key=method.code, automatic=entry.id if entry else None
        )
        try:
            control.resolve(mapped.payment_methods, question)
        except MappingError as error:
            yield Finding(
                message("payment method {code}", code=method.code), "QuickBooks has none of this name", error.fix or ""
            )


def _look_at_branches(deps: Deps) -> Iterator[Finding]:
    known = deps.lists.read("Department")
    for branch in known.branches if known.company.tracks_departments else ():
        subject = f"branch {branch.number}"
        try:
            found = list_entries.department(branch.number, known, deps.settings.mapping)
        except MappingError as error:
            yield Finding(subject, message("no location is called {name}", name=branch.name), error.fix or "")
            continue
        if found is None:
            yield Finding(
                subject, message("no location is called {name}: its sales are booked without one", name=branch.name)
            )

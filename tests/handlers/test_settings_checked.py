"""A settings document is checked against both systems before it is put in force, and tested with the real catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gateway.database.session import reading, writing
from gateway.store import connections, requests
from gateway.store.alerts import Thresholds, find_causes
from gateway.store.events import Event
from handlers.lists import Lists
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import Shop


def check(shop: Shop, document: str) -> dict[str, Any]:
    """A worker's result for a document that is not in force."""
    event_id = shop.receive(requests.check_settings(f"version = 1\n{document}", connection="default"))
    shop.work()
    event = shop.event(event_id)
    assert event.state == "done", event.reason
    found: dict[str, Any] = json.loads(event.result or "{}")
    return found


def paths(found: dict[str, Any]) -> list[str]:
    return [fault["path"] for fault in found["faults"]]


def test_a_document_that_names_what_is_there_has_no_fault(shop: Shop) -> None:
    found = check(shop, '[products]\nvat = {mode = "table", table = {"21% BTW" = "2"}}\nturnover_group = 1\n')
    assert (found["faults"], found["warnings"], found["unasked"]) == ([], [], [])


def test_a_tax_code_whose_rate_the_books_do_not_state_is_no_fault(shop: Shop) -> None:
    table = '{"0" = "Vrijgesteld", "9" = "9% BTW", "21" = "21% BTW"}'
    found = check(shop, f'[mapping]\ntax_codes = {{mode = "table", table = {table}}}\n')
    assert found["faults"] == []


NOWHERE = [
    ("[stock]\nmain_branch = 99\n", "stock.main_branch"),
    ("[stock]\nbranches = {99 = {share = 100}}\n", "stock.branches"),
    ("[products]\nvat_branch = 99\n", "products.vat_branch"),
    ('[products]\nvat = {mode = "table", table = {"21% BTW" = "77"}}\n', "products.vat"),
    ("[products]\nturnover_group = 555\n", "products.turnover_group"),
    ('[mapping]\ntax_codes = {mode = "table", table = {"21" = "22% BTW"}}\n', "mapping.tax_codes"),
    ('[mapping]\ndeposit_accounts = {mode = "force", value = "Piggy bank"}\n', "mapping.deposit_accounts"),
    ('[orders]\nfallback_item = "nothing-like-it"\n', "orders.fallback_item"),
    ('[mapping]\nclearing_account = "Piggy bank"\n', "mapping.clearing_account"),
    ('[mapping]\norder_deposit_account = "Piggy bank"\n', "mapping.order_deposit_account"),
    ('[mapping]\nterms = {mode = "force", value = "Some day"}\n', "mapping.terms"),
    ('[mapping]\ndepartments = {mode = "table", table = {"99" = "Winkel Utrecht"}}\n', "mapping.departments"),
    (
        '[mapping]\npayment_methods = {mode = "table", table = {"Contant" = "Cash", "Pas" = "Cash"}}\n',
        "mapping.payment_methods",
    ),
    ('[mapping]\ngift_card_tenders = ["KADOBON?"]\n', "mapping.gift_card_tenders"),
    ("[categories]\nroot_group = 4711\n", "categories.root_group"),
]


def test_what_neither_system_has_is_a_fault_at_its_path(shop: Shop) -> None:
    for document, path in NOWHERE:
        found = check(shop, document)
        assert path in paths(found), document
        assert all(fault["message"] and fault["hint"] for fault in found["faults"]), document


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ('[stock]\nformula = "available / reserved"\n', "stock.formula"),
        ('[stock]\nbranches = {1 = {formula = "available / (safety - safety)"}}\n', "stock.branches.1.formula"),
    ],
)
def test_a_formula_is_tried_on_what_the_books_have(shop: Shop, document: str, path: str) -> None:
    stocked: dict[str, Any] = {
        "Type": "Inventory",
        "TrackQtyOnHand": True,
        "QtyOnHand": Decimal(8),
        "InvStartDate": "2026-01-01",
        "AssetAccountRef": {"value": shop.account("Inventory Asset")},
        "ExpenseAccountRef": {"value": shop.account("Cost of Goods Sold")},
    }
    shop.add_item("3001", "5.00", **stocked)
    found = check(shop, document)
    assert paths(found) == [path]
    assert "Item 3001" in found["faults"][0]["message"]


def test_a_filter_that_leaves_out_every_item_is_a_warning(shop: Shop) -> None:
    found = check(shop, '[products.filter]\nfield = "Name"\nvalue = "nothing like it"\n')
    assert found["faults"] == []
    assert [warning["path"] for warning in found["warnings"]] == ["products.filter"]


def test_an_existing_fault_does_not_block_other_changes(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[stock]\nmain_branch = 99\n")
    assert check(shop, "[stock]\nmain_branch = 99\n[customers]\nenabled = false\n")["faults"] == []


def test_a_system_that_does_not_answer_is_named_and_refuses_nothing(shop: Shop) -> None:
    shop.till.secret = "another"
    found = check(shop, "[stock]\nmain_branch = 99\n")
    assert (found["faults"], found["unasked"]) == ([], ["MplusKASSA"])


def test_a_rate_that_changed_at_a_branch_is_noticed_within_a_minute(shop: Shop) -> None:
    now = [0.0]
    simulation = shop.contexts.context("default")
    lists = Lists(simulation.books, simulation.till, clock=lambda: now[0])
    before = {group.code: group.percentage for group in lists.vat_groups()}
    for row in shop.till.till["vat_groups"]:
        if row["vatCode"] == 2:
            row["vatPercentage"] = row["vatPercentage"] // 21 * 22
    now[0] = 61.0
    after = {group.code: group.percentage for group in lists.vat_groups()}
    assert (before[2], after[2]) == (Decimal(21), Decimal(22))


def save_unchecked(shop: Shop, document: str) -> Event:
    """Put a document in force while no worker answers; then start one."""
    text = f"version = 1\n{document}"
    with writing(shop.engine) as session:
        version = connections.save_settings(session, "default", text, author="test")
        asked = requests.request_check(session, "default", version, checked=False)
    shop.contexts.context("default").looked_at = 0.0
    shop.work()
    (event_id,) = asked
    return shop.event(event_id)


def test_what_was_saved_unchecked_is_checked_and_its_faults_are_reported(shop: Shop) -> None:
    event = save_unchecked(shop, "[stock]\nmain_branch = 99\n")
    assert (event.state, event.code, event.field) == ("parked", "settings-fault", "stock.main_branch")
    assert "no branch 99" in (event.reason or "")
    assert alerts(shop) == ["parked/default/orders/settings-fault"]
    good = save_unchecked(shop, "[stock]\nmain_branch = 1\n")
    assert good.state == "done"
    assert shop.event(event.id).state == "skipped"
    assert alerts(shop) == []


def test_a_version_that_was_saved_unchecked_is_asked_for_once(shop: Shop) -> None:
    save_unchecked(shop, "[customers]\nenabled = false\n")
    with writing(shop.engine) as session:
        version, _ = connections.newest_settings(session, "default") or (0, "")
        assert requests.request_check(session, "default", version, checked=False) == []
        assert requests.request_check(session, "default", version + 1, checked=True) == []


def test_a_check_of_what_is_in_force_waits_for_a_system_that_is_away(shop: Shop) -> None:
    shop.till.misbehaviour.plans.append(Plan("error_500", "getBranches", times=50))
    event = save_unchecked(shop, "[stock]\nmain_branch = 99\n")
    assert event.state == "waiting"


@pytest.mark.parametrize(("setting", "what"), [("terms", "term"), ("departments", "location"), ("classes", "class")])
def test_what_the_books_do_not_have_is_called_as_people_call_it(shop: Shop, setting: str, what: str) -> None:
    found = check(shop, f'[mapping]\n{setting} = {{mode = "force", value = "Nowhere"}}\n')
    assert [each["message"] for each in found["faults"]] == [f"QuickBooks has no active {what} Nowhere"]


def test_a_list_that_is_refused_for_good_is_said_and_parks_nothing(shop: Shop) -> None:
    shop.company.unreadable.append("Department")
    document = '[mapping]\ndepartments = {mode = "force", value = "Nowhere"}\n[stock]\nmain_branch = 99\n'
    found = check(shop, document)
    assert (found["unasked"], paths(found)) == (["QuickBooks"], ["stock.main_branch"])
    (warning,) = [each for each in found["warnings"] if "could not be checked: QuickBooks" in each["message"]]
    assert warning["hint"]
    event = save_unchecked(shop, document.replace("99", "1"))
    assert (event.state, "could not be checked: QuickBooks" in (event.reason or "")) == ("done", True)


def alerts(shop: Shop) -> list[str]:
    with reading(shop.engine) as session:
        found = find_causes(session, Thresholds(timedelta(hours=1), 500_000))
    return [cause.key for cause in found if cause.key.startswith("parked")]

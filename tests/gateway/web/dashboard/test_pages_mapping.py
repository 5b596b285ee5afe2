"""The mapping page: choices of both systems' lists go into the settings document; what was chosen is never lost."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import Engine

from gateway.database.session import reading, writing
from gateway.store import claims, connections, inbox, sales
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.sales import AMSTERDAM, SaleFacts
from mapping import choices, settings_document
from mapping.choices import ListName, ListOption
from mapping.settings_document import SettingsDocument
from tests.claiming import finish
from tests.gateway.web.conftest import Gateway, csrf_of
from tests.gateway.web.test_users import Open, admin, join, open_browser

__all__ = ["admin", "open_browser"]
PAGE = "/connections/default/mapping"
DOCUMENT = """version = 1
# Our accountant wants it like this.
[mapping.payment_methods]
mode = "default"   # by name
on_miss = "park"
[mapping.payment_methods.table]
PIN = "Bank card"  # the terminal

[orders]
memo = false
"""
LISTS: dict[ListName, list[ListOption]] = {
    ListName.PAYMENT_METHODS: [ListOption("1", "Bank card"), ListOption("2", "Cash"), ListOption("3", "Gift card")],
    ListName.TAX_CODES: [ListOption("10", "21% BTW", rate=Decimal(21)), ListOption("11", "9% BTW", rate=Decimal(9))],
    ListName.ACCOUNTS: [
        ListOption("80", "Kas", kind="Bank"),
        ListOption("81", "Omzet", full="Verkopen:Omzet", kind="Income"),
    ],
    ListName.LOCATIONS: [ListOption("5", "Winkel Utrecht"), ListOption("6", "Winkel Breda")],
    ListName.CLASSES: [],
    ListName.TERMS: [ListOption("7", "14 dagen", days=14)],
    ListName.VAT_CODES: [ListOption("1", "9 %", rate=Decimal(9)), ListOption("2", "21 %", rate=Decimal(21))],
    ListName.TENDERS: [ListOption("PIN", "Pinnen"), ListOption("CONTANT", "Contant"), ListOption("BON", "<b>Bon</b>")],
    ListName.BRANCHES: [ListOption("1", "Winkel Utrecht"), ListOption("2", "Breda")],
    ListName.TURNOVER_GROUPS: [
        ListOption("1", "Boeken", kind="TURNOVER-GROUP-TYPE-TURNOVER", vat_code=1),
        ListOption("2", "Kaas", kind="TURNOVER-GROUP-TYPE-TURNOVER", vat_code=1),
        ListOption("9", "Emballage", kind="TURNOVER-GROUP-TYPE-PACKAGING"),
    ],
    ListName.ARTICLE_GROUPS: [ListOption("40", "Webshop")],
    ListName.CATEGORIES: [
        ListOption("60", "Food", full="Food"),
        ListOption("61", "Kaas", full="Food:Kaas"),
        ListOption("62", "Cadeaus", full="Cadeaus"),
    ],
}


def to_facts(number: str, branch: int, *tenders: tuple[str, int]) -> SaleFacts:
    cents = sum(part for _, part in tenders)
    today = datetime.now(AMSTERDAM).date()
    return SaleFacts(number, today, branch, None, None, cents, 0, tenders, (("21", cents),), (2,))


def sell(engine: Engine, facts: SaleFacts) -> None:
    change = Change(facts.number, Flow.ORDERS, "poll", "Receipt", facts.number, "default")
    with writing(engine) as session:
        (row,) = inbox.receive(session, [change])
    event = claims.claim(engine, row.id)
    assert event is not None
    with writing(engine) as session:
        finish(session, event, Outcome(State.DONE))
        sales.record(session, event, Outcome(State.DONE), {facts.number: facts})


@pytest.fixture
def mapped(gateway: Gateway) -> Gateway:
    """A shop whose lists were read, with three sales and a settings document of its own."""
    with writing(gateway.engine) as session:
        connections.save_settings(session, "default", DOCUMENT, author="test")
        for name, options in LISTS.items():
            connections.save_list(session, "default", name, options)
    sold = (("100", 1, "Pinnen", 1000), ("101", 2, "Contant", 500), ("102", 2, "<b>Bon</b>", 250))
    for number, branch, tender, cents in sold:
        sell(gateway.engine, to_facts(number, branch, (tender, cents)))
    return gateway


def submit(browser: httpx.Client, action: str = "save", **more: str) -> httpx.Response:
    page = browser.get(PAGE).text
    form = {"csrf": csrf_of(page), "action": action, "base": page.split('name="base" value="')[1].split('"')[0]}
    return browser.post(PAGE, data={**form, "mapping.create_payment_methods": "on"} | more)


def in_force(gateway: Gateway) -> tuple[int, str, SettingsDocument]:
    with reading(gateway.engine) as session:
        version, text = connections.newest_settings(session, "default") or (0, "")
    return version, text, settings_document.parse(text)


def row(page: str, field: str) -> str:
    """The row of the table whose choice has this name."""
    return next(part for part in page.split("<tr") if f'name="{field}"' in part)


def test_the_page_shows_what_occurs_and_what_catches_it(mapped: Gateway, browser: httpx.Client) -> None:
    assert browser.get("/mapping").headers["location"] == PAGE
    page = browser.get(PAGE).text
    pin = row(page, "mapping.payment_methods=PIN")
    assert "1 sale" in pin
    assert "€10.00" in pin
    assert '<option value="1" selected>Bank card' in pin
    assert "chosen here" in pin
    assert "will be created" in row(page, "mapping.payment_methods=BON")
    assert "Proposal: Cash" in row(page, "mapping.payment_methods=CONTANT")
    assert "found by itself" in row(page, "mapping.tax_codes=21")
    assert "found by itself" in row(page, "mapping.departments=1")
    assert "left out" in row(page, "mapping.departments=2")
    assert "2 sales" in row(page, "mapping.departments=2")
    assert "3 sales" in row(page, "mapping.income_accounts=:2")
    assert "Verkopen › Omzet" in row(page, "mapping.income_accounts=:2")
    assert "Kas" not in row(page, "mapping.income_accounts=:2")
    assert "<b>Bon</b>" not in page
    assert "Which turnover group do new articles get?" in page
    assert "<b>1 · Boeken</b>" in page
    assert ">9 · Emballage<" not in page


def test_the_turnover_group_is_chosen_by_category_and_by_vat_code(mapped: Gateway, browser: httpx.Client) -> None:
    page = browser.get(PAGE).text
    assert "4 categories have no turnover group" in page
    cheese = row(page, "products.turnover_group_by_category=Food:Kaas")
    assert "Food › Kaas" in cheese
    assert "Proposal: 2 · Kaas" in cheese
    assert "by its VAT code" in cheese
    assert "9 · Emballage" not in cheese
    saved = submit(browser, **{
        "products.turnover_group_by_category=Food": "2",
        "products.turnover_group_by_category=(no category)": "1",
        "products.turnover_group_by_vat_code=1": "1",
    })  # fmt: skip
    assert saved.status_code == 303
    _, text, document = in_force(mapped)
    assert document.products.turnover_group_by_category.table == {"Food": "2", "(no category)": "1"}
    assert document.products.turnover_group_by_category.on_miss == "skip"
    assert document.products.turnover_group_by_vat_code.table == {"1": "1"}
    assert [line for line in DOCUMENT.splitlines() if line not in text.splitlines()] == []
    page = browser.get(PAGE).text
    assert "One category has no turnover group" in page
    assert "as the category above it" in row(page, "products.turnover_group_by_category=Food:Kaas")
    assert "<li>1 · 9 %" not in page
    assert "<li>2 · 21 %" in page
    chosen = submit(browser, **{"products.turnover_group_by_category=Cadeaus": "1"})
    assert chosen.status_code == 303
    assert "every category has a turnover group" in browser.get(PAGE).text


def test_what_is_chosen_is_saved_and_every_comment_stays(mapped: Gateway, browser: httpx.Client) -> None:
    chosen = {
        "mapping.payment_methods=PIN": "1",
        "mapping.payment_methods=CONTANT": "2",
        "mapping.deposit_accounts=CONTANT": "80",
        "mapping.departments=2": "6",
        "mapping.income_accounts=:2": "81",
        "mapping.terms:new": "30",
        "mapping.terms:new-value": "7",
        "products.vat=21% BTW": "2",
        "products.turnover_group": "2",
        "categories.root_group": "40",
    }
    answer = submit(browser, **chosen)
    assert answer.headers["location"] == f"{PAGE}?saved=2"
    version, text, document = in_force(mapped)
    assert version == 2
    assert document.mapping.payment_methods.table == {"PIN": "Bank card", "CONTANT": "Cash"}
    assert document.mapping.deposit_accounts.table == {"CONTANT": "Kas"}
    assert document.mapping.deposit_accounts.on_miss == "skip"
    assert document.mapping.departments.table == {"2": "Winkel Breda"}
    assert document.mapping.income_accounts.table == {":2": "Omzet"}
    assert document.mapping.terms.table == {"30": "14 dagen"}
    assert document.products.vat.table == {"21% BTW": "2"}
    assert (document.products.turnover_group, document.categories.root_group) == (2, 40)
    assert [line for line in DOCUMENT.splitlines() if line not in text.splitlines()] == []
    page = browser.get(f"{PAGE}?saved=2").text
    assert "Saved: version 2" in page
    assert "Which turnover group do new articles get?" not in page
    history = browser.get("/connections/default/settings").text
    assert "chosen in the mapping" in history
    again = submit(browser, **chosen | {"mapping.terms:new": ""})
    assert "Nothing differs from what is in force." in again.text
    removed = submit(browser, **{"mapping.payment_methods=CONTANT": ""})
    assert removed.headers["location"] == f"{PAGE}?saved=3"
    assert in_force(mapped)[2].mapping.payment_methods.table == {"PIN": "Bank card"}


FAULTS: tuple[tuple[dict[str, str], str], ...] = (
    ({"mapping.tax_codes:mode": "force"}, "Choose what is always taken."),
    ({"mapping.terms:on_miss": "default"}, "Choose what is taken for everything else."),
    ({"mapping.classes:mode": "table"}, "The list below is empty"),
    ({"mapping.payment_methods=CONTANT": "Gold"}, "This is not in the list."),
    ({"products.turnover_group": "77"}, "This is not in the list."),
    ({"mapping.departments:mode": "perhaps"}, "mapping.departments"),
)


def test_a_fault_stands_at_its_field_and_nothing_is_lost(mapped: Gateway, browser: httpx.Client) -> None:
    for wrong, said in FAULTS:
        answer = submit(browser, **wrong, **{"mapping.deposit_accounts=PIN": "80"})
        assert answer.status_code == 422, wrong
        assert said in answer.text, wrong
        assert '<option value="80" selected>Kas' in row(answer.text, "mapping.deposit_accounts=PIN")
    assert in_force(mapped)[0] == 1
    late = submit(browser, base="0", **{"mapping.deposit_accounts=PIN": "80"})
    assert late.status_code == 409
    assert "Somebody else saved version 1 meanwhile" in late.text
    assert '<option value="80" selected>Kas' in row(late.text, "mapping.deposit_accounts=PIN")


def test_two_tabs_with_different_fields_keep_what_both_chose(mapped: Gateway, browser: httpx.Client) -> None:
    first = {"base": "1", "mapping.payment_methods=CONTANT": "", "mapping.deposit_accounts=PIN": ""}
    other = {**first, "mapping.payment_methods=CONTANT": "2", "mapping.departments:on_miss": "park"}
    was = in_force(mapped)[2].mapping
    assert submit(browser, **other).status_code == 303
    late = submit(browser, **first | {"mapping.deposit_accounts=PIN": "80"})
    assert (late.status_code, in_force(mapped)[0]) == (409, 2)
    assert "together with what they saved" in late.text
    assert '<option value="2" selected>Cash' in row(late.text, "mapping.payment_methods=CONTANT")
    assert '<option value="80" selected>Kas' in row(late.text, "mapping.deposit_accounts=PIN")
    again = {"mapping.payment_methods=CONTANT": "2", "mapping.deposit_accounts=PIN": "80"}
    assert submit(browser, **again).status_code == 303
    now = in_force(mapped)[2].mapping
    assert now.payment_methods.table == {**was.payment_methods.table, "CONTANT": "Cash"}
    assert (now.departments.on_miss, list(now.deposit_accounts.table)) == ("park", ["PIN"])


def test_a_preview_follows_what_is_chosen_and_saves_nothing(mapped: Gateway, browser: httpx.Client) -> None:
    shown = browser.get(PAGE).text.split('class="previewed"')[1]
    assert "&lt;b&gt;Bon&lt;/b&gt;" in shown
    answer = submit(browser, "preview", number="101", **{"mapping.payment_methods=CONTANT": "2"})
    shown = answer.text.split('class="previewed"')[1].split("</ul>")[0]
    assert "<b>Cash</b>" in shown
    assert "21 % €5.00" in shown
    assert "There is no such sale yet." in submit(browser, "preview", number="unknown").text
    proposed = submit(browser, "propose").text
    assert '<option value="2" selected>Cash' in row(proposed, "mapping.payment_methods=CONTANT")
    assert in_force(mapped)[0] == 1
    tried = submit(browser, "try", number="101", **{"mapping.payment_methods=CONTANT": "2"})
    assert tried.headers["location"].startswith("/preview/")
    assert "CONTANT" in (mapped.rows()[-1].hint or "")


def test_without_lists_nothing_is_said_to_wait_or_to_be_caught(gateway: Gateway, browser: httpx.Client) -> None:
    sell(gateway.engine, to_facts("100", 1, ("Pinnen", 1000)))
    page = browser.get(PAGE).text
    assert "known once the lists are read" in page
    assert "the sale waits for you" not in page
    assert "not mapped" not in page


def test_without_lists_names_are_typed_and_a_worker_is_asked(gateway: Gateway, browser: httpx.Client) -> None:
    page = browser.get(PAGE).text
    assert "They were not read yet." in page
    typed = {"mapping.payment_methods:new": "PIN", "mapping.payment_methods:new-value": "Bank card"}
    asked = submit(browser, "refresh", **typed)
    assert "What you chose is below and not saved yet." in asked.text
    assert 'value="Bank card"' in row(asked.text, "mapping.payment_methods=PIN")
    assert submit(browser, "refresh").headers["location"] == PAGE
    assert "A worker is reading the lists" in browser.get(PAGE).text
    assert [each.subject for each in gateway.rows()] == ["default/orders/Doctor/default:lists"] * 2
    assert submit(browser, **typed).headers["location"] == f"{PAGE}?saved=1"
    assert in_force(gateway)[2].mapping.payment_methods.table == {"PIN": "Bank card"}


def test_a_form_of_another_site_or_connection_is_refused(mapped: Gateway, browser: httpx.Client) -> None:
    assert browser.get("/connections/none/mapping").status_code == 404
    assert browser.post(PAGE, data={"csrf": "wrong", "action": "save"}).status_code == 403
    assert in_force(mapped)[0] == 1


def test_lists_of_hundreds_are_typed_in_and_nothing_hidden_is_lost(gateway: Gateway, browser: httpx.Client) -> None:
    codes = [ListOption(str(n), f"Code {n}", rate=Decimal(n % 25)) for n in range(500)]
    groups = [ListOption(str(n), f"Group {n}", kind="TURNOVER-GROUP-TYPE-TURNOVER") for n in range(300)]
    income = [ListOption(str(n), f"Income {n % 499}", kind="Income") for n in range(500)]
    long = {ListName.TAX_CODES: codes, ListName.TURNOVER_GROUPS: groups, ListName.ACCOUNTS: income}
    with writing(gateway.engine) as session:
        for name, options in {**LISTS, **long}.items():
            connections.save_list(session, "default", name, options)
        chosen = '[mapping.income_accounts.table]\n":299" = "Income 7"\n'
        connections.save_settings(session, "default", chosen, author="cli")
    page = browser.get(PAGE).text
    assert len(page) < 300_000, "every row has every option"
    assert 'name="products.vat=Code 499"' not in page
    assert 'name="mapping.income_accounts=:299" value="Income 7"' in page, "hidden rows are no choices"
    form = {"csrf": csrf_of(page), "base": "1"}
    whole = browser.post(PAGE, data={**form, "whole": "products.vat"}).text
    assert 'name="products.vat=Code 499"' in whole
    typed = {"mapping.tax_codes=9": "Code 34 (9 %)", "mapping.income_accounts=:5": "Income 0 [499]"}
    refused = browser.post(PAGE, data={**form, **typed, "mapping.tax_codes=21": "Code 9999", "action": "save"})
    assert refused.status_code == 422
    assert 'value="Code 9999"' in refused.text
    assert browser.post(PAGE, data={**form, **typed, "action": "save"}).status_code == 303
    with reading(gateway.engine) as session:
        newest = connections.newest_settings(session, "default")
    mapped = settings_document.parse(newest[1]).mapping if newest else None
    assert mapped is not None
    assert mapped.tax_codes.table == {"9": "Code 34"}
    assert mapped.income_accounts.table == {":299": "Income 7", ":5": "499"}


def test_who_may_only_look_sees_every_value_of_a_long_table(
    mapped: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    codes = [ListOption(str(n), f"Code {n}", rate=Decimal(n)) for n in range(100)]
    with writing(mapped.engine) as session:
        connections.save_list(session, "default", ListName.TAX_CODES, codes)
    viewer = join(admin, open_browser(), "Bo", "viewer", "default")
    page = viewer.get(PAGE).text
    assert 'name="products.vat=Code 99"' not in page
    assert 'href="?whole=products.vat#products.vat"' in page
    assert 'name="products.vat=Code 99"' in viewer.get(f"{PAGE}?whole=products.vat").text


def test_a_name_that_is_the_number_of_another_row_means_itself(mapped: Gateway, browser: httpx.Client) -> None:
    classes = [ListOption(str(n), str(n + 1)) for n in range(100, 150)]  # 101 is the id of 102
    groups = [ListOption(str(n), f" Groep  {n} ", kind="TURNOVER-GROUP-TYPE-TURNOVER") for n in range(1, 60)]
    with writing(mapped.engine) as session:
        connections.save_list(session, "default", ListName.CLASSES, classes)
        connections.save_list(session, "default", ListName.TURNOVER_GROUPS, groups)
    page = browser.get(PAGE).text
    assert '<option value="101 [100]">' in page
    group = next(part for part in page.split('<option value="') if part.startswith("7 · ")).split('"')[0]
    typed = {
        "mapping.classes:mode": "table",
        "mapping.classes=1": "101 [100]",
        "mapping.classes=2": "150",
        "products.turnover_group_by_category=Food": group,
        "products.turnover_group_by_category=Cadeaus": "groep  8",
        "products.turnover_group": "9 · Groep 9",
    }
    assert submit(browser, **typed).status_code == 303
    document = in_force(mapped)[2]
    assert document.mapping.classes.table == {"1": "100", "2": "150"}
    products = document.products
    assert (products.turnover_group_by_category.table, products.turnover_group) == ({"Food": "7", "Cadeaus": "8"}, 9)


def test_an_emptied_row_stays_shown_until_it_is_saved(mapped: Gateway, browser: httpx.Client) -> None:
    with writing(mapped.engine) as session:
        text = DOCUMENT.replace('PIN = "Bank card"', 'pin = "Bank card"\nCheque = "Cash"')
        connections.save_settings(session, "default", text, author="test")
    emptied = {"mapping.payment_methods=Cheque": "", "mapping.payment_methods=PIN": ""}
    shown = submit(browser, "preview", **emptied).text
    for field in emptied:
        assert "selected" not in row(shown, field).split("</select>")[0], field
    assert submit(browser, **emptied).status_code == 303
    assert in_force(mapped)[2].mapping.payment_methods.table == {}


def test_another_value_that_is_half_typed_is_still_there(mapped: Gateway, browser: httpx.Client) -> None:
    half = {"mapping.tax_codes:new": 'DEU:19"', "mapping.terms:new-value": "7"}
    shown = submit(browser, "refresh", **half).text
    assert 'name="mapping.tax_codes:new" value="DEU:19&#34;"' in shown
    assert '<option value="7" selected>' in shown.split('name="mapping.terms:new-value"')[1].split("</select>")[0]
    done = submit(browser, "preview", **{"mapping.terms:new": "21", "mapping.terms:new-value": "7"}).text
    assert 'name="mapping.terms:new" value=""' in done


def test_a_proposal_is_found_whatever_signs_the_names_have() -> None:
    for name, other in (("Bier 21%", "Bier (21%)"), ("Weine 7 %", "Wein 7 %"), ("Größe 21%", "Große 21%")):
        assert choices.propose(name, [ListOption("1", other)]) == ListOption("1", other), name


def test_a_proposal_among_hundreds_is_the_one_most_alike() -> None:
    names = ["Omzet kaas", "Kaasomzet hoog", "Boeken", "Omzet boeken laag", "Cash"]
    options = choices.Options(
        ListOption(str(n), name) for n, name in enumerate([*names, *(f"X{n}" for n in range(400))])
    )
    proposed = {name: choices.propose(name, options) for name in ("Kaasomzet", "boeken", "Contant", "Wijn", "")}
    assert {name: found and found.name for name, found in proposed.items()} == {
        "Kaasomzet": "Kaasomzet hoog",
        "boeken": "Boeken",
        "Contant": "Cash",
        "Wijn": None,
        "": None,
    }


@pytest.mark.parametrize(("name", "alike"), [("F&B-omzet", "F&B-omzetten"), ("F&B-omzet nul", "F&B-omzet 0%")])
def test_a_name_with_signs_and_digits_is_proposed_too(name: str, alike: str) -> None:
    found = choices.propose(name, [ListOption("1", alike)])
    assert found is not None
    assert found.name == alike


def test_no_value_means_no_row_not_the_one_without_an_id() -> None:
    assert choices.find(None, [ListOption("", "(no tax code)")]) is None

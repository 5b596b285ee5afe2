"""The agreement as pages: a calendar of days, every cent of a day, the sign-off, and what is taken along as a file."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, update
from sqlmodel import Session, col

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.queries import figures
from gateway.store import agreements
from gateway.store.agreements import AgreementStatus, DayResult, Record
from gateway.store.tables import AgreementDayRow, SaleRow
from mapping.messages import message
from tests.gateway.web.conftest import ENVIRONMENT, Gateway, csrf_of
from tests.gateway.web.test_users import Open, admin, join, open_browser, press

__all__ = ["admin", "open_browser"]

SECRET = ENVIRONMENT["SECRET_KEY"]
FIRST = date(2026, 10, 1)
NOW = datetime(2026, 10, 6, 6, tzinfo=UTC)
AGAIN = "./run resend 1.2.2026.9 books it again"
WRONG = Record("deleted in the books", False, "receipt 1.2.2026.9", "SalesReceipt 5 was deleted", AGAIN, 7, 1250)
EIGHT = message("receipt {number}", number="1.2.2026.8")
MEANT = Record("left out by the settings", True, EIGHT, "outstanding", "nothing", None, 300)


def content(result: DayResult) -> dict[str, Any]:
    """What a certificate says of this day."""
    sums = {"net": (result.till_cents, result.books_cents), "tender": (result.till_cents, result.books_cents)}
    amounts = [
        {"branch": 1, "measure": m, "key": "21" if m == "net" else "PIN <b>", "till_cents": t, "books_cents": b}
        for m, (t, b) in sums.items()
        if t or b
    ]
    documents = [{"entity": "SalesReceipt", "id": "5"}]
    records = [
        {"record": each.record, "cause": each.cause, "by_policy": each.by_policy, "reason": each.reason, "event": None,
         "documents": documents, "differences": [{"branch": 1, "measure": "net", "key": "21", "cents": -each.cents}]}
        for each in result.records
    ]  # fmt: skip
    head = {"day": result.day.isoformat(), "result": result.status.upper()}
    sides = {"till_cents": result.till_cents, "books_cents": result.books_cents}
    return head | sides | {"amounts": amounts, "records": records, "journal": {"asked": True, "beyond_documents": []}}


def add_days(engine: Engine, secret: str, *results: DayResult) -> None:
    key = agreements.find_key(engine, Seal([secret]))
    with writing(engine) as session:
        open_days(session)
        agreements.save(session, "default", results, event_id=None, at=NOW)
        closed = [content(each) for each in results]
        agreements.issue(session, "default", closed, at=NOW, key=key, installation="here")


def open_days(session: Session) -> None:
    for day in range(6):
        agreements.open_days(session, "default", FIRST + timedelta(days=day), due_at=NOW)
    session.execute(update(AgreementDayRow).where(col(AgreementDayRow.day) < FIRST).values(due_at=None))


@pytest.fixture
def shop(gateway: Gateway) -> Gateway:
    """A gateway with a sale and an October whose second day agrees, third differs and fourth is explained."""
    sale = {"connection": "default", "kind": "Receipt", "sale_id": "s9", "number": "1.2.2026.9", "day": FIRST}
    with writing(gateway.engine) as session:
        row = {**sale, "branch": 1, "branch_name": "Utrecht", "status": "needs_attention", "updated_at": NOW}
        session.execute(insert(SaleRow).values(**row))
    add_days(
        gateway.engine,
        SECRET,
        DayResult(FIRST + timedelta(days=1), AgreementStatus.AGREES, 2833, 2833),
        DayResult(FIRST + timedelta(days=2), AgreementStatus.DIFFERS, 1550, 0, 1250, (WRONG, MEANT)),
        DayResult(FIRST + timedelta(days=3), AgreementStatus.EXPLAINED, 300, 0, 0, (MEANT,)),
    )
    return gateway


def test_the_calendar_says_in_words_and_cents_how_each_day_is(shop: Gateway, browser: httpx.Client) -> None:
    page = browser.get("/agreement?month=2026-10&connection=default").text
    for shown in (
        'class="agrees" href="/agreement/days/2026-10-02?connection=default"', "✓", "agrees",
        'class="differs" href="/agreement/days/2026-10-03?connection=default"', "≠", "€12.50",
        'class="explained"', "explained by policy", 'class="not_compared"', "€46.83",
        "days that agree: 2", "days that differ: 1", "October 2026",
    ):  # fmt: skip
        assert shown in page, shown
    german = browser.get("/agreement?month=2026-10", headers={"Accept-Language": "de"}).text
    for shown in ("Oktober 2026", "stimmt", "12,50", "Montag"):
        assert shown in german, shown
    assert "Month before" in browser.get("/agreement").text
    assert browser.get("/agreement?month=10").status_code == 400
    assert browser.get("/agreement?connection=none").status_code == 404


def test_days_that_make_no_period_are_shown_again_beside_the_reason(shop: Gateway, browser: httpx.Client) -> None:
    csrf = csrf_of(browser.get("/agreement").text)
    form = {"csrf": csrf, "connection": "default", "from": "2026-02-01", "through": "2026-01-01"}
    answer = browser.post("/agreement", data=form)
    assert answer.status_code == 400
    assert 'value="2026-02-01" aria-describedby="days-fault days-hint" aria-invalid="true"' in answer.text
    assert "1 Feb 2026 to 1 Jan 2026 is not a period of 1 to 92 days" in answer.text
    assert browser.post("/agreement", data={**form, "from": "2020-01-01", "through": ""}).status_code == 400
    assert "needs attention" not in browser.get("/agreement").text


def test_a_day_shows_its_sums_and_each_difference_with_its_button(shop: Gateway, browser: httpx.Client) -> None:
    page = browser.get("/agreement/days/2026-10-03?connection=default").text
    wrong, _, meant = page.partition("Explained by policy")
    assert all(
        shown in wrong for shown in ("Receipt 1.2.2026.9", "deleted in the books", "€12.50", "Utrecht", "Net 21 %")
    )
    assert 'action="/sales/1/resend"' in wrong
    assert "&#34;Send to QuickBooks again&#34; books it again" in wrong
    assert "Paid by PIN &lt;b&gt;" in page
    german = browser.get("/agreement/days/2026-10-03", headers={"Accept-Language": "de"}).text
    for shown in (
        "<b>Kassenbon 1.2.2026.9</b>",
        "<b>Bon 1.2.2026.8</b>",
        "</b> weicht ab ·",
        "Datum, Name, Unterschrift",
    ):
        assert shown in german, shown
    assert "<b>Receipt 1.2.2026.8</b>" in meant
    assert "Receipt 1.2.2026.8" not in wrong
    assert "left out by the settings" in meant
    assert "There are no sums of this day yet" in browser.get("/agreement/days/2026-10-06").text
    for day in ("2026-10-01", "2026-09-12"):
        assert "The gateway went live on 1 Oct 2026. Days up to then" in browser.get(f"/agreement/days/{day}").text
    assert browser.get("/agreement/days/yesterday").status_code == 400


def test_a_day_is_signed_off_by_name_and_says_so_when_it_changes(shop: Gateway, browser: httpx.Client) -> None:
    address = "/agreement/days/2026-10-03?connection=default"
    page = browser.get(address).text
    form = {"csrf": csrf_of(page), "connection": "default", "day": "2026-10-03", "certificate": "2"}
    assert browser.post("/agreement/sign-off", data={**form, "signed_by": " "}).status_code == 400
    assert browser.post("/agreement/sign-off", data={**form, "signed_by": "Jo", "certificate": "1"}).status_code == 409
    assert browser.post("/agreement/sign-off", data={**form, "signed_by": "Jo de Wit"}).headers["location"] == address
    assert "Signed off by Jo de Wit" in browser.get(address).text
    assert browser.post("/agreement/sign-off", data={**form, "signed_by": "Piet"}).status_code == 409
    assert ("dashboard", "sign-off", "default 2026-10-03", "signed by Jo de Wit") in shop.audit()
    assert "Take the sign-off back" in browser.get(address).text
    assert browser.post("/agreement/sign-off/withdraw", data=form).headers["location"] == address
    assert ("dashboard", "withdraw sign-off", "default 2026-10-03", "signed by Jo de Wit") in shop.audit()
    assert browser.post("/agreement/sign-off/withdraw", data=form).status_code == 409
    assert "Signed off by" not in browser.get(address).text
    assert browser.post("/agreement/sign-off", data={**form, "signed_by": "Jo de Wit"}).headers["location"] == address
    add_days(shop.engine, SECRET, DayResult(FIRST + timedelta(days=2), AgreementStatus.AGREES, 1550, 1550))
    page = browser.get(address).text
    assert "The result changed after that" in page
    assert "superseded by 4" in page
    month = {"csrf": form["csrf"], "connection": "default", "month": "2026-10", "signed_by": "Jo de Wit"}
    assert browser.post("/agreement/sign-off", data=month).status_code == 303
    assert browser.post("/agreement/sign-off", data=month).status_code == 409
    assert browser.get("/agreement?month=2026-10").text.count(">signed<") == 3
    assert browser.post("/agreement/sign-off", data={**form, "csrf": "x", "signed_by": "Eve"}).status_code == 403


def test_a_month_is_taken_along_as_csv_and_as_certificates(shop: Gateway, browser: httpx.Client) -> None:
    answer = browser.get("/agreement.csv?month=2026-10&connection=default")
    assert answer.headers["content-disposition"] == 'attachment; filename="agreement-2026-10.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 31
    assert [rows[2][name] for name in ("day", "result", "till", "books", "difference", "certificate")] == [
        "2026-10-03", "differs", "15.50", "0.00", "12.50", "2"
    ]  # fmt: skip
    assert "receipt 1.2.2026.9: deleted in the books 12.50" in rows[2]["differences"]
    dutch = browser.get("/agreement.csv?month=2026-10&connection=default", headers={"Accept-Language": "nl"}).text
    assert "1.2.2026.9: verwijderd in de boekhouding 12.50" in dutch
    file = browser.get("/agreement.json?month=2026-10").json()
    assert [each["certificate"]["number"] for each in file["certificates"]] == [1, 2, 3]
    assert not [fault for fault in figures.find_faults(file) if "explains" not in fault]
    assert len(browser.get("/agreement.json?day=2026-10-03").json()["certificates"]) == 1
    public = shop.admin("GET", "/admin/certificates?from=2026-10-03&connection=default").json()
    assert [each["certificate"]["day"] for each in public["certificates"]] == ["2026-10-03", "2026-10-04"]


def test_a_bookkeeper_signs_a_day_off_by_their_name_and_a_reader_may_not(
    shop: Gateway, admin: httpx.Client, open_browser: Open
) -> None:
    address = "/agreement/days/2026-10-03?connection=default"
    form = {"connection": "default", "day": "2026-10-03", "certificate": "2", "signed_by": "Somebody Else"}
    reader = join(admin, open_browser(), "Bo", "viewer", "default")
    assert "/agreement/sign-off" not in reader.get(address).text
    assert press(reader, "/agreement/sign-off", **form).status_code == 403
    assert "Signed off by" not in reader.get(address).text
    keeper = join(admin, open_browser(), "Anna", "bookkeeper", "default")
    assert press(keeper, "/agreement/sign-off", page=address, **form).headers["location"] == address
    page = reader.get(address).text
    assert "Signed off by Anna" in page
    assert "Somebody Else" not in page
    assert ("dashboard: Anna", "sign-off", "default 2026-10-03", "signed by Anna") in shop.audit()

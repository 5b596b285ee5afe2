"""What till and books came to, day by day, as scripts read it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from gateway.database.session import writing
from gateway.store import agreements
from gateway.store.agreements import AgreementStatus, DayResult, Record
from tests.gateway.web.conftest import Gateway

FIRST = date(2026, 11, 1)
NOW = datetime(2026, 11, 4, 6, tzinfo=UTC)


def test_the_days_are_listed_newest_first_with_their_records(gateway: Gateway) -> None:
    record = Record("booked twice", False, "receipt R1", "SalesReceipt 5, 6 are the same sale", "void one", 7, 1250)
    with writing(gateway.engine) as session:
        for day in range(4):
            agreements.open_days(session, "default", FIRST + timedelta(days=day), due_at=NOW)
        results = [
            DayResult(FIRST + timedelta(days=1), AgreementStatus.AGREES, 100, 100),
            DayResult(FIRST + timedelta(days=2), AgreementStatus.DIFFERS, 1250, 2500, 1250, (record,)),
        ]
        agreements.save(session, "default", results, event_id=7, at=NOW)
    days = gateway.admin("GET", "/admin/agreement").json()["days"]
    assert [(day["day"], day["status"]) for day in days] == [
        ("2026-11-04", "not_closed"), ("2026-11-03", "differs"), ("2026-11-02", "agrees"), ("2026-11-01", "not_closed")
    ]  # fmt: skip
    differing = days[1]
    assert (differing["till"], differing["books"], differing["difference"], differing["event"]) == (1250, 2500, 1250, 7)
    assert differing["checked_at"] == "2026-11-04T06:00:00+00:00"
    assert [(each["record"], each["cause"], each["cents"]) for each in differing["records"]] == [
        ("receipt R1", "booked twice", 1250)
    ]
    some = gateway.admin("GET", "/admin/agreement?from=2026-11-02&through=2026-11-03&connection=default&limit=1").json()
    assert [day["day"] for day in some["days"]] == ["2026-11-03"]
    assert gateway.admin("GET", "/admin/agreement?connection=nope").json() == {"days": []}
    assert gateway.admin("GET", "/admin/agreement?from=yesterday").status_code == 400
    assert gateway.http.get("/admin/agreement").status_code == 401

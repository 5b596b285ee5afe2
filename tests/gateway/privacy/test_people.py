"""Stored personal data: the inventory lists every column, an erasure and the end of retention leave what it says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, inspect, select, text, update
from sqlmodel import SQLModel, col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.privacy import people, personal, retention
from gateway.privacy.retention import Purged
from gateway.store import audit, claims, inbox, links, sales
from gateway.store.audit import Entry
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.links import Link, LinkKind
from gateway.store.sales import SaleContentRow, SideName
from gateway.store.tables import AlertRow, InboxRow, SaleTagRow
from mapping.side_by_side import SaleSide, SideLine
from tests.claiming import finish
from tests.house import personal_data

MARK = "markedperson"
EMAIL = f"{MARK}@new.example"
OLD = f"{MARK}@old.example"


def receive(engine: Engine, key: str, *, entity: str = "Relation", outcome: Outcome | None = None, **more: Any) -> int:
    """An event that ended, with a log line about the person."""
    change = Change(key, Flow.CUSTOMERS, "poll", entity, more.pop("entity_id", key), "shop", **more)
    with writing(engine) as session:
        (received,) = inbox.receive(session, [change])
    event = claims.claim(engine, received.id)
    assert event is not None
    with writing(engine) as session:
        finish(session, event, outcome or Outcome(State.DONE))
        entries = [Entry("sent", "POST customer", detail={"name": f"{MARK} the person"})]
        audit.write_log(session, [("shop", event.id, entries)])
    return received.id


def furnish(engine: Engine) -> None:
    """One person under two addresses, known to both systems, in everything that can hold one."""
    with writing(engine) as session:
        for key in (f"email:{EMAIL}", f"email:{OLD}", "relation:12"):
            links.save(session, "shop", Link(LinkKind.CUSTOMER, key, "Customer", "5"))
        links.save(session, "shop", Link(LinkKind.RELATION, "relation:12", "Customer", "5", detail={"relation": MARK}))
        links.save(session, "shop", Link(LinkKind.CUSTOMER, "name:cash", "Customer", "6"))
        links.save(session, "shop", Link(LinkKind.DOCUMENT, "receipt-7", "SalesReceipt", "88"))
        links.save(session, "other", Link(LinkKind.CUSTOMER, "relation:12", "Customer", "5"))
        audit.note(session, actor="admin", action="ignore", target="event 1", reason=f"asked by {EMAIL}")
        session.execute(
            insert(AlertRow).values(
                cause="parked/shop/customers/6240", title="1 waits", detail=f"{MARK} is taken", told="", stage="",
                clear_told="", first_seen=moment(), seen_at=moment(),
            )
        )  # fmt: skip
    taken = Outcome(State.PARKED, reason=f"{MARK} is taken", code="6240", fix="rename one of the two")
    receive(engine, "by its address", email=EMAIL, hint=json.dumps({"Name": MARK}), outcome=taken)
    receive(engine, "by its old address", email=OLD, entity="Receipt")
    receive(engine, "by its relation", entity_id="12")
    receive(engine, "by its customer", entity="Customer", entity_id="5")
    receive(
        engine, "by a result", entity="Preview", outcome=Outcome(State.DONE, result=json.dumps({"to": EMAIL.upper()}))
    )


def dump(engine: Engine) -> dict[str, str]:
    """Every row of every table, as text."""
    with reading(engine) as session:
        names = inspect(session.connection()).get_table_names()
        return {name: repr(session.execute(text(f'SELECT * FROM "{name}"')).all()) for name in names}  # noqa: S608


def tables_with(engine: Engine, mark: str) -> set[str]:
    return {name for name, found in dump(engine).items() if mark in found.lower()}


def test_every_column_of_every_table_is_in_the_inventory_once() -> None:
    tables = {table.name: sorted(column.name for column in table.columns) for table in SQLModel.metadata.sorted_tables}
    listed = {name: list(personal_data.IMPERSONAL.get(name, ())) for name in tables}
    for name, holdings in personal_data.PERSONAL.items():
        listed[name] += [column for holding in holdings for column in holding.columns]
    assert {name: sorted(columns) for name, columns in listed.items()} == tables
    assert {*personal_data.PERSONAL, *personal_data.IMPERSONAL} == set(tables)


def test_a_person_is_erased_under_every_name_and_no_other_person_is(engine: Engine) -> None:
    furnish(engine)
    receive(engine, "of somebody else", email="other@new.example", entity_id="13", hint=json.dumps({"Name": "otto"}))
    assert tables_with(engine, MARK) == {"inbox", "journal", "links", "alerts", "audit"}
    exported = people.export(engine, EMAIL)
    assert [len(exported[name]) for name in ("events", "journal", "links", "alerts", "audit")] == [5, 5, 4, 1, 1]
    erased = people.erase(engine, EMAIL.upper())["erased"]
    assert [erased[name] for name in ("events", "journal", "links", "alerts", "audit")] == [5, 5, 4, 1, 1]
    assert tables_with(engine, MARK) == {"journal"}  # the log of somebody else's event
    assert "otto" in dump(engine)["inbox"]
    with reading(engine) as session:
        left = session.execute(text("SELECT connection, source_id FROM links ORDER BY id")).all()
    assert [tuple(row) for row in left] == [("shop", "name:cash"), ("shop", "receipt-7"), ("other", "relation:12")]


def test_a6_what_still_names_a_person_is_told_whatever_column_holds_it(engine: Engine) -> None:
    furnish(engine)
    told = {(each["table"], each["column"]) for each in personal.find_mentions(engine, [MARK])}
    assert told >= {("audit", "reason"), ("inbox", "email"), ("journal", "detail"), ("links", "source_id")}


def test_what_is_left_of_a_person_known_by_many_names_is_told(engine: Engine) -> None:
    furnish(engine)
    told = personal.find_mentions(engine, [*(f"Renée Ünal {number}" for number in range(40)), MARK])
    assert ("inbox", "email") in {(each["table"], each["column"]) for each in told}


def test_a6_a_person_in_the_text_of_a_line_is_erased_too(engine: Engine) -> None:
    furnish(engine)
    side = {"connection": "shop", "sale_id": "9", "side": "till", "version": 1, "seen_at": moment()}
    tag = {"connection": "shop", "kind": "article", "key": "99", "name": f"Cake for {EMAIL}"}
    with writing(engine) as session:
        session.execute(insert(SaleTagRow).values(**tag))
        session.execute(insert(SaleContentRow).values(content=json.dumps({"text": f"Cake for {EMAIL}"}), **side))
    erased = people.erase(engine, EMAIL)["erased"]
    assert (erased["sale_tags"], erased["sale_contents"]) == (1, 1)
    assert tables_with(engine, MARK) == set()
    assert f"Cake for {personal.GONE}" in dump(engine)["sale_tags"]


def test_what_others_bought_is_not_in_the_export_of_who_a_line_mentions(engine: Engine) -> None:
    furnish(engine)
    lines = (SideLine(f"Cake for {EMAIL}", "99", None, "1", 500, "9"), SideLine("Wine", "98", None, "1", 700, "21"))
    side = SaleSide("2026-11-30", 1200, 0, customer="77", lines=lines)
    with writing(engine) as session:
        sales.save_sides(session, "shop", {"9": {SideName.TILL: side}}, new=True)
    (row,) = people.export(engine, EMAIL)["sale_contents"]
    assert (row["sale_id"], json.loads(row["content"])) == ("9", [f"Cake for {EMAIL}"])


def test_a6_a_name_beyond_ascii_is_erased_in_capitals_too(engine: Engine) -> None:
    furnish(engine)
    receive(engine, "named", hint=json.dumps({"email": EMAIL, "name": "Renée Ünal"}))
    receive(engine, "of others", outcome=Outcome(State.PARKED, reason="no article TAART RENÉE ÜNAL", code="x"))
    people.erase(engine, EMAIL)
    assert tables_with(engine, "renée") == set()


def test_an_erased_event_still_says_what_has_to_be_corrected(engine: Engine) -> None:
    furnish(engine)
    people.erase(engine, EMAIL)
    with reading(engine) as session:
        parked = session.execute(select(InboxRow).where(col(InboxRow.state) == State.PARKED)).scalar_one()
    assert (parked.code, parked.fix, parked.reason) == ("6240", "rename one of the two", personal.GONE)


def age(engine: Engine, *ids: int, days: int = 31) -> None:
    """As if these events had come and ended so long ago."""
    then = datetime.now(UTC) - timedelta(days=days)
    with writing(engine) as session:
        session.execute(update(InboxRow).where(col(InboxRow.id).in_(ids)).values(received_at=then, updated_at=then))


@pytest.mark.parametrize("limit", [1, 100])
def test_ended_events_are_emptied_after_their_days_and_others_are_not(engine: Engine, limit: int) -> None:
    said: dict[str, Any] = {"email": EMAIL, "hint": json.dumps({"Name": MARK})}
    old, young = receive(engine, "old", **said), receive(engine, "young", **said)
    parked = receive(engine, "parked", outcome=Outcome(State.PARKED, reason="x", code="y"), **said)
    with writing(engine) as session:
        (asked,) = inbox.receive(session, [Change("b", Flow.ORDERS, "cli", "Backfill", "b", "shop", state=State.DONE,
                                                  hint='{"since": null}')])  # fmt: skip
    age(engine, old, parked, asked.id)
    emptied: list[int] = []
    while not emptied or emptied[-1]:
        with writing(engine) as session:
            emptied.append(retention.forget(session, "emptied", days=30, limit=limit))
    assert sum(emptied) == 1
    with reading(engine) as session:
        rows = session.execute(select(InboxRow)).scalars().all()
    assert {row.id for row in rows if row.hint is None} == {old}
    assert {row.id for row in rows if row.email} == {young, parked}
    assert next(row.key for row in rows if row.id == old) == "old"


def test_retention_deletes_the_log_and_sent_alerts(engine: Engine) -> None:
    with writing(engine) as session:
        audit.write_log(session, [(None, None, [Entry("read", "old", at=datetime.now(UTC) - timedelta(days=31))])])
        times = {"first_seen": moment(), "seen_at": moment(), "cleared_at": moment(-31 * 86_400)}
        session.execute(insert(AlertRow).values(cause="c", title="t", told="", clear_told="", stage="", **times))
    assert retention.purge(engine, days=30, stopped=lambda: True) == Purged()
    assert retention.purge(engine, days=30) == Purged(lines=1)
    with reading(engine) as session:
        assert session.execute(select(AlertRow)).all() == []

"""A person with sales, invoices, comparisons and backfills is erased: only fiscal records remain."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import inspect, text

from gateway.database.session import reading, writing
from gateway.privacy import people
from gateway.privacy.people import Unclear
from gateway.store import inbox, requests
from gateway.store.events import Flow
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.handlers.shop import Shop, on_both_databases, sold

NAME, STREET, PHONE, EMAIL = "Marjolein Kwakkelstein", "Zevenhuizerdijk", "0612348765", "m.kwakkelstein@example.nl"
MARKS = ("kwakkelstein", "zevenhuizerdijk", PHONE)


def dump(shop: Shop) -> dict[str, str]:
    """Every row of every table, as text in lower case."""
    with reading(shop.engine) as session:
        names = inspect(session.connection()).get_table_names()
        return {name: repr(session.execute(text(f'SELECT * FROM "{name}"')).all()).lower() for name in names}  # noqa: S608


def left(shop: Shop) -> dict[str, list[str]]:
    found = dump(shop)
    named = {name: [mark for mark in MARKS if mark in text] for name, text in found.items()}
    return {name: marks for name, marks in named.items() if marks}


def ask(shop: Shop, *changes: Any) -> None:
    with writing(shop.engine) as session:
        inbox.receive(session, changes)
    shop.work()


def trade(shop: Shop, email: str) -> int:
    """A person with an invoice, a receipt, an agreement and a backfill, beside another person; returns the relation."""
    address = {"address": f"{STREET} 12", "zipcode": "3511 AB", "city": "Utrecht", "country": "Nederland"}
    mine = shop.till.add_relation(name=NAME, email=email, telephone=PHONE, **address)["relationNumber"]
    other = shop.till.add_relation(name="Otto Anders", email="otto@example.nl")["relationNumber"]
    for relation in (mine, other):
        shop.till.invoice(lines=[sold(1003)], relation=relation, payments=[Tender("IDEAL", 5000)])
        shop.till.invoice(lines=[sold(1001)], relation=relation)
        shop.till.sell(lines=[sold(1001)], relation=relation)
    shop.settle()
    today = datetime.now(AMSTERDAM).date()
    ask(shop, requests.agree(connection="default", start=today - timedelta(days=2), through=today))
    ask(
        shop,
        requests.backfill(Flow.ORDERS, connection="default", since=today - timedelta(days=2)),
        requests.backfill(Flow.CUSTOMERS, connection="default"),
    )
    return int(mine)


@on_both_databases
@pytest.mark.parametrize("email", [EMAIL, ""], ids=["by address", "without one"])
def test_a6_nothing_of_an_erased_person_is_left_but_fiscal_records(shop: Shop, email: str) -> None:
    relation = trade(shop, email)
    assert {"journal"} <= set(left(shop))
    who = email or f"relation:{relation}"
    exported = people.export(shop.engine, who)
    assert NAME in json.dumps(exported)
    assert "Otto" not in json.dumps(exported["journal"])
    done = people.erase(shop.engine, who)
    assert left(shop) == {}
    assert done["left"] == []
    assert {each["target"]["entity"] for each in done["documents"]} >= {"Invoice"}
    assert "otto" in str(dump(shop))
    assert NAME not in json.dumps(people.export(shop.engine, who))


def test_an_address_is_erased_in_both_spellings_of_its_domain(shop: Shop) -> None:
    trade(shop, "marjolein@xn--mller-kva.example")
    assert people.erase(shop.engine, "marjolein@müller.example")["left"] == []
    assert left(shop) == {}
    assert "mller-kva" not in str(dump(shop))


def test_a_person_is_named_without_ambiguity(shop: Shop) -> None:
    for who in ("12", "relation:", "Marjolein", "customer:1 or 1", "@"):
        with pytest.raises(Unclear):
            people.export(shop.engine, who)
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    debtor = shop.only("SalesReceipt")["CustomerRef"]["value"]
    with pytest.raises(Unclear, match="default debtor"):
        people.erase(shop.engine, f"customer:{debtor}")


def test_lists_of_many_records_are_logged_without_whose_they_are(shop: Shop) -> None:
    trade(shop, EMAIL)
    with reading(shop.engine) as session:
        query = "SELECT journal.detail FROM journal JOIN inbox ON inbox.id = event_id WHERE inbox.entity = 'Agreement'"
        said = " ".join(str(row[0]) for row in session.execute(text(query)).all()).lower()
    assert "queryresponse" in said
    assert not [mark for mark in (*MARKS, "otto") if mark in said]

"""A person edits a deposit or money beside a sale in QuickBooks: it is told as for a sale's document; ours is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from gateway.database.session import reading
from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.tables import LinkRow
from handlers.polling import books_feed
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, Shop, sold
from tests.handlers.test_ledger_feed import look
from tests.handlers.test_order_deposits import take

MONEY = {"beside a sale": LinkKind.MONEY, "a deposit": LinkKind.DEPOSIT}


def book(shop: Shop, kind: LinkKind) -> dict[str, Any]:
    """A sale with change in cash, or an order with a deposit."""
    if kind == LinkKind.DEPOSIT:
        return take(shop)
    made = shop.till.sell(lines=[sold(1001)], payments=[Tender("PIN", 2000), Tender("CONTANT", -750)])
    shop.settle()
    return dict(made)


def linked(shop: Shop, kind: LinkKind) -> Link:
    with reading(shop.engine) as session:
        (target,) = session.execute(select(col(LinkRow.target_id)).where(col(LinkRow.kind) == kind)).scalars()
        (link,) = links.find_by_target(session, "default", kind, target)
    return link


def edit(shop: Shop, link: Link, **fields: object) -> None:
    """As a person does who keeps the note: the first line gets another amount."""
    row = shop.find(link.target_entity, Id=link.target_id)
    lines = [dict(line) for line in row["Line"] if line["DetailType"] == "SalesItemLineDetail"]
    lines[0] |= {"Amount": lines[0]["Amount"] + 1}
    body = {"Id": row["Id"], "Line": lines, "TxnTaxDetail": None, **fields}
    shop.books.put(REALM, link.target_entity, body)


@pytest.mark.parametrize("kind", MONEY.values(), ids=MONEY)
def test_our_own_money_documents_are_no_news(shop: Shop, kind: LinkKind) -> None:
    look(shop)
    made = book(shop, kind)
    assert look(shop) == []
    if kind == LinkKind.MONEY:
        payments = [Tender("PIN", 2500), Tender("CONTANT", -1250)]
        shop.till.edit_receipt(made["receiptId"], lines=[sold(1001)], payments=payments)
        shop.settle()
        look(shop)
    assert shop.parked() == []


@pytest.mark.parametrize("kind", MONEY.values(), ids=MONEY)
@pytest.mark.parametrize("kept", ["what was seen", "nothing"])
def test_an_edit_of_money_by_a_person_is_told_once(shop: Shop, kind: LinkKind, kept: str) -> None:
    book(shop, kind)
    look(shop)
    link = linked(shop, kind)
    if kept == "nothing":  # as links of earlier versions
        plain = {name: link.detail[name] for name in ("number", "document_number")}
        shop.deps().save_links(dataclasses.replace(link, detail=plain))
    edit(shop, link)
    assert look(shop) == [("edited", "edited-in-books")]
    assert look(shop) == []
    (parked,) = shop.parked()
    assert (
        parked.reason == f"{link.target_entity} {link.target_id} was edited in QuickBooks: it may differ from the till"
    )
    assert parked.record == f"sale {link.detail['number']}"


@pytest.mark.parametrize("kind", MONEY.values(), ids=MONEY)
def test_a_customer_merged_into_another_is_no_edit_of_money(open_shop: Callable[..., Shop], kind: LinkKind) -> None:
    shop = open_shop()
    book(shop, kind)
    look(shop)
    link = linked(shop, kind)
    customer = shop.find(link.target_entity, Id=link.target_id)["CustomerRef"]["value"]
    other = shop.books.put_customer(REALM, {"DisplayName": "The same again"})["Id"]
    shop.books.merge(REALM, "Customer", other, customer)
    books_feed.poll(shop.deps())
    shop.work()
    assert [event.code for event in shop.parked() if event.code == "edited-in-books"] == []

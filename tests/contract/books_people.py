"""Probes of the books about texts and people: VAT numbers, e-mail addresses, emoji, escaping, quantities, webhooks."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime, timedelta
from decimal import Decimal

from gateway.connectors import texts
from gateway.connectors.quickbooks.calls import select
from gateway.connectors.quickbooks.fields import Json, find_moment
from gateway.connectors.quickbooks.wire_documents import to_void
from gateway.errors import GatewayError
from tests.contract.books import Books, mark, today
from tests.contract.listener import Listener
from tests.contract.probe import Fit, Probe, Seen, Unclear, Way

VAT_NUMBER = "NL999999999B99"
LOOK_SECONDS = 0.25
EMOJI = "\N{SLICE OF PIZZA}"


def ask_vat_number(books: Books) -> Seen:
    found = books.read("Customer", books.customer(ResaleNum=VAT_NUMBER)["Id"]).get("ResaleNum")
    other = _try_tax_identifier(books)
    return Seen("kept" if found == VAT_NUMBER else "lost", f"ResaleNum reads {found!r}, PrimaryTaxIdentifier {other}")


def _try_tax_identifier(books: Books) -> str:
    try:
        made = books.customer(PrimaryTaxIdentifier=VAT_NUMBER)
    except GatewayError as error:
        return f"is refused ({error.code})"
    return f"reads {books.read('Customer', made['Id']).get('PrimaryTaxIdentifier')!r}"


def ask_email_case(books: Books) -> Seen:
    address = f"Kb.Probe.{uuid.uuid4().hex[:8]}@Example.org"
    books.customer(PrimaryEmailAddr={"Address": address})
    exact = books.client.rows(select("Customer").where("PrimaryEmailAddr", "=", address))
    lower = books.client.rows(select("Customer").where("PrimaryEmailAddr", "=", address.lower()))
    if not exact:
        raise Unclear("a customer is not found by the address it was made with a moment ago")
    return Seen("case aside" if lower else "exact", f"stored with capitals, looked for without: {len(lower)} found")


def ask_emoji(books: Books) -> Seen:
    text = mark(EMOJI)
    try:
        booked = books.write("SalesReceipt", books.sale([Decimal(1)], CustomerMemo={"value": text}))
    except GatewayError as error:
        return Seen("refused", f"{error.reason} ({error.code})")
    found = booked.get("CustomerMemo", {}).get("value")
    ways = {text: "kept", texts.to_basic_plane(text)[0]: "refused"}  # our client leaves out what is refused
    return Seen(ways.get(found, "replaced"), f"{text!a} reads {found!a}")


def ask_backslash(books: Books) -> Seen:
    name = mark(r"C\D 'x'")
    books.customer(DisplayName=name)
    found = books.client.customers_by_name(name)
    return Seen("found" if found else "not found", f"looked for {name!r}: {len(found)} found")


def ask_quantity(books: Books) -> Seen:
    item = books.stocked_item(today() - timedelta(days=1))
    made = find_moment(books.read("Item", item)["MetaData"]["LastUpdatedTime"])
    if made is None:
        raise Unclear("a new item says nothing about when it was changed")
    since = made + timedelta(seconds=1)
    _await(books, since)
    _sell_one(books, item)
    found = [change.raw for change in books.client.changes(["Item"], since).changes if change.id == item]
    pieces = found[0].get("QtyOnHand") if found else books.read("Item", item).get("QtyOnHand")
    return Seen("named" if found else "silent", f"sold 1 of 10, {pieces} are left; changes since then: {len(found)}")


def _await(books: Books, moment: datetime) -> None:
    """Return when it is a second later there: times of changes are told to the second."""
    while books.client.changes(["Department"], moment - timedelta(minutes=1)).as_of < moment + timedelta(seconds=1):
        time.sleep(LOOK_SECONDS)


def _sell_one(books: Books, item: str) -> Json:
    body = books.sale([Decimal(1)], item=item)
    body["Line"][0]["SalesItemLineDetail"] |= {"Qty": 1, "UnitPrice": 1}
    return books.write("SalesReceipt", body)


def ask_format(books: Books) -> Seen:
    listener = _hear(books)
    made = books.customer()
    if listener.wait(lambda hint: hint.entity_id == made["Id"]) is None:
        raise Unclear(f"no webhook within {listener.patience:g} s of making a customer: look at address and verifier")
    body = next(body for body in reversed(listener.bodies) if books.realm_id.encode() in body)
    way = "cloud events" if isinstance(json.loads(body), list) else "legacy"
    return Seen(way, f"a delivery of {len(body)} bytes")


def ask_void_verb(books: Books) -> Seen:
    listener = _hear(books)
    booked = books.write("SalesReceipt", books.sale([Decimal(1)]))
    listener.wait(lambda hint: hint.entity_id == booked["Id"])
    heard = len(list(listener.hints()))
    parameters, body = to_void("SalesReceipt", booked["Id"], booked["SyncToken"])
    books.write("SalesReceipt", body, **parameters)
    listener.wait(lambda hint: hint in list(listener.hints())[heard:] and hint.entity_id == booked["Id"])
    later = [h.operation for h in list(listener.hints())[heard:] if h.entity_id == booked["Id"]]
    if not later:
        raise Unclear("no webhook told of the void")
    return Seen("void" if "Void" in later else "another verb", f"told as {', '.join(later)}")


def ask_quantity_event(books: Books) -> Seen:
    listener = _hear(books)
    item = books.stocked_item(today() - timedelta(days=1))
    listener.wait(lambda hint: hint.entity_id == item and hint.entity == "Item")
    heard = sum(hint.entity_id == item and hint.entity == "Item" for hint in listener.hints())
    sold = _sell_one(books, item)
    if listener.wait(lambda hint: hint.entity == "SalesReceipt" and hint.entity_id == sold["Id"]) is None:
        raise Unclear("not even the sale was told of")
    told = sum(hint.entity_id == item and hint.entity == "Item" for hint in listener.hints()) > heard
    return Seen("told" if told else "silent", "the sale was told of" + (", and the item" if told else ", the item not"))


def _hear(books: Books) -> Listener:
    if books.listener is None:
        raise Unclear("needs webhooks: run with --listen PORT and let Intuit's portal send there")
    books.listener.account = books.realm_id
    return books.listener


PROBES = (
    Probe(
        "vat-number", "quickbooks", "Does a customer's VAT number come back as it was written to `ResaleNum`?",
        "qbo.md 5.2, 11.6", "makes two customers inactive again",
        (
            Way("kept", "VAT numbers live in ResaleNum"),
            Way("lost", "customers have no VAT number in QuickBooks",
                'customers.vat_number_field = "PrimaryTaxIdentifier"', Fit.SET),
        ),
        ask_vat_number, writes=True,
    ),
    Probe(
        "email-case", "quickbooks", "Is a customer found by an e-mail address in other capitals?", "qbo.md 4.1, 11.9",
        "makes a customer inactive again",
        (
            Way("case aside", "customers are found however the address is written"),
            Way("exact", "customers are found by our own index of their addresses, which leaves capitals aside"),
        ),
        ask_email_case, writes=True,
    ),
    Probe(
        "emoji", "quickbooks", "What becomes of emoji in a text?", "qbo.md 6", "books and deletes a sales receipt",
        (
            Way("kept", "texts arrive as they are"),
            Way("replaced", "texts arrive with marks in their place"),
            Way("refused", "such a text is sent again without them, and the activity log says so"),
        ),
        ask_emoji, writes=True,
    ),
    Probe(
        "backslash", "quickbooks", "Is a name with a backslash and an apostrophe found?", "qbo.md 4",
        "makes a customer inactive again",
        (
            Way("found", "look-ups by name are exact"),
            Way("not found", "such a customer is not found again: take backslashes out of its name", "", Fit.SET),
        ),
        ask_backslash, writes=True,
    ),
    Probe(
        "quantity", "quickbooks", "Does change data capture name an item of which only the quantity changed?",
        "qbo.md 3, 11.1", "makes an inventory item inactive again, books and deletes a sales receipt",
        (
            Way("named", "stock follows within a poll", "QUICKBOOKS_CDC_SECONDS=900"),
            Way("silent", "stock follows sales in QuickBooks only by a backfill: run one each night",
                "./run backfill stock", Fit.SET),
        ),
        ask_quantity, writes=True,
    ),
    Probe(
        "webhook-format", "quickbooks", "Which format have webhooks?", "qbo.md 2.3, 11.2",
        "makes a customer inactive again, waits for webhooks",
        (
            Way("cloud events", "the format of 2026"),
            Way("legacy", "understood as well; switch it in Intuit's portal when you can"),
        ),
        ask_format, writes=True,
    ),
    Probe(
        "void-verb", "quickbooks", "Which verb tells of a void?", "qbo.md 2.3, 11.2",
        "books, voids and deletes a sales receipt, waits for webhooks",
        (
            Way("void", "a void is known from the hint"),
            Way("another verb", "the document is read, and its amounts and note tell"),
        ),
        ask_void_verb, writes=True,
    ),
    Probe(
        "quantity-webhook", "quickbooks", "Is a change of quantity told as a change of the item?", "qbo.md 3, 11.1",
        "makes an inventory item inactive again, books and deletes a sales receipt, waits for webhooks",
        (
            Way("told", "stock follows within seconds"),
            Way("silent", "stock follows with the next poll", "QUICKBOOKS_CDC_SECONDS=900"),
        ),
        ask_quantity_event, writes=True,
    ),
)  # fmt: skip

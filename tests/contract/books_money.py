"""Probes of the books about money: how VAT is rounded, what becomes of stated VAT, numbers, repetition, voids."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from gateway.connectors.quickbooks.wire_documents import is_voided, to_void
from gateway.errors import DuplicateNumber, GatewayError
from tests.contract.books import Books, mark, new_id, today
from tests.contract.probe import Fit, Probe, Seen, Unclear, Way

CENT = Decimal("0.01")


def ask_rounding(books: Books) -> Seen:
    amount, by_line, by_code = find_telling_amount(books)
    booked = books.write("SalesReceipt", books.sale([amount] * 3))
    total = booked["TxnTaxDetail"]["TotalTax"]
    evidence = f"3 lines of {amount} at {books.tax_code.percentage} %: VAT {total}"
    if total not in (by_line, by_code):
        raise Unclear(f"{evidence}, which is neither {by_line} (each line) nor {by_code} (their sum)")
    return Seen("line" if total == by_line else "code", evidence)


def find_telling_amount(books: Books) -> tuple[Decimal, Decimal, Decimal]:
    """A net amount of which three lines have another VAT than their sum, with both. Unclear for odd rates."""
    rate = (books.tax_code.percentage or Decimal(0)) / 100
    for cents in range(1, 100):
        amount = cents * CENT
        by_line, by_code = 3 * to_cents(amount * rate), to_cents(3 * amount * rate)
        if by_line != by_code:
            return amount, by_line, by_code
    raise Unclear(f"no amount tells the ways apart at {books.tax_code.percentage} %")


def to_cents(amount: Decimal) -> Decimal:
    """Halves away from zero."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def ask_stated_tax(books: Books) -> Seen:
    amount, by_line, by_code = find_telling_amount(books)
    plain = books.write("SalesReceipt", books.sale([amount] * 3))["TxnTaxDetail"]["TotalTax"]
    wanted = by_code if plain == by_line else by_line
    try:
        booked = books.write("SalesReceipt", books.sale([amount] * 3, TxnTaxDetail=_state(books, amount, wanted)))
    except GatewayError as error:
        return Seen("refused", f"VAT stated a cent beside its own: {error.reason} ({error.code})")
    total = booked["TxnTaxDetail"]["TotalTax"]
    return Seen("honoured" if total == wanted else "ignored", f"stated {wanted}, its own {plain}, booked {total}")


def _state(books: Books, amount: Decimal, tax: Decimal) -> dict[str, Any]:
    detail = {
        "TaxRateRef": {"value": books.tax_code.rate_id},
        "PercentBased": True,
        "TaxPercent": books.tax_code.percentage,
        "NetAmountTaxable": 3 * amount,
    }
    return {"TotalTax": tax, "TaxLine": [{"Amount": tax, "DetailType": "TaxLineDetail", "TaxLineDetail": detail}]}


def ask_number(books: Books) -> Seen:
    number = mark()[-10:]
    says = books.client.company().custom_document_numbers
    booked = books.write("SalesReceipt", books.sale([Decimal(1)], DocNumber=number))
    kept = booked.get("DocNumber") == number
    evidence = f"sent {number}, booked as {booked.get('DocNumber')}; custom numbers are {'on' if says else 'off'}"
    return Seen("kept" if kept and says else "own", evidence)


def ask_duplicate(books: Books) -> Seen:
    number, body = mark()[-10:], books.sale([Decimal(1)])
    first = books.write("SalesReceipt", {**body, "DocNumber": number})
    if first.get("DocNumber") != number:
        raise Unclear("the company numbers by itself: switch custom transaction numbers on to ask this")
    again = _refusal(books, "SalesReceipt", {**body, "DocNumber": number})
    if again is None:
        return Seen("accepted", f"two sales receipts have the number {number}")
    known = f"the refusal {'names' if again.existing_id else 'does not name'} the first one"
    other = _refusal(books, "Invoice", {**body, "DocNumber": number})
    return Seen("every kind" if other else "same kind", known)


def _refusal(books: Books, entity: str, body: dict[str, Any]) -> DuplicateNumber | None:
    try:
        books.write(entity, body)
    except DuplicateNumber as refusal:
        return refusal
    return None


def ask_repetition(books: Books) -> Seen:
    request_id, body = new_id(), books.sale([Decimal(1)])
    first = books.write("SalesReceipt", body, request_id=request_id)
    second = books.write("SalesReceipt", body, request_id=request_id)
    if first["Id"] != second["Id"]:
        return Seen("done again", f"the same request made {first['Id']} and {second['Id']}")
    books.forget("SalesReceipt", second["Id"])
    third = books.write("SalesReceipt", {**body, "PrivateNote": mark("changed")}, request_id=request_id)
    if third["Id"] == first["Id"]:
        books.forget("SalesReceipt", third["Id"])
    changed = "its first answer too" if third["Id"] == first["Id"] else f"a new document {third['Id']}"
    return Seen("first answer", f"the same request again brought {first['Id']} again; with another body {changed}")


def ask_void(books: Books) -> Seen:
    booked = books.write("SalesReceipt", books.sale([Decimal(1)]))
    parameters, body = to_void("SalesReceipt", booked["Id"], booked["SyncToken"])
    try:
        voided = books.write("SalesReceipt", body, **parameters)
    except GatewayError as error:
        return Seen("refused", f"{error.reason} ({error.code})")
    note = voided.get("PrivateNote")
    return Seen("voided" if is_voided(voided) else "not voided", f"total {voided['TotalAmt']}, note {note!r}")


def ask_stock_start(books: Books) -> Seen:
    item = books.stocked_item(today())
    body = books.sale([Decimal(1)], item=item, TxnDate=(today() - timedelta(days=2)).isoformat())
    body["Line"][0]["SalesItemLineDetail"] |= {"Qty": 1, "UnitPrice": 1}
    try:
        books.write("SalesReceipt", body)
    except GatewayError as error:
        return Seen("6270" if error.code == "6270" else "another code", f"{error.reason} ({error.code})")
    return Seen("accepted", "a sale two days before the item's inventory start date was booked")


PROBES = (
    Probe(
        "vat-rounding", "quickbooks", "Is VAT rounded on each line, or once over the lines of a tax code?",
        "qbo.md 5.10, 11.4", "books and deletes a sales receipt of a few cents",
        (
            Way("line", "each line is rounded", 'orders.rounding_model = "line"'),
            Way("code", "the lines of a code are rounded together", 'orders.rounding_model = "code"', Fit.SET),
        ),
        ask_rounding, writes=True,
    ),
    Probe(
        "stated-vat", "quickbooks", "Is the VAT that a document states taken over?", "qbo.md 5.10, 11.4",
        "books and deletes two sales receipts of a few cents",
        (
            Way("honoured", "the till's cents stand, however QuickBooks rounds"),
            Way("ignored", "QuickBooks computes by itself: `vat-rounding` alone decides"),
            Way("refused", "every sale would be refused, for each states its VAT", "", Fit.STOP),
        ),
        ask_stated_tax, writes=True,
    ),
    Probe(
        "document-number", "quickbooks", "Does a document keep the number it is sent with?", "qbo.md 5.9",
        "books and deletes a sales receipt",
        (
            Way("kept", "a sale has the till's number in QuickBooks"),
            Way("own", "QuickBooks numbers; a sale is recognised by its private note",
                "in QuickBooks: Account and settings > Sales > Custom transaction numbers", Fit.SET),
        ),
        ask_number, writes=True,
    ),
    Probe(
        "duplicate-number", "quickbooks", "Is a second document of the same number refused?", "qbo.md 5.9, 6.2 (6140)",
        "books and deletes one to three documents",
        (
            Way("same kind", "receipts and invoices may share a number, two receipts may not"),
            Way("every kind", "the prefixes keep receipts and invoices apart", 'orders.number_prefix.receipt = "R"'),
            Way("accepted", "QuickBooks does not help against doubles; look-ups before a repeated create do",
                "in QuickBooks: Account and settings > Advanced > Warn if duplicate number", Fit.SET),
        ),
        ask_duplicate, writes=True,
    ),
    Probe(
        "request-id", "quickbooks", "Is a request with a known request id answered without being done again?",
        "qbo.md 6, 11.3", "books and deletes one to three sales receipts",
        (
            Way("first answer", "a write whose answer was lost may be sent again at once"),
            Way("done again", "a repeated write would be a double: only the look-up before it helps", "", Fit.STOP),
        ),
        ask_repetition, writes=True,
    ),
    Probe(
        "void", "quickbooks", "Is a sales receipt voided by `operation=update&include=void`?", "qbo.md 5.12, 11.7",
        "books, voids and deletes a sales receipt",
        (
            Way("voided", "a sale cancelled at the till is voided", 'orders.cancelled = "void"'),
            Way("not voided", "the answer shows no void", 'orders.cancelled = "park"', Fit.SET),
            Way("refused", "QuickBooks wants another form", 'orders.cancelled = "park"', Fit.SET),
        ),
        ask_void, writes=True,
    ),
    Probe(
        "stock-start", "quickbooks", "How is a sale refused that lies before an item's inventory start date?",
        "qbo.md 6.2 (6270)", "makes an inventory item inactive again, books nothing or a sales receipt",
        (
            Way("6270", "it is parked and names the start date as the way out"),
            Way("another code", "it is parked, with the words of QuickBooks only"),
            Way("accepted", "old sales may be backfilled whatever the start dates"),
        ),
        ask_stock_start, writes=True,
    ),
)  # fmt: skip

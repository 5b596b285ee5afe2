"""Documents in the books that are not ours: our sales booked by another program too, and sales unknown to the till."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from handlers.agreement.books_side import BooksSide
from handlers.agreement.till_side import TillSide
from handlers.deps import Deps
from mapping import orders
from mapping.money import round_to_cents
from mapping.records import BookedDocument, BooksPayment, DocumentKind, Sale
from mapping.sale_identity import name_record

MAX_NAMED = 50
_WORD = re.compile(r"[\w.\-]+")
_RETURNS = (DocumentKind.REFUND_RECEIPT, DocumentKind.CREDIT_MEMO)


def claim_doubles(side: BooksSide, till: TillSide, groups: Mapping[str, str], deps: Deps) -> None:
    """Group documents of other programs about a sale that we booked with the document that we made.

    Such a document has the sale's number (as its own, or in its note or memo) and its amount.
    """
    named = {name: sale for sale in till.sales.values() for name in _names(sale, deps)}
    booked = {group for each, group in side.groups.items() if each in side.documents and not _is_void(side, each)}
    for document in _list_others(side):
        about = (named[word] for word in _words(document) if word in named)
        sale = next((each for each in about if abs(each.total_incl_cents) == abs(_cents(document))), None)
        if sale is not None and groups[sale.id] in booked:
            side.groups[document.id] = groups[sale.id]
            side.foreign.add(document.id)


def _is_void(side: BooksSide, document_id: str) -> bool:
    return side.documents[document_id].voided


def _names(sale: Sale, deps: Deps) -> Iterator[str]:
    yield sale.id
    if sale.number:
        yield sale.number
        yield orders.document_number(sale, deps.settings.orders)


def _words(document: BookedDocument) -> list[str]:
    return [
        word
        for text in (document.document_number, document.private_note, document.customer_memo)
        for word in _WORD.findall(text or "")
    ]


def describe(side: BooksSide, till: TillSide, groups: Mapping[str, str]) -> dict[str, Any]:
    """The documents of these days without a sale at the till; one with a sale's day and amount names that sale."""
    booked = set(side.groups.values())
    alike = {_likeness(sale): name_record(sale) for sale in till.sales.values() if groups[sale.id] in booked}
    found = [document for document in _list_others(side) if not document.voided]
    return {
        "documents": len(found),
        "cents": sum(map(_cents, found)),
        "records": [_show(document, alike) for document in found[:MAX_NAMED]],
    }


def describe_payments(side: BooksSide) -> dict[str, Any]:
    """The payments of these days on our documents that are only in the books, for example a bank transfer."""
    found = [each for id_, each in side.payments.items() if id_ not in side.groups and _is_on_ours(each, side)]
    return {
        "payments": len(found),
        "cents": sum(round_to_cents(each.total) for each in found),
        "records": [
            {
                "id": each.id,
                "number": each.payment_reference,
                "day": each.business_date.isoformat(),
                "cents": round_to_cents(each.total),
            }
            for each in found[:MAX_NAMED]
        ],
    }


def _is_on_ours(payment: BooksPayment, side: BooksSide) -> bool:
    return not payment.voided and any(link.id in side.groups for link in payment.links)


def _list_others(side: BooksSide) -> Iterable[BookedDocument]:
    return [document for each, document in side.documents.items() if each not in side.groups]


def _cents(document: BookedDocument) -> int:
    return round_to_cents(-document.total if document.kind in _RETURNS else document.total)


def _likeness(sale: Sale) -> tuple[date, int]:
    return sale.business_date, sale.total_incl_cents


def _show(document: BookedDocument, alike: Mapping[tuple[date, int], str]) -> dict[str, Any]:
    cents, day = _cents(document), document.business_date
    return {
        "entity": document.kind,
        "id": document.id,
        "number": document.document_number,
        "day": day.isoformat() if day else None,
        "cents": cents,
        "like": alike.get((day, cents)) if day and cents else None,
    }

"""The payments of an invoice: one per tender, each posted once and tied to the document."""

from __future__ import annotations

import dataclasses

from gateway.store.links import Kind, Link
from handlers import existing
from handlers.deps import Deps
from handlers.identity import request_id
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, PaymentLink


def settle(posting: Posting, booked: BookedDocument, deps: Deps, *, doubtful: bool) -> None:
    """Post what was paid. `doubtful`: look first, an earlier attempt may have posted some of it."""
    if not posting.payments:
        return
    known = existing.find_payments(posting, deps) if doubtful else {}
    for payment in posting.payments:
        made = known.get(payment.payment_reference or "") or _post(payment, booked, deps)
        deps.remember(
            Link(Kind.PAYMENT, f"{booked.kind}/{booked.id}/{payment.payment_reference}", "Payment", made.id or "")
        )


def _post(payment: BooksPayment, booked: BookedDocument, deps: Deps) -> BooksPayment:
    tied = dataclasses.replace(payment, links=(PaymentLink(booked.kind, booked.id, payment.total),))
    return deps.books.create_payment(tied, request_id(deps.connection, "payment", tied))

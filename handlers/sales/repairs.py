"""A person's resend repairs more than the document: its payments, and the application of a credit.

They may have been deleted, voided or edited in the books. Existing payments are kept and corrected, missing ones are
posted again, unless another payment settles the document now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from decimal import Decimal

from gateway.database.session import reading
from gateway.store import links
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.deps import Deps
from handlers.result import Result, done
from handlers.sales import drafts, settlement
from handlers.sales.steps import Context
from mapping.messages import AND, Amount, join, message
from mapping.orders import Posting
from mapping.records import BookedDocument, BooksPayment, DocumentKind, PaymentLink
from mapping.sale_identity import name_document


def look(link: Link, deps: Deps) -> None:
    """Check which payments of a document are still in the books: a removed one is to be posted again."""
    posted = {
        key: each
        for key, each in settlement.posted_on(link.target_entity, link.target_id, deps).items()
        if settlement.is_in_books(each)
    }
    if not posted:
        return
    rows = {row.id: row for row in deps.books.payments_by_id([each.target_id for each in posted.values()])}
    for each in posted.values():
        row = rows.get(each.target_id)
        if row is None or row.voided:
            how = BookingStatus.VOIDED if row else BookingStatus.DELETED
            deps.note("a payment was removed in QuickBooks", id=each.target_id, how=how)
            deps.save_links(dataclasses.replace(each, fingerprint=None, status=how))


def restore(known: Context, deps: Deps) -> Result:
    """A person requests a sale that is booked as it is: repair everything that belongs to its document."""
    current = known.document
    posting = drafts.move_payments(drafts.prepare(known.sale, deps, kind=current.kind)[0], deps)
    said = restore_payments(posting, current, deps) if posting.payments else []
    if _restore_credit(posting, current, deps):
        said.append("its credit was taken off the invoice again")
    return done("; ".join(["already booked", *said]), target_entity=current.kind, target_id=current.id)


def restore_payments(posting: Posting, booked: BookedDocument, deps: Deps) -> list[str]:
    """Correct the payments of a document to match the till; logs what was done.

    Existing payments are kept. A missing one is posted again, unless payments of others settle the document now:
    then it would be booked twice.
    """
    before = _find_existing(posting, booked, deps)
    settlement.repeat(lambda now, _: _repair(posting, before, now, deps), booked, deps)
    now = deps.books.document(booked.kind, booked.id)
    missing = _missing(posting, before)
    if refusal := _refuse_double(missing, settlement.open_amount(now), now, deps):
        return [refusal]
    settlement.settle(posting, now, deps, maybe_written=True)
    return (
        ["its payments were put right"]
        if missing or settlement.open_amount(now) != settlement.open_amount(booked)
        else []
    )


def plan_restore(posting: Posting, booked: BookedDocument, deps: Deps) -> list[str]:
    """The steps that `restore` would do now; nothing is written."""
    before, left = _find_existing(posting, booked, deps), settlement.open_amount(booked)
    steps: list[str] = []
    for payment, row, wanted in _corrections(posting, before, booked, deps):
        left += _settles(row, booked) - _settles(wanted, booked)
        if wanted != row:
            why = "payment {id} of {amount} would be put right: {total}, settling the sale"
            steps.append(message(why, id=row.id, amount=Amount.of(row.total), total=Amount.of(payment.total)))
    missing = _missing(posting, before)
    if refusal := _refuse_double(missing, left, booked, deps):
        return [*steps, refusal]
    names = {entry.id: entry.name for entry in deps.lists.entries("PaymentMethod")} if missing else {}
    steps += [
        message(
            "the payment of {amount} by {method} is missing: it would be posted",
            amount=Amount.of(payment.total),
            method=names.get(payment.payment_method_id or "") or message("an unnamed method"),
        )
        for payment in missing
    ]
    if more := _open_credit(posting, booked, deps):
        invoice = deps.books.document(DocumentKind.INVOICE, posting.document.linked_invoice_id or "")
        named = name_document(invoice.kind, invoice.document_number, invoice.id)
        said = "{amount} of the credit would be taken off {document} again"
        steps.append(message(said, amount=Amount.of(more), document=named))
    return steps


def _missing(posting: Posting, before: dict[str, BooksPayment]) -> list[BooksPayment]:
    return [payment for payment in posting.payments if (payment.source_id or "") not in before]


def _refuse_double(missing: list[BooksPayment], left: Decimal, booked: BookedDocument, deps: Deps) -> str | None:
    """Why a missing payment is not posted again: a payment of others settles the document."""
    if not missing or sum(payment.total for payment in missing) <= left:
        return None
    with reading(deps.engine) as session:
        others = [
            message("payment {id}", id=each)
            for each in booked.payment_ids
            if not links.find_by_target(session, deps.connection, LinkKind.PAYMENT, each)
        ]
    if not others:
        return None
    return message(
        "a payment of {amounts} is not posted again, because {others} settles the document",
        amounts=join([message("{amount}", amount=Amount.of(payment.total)) for payment in missing], AND),
        others=join(others, AND),
    )


def _find_existing(posting: Posting, booked: BookedDocument, deps: Deps) -> dict[str, BooksPayment]:
    """The payments of the posting in the books, by the till's payment: linked ones, and marked ones."""
    found = settlement.find_payments(posting, deps)
    posted = settlement.posted_on(booked.kind, booked.id, deps)
    ours = {payment.source_id or "": posted.get(settlement.key_of(booked, payment)) for payment in posting.payments}
    ids = {key: link.target_id for key, link in ours.items() if link is not None and settlement.is_in_books(link)}
    rows = {row.id: row for row in deps.books.payments_by_id(list(ids.values())) if not row.voided} if ids else {}
    return found | {key: rows[each] for key, each in ids.items() if each in rows}


def _repair(posting: Posting, before: dict[str, BooksPayment], booked: BookedDocument, deps: Deps) -> None:
    """Set the till's amount, day and method on existing payments, and link them to the document."""
    for payment, row, corrected in _corrections(posting, dict(before), booked, deps):
        wanted = corrected
        if wanted != row:
            deps.note("a payment was changed in QuickBooks: it gets what the till says", id=row.id, was=str(row.total))
            token = deps.books.request_id("mend", row.id, row.sync_token)
            before[payment.source_id or ""] = wanted = deps.books.update_payment(wanted, token)
        key, same = settlement.key_of(booked, payment), settlement.fingerprint_of(payment)
        deps.save_links(settlement.link_of(key, wanted, same, wanted.total))


def _corrections(
    posting: Posting, before: dict[str, BooksPayment], booked: BookedDocument, deps: Deps
) -> Iterator[tuple[BooksPayment, BooksPayment, BooksPayment]]:
    """Each existing payment of the posting: the till's, the books' now, and as the books should have it."""
    left = settlement.open_amount(booked)
    # Reduce payments that are too large first, so that the others fit.
    totals = {key: row.total for key, row in before.items()}
    for payment in sorted(posting.payments, key=lambda each: each.total - totals.get(each.source_id or "", Decimal(0))):
        row = before.get(payment.source_id or "")
        if row is not None:
            wanted = _as_till_has_it(payment, row, booked, left, deps)
            left += _settles(row, booked) - _settles(wanted, booked)
            yield payment, row, wanted


def _as_till_has_it(
    payment: BooksPayment, row: BooksPayment, booked: BookedDocument, left: Decimal, deps: Deps
) -> BooksPayment:
    others = tuple(link for link in row.links if (link.kind, link.id) != (booked.kind, booked.id))
    free = settlement.unapplied(dataclasses.replace(row, total=payment.total, links=others))
    if free < 0:
        others, free = (), payment.total
    amount = max(min(left + _settles(row, booked), free), Decimal(0))
    links = (*others, PaymentLink(booked.kind, booked.id, amount)) if amount else others
    closed = deps.lists.company().books_closed_through
    is_movable = closed is None or min(row.business_date, payment.business_date) > closed
    return dataclasses.replace(
        row,
        customer_id=booked.customer_id or row.customer_id,
        total=payment.total,
        business_date=payment.business_date if is_movable else row.business_date,
        payment_method_id=payment.payment_method_id or row.payment_method_id,
        links=row.links if set(links) == set(row.links) else links,
    )


def _settles(row: BooksPayment, booked: BookedDocument) -> Decimal:
    return sum((link.amount for link in row.links if (link.kind, link.id) == (booked.kind, booked.id)), Decimal(0))


def _open_credit(posting: Posting, booked: BookedDocument, deps: Deps) -> Decimal:
    """How much more of a credit memo can be applied to the invoice it credits."""
    invoice_id = posting.document.linked_invoice_id
    if booked.kind is not DocumentKind.CREDIT_MEMO or invoice_id is None:
        return Decimal(0)
    return settlement.applicable(booked, invoice_id, deps, maybe_written=True)


def _restore_credit(posting: Posting, booked: BookedDocument, deps: Deps) -> bool:
    """Apply a credit memo to the invoice it credits again, as far as both are open; whether there was anything."""
    more, invoice_id = _open_credit(posting, booked, deps), posting.document.linked_invoice_id or ""
    if not more:
        return False
    before = settlement.posted_on(booked.kind, booked.id, deps).get(f"{booked.kind}/{booked.id}/{settlement.CREDIT}")
    if before is None or not settlement.is_in_books(before):
        settlement.apply_credit(posting, booked, deps, maybe_written=True)
        return True
    row = deps.books.payment(before.target_id)
    amounts = {(link.kind, link.id): link.amount for link in row.links}
    for each in ((str(DocumentKind.INVOICE), invoice_id), (str(booked.kind), booked.id)):
        amounts[each] = amounts.get(each, Decimal(0)) + more
    raised = dataclasses.replace(row, links=tuple(PaymentLink(*name, amount) for name, amount in amounts.items()))
    token = deps.books.request_id("mend", row.id, row.sync_token)
    made = deps.books.update_payment(raised, token)
    deps.save_links(dataclasses.replace(before, sync_token=made.sync_token))
    return True

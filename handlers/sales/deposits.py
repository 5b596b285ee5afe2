"""Book deposits on orders: each payment of an order once, on its day; and what a later sale settles."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.references import goods, parties
from handlers.result import Result, done, skipped
from handlers.sales import drafts, money_documents
from mapping import order_deposits
from mapping.messages import message
from mapping.order_deposits import key_of
from mapping.orders import Posting
from mapping.records import Payment, Sale
from mapping.sale_identity import CANCELLED_ORDER, COMPLETE_ORDER, is_order, sign


def handle(order: Sale, deps: Deps, *, maybe_written: bool, asked: bool) -> Result:
    """Book the payments of an order that is not delivered yet, and remove those that the till removed.

    A deposit that was removed from the books is restored only on a person's request.
    """
    if not is_order(order, deps.settings.orders):
        return skipped("deposits on orders are switched off in the settings, or it is no order of a customer")
    known = _known(order, deps)
    if asked and not money_documents.are_present(known.values(), deps):
        known = _known(order, deps)
    payments = [payment for payment in order.payments if payment.amount_cents and not _is_on_sale(order, payment, deps)]
    if order.state == COMPLETE_ORDER:
        payments = [payment for payment in payments if _key(order, payment) in known]
    else:
        _remove_others(order, known, {key_of(payment) for payment in payments}, deps)
    before = [known.get(_key(order, payment)) for payment in payments]
    booked = [
        link
        if link and link.status.is_gone and not asked
        else _book(order, each, link, deps, maybe_written=maybe_written)
        for each, link in zip(payments, before, strict=True)
    ]
    if not booked and order.state == COMPLETE_ORDER:
        return done("delivered: its money is on its receipt or invoice")
    if not booked:
        return done("no deposit on it" if order.state != CANCELLED_ORDER else "cancelled, and no deposit on it")
    deps.learn(target_entity=booked[-1].target_entity, target_id=booked[-1].target_id)
    return done(message("{n} deposit(s) in the books", n=len(booked)))


def ensure(sale: Sale, deps: Deps, *, maybe_written: bool) -> None:
    """Before a sale is booked for the first time: book the deposits it settles, on their own days."""
    named = order_deposits.names_tender(sale, deps.settings.mapping.order_deposit_tenders)
    brought = {key_of(payment) for payment in sale.payments if payment.business_date not in (None, sale.business_date)}
    if not (named or brought):
        return
    for order in deps.till.orders(sale.order_ids):
        known = _known(order, deps)
        for payment in order.payments:
            if payment.amount_cents and (named or key_of(payment) in brought):
                _book(order, payment, known.get(_key(order, payment)), deps, maybe_written=maybe_written)


def booked_payments(order: Sale, deps: Deps) -> Sale:
    """The order with the payments that count as deposits: the booked ones, and for an open order all that should be."""
    if order.state != COMPLETE_ORDER:
        return order
    known = {key for key, link in _known(order, deps).items() if link.status.is_in_books}
    kept = (payment for payment in order.payments if _key(order, payment) in known)
    return dataclasses.replace(order, payments=tuple(kept))


def _key(order: Sale, payment: Payment) -> str:
    return f"{order.id}/{key_of(payment)}"


def _known(order: Sale, deps: Deps) -> dict[str, Link]:
    with reading(deps.engine) as session:
        found = links.find_under(session, deps.connection, LinkKind.DEPOSIT, f"{order.id}/")
    return {link.source_id: link for link in found}


def _is_on_sale(order: Sale, payment: Payment, deps: Deps) -> bool:
    """Whether a part of the order was delivered before deposits were enabled, with this payment on its document."""
    with reading(deps.engine) as session:
        claim = links.find(session, deps.connection, LinkKind.ORDER, order.id)
        under = f"{claim.target_entity}/{claim.target_id}/{key_of(payment)}" if claim else ""
        return bool(under and links.find(session, deps.connection, LinkKind.PAYMENT, under))


def _remove_others(order: Sale, known: dict[str, Link], wanted: Collection[str], deps: Deps) -> None:
    kept = {f"{order.id}/{key}" for key in wanted}
    for key, link in known.items():
        if key not in kept and link.status.is_in_books:
            known[key] = money_documents.remove(link, deps)


def _book(order: Sale, payment: Payment, before: Link | None, deps: Deps, *, maybe_written: bool) -> Link:
    listed = drafts.find_listed(order, [payment.method], parties.buyer(order, deps), deps)
    references = dataclasses.replace(listed, order_deposit_item_id=goods.own_item(goods.ORDER_DEPOSITS, deps))
    document = order_deposits.to_document(order, payment, references, deps.settings.orders)
    document = sign(drafts.open_up(Posting(document), deps).document, deps.installation)
    return money_documents.keep(
        order, document, LinkKind.DEPOSIT, _key(order, payment), before, deps, maybe_written=maybe_written
    )

"""A sale of the till becomes a document of the books: read, map, look before a doubtful write, write, check, link."""

from __future__ import annotations

import dataclasses
import json

import simplejson

from gateway.connectors.quickbooks import wire_documents, wire_payments
from gateway.errors import DuplicateNumber, NotFound
from gateway.store import links
from gateway.store.events import Event
from gateway.store.links import Kind, Link
from gateway.store.session import reading
from handlers import codes, existing, goods, parties, sales, settlement
from handlers.deps import Deps
from handlers.identity import request_id
from handlers.result import Result, done, parked
from mapping import orders
from mapping.errors import RoundingItemNeeded
from mapping.fingerprints import fingerprint
from mapping.orders import Posting, References
from mapping.records import BookedDocument, Sale
from mapping.sale_totals import read_totals


def carry(event: Event, deps: Deps) -> Result:
    """Book the sale once, whichever way and however often it is seen."""
    sale = sales.read(event.entity, event.entity_id, deps)
    if sale is None:
        raise NotFound("the till does not know this sale any more", record=f"{event.entity} {event.entity_id}")
    deps.learn(order_id=sale.number)
    orders.bookable(sale, deps.settings.orders)
    link = _link(sale, deps)
    if link and link.fingerprint == content(sale) and not _wants_preview(event):
        return done("already booked", target_entity=link.target_entity, target_id=link.target_id)
    if link and link.fingerprint:
        return _changed(sale, link, event, deps)
    posting = prepare(sale, deps)
    if _wants_preview(event):
        return _preview(posting, deps)
    return _book(sale, posting, link, event, deps)


def content(sale: Sale) -> str:
    """The sale's own fingerprint: what it says, not when the till last touched it."""
    return fingerprint(dataclasses.replace(sale, sync_marker=None, change_counter=None, version=None))


def prepare(sale: Sale, deps: Deps) -> Posting:
    """The posting of a sale, every reference resolved. Raises `MappingError` instead of anything doubtful."""
    references = _references(sale, deps)
    try:
        return orders.to_posting(sale, references, deps.settings.orders)
    except RoundingItemNeeded:
        deps.say("the books would round the VAT differently: a rounding line is needed")
        return orders.to_posting(
            sale, dataclasses.replace(references, rounding_item_id=goods.rounding_item(deps)), deps.settings.orders
        )


def _references(sale: Sale, deps: Deps) -> References:
    settings = deps.settings
    record = orders.name_record(sale)
    tenders = orders.tenders_of(sale)
    return References(
        customer_id=parties.customer_id(sale, deps),
        items=goods.item_ids(sale, record, deps),
        tax_codes=codes.tax_codes(sale, read_totals(sale), deps),
        untaxed=codes.untaxed(sale, deps),
        shifted=codes.named_tax_code(settings.mapping.shifted_tax_code, sale, deps),
        special_items=goods.special_items(deps),
        tip_articles=settings.mapping.tip_articles,
        payment_methods=codes.payment_methods(tenders, deps),
        deposit_accounts=codes.deposit_accounts(tenders, deps),
        default_deposit_account_id=codes.money_account(sale, deps),
        department_id=codes.department(sale.branch, deps),
        countries=settings.customers.countries,
    )


def _book(sale: Sale, posting: Posting, link: Link | None, event: Event, deps: Deps) -> Result:
    doubtful = existing.is_doubtful(event, link)
    booked = existing.find(posting, deps) if doubtful else None
    if booked:
        deps.say("found in the books already; linked instead of booked again", id=booked.id)
    booked = booked or _create(posting, deps)
    deps.learn(target_entity=booked.kind, target_id=booked.id)
    # From here on it exists: remembered before anything else can fail, without the fingerprint that says "all done".
    deps.remember(_to_link(sale, booked, None))
    settlement.settle(posting, booked, deps, doubtful=doubtful)
    return _check(sale, posting, booked)


def _create(posting: Posting, deps: Deps) -> BookedDocument:
    document = posting.document
    try:
        return deps.books.create_document(
            document,
            request_id(deps.connection, "document", document),
            send_tax_detail=True,
            send_number=deps.lists.company().custom_document_numbers,
        )
    except DuplicateNumber:
        found = existing.find(posting, deps)
        if found is None:
            raise
        deps.say("the books had this document already", id=found.id)
        return found


def _check(sale: Sale, posting: Posting, booked: BookedDocument) -> Result:
    """The books' own total and tax must be the till's, every time."""
    link = _to_link(sale, booked, content(sale))
    expected_tax = sum((tax.tax for tax in posting.document.taxes), start=booked.tax * 0)
    if (booked.total, booked.tax) == (posting.document.total, expected_tax):
        return done(links=(link,), target_entity=booked.kind, target_id=booked.id)
    return parked(
        f"QuickBooks booked {booked.total:.2f} with {booked.tax:.2f} tax, the till took "
        f"{posting.document.total:.2f} with {expected_tax:.2f} tax",
        code="incident",
        record=f"{booked.kind} {booked.id}, {orders.name_record(sale)}",
        fix="correct the document in QuickBooks by hand, then ignore this event; report the difference",
        links=(link,),
        target_entity=booked.kind,
        target_id=booked.id,
    )


def _changed(sale: Sale, link: Link, event: Event, deps: Deps) -> Result:
    if _wants_preview(event):
        return _preview(prepare(sale, deps), deps)
    return parked(
        f"{orders.name_record(sale)} was changed at the till after it was booked",
        code="changed-after-booking",
        record=f"{link.target_entity} {link.target_id}",
        fix="correct the document in QuickBooks by hand, then ignore this event",
        target_entity=link.target_entity,
        target_id=link.target_id,
    )


def _preview(posting: Posting, deps: Deps) -> Result:
    """Exactly what would be sent, and nothing written."""
    numbered = deps.lists.company().custom_document_numbers
    body = wire_documents.to_document_body(posting.document, send_tax_detail=True, send_number=numbered)
    planned = {
        "entity": posting.document.kind,
        "body": body,
        "payments": [wire_payments.to_payment_body(payment) for payment in posting.payments],
        "total": posting.document.total,
    }
    result = done("dry run: nothing was written")
    text = simplejson.dumps(planned, use_decimal=True, default=str)
    return dataclasses.replace(result, outcome=dataclasses.replace(result.outcome, result=text))


def _wants_preview(event: Event) -> bool:
    return bool(event.hint and event.source in {"admin", "cli"} and json.loads(event.hint).get("dry_run"))


def _link(sale: Sale, deps: Deps) -> Link | None:
    with reading(deps.engine) as session:
        return links.find(session, deps.connection, Kind.DOCUMENT, sale.id)


def _to_link(sale: Sale, booked: BookedDocument, fingerprint_: str | None) -> Link:
    detail = {"number": sale.number, "document_number": booked.document_number, "total_cents": sale.total_incl_cents}
    return Link(Kind.DOCUMENT, sale.id, booked.kind, booked.id, booked.sync_token, fingerprint_, detail)

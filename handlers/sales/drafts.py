"""From a sale to its posting: resolve every reference, map, and choose a day on which the books are open."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

from gateway.errors import Permanent
from gateway.store import connections, links
from gateway.store.links import Link, LinkKind
from handlers.deps import Deps
from handlers.references import goods, parties
from handlers.references.parties import Buyer
from handlers.sales import bookings
from mapping import list_entries, money_documents, orders, sale_identity
from mapping.errors import ItemNeeded, MappingError
from mapping.list_entries import KnownLists, NewMethod
from mapping.messages import message
from mapping.orders import Assessment, Posting
from mapping.records import BookedDocument, DocumentKind, LineAmounts, Sale, SaleKind, VatAmount
from mapping.references import CLEARING, ORDER_DEPOSITS, References
from mapping.sale_identity import sign
from mapping.sale_lines import is_without_vat, read_totals

WRONG_AMOUNT = "6070"
CLOSED = "6210"
_CLOSED_CODES = frozenset({CLOSED, "6200"})
# The document names a record that is gone, inactive or merged into another: our links to it are out of date.
_STALE = frozenset({"610", "2500", "6250"})
_REQUIRED, _REFUSED = "2020", "6000"

_ITEMS: Mapping[str, Callable[[Deps], Any]] = {
    "rounding_item_id": goods.rounding_item,
    "order_deposit_item_id": partial(goods.own_item, ORDER_DEPOSITS),
    "clearing_item_id": partial(goods.own_item, CLEARING),
}


def prepare(sale: Sale, deps: Deps, *, kind: DocumentKind | None = None) -> tuple[Posting, References]:
    """The posting of a sale and its references. Raises `MappingError` if anything is unclear."""
    deps.links.load_sale(sale, deps.settings)
    marked = assess(sale, deps).marked
    references, posting = find_references(marked, deps), None
    while posting is None:
        try:
            posting = orders.to_posting(marked, references, deps.settings.orders, kind=kind)
        except ItemNeeded as needed:
            if getattr(references, needed.reference):
                raise
            deps.note("an item of ours is needed", why=needed.reason)
            references = dataclasses.replace(references, **{needed.reference: _ITEMS[needed.reference](deps)})
    link = deps.links[LinkKind.DOCUMENT, sale.id]
    _, other = sale_identity.document_numbers(sale, deps.settings.orders)
    # A document that got its other number, because another sale's has the first, keeps it.
    if link is not None and bookings.detail(link, "document_number") == other:
        posting = dataclasses.replace(posting, document=dataclasses.replace(posting.document, document_number=other))
    deps.links.clear()
    beside = tuple(sign(document, deps.installation) for document in posting.beside)
    signed = dataclasses.replace(posting, document=sign(posting.document, deps.installation), beside=beside)
    return signed, references


def assess(sale: Sale, deps: Deps) -> Assessment:
    """The sale with the deposits on its orders as they are in the books now."""
    return Assessment(sale, deps.settings, deps.read(links.find_deposits, sale) if sale.order_ids else ())


def kind_now(sale: Sale, booked_as: str, deps: Deps) -> DocumentKind:
    """As which kind of document a sale that has one of this kind would be booked now."""
    return assess(sale, deps).kind_as(booked_as)


def open_up(posting: Posting, deps: Deps, *, day: date | None = None) -> Posting:
    """The posting on a day that is open; `day` is the day of an earlier version of it. Raises `MappingError`."""
    wanted = day or posting.document.business_date
    closed = deps.lists.company().books_closed_through
    if closed is None or wanted > closed:
        return posting if wanted == posting.document.business_date else orders.move_to(posting, wanted)
    if day is not None or deps.settings.orders.closed_books == "park":
        raise _refuse_closed(posting, closed)
    moved = closed + timedelta(days=1)
    deps.note("the books are closed: posted on the first open day", closed_through=closed, day=moved)
    return orders.move_to(posting, moved)


def draft_again(sale: Sale, link: Link, current: BookedDocument, deps: Deps) -> Posting:
    """The posting for a document in the books. Raises `MappingError` if its day, or the sale's now, is closed."""
    posting, _ = prepare(sale, deps, kind=current.kind)
    # A document that was moved out of closed books keeps its day.
    moved = current.business_date if "Original date:" in (current.private_note or "") else None
    opened = open_up(posting, deps, day=moved or posting.document.business_date)
    booked_day, closed = bookings.detail(link, "dated"), deps.lists.company().books_closed_through
    if booked_day and closed and date.fromisoformat(booked_day) <= closed:
        raise _refuse_closed(posting, closed)
    return opened


def move_payments(posting: Posting, deps: Deps) -> Posting:
    """Move a payment on a closed day to the first open day, if the settings say so; the document is not changed."""
    closed = deps.lists.company().books_closed_through
    days = [payment.business_date for payment in posting.payments] + [each.business_date for each in posting.beside]
    if closed is None or all(day > closed for day in days):
        return posting
    return dataclasses.replace(orders.move_to(posting, closed + timedelta(days=1)), document=posting.document)


def _refuse_closed(posting: Posting, closed: date) -> MappingError:
    return MappingError(
        message("the books are closed through {closed}", closed=closed),
        record=posting.document.document_number,
        field="orders.closed_books",
        fix='reopen the period in QuickBooks and retry, or set orders.closed_books = "next_open_day" for new documents',
        code=CLOSED,
    )


def learn(error: Permanent, deps: Deps) -> Deps | None:
    """The dependencies for a new draft if the books refused a rounded line amount; None for any other refusal.

    The connection stores that the company accepts exact amounts only.
    """
    if error.code != WRONG_AMOUNT or deps.line_amounts is LineAmounts.EXACT:
        return None
    deps.note("QuickBooks takes no rounded amount of a line: prices in whole cents from now on, the rest beside them")
    deps.write(connections.learn_line_amounts, LineAmounts.EXACT)
    return dataclasses.replace(deps, line_amounts=LineAmounts.EXACT)


def redraft(refusal: Permanent, sale: Sale, posting: Posting, deps: Deps) -> Posting | None:
    """The posting to send instead of the refused one, if the refusal shows stored data to be outdated: that is dropped.

    None for any other refusal, and if the posting is the same without that data.
    """
    if refusal.code in _CLOSED_CODES:  # since the company was read
        deps.lists.forget("company")
        return posting
    if not _is_stale(refusal, deps):
        return None
    deps.note("the books do not take what it refers to; looking it up again", reason=refusal.reason)
    parties.forget(posting.document.customer_id, deps)
    goods.forget({line.item_id for line in posting.document.lines}, deps)
    for name in ("PaymentMethod", "Department", "Class", "Term", "Account", "tax_codes"):
        deps.lists.forget(name)
    fresh, _ = prepare(sale, deps)
    return None if fresh == posting else fresh


def _is_stale(refusal: Permanent, deps: Deps) -> bool:
    """Whether our data about the company, or about the records in the document, may be out of date."""
    if refusal.code == _REQUIRED and not deps.lists.company().multi_currency:
        # Multicurrency may have been switched on since the company was read: then a currency is required.
        deps.lists.forget("company")
        return deps.lists.company().multi_currency
    return refusal.code in _STALE or (refusal.code == _REFUSED and deps.lists.company().multi_currency)


def find_references(sale: Sale, deps: Deps) -> References:
    """Everything the sale refers to. Raises `MappingError` for what is missing."""
    settings = deps.settings
    list_entries.require_home(deps.lists.company(), settings.products.currency)
    buyer = parties.buyer(sale, deps)
    country = parties.country(sale, buyer.relation, deps)
    original = deps.links[LinkKind.DOCUMENT, sale.credited_id] if sale.credited_id else None
    number = bookings.detail(original, "number") if original else None
    items = goods.find(sale, deps, country=country)
    rates = () if is_without_vat(sale) else read_totals(sale)
    tenders = money_documents.by_method(money_documents.in_money(sale, settings.mapping.gift_card_tenders).payments)
    return dataclasses.replace(
        find_listed(sale, tenders, buyer, deps, rates=rates, country=country),
        **items,
        tip_articles=settings.mapping.tip_articles,
        gift_card_tenders=settings.mapping.gift_card_tenders,
        shipping_method=_shipping_method(sale, deps),
        original_id=original.target_id if original and original.target_entity == DocumentKind.INVOICE else None,
        original=f"{sale.kind.value.lower()} {number or sale.credited_id}" if sale.credited_id else None,
        countries=settings.customers.countries,
        line_amounts=deps.line_amounts,
    )


def find_listed(
    sale: Sale,
    tenders: Iterable[str],
    buyer: Buyer,
    deps: Deps,
    *,
    rates: Sequence[VatAmount] = (),
    country: str | None = None,
) -> References:
    """The buyer, and what a document of this sale refers to in the small lists of the books."""
    mapping, tenders = deps.settings.mapping, list(tenders)
    known = deps.lists.read(*list_entries.wanted(sale, tenders, mapping), on=sale.business_date)
    class_id = list_entries.class_id(sale.branch, known, mapping)
    on_lines, on_document = (None, class_id) if known.company.class_per_document else (class_id, None)
    return References(
        customer_id=buyer.customer_id,
        tax_codes=list_entries.tax_codes(sale, rates, known, mapping.tax_codes, country=country),
        untaxed=list_entries.untaxed(mapping.no_vat_tax_code, known.tax_codes),
        shifted=list_entries.named_tax_code(mapping.shifted_tax_code, known.tax_codes),
        payment_methods=payment_methods(tenders, known, deps),
        deposit_accounts=list_entries.deposit_accounts(tenders, known.of("Account"), mapping.deposit_accounts),
        default_deposit_account_id=list_entries.money_account(sale, known),
        department_id=list_entries.department(sale.branch, known, mapping),
        class_id=on_lines,
        document_class_id=on_document,
        term_id=list_entries.term(sale, buyer.relation, known.of("Term"), mapping.terms),
        currency=list_entries.named_currency(known.company, deps.settings.products.currency),
        taxes_sums=deps.taxes_sums,
    )


def payment_methods(tenders: Iterable[str], known: KnownLists, deps: Deps) -> dict[str, str]:
    """The id of the books' payment method for each of these tenders; those that are missing are created."""
    chosen = {code: list_entries.payment_method(code, known, deps.settings.mapping) for code in tenders}
    made: dict[NewMethod, str] = {}
    for new in dict.fromkeys(each for each in chosen.values() if isinstance(each, NewMethod)):
        said = "created a payment method in QuickBooks"
        made[new] = deps.create_entry("PaymentMethod", new.shortened, ("payment method", new.name), said)
    found = {code: made[each] if isinstance(each, NewMethod) else each for code, each in chosen.items()}
    return {code: id_ for code, id_ in found.items() if id_}


def _shipping_method(sale: Sale, deps: Deps) -> str | None:
    rule = deps.settings.mapping.shipping_methods
    if rule.mode == "off" or not deps.lists.company().allows_shipping:
        return None
    # Receipts and invoices do not contain it, the delivered order does.
    delivered = deps.till.sales(SaleKind.ORDER, sale.order_ids) if sale.order_ids and not sale.delivery_method else ()
    method = next((each.delivery_method for each in (sale, *delivered) if each.delivery_method), None)
    return list_entries.shipping_method(method, rule) if method else None

"""A sale of the till as a posting in the books: one document, and for an invoice the payments of its tenders.

The document's lines are those of the sale, adjusted by the tax solver, and named rounding lines. `Assessment` has what
follows from the sale and the settings before it is posted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from mapping import money_documents, sale_identity, sale_lines
from mapping.customers import to_postal
from mapping.errors import MappingError, NotBookable, naming
from mapping.messages import Amount, Message, message
from mapping.money import find_unit_price, is_rigid, show_cents, to_cents, to_euros, to_quantity
from mapping.records import (
    PAID_AT_ONCE,
    RETURNS,
    BookedDocument,
    BooksPayment,
    DocumentKind,
    DocumentLine,
    DocumentTax,
    Sale,
    SaleKind,
    SalesDocument,
    TaxCode,
    VatAmount,
    VatKey,
)
from mapping.references import (
    References,
    get_clearing_item,
    get_gift_card_item,
    get_item,
    get_order_deposit_item,
    get_rounding_item,
    get_tax_code,
    get_untaxed,
    to_line,
    to_tax,
)
from mapping.sections import OrderSettings
from mapping.settings_document import SettingsDocument
from mapping.tax import DEFAULT_LIMITS, RoundingModel, SolverLimits, WantedTotals, find_drift, find_reach, solve

NOTE_LENGTH, MEMO_LENGTH = 4000, 1000


@dataclass(frozen=True)
class Assessment:
    """What follows from a sale and the settings of its connection, each fact found when it is first asked for.

    `deposits` are those on its orders that are booked by themselves.
    """

    sale: Sale
    settings: SettingsDocument
    deposits: Sequence[money_documents.Deposit] = ()

    @cached_property
    def refusal(self) -> NotBookable | None:
        return sale_identity.find_refusal(self.sale, self.settings.orders)

    @cached_property
    def is_withdrawn(self) -> bool:
        return sale_identity.is_withdrawn(self.sale)

    @cached_property
    def content(self) -> str:
        return sale_identity.content(self.sale)

    @cached_property
    def marked(self) -> Sale:
        """The sale with those payments marked that settle a deposit."""
        tenders = self.settings.mapping.order_deposit_tenders if self.settings.orders.deposits else ()
        return money_documents.mark(self.sale, self.deposits, tenders)

    @cached_property
    def in_money(self) -> Sale:
        """The sale with payments in money only: without gift cards that are a debt, and deposits that are booked."""
        return money_documents.in_money(self.marked, self.settings.mapping.gift_card_tenders)

    def kind_as(self, booked_as: str) -> DocumentKind:
        """As which kind of document it would be booked now, if it is booked as one of this kind."""
        return sale_identity.kind_now(self.in_money, self.settings.orders, booked_as)

    @cached_property
    def is_summarised(self) -> bool:
        """Whether the sale, read with its lines, belongs to its day's document, and is to be booked now.

        Receipts paid on their own day do. A sale on account, without VAT, with gift cards sold or redeemed (a debt, not
        turnover), or with a marked deposit gets a separate document.
        """
        sale, summary = self.marked, self.settings.orders.summary
        if summary != "day" or sale.kind is not SaleKind.RECEIPT or sale_lines.is_without_vat(sale):
            return False
        paid = sale.state in {"RECEIPT-STATE-PAID", "RECEIPT-STATE-HANDLED"}
        same_day = all(payment.business_date in (None, sale.business_date) for payment in sale.payments)
        debts = {*self.settings.mapping.gift_card_tenders, money_documents.SETTLED}
        by_card = any(payment.method in debts for payment in sale.payments)
        of_cards = any(sale_lines.special_kind(line, ()) == "gift_card" for line in sale.lines)
        return paid and same_day and not by_card and not of_cards and self.refusal is None


@dataclass(frozen=True, slots=True)
class Posting:
    """What is posted for one sale. `payments` belong to the document: link each to it after it has an id.

    `beside` are documents of money that the document itself cannot hold.
    """

    document: SalesDocument
    payments: tuple[BooksPayment, ...] = ()
    beside: tuple[SalesDocument, ...] = ()


def to_posting(
    sale: Sale, references: References, settings: OrderSettings, *, kind: DocumentKind | None = None
) -> Posting:
    """The document and the payments of a sale; NotBookable or MappingError if anything is unclear.

    The document's total is the till's total, plus Dutch cash rounding if the settings book that as a line, less
    gift cards if these are a debt of the shop, and less marked deposits. `kind` keeps the kind it was booked as before.
    """
    with naming(record=sale_identity.name_record(sale)):
        sale_identity.bookable(sale, settings)
        paid_in_money = money_documents.in_money(sale, references.gift_card_tenders)
        kind = kind or sale_identity.document_kind(paid_in_money, settings)
        sign = -1 if kind in RETURNS else 1
        rounding = _cash_rounding(sale, settings)
        booked_rounding = rounding if settings.cash_rounding == "line" else 0
        extras = {
            "Cash rounding": booked_rounding,
            GIFT_CARDS: -money_documents.redeemed(sale, references.gift_card_tenders),
            DEPOSITS: -money_documents.settled(sale),
        }
        due = sale.total_incl_cents + sum(extras.values())
        paid = money_documents.without_rounding(paid_in_money.payments, rounding - booked_rounding)
        divided = money_documents.divide(kind, paid, sale.business_date, due)
        extras[money_documents.CLEARING] = divided.clearing
        lines, taxes = to_body(sale, references, settings, sign=sign, extras=extras)
        total_cents = sum(to_cents(line.net) for line in lines) + sum(to_cents(tax.tax) for tax in taxes)
        _check_total(total_cents, sign * (due + divided.clearing))
        document = SalesDocument(
            kind=kind,
            marker=sale_identity.marker(sale),
            document_number=sale_identity.document_number(sale, settings),
            business_date=sale.business_date,
            customer_id=references.customer_id,
            lines=lines,
            taxes=taxes,
            total=to_euros(total_cents),
            currency=references.currency,
            department_id=references.department_id,
            class_id=references.document_class_id,
            private_note=_note(sale, references, money_documents.by_method(paid), rounding),
            customer_memo=sale.reference[:MEMO_LENGTH] if settings.memo and sale.reference else None,
            billing=to_postal(sale.billing, references.countries),
            shipping=to_postal(sale.shipping, references.countries),
            shipping_method=references.shipping_method,
            linked_invoice_id=references.original_id if sign < 0 else None,
        )
        return _settle(document, sale, references, divided)


def _cash_rounding(sale: Sale, settings: OrderSettings) -> int:
    difference = sale_lines.paid_difference(sale, cap_cents=settings.rounding_cap_cents)
    if difference and settings.cash_rounding == "park":
        raise MappingError(
            message("paid and total differ by {amount} of cash rounding", amount=Amount(difference)),
            code="cash-rounding",
            field="orders.cash_rounding",
            fix="choose how cash rounding is booked in orders.cash_rounding",
        )
    return difference


def _check_total(booked_cents: int, expected_cents: int) -> None:
    if booked_cents < 0:
        raise MappingError(
            message("the document would be {amount}, and the books take none below zero", amount=Amount(booked_cents)),
            code="below-zero",
            field="payments",
            fix="open the sale in the till and look at its payments; book it by hand if they are right",
        )
    if booked_cents != expected_cents:
        said = "the document would be {amount}, the till took {total}"
        raise MappingError(
            message(said, amount=Amount(booked_cents), total=Amount(expected_cents)),
            code="document-total-differs",
            field="total",
            fix="report this sale; nothing was booked",
        )


def _note(sale: Sale, references: References, paid: Mapping[str, int], rounding: int) -> str:
    notes = [sale_identity.marker(sale)]
    if references.original:
        notes.append(f"Credits: {references.original}")
    if len(paid) > 1:
        notes.append("Paid: " + ", ".join(f"{method} {show_cents(cents)}" for method, cents in paid.items()))
    if rounding:
        notes.append(f"Cash rounding: {show_cents(rounding)}")
    if sale.employee_number:
        notes.append(f"Employee: {sale.employee_number}")
    return "\n".join(notes)[:NOTE_LENGTH]


def _settle(document: SalesDocument, sale: Sale, references: References, divided: money_documents.Division) -> Posting:
    """Add how the document was paid: on the document itself, or by payments and separate documents of money."""
    beside = tuple(money_documents.to_money_documents(document, sale, divided.beside, references))
    if document.kind in PAID_AT_ONCE:
        return Posting(money_documents.paid_at_once(document, references, divided.method), beside=beside)
    if document.kind is DocumentKind.INVOICE:
        due = replace(document, term_id=references.term_id, due_date=sale.due_date)
        return Posting(due, money_documents.to_payments(divided.payments, due, references), beside)
    return Posting(document, beside=beside)


def move_to(posting: Posting, day: date) -> Posting:
    """The same posting on another day, the original day named in the private note: for closed books."""
    payments = (replace(payment, business_date=max(day, payment.business_date)) for payment in posting.payments)
    beside = (_move(document, max(day, document.business_date)) for document in posting.beside)
    return Posting(_move(posting.document, day), tuple(payments), tuple(beside))


def _move(document: SalesDocument, day: date) -> SalesDocument:
    if day == document.business_date:
        return document
    note = f"{document.private_note or document.marker}\nOriginal date: {document.business_date.isoformat()}"
    return replace(document, business_date=day, private_note=note[:NOTE_LENGTH])


def difference(booked: BookedDocument, wanted: SalesDocument) -> Message | None:
    """What the books booked otherwise than the till took; None where total and tax are the same."""
    if (booked.total, booked.tax) == (wanted.total, wanted.tax):
        return None
    return message(
        "QuickBooks booked {total} with {tax} tax, the till took {till_total} with {till_tax} tax",
        total=Amount.of(booked.total),
        tax=Amount.of(booked.tax),
        till_total=Amount.of(wanted.total),
        till_tax=Amount.of(wanted.tax),
    )


DESCRIPTION_LENGTH = 4000
GIFT_CARDS = "Gift cards redeemed"
MOVE = 12  # a plateau of equal tax is 11 cents wide at 9 %: a remainder must be able to reach its edge
DEPOSITS = "Deposit settled"
_ITEMS: Mapping[str, Callable[[References], str]] = {
    GIFT_CARDS: get_gift_card_item,
    DEPOSITS: get_order_deposit_item,
    money_documents.CLEARING: get_clearing_item,
}


def to_body(
    sale: Sale, references: References, settings: OrderSettings, *, sign: int, extras: Mapping[str, int]
) -> tuple[tuple[DocumentLine, ...], tuple[DocumentTax, ...]]:
    """The lines and taxes, in the document's sign; `sign` is -1 for returns, whose amounts are positive in the books.

    `extras` are lines without VAT beside the goods, in cents and the till's sign: Dutch cash rounding, gift cards
    redeemed, deposits on orders that are settled, and money in separate documents. MappingError if something is not
    mapped or does not add up.
    """
    totals, whole = _read(sale, settings, sign)
    flat = [part for line in whole for part in sale_lines.split_line(line, references.line_amounts)]
    # Lines whose unit price is short are moved last.
    wanted = [
        WantedTotals(each.vat, each.net_cents, is_rigid(each.net_cents, each.line.quantity), each.fixed)
        for each in flat
    ]
    model, cap = to_model(references, settings), settings.rounding_cap_cents
    if model is RoundingModel.SUM:
        # Books that tax the sum need more net than the cap where the till rounds the VAT by line.
        cap = max(cap, find_reach(find_drift(totals, [each.vat for each in wanted])))
    move = MOVE if any(each.fixed for each in wanted) else DEFAULT_LIMITS.move
    solution = solve(totals, wanted, limits=SolverLimits(move, cap, model))
    codes = {
        each.key: get_untaxed(references, shifted=sale.vat_method == sale_lines.SHIFTED)
        if sale_lines.is_without_vat(sale)
        else get_tax_code(references, each.code, each.percentage)
        for each in totals
    }
    lines: list[DocumentLine] = []
    for line, net in zip(flat, solution.nets, strict=True):
        if net or not line.remainder:
            lines += _to_lines(line, net, references, codes[line.vat])
    untaxed = {"Tax rounding": solution.untaxed} | {name: sign * cents for name, cents in extras.items()}
    for vat, cents in solution.rounding:
        lines.append(to_line(references, cents, get_rounding_item(references), codes[vat], "Tax rounding"))
    for name, cents in untaxed.items():
        if cents:
            item = _ITEMS.get(name, get_rounding_item)(references)
            lines.append(to_line(references, cents, item, get_untaxed(references), name))
    return tuple(lines), to_taxes(references, codes, solution.booked, sum(untaxed.values()))


def to_model(references: References, settings: OrderSettings) -> RoundingModel:
    """How the books round the tax: as was seen of them, else as the settings say."""
    return RoundingModel.SUM if references.taxes_sums else RoundingModel(settings.rounding_model)


def _read(sale: Sale, settings: OrderSettings, sign: int) -> tuple[list[VatAmount], list[sale_lines.FlatLine]]:
    """Totals and lines in the document's sign: a refund's amounts are positive in the books."""
    totals = sale_lines.read_totals(sale)
    flat = sale_lines.flatten(sale, totals, tolerance_cents=settings.rounding_cap_cents)
    used = {line.vat for line in flat}
    stated = [total for total in totals if total.net_cents or total.vat_cents or total.key in used]
    stated = [replace(each, net_cents=sign * each.net_cents, vat_cents=sign * each.vat_cents) for each in stated]
    lines = []
    for each in flat:
        quantity = to_quantity(-each.line.quantity if sign < 0 else each.line.quantity)  # zero keeps no sign
        lines.append(replace(each, net_cents=sign * each.net_cents, line=replace(each.line, quantity=quantity)))
    return stated, lines


def _to_lines(
    flat: sale_lines.FlatLine, net_cents: int, references: References, code: TaxCode
) -> Iterator[DocumentLine]:
    """The line, and a line of pieces without an amount if only the pieces belong to an item that keeps stock."""
    price = find_unit_price(net_cents, flat.line.quantity)
    texts = [flat.line.text, *flat.notes]
    line = DocumentLine(
        net=to_euros(net_cents),
        item_id=get_item(references, flat.line),
        tax_code_id=code.id,
        description=" | ".join(text for text in texts if text)[:DESCRIPTION_LENGTH] or None,
        quantity=None if price is None else flat.line.quantity,
        unit_price=price,
        class_id=references.class_id,
    )
    yield line
    stocked = references.stock_items.get(flat.line.article)
    if stocked and stocked != line.item_id and flat.line.quantity:
        yield replace(line, net=to_euros(0), item_id=stocked, quantity=flat.line.quantity, unit_price=to_euros(0))


def to_taxes(
    references: References, codes: Mapping[VatKey, TaxCode], booked: Iterable[VatAmount], untaxed_cents: int
) -> tuple[DocumentTax, ...]:
    """The taxes of a document, one row per tax code of the books; several VAT codes of the till may share one."""
    taxes = [to_tax(codes[each.key], each.net_cents, each.vat_cents, each.percentage) for each in booked]
    if untaxed_cents:
        taxes.append(to_tax(get_untaxed(references), untaxed_cents))
    merged: dict[str, DocumentTax] = {}
    for tax in taxes:
        known = merged.get(tax.tax_code_id)
        merged[tax.tax_code_id] = replace(known, net=known.net + tax.net, tax=known.tax + tax.tax) if known else tax
    return tuple(merged.values())

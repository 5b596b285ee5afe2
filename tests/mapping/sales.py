"""Helpers for sales in tests: a small till, and the books' arithmetic to check documents with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from mapping import orders
from mapping.records import Payment, Sale, SaleKind, SaleLine, SalesDocument, TaxCode, VatAmount
from mapping.references import References
from mapping.sections import OrderSettings

RATES = {1: Decimal(9), 2: Decimal(21), 3: Decimal(0)}
TAX_CODES = {code: TaxCode(f"T{code}", f"{rate} %", active=True, percentage=rate) for code, rate in RATES.items()}
SHIFTED = TaxCode("T9", "reverse charge", active=True, percentage=Decimal(0))
REFERENCES = References(
    customer_id="58",
    items={number: f"I{number}" for number in range(1, 20)},
    tax_codes={code.percentage: code for code in TAX_CODES.values() if code.percentage is not None},
    untaxed=TAX_CODES[3],
    shifted=SHIFTED,
    rounding_item_id="I-rounding",
    clearing_item_id="I-clearing",
    payment_methods={"CASH": "P1", "PIN": "P2"},
    deposit_accounts={"PIN": "A-bank"},
    default_deposit_account_id="A-drawer",
)


def round_half_up(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def line(article: int, gross: int, *, code: int = 2, quantity: str = "1", text: str = "") -> SaleLine:
    """A line of an inclusive till that rounds its net, as read from a receipt."""
    net = gross - round_half_up(Decimal(gross) * RATES[code] / (100 + RATES[code]))
    return SaleLine(
        id=f"L{article}-{gross}",
        article=article,
        text=text or f"Article {article}",
        quantity=Decimal(quantity),
        total_incl_cents=gross,
        total_excl_cents=net,
        vat_code=code,
        vat_percentage=RATES[code],
    )


def vat_of(lines: Iterable[SaleLine]) -> tuple[VatAmount, ...]:
    """The totals of a till that computes the VAT once per code."""
    gross: dict[int, int] = {}
    for one in lines:
        gross[one.vat_code or 0] = gross.get(one.vat_code or 0, 0) + (one.total_incl_cents or 0)
    amounts = []
    for code, total in sorted(gross.items()):
        vat = round_half_up(Decimal(total) * RATES[code] / (100 + RATES[code]))
        amounts.append(VatAmount(code, RATES[code], total - vat, vat))
    return tuple(amounts)


def receipt(*lines: SaleLine, paid: dict[str, int] | None = None, counted: Iterable[SaleLine] | None = None) -> Sale:
    """A paid receipt; `counted` are the lines in the till's totals if they are not the top ones."""
    vat = vat_of(lines if counted is None else counted)
    total = sum(amount.net_cents + amount.vat_cents for amount in vat)
    tenders = {"PIN": total} if paid is None else paid
    return Sale(
        kind=SaleKind.RECEIPT,
        id="0b5f2c1e-7d3a-4a52-9c55-0f1d2e3a4b5c",
        number="1.2.2026.345",
        type="RECEIPT-TYPE-RECEIPT",
        state="RECEIPT-STATE-PAID",
        branch=1,
        business_date=date(2026, 11, 20),
        total_incl_cents=total,
        total_excl_cents=sum(amount.net_cents for amount in vat),
        vat_method="VAT-METHOD-INCLUSIVE",
        vat=vat,
        lines=tuple(lines),
        payments=tuple(Payment(method, cents) for method, cents in tenders.items()),
        paid_cents=sum(tenders.values()),
    )


def ring_up(cart: list[tuple[int, int]], *, per_line: bool) -> Sale:
    """A receipt of a till that rounds the VAT of each line, or that of each code."""
    sale = receipt(*(line(number % 19 + 1, gross, code=code) for number, (code, gross) in enumerate(cart)))
    if not per_line:
        return sale
    nets: dict[int, int] = {}
    for each in sale.lines:
        nets[each.vat_code or 0] = nets.get(each.vat_code or 0, 0) + (each.total_excl_cents or 0)
    vat = tuple(
        replace(each, net_cents=nets[each.code], vat_cents=each.net_cents + each.vat_cents - nets[each.code])
        for each in sale.vat
    )
    return replace(sale, vat=vat, total_excl_cents=sum(nets.values()))


def with_two_codes(cart: list[int], other: list[int]) -> Sale:
    """A receipt with two VAT codes of 9 %: the till rounds the VAT of each."""
    first, second = (ring_up([(1, gross) for gross in some], per_line=False) for some in (cart, other))
    lines = (*first.lines, *(replace(each, vat_code=4) for each in second.lines))
    total, net = (
        sum(getattr(each, name) for each in (first, second)) for name in ("total_incl_cents", "total_excl_cents")
    )
    return replace(
        first,
        lines=lines,
        vat=(*first.vat, *(replace(each, code=4) for each in second.vat)),
        total_incl_cents=total,
        total_excl_cents=net,
        payments=(Payment("PIN", total),),
        paid_cents=total,
    )


def invoice(*lines: SaleLine, paid: dict[str, int] | None = None, state: str = "OUTSTANDING") -> Sale:
    """The same lines on account."""
    return replace(
        receipt(*lines, paid=paid or {}),
        kind=SaleKind.INVOICE,
        type="INVOICE-TYPE-INVOICE",
        state=f"INVOICE-STATE-{state}",
        number="2026.77",
    )


def total_in_books(document: SalesDocument) -> Decimal:
    """The total the books would compute: every line taxed and rounded separately."""
    rates = {tax.tax_code_id: tax.percentage for tax in document.taxes}
    total = Decimal(0)
    for one in document.lines:
        tax = (one.net * rates[one.tax_code_id] / 100).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
        total += one.net + tax
    return total


def to_document(sale: Sale, references: References, settings: OrderSettings) -> SalesDocument:
    """The document of a sale, without its payments and the documents beside it."""
    return orders.to_posting(sale, references, settings).document

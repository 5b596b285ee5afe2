"""For any mix of tenders that adds up: the posting has the same sum per tender, and nothing in it is below zero."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import money_documents, orders, references
from mapping.errors import MappingError
from mapping.orders import Posting
from mapping.records import RETURNS, DocumentKind, Payment, Sale, Tender, sum_by_tender
from mapping.sections import OrderSettings
from tests.mapping.sales import REFERENCES, invoice, line, receipt

METHODS = ("CASH", "PIN", "CARD")
CARDS = replace(
    REFERENCES,
    payment_methods={method: method for method in METHODS},
    special_items={"gift_card": "I-card"},
    gift_card_tenders=("CARD",),
)
PLAIN = replace(CARDS, gift_card_tenders=())
DAY = date(2026, 11, 20)
AMOUNTS = st.integers(-5000, 5000)
PAYMENTS = st.lists(st.tuples(st.sampled_from(METHODS), AMOUNTS, st.integers(0, 2)), max_size=5)


def rung_up(total: int, rows: list[tuple[str, int, int]], *, closing: str) -> Sale:
    """A paid receipt of this total, its payments on its day or later; the last one makes them add up."""
    payments = [Payment(method, cents, str(number), business_date=DAY + timedelta(days=later))
                for number, (method, cents, later) in enumerate(rows)]  # fmt: skip
    rest = total - sum(cents for _, cents, _ in rows)
    last = Payment(closing, rest, "last", business_date=DAY)
    sale = receipt(line(3, total))
    return replace(sale, payments=(*payments, last), paid_cents=total)


def money_of(posting: Posting) -> dict[Tender, int]:
    """Signed cents per tender, anywhere in the posting."""
    signs = {DocumentKind.SALES_RECEIPT: 1, DocumentKind.REFUND_RECEIPT: -1}
    rows = [(each.payment_method_id, each.business_date, each.total) for each in posting.payments]
    rows += [(each.payment_method_id, each.business_date, signs[each.kind] * each.total)
             for each in (posting.document, *posting.beside) if each.kind in signs]  # fmt: skip
    return sum_by_tender(
        [Payment(method or "", int(total * 100), business_date=day) for method, day, total in rows], DAY
    )


def beside_of(posting: Posting) -> list[Decimal]:
    """The amounts in payments and in documents of money."""
    return [each.total for each in posting.payments] + [each.total for each in posting.beside]


def turnover_of(posting: Posting) -> tuple[Decimal, Decimal]:
    """Goods without VAT and the VAT, signed; money that is only moved between documents sums to zero."""
    sign = -1 if posting.document.kind in RETURNS else 1
    kept = [each for each in posting.document.lines if each.item_id not in ("I-clearing", "I-card")]
    net = sum((each.net for each in kept), Decimal(0))
    return sign * net, sign * sum((each.tax for each in posting.document.taxes), Decimal(0))


def clearing_of(posting: Posting) -> Decimal:
    """The sum on the clearing item over all documents."""
    documents = (posting.document, *posting.beside)
    return sum(
        ((-1 if each.kind in RETURNS else 1) * row.net
         for each in documents for row in each.lines if row.item_id == "I-clearing"),
        Decimal(0),
    )  # fmt: skip


@pytest.mark.parametrize("references", [PLAIN, CARDS], ids=["gift card as money", "gift card as a debt"])
@pytest.mark.parametrize("split", ["invoice", "largest"])
@given(total=st.integers(-9000, 9000), rows=PAYMENTS, closing=st.sampled_from(METHODS))
def test_every_tender_of_a_paid_receipt_is_the_tills(
    references: references.References, split: str, total: int, rows: list[tuple[str, int, int]], closing: str
) -> None:
    sale = rung_up(total, rows, closing=closing)
    posting = orders.to_posting(sale, references, OrderSettings.model_validate({"split": split}))
    paid = [payment for payment in sale.payments if payment.method not in references.gift_card_tenders]
    assert money_of(posting) == sum_by_tender(paid, DAY)
    assert posting.document.total >= 0
    assert all(total > 0 for total in beside_of(posting))
    stated = sale.vat[0]
    assert turnover_of(posting) == (Decimal(stated.net_cents) / 100, Decimal(stated.vat_cents) / 100)
    assert clearing_of(posting) == 0


@given(rows=PAYMENTS, total=st.integers(1, 9000), negative=st.booleans())
def test_every_tender_of_a_sale_on_account_is_the_tills(
    rows: list[tuple[str, int, int]], total: int, negative: bool
) -> None:
    payments = tuple(Payment(method, cents, str(number), business_date=DAY + timedelta(days=later))
                     for number, (method, cents, later) in enumerate(rows))  # fmt: skip
    sale = replace(invoice(line(3, -total if negative else total), state="PARTLY-PAID"), payments=payments)
    if negative and total + sum(cents for _, cents, _ in rows) < 0:
        with pytest.raises(MappingError, match="below zero"):
            orders.to_posting(sale, PLAIN, OrderSettings())
        return
    posting = orders.to_posting(sale, PLAIN, OrderSettings())
    assert money_of(posting) == sum_by_tender(payments, DAY)
    open_cents = posting.document.total * 100 - sum(each.total * 100 for each in posting.payments)
    sign = -1 if negative else 1
    assert open_cents == total - sign * sum(cents for _, cents, _ in rows)
    assert all(total > 0 for total in beside_of(posting))


def test_a_paid_receipt_whose_tenders_are_not_its_total_is_refused() -> None:
    handled = replace(receipt(line(3, 1210), paid={"CASH": 100, "PIN": 1000}), state="RECEIPT-STATE-HANDLED")
    with pytest.raises(MappingError, match=r"1\.00 by CASH, 10\.00 by PIN was paid for 12\.10"):
        orders.to_posting(handled, REFERENCES, OrderSettings(split="largest"))


def test_what_went_back_before_the_rest_came_is_change_too() -> None:
    rows = [Payment("CASH", -500), Payment("CASH", 2500), Payment("PIN", 100)]
    assert [(each.method, each.amount_cents) for each in money_documents.net_payments(rows, DAY)] == [
        ("CASH", 2000),
        ("PIN", 100),
    ]

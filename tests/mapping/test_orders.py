"""Sales become documents that add up to the till's total, or are refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping import orders, sale_lines
from mapping.errors import MappingError
from mapping.orders import Posting
from mapping.records import DocumentKind, Payment, SaleLine, VatAmount
from mapping.sections import OrderSettings
from tests.mapping.sales import (
    RATES,
    REFERENCES,
    SHIFTED,
    invoice,
    line,
    receipt,
    ring_up,
    round_half_up,
    to_document,
    total_in_books,
)

DEFAULTS = OrderSettings()

LINES = st.builds(
    line,
    st.integers(min_value=1, max_value=19),
    st.one_of(st.integers(min_value=-900, max_value=4000), st.sampled_from([1, 2, 3, 5, 159, 295, 1490])),
    code=st.sampled_from([1, 2, 3]),
    quantity=st.sampled_from(["1", "2", "3", "7", "-1", "0.345"]),
)


@settings(max_examples=300)
@given(st.lists(LINES, min_size=1, max_size=25), st.booleans())
def test_any_receipt_is_booked_as_what_the_till_took(lines: list[SaleLine], refund: bool) -> None:
    mirrored = [
        replace(one, total_incl_cents=-(one.total_incl_cents or 0), total_excl_cents=-(one.total_excl_cents or 0))
        for one in lines
    ]
    sale = receipt(*(mirrored if refund else lines))
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert document.total == abs(Decimal(sale.total_incl_cents)) / 100
    assert total_in_books(document) == document.total
    assert sum(one.net for one in document.lines) + sum(tax.tax for tax in document.taxes) == document.total
    for stated in sale.vat:
        booked = next(tax for tax in document.taxes if tax.tax_code_id == f"T{stated.code}")
        sign = -1 if sale.total_incl_cents < 0 else 1
        if stated.code != 3:
            assert booked.net * 100 == sign * stated.net_cents
            assert booked.tax * 100 == sign * stated.vat_cents
    for one in document.lines:
        assert one.unit_price is None or round_half_up(one.unit_price * (one.quantity or 0) * 100) == one.net * 100


def test_a_coffee_paid_by_card_is_a_sales_receipt() -> None:
    document = to_document(receipt(line(7, 295, code=1, text="Coffee")), REFERENCES, DEFAULTS)
    assert document.kind is DocumentKind.SALES_RECEIPT
    assert document.document_number == "R1.2.2026.345"
    assert document.marker == (
        "MplusKASSA receipt 1.2.2026.345 [kassabridge:receipt:0b5f2c1e-7d3a-4a52-9c55-0f1d2e3a4b5c]"
    )
    assert document.private_note == document.marker
    assert (document.payment_method_id, document.deposit_account_id) == ("P2", "A-bank")
    (booked,) = document.lines
    assert (booked.item_id, booked.tax_code_id, booked.description) == ("I7", "T1", "Coffee")
    assert (booked.net, booked.quantity, booked.unit_price) == (Decimal("2.71"), Decimal(1), Decimal("2.71"))
    assert document.total == Decimal("2.95")


def test_a_credit_receipt_is_a_refund_with_positive_amounts() -> None:
    sale = replace(receipt(line(7, -295, quantity="-1"), paid={"CASH": -295}), type="RECEIPT-TYPE-CREDIT-RECEIPT")
    document = to_document(sale, replace(REFERENCES, original_id="77"), DEFAULTS)
    assert document.kind is DocumentKind.REFUND_RECEIPT
    assert document.total == Decimal("2.95")
    assert [(one.net, one.quantity) for one in document.lines] == [(Decimal("2.44"), Decimal(1))]
    assert (document.payment_method_id, document.deposit_account_id) == ("P1", "A-drawer")
    assert document.linked_invoice_id == "77"


def test_a_refund_needs_the_account_the_money_leaves() -> None:
    sale = receipt(line(7, -295, quantity="-1"), paid={"CASH": -295})
    with pytest.raises(MappingError, match="account the money leaves"):
        to_document(sale, replace(REFERENCES, default_deposit_account_id=None), DEFAULTS)


def test_an_invoice_on_account_is_an_invoice_without_payments() -> None:
    sale = replace(invoice(line(3, 1210)), due_date=date(2026, 12, 4))
    posting = orders.to_posting(sale, replace(REFERENCES, term_id="T14"), DEFAULTS)
    assert posting.document.kind is DocumentKind.INVOICE
    assert posting.document.document_number == "F2026.77"
    assert (posting.document.due_date, posting.document.term_id) == (date(2026, 12, 4), "T14")
    assert posting.payments == ()


def test_a_part_paid_invoice_has_its_payment() -> None:
    posting = orders.to_posting(invoice(line(3, 1210), paid={"PIN": 500}, state="PARTLY-PAID"), REFERENCES, DEFAULTS)
    assert [payment.total for payment in posting.payments] == [Decimal("5.00")]


def test_a_credit_invoice_on_account_is_a_credit_memo_a_paid_one_a_refund() -> None:
    on_account = invoice(line(3, -1210, quantity="-1"), state="OUTSTANDING-CREDIT")
    assert to_document(on_account, REFERENCES, DEFAULTS).kind is DocumentKind.CREDIT_MEMO
    paid_back = invoice(line(3, -1210, quantity="-1"), paid={"PIN": -1210}, state="PAID")
    assert to_document(paid_back, REFERENCES, DEFAULTS).kind is DocumentKind.REFUND_RECEIPT


def test_two_tenders_become_an_invoice_with_a_payment_each() -> None:
    posting = orders.to_posting(receipt(line(3, 1210), paid={"CASH": 210, "PIN": 1000}), REFERENCES, DEFAULTS)
    assert posting.document.kind is DocumentKind.INVOICE
    assert [(payment.payment_method_id, payment.total) for payment in posting.payments] == [
        ("P1", Decimal("2.10")),
        ("P2", Decimal("10.00")),
    ]
    assert [payment.payment_reference for payment in posting.payments] == ["R1.2.2026.345", "R1.2.2026.345"]
    assert "Paid: CASH 2.10, PIN 10.00" in (posting.document.private_note or "")


def test_two_tenders_may_become_a_receipt_each() -> None:
    sale = receipt(line(3, 1210), paid={"CASH": 210, "PIN": 1000})
    posting = orders.to_posting(sale, REFERENCES, OrderSettings(split="largest"))
    assert posting.document.kind is DocumentKind.SALES_RECEIPT
    assert posting.document.payment_method_id == "P2"
    assert "Paid: CASH 2.10, PIN 10.00" in (posting.document.private_note or "")
    assert posting.payments == ()
    assert money_of(posting) == {"P1": Decimal("2.10"), "P2": Decimal("10.00")}


def test_change_given_in_another_tender_is_a_refund_beside_the_receipt() -> None:
    posting = orders.to_posting(receipt(line(3, 1210), paid={"PIN": 2000, "CASH": -790}), REFERENCES, DEFAULTS)
    assert (posting.document.kind, posting.document.total) == (DocumentKind.SALES_RECEIPT, Decimal("20.00"))
    assert money_of(posting) == {"P1": Decimal("-7.90"), "P2": Decimal("20.00")}
    assert [each.kind for each in posting.beside] == [DocumentKind.REFUND_RECEIPT]


def money_of(posting: Posting) -> dict[str | None, Decimal]:
    """Signed money by payment method, anywhere in the posting."""
    signs = {DocumentKind.SALES_RECEIPT: 1, DocumentKind.REFUND_RECEIPT: -1}
    paid = [(each.payment_method_id, each.total) for each in posting.payments]
    held = [(each.payment_method_id, signs[each.kind] * each.total)
            for each in (posting.document, *posting.beside) if each.kind in signs]  # fmt: skip
    found: dict[str | None, Decimal] = {}
    for method, amount in (*paid, *held):
        found[method] = found.get(method, Decimal(0)) + amount
    return {method: amount for method, amount in found.items() if amount}


def test_change_in_the_same_tender_is_one_tender() -> None:
    sale = replace(receipt(line(3, 1210)), payments=(Payment("CASH", 2000), Payment("CASH", -790)))
    posting = orders.to_posting(sale, REFERENCES, DEFAULTS)
    assert posting.document.kind is DocumentKind.SALES_RECEIPT
    assert posting.document.payment_method_id == "P1"


def test_a_tender_left_out_by_the_settings_is_booked_without_a_method() -> None:
    document = to_document(receipt(line(3, 1210), paid={"VOUCHER": 1210}), REFERENCES, DEFAULTS)
    assert (document.payment_method_id, document.deposit_account_id) == (None, "A-drawer")


def test_a_missing_article_is_refused_by_number_unless_there_is_a_fallback() -> None:
    sale = receipt(line(404, 1210, text="Mystery box"))
    with pytest.raises(MappingError, match=r"404.*Mystery box") as refusal:
        to_document(sale, REFERENCES, DEFAULTS)
    assert '"404"' in (refusal.value.fix or "")
    document = to_document(sale, replace(REFERENCES, fallback_item_id="I-any"), DEFAULTS)
    assert document.lines[0].item_id == "I-any"


def test_dutch_cash_rounding_is_a_named_line_without_vat() -> None:
    sale = receipt(line(3, 1212), paid={"CASH": 1210})
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert document.total == Decimal("12.10")
    rounding = document.lines[-1]
    assert (rounding.net, rounding.tax_code_id, rounding.description) == (Decimal("-0.02"), "T3", "Cash rounding")
    assert total_in_books(document) == document.total
    assert "Cash rounding: -0.02" in (document.private_note or "")


def test_cash_rounding_left_out_keeps_the_tills_total_on_the_document() -> None:
    sale = receipt(line(3, 1212), paid={"CASH": 1210})
    document = to_document(sale, REFERENCES, OrderSettings(cash_rounding="ignore"))
    assert document.total == Decimal("12.12")
    split = replace(sale, payments=(Payment("CASH", 210), Payment("PIN", 1000)))
    posting = orders.to_posting(split, REFERENCES, OrderSettings(cash_rounding="ignore"))
    assert sum(payment.total for payment in posting.payments) == Decimal("12.12")


def test_cash_rounding_may_park() -> None:
    with pytest.raises(MappingError, match=r"-0\.02"):
        to_document(receipt(line(3, 1212), paid={"CASH": 1210}), REFERENCES, OrderSettings(cash_rounding="park"))


def test_payments_off_by_more_than_rounding_are_refused_with_both_amounts() -> None:
    with pytest.raises(MappingError, match=r"10\.00.*12\.10"):
        to_document(receipt(line(3, 1210), paid={"CASH": 1000}), REFERENCES, DEFAULTS)


def test_lines_that_miss_the_vat_totals_are_refused_with_both_amounts() -> None:
    sale = receipt(line(3, 1210), counted=[line(3, 1815)])
    with pytest.raises(MappingError, match=r"10\.00.*15\.00") as refusal:
        to_document(sale, REFERENCES, DEFAULTS)
    assert refusal.value.record == "receipt 1.2.2026.345"


def test_vat_totals_that_miss_the_total_are_refused_with_both_amounts() -> None:
    sale = replace(receipt(line(3, 1210)), total_incl_cents=1200)
    with pytest.raises(MappingError, match=r"12\.10.*12\.00"):
        to_document(sale, REFERENCES, DEFAULTS)


def test_a_vat_code_without_a_tax_code_is_refused_by_number() -> None:
    with pytest.raises(MappingError, match=r"VAT code 2 \(21 %\)"):
        to_document(receipt(line(3, 1210)), replace(REFERENCES, tax_codes={}), DEFAULTS)


def test_a_tax_code_of_another_rate_is_refused_with_both_rates() -> None:
    wrong = replace(REFERENCES, tax_codes={Decimal(21): REFERENCES.tax_codes[Decimal(9)]})
    with pytest.raises(MappingError, match=r"21 % at the till.*9 %"):
        to_document(receipt(line(3, 1210)), wrong, DEFAULTS)


def test_a_reverse_charged_invoice_has_the_reverse_charge_code_and_no_tax() -> None:
    one = replace(line(3, 10000), total_incl_cents=10000, total_excl_cents=10000)
    sale = replace(
        invoice(one),
        vat_method="VAT-METHOD-SHIFTED",
        vat=(VatAmount(2, Decimal(21), 10000, 0),),
        total_incl_cents=10000,
    )
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert document.total == Decimal("100.00")
    assert [one.tax_code_id for one in document.lines] == [SHIFTED.id]
    with pytest.raises(MappingError, match="reverse-charged"):
        to_document(sale, replace(REFERENCES, shifted=None), DEFAULTS)


def test_an_amount_of_no_pieces_has_neither_quantity_nor_price() -> None:
    (booked,) = to_document(receipt(line(3, 1000, code=3, quantity="0", text="Socks")), REFERENCES, DEFAULTS).lines
    assert (booked.quantity, booked.unit_price, booked.description) == (None, None, "Socks")


WHOLE = st.builds(
    line,
    st.integers(min_value=1, max_value=19),
    st.integers(min_value=100, max_value=9000),
    code=st.sampled_from([1, 2, 3]),
    quantity=st.integers(min_value=1, max_value=24).map(str),
)


@settings(max_examples=150)
@given(st.lists(WHOLE, min_size=1, max_size=12))
def test_prices_without_vat_are_booked_as_the_till_taxes_them(lines: list[SaleLine]) -> None:
    stated = []
    for code in sorted({one.vat_code or 0 for one in lines}):
        net = sum(one.total_excl_cents or 0 for one in lines if one.vat_code == code)
        stated.append(VatAmount(code, RATES[code], net, round_half_up(net * RATES[code] / 100)))
    total = sum(amount.net_cents + amount.vat_cents for amount in stated)
    sale = replace(receipt(*lines), vat_method="VAT-METHOD-EXCLUSIVE", vat=tuple(stated), total_incl_cents=total,
                   payments=(Payment("PIN", total),))  # fmt: skip
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert total_in_books(document) == document.total == Decimal(total) / 100


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(1, 3000)), min_size=1, max_size=6),
    st.integers(1, 25),
    st.booleans(),
)
def test_books_that_tax_the_sum_take_a_sale_of_many_lines_with_its_vat(
    cart: list[tuple[int, int]], times: int, per_line: bool
) -> None:
    sale = ring_up(cart * times, per_line=per_line)
    document = to_document(sale, replace(REFERENCES, taxes_sums=True), DEFAULTS)
    assert document.total * 100 == sale.total_incl_cents
    for tax in document.taxes:
        net = sum(each.net for each in document.lines if each.tax_code_id == tax.tax_code_id)
        assert tax.tax * 100 == round_half_up(net * tax.percentage)
    booked = {tax.percentage: tax.tax * 100 for tax in document.taxes if tax.tax}
    assert booked == {each.percentage: each.vat_cents for each in sale.vat if each.vat_cents}


def test_vat_that_is_not_its_rate_is_refused_by_books_that_tax_the_sum() -> None:
    sale = ring_up([(2, 100_00)], per_line=False)
    (vat,) = sale.vat
    vat = replace(vat, net_cents=vat.net_cents - 20, vat_cents=vat.vat_cents + 20)
    wrong = replace(sale, vat=(vat,), total_excl_cents=vat.net_cents)
    with pytest.raises(MappingError):
        to_document(wrong, replace(REFERENCES, taxes_sums=True), DEFAULTS)


def test_gift_cards_and_tips_go_to_their_own_items() -> None:
    card = replace(line(5, 2500, code=3), price_type="PRICE-TYPE-GIFT-CARD")
    references = replace(REFERENCES, special_items={"gift_card": "I-card", "tip": "I-tip"}, tip_articles=(9,))
    document = to_document(receipt(card, line(9, 200, code=3)), references, DEFAULTS)
    assert [one.item_id for one in document.lines] == ["I-card", "I-tip"]
    sale = receipt(card, line(9, 200, code=3), line(3, 1210))
    assert sale_lines.needed_articles(sale, special_items=references.special_items, tip_articles=(9,)) == {3}
    assert sale_lines.needed_articles(sale) == {3, 5, 9}


def test_an_amount_without_an_article_needs_the_fallback_item() -> None:
    sale = receipt(line(0, 1210, text="Manual amount"))
    with pytest.raises(MappingError, match="Manual amount") as refusal:
        to_document(sale, REFERENCES, DEFAULTS)
    assert "fallback" in (refusal.value.fix or "")


def test_extras_of_a_line_count_when_the_parent_leaves_them_out() -> None:
    extra = line(8, 50, code=1, text="Oat milk")
    sale = receipt(replace(line(7, 295, code=1), sublines=(extra,)), counted=[line(7, 295, code=1), extra])
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert [one.item_id for one in document.lines] == ["I7", "I8"]
    assert document.total == Decimal("3.45")


def test_extras_of_a_line_do_not_count_twice_when_the_parent_includes_them() -> None:
    extra = line(8, 50, code=1, text="Oat milk")
    sale = receipt(replace(line(7, 327, code=1), sublines=(extra,)), counted=[line(7, 327, code=1)])
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert [one.item_id for one in document.lines] == ["I7"]
    assert document.total == Decimal("3.27")


def test_components_with_different_vat_replace_their_parent() -> None:
    parts = (line(1, 545, code=1), line(2, 363, code=2))
    menu = SaleLine("L", 10, "Menu", Decimal(1), total_incl_cents=908, total_excl_cents=800, sublines=parts)
    sale = receipt(menu, counted=parts)
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert [one.item_id for one in document.lines] == ["I1", "I2"]
    assert sale_lines.needed_articles(sale) == {1, 2}


def test_text_lines_and_guest_notes_become_part_of_the_description() -> None:
    note = SaleLine("W", 12, "no sugar", Decimal(1), total_incl_cents=0, vat_code=1)
    text = SaleLine("T", 0, "for table 5", Decimal(1))
    header = SaleLine("H", 0, "Subtotal", Decimal(1), total_incl_cents=295, kind="LINE-KIND-SUBTOTAL")
    coffee = replace(line(7, 295, code=1, text="Coffee"), sublines=(note,))
    sale = receipt(coffee, text, header, counted=[coffee])
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert [one.description for one in document.lines] == ["Coffee | no sugar | for table 5"]
    assert sale_lines.needed_articles(sale) == {7}


def test_an_article_given_away_stays_on_the_document_for_the_stock() -> None:
    document = to_document(receipt(line(3, 1210), line(4, 0)), REFERENCES, DEFAULTS)
    assert [(one.item_id, one.net, one.quantity) for one in document.lines][1] == ("I4", Decimal("0.00"), Decimal(1))


def test_a_rounding_line_needs_an_item() -> None:
    with pytest.raises(MappingError, match="no item for the rounding line"):
        to_document(receipt(line(3, 3)), replace(REFERENCES, rounding_item_id=None), DEFAULTS)


def test_a_posting_moved_out_of_closed_books_notes_its_original_day() -> None:
    posting = orders.to_posting(receipt(line(3, 1210), paid={"CASH": 210, "PIN": 1000}), REFERENCES, DEFAULTS)
    moved = orders.move_to(posting, date(2026, 12, 1))
    assert moved.document.business_date == date(2026, 12, 1)
    assert "Original date: 2026-11-20" in (moved.document.private_note or "")
    assert {payment.business_date for payment in moved.payments} == {date(2026, 12, 1)}


def test_the_stated_vat_is_kept_in_the_model_per_code() -> None:
    sale = receipt(line(3, 3))
    document = to_document(sale, REFERENCES, OrderSettings(rounding_model="code"))
    assert [one.net for one in document.lines] == [Decimal("0.02")]
    assert [(tax.net, tax.tax) for tax in document.taxes] == [(Decimal("0.02"), Decimal("0.01"))]


def test_a_tills_own_rounding_line_is_booked_on_the_rounding_item() -> None:
    sale = receipt(line(3, 1212), line(0, -2, code=3, text="Afronding"), paid={"CASH": 1210})
    document = to_document(sale, REFERENCES, DEFAULTS)
    assert document.total == Decimal("12.10")
    assert [(one.item_id, one.net) for one in document.lines if one.item_id == "I-rounding"] == [
        ("I-rounding", Decimal("-0.02"))
    ]


def test_an_amount_without_an_article_is_refused_without_a_fallback() -> None:
    with pytest.raises(MappingError, match="no article"):
        to_document(receipt(line(3, 1212), line(0, 300, text="Diversen")), REFERENCES, DEFAULTS)

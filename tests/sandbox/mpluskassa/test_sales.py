"""Receipts: whatever is sold, discounted or given back, the amounts add up to the cent."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.mpluskassa import lines
from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import EXCLUSIVE, INCLUSIVE, ItemSold
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.sandbox.mpluskassa.conftest import NO_TEXTS, Clock, Sandbox, stocked

METHODS = (INCLUSIVE, EXCLUSIVE, "VAT-METHOD-SHIFTED", "VAT-METHOD-NONE")
quantities = st.decimals("-9.999", "9.999", places=3).filter(bool)


@st.composite
def items(draw: st.DrawFn, preparations: bool = True) -> ItemSold:
    inner = draw(st.lists(items(preparations=False), max_size=2)) if preparations else []
    return ItemSold(
        article=draw(st.sampled_from([1001, 2001])),
        quantity=draw(quantities),
        price_cents=draw(st.none() | st.integers(0, 99_999)),
        discount_percent=draw(st.sampled_from([Decimal(0), Decimal(10), Decimal("33.33"), Decimal(100)])),
        discount_cents=draw(st.integers(-50, 50)),
        preparations=tuple(inner),
    )


def new_simulation() -> Simulation:
    return stocked(Clock(datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM)))


def check_sums(document: dict[str, Any]) -> None:
    groups = document["vatGroupList"]["vatGroup"]
    rows = list(lines.walk_data(document["lineList"]["line"]))
    total, net = document["totalInclAmount"], document["totalExclAmount"]
    assert sum(group["exclAmount"] + group["vatAmount"] for group in groups) == total
    assert sum(group["exclAmount"] for group in groups) == net
    if document["vatMethod"] == INCLUSIVE:
        assert sum(row["totalInclAmount"] for row in rows) == total
    else:
        assert sum(row["totalExclAmount"] for row in rows) == net
    for group in groups:
        exact = Decimal(group["exclAmount"]) * group["vatPercentage"] / 10_000
        assert abs(exact - group["vatAmount"]) <= Decimal("0.61")


@settings(max_examples=60)
@given(sold=st.lists(items(), min_size=1, max_size=6), method=st.sampled_from(METHODS))
def test_lines_vat_groups_totals_and_payments_add_up(sold: list[ItemSold], method: str) -> None:
    receipt = new_simulation().sell(lines=sold, vat_method=method)
    check_sums(receipt)
    payments = receipt["paymentList"]["payment"]
    assert sum(payment["amount"] for payment in payments) == receipt["paidAmount"] == receipt["totalInclAmount"]
    assert receipt["state"] == "RECEIPT-STATE-PAID"


@settings(max_examples=40)
@given(sold=st.lists(items(), min_size=1, max_size=4), method=st.sampled_from(METHODS))
def test_a_full_refund_is_the_exact_opposite_and_stock_is_back(sold: list[ItemSold], method: str) -> None:
    simulation = new_simulation()
    receipt = simulation.sell(lines=sold, vat_method=method)
    credit = simulation.refund(receipt["receiptId"])
    check_sums(credit)
    assert credit["totalInclAmount"] == -receipt["totalInclAmount"]
    assert credit["totalExclAmount"] == -receipt["totalExclAmount"]
    assert credit["creditedReceiptId"] == receipt["receiptId"]
    assert simulation.till["stock"].find("1/1001") is None or simulation.till["stock"].get("1/1001")["physical"] == 0


@settings(max_examples=40)
@given(sold=st.lists(st.lists(items(), min_size=1, max_size=3), min_size=1, max_size=5))
def test_the_days_journal_is_the_sum_of_its_receipts(sold: list[list[ItemSold]]) -> None:
    from sandbox.mpluskassa import journals

    simulation = new_simulation()
    receipts = [simulation.sell(lines=basket) for basket in sold]
    day = {"day": 14, "mon": 3, "year": 2026}
    asked = {"fromFinancialDate": day, "throughFinancialDate": day, "branchNumbers": []}
    (journal,) = journals.list_journals(simulation.till, asked)
    total = sum(receipt["totalInclAmount"] for receipt in receipts)
    net = sum(receipt["totalExclAmount"] for receipt in receipts)
    turnover = journal["turnoverGroupList"]["turnoverGroup"]
    vat = journal["vatGroupList"]["vatGroup"]
    assert sum(group["inclAmount"] for group in turnover) == total
    assert sum(group["exclAmount"] for group in turnover) == net
    assert sum(group["exclAmount"] + group["vatAmount"] for group in vat) == total
    assert sum(payment["amount"] for payment in journal["paymentList"]["payment"]) == total


def read_one(service: Any, receipt: dict[str, Any]) -> Any:
    answer = service.getReceipt(receiptId=receipt["receiptId"])
    assert answer.result == "GET-RECEIPT-RESULT-OK"
    return answer.receipt


def test_a_sale_arrives_as_it_was_rung_up(till: Any, sandbox: Sandbox) -> None:
    sold = sandbox.simulation.sell(
        2,
        1,
        lines=[ItemSold(1001, Decimal("1.5"), discount_percent=Decimal(10)), ItemSold(2001)],
        payments=[Tender("PIN", 2000), Tender("CONTANT", 1944)],
        relation=501,
        employee=1,
        reference="kassabon",
        when=datetime(2026, 7, 1, 23, 30, tzinfo=AMSTERDAM),
    )
    receipt = read_one(till, sold)
    first, second = receipt.lineList.line
    assert (first.data.quantity, first.data.decimalPlaces, first.data.totalInclAmount) == (15, 1, 2694)
    assert (first.data.discountAmount, first.data.discountPercentage) == (299, 10)
    assert (second.data.vatCode, second.data.vatPercentage) == (1, 9)
    assert (receipt.totalInclAmount, receipt.paidAmount, receipt.employeeName) == (3944, 3944, "Anna de Vries")
    assert (receipt.entryTimestamp.hour, receipt.entryTimestamp.timezone) == (23, 120)
    assert (receipt.financialDate.day, receipt.financialDate.mon) == (1, 7)
    assert receipt.transactionString == "2.1.2026.1"
    assert [(payment.method, payment.amount, payment.accountNumber) for payment in receipt.paymentList.payment] == [
        ("PIN", 2000, 1100),
        ("CONTANT", 1944, 1000),
    ]


def test_part_of_a_receipt_is_given_back_with_its_share_of_the_discount(service: Any, sandbox: Sandbox) -> None:
    sold = sandbox.simulation.sell(lines=[ItemSold(1001, Decimal(3), discount_cents=300), ItemSold(2001)])
    credit = read_one(service, sandbox.simulation.refund(sold["receiptId"], {1001: Decimal(1)}, "CONTANT"))
    assert (credit.receiptType, credit.creditedReceiptId) == ("RECEIPT-TYPE-CREDIT-RECEIPT", sold["receiptId"])
    assert (credit.totalInclAmount, credit.lineList.line[0].data.quantity) == (-1895, -1)
    assert credit.paymentList.payment[0].method == "CONTANT"
    with pytest.raises(ValueError, match="none of these articles"):
        sandbox.simulation.refund(sold["receiptId"], {404: Decimal(1)})


def test_an_overpaid_receipt_is_paid(service: Any, sandbox: Sandbox) -> None:
    sold = sandbox.simulation.sell(lines=[ItemSold(1001)], payments=[Tender("CONTANT", 2500)])
    assert (read_one(service, sold).state, sold["paidAmount"] > sold["totalInclAmount"]) == ("RECEIPT-STATE-PAID", True)


@pytest.mark.parametrize(("paid", "state"), [([], "OUTSTANDING"), ([Tender("PIN", 95)], "PARTLY-PAID"), (None, "PAID")])
def test_the_state_follows_the_payments(service: Any, sandbox: Sandbox, paid: list[Tender] | None, state: str) -> None:
    sold = sandbox.simulation.sell(lines=[ItemSold(1001)], payments=paid)
    assert read_one(service, sold).state == f"RECEIPT-STATE-{state}"
    if paid is not None:
        sandbox.simulation.pay_receipt(sold["receiptId"], [Tender("PIN", 1995 - sold["paidAmount"])])
        assert read_one(service, sold).state == "RECEIPT-STATE-PAID"


def test_cash_is_rounded_to_five_cents_by_a_line_of_its_own(service: Any, sandbox: Sandbox) -> None:
    for price, total in ((1001, 1000), (1002, 1000), (1003, 1005), (1004, 1005), (1000, 1000)):
        sold = sandbox.simulation.sell(lines=[ItemSold(2001, price_cents=price)], payments=None, round_cash=True)
        receipt = read_one(service, sold)
        assert receipt.totalInclAmount == total
        assert len(receipt.lineList.line) == (1 if price == total else 2)


def test_money_in_and_out_and_transfers_have_types_of_their_own(service: Any, sandbox: Sandbox) -> None:
    sandbox.simulation.move_cash(10_000, "Wisselgeld")
    sandbox.simulation.move_cash(-2_500, "Bloemen")
    sandbox.simulation.transfer_payment(500, "PIN", "CONTANT")
    rows = service.getReceipts(request={"syncMarker": 1, **NO_TEXTS})
    assert {(row.receiptType.removeprefix("RECEIPT-TYPE-"), row.totalInclAmount) for row in rows} == {
        ("CASH-INFLOW", 10_000),
        ("CASH-OUTFLOW", -2_500),
        ("PAYMENT-METHOD-TRANSFER", 0),
    }


def test_an_edited_receipt_has_a_new_version_marker_and_stock(service: Any, sandbox: Sandbox) -> None:
    sold = sandbox.simulation.sell(lines=[ItemSold(1001, Decimal(2))])
    before = read_one(service, sold)
    sandbox.simulation.edit_receipt(sold["receiptId"], lines=[ItemSold(1001, Decimal(5))])
    after = read_one(service, sold)
    assert (before.versionNumber, after.versionNumber) == (1, 2)
    assert after.syncMarker > before.syncMarker
    assert (after.totalInclAmount, after.paidAmount) == (9975, 9975)
    assert sandbox.simulation.till["stock"].get("1/1001")["physical"] == -5


def test_receipts_are_found_by_day_branch_article_and_plu(service: Any, sandbox: Sandbox) -> None:
    simulation = sandbox.simulation
    for branch, article, day in ((1, 1001, 1), (2, 2001, 2), (1, 2001, 3)):
        simulation.sell(branch, lines=[ItemSold(article)], when=datetime(2026, 5, day, 12, tzinfo=AMSTERDAM))

    def found(**asked: Any) -> list[int]:
        texts = {**NO_TEXTS, **asked}
        return sorted(row.financialDate.day for row in service.getReceipts(request=texts))

    def may(number: int) -> dict[str, int]:
        return {"day": number, "mon": 5, "year": 2026}

    assert found() == [1, 2, 3]
    assert found(fromFinancialDate=may(2)) == [2, 3]
    assert found(throughFinancialDate=may(2)) == [1, 2]
    assert found(branchNumbers=[1]) == [1, 3]
    assert found(articleNumbers=[2001]) == [2, 3]
    assert found(articlePluNumbers={"text": [{"text": "TRUI-M"}]}) == [1]
    assert found(articleTurnoverGroups=[1]) == [1]


def test_heads_come_without_lines_when_asked(service: Any, sandbox: Sandbox) -> None:
    sandbox.simulation.sell(lines=[ItemSold(1001)])
    (head,) = service.getReceipts(request={"includeLineList": False, **NO_TEXTS})
    assert (head.lineList, head.totalInclAmount) == (None, 1995)


@pytest.mark.parametrize(("included", "parent"), [(False, 1995), (True, 2145)])
def test_a_parents_total_holds_its_preparations_if_the_simulation_says_so(
    service: Any, sandbox: Sandbox, included: bool, parent: int
) -> None:
    sandbox.simulation.till.switches.parent_includes_sublines = included
    extra = ItemSold(2001, price_cents=150, text="Inpakken")
    receipt = read_one(service, sandbox.simulation.sell(lines=[ItemSold(1001, preparations=(extra,))]))
    (line,) = receipt.lineList.line
    assert (line.data.totalInclAmount, receipt.totalInclAmount) == (parent, 2145)
    assert line.preparationList.line[0].lineType == "LINE-TYPE-PREPARATION"


def test_an_unknown_receipt_is_a_result(till: Any) -> None:
    assert till.getReceipt(receiptId="nothing").result == "GET-RECEIPT-RESULT-NOT-FOUND"


def test_a_badly_configured_rate_fails_the_whole_read(service: Any, sandbox: Sandbox) -> None:
    import zeep.exceptions

    sandbox.simulation.till.switches.vat_misconfigured = 2
    with pytest.raises(zeep.exceptions.Fault, match="VAT-code 2") as caught:
        service.getVatGroupList()
    assert caught.value.code == "SOAP-ENV:Server"

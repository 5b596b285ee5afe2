"""The comparison with random trade and random damage: the explanations equal the differences."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import catalogue
from mapping.agreement import compare, to_report, to_text
from mapping.agreement_causes import BooksRecord, Cause, DocumentState, SaleState, TillRecord
from mapping.figures import Cell, Figures, Measure, Names, of_document, of_sale, subtract
from mapping.money import add
from mapping.records import BookedDocument, DocumentContent, DocumentKind, Payment, Sale, SaleKind, VatAmount

DAY = date(2026, 3, 14)
NAMES = Names(tenders={"PIN": "Card"}, methods={"7": "Card"}, rates={"3": Decimal(21), "4": None})

cells = st.builds(
    Cell,
    branch=st.sampled_from([None, 1, 2]),
    day=st.integers(-2, 4).map(lambda days: DAY + timedelta(days=days)),
    measure=st.sampled_from(Measure),
    key=st.sampled_from(["0", "9", "21", "Card"]),
)
figures = st.dictionaries(cells, st.integers(-500_000, 500_000), max_size=6)
groups = st.sampled_from([f"sale-{number}" for number in range(6)])
sale_states = st.none() | st.builds(
    SaleState, event=st.integers(1, 99), state=st.just("parked"), reason=st.none() | st.just("x")
)
sales = st.builds(TillRecord, groups, st.text(max_size=5), figures, st.none() | st.just("left out"), sale_states)
documents = st.builds(
    BooksRecord,
    groups,
    st.sampled_from(["SalesReceipt", "Payment"]),
    st.text(max_size=3),
    figures,
    st.sampled_from(DocumentState),
    st.booleans(),
)


@settings(max_examples=400)
@given(st.lists(sales, max_size=8), st.lists(documents, max_size=8))
def test_the_rows_always_add_up_to_the_difference_cell_by_cell(
    till: list[TillRecord], books: list[BooksRecord]
) -> None:
    found = compare(till, books, start=DAY, through=DAY + timedelta(days=2))
    assert add(row.differences for row in found.rows) == subtract(found.books, found.till)
    assert Cause.UNEXPLAINED not in {row.cause for row in found.rows}
    texts = [text for row in found.rows for text in (row.reason, row.fix) if row.cause is not Cause.LEFT_OUT]
    templates = {str(getattr(text, "template", text)) for text in texts}
    known = catalogue.words("de").keys() & catalogue.words("nl").keys()
    assert {each for each in templates if not each.startswith("{first}")} - {"./run resend {order}"} <= known
    report = json.loads(json.dumps(to_report(found, journal=None, more={})))
    assert report["agrees"] == (not found.rows)
    assert sum(cell["difference"] for cell in report["cells"]) == sum(subtract(found.books, found.till).values())
    wanted = all(row.by_policy for row in found.rows)
    verdict = "AGREES" if not found.rows else "EXPLAINED" if wanted else "DIFFERS"
    assert to_text(report).startswith(f"{verdict}: ")


@given(st.lists(sales, max_size=8))
def test_books_equal_to_the_till_always_agree(till: list[TillRecord]) -> None:
    books = [BooksRecord(sale.group, "SalesReceipt", str(n), sale.figures, partial=True) for n, sale in enumerate(till)]
    assert not compare(till, books, start=date.min, through=date.max).rows


def at(cents: int, **other: object) -> Figures:
    place = {"branch": 1, "day": DAY, "measure": Measure.NET, "key": "21", **other}
    return {Cell(**place): cents}  # type: ignore[arg-type]


def cause_of(till: list[TillRecord], books: list[BooksRecord]) -> tuple[Cause, str]:
    (row,) = compare(till, books, start=DAY, through=DAY).rows
    return row.cause, row.reason


def sale(**more: object) -> TillRecord:
    return TillRecord(**{"group": "s", "name": "receipt 1", "figures": at(100), **more})  # type: ignore[arg-type]


def booked(figures_: Figures, **more: object) -> BooksRecord:
    given_ = {"group": "s", "entity": "SalesReceipt", "id": "5", "figures": figures_, **more}
    return BooksRecord(**given_)  # type: ignore[arg-type]


def test_two_sales_that_cancel_out_do_not_hide_each_other() -> None:
    till = [sale(), sale(group="t", name="receipt 2", figures=at(-100))]
    found = compare(till, [], start=DAY, through=DAY)
    assert subtract(found.books, found.till) == {}
    assert len(found.rows) == 2


def test_every_cause_is_reported() -> None:
    missing = sale(sale_state=SaleState(7, "parked", "no item 5"))
    assert cause_of([missing], []) == (Cause.NOT_BOOKED, "event 7 is parked: no item 5")
    assert cause_of([sale(left_out="not paid")], []) == (Cause.LEFT_OUT, "not paid")
    assert cause_of([sale()], [booked({}, state=DocumentState.GONE)])[0] is Cause.DELETED
    assert cause_of([sale()], [booked({}, state=DocumentState.VOIDED)])[0] is Cause.VOIDED
    assert cause_of([sale()], [booked(at(100)), booked(at(100), id="6")])[0] is Cause.TWICE
    moved = booked(at(100, day=DAY + timedelta(days=1)), note="Original date: 2026-03-14")
    assert cause_of([sale()], [moved]) == (
        Cause.OTHER_DAY,
        "sold on 2026-03-14, booked on 2026-03-15 (Original date: 2026-03-14)",
    )
    assert cause_of([sale()], [booked(at(100, branch=2))])[0] is Cause.OTHER_BRANCH
    nowhere = cause_of([sale()], [booked(at(100, branch=None))])
    assert nowhere == (Cause.OTHER_BRANCH, "sold at branch 1, booked without a branch")
    assert cause_of([], [booked(at(100))])[0] is Cause.UNKNOWN_SALE
    assert cause_of([sale()], [booked(at(90))])[0] is Cause.AMOUNTS


def test_cents_on_the_rounding_line_are_explained_not_wrong() -> None:
    found = compare([sale()], [booked(add([at(99), at(1, key="0")]))], start=DAY, through=DAY)
    assert [(row.cause, row.by_policy) for row in found.rows] == [(Cause.ROUNDING_LINE, True)]
    assert to_text(to_report(found, journal=None, more={})).startswith("EXPLAINED: ")
    far = add([at(94), at(6, key="0")])
    assert [row.by_policy for row in compare([sale()], [booked(far)], start=DAY, through=DAY).rows] == [False]


def test_net_that_a_person_took_off_its_rate_is_another_rate() -> None:
    till = add([at(10_000), at(2100, measure=Measure.VAT)])
    for cents, stands_apart in ((2, True), (40, False)):
        moved = add([at(10_000 - cents), at(2100, measure=Measure.VAT), at(cents, key="0")])
        assert (cause_of([sale(figures=till)], [booked(moved)])[0] is Cause.ROUNDING_LINE) is stands_apart


def test_money_and_rounding_are_distinguished_from_amounts() -> None:
    card, cash = at(100, measure=Measure.TENDER, key="Card"), at(100, measure=Measure.TENDER, key="Cash")
    assert cause_of([sale(figures=card)], [booked(cash)])[0] is Cause.TENDER
    assert cause_of([sale(figures=card)], [booked(at(60, measure=Measure.TENDER, key="Card"))])[0] is Cause.PAYMENT
    rounded = add([at(101), at(-1, measure=Measure.VAT)])
    assert cause_of([sale()], [booked(rounded)])[0] is Cause.ROUNDING
    on_a_line_of_its_own = add([at(101), at(-1, key="0")])
    assert cause_of([sale()], [booked(on_a_line_of_its_own)])[0] is Cause.ROUNDING_LINE
    later = at(100, measure=Measure.TENDER, key="Card", day=DAY + timedelta(days=1))
    assert cause_of([sale(figures=card)], [booked(later)])[0] is Cause.PAID_OTHER_DAY
    reduced = add([at(112, key="9"), at(10, measure=Measure.VAT, key="9")])
    taxed = add([at(100), at(22, measure=Measure.VAT)])
    assert cause_of([sale(figures=taxed)], [booked(reduced)]) == (
        Cause.RATE,
        "the total is the till's; VAT of 21 % there, of 9 % in the books",
    )


def test_a_document_of_another_program_beside_ours_is_reported_as_such() -> None:
    cause, reason = cause_of(
        [sale()], [booked(at(100), number="R5"), booked(at(100), id="6", number="R6", foreign=True)]
    )
    assert (cause, reason) == (
        Cause.TWICE,
        "sales receipt R5, sales receipt R6 are the same sale; sales receipt R6 was booked by something else",
    )


def test_records_and_reasons_of_a_difference_are_said_in_every_language() -> None:
    (row,) = compare([], [booked(at(100), number="R5"), booked({}, number="R6")], start=DAY, through=DAY).rows
    assert catalogue.say("en", row.record) == "sales receipt R5 and 1 more"
    assert catalogue.say("nl", row.record) == "verkoopbon R5 en nog 1"
    assert catalogue.say("de", row.fix).startswith("Verkaufsbeleg R5, Verkaufsbeleg R6 in QuickBooks stornieren")


def test_the_text_of_a_report_counts_and_names_one_day_as_such() -> None:
    one = compare([sale()], [], start=DAY, through=DAY)
    text = to_text(to_report(one, journal=None, more={"others_in_books": {"documents": 1, "cents": 5, "records": []}}))
    assert text.startswith("DIFFERS: 2026-03-14, till 1.00, books 0.00; explained by 1 record.")
    assert "Not of this till: 1 document in QuickBooks" in text
    none = compare([], [], start=DAY, through=DAY + timedelta(days=1))
    assert to_text(to_report(none, journal=None, more={})).startswith("AGREES: 2026-03-14 to 2026-03-15, ")


def fix_of(sale_: TillRecord, books: list[BooksRecord]) -> str:
    (row,) = compare([sale_], books, start=DAY, through=DAY).rows
    return row.fix


def test_the_way_out_names_the_order_the_event_and_the_documents() -> None:
    numbered = sale(number="1.1.2026.7")
    assert fix_of(numbered, []) == "./run resend 1.1.2026.7"
    assert "retry event 7" in fix_of(sale(number="1.1.2026.7", sale_state=SaleState(7, "parked", "x")), [])
    assert fix_of(sale(sale_state=SaleState(7, "waiting")), []).startswith("wait: event 7")
    assert "sales receipt with the id 5" in fix_of(numbered, [booked(at(90))])
    assert "./run resend 1.1.2026.7" in fix_of(numbered, [booked({}, state=DocumentState.GONE)])


def test_figures_of_a_sale_and_of_its_document_are_equal() -> None:
    payment = Payment("PIN", 1250, business_date=DAY)
    amount = VatAmount(2, Decimal("21.00"), 1033, 217)
    receipt = Sale(
        SaleKind.RECEIPT, "s", "1.1.2026.1", "RECEIPT-TYPE-RECEIPT", "RECEIPT-STATE-PAID", 1, DAY, 1250, 1033,
        "VAT-METHOD-INCLUSIVE", (amount,), (), (payment,), 1250,
    )  # fmt: skip
    document = to_document(Decimal("10.33"), "3", Decimal("2.17"), Decimal("12.50"))
    assert of_sale(receipt, NAMES) == of_document(document, 1, NAMES)


def test_what_lines_and_taxes_do_not_account_for_is_still_counted() -> None:
    document = to_document(Decimal("10.00"), "3", Decimal("2.10"), Decimal("13.00"))
    found = of_document(document, 1, NAMES)
    assert found[Cell(1, DAY, Measure.NET, "unknown")] == 90
    assert of_document(to_document(Decimal(5), "4", Decimal(0), Decimal(5)), 1, NAMES)[
        Cell(1, DAY, Measure.NET, "0")
    ] == 500  # fmt: skip


def test_dutch_cash_rounding_counts_as_untaxed_where_it_is_booked_as_such() -> None:
    receipt = Sale(
        SaleKind.RECEIPT, "s", "1", "RECEIPT-TYPE-RECEIPT", "RECEIPT-STATE-PAID", 1, DAY, 1252, 1252,
        "VAT-METHOD-NONE", (), (), (Payment("PIN", 1250),), 1250,
    )  # fmt: skip
    assert of_sale(receipt, NAMES, cash_rounding_cap=5)[Cell(1, DAY, Measure.NET, "0")] == 1250
    assert of_sale(receipt, NAMES)[Cell(1, DAY, Measure.NET, "0")] == 1252
    assert of_sale(receipt, NAMES, cash_rounding_cap=1)[Cell(1, DAY, Measure.NET, "0")] == 1252


def to_document(net: Decimal, code: str, tax: Decimal, total: Decimal) -> BookedDocument:
    return BookedDocument(
        DocumentKind.SALES_RECEIPT, "9", "0", None, DAY, total, tax, None, payment_method_id="7",
        content=DocumentContent(lines=((net, None, code),)), tax_lines=((Decimal(21), tax),),
    )  # fmt: skip

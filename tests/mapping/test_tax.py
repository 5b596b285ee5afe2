"""The solver agrees with the till and with the books, both simulated here without any code of the solver."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.errors import MappingError
from mapping.records import VatAmount
from mapping.sections import OrderSettings
from mapping.tax import RoundingModel, Solution, SolverLimits, WantedTotals, solve
from tests.mapping.sales import REFERENCES, to_document, with_two_codes

Cart = list[tuple[int, int]]  # (VAT code, gross cents) per line
PERCENTAGES = {1: Decimal(0), 2: Decimal(9), 3: Decimal(21), 4: Decimal(6), 5: Decimal("5.5"), 6: Decimal("2.1")}

PRICES = st.one_of(
    st.integers(min_value=1, max_value=12),
    st.integers(min_value=1, max_value=5000),
    st.sampled_from([95, 100, 159, 250, 295, 995, 1490, 1999]),
    st.integers(min_value=-3000, max_value=0),
)


def carts(codes: Sequence[int], largest: int) -> st.SearchStrategy[Cart]:
    return st.lists(st.tuples(st.sampled_from(list(codes)), PRICES), min_size=1, max_size=largest)


def round_half_up(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def tax_in_books(net_cents: int, percentage: Decimal) -> int:
    return round_half_up(Decimal(net_cents) * percentage / 100)


def tax_inside(gross_cents: int, percentage: Decimal) -> int:
    return round_half_up(Decimal(gross_cents) * percentage / (100 + percentage))


def till_per_code(cart: Cart) -> list[VatAmount]:
    """A till that computes the VAT once per code, from the code's gross sum."""
    totals = []
    for code in sorted({code for code, _ in cart}):
        gross = sum(amount for line_code, amount in cart if line_code == code)
        vat = tax_inside(gross, PERCENTAGES[code])
        totals.append(VatAmount(code, PERCENTAGES[code], gross - vat, vat))
    return totals


def till_per_line(cart: Cart) -> list[VatAmount]:
    """A till that rounds the VAT of each line."""
    totals = []
    for code in sorted({code for code, _ in cart}):
        lines = [amount for line_code, amount in cart if line_code == code]
        vat = sum(tax_inside(amount, PERCENTAGES[code]) for amount in lines)
        totals.append(VatAmount(code, PERCENTAGES[code], sum(lines) - vat, vat))
    return totals


def wanted_of(cart: Cart) -> list[WantedTotals]:
    return [
        WantedTotals((code, PERCENTAGES[code]), amount - tax_inside(amount, PERCENTAGES[code])) for code, amount in cart
    ]


def check(
    totals: list[VatAmount], wanted: list[WantedTotals], solution: Solution, *, move: int = 5, cap: int = 5
) -> None:
    """Add up the solution as the books do, line by line."""
    lines = [*zip((each.vat for each in wanted), solution.nets, strict=True), *solution.rounding]
    for total in totals:
        nets = [net for vat, net in lines if vat == total.key]
        assert sum(nets) == total.net_cents
        tax = sum(tax_in_books(net, total.percentage) for net in nets)
        assert tax == next(amount.vat_cents for amount in solution.booked if amount.key == total.key)
        if not solution.untaxed:
            assert tax == total.vat_cents
    booked = sum(net + tax_in_books(net, rate) for (_, rate), net in lines) + solution.untaxed
    assert booked == sum(total.net_cents + total.vat_cents for total in totals)
    assert abs(solution.untaxed) <= cap
    assert all(0 < abs(net) <= cap for _, net in solution.rounding)
    assert len({vat for vat, _ in solution.rounding}) == len(solution.rounding)
    assert all(abs(net - each.net_cents) <= move for net, each in zip(solution.nets, wanted, strict=True))


@settings(max_examples=400)
@given(carts([1, 2, 3], 30))
def test_dutch_carts_of_a_till_that_rounds_per_code_are_booked_to_the_cent(cart: Cart) -> None:
    totals, wanted = till_per_code(cart), wanted_of(cart)
    solution = solve(totals, wanted)
    check(totals, wanted, solution)
    assert solution.untaxed == 0


@settings(max_examples=400)
@given(carts([1, 2, 3, 4, 5, 6], 12))
def test_carts_rounded_per_line_are_booked_to_the_cent_or_refused(cart: Cart) -> None:
    totals, wanted = till_per_line(cart), wanted_of(cart)
    solution = solve(totals, wanted, limits=SolverLimits(cap=12))
    check(totals, wanted, solution, cap=12)


@settings(max_examples=40)
@given(carts([1, 2, 3, 4, 5, 6], 200), st.sampled_from([till_per_code, till_per_line]))
def test_long_receipts_keep_every_code_exact(cart: Cart, till: Callable[[Cart], list[VatAmount]]) -> None:
    big = [(code, 100 + abs(amount)) for code, amount in cart]
    totals, wanted = till(big), wanted_of(big)
    check(totals, wanted, solve(totals, wanted))


@pytest.mark.parametrize("till", [till_per_code, till_per_line])
def test_thousands_of_ordinary_dutch_receipts_need_no_untaxed_cent(till: Callable[[Cart], list[VatAmount]]) -> None:
    dice = random.Random(2026)
    for _ in range(3000):
        size = dice.choice([1, 1, 2, 3, 5, 8, 13])
        cart = [(dice.choice([1, 2, 2, 3]), dice.choice([5, 10, 1]) * dice.randint(20, 600)) for _ in range(size)]
        totals, wanted = till(cart), wanted_of(cart)
        solution = solve(totals, wanted)
        check(totals, wanted, solution)
        assert solution.untaxed == 0


@settings(max_examples=60)
@given(carts([2, 3, 4], 3), st.sampled_from([till_per_code, till_per_line]))
def test_a_rounding_line_appears_only_if_no_small_move_of_lines_helps(
    cart: Cart, till: Callable[[Cart], list[VatAmount]]
) -> None:
    one_code = [(cart[0][0], amount) for _, amount in cart if amount] or [(2, 100)]
    totals, wanted = till(one_code), wanted_of(one_code)
    solution = solve(totals, wanted, limits=SolverLimits(move=3))
    total, percentage = totals[0], PERCENTAGES[totals[0].code]
    possible = any(
        sum(moves) + sum(each.net_cents for each in wanted) == total.net_cents
        and sum(tax_in_books(w.net_cents + m, percentage) for w, m in zip(wanted, moves, strict=True))
        == total.vat_cents
        for moves in product(range(-3, 4), repeat=len(wanted))
    )
    assert bool(solution.rounding or solution.untaxed) is not possible


@settings(max_examples=200)
@given(carts([2, 3], 20), st.sampled_from([till_per_code, till_per_line]))
def test_nothing_moves_when_the_books_agree_already(cart: Cart, till: Callable[[Cart], list[VatAmount]]) -> None:
    wanted = wanted_of(cart)
    nets = {code: sum(each.net_cents for each in wanted if each.vat[0] == code) for code, _ in cart}
    taxes = {
        code: sum(tax_in_books(each.net_cents, PERCENTAGES[code]) for each in wanted if each.vat[0] == code)
        for code in nets
    }
    totals = [VatAmount(code, PERCENTAGES[code], nets[code], taxes[code]) for code in nets]
    solution = solve(totals, wanted)
    assert solution.nets == tuple(each.net_cents for each in wanted)
    assert not solution.rounding


def test_three_cents_at_21_percent_need_a_rounding_line_of_the_same_code() -> None:
    solution = solve([VatAmount(3, Decimal(21), 2, 1)], [WantedTotals((3, Decimal(21)), 2)])
    assert solution.nets == (3,)
    assert solution.rounding == (((3, Decimal(21)), -1),)
    assert solution.untaxed == 0


def test_thirty_one_items_at_1_59_come_out_as_the_till_says() -> None:
    cart = [(3, 159)] * 31
    totals, wanted = till_per_code(cart), wanted_of(cart)
    solution = solve(totals, wanted)
    check(totals, wanted, solution)
    assert not solution.rounding


def test_a_line_worth_nothing_stays_worth_nothing() -> None:
    cart = [(3, 0), (3, 295), (3, 0), (3, 410), (3, 199)]
    totals, wanted = till_per_line(cart), wanted_of(cart)
    solution = solve(totals, wanted)
    assert (solution.nets[0], solution.nets[2]) == (0, 0)


def test_a_rigid_line_moves_only_when_no_free_line_can() -> None:
    total = VatAmount(2, Decimal(0), 1001, 0)
    free_line = solve([total], [WantedTotals(total.key, 900, rigid=True), WantedTotals(total.key, 100)])
    assert free_line.nets == (900, 101)
    only_rigid = solve([total], [WantedTotals(total.key, 1000, rigid=True)])
    assert only_rigid.nets == (1001,)


def test_the_model_per_code_moves_only_the_net_and_states_the_tills_tax() -> None:
    limits = SolverLimits(model=RoundingModel.CODE)
    solution = solve([VatAmount(3, Decimal(21), 2, 1)], [WantedTotals((3, Decimal(21)), 2)], limits=limits)
    assert (solution.nets, solution.rounding, solution.untaxed) == ((2,), (), 0)
    assert solution.booked == (VatAmount(3, Decimal(21), 2, 1),)


@settings(max_examples=400)
@given(carts([1, 2, 3], 30))
def test_books_that_tax_the_sum_of_a_code_reach_the_tills_vat(cart: Cart) -> None:
    totals, wanted = till_per_code(cart), wanted_of(cart)
    solution = solve(totals, wanted, limits=SolverLimits(model=RoundingModel.SUM))
    lines = [*zip((each.vat for each in wanted), solution.nets, strict=True), *solution.rounding]
    for total in totals:
        assert tax_in_books(sum(net for vat, net in lines if vat == total.key), total.percentage) == total.vat_cents
    booked = sum(net for _, net in lines) + solution.untaxed
    assert booked == sum(total.net_cents for total in totals)
    assert abs(solution.untaxed) <= len(totals)


def test_a_tax_no_line_can_reach_becomes_one_untaxed_line_inside_the_cap() -> None:
    wanted = [WantedTotals((3, Decimal(21)), 2)] * 8
    solution = solve([VatAmount(3, Decimal(21), 16, 8)], wanted)
    check([VatAmount(3, Decimal(21), 16, 8)], wanted, solution)
    assert solution.untaxed > 0


def test_beyond_the_cap_the_sale_is_refused_with_both_amounts() -> None:
    with pytest.raises(MappingError, match=r"2\.00 net.*1\.80 VAT.*200 lines") as refusal:
        solve([VatAmount(3, Decimal(21), 200, 180)], [WantedTotals((3, Decimal(21)), 1)] * 200)
    assert refusal.value.field == "vat"
    assert refusal.value.fix


def test_lines_that_miss_the_tills_net_by_euros_are_refused() -> None:
    with pytest.raises(MappingError, match=r"10\.00 net.*8\.26 net"):
        solve([VatAmount(3, Decimal(21), 1000, 210)], [WantedTotals((3, Decimal(21)), 826)])


def test_a_line_of_a_code_without_a_total_is_refused() -> None:
    with pytest.raises(MappingError, match="VAT code 7"):
        solve([VatAmount(3, Decimal(21), 1000, 210)], [WantedTotals((7, Decimal(21)), 1000)])


def test_vat_at_zero_percent_is_refused() -> None:
    with pytest.raises(MappingError, match="VAT code 1"):
        solve([VatAmount(1, Decimal(0), 1000, 10)], [WantedTotals((1, Decimal(0)), 1000)])


def test_differences_of_several_codes_share_one_cap() -> None:
    wanted = [WantedTotals((code, Decimal(21)), 2) for code in (3, 33) for _ in range(14)]
    totals = [VatAmount(code, Decimal(21), 28, 14) for code in (3, 33)]
    with pytest.raises(MappingError, match="more than the cap"):
        solve(totals, wanted, limits=SolverLimits(cap=4))


def test_ten_thousand_lines_are_settled() -> None:
    cart = [(3, 100 + index % 37) for index in range(10_000)]
    totals, wanted = till_per_code(cart), wanted_of(cart)
    check(totals, wanted, solve(totals, wanted))


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=6), st.lists(st.integers(1, 3000), min_size=1, max_size=6))
def test_books_that_tax_the_sum_take_two_vat_codes_of_one_rate(cart: list[int], other: list[int]) -> None:
    sale = with_two_codes(cart, other)
    document = to_document(sale, replace(REFERENCES, taxes_sums=True), OrderSettings())
    assert document.total * 100 == sale.total_incl_cents
    assert sum(tax.tax * 100 for tax in document.taxes) == sum(each.vat_cents for each in sale.vat)
    for tax in document.taxes:
        net = sum(each.net for each in document.lines if each.tax_code_id == tax.tax_code_id)
        assert tax.tax * 100 == round_half_up(net * tax.percentage)

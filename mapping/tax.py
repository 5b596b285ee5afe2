"""The cent-exact solver: line nets for which the books' own tax rounding gives the till's net and VAT per code.

The books tax each line and round each time (halves away from zero), the till usually rounds once per VAT code, so the
original line nets differ from the till by cents. The solver moves single cents between lines of one code. Each line is
on a plateau of nets that all have the same tax (about 1/rate cents wide); a move to the next plateau changes the tax
by one cent, a move along a plateau changes only the net. So: first move lines to other plateaus until the tax is
right, then move along plateaus until the net is right.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from math import ceil

from mapping.errors import MappingError
from mapping.messages import Amount, message
from mapping.money import divide_half_up, ratio_of
from mapping.records import VatAmount, VatKey, sum_vat


class RoundingModel(StrEnum):
    """How the books compute the tax: from each line, from amounts we state per tax code, or from the sum of a code."""

    LINE = "line"
    CODE = "code"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class WantedTotals:
    """The net a line should have, in signed cents. A rigid line is moved only when no other can be, a fixed never."""

    vat: VatKey
    net_cents: int
    rigid: bool = False
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class SolverLimits:
    """The limits of the solver, in cents: one line's move, a rounding line, and the rounding model."""

    move: int = 5
    cap: int = 5
    model: RoundingModel = RoundingModel.LINE


@dataclass(frozen=True, slots=True)
class Solution:
    """Line nets in the order of the wanted lines, plus added lines.

    `rounding` are extra lines (code and rate, net cents) of the same code; `untaxed` is one extra 0 % line in cents.
    `booked` is the net and tax the books will show per code, without `untaxed`. Compare it with the till's: cents
    too much at one code and too little at another cancel each other out in `untaxed`. Only model "sum" books another
    net than the till's.
    """

    nets: tuple[int, ...]
    rounding: tuple[tuple[VatKey, int], ...]
    untaxed: int
    booked: tuple[VatAmount, ...]


DEFAULT_LIMITS = SolverLimits()
_SEARCHED_LINES = 6


def solve(
    totals: Sequence[VatAmount], wanted: Sequence[WantedTotals], *, limits: SolverLimits = DEFAULT_LIMITS
) -> Solution:
    """Find line nets that add up per VAT code, net and tax, in the books' arithmetic.

    Raises MappingError (field "vat") when the lines and the till's totals are too far apart, or a
    line has a VAT code for which the till states no total.
    """
    if limits.model is RoundingModel.SUM:
        totals = by_rate(totals)
        keys = {total.percentage: total.key for total in totals}
        wanted = [replace(line, vat=keys.get(line.vat[1], line.vat)) for line in wanted]
    nets = [line.net_cents for line in wanted]
    rounding: list[tuple[VatKey, int]] = []
    booked: list[VatAmount] = []
    by_code = _group(totals, wanted)
    for total in totals:
        indices = by_code[total.key]
        (*settled, rest), amount = _settle_code(total, [wanted[index] for index in indices], limits)
        for index, net in zip(indices, settled, strict=True):
            nets[index] = net
        if rest:
            rounding.append((total.key, rest))
        booked.append(amount)
    untaxed = sum(t.net_cents + t.vat_cents for t in totals) - sum(b.net_cents + b.vat_cents for b in booked)
    if abs(untaxed) > limits.cap:
        said = "the tax rounding differs by {amount} in all, more than the cap of {cap}"
        raise MappingError(
            message(said, amount=Amount(untaxed), cap=Amount(limits.cap)),
            code="tax-rounding-too-large",
            field="vat",
            fix="raise the rounding cap in the settings, or book this sale by hand",
        )
    return Solution(tuple(nets), tuple(rounding), untaxed, tuple(booked))


def by_rate(totals: Iterable[VatAmount]) -> list[VatAmount]:
    """One total per rate, of its first VAT code: they share a tax code of the books, which tax its sum."""
    return list(sum_vat(totals, lambda total: total.percentage).values())


def _group(totals: Sequence[VatAmount], wanted: Sequence[WantedTotals]) -> dict[VatKey, list[int]]:
    by_code: dict[VatKey, list[int]] = {total.key: [] for total in totals}
    for index, line in enumerate(wanted):
        if line.vat not in by_code:
            raise MappingError(
                message("a line has VAT code {code}, but the sale states no VAT total for it", code=line.vat[0]),
                code="line-without-vat-total",
                field="vat",
                fix="correct the VAT code of the article in the till",
            )
        by_code[line.vat].append(index)
    return by_code


_Settled = tuple[list[int], VatAmount]
"""The nets of the lines, the rounding line's last, and what the books will show."""


def _settle_code(total: VatAmount, wanted: Sequence[WantedTotals], limits: SolverLimits) -> _Settled:
    if limits.model is RoundingModel.CODE or not total.percentage:
        return _settle_net(total, wanted, limits)
    if limits.model is RoundingModel.SUM:
        return _settle_net(_to_taxed(total, limits.cap), wanted, limits)
    for missing in _nearest_first(limits.cap):
        tax = total.vat_cents - missing
        if nets := _find_nets(wanted, total, tax, limits):
            return nets, replace(total, vat_cents=tax)
    raise _unsolvable(total, wanted)


def _settle_net(total: VatAmount, wanted: Sequence[WantedTotals], limits: SolverLimits) -> _Settled:
    """Only the nets have to add up: the tax is stated (model "code"), zero, or already that of the net."""
    untaxed = VatAmount(0, total.percentage * 0, total.net_cents, 0)
    nets = None if total.vat_cents and not total.percentage else _find_nets(wanted, untaxed, 0, limits)
    if nets is None:
        raise _unsolvable(total, wanted)
    return nets, total


def _find_nets(wanted: Sequence[WantedTotals], total: VatAmount, tax: int, limits: SolverLimits) -> list[int] | None:
    """Nets of the lines that add up to the net and this tax, and of a rounding line, at best zero; None without any."""
    settled = (_Problem(wanted, total, tax, limits.move, extra).settle() for extra in (0, limits.cap))
    return next((nets for nets in settled if nets is not None), None)


def _to_taxed(total: VatAmount, cap: int) -> VatAmount:
    """The net nearest to the till's, at most `cap` cents away, whose own tax is nearest to the till's; and that tax."""
    numerator, denominator = ratio_of(total.percentage)

    def tax_of(move: int) -> int:
        return divide_half_up((total.net_cents + move) * numerator, denominator)

    moves = range(-cap, cap + 1)
    tax = max(tax_of(-cap), min(tax_of(cap), total.vat_cents))
    same = moves[bisect_left(moves, tax, key=tax_of) : bisect_right(moves, tax, key=tax_of)]
    best = min(same or _nearest_first(cap), key=lambda move: (abs(total.vat_cents - tax_of(move)), abs(move), -move))
    return VatAmount(total.code, total.percentage, total.net_cents + best, tax_of(best))


def find_drift(totals: Iterable[VatAmount], lines: Sequence[VatKey]) -> dict[VatKey, Decimal]:
    """How far a sale's VAT is from its rate of the net, in cents, as far as rounding explains that.

    `lines` are the VAT codes of its lines: the till rounds once for all lines of a code, or once for each. Half a cent
    of VAT too much is half a cent of net too little, of which the rate is missing too.
    """
    found: dict[VatKey, Decimal] = {}
    for total in totals:
        share = total.percentage / 100
        most = max(1, lines.count(total.key)) * (1 + share) / 2
        found[total.key] = max(-most, min(most, total.vat_cents - total.net_cents * share))
    return found


def find_reach(drift: Mapping[VatKey, Decimal]) -> int:
    """How many cents of net have to move, so that their tax makes up for what rounding did to the VAT of each rate."""
    return sum(ceil(abs(cents) * 100 / rate) for (_, rate), cents in drift.items() if rate)


def _nearest_first(cap: int) -> list[int]:
    """0, 1, -1, 2, -2 ... up to the cap."""
    return sorted(range(-cap, cap + 1), key=lambda missing: (abs(missing), -missing))


class _Problem:
    """One VAT code: its lines, then one rounding line that starts at zero and may move `extra` cents."""

    def __init__(self, wanted: Sequence[WantedTotals], total: VatAmount, tax: int, move: int, extra: int) -> None:
        self._numerator, self._denominator = ratio_of(total.percentage)
        self._wanted = [*(line.net_cents for line in wanted), 0]
        self._reach = [*(0 if line.fixed else move for line in wanted), extra]
        self._net = total.net_cents
        self._tax = tax
        self._tiers = _tiers(wanted)

    def settle(self) -> list[int] | None:
        """The nets, the rounding line's last; None if there is no solution within the limits."""
        nets = list(self._wanted)
        lift = self._tax - sum(map(self._tax_of, nets))
        if self._ascend(nets, lift) and self._drift(nets, self._net - sum(nets)):
            return nets
        return self._search()

    def _tax_of(self, net: int) -> int:
        return divide_half_up(net * self._numerator, self._denominator)

    def _ascend(self, nets: list[int], lift: int) -> bool:
        """Raise (or lower) the tax by `lift` cents, on the lines nearest to their next plateau."""
        if lift == 0:
            return True
        direction = 1 if lift > 0 else -1
        for tier in self._tiers:
            steps = {index: self._steps_to_edge(index, direction) for index in tier}
            near = sorted((index for index in tier if steps[index]), key=steps.__getitem__)
            for index in near[: abs(lift)]:
                nets[index] += direction * steps[index]
                lift -= direction
            if lift == 0:
                return True
        return False

    def _steps_to_edge(self, index: int, direction: int) -> int:
        """How many cents until this line's tax changes; 0 if that is outside the limits."""
        net = self._wanted[index]
        tax = self._tax_of(net)
        for step in range(1, self._reach[index] + 1):
            if self._tax_of(net + direction * step) != tax:
                return step
        return 0

    def _drift(self, nets: list[int], amount: int) -> bool:
        """Move the net by `amount` without changing any line's tax, one cent per line, large lines first."""
        direction = 1 if amount > 0 else -1
        left = abs(amount)
        for tier in self._tiers:
            moving = tier
            while left and moving:
                movable = (index for index in moving if self._can_slide(nets[index], index, direction))
                moving = list(islice(movable, left))
                for index in moving:
                    nets[index] += direction
                left -= len(moving)
        return left == 0

    def _can_slide(self, net: int, index: int, direction: int) -> bool:
        """Whether this line, now at `net`, may move by a cent on its plateau."""
        moved = net + direction
        within = abs(moved - self._wanted[index]) <= self._reach[index]
        return within and self._tax_of(moved) == self._tax_of(net)

    def _search(self) -> list[int] | None:
        """Try all combinations of moves of the few most movable lines, for rare sales where the greedy method fails."""
        movers = [index for tier in self._tiers for index in tier if self._reach[index]]
        movers = movers[:_SEARCHED_LINES] + movers[_SEARCHED_LINES:][-1:]
        found: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {(0, 0): (0, ())}
        for index in movers:
            found = self._extend(found, index)
        gap = self._net - sum(self._wanted), self._tax - sum(map(self._tax_of, self._wanted))
        if gap not in found:
            return None
        nets = list(self._wanted)
        for index, move in zip(movers, found[gap][1], strict=True):
            nets[index] += move
        return nets

    def _extend(
        self, found: Mapping[tuple[int, int], tuple[int, tuple[int, ...]]], index: int
    ) -> dict[tuple[int, int], tuple[int, tuple[int, ...]]]:
        """Add one line's moves to the reachable (net shift, tax shift), keeping the cheapest way to each."""
        net, reach = self._wanted[index], self._reach[index]
        moves = [(move, self._tax_of(net + move) - self._tax_of(net)) for move in range(-reach, reach + 1)]
        extended: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = {}
        for (net_shift, tax_shift), (cost, path) in found.items():
            for move, lift in moves:
                key = net_shift + move, tax_shift + lift
                if key not in extended or cost + abs(move) < extended[key][0]:
                    extended[key] = cost + abs(move), (*path, move)
        return extended


def _tiers(wanted: Sequence[WantedTotals]) -> list[list[int]]:
    """The order of moves: free lines, rigid lines, lines of zero, the rounding line; large amounts first."""
    tiers: list[list[int]] = [[], [], [], [len(wanted)]]
    for index, line in enumerate(wanted):
        tiers[2 if line.net_cents == 0 else int(line.rigid)].append(index)
    return [sorted(tier, key=lambda index: -abs(wanted[index].net_cents)) for tier in tiers[:3]] + tiers[3:]


def _unsolvable(total: VatAmount, wanted: Sequence[WantedTotals]) -> MappingError:
    lines = sum(line.net_cents for line in wanted)
    return MappingError(
        message(
            "VAT code {code} ({percentage} %): the till states {amount} net and {vat_amount} VAT, its {n} lines add up "
            "to {lines} net",
            code=total.code,
            percentage=total.percentage,
            amount=Amount(total.net_cents),
            vat_amount=Amount(total.vat_cents),
            n=len(wanted),
            lines=Amount(lines),
        ),
        code="vat-lines-differ",
        field="vat",
        fix="compare the sale's lines with its VAT totals in the till, or raise the rounding cap in the settings",
    )

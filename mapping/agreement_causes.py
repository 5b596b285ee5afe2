"""Why the documents of a sale differ from the sale: the records of both sides, the cause in words, and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from mapping.figures import TURNOVER, UNKNOWN, Figures, Measure, subtract, total_of, within
from mapping.messages import Amount, join, message
from mapping.money import add
from mapping.sale_identity import name_document


class Cause(StrEnum):
    NOT_BOOKED = "not booked"
    LEFT_OUT = "left out by the settings"
    DELETED = "deleted in the books"
    VOIDED = "voided in the books"
    TWICE = "booked twice"
    OTHER_DAY = "booked on another day"
    PAID_OTHER_DAY = "paid on another day"
    OTHER_BRANCH = "booked at another branch"
    TENDER = "paid by another method"
    PAYMENT = "payments differ"
    ACCOUNT = "received on another account"
    RATE = "another VAT rate"
    ROUNDING_LINE = "cents on the rounding line"
    ROUNDING = "VAT rounded differently"
    AMOUNTS = "amounts differ"
    UNKNOWN_SALE = "not known at the till"
    UNEXPLAINED = "unexplained"


class DocumentState(StrEnum):
    PRESENT = "present"
    VOIDED = "voided"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class SaleState:
    """The state of the event that should have booked a sale."""

    event: int
    state: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TillRecord:
    """A sale. `group` is what it has in common with its documents; `left_out` is why the settings do not book it.

    `number` is what it is resent by.
    """

    group: str
    name: str
    figures: Figures
    left_out: str | None = None
    sale_state: SaleState | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class BooksRecord:
    """A document or payment with our marker or link; if it is gone, only the id is known. `number` is the printed one.

    `partial`: one of several in the group (a day's corrections, payments), so more than one is no duplicate.
    `foreign`: without marker and link, but about this sale: another program booked it as well.
    `adopted`: another program booked it, and by the settings it was linked instead of booked again.
    """

    group: str
    entity: str
    id: str
    figures: Figures
    state: DocumentState = DocumentState.PRESENT
    partial: bool = False
    note: str | None = None
    foreign: bool = False
    adopted: bool = False
    number: str | None = None

    @property
    def name(self) -> str:
        """Its kind and printed number, or its id where it has none."""
        return name_document(self.entity, self.number, self.id)


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """The part of the difference that one record makes.

    `differences` is books less till, by cell; `fix` is the remedy. `by_policy`: it follows from the settings.
    """

    cause: Cause
    record: str
    reason: str
    differences: Figures
    documents: tuple[BooksRecord, ...] = ()
    sale_state: SaleState | None = None
    fix: str = ""
    by_policy: bool = False


LARGEST_ROUNDING_CENTS = 5
_MONEY = (Measure.TENDER, Measure.ACCOUNT)


@dataclass(frozen=True, slots=True)
class _Case:
    """One group: its sales, its documents, and what both add up to over all days; the books less the till."""

    sales: Sequence[TillRecord]
    documents: Sequence[BooksRecord]
    till: Figures
    books: Figures
    difference: Figures

    @property
    def present(self) -> list[BooksRecord]:
        return self.having(DocumentState.PRESENT)

    @property
    def is_taxed_otherwise(self) -> bool:
        """Whether only net and VAT differ, and not their sum."""
        return self.is_of(*TURNOVER) and not total_of(self.difference, *TURNOVER)

    @property
    def is_rounding(self) -> bool:
        return self.is_taxed_otherwise and max(map(abs, self.difference.values())) <= LARGEST_ROUNDING_CENTS

    @property
    def is_set_apart(self) -> bool:
        """Whether net stands without VAT so that the rest bears the till's VAT: what the roundings of a day add up to.

        In books that tax the sum of a document's lines; each document rounds once.
        """
        half_cents = Decimal(sum(each.entity != "Payment" for each in self.present)) / 2
        taxed = [cell for cell in self.difference if cell.key != "0"]
        if not (self.is_taxed_otherwise and self.is_of(Measure.NET)) or any(cell.key == UNKNOWN for cell in taxed):
            return False
        vat = {cell: self.books.get(replace(cell, measure=Measure.VAT), 0) for cell in taxed}
        return all(abs(vat[cell] - self.books.get(cell, 0) * Decimal(cell.key) / 100) <= half_cents for cell in taxed)

    @property
    def sale_state(self) -> SaleState | None:
        return next((sale.sale_state for sale in self.sales if sale.sale_state), None)

    def having(self, state: DocumentState) -> list[BooksRecord]:
        return [record for record in self.documents if record.state is state]

    def is_of(self, *measures: Measure) -> bool:
        return all(cell.measure in measures for cell in self.difference)


def explain(
    sales: Sequence[TillRecord], documents: Sequence[BooksRecord], start: date, through: date
) -> DifferenceRow | None:
    """The row of one group, or None if it makes no difference on these days."""
    till, books = add(sale.figures for sale in sales), add(document.figures for document in documents)
    case = _Case(sales, documents, till, books, subtract(books, till))
    differences = within(case.difference, start, through)
    if not differences:
        return None
    cause, reason = next((cause, words(case)) for cause, fits, words in _CAUSES if fits(case))
    named = [sale.name for sale in sales] or [record.name for record in documents]
    return DifferenceRow(
        cause,
        named[0] if len(named) == 1 else message("{record} and {n} more", record=named[0], n=len(named) - 1),
        reason,
        differences,
        tuple(documents),
        case.sale_state,
        fix=_find_remedy(cause, case),
        by_policy=_is_policy(cause, case),
    )


def _is_policy(cause: Cause, case: _Case) -> bool:
    """Whether it follows from the settings: left out, moved out of closed books, a rounding line, or adopted."""
    if cause in {Cause.LEFT_OUT, Cause.ROUNDING_LINE}:
        return True
    if cause in {Cause.OTHER_DAY, Cause.PAID_OTHER_DAY} and any(record.note for record in case.documents):
        return True
    adopted = bool(case.documents) and all(record.adopted for record in case.documents)
    return adopted and not total_of(case.difference, *TURNOVER)


# --- conditions and words ----------------------------------------------------------------------------------------


def _same(case: _Case, **blurred: Any) -> bool:
    """Whether both sides are equal when their cells are not told apart by these fields."""
    return not add({replace(cell, **blurred): cents} for cell, cents in case.difference.items())


def _say_not_booked(case: _Case) -> str:
    known = case.sale_state
    if known is None:
        return "the gateway has never heard of it: a backfill from its day brings it"
    said = message("event {event} is {state}", event=known.event, state=message(known.state))
    return message("{event}: {reason}", event=said, reason=message(known.reason)) if known.reason else said


def _say_twice(case: _Case) -> str:
    same = message("{documents} are the same sale", documents=_list(case.present))
    foreign = [record for record in case.documents if record.foreign and record.entity != "Payment"]
    strange = message("{document} was booked by something else", document=_list(foreign))
    return join((same, strange), "{first}; {second}") if foreign else same


def _say_moved(case: _Case) -> str:
    sold, booked = (_days(side) for side in (case.till, case.books))
    said = message("sold on {sold}, booked on {booked}", sold=sold, booked=booked)
    note = next((record.note for record in case.documents if record.note), None)
    return message("{said} ({note})", said=said, note=note) if note else said


def _say_elsewhere(case: _Case) -> str:
    till, books = (sorted({str(cell.branch or "none") for cell in side}) for side in (case.till, case.books))
    sold, booked = (join([message(each) if each == "none" else each for each in side]) for side in (till, books))
    if books == ["none"]:
        return message("sold at branch {sold}, booked without a branch", sold=sold)
    return message("sold at branch {sold}, booked at branch {booked}", sold=sold, booked=booked)


def _say_payment(case: _Case) -> str:
    till, books = (Amount(total_of(side, Measure.TENDER)) for side in (case.till, case.books))
    payments = list(dict.fromkeys(record.name for record in case.documents if record.entity == "Payment"))
    named = join(payments) if payments else message("no payment")
    return message("the till took {till}, the books hold {books} ({payments})", till=till, books=books, payments=named)


def _say_amounts(case: _Case) -> str:
    till, books = (Amount(total_of(side, *TURNOVER)) for side in (case.till, case.books))
    said = "the till says {till}, {documents} {books}: changed in QuickBooks, or at the till after it was booked"
    return message(said, till=till, documents=_list(case.present), books=books)


def _say_sides(case: _Case, measure: Measure, template: str, nothing: str = "") -> str:
    """The template with the keys of both sides; `nothing` where the books have none."""
    till, books = ({cell.key for cell in side if cell.measure is measure} for side in (case.till, case.books))
    return message(template, till=", ".join(sorted(till)), books=", ".join(sorted(books)) or message(nothing))


def _list(records: Sequence[BooksRecord]) -> str:
    return join([record.name for record in records if record.entity != "Payment"] or ["-"])


def _days(side: Figures, *measures: Measure) -> str:
    return ", ".join(sorted({str(cell.day) for cell in side if not measures or cell.measure in measures}))


# The first that applies is reported.
_CAUSES: Sequence[tuple[Cause, Callable[[_Case], object], Callable[[_Case], str]]] = (
    (
        Cause.UNKNOWN_SALE,
        lambda case: not case.sales,
        lambda case: message("the till has no sale {sale}", sale=case.documents[0].group),
    ),
    (
        Cause.LEFT_OUT,
        lambda case: not case.present and all(sale.left_out for sale in case.sales),
        lambda case: join(list(dict.fromkeys(sale.left_out or "" for sale in case.sales)), "{first}; {second}"),
    ),
    (
        Cause.DELETED,
        lambda case: not case.present and case.having(DocumentState.GONE),
        lambda case: message("{document} was deleted in QuickBooks", document=_list(case.having(DocumentState.GONE))),
    ),
    (
        Cause.VOIDED,
        lambda case: not case.present and case.having(DocumentState.VOIDED),
        lambda case: message("{document} was voided in QuickBooks", document=_list(case.having(DocumentState.VOIDED))),
    ),
    (Cause.NOT_BOOKED, lambda case: not case.present, _say_not_booked),
    (
        Cause.TWICE,
        lambda case: sum(not record.partial for record in case.present) > 1 or any(r.foreign for r in case.present),
        _say_twice,
    ),
    (
        Cause.ACCOUNT,
        lambda case: case.is_of(Measure.ACCOUNT),
        lambda case: _say_sides(
            case, Measure.ACCOUNT, "to be received on {till}; the books have it on {books}", "no account"
        ),
    ),
    (
        Cause.PAID_OTHER_DAY,
        lambda case: case.is_of(*_MONEY) and _same(case, day=date.min),
        lambda case: message(
            "paid on {paid}; the books have the money on {booked}",
            paid=_days(case.till, Measure.TENDER),
            booked=_days(case.books, Measure.TENDER),
        ),
    ),
    (Cause.OTHER_DAY, lambda case: _same(case, day=date.min), _say_moved),
    (Cause.OTHER_BRANCH, lambda case: _same(case, branch=None), _say_elsewhere),
    (
        Cause.TENDER,
        lambda case: case.is_of(*_MONEY) and not total_of(case.difference, Measure.TENDER),
        lambda case: _say_sides(case, Measure.TENDER, "paid with {till}; the books say {books}"),
    ),
    (Cause.PAYMENT, lambda case: case.is_of(*_MONEY), _say_payment),
    # The VAT is the till's, cents of the net are on a line without VAT: the books tax the sum of a code's lines.
    (
        Cause.ROUNDING_LINE,
        lambda case: (case.is_rounding and case.is_of(Measure.NET)) or case.is_set_apart,
        lambda _: "total and VAT are the till's; cents of net stand apart",
    ),
    (
        Cause.ROUNDING,
        lambda case: case.is_rounding,
        lambda _: "the total is the till's; the books round its VAT differently",
    ),
    (
        Cause.RATE,
        lambda case: case.is_taxed_otherwise,
        lambda case: _say_sides(
            case, Measure.NET, "the total is the till's; VAT of {till} % there, of {books} % in the books"
        ),
    ),
    (Cause.AMOUNTS, lambda _: True, _say_amounts),
)


_RESEND = "./run resend {order}"
_REMEDIES: Mapping[Cause, str] = {
    Cause.LEFT_OUT: f"nothing, if that is meant; else change the settings, then {_RESEND}",
    Cause.DELETED: f"{_RESEND} books it again; if it was deleted on purpose, cancel the sale at the till",
    Cause.VOIDED: f"{_RESEND} gives it its amounts back; if it was voided on purpose, cancel the sale at the till",
    Cause.TWICE: "void all but one in QuickBooks; keep the one with the gateway's marker in its private note",
    Cause.OTHER_DAY: "set the date of {documents} back in QuickBooks, unless the books were closed on that day",
    Cause.PAID_OTHER_DAY: "correct the date of {payments} in QuickBooks; what holds sale and money has one day",
    Cause.OTHER_BRANCH: "choose the branch as location of {documents} in QuickBooks, or correct mapping.departments",
    Cause.TENDER: "correct the payment method of {payments} in QuickBooks",
    Cause.ACCOUNT: "choose the account that mapping.deposit_accounts names on {payments} in QuickBooks",
    Cause.PAYMENT: "correct {payments} in QuickBooks, or delete it there and have it posted again by {command}",
    Cause.ROUNDING_LINE: "nothing: so the VAT is right in books that tax the sum of a code's lines",
    Cause.ROUNDING: f"delete {{documents}} in QuickBooks and {_RESEND}, if a cent of VAT matters",
    Cause.RATE: "choose the right VAT code on the lines of {documents} in QuickBooks",
    Cause.AMOUNTS: f"put {{documents}} right in QuickBooks, or delete it there and {_RESEND}",
    Cause.UNKNOWN_SALE: "void {documents} in QuickBooks, unless it is a sale of another installation",
}
_BY_STATE: Mapping[str, str] = {
    "parked": "repair what the reason says, then retry event {event}",
    "skipped": f"if that is wrong, change the settings, then {_RESEND}",
    "done": f"{_RESEND} books it again",
}


def _find_remedy(cause: Cause, case: _Case) -> str:
    """What to do about a difference of this cause; it may be "wait"."""
    sale_state = case.sale_state
    if cause is not Cause.NOT_BOOKED:
        template = _REMEDIES[cause]
    elif sale_state is None:
        template = _RESEND
    else:
        template = _BY_STATE.get(sale_state.state, "wait: event {event} is on its way; ./run events shows it")
    named = [record.name for record in case.documents if record.entity != "Payment"]
    payments = [record.name for record in case.documents if record.entity == "Payment"] or named
    order = next((sale.number for sale in case.sales if sale.number), None) or "ORDER"
    return message(
        template,
        order=order,
        documents=join(list(dict.fromkeys(named)) or [message("the document")]),
        payments=join(list(dict.fromkeys(payments)) or [message("the payment")]),
        event=sale_state.event if sale_state else "",
        command=_RESEND.format(order=order),
    )


def unexplained(differences: Figures) -> DifferenceRow:
    return DifferenceRow(
        Cause.UNEXPLAINED,
        "-",
        "the gateway cannot say which record makes this difference",
        differences,
        fix="run the comparison again; if it stays, report it with the JSON of this report",
    )

"""Why the documents of a sale differ from the sale: the records of both sides, the cause in words, and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from mapping.figures import Cell, Figures, Measure, add, subtract, total_of, within
from mapping.messages import Amount, join, message


class Cause(StrEnum):
    """Why a record makes a difference."""

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
    """The state of a document of ours in the books."""

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
        return f"{self.entity} {self.number or self.id}"


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
_TURNOVER = (Measure.NET, Measure.VAT)
_MONEY = (Measure.TENDER, Measure.ACCOUNT)


@dataclass(frozen=True, slots=True)
class _Case:
    """One group: its sales, its documents, and what both add up to over all days."""

    sales: Sequence[TillRecord]
    documents: Sequence[BooksRecord]
    till: Figures
    books: Figures

    @property
    def difference(self) -> dict[Cell, int]:
        return subtract(self.books, self.till)

    def having(self, state: DocumentState) -> list[BooksRecord]:
        return [record for record in self.documents if record.state is state]

    def whole(self) -> list[BooksRecord]:
        """Documents of which one is enough for the sale."""
        return [record for record in self.having(DocumentState.PRESENT) if not record.partial]


def explain(
    sales: Sequence[TillRecord], documents: Sequence[BooksRecord], start: date, through: date
) -> DifferenceRow | None:
    """The row of one group, or None if it makes no difference on these days."""
    case = _Case(sales, documents, add(s.figures for s in sales), add(d.figures for d in documents))
    differences = within(case.difference, start, through)
    if not differences:
        return None
    cause, reason = next((cause, words(case)) for cause, fits, words in _CAUSES if fits(case))
    sale_state = next((sale.sale_state for sale in sales if sale.sale_state), None)
    fix = find_remedy(cause, sales, documents)
    return DifferenceRow(
        cause, _name(case), reason, differences, tuple(documents), sale_state, fix, by_policy=_is_policy(cause, case)
    )


def _is_policy(cause: Cause, case: _Case) -> bool:
    """Whether it follows from the settings: left out, moved out of closed books, a rounding line, or adopted."""
    if cause in {Cause.LEFT_OUT, Cause.ROUNDING_LINE}:
        return True
    if cause in {Cause.OTHER_DAY, Cause.PAID_OTHER_DAY} and any(record.note for record in case.documents):
        return True
    adopted = bool(case.documents) and all(record.adopted for record in case.documents)
    return adopted and not total_of(case.difference, *_TURNOVER)


def _name(case: _Case) -> str:
    named = [sale.name for sale in case.sales] or [record.name for record in case.documents]
    return named[0] if len(named) == 1 else f"{named[0]} and {len(named) - 1} more"


# --- conditions --------------------------------------------------------------------------------------------------


def _is_missing(case: _Case) -> bool:
    return not case.having(DocumentState.PRESENT)


def _is_left_out(case: _Case) -> bool:
    return _is_missing(case) and all(sale.left_out for sale in case.sales)


def _is_deleted(case: _Case) -> bool:
    return _is_missing(case) and bool(case.having(DocumentState.GONE))


def _is_voided(case: _Case) -> bool:
    return _is_missing(case) and bool(case.having(DocumentState.VOIDED))


def _is_twice(case: _Case) -> bool:
    return len(case.whole()) > 1 or any(record.foreign for record in case.having(DocumentState.PRESENT))


def _is_moved(case: _Case) -> bool:
    return _same(case, lambda cell: replace(cell, day=date.min))


def _is_paid_another_day(case: _Case) -> bool:
    return _is_payment(case) and _is_moved(case)


def _is_elsewhere(case: _Case) -> bool:
    return _same(case, lambda cell: replace(cell, branch=None))


def _is_tender(case: _Case) -> bool:
    return _is_payment(case) and not total_of(case.difference, Measure.TENDER)


def _is_payment(case: _Case) -> bool:
    return all(cell.measure in _MONEY for cell in case.difference)


def _is_received_elsewhere(case: _Case) -> bool:
    return all(cell.measure is Measure.ACCOUNT for cell in case.difference)


def _is_rounding(case: _Case) -> bool:
    return _is_taxed_otherwise(case) and max(map(abs, case.difference.values())) <= LARGEST_ROUNDING_CENTS


def _is_on_rounding_line(case: _Case) -> bool:
    """The VAT is the till's, cents of the net are on a line without VAT: the books tax the sum of a code's lines."""
    return _is_rounding(case) and all(cell.measure is Measure.NET for cell in case.difference)


def _is_taxed_otherwise(case: _Case) -> bool:
    return all(cell.measure in _TURNOVER for cell in case.difference) and not total_of(case.difference, *_TURNOVER)


def _same(case: _Case, blur: Callable[[Cell], Cell]) -> bool:
    """Whether both sides are equal after the cells are simplified."""
    return not add({blur(cell): cents} for cell, cents in case.difference.items())


# --- in words ----------------------------------------------------------------------------------------------------


def _say_left_out(case: _Case) -> str:
    return join(list(dict.fromkeys(sale.left_out or "" for sale in case.sales)), "{first}; {second}")


def _say_not_booked(case: _Case) -> str:
    known = next((sale.sale_state for sale in case.sales if sale.sale_state), None)
    if known is None:
        return "the gateway has never heard of it: a backfill from its day brings it"
    said = message("event {event} is {state}", event=known.event, state=message(known.state))
    return message("{event}: {reason}", event=said, reason=message(known.reason)) if known.reason else said


def _say_deleted(case: _Case) -> str:
    return message("{document} was deleted in QuickBooks", document=_list(case.having(DocumentState.GONE)))


def _say_voided(case: _Case) -> str:
    return message("{document} was voided in QuickBooks", document=_list(case.having(DocumentState.VOIDED)))


def _say_twice(case: _Case) -> str:
    same = message("{documents} are the same sale", documents=_list(case.having(DocumentState.PRESENT)))
    foreign = [record for record in case.documents if record.foreign and record.entity != "Payment"]
    strange = message("{document} was booked by something else", document=_list(foreign))
    return join((same, strange), "{first}; {second}") if foreign else same


def _say_moved(case: _Case) -> str:
    sold, booked = (_days(side) for side in (case.till, case.books))
    said = message("sold on {sold}, booked on {booked}", sold=sold, booked=booked)
    note = next((record.note for record in case.documents if record.note), None)
    return message("{said} ({note})", said=said, note=note) if note else said


def _say_paid_another_day(case: _Case) -> str:
    paid, booked = (_days(_tenders(side)) for side in (case.till, case.books))
    return message("paid on {paid}; the books have the money on {booked}", paid=paid, booked=booked)


def _say_elsewhere(case: _Case) -> str:
    till, books = (sorted({str(cell.branch or "none") for cell in side}) for side in (case.till, case.books))
    sold, booked = (join([message(each) if each == "none" else each for each in side]) for side in (till, books))
    return message("sold at branch {sold}, booked at branch {booked}", sold=sold, booked=booked)


def _say_payment(case: _Case) -> str:
    till, books = (Amount(total_of(side, Measure.TENDER)) for side in (case.till, case.books))
    payments = list(dict.fromkeys(record.name for record in case.documents if record.entity == "Payment"))
    named = join(payments) if payments else message("no payment")
    return message("the till took {till}, the books hold {books} ({payments})", till=till, books=books, payments=named)


def _say_tender(case: _Case) -> str:
    till, books = _keys(case, Measure.TENDER)
    return message("paid with {till}; the books say {books}", till=till, books=books)


def _say_account(case: _Case) -> str:
    till, books = _keys(case, Measure.ACCOUNT)
    books = books or message("no account")
    return message("to be received on {till}; the books have it on {books}", till=till, books=books)


def _say_rate(case: _Case) -> str:
    till, books = _keys(case, Measure.NET)
    said = "the total is the till's; VAT of {till} % there, of {books} % in the books"
    return message(said, till=till, books=books)


def _say_amounts(case: _Case) -> str:
    till, books = (Amount(total_of(side, *_TURNOVER)) for side in (case.till, case.books))
    said = "the till says {till}, {documents} {books}: changed in QuickBooks, or at the till after it was booked"
    return message(said, till=till, documents=_list(case.having(DocumentState.PRESENT)), books=books)


def _keys(case: _Case, measure: Measure) -> list[str]:
    sides = ({cell.key for cell in side if cell.measure is measure} for side in (case.till, case.books))
    return [", ".join(sorted(side)) for side in sides]


def _list(records: Sequence[BooksRecord]) -> str:
    return ", ".join(record.name for record in records if record.entity != "Payment") or "-"


def _tenders(side: Figures) -> Figures:
    return {cell: cents for cell, cents in side.items() if cell.measure is Measure.TENDER}


def _days(side: Figures) -> str:
    return ", ".join(str(day) for day in sorted({cell.day for cell in side}))


# The first that applies is reported.
_CAUSES: Sequence[tuple[Cause, Callable[[_Case], bool], Callable[[_Case], str]]] = (
    (
        Cause.UNKNOWN_SALE,
        lambda case: not case.sales,
        lambda case: message("the till has no sale {sale}", sale=case.documents[0].group),
    ),
    (Cause.LEFT_OUT, _is_left_out, _say_left_out),
    (Cause.DELETED, _is_deleted, _say_deleted),
    (Cause.VOIDED, _is_voided, _say_voided),
    (Cause.NOT_BOOKED, _is_missing, _say_not_booked),
    (Cause.TWICE, _is_twice, _say_twice),
    (Cause.ACCOUNT, _is_received_elsewhere, _say_account),
    (Cause.PAID_OTHER_DAY, _is_paid_another_day, _say_paid_another_day),
    (Cause.OTHER_DAY, _is_moved, _say_moved),
    (Cause.OTHER_BRANCH, _is_elsewhere, _say_elsewhere),
    (Cause.TENDER, _is_tender, _say_tender),
    (Cause.PAYMENT, _is_payment, _say_payment),
    (Cause.ROUNDING_LINE, _is_on_rounding_line, lambda _: "total and VAT are the till's; cents of net stand apart"),
    (Cause.ROUNDING, _is_rounding, lambda _: "the total is the till's; the books round its VAT differently"),
    (Cause.RATE, _is_taxed_otherwise, _say_rate),
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
    Cause.UNEXPLAINED: "run the comparison again; if it stays, report it with the JSON of this report",
}
_BY_STATE: Mapping[str, str] = {
    "parked": "repair what the reason says, then retry event {event}",
    "skipped": f"if that is wrong, change the settings, then {_RESEND}",
    "done": f"{_RESEND} books it again",
}


def find_remedy(cause: Cause, sales: Sequence[TillRecord], documents: Sequence[BooksRecord]) -> str:
    """What to do about a difference of this cause; it may be "wait"."""
    sale_state = next((sale.sale_state for sale in sales if sale.sale_state), None)
    template = _for_missing(sale_state) if cause is Cause.NOT_BOOKED else _REMEDIES[cause]
    named = [record.name for record in documents if record.entity != "Payment"]
    payments = [record.name for record in documents if record.entity == "Payment"] or named
    order = next((sale.number for sale in sales if sale.number), None) or "ORDER"
    return message(
        template,
        order=order,
        documents=join(list(dict.fromkeys(named)) or [message("the document")]),
        payments=join(list(dict.fromkeys(payments)) or [message("the payment")]),
        event=sale_state.event if sale_state else "",
        command=_RESEND.format(order=order),
    )


def _for_missing(sale_state: SaleState | None) -> str:
    if sale_state is None:
        return _RESEND
    return _BY_STATE.get(sale_state.state, "wait: event {event} is on its way; ./run events shows it")

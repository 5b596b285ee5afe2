"""Why the documents of a sale differ from the sale: the cause, in words, with all differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from mapping.agreement_records import BooksRecord, Cause, DifferenceRow, DocumentState, TillRecord
from mapping.agreement_remedies import find_remedy
from mapping.figures import Cell, Figures, Measure, add, subtract, total_of, within
from mapping.money import show_cents

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
    """Whether it follows from the settings: left out, moved out of closed books, or adopted."""
    if cause is Cause.LEFT_OUT:
        return True
    if cause in {Cause.OTHER_DAY, Cause.PAID_OTHER_DAY} and any(record.note for record in case.documents):
        return True
    adopted = bool(case.documents) and all(record.adopted for record in case.documents)
    return adopted and not total_of(case.difference, *_TURNOVER)


def _name(case: _Case) -> str:
    named = [sale.name for sale in case.sales] or [record.name for record in case.documents]
    return named[0] if len(named) == 1 else f"{named[0]} and {len(named) - 1} more"


# --- conditions --------------------------------------------------------------------------------------------------


def _is_unknown_sale(case: _Case) -> bool:
    return not case.sales


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
    return not total_of(case.difference, *_TURNOVER) and all(
        abs(cents) <= LARGEST_ROUNDING_CENTS and cell.measure in _TURNOVER for cell, cents in case.difference.items()
    )


def _is_taxed_otherwise(case: _Case) -> bool:
    return all(cell.measure in _TURNOVER for cell in case.difference) and not total_of(case.difference, *_TURNOVER)


def _is_anything(_case: _Case) -> bool:
    return True


def _same(case: _Case, blur: Callable[[Cell], Cell]) -> bool:
    """Whether both sides are equal after the cells are simplified."""
    return not add({blur(cell): cents} for cell, cents in case.difference.items())


# --- in words ----------------------------------------------------------------------------------------------------


def _say_unknown_sale(case: _Case) -> str:
    return f"the till knows no sale {case.documents[0].group}"


def _say_left_out(case: _Case) -> str:
    return "; ".join(dict.fromkeys(sale.left_out or "" for sale in case.sales))


def _say_not_booked(case: _Case) -> str:
    sale_states = [sale.sale_state for sale in case.sales if sale.sale_state]
    if not sale_states:
        return "the gateway has never heard of it: a backfill from its day brings it"
    sale_state = sale_states[0]
    return f"event {sale_state.event} is {sale_state.state}{f': {sale_state.reason}' if sale_state.reason else ''}"


def _say_deleted(case: _Case) -> str:
    return f"{_list(case.having(DocumentState.GONE))} was deleted in QuickBooks"


def _say_voided(case: _Case) -> str:
    return f"{_list(case.having(DocumentState.VOIDED))} was voided in QuickBooks"


def _say_twice(case: _Case) -> str:
    foreign = _list([record for record in case.documents if record.foreign])
    strange = f"; {foreign} was booked by something else" if foreign != "-" else ""
    return f"{_list(case.having(DocumentState.PRESENT))} are the same sale{strange}"


def _say_moved(case: _Case) -> str:
    sold, booked = (_days(side) for side in (case.till, case.books))
    notes = next((record.note for record in case.documents if record.note), None)
    return f"sold on {sold}, booked on {booked}{f' ({notes})' if notes else ''}"


def _say_paid_another_day(case: _Case) -> str:
    paid, booked = (_days(_tenders(side)) for side in (case.till, case.books))
    return f"paid on {paid}; the books have the money on {booked}"


def _say_elsewhere(case: _Case) -> str:
    sold, booked = (sorted({str(cell.branch or "none") for cell in side}) for side in (case.till, case.books))
    return f"sold at branch {', '.join(sold)}, booked at branch {', '.join(booked)}"


def _say_payment(case: _Case) -> str:
    till, books = (total_of(side, Measure.TENDER) for side in (case.till, case.books))
    payments = list(dict.fromkeys(record.name for record in case.documents if record.entity == "Payment"))
    return (
        f"the till took {show_cents(till)}, the books hold {show_cents(books)} ({', '.join(payments) or 'no payment'})"
    )


def _say_tender(case: _Case) -> str:
    till, books = (sorted({c.key for c in side if c.measure is Measure.TENDER}) for side in (case.till, case.books))
    return f"paid with {', '.join(till)}; the books say {', '.join(books)}"


def _say_account(case: _Case) -> str:
    till, books = (sorted({c.key for c in side if c.measure is Measure.ACCOUNT}) for side in (case.till, case.books))
    return f"to be received on {', '.join(till)}; the books have it on {', '.join(books) or 'no account'}"


def _say_rate(case: _Case) -> str:
    till, books = (
        sorted({cell.key for cell in side if cell.measure is Measure.NET}) for side in (case.till, case.books)
    )
    return f"the total is the till's; VAT of {', '.join(till)} % there, of {', '.join(books)} % in the books"


def _say_rounding(_case: _Case) -> str:
    return "the total is the till's; the books round its VAT differently"


def _say_amounts(case: _Case) -> str:
    till, books = (total_of(side, *_TURNOVER) for side in (case.till, case.books))
    changed = "changed in QuickBooks, or at the till after it was booked"
    return (
        f"the till says {show_cents(till)}, {_list(case.having(DocumentState.PRESENT))} {show_cents(books)}: {changed}"
    )


def _list(records: Sequence[BooksRecord]) -> str:
    return ", ".join(record.name for record in records if record.entity != "Payment") or "-"


def _tenders(side: Figures) -> Figures:
    return {cell: cents for cell, cents in side.items() if cell.measure is Measure.TENDER}


def _days(side: Figures) -> str:
    return ", ".join(str(day) for day in sorted({cell.day for cell in side}))


# The first that applies is reported.
_CAUSES: Sequence[tuple[Cause, Callable[[_Case], bool], Callable[[_Case], str]]] = (
    (Cause.UNKNOWN_SALE, _is_unknown_sale, _say_unknown_sale),
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
    (Cause.ROUNDING, _is_rounding, _say_rounding),
    (Cause.RATE, _is_taxed_otherwise, _say_rate),
    (Cause.AMOUNTS, _is_anything, _say_amounts),
)

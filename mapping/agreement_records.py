"""The types of the agreement: a record of each side, and the row that explains the difference of one record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mapping.figures import Figures


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

"""What to do with a sale, decided from what is known of it: nothing is read or written here.

A real run takes the step, a dry run describes it. What is not known yet is loaded by a step of its own, then it is
decided again.

| step | when | what is done |
| --- | --- | --- |
| WATCH | booked as an invoice, and perhaps written again | a later search for doubles is requested; decided again |
| ORDER_BOOKED | an order that an earlier version booked as a document | nothing |
| DEPOSITS | an order | each payment of it is booked: `money_documents.handle` |
| SUM_UP | its day's document contains it, or will | it waits for that document: `days.hand_over` |
| SEARCH | cancelled, and perhaps booked by a write whose answer was lost | its document is searched; decided again |
| LOOK | booked, and a person requests it | what is left of it in the books is read; decided again |
| SEEK | its document was removed from the books | another document of it is searched; decided again |
| READ | what follows depends on the document in the books | it is read; decided again |
| COMPARE | the document was read, and would be written | it is compared with what was written last; decided again |
| CHECK | an attempt did not finish, and `orders.changed` is "park" | the document is compared with the sale |
| DRAFT | an invoice of which perhaps only the payments differ | the sale is mapped; decided again |
| REFUSE | not to be booked now, and not booked, or booked as it is | skipped with the reason |
| SKIP | booked as another record | nothing |
| BOOK | to be booked | `booking.book`; an earlier version that is found in the books is followed |
| NOTHING | booked as it is | nothing |
| RESTORE | booked as it is, and a person requests it | payments and credits are repaired: `repairs.restore` |
| RELINK | removed from the books, and another document of it is there | that one is linked; decided again |
| BOOK_AGAIN | its document was deleted, and a person requests it | booked again |
| REVIVE | its document was voided, and a person requests it | the document gets its amounts back |
| TRY_UNREAD | changed or cancelled | written by its last SyncToken, if nothing else belongs to it; else decided again |
| SETTLE | only its payments differ | they are brought to what the till says: `booking.settle` |
| UPDATE | changed since it was booked | its document is updated: `booking.update` |
| REPLACE | changed, and another kind of document now | the document is deleted and a new one booked |
| WITHDRAW | cancelled after it was booked | its document is voided: `booking.withdraw` |
| LEAVE_GONE | cancelled, and its document was removed from the books | what is left beside it is removed |
| PARK_UNBOOKABLE | booked, and changed so that it is not to be booked | a person corrects the document |
| PARK_ADOPTED | changed, and something else booked it | the same |
| PARK_CHANGED | changed, and `orders.changed` is "park" | the same |
| PARK_CANCELLED | cancelled, and `orders.cancelled` is "park" | the same |
| PARK_EDITED | changed, and its document was edited in the books | the same |
| PARK_GONE | changed, and its document was removed from the books | a person requests it, or leaves it |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.store.events import PEOPLE, Event
from gateway.store.links import BookingStatus, Link
from handlers.result import Result, parked
from handlers.sales import bookings
from mapping import sale_identity
from mapping.errors import NotBookable
from mapping.messages import message
from mapping.orders import Assessment, Posting
from mapping.records import BookedDocument, DocumentKind, Sale, SaleKind

Step = Enum(
    "Step",
    "WATCH ORDER_BOOKED DEPOSITS SUM_UP SEARCH LOOK SEEK READ COMPARE CHECK DRAFT REFUSE SKIP BOOK NOTHING RESTORE"
    " RELINK BOOK_AGAIN REVIVE TRY_UNREAD SETTLE UPDATE REPLACE WITHDRAW LEAVE_GONE PARK_UNBOOKABLE PARK_ADOPTED"
    " PARK_CHANGED PARK_CANCELLED PARK_EDITED PARK_GONE",
)
"""What to do with a sale: see the table at the head of this module."""
PARK: Final = "park"


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a sale. `other`: why it must not be booked although it has no link.

    `maybe_written`: an earlier attempt may have booked it. `records`: what events that this sale may settle call it.
    `watched`: WATCH is not needed, or was taken; `looked`: LOOK or SEARCH was taken; `tried`: TRY_UNREAD was.
    The rest is loaded when needed. `current`: its document, if `read`; `successor`: another one, if `sought`; `edited`:
    whether somebody edited the document (None: not compared); `unchanged`: whether it contains the sale as it is now.
    While it is booked: `is_found`: `current` was in the books already; `generation` counts the documents that it had
    before; `is_new`: nothing can hang on its document yet.
    """

    assessment: Assessment
    event: Event
    link: Link | None
    other: str | None
    maybe_written: bool
    records: tuple[str, ...]
    watched: bool = True
    looked: bool = False
    tried: bool = False
    attempts: int = 0
    read: bool = False
    current: BookedDocument | None = None
    sought: bool = False
    successor: BookedDocument | None = None
    edited: bool | None = None
    unchanged: bool | None = None
    posting: Posting | None = None
    is_found: bool = False
    generation: int = 0
    is_new: bool = False

    @property
    def sale(self) -> Sale:
        return self.assessment.sale

    @property
    def refusal(self) -> NotBookable | None:
        """Why it is not to be booked now."""
        return self.assessment.refusal

    @property
    def kind(self) -> DocumentKind:
        """As which document it would be booked now."""
        return self.assessment.kind_as(self.booked.target_entity)

    @property
    def is_summed_up(self) -> bool:
        """Whether its day's document contains it, or will."""
        if self.link is not None:
            return self.link.day is not None
        return self.assessment.is_summarised and self.other is None

    @property
    def booked(self) -> Link:
        if self.link is None:
            raise LookupError(self.sale.id)
        return self.link

    @property
    def document(self) -> BookedDocument:
        if self.current is None:
            raise LookupError(self.sale.id)
        return self.current

    @property
    def draft(self) -> Posting:
        if self.posting is None:
            raise LookupError(self.sale.id)
        return self.posting

    @property
    def is_asked(self) -> bool:
        """Whether a person requests it."""
        return self.event.source in PEOPLE

    @property
    def is_lost(self) -> bool:
        """Each write is stored step by step: the books are searched only if an attempt may have been lost."""
        return self.maybe_written or self.booked.fingerprint is None

    @property
    def is_same_kind(self) -> bool:
        return self.kind == self.booked.target_entity

    @property
    def is_as_left(self) -> bool:
        """Whether the last write was finished, on the day that the sale still has, as far as its link tells."""
        link, day = self.booked, self.sale.business_date.isoformat()
        finished = bool(link.fingerprint and link.sync_token and bookings.detail(link, "seen"))
        in_books = not (link.status.is_gone or link.status.is_our_doing or link.adopted)
        settled = in_books and not bookings.detail(link, "sent")
        return finished and settled and bookings.detail(link, "dated") == day

    @property
    def gone(self) -> BookingStatus | None:
        """How others removed its document from the books; None if they did not, as far as that is known."""
        status, is_ours = self.booked.status, False
        if status.is_gone:
            return status
        if not self.read or not (self.current is None or self.current.voided):
            return None
        if not self.refusal:
            is_replaced = status is BookingStatus.REPLACING and not self.is_same_kind
            is_ours = is_replaced or (status is BookingStatus.WITHDRAWN and self.current is not None)
        return None if is_ours else bookings.gone_status(self.current)


def decide(known: Context) -> Step:
    """The next step of this sale."""
    if not known.watched:
        return Step.WATCH
    if known.sale.kind is SaleKind.ORDER:
        return Step.ORDER_BOOKED if known.link else Step.DEPOSITS
    if known.is_summed_up:
        return Step.SUM_UP
    return _decide_linked(known, known.link) if known.link else _decide_unlinked(known)


def _decide_unlinked(known: Context) -> Step:
    if known.refusal:
        is_search = known.assessment.is_withdrawn and known.maybe_written and not known.looked
        return Step.SEARCH if is_search else Step.REFUSE
    return Step.SKIP if known.other else Step.BOOK


def _decide_linked(known: Context, link: Link) -> Step:
    if known.is_asked and not known.looked:
        return Step.LOOK
    return _decide_unbookable(known, link) if known.refusal else _decide_bookable(known, link)


def _decide_bookable(known: Context, link: Link) -> Step:
    if known.gone:
        return _decide_gone(known)
    if link.fingerprint != known.assessment.content:
        return _decide_changed(known, link)
    is_settled_apart = link.target_entity in (DocumentKind.INVOICE, DocumentKind.CREDIT_MEMO)
    if not known.is_asked or link.adopted or not is_settled_apart:
        return Step.NOTHING
    return Step.RESTORE if known.read else Step.READ


def _decide_unbookable(known: Context, link: Link) -> Step:
    if link.fingerprint == known.assessment.content:
        return Step.REFUSE
    if not known.assessment.is_withdrawn:
        is_off = sale_identity.why_off(known.sale, known.assessment.settings.orders)
        return Step.REFUSE if is_off else Step.PARK_UNBOOKABLE
    if known.gone:
        return _decide_successor(known) or Step.LEAVE_GONE
    if link.adopted:
        return Step.PARK_ADOPTED
    if known.assessment.settings.orders.cancelled == PARK:
        return Step.PARK_CANCELLED
    return _decide_compared(known) or Step.WITHDRAW


def _decide_gone(known: Context) -> Step:
    if step := _decide_successor(known):
        return step
    if not known.is_asked:
        return Step.PARK_GONE
    if known.gone is BookingStatus.DELETED or (known.read and known.current is None):
        return Step.BOOK_AGAIN
    return Step.REVIVE if known.read else Step.READ


def _decide_successor(known: Context) -> Step | None:
    if not known.sought:
        return Step.SEEK
    return Step.RELINK if known.successor else None


def _decide_changed(known: Context, link: Link) -> Step:
    if link.adopted:
        return Step.PARK_ADOPTED
    if link.status is BookingStatus.WITHDRAWN and known.is_same_kind:
        return Step.REVIVE if known.current and known.current.voided else _decide_compared(known) or Step.UPDATE
    step = _decide_payments(known, link)
    if not step and known.assessment.settings.orders.changed == PARK:
        step = _decide_unfinished(known, link)
    if step:
        return step
    if not known.is_same_kind and known.read and known.current is None:
        return Step.REPLACE
    return _decide_compared(known) or (Step.UPDATE if known.is_same_kind else Step.REPLACE)


def _decide_payments(known: Context, link: Link) -> Step | None:
    """Of an invoice with the same goods only payments differ, or a refund, which is a line of it."""
    same_goods = bookings.detail(link, "goods") == sale_identity.goods(known.sale)
    if not (known.kind is DocumentKind.INVOICE and known.is_same_kind and same_goods):
        return None
    if not known.read:
        return Step.READ
    if known.posting is None:
        return Step.DRAFT
    if known.posting.document.total == known.document.total:
        return Step.SETTLE
    return _decide_compared(known) or Step.UPDATE


def _decide_unfinished(known: Context, link: Link) -> Step | None:
    """A changed sale is parked, unless its document contains it as it is now and only later steps are missing."""
    if link.fingerprint is not None or not known.is_same_kind:
        return Step.PARK_CHANGED
    if known.unchanged is None:
        return Step.CHECK if known.read else Step.READ
    return None if known.unchanged else Step.PARK_CHANGED


def _decide_compared(known: Context) -> Step | None:
    """What comes before a document is written: the write unread, or else the proof that nobody edited it."""
    if not known.read:
        return Step.READ if known.tried else Step.TRY_UNREAD
    if known.edited is None:
        return Step.COMPARE
    return Step.PARK_EDITED if known.edited else None


_PARKED: Final[Mapping[Step, tuple[str, str]]] = {
    Step.PARK_ADOPTED: ("changed at the till, and something else booked it: it was linked only", "adopted"),
    Step.PARK_CHANGED: ("was changed at the till after it was booked", "changed-after-booking"),
    Step.PARK_CANCELLED: ("was cancelled at the till after it was booked", "cancelled-after-booking"),
    Step.PARK_EDITED: ("changed at the till, but its document was edited in QuickBooks", "edited-in-books"),
    Step.PARK_GONE: ("changed at the till, but its document was {how} in QuickBooks", bookings.GONE_IN_BOOKS),
}
"""What is said of the sale, and the code."""


PARKING: Final = (Step.PARK_UNBOOKABLE, *_PARKED)
"""The steps that leave the sale to a person."""


def park(step: Step, known: Context) -> Result:
    """A person has to act: the sale stays as it is in the books."""
    link, record = known.booked, sale_identity.name_record(known.sale)
    code, fix = "changed-after-booking", "correct the document in QuickBooks by hand, then ignore this event"
    if step is Step.PARK_UNBOOKABLE:
        why = message(known.refusal.reason if known.refusal else "")
        reason = message("{record} is booked, and now: {reason}", record=record, reason=why)
    else:
        what, code = _PARKED[step]
        what = message(what, how=message(known.gone or ""))
        reason = message("{record} {what}", record=record, what=what)
    if step is Step.PARK_GONE:
        fix = "resend the order to book it again, or ignore this event"
    named = bookings.name_document(link)
    return parked(reason, code=code, record=named, fix=fix, target_entity=link.target_entity, target_id=link.target_id)

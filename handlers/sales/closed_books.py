"""Books that are closed through a day: an earlier posting is parked, or moved to the first open day."""

from __future__ import annotations

from datetime import date, timedelta

from gateway.errors import Permanent
from handlers.deps import Deps
from mapping import orders
from mapping.errors import MappingError
from mapping.orders import Posting

CLOSED = "6210"
_CLOSED = frozenset({CLOSED, "6200"})


def open_up(posting: Posting, deps: Deps, *, day: date | None = None) -> Posting:
    """The posting on a day that is open; `day` is the day of an earlier version of it. Raises `MappingError`."""
    wanted = day or posting.document.business_date
    closed = deps.lists.company().books_closed_through
    if closed is None or wanted > closed:
        return posting if wanted == posting.document.business_date else orders.move_to(posting, wanted)
    if day is not None or deps.settings.orders.closed_books == "park":
        raise refusal(posting, closed)
    moved = closed + timedelta(days=1)
    deps.say("the books are closed: posted on the first open day", closed_through=closed, day=moved)
    return orders.move_to(posting, moved)


def is_closed(day: date, deps: Deps) -> bool:
    """Whether the books are closed on this day."""
    closed = deps.lists.company().books_closed_through
    return closed is not None and day <= closed


def refusal(posting: Posting, closed: date | None) -> MappingError:
    """The message about a sale whose day is closed."""
    return MappingError(
        f"the books are closed through {closed}" if closed else "the books are closed on this day",
        record=posting.document.document_number,
        field="orders.closed_books",
        fix='reopen the period in QuickBooks and retry, or set orders.closed_books = "next_open_day" for new documents',
        code=CLOSED,
    )


def learn(error: Permanent, deps: Deps) -> bool:
    """Whether the books refused the day; then the company is read again."""
    if error.code not in _CLOSED:
        return False
    deps.lists.forget("company")
    return True

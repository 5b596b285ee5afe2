"""The figures of the first page: when each system was seen, whether till and books agree, what was sold today."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from sqlmodel import Session

from gateway.store import agreements, sales_list, views
from gateway.store.agreements import AgreementSum
from gateway.store.alerts import OpenCause
from gateway.store.events import Flow, State
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS
from gateway.store.sales import AMSTERDAM, SaleStatus
from gateway.store.sales_list import SaleFilter, SalesTotal
from gateway.store.systems import NAMES
from gateway.store.tables import SystemRow

NOT_FOR_THE_BOOKS: Final = (SaleStatus.SKIPPED, SaleStatus.OPEN)
_ORDER: Final = (MPLUSKASSA, QUICKBOOKS)
_PAGES: Final[Mapping[str, str]] = {Flow.PRODUCTS: "/products", Flow.STOCK: "/products", Flow.CUSTOMERS: "/customers"}


@dataclass(frozen=True, slots=True)
class SeenSystem:
    """A system of a connection: how many seconds ago it answered (None: never), and whether that is too long ago.

    `is_lost`: it answers, and refuses our login.
    """

    connection: str
    name: str
    seconds: float | None
    is_silent: bool
    failure: str | None
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class HomeFigures:
    """What the first page says of records on their way, by flow, and of days; `today` is the total of each status."""

    pending: Mapping[str, int]
    yesterday: date
    day: AgreementSum
    month: AgreementSum
    today: Mapping[str, SalesTotal]

    @property
    def sold_today(self) -> SalesTotal:
        counted = [total for status, total in self.today.items() if status not in NOT_FOR_THE_BOOKS]
        return SalesTotal(
            sum(total.count for total in counted),
            sum(total.amount_cents for total in counted),
            sum(total.vat_cents for total in counted),
        )


def look(session: Session, connection: str | None = None) -> HomeFigures:
    now = views.now_of(session)
    today = now.astimezone(AMSTERDAM).date()
    yesterday = today - timedelta(days=1)
    return HomeFigures(
        pending=views.count_pending(session, connection),
        yesterday=yesterday,
        day=agreements.sum_up(session, yesterday, yesterday, connection),
        month=agreements.sum_up(session, today.replace(day=1), today, connection),
        today=sales_list.totals_by_status(session, SaleFilter(start=today, through=today, connection=connection)),
    )


def to_query(cause: OpenCause, called: str | None) -> dict[str, str]:
    """The filter of the events of a cause; of one without a code, of its flow."""
    named = {"code": cause.code} if cause.code else {"flow": cause.flows[0]}
    return {"state": State.PARKED, **named, **({"connection": called} if called else {})}


def to_address(cause: OpenCause, called: str | None) -> str:
    """Where a person looks at a cause: at its one sale, record or event, else at the list of them."""
    if cause.count == 1 and cause.sale_id:
        return f"/sales/{cause.sale_id}"
    if cause.count == 1 and cause.record:
        kind, id_ = cause.record
        return f"/{kind}s/{id_}"
    if cause.count == 1:
        return f"/events/{cause.event_id}"
    if page := _find_list(cause):
        of = {"connection": called} if called else {}
        return f"{page}?{urlencode({'state': SaleStatus.NEEDS_ATTENTION, 'cause': cause.code, **of})}"
    return f"/events?{urlencode(to_query(cause, called))}"


def _find_list(cause: OpenCause) -> str | None:
    """The page that lists every record of the cause, if one does."""
    if cause.code is None:
        return None
    if cause.sales == cause.count:
        return "/sales"
    pages = {_PAGES.get(flow) for flow in cause.flows}
    return pages.pop() if cause.records == cause.count and len(pages) == 1 else None


def find_seen(
    rows: Sequence[SystemRow], silent: Sequence[tuple[str, str]], now: datetime, lost: Collection[str] = ()
) -> list[SeenSystem]:
    """Both systems of each connection that was ever called, the till first; `lost` have no login to QuickBooks."""
    return [
        SeenSystem(
            row.connection,
            NAMES.get(row.system, row.system),
            max(0.0, (now - row.answered_at).total_seconds()) if row.answered_at else None,
            (row.connection, row.system) in silent,
            row.failure,
            row.system == QUICKBOOKS and row.connection in lost,
        )
        for row in sorted(rows, key=lambda row: (row.connection, row.system not in _ORDER[:1]))
    ]

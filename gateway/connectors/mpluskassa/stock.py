"""The till's stock: levels, movements, bookings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import partial

from gateway.connectors.mpluskassa.answers import RecordPage, to_page
from gateway.connectors.mpluskassa.area import Area
from gateway.connectors.mpluskassa.wire import known, rows
from gateway.connectors.mpluskassa.wire_stock import movement_marker, to_booking, to_corrections, to_movement, to_stock
from gateway.errors import AuthLost, NotFound, Permanent
from mapping.records import ArticleStock, StockMovement


class Stock(Area):
    """Stock per branch, in pieces. Reads raise Transient or Permanent; writes Unanswered as well."""

    _refused_together = False

    def stock(self, branch: int, articles: Iterable[int] = ()) -> tuple[ArticleStock, ...]:
        """The stock of these articles, or (none named) of all that keep stock."""
        request = {"branchNumber": branch, "articleNumbers": {"articleNumbers": list(articles)}}
        answer = self._calls.read("getStock", request=request)
        return tuple(to_stock(row, branch=branch, default_places=self._places) for row in rows(answer, "articleStocks"))

    def stock_changes(
        self, branches: Iterable[int], since_stock_id: int, limit: int, *, articles: Iterable[int] = ()
    ) -> RecordPage[StockMovement]:
        """The bookings since a stock id (of these articles, or all), by any user.

        A page's `marker` is the highest stock id in it.
        """
        wanted = list(articles)
        request = known(
            branchNumbers=list(branches),
            articleNumbers={"articleNumbers": wanted} if wanted else None,
            sinceStockId=since_stock_id,
            sinceStockIdLimit=limit,
        )
        answer = self._calls.read("getStockHistoryV2", request=request)
        read = partial(to_movement, default_places=self._places)
        return to_page(rows(answer, "articleStockHistory"), read, marker=movement_marker, key="stockId")

    def names_employees(self) -> bool:
        """Whether this installation books stock only in the name of an employee; optional in the newest."""
        return self._calls.demands("updateStock", "request", "employeeNumber")

    def books_together(self) -> bool:
        """Whether changes of many articles can be booked with one call: supported, and not refused before."""
        if self._refused_together:
            return False
        return self._calls.knows("saveStockCorrections", "request", "correctionMode")

    def update_stock_together(
        self, branch: int, changes: Mapping[int, Decimal], *, employee: int, reference: str
    ) -> int | None:
        """Add these pieces to each article, with one call. After a refusal some of them may be booked.

        Not safe to repeat: read the stock first. Once refused, this client does not offer it again.
        """
        request = to_corrections(branch, changes, employee=employee, reference=reference)
        try:
            answer = self._calls.write("saveStockCorrections", request=request)
        except Permanent as error:
            self._refused_together = not isinstance(error, AuthLost | NotFound)
            raise
        stock_id: int | None = answer.get("stockId")
        return stock_id

    def update_stock(
        self, branch: int, article: int, change: Decimal, *, employee: int | None = None, reference: str | None = None
    ) -> int | None:
        """Add (or, negative, subtract) pieces. Not safe to repeat: after Unanswered, read the stock first."""
        request = to_booking(branch, article, change, employee=employee, reference=reference)
        stock_id: int | None = self._calls.write("updateStock", request=request).get("stockId")
        return stock_id

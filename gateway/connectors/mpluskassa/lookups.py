"""The till's small lists: versions, markers, branches, VAT, turnover groups, ways to pay, day journals."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from gateway.connectors.mpluskassa.calls import Area
from gateway.connectors.mpluskassa.faults import MissingOperation
from gateway.connectors.mpluskassa.wire import ApiVersion, rows, to_date_struct
from gateway.connectors.mpluskassa.wire_lookups import (
    marker_flags,
    to_api_version,
    to_branch,
    to_journal,
    to_payment_method,
    to_sync_markers,
    to_turnover_group,
    to_vat_groups,
)
from mapping.records import Branch, Journal, SyncMarkers, TillPaymentMethod, TurnoverGroup, VatGroup

# Orders become receipts or invoices: counting them too would count their money twice.
_REVENUE = ("JOURNAL-FILTER-RECEIPT", "JOURNAL-FILTER-INVOICE")
_ORDERS = ("JOURNAL-FILTER-ORDER",)


class Lookups(Area):
    """Reads lists that change seldom. All of it raises Transient, or Permanent and its kinds."""

    def api_version(self) -> ApiVersion:
        """The cheapest call, also used to test the connection."""
        return to_api_version(self._calls.read("getApiVersion"))

    def sync_markers(self) -> SyncMarkers:
        """The counters that show what changed since the last read."""
        try:
            return to_sync_markers(self._calls.read("getCurrentSyncMarkersV2", request=marker_flags()))
        except MissingOperation:
            pass
        return to_sync_markers(self._calls.read("getCurrentSyncMarkers"))

    def branches(self) -> tuple[Branch, ...]:
        """All branches with their workplaces."""
        return tuple(map(to_branch, rows(self._calls.read("getBranches"), "branches", "branch")))

    def vat_groups(self) -> tuple[VatGroup, ...]:
        """The VAT codes of all branches, in per cent."""
        return to_vat_groups(rows(self._calls.read("getVatGroupList"), "vatGroup"))

    def turnover_groups(self) -> tuple[TurnoverGroup, ...]:
        """The turnover groups with their ledger accounts."""
        answer = self._calls.read("getTurnoverGroups", request={})
        return tuple(map(to_turnover_group, rows(answer, "turnoverGroupList", "turnoverGroup")))

    def payment_methods(self) -> tuple[TillPaymentMethod, ...]:
        """The ways to pay."""
        try:
            answer = self._calls.read("getPaymentMethodsV2", request={})
        except MissingOperation:
            answer = self._calls.read("getPaymentMethods")
        return tuple(map(to_payment_method, rows(answer, "paymentMethodList", "paymentMethod")))

    def journals(
        self, start: date, through: date, branches: Iterable[int], *, of_orders: bool = False
    ) -> tuple[Journal, ...]:
        """The takings of each branch per business day, both dates included; the till records who asked.

        Of receipts and invoices, or of orders alone.
        """
        request = {
            "fromFinancialDate": to_date_struct(start),
            "throughFinancialDate": to_date_struct(through),
            "branchNumbers": list(branches),
            "journalFilterList": {"journalFilter": list(_ORDERS if of_orders else _REVENUE)},
            "reference": "Kassabridge",
        }
        answer = self._calls.read("getJournals", request=request)
        return tuple(map(to_journal, rows(answer, "journalList", "journal")))

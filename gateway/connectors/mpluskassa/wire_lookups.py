"""The till's small lists, versions, markers and day journals -> records. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from gateway.connectors.mpluskassa.wire import ApiVersion, Malformed, Row, need, percentage_divisor, rows, text, to_date
from gateway.connectors.mpluskassa.wire_sales import to_payment, to_vat_amount
from gateway.errors import Transient
from mapping.messages import message
from mapping.records import Branch, Journal, SyncMarkers, TillPaymentMethod, TurnoverGroup, VatGroup

MARKERS: dict[str, str] = {
    "article": "articleSyncMarker",
    "article_group": "articleGroupSyncMarker",
    "relation": "relationSyncMarker",
    "receipt": "receiptSyncMarker",
    "invoice": "invoiceSyncMarker",
    "order": "orderSyncMarker",
    "stock": "stockId",
}
"""Our name of a marker to the till's."""
_LARGEST_MARKER: Final = 2**63 - 1


def marker_flags() -> dict[str, bool]:
    return {f"include{theirs[0].upper()}{theirs[1:]}": True for theirs in MARKERS.values()}


def to_sync_markers(row: Row) -> SyncMarkers:
    """Raises Transient for a marker no till can have reached: a cursor would stand there."""
    for theirs in MARKERS.values():
        if (row.get(theirs) or 0) > _LARGEST_MARKER:
            reason = message("{operation}: the answer held no {name}", operation="getCurrentSyncMarkers", name=theirs)
            raise Transient(reason, code="MALFORMED", field=theirs)
    return SyncMarkers(**{ours: row.get(theirs) for ours, theirs in MARKERS.items()})


def to_vat_groups(found: Iterable[Row]) -> tuple[VatGroup, ...]:
    """The VAT codes of all branches, in per cent: one rate of 100 or more shows that all are in hundredths."""
    listed = list(found)
    return normalise_percentage([_vat_group(row) for row in listed])


def normalise_percentage(groups: Iterable[VatGroup]) -> tuple[VatGroup, ...]:
    """Rates as per cent, whichever of the two scales the installation writes them in."""
    listed = list(groups)
    divisor = percentage_divisor(int(group.percentage) for group in listed)
    return tuple(
        VatGroup(group.code, group.percentage / divisor, branch=group.branch, country=group.country) for group in listed
    )


def _vat_group(row: Row) -> VatGroup:
    return VatGroup(
        code=need(row, "vatCode"),
        percentage=Decimal(need(row, "vatPercentage")),
        branch=row.get("branchNumber") or None,
        country=text(row, "countryIso3"),
    )


def to_branch(row: Row) -> Branch:
    return Branch(
        number=need(row, "branchNumber"),
        name=text(row, "branchName") or "",
        country=text(row, "countryIso3"),
        workplaces=tuple(need(each, "workplaceNumber") for each in rows(row, "workplaces", "workplace")),
    )


def to_payment_method(row: Row) -> TillPaymentMethod:
    return TillPaymentMethod(
        code=need(row, "method"),
        description=text(row, "description") or "",
        type=text(row, "type"),
    )


def to_turnover_group(row: Row) -> TurnoverGroup:
    return TurnoverGroup(
        number=need(row, "turnoverGroup"),
        name=text(row, "turnoverGroupName") or "",
        type=text(row, "turnoverGroupType"),
        vat_code=row.get("defaultVatCode"),
    )


def to_journal(row: Row) -> Journal:
    day = to_date(row.get("financialDate"))
    if day is None:
        raise Malformed("the till left out the date of a journal", field="financialDate")
    vat = rows(row, "vatGroupList", "vatGroup")
    divisor = percentage_divisor(each.get("vatPercentage") for each in vat)
    return Journal(
        business_date=day,
        branch=need(row, "branchNumber"),
        vat=tuple(to_vat_amount(each, divisor) for each in vat),
        payments=tuple(to_payment(each) for each in rows(row, "paymentList", "payment")),
    )


def to_api_version(row: Row) -> ApiVersion:
    numbers = (row.get(f"service{name}Number") or 0 for name in ("Major", "Minor", "Revision"))
    return ApiVersion(
        service=text(row, "serviceVersionDisplayString") or ".".join(map(str, numbers)),
        workers=row.get("serviceMaxWorkerThreads"),
    )

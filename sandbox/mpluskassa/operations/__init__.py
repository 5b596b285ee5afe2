"""The SOAP operations the simulator carries out, by name: what was asked in, what is answered out, both as dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.mpluskassa.operations import article_groups, billing, lookups, people, products, shelves, trade
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till

Handler = Callable[[Till, Record], Record]

UNSUPPORTED = frozenset(
    {
        *("supplierRelationNumbers", "articleBarcodes", "activityId", "ownerFilter", "branchGroupFilter"),
        *("branchInvoiceNumbers", "contractFrequencyFilter", "directDebit", "dayStockOnlyFilter"),
        *("changedSinceTimestamp", "changedSinceBranchNumber", "syncMarkerExcludePreparationMethods"),
        *("includeLastMailTimelineEvents", "includeSigningTimelineEvents", "includeDirectDebitTimelineEvents"),
        "includeOtherTimelineEvents",
    }
)
"""Parts of a request that the schema knows and this simulator does not do: refused, since ignoring them would lie."""


def find_unsupported(request: Record) -> str | None:
    """The first part of a request that would be ignored, or None; an empty list of texts asks for nothing."""
    asked = request.get("request")
    given = asked.items() if isinstance(asked, dict) else ()
    return next((name for name, value in given if name in UNSUPPORTED and _says_something(value)), None)


def _says_something(value: object) -> bool:
    if isinstance(value, dict):
        return any(_says_something(each) for each in value.values())
    return value not in (None, [], "")


HANDLERS: Mapping[str, Handler] = {
    **lookups.HANDLERS,
    **products.HANDLERS,
    **article_groups.HANDLERS,
    **shelves.HANDLERS,
    **people.HANDLERS,
    **trade.HANDLERS,
    **billing.HANDLERS,
}

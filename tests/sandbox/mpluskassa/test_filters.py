"""A filter that the simulator does not have is refused: an answer as if it had been applied would be a lie."""

from __future__ import annotations

from typing import Any

import pytest
import zeep

from tests.sandbox.mpluskassa.conftest import BINDING, NO_TEXTS, Sandbox

NEEDED: dict[str, dict[str, Any]] = {
    "getStock": {"branchNumber": 1, "articleNumbers": {}},
    "getProducts": {"pluNumbers": {}},
}
MOMENT = {"day": 1, "mon": 1, "year": 2026, "hour": 0, "min": 0, "sec": 0, "isdst": False, "timezone": 60}


@pytest.mark.parametrize(
    ("operation", "name", "value"),
    [
        ("getReceipts", "supplierRelationNumbers", [7]),
        ("getReceipts", "articleBarcodes", {"text": [{"text": "8712345678906"}]}),
        ("getInvoices", "activityId", "a"),
        ("getInvoices", "directDebit", False),
        ("getOrders", "includeSigningTimelineEvents", True),
        ("getProducts", "changedSinceTimestamp", MOMENT),
        ("getStock", "dayStockOnlyFilter", True),
    ],
)
def test_a_filter_it_does_not_have_is_refused(
    sandbox: Sandbox, compact_client: zeep.Client, operation: str, name: str, value: Any
) -> None:
    service = compact_client.create_service(BINDING, sandbox.address())  # type: ignore[no-untyped-call]
    needed = NEEDED.get(operation, NO_TEXTS)
    getattr(service, operation)(request=needed)
    with pytest.raises(zeep.exceptions.Fault, match=name):
        getattr(service, operation)(request={**needed, name: value})

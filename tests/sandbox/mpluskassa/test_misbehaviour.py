"""What a restored, hurried or careless installation shows: late receipts, markers from 1, lists out of shape."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from lxml import etree

from sandbox.mpluskassa.lines import ItemSold
from tests.sandbox.mpluskassa.conftest import NO_TEXTS, Sandbox

ASK = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:mplusqapi"><e:Body>{}</e:Body>'
    "</e:Envelope>"
)
RECEIPTS = (
    "<getReceipts><request><syncMarker>1</syncMarker><articlePluNumbers/><articleBarcodes/></request></getReceipts>"
)
RELATIONS = "<getRelations><request><syncMarker>1</syncMarker></request></getRelations>"


def ask(sandbox: Sandbox, question: str) -> str:
    answer = httpx.post(f"{sandbox.base}/?ident=demo&secret=demo-secret", content=ASK.format(question))
    return answer.text


def path(sandbox: Sandbox, question: str, name: str) -> list[str]:
    """The names of the elements around the first of this name, from the answer down."""
    root = etree.fromstring(ask(sandbox, question).encode())
    node = next(root.iter(f"{{urn:mplusqapi}}{name}"))
    return [etree.QName(each).localname for each in node.iterancestors()][-3::-1]


def sold(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    return sandbox.simulation.sell(lines=[ItemSold(2001)], **more)


def test_a_late_receipt_has_its_marker_but_is_not_seen_until_shown(service: Any, sandbox: Sandbox) -> None:
    late = sold(sandbox, late=True)
    sold(sandbox)
    request = {"syncMarker": 1, **NO_TEXTS}
    assert service.getCurrentSyncMarkers().receiptSyncMarker == 2
    assert [row.syncMarker for row in service.getReceipts(request=request)] == [2]
    assert service.getReceipt(receiptId=late["receiptId"]).result == "GET-RECEIPT-RESULT-NOT-FOUND"
    sandbox.simulation.show_receipt(late["receiptId"])
    assert sorted(row.syncMarker for row in service.getReceipts(request=request)) == [1, 2]


@pytest.mark.parametrize(("renumber", "newest"), [(True, 5), (False, 1)])
def test_markers_begin_again_at_one(service: Any, sandbox: Sandbox, *, renumber: bool, newest: int) -> None:
    first, *_ = [sold(sandbox) for _ in range(4)]
    sandbox.simulation.pay_receipt(first["receiptId"], [])
    sandbox.simulation.restart_markers(renumber=renumber)
    assert sold(sandbox)["syncMarker"] == newest
    rows = service.getReceipts(request={"syncMarker": 1, **NO_TEXTS})
    assert sorted(row.syncMarker for row in rows) == [1, 2, 3, 4, 5]
    assert service.getCurrentSyncMarkers().receiptSyncMarker == newest


def test_a_withdrawn_receipt_holds_nothing_any_more(service: Any, sandbox: Sandbox) -> None:
    receipt = sold(sandbox)
    sandbox.simulation.withdraw_receipt(receipt["receiptId"])
    (row,) = service.getReceipts(request={"syncMarker": 1, **NO_TEXTS})
    assert (row.totalInclAmount, row.paidAmount, row.versionNumber) == (0, 0, 2)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("wrapped", ["GetReceiptsResponse", "receiptList", "receipt"]),
        ("bare", ["GetReceiptsResponse", "receipt"]),
        ("flat", ["GetReceiptsResponse", "receiptList"]),
    ],
)
def test_a_list_of_one_comes_in_three_shapes(sandbox: Sandbox, shape: str, expected: list[str]) -> None:
    sold(sandbox)
    sandbox.simulation.till.switches.one_item_lists = shape
    assert path(sandbox, RECEIPTS, "receiptId") == expected


def test_an_answer_can_lack_its_lists_once(sandbox: Sandbox) -> None:
    sold(sandbox)
    httpx.post(f"{sandbox.base}/_control/faults", json={"kind": "no_lists", "operation": "getReceipts"})
    assert ["receiptList" in ask(sandbox, RECEIPTS) for _ in range(2)] == [False, True]


def test_control_characters_leave_as_references_that_xml_forbids(sandbox: Sandbox) -> None:
    sandbox.simulation.change_relation(501, name="Jansen\x1b Bouw\x0b")
    text = ask(sandbox, RELATIONS)
    assert "Jansen&#x1B; Bouw&#xB;" in text
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(text.encode())

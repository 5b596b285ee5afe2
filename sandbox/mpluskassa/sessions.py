"""The JSON of a till session, as completeSession and creditSession carry it: euros as decimals, plain quantities."""

from __future__ import annotations

from decimal import Decimal
from uuid import NAMESPACE_OID, uuid5

from sandbox.mpluskassa.structs import Record, from_unscaled, to_euros
from sandbox.mpluskassa.till import Till

COMPLETE = "completeSession"
CREDIT = "creditSession"


def build_event(till: Till, event: str, document: Record) -> Record:
    """The payload of an event about a receipt or an invoice that was just rung up."""
    return {
        "event": {
            "eventBlocking": False,
            "eventCounter": till.count("webhookEvent"),
            "eventTimestamp": till.clock().isoformat(),
        },
        "sender": {
            "branchNumber": document["entryBranchNumber"],
            "workplaceNumber": document["workplaceNumber"],
            "instanceId": str(uuid5(NAMESPACE_OID, f"{till.seed}/{document['entryBranchNumber']}")),
        },
        "session": _build_session(document),
        event: {"payments": [_build_payment(payment) for payment in document["paymentList"]["payment"]]},
    }


def _build_session(document: Record) -> Record:
    session: Record = {
        "sessionId": document["_session"],
        "lines": [_build_line(line) for line in document["lineList"]["line"]],
        "totalInclAmount": to_euros(document["totalInclAmount"]),
        "totalExclAmount": to_euros(document["totalExclAmount"]),
    }
    if "relationNumber" in document:
        session["relation"] = {"relationNumber": document["relationNumber"], "name": document["relationName"]}
    if "invoiceId" in document:
        session["invoice"] = {"invoiceId": document["invoiceId"], **document["invoiceNumber"]}
    return session


def _build_line(line: Record) -> Record:
    data = line["data"]
    built = {
        "lineId": line["lineId"],
        "articleNumber": line["articleNumber"],
        "priceIncl": to_euros(data["price"]),
        "quantity": from_unscaled(data["quantity"], data["decimalPlaces"]),
        "text": line["text"],
    }
    if data["discountAmount"]:
        built["discountAmount"] = to_euros(data["discountAmount"])
        built["discountPercentage"] = Decimal(data["discountPercentage"]) / 100
    return built


def _build_payment(payment: Record) -> Record:
    return {
        "amount": to_euros(payment["amount"]),
        "method": payment["method"],
        "description": payment["description"],
    }

"""What receipts, invoices and orders share: who, where and when, payments, states, versions and filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.mpluskassa import lines
from sandbox.mpluskassa.markers import cut_page, raise_marker
from sandbox.mpluskassa.premises import SUPPORT_EMPLOYEE
from sandbox.mpluskassa.structs import AMSTERDAM, Record, from_date, to_date, to_moment
from sandbox.mpluskassa.till import Till

TABLES = {"receipt": "receipts", "invoice": "invoices", "order": "orders"}


@dataclass(frozen=True, slots=True)
class Tender:
    """A payment at the till, in cents; negative when money goes back."""

    method: str
    amount_cents: int


@dataclass(frozen=True, slots=True)
class Occasion:
    """Where, when and for whom something is sold. `when` is aware; None is now."""

    branch: int = 1
    workplace: int = 1
    employee: int = SUPPORT_EMPLOYEE
    relation: int | None = None
    when: datetime | None = None
    reference: str = ""
    vat_method: str = lines.INCLUSIVE

    @property
    def pricing(self) -> lines.Pricing:
        """How lines are priced here."""
        return lines.Pricing(self.branch, self.employee, self.vat_method)


def get_moment(till: Till, occasion: Occasion) -> datetime:
    """The wall clock moment of an occasion."""
    return (occasion.when or till.clock()).astimezone(AMSTERDAM)


def build_head(till: Till, occasion: Occasion) -> Record:
    """The fields every document starts with; raises KeyError for an unknown branch, employee or relation."""
    moment = get_moment(till, occasion)
    till["branches"].get(occasion.branch)
    return {
        "employeeNumber": occasion.employee,
        "employeeName": till["employees"].get(occasion.employee)["name"],
        "entryTimestamp": to_moment(moment),
        "financialDate": to_date(moment.date()),
        "financialBranchNumber": occasion.branch,
        "entryBranchNumber": occasion.branch,
        "workplaceNumber": occasion.workplace,
        "reference": occasion.reference,
        "changeCounter": 1,
        "versionNumber": 1,
        **_relation_fields(till, occasion.relation),
    }


def _relation_fields(till: Till, number: int | None) -> Record:
    if not number:
        return {}
    relation = till["relations"].get(number)
    return {"relationNumber": number, "relationName": relation["name"]}


def build_lines(till: Till, items: Sequence[lines.ItemSold], occasion: Occasion) -> Record:
    """The lines of a document and the totals that follow from them."""
    built = [lines.build_line(till, item, occasion.pricing) for item in items]
    return {"lineList": {"line": built}, **lines.sum_up(built, occasion.vat_method)}


def build_payment(till: Till, document: Record, tender: Tender, moment: datetime) -> Record:
    """A Payment on a document; raises KeyError for an unknown method."""
    method = till["payment_methods"].get(tender.method)
    return {
        "paymentId": till.new_id("payment"),
        "financialDate": to_date(moment.date()),
        "entryTimestamp": to_moment(moment),
        "branchNumber": document["entryBranchNumber"],
        "workplaceNumber": document["workplaceNumber"],
        "employeeNumber": document["employeeNumber"],
        "employeeName": document["employeeName"],
        "method": tender.method,
        "description": method["description"],
        "amount": tender.amount_cents,
        "paymentMethodType": method["type"],
        "accountNumber": method["accountNumber"],
    }


def add_payments(till: Till, document: Record, tenders: Sequence[Tender], moment: datetime) -> None:
    """Append payments and bring `paidAmount` and `state` up to date."""
    payments = document.setdefault("paymentList", {"payment": []})["payment"]
    payments.extend(build_payment(till, document, tender, moment) for tender in tenders)


def settle(document: Record, prefix: str) -> None:
    """Set `paidAmount` and `state` (`prefix` is RECEIPT or INVOICE) from the payments."""
    paid = sum(payment["amount"] for payment in document["paymentList"]["payment"]) + document.get("_prepaid", 0)
    document["paidAmount"] = paid
    document["state"] = f"{prefix}-STATE-{_name_state(document['totalInclAmount'], paid)}"


def _name_state(total: int, paid: int) -> str:
    if paid == total or 0 < total < paid or paid < total < 0:  # or more than that
        return "PAID"
    if paid:
        return "PARTLY-PAID"
    return "OUTSTANDING" if total > 0 else "OUTSTANDING-CREDIT"


def store(till: Till, family: str, document: Record, effect: str, **details: Any) -> Record:
    """Put a document away under a new marker and note the effect."""
    document["syncMarker"] = raise_marker(till, family)
    table = till[TABLES[family]]
    table.put(document)
    till.record_effect(effect, document[table.key], total=document.get("totalInclAmount"), **details)
    return document


def bump_version(document: Record) -> None:
    """Count a change of content."""
    document["versionNumber"] += 1
    document["changeCounter"] += 1


def show(till: Till, document: Record, hidden: Sequence[str] = ()) -> Record:
    """A copy as written on the wire, without these fields."""
    shown = {key: value for key, value in document.items() if key not in hidden}
    if "lineList" in hidden and not till.switches.lists_show_payments:
        shown.pop("paymentList", None)
    if "lineList" in shown:
        include = till.switches.parent_includes_sublines
        shown["lineList"] = {"line": lines.show_lines(shown["lineList"]["line"], include)}
    if "paymentList" in shown and not till.switches.payment_ids:
        paid = shown["paymentList"]["payment"]
        shown["paymentList"] = {"payment": [{k: v for k, v in each.items() if k != "paymentId"} for each in paid]}
    return shown


# --- filters ------------------------------------------------------------------------------------------------------


def _texts(request: Record, name: str) -> list[str]:
    return [text["text"] for text in request.get(name, {}).get("text", [])]


def _line_values(document: Record, name: str) -> set[Any]:
    return {line.get(name) for line in document.get("lineList", {}).get("line", [])}


def _turnover_groups(document: Record) -> set[Any]:
    found = document.get("lineList", {}).get("line", [])
    return {data["turnoverGroup"] for data in lines.walk_data(found)}


ONE_OF: dict[str, str] = {
    "branchNumbers": "financialBranchNumber",
    "employeeNumbers": "employeeNumber",
    "relationNumbers": "relationNumber",
    "receiptIds": "receiptId",
    "invoiceIds": "invoiceId",
    "orderIds": "orderId",
    "invoiceNumbers": "invoiceNumber",
    "orderNumbers": "orderNumber",
}
"""A repeated element of a request, and the field of a document that must be among its values."""

AMONG: dict[str, Callable[[Record], set[Any]]] = {
    "articleNumbers": lambda document: _line_values(document, "articleNumber"),
    "articleTurnoverGroups": _turnover_groups,
}


def matches(document: Record, request: Record) -> bool:
    """Whether a document is visible yet and passes the filters that getReceipts, getInvoices and getOrders share."""
    if document.get("_hidden"):
        return False
    plain = all(document.get(key) in request[name] for name, key in ONE_OF.items() if request.get(name))
    inner = all(read(document).intersection(request[name]) for name, read in AMONG.items() if request.get(name))
    plus = _texts(request, "articlePluNumbers")
    return (
        plain
        and inner
        and (not plus or bool(_line_values(document, "pluNumber") & set(plus)))
        and _dated(document, request)
    )


def _dated(document: Record, request: Record) -> bool:
    day = from_date(document["financialDate"])
    first, last = from_date(request.get("fromFinancialDate")), from_date(request.get("throughFinancialDate"))
    return day is None or ((first is None or day >= first) and (last is None or day <= last))


def list_documents(till: Till, family: str, request: Record) -> list[Record]:
    """Documents that pass the filters, as a page when a marker was asked for."""
    return cut_page(till, [row for row in till[TABLES[family]] if matches(row, request)], request)

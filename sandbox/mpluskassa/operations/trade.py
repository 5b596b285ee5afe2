"""Operations on receipts, orders and the day's totals."""

from __future__ import annotations

from copy import deepcopy

from sandbox.mpluskassa import documents, drafts, drawer, journals, orders, receipts
from sandbox.mpluskassa.markers import cut_page
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till


def get_receipts(till: Till, request: Record) -> Record:
    """Receipts, from a marker on or by filter."""
    asked = request["request"]
    found = documents.list_documents(till, "receipt", asked)
    return {"receiptList": {"receipt": [receipts.show(till, row, asked) for row in found]}}


def get_receipt(till: Till, request: Record) -> Record:
    """One receipt with its lines and order references."""
    receipt = till["receipts"].find(request["receiptId"])
    if receipt is None or receipt.get("_hidden"):
        return {"result": "GET-RECEIPT-RESULT-NOT-FOUND"}
    shown = receipts.show(till, receipt, {"includeOrderReferences": True})
    return {"result": "GET-RECEIPT-RESULT-OK", "receipt": shown}


def get_receipts_by_order(till: Till, request: Record) -> Record:
    """The receipts an order was delivered with."""
    order_id = request["orderId"]
    found = [row for row in till["receipts"] if order_id in row.get("orderIds", {}).get("id", [])]
    result = "OK" if order_id in till["orders"] else "NOT-FOUND"
    shown = [receipts.show(till, row, {"includeOrderReferences": True}) for row in found]
    return {"result": f"GET-RECEIPTS-BY-ORDER-RESULT-{result}", "receiptList": {"receipt": shown}}


def get_orders(till: Till, request: Record) -> Record:
    """Orders, from a marker on or by filter; table and cafeteria orders only when their type is asked for."""
    asked = request["request"]
    kinds = asked.get("orderTypeList", {}).get("orderType") or orders.DEFAULT_TYPES
    rows = [row for row in till["orders"] if row["orderType"] in kinds and documents.matches(row, asked)]
    return {"orderList": {"order": [orders.show(till, row, asked) for row in cut_page(till, rows, asked)]}}


def get_order(till: Till, request: Record) -> Record:
    """One order by its id."""
    return _one_order(till, till["orders"].find(request["orderId"]))


def find_order(till: Till, request: Record) -> Record:
    """One order by its external id."""
    return _one_order(till, orders.find_by_ext_id(till, request["extOrderId"]))


def _one_order(till: Till, order: Record | None) -> Record:
    if order is None:
        return {"result": "GET-ORDER-RESULT-NOT-FOUND"}
    return {"result": "GET-ORDER-RESULT-OK", "order": orders.show(till, order, {})}


def get_orders_by_receipts(till: Till, request: Record) -> Record:
    """The orders that receipts come from."""
    asked = request["request"]
    rows = orders.list_of_receipts(till, asked.get("receiptIds", {}).get("id", []))
    return {"orderList": {"order": [orders.show(till, row, {}) for row in cut_page(till, rows, asked)]}}


def get_orders_by_ext_order_ids(till: Till, request: Record) -> Record:
    """Orders by external id."""
    asked = request["request"]
    wanted = asked.get("extOrderIds", {}).get("id", [])
    rows = [row for row in till["orders"] if row.get("extOrderId") in wanted]
    return {"orderList": {"order": [orders.show(till, row, {}) for row in cut_page(till, rows, asked)]}}


def create_order_v3(till: Till, request: Record) -> Record:
    """A new order, paid or delivered at once if asked; the same key gets the first answer again."""
    asked = request["request"]
    key = asked["idempotencyKey"]
    remembered = till["remembered"].find(key)
    if remembered is not None:
        return {**remembered["answer"], "idempotencyResult": "IDEMPOTENCY-RESULT-REPLAY-RESPONSE"}
    answer = {"idempotencyResult": "IDEMPOTENCY-RESULT-ORIGINAL-RESPONSE", **_create_order(till, asked)}
    till["remembered"].put({"_key": key, "answer": deepcopy(answer)})
    return answer


def _create_order(till: Till, asked: Record) -> Record:
    draft = asked["order"]
    ext_id = draft.get("extOrderId")
    if ext_id and orders.find_by_ext_id(till, ext_id):
        return _order_refused("EXT-ORDER-ID-ALREADY-EXISTS", f"External order id {ext_id} was used before.")
    try:
        occasion, items = drafts.read_occasion(till, draft), drafts.read_items(till, draft)
    except Refused as refusal:
        return _order_refused(refusal.result, refusal.message)
    order = orders.take(till, items, occasion, _details(draft))
    paid = _pay_at_once(till, order, asked, occasion)
    info = {"orderId": order["orderId"], "orderString": order["transactionString"], "orderQueued": False}
    return {"result": "CREATE-ORDER-RESULT-OK", "order": orders.show(till, order, {}), "info": info, **paid}


def _order_refused(result: str, message: str) -> Record:
    info = {"orderId": "", "orderString": ""}
    return {"result": f"CREATE-ORDER-RESULT-{result}", "errorMessage": message, "info": info}


def _details(draft: Record) -> Record:
    kept = ("extOrderId", "orderType", "deliveryAddress", "invoiceAddress", "deliveryDate", *orders.KEPT_FROM_CALLER)
    return {name: draft[name] for name in kept if name in draft}


def _pay_at_once(till: Till, order: Record, asked: Record, occasion: documents.Occasion) -> Record:
    """Prepaid: a deposit. Otherwise the order counts as delivered and is invoiced, which needs all of the money."""
    tenders = drafts.read_tenders(asked)
    if not tenders:
        return {}
    if any(tender.method not in till["payment_methods"] for tender in tenders):
        return {"result": "CREATE-ORDER-RESULT-PAYMENT-FAILED", "payResult": "PAY-ORDER-RESULT-FAILED"}
    if asked.get("prepay"):
        orders.prepay(till, order, tenders, occasion)
        return {"payResult": "PAY-ORDER-RESULT-OK"}
    if sum(tender.amount_cents for tender in tenders) < order["totalInclAmount"]:
        failed = "CREATE-ORDER-RESULT-PAYMENT-FAILED"
        return {"result": failed, "payResult": "PAY-ORDER-RESULT-PAYMENT-INSUFFICIENT"}
    invoice = orders.deliver_as_invoice(till, order, tenders, occasion)
    return {"payResult": "PAY-ORDER-RESULT-OK", "invoiceId": invoice["invoiceId"]}


def get_journals(till: Till, request: Record) -> Record:
    """Totals per branch and day."""
    return {"journalList": {"journal": journals.list_journals(till, request["request"])}}


def get_financial_journal(till: Till, request: Record) -> Record:
    """Turnover per group and branch over a period."""
    found = journals.list_financial_groups(till, request["request"])
    return {"financialGroupList": {"financialGroup": found}, "financialPeriodClosed": False}


def get_cash_count_list(till: Till, request: Record) -> Record:
    """Cash counts of a period or since one of them."""
    return {"cashCountList": {"cashCount": drawer.list_counts(till, request["request"])}}


HANDLERS = {
    "getReceipts": get_receipts,
    "getReceipt": get_receipt,
    "getReceiptsByOrder": get_receipts_by_order,
    "getOrders": get_orders,
    "getOrder": get_order,
    "findOrder": find_order,
    "getOrdersByReceipts": get_orders_by_receipts,
    "getOrdersByExtOrderIds": get_orders_by_ext_order_ids,
    "createOrderV3": create_order_v3,
    "getJournals": get_journals,
    "getFinancialJournal": get_financial_journal,
    "getCashCountList": get_cash_count_list,
}

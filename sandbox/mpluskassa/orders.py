"""Orders: taken, reserved, then delivered as a receipt or an invoice, or cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sandbox.mpluskassa import documents, invoices, receipts, stock
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.lines import ItemSold, mirror
from sandbox.mpluskassa.structs import Record, to_date
from sandbox.mpluskassa.till import Till

SETTLES_DEPOSIT = "AANBETALING"
SALES_ORDER = "ORDER-TYPE-SALES-ORDER"
DEFAULT_TYPES = (SALES_ORDER, "ORDER-TYPE-REPEAT-SALES-ORDER", "ORDER-TYPE-EXTERNAL-SALES-ORDER")
REFERENCES = ("invoiceIds", "invoiceNumbers", "packingSlipIds", "packingSlipNumbers")
KEPT_FROM_CALLER = ("deliveryMethod", "paymentMethod", "orderCategoryNumber", "onDeliveryUrl", "onInvoiceUrl")


def take(till: Till, items: Sequence[ItemSold], occasion: Occasion, details: Record | None = None) -> Record:
    """Store an order and reserve its stock. `details` are Order fields that replace the defaults."""
    order = {**_begin(till, occasion), **documents.build_lines(till, items, occasion), **(details or {})}
    _reserve(till, order, 1)
    return documents.store(till, "order", order, "createOrder", ext=order.get("extOrderId"))


def _begin(till: Till, occasion: Occasion) -> Record:
    moment = documents.get_moment(till, occasion)
    year_number = {"year": moment.year, "number": till.count(f"orderNumber:{moment.year}")}
    return {
        **documents.build_head(till, occasion),
        "orderId": till.new_id("order"),
        "orderType": SALES_ORDER,
        "orderNumber": year_number,
        "transactionString": "{year}.{number}".format(**year_number),
        "orderBarcode": "O{year}{number:06}".format(**year_number),
        "deliveryDate": to_date(None),
        "prepaidAmount": 0,
        "fullyPaid": False,
        "invoiceIds": {"id": []},
        "paymentList": {"payment": []},
        **_states("NOTHING", "NOTHING", "NOTHING"),
    }


def _states(delivery: str, cancel: str, complete: str) -> Record:
    return {
        "deliveryState": f"ORDER-DELIVERY-STATE-{delivery}",
        "cancelState": f"ORDER-CANCEL-STATE-{cancel}",
        "completeState": f"ORDER-COMPLETE-STATE-{complete}",
    }


def _reserve(till: Till, order: Record, sign: int) -> None:
    for number, pieces in stock.count_pieces(till, order["lineList"]["line"]):
        stock.reserve(till, order["financialBranchNumber"], number, sign * pieces)


def prepay(till: Till, order: Record, tenders: Sequence[Tender], occasion: Occasion) -> Record:
    """Take a deposit on an order that is not delivered yet."""
    documents.add_payments(till, order, tenders, documents.get_moment(till, occasion))
    order["prepaidAmount"] = sum(payment["amount"] for payment in order["paymentList"]["payment"])
    order["fullyPaid"] = order["prepaidAmount"] >= order["totalInclAmount"]
    order["changeCounter"] += 1
    return documents.store(till, "order", order, "prepayOrder")


def _items_of(order: Record) -> list[ItemSold]:
    return [_turn(mirror(line, order["vatMethod"])) for line in order["lineList"]["line"]]


def _turn(item: ItemSold) -> ItemSold:
    return replace(
        item,
        quantity=-item.quantity,
        discount_cents=-item.discount_cents,
        preparations=tuple(map(_turn, item.preparations)),
        components=tuple(map(_turn, item.components)),
    )


def _links(order: Record) -> Record:
    ext = [order["extOrderId"]] if order.get("extOrderId") else []
    return {"orderIds": {"id": [order["orderId"]]}, "extOrderIds": {"id": ext}}


def deliver_as_receipt(
    till: Till, order: Record, tenders: Sequence[Tender] | None, occasion: Occasion, part: Sequence[ItemSold] = ()
) -> Record:
    """Hand the goods over and ring them up; returns the receipt, which names the order.

    `tenders` are for what was not prepaid; None pays that by PIN. After a `part` of the goods the order stays open.
    """
    if tenders is None:
        tenders = [Tender(receipts.DEFAULT_METHOD, order["totalInclAmount"] - order["prepaidAmount"])]
    receipt = receipts.ring_up(till, part or _items_of(order), tenders, occasion, links=_links(order))
    _bring_prepaid(till, order, receipt, "RECEIPT", occasion)
    _hand_over(till, order, part)
    return receipt


def deliver_as_invoice(
    till: Till, order: Record, tenders: Sequence[Tender], occasion: Occasion, part: Sequence[ItemSold] = ()
) -> Record:
    """Hand the goods over on account; returns the invoice, which names the order and is named by it."""
    invoice = invoices.issue(till, part or _items_of(order), tenders, occasion, links=_links(order))
    _bring_prepaid(till, order, invoice, "INVOICE", occasion)
    order["invoiceIds"] = {"id": [invoice["invoiceId"]]}
    order["invoiceNumbers"] = {"yearNumber": [invoice["invoiceNumber"]]}
    _hand_over(till, order, part)
    return invoice


def _bring_prepaid(till: Till, order: Record, document: Record, prefix: str, occasion: Occasion) -> None:
    """What was prepaid comes along in the way that the switch says."""
    brought = order["paymentList"]["payment"]
    match till.switches.deposits_come_as:
        case "tender" if order["prepaidAmount"]:
            tender = Tender(SETTLES_DEPOSIT, order["prepaidAmount"])
            brought = [documents.build_payment(till, document, tender, documents.get_moment(till, occasion))]
        case "copies":
            brought = [{**each, "paymentId": till.new_id("payment")} for each in brought]
        case "left_out":
            document["_prepaid"], brought = order["prepaidAmount"], []
    document["paymentList"]["payment"][:0] = brought
    documents.settle(document, prefix)


def _hand_over(till: Till, order: Record, part: Sequence[ItemSold]) -> None:
    if part:
        order.update(_states("PARTIAL", "NOTHING", "NOTHING"))
    else:
        _reserve(till, order, -1)
        order.update(_states("COMPLETE", "NOTHING", "COMPLETE"), fullyPaid=True)
    order["changeCounter"] += 1
    documents.store(till, "order", order, "deliverOrder")


def cancel(till: Till, order: Record) -> Record:
    """Cancel an order that was not delivered; its stock is free again."""
    _reserve(till, order, -1)
    order.update(_states("NOTHING", "COMPLETE", "COMPLETE"))
    order["changeCounter"] += 1
    return documents.store(till, "order", order, "cancelOrder")


def edit(till: Till, order: Record, items: Sequence[ItemSold], occasion: Occasion) -> Record:
    """Replace the lines of an open order: one version up, reservation moved with it."""
    _reserve(till, order, -1)
    order.update(documents.build_lines(till, items, occasion))
    _reserve(till, order, 1)
    documents.bump_version(order)
    return documents.store(till, "order", order, "editOrder", version=order["versionNumber"])


def find_by_ext_id(till: Till, ext_order_id: str) -> Record | None:
    """The order that was created with this external id, whatever became of it."""
    return next((row for row in till["orders"] if row.get("extOrderId") == ext_order_id), None)


def list_of_receipts(till: Till, receipt_ids: Sequence[str]) -> list[Record]:
    """The orders that these receipts come from."""
    wanted = {
        order_id
        for receipt_id in receipt_ids
        for order_id in (till["receipts"].find(receipt_id) or {}).get("orderIds", {}).get("id", [])
    }
    return [row for row in till["orders"] if row["orderId"] in wanted]


def show(till: Till, order: Record, request: Record) -> Record:
    """An order as getOrders writes it; without lines its cross references are not loaded either."""
    return documents.show(till, order, () if request.get("includeLineList", True) else ("lineList", *REFERENCES))

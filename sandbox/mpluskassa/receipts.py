"""Receipts: sales paid at the till, refunds, money in and out of the drawer, and corrections afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from sandbox.mpluskassa import documents, stock
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.lines import ItemSold, mirror
from sandbox.mpluskassa.premises import CASH_IN_GROUP, CASH_OUT_GROUP, ROUNDING_GROUP
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till

RECEIPT = "RECEIPT-TYPE-RECEIPT"
CREDIT = "RECEIPT-TYPE-CREDIT-RECEIPT"
SALES = (RECEIPT, CREDIT)
DEFAULT_METHOD = "PIN"


def ring_up(
    till: Till,
    items: Sequence[ItemSold],
    tenders: Sequence[Tender] | None,
    occasion: Occasion,
    *,
    kind: str = RECEIPT,
    links: Record | None = None,
) -> Record:
    """Store a receipt. `tenders` None pays all of it by PIN; an empty list leaves it open."""
    receipt = {**_begin(till, occasion, kind), **documents.build_lines(till, items, occasion), **(links or {})}
    if tenders is None:
        tenders = [Tender(DEFAULT_METHOD, receipt["totalInclAmount"])]
    documents.add_payments(till, receipt, tenders, documents.get_moment(till, occasion))
    documents.settle(receipt, "RECEIPT")
    if kind in SALES:
        stock.sell(till, occasion.branch, receipt["lineList"]["line"], _source(receipt))
    return documents.store(till, "receipt", receipt, kind)


def _begin(till: Till, occasion: Occasion, kind: str) -> Record:
    year = documents.get_moment(till, occasion).year
    place = (occasion.branch, occasion.workplace, year)
    number = till.count("receiptNumber:{}.{}.{}".format(*place))
    printed = ".".join(str(part) for part in (*place, number))
    return {
        **documents.build_head(till, occasion),
        "receiptId": till.new_id("receipt"),
        "transactionString": printed,
        "receiptNumber": _number(*place, number),
        "receiptBarcode": f"R{place[0]:03}{place[1]:03}{year}{number:06}",
        "receiptType": kind,
    }


def _number(branch: int, workplace: int, year: int, number: int) -> Record:
    return {"branchNumber": branch, "workplaceNumber": workplace, "year": year, "number": number}


def _source(receipt: Record) -> Record:
    return {name: receipt[name] for name in ("receiptId", "receiptNumber", "receiptBarcode")}


def round_cash(items: Sequence[ItemSold], total_cents: int) -> list[ItemSold]:
    """The items with a line that rounds a total paid in cash to five cents, as Dutch shops do."""
    remainder = total_cents % 5
    change = -remainder if remainder < 3 else 5 - remainder
    if not change:
        return list(items)
    rounding = ItemSold(0, price_cents=change, text="Afronding", vat_code=0, turnover_group=ROUNDING_GROUP)
    return [*items, rounding]


def refund(
    till: Till,
    receipt: Record,
    occasion: Occasion,
    pieces: Mapping[int, Decimal] | None,
    method: str | None,
    *,
    apart: Sequence[Tender] = (),
) -> Record:
    """Give back a receipt, or these pieces of its articles (number to pieces); returns the credit receipt.

    What is not paid back by one of `apart` is by `method`.

    Raises ValueError when nothing of it is given back.
    """
    items = _items_back(receipt, pieces)
    if not items:
        raise ValueError(f"receipt {receipt['receiptId']} holds none of these articles")
    total = documents.build_lines(till, items, occasion)["totalInclAmount"]
    rest = total - sum(tender.amount_cents for tender in apart)
    tenders = [Tender(method or _method_of(receipt), rest), *apart]
    return ring_up(till, items, tenders, occasion, kind=CREDIT, links={"creditedReceiptId": receipt["receiptId"]})


def _items_back(receipt: Record, pieces: Mapping[int, Decimal] | None) -> list[ItemSold]:
    rows, method = receipt["lineList"]["line"], receipt["vatMethod"]
    if pieces is None:
        return [mirror(line, method) for line in rows]
    return [mirror(line, method, pieces[line["articleNumber"]]) for line in rows if line["articleNumber"] in pieces]


def _method_of(receipt: Record) -> str:
    payments = receipt["paymentList"]["payment"]
    return str(payments[0]["method"]) if payments else DEFAULT_METHOD


def move_cash(till: Till, amount_cents: int, reason: str, occasion: Occasion) -> Record:
    """Money into the drawer (positive) or out of it (negative) that is no sale."""
    inflow = amount_cents >= 0
    group = CASH_IN_GROUP if inflow else CASH_OUT_GROUP
    item = ItemSold(0, price_cents=amount_cents, text=reason, vat_code=0, turnover_group=group)
    kind = f"RECEIPT-TYPE-CASH-{'INFLOW' if inflow else 'OUTFLOW'}"
    return ring_up(till, [item], [Tender("CONTANT", amount_cents)], occasion, kind=kind)


def transfer(till: Till, tender: Tender, to_method: str, occasion: Occasion) -> Record:
    """Move money from one way of paying to another: a receipt without lines whose payments cancel out."""
    tenders = [Tender(tender.method, -tender.amount_cents), Tender(to_method, tender.amount_cents)]
    return ring_up(till, [], tenders, occasion, kind="RECEIPT-TYPE-PAYMENT-METHOD-TRANSFER")


def edit(
    till: Till, receipt: Record, items: Sequence[ItemSold], tenders: Sequence[Tender] | None, occasion: Occasion
) -> Record:
    """Replace the lines and payments of a stored receipt: one version up, stock moved by the difference."""
    branch = receipt["financialBranchNumber"]
    back = [mirror(line, receipt["vatMethod"]) for line in receipt["lineList"]["line"]]
    returned = documents.build_lines(till, back, occasion)["lineList"]["line"]
    stock.sell(till, branch, returned, _source(receipt))
    receipt.update(documents.build_lines(till, items, occasion))
    stock.sell(till, branch, receipt["lineList"]["line"], _source(receipt))
    receipt["paymentList"] = {"payment": []}
    if tenders is None:
        tenders = [Tender(DEFAULT_METHOD, receipt["totalInclAmount"])]
    documents.add_payments(till, receipt, tenders, documents.get_moment(till, occasion))
    documents.settle(receipt, "RECEIPT")
    documents.bump_version(receipt)
    return documents.store(till, "receipt", receipt, "editReceipt", version=receipt["versionNumber"])


def pay(till: Till, receipt: Record, tenders: Sequence[Tender], occasion: Occasion) -> Record:
    """Pay (the rest of) an open receipt later."""
    documents.add_payments(till, receipt, tenders, documents.get_moment(till, occasion))
    documents.settle(receipt, "RECEIPT")
    receipt["changeCounter"] += 1
    return documents.store(till, "receipt", receipt, "payReceipt")


def show(till: Till, receipt: Record, request: Record) -> Record:
    """A receipt as getReceipts writes it: lines only when asked for, order references only then and when asked for."""
    with_lines = request.get("includeLineList", True)
    hidden = [] if with_lines else ["lineList"]
    if not (with_lines and request.get("includeOrderReferences", False)):
        hidden += ["orderIds", "extOrderIds"]
    return documents.show(till, receipt, hidden)

"""Invoices: sales on account, paid later in parts, credited, edited until they are final."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sandbox.mpluskassa import documents, stock
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.lines import ItemSold, mirror
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record, to_date, to_moment
from sandbox.mpluskassa.till import Till

INVOICE = "INVOICE-TYPE-INVOICE"
CREDIT = "INVOICE-TYPE-CREDIT-INVOICE"
DEFAULT_PAYMENT_DAYS = 14
REFERENCES = ("orderIds", "extOrderIds", "orderNumbers", "packingSlipIds", "packingSlipNumbers")


def issue(
    till: Till,
    items: Sequence[ItemSold],
    tenders: Sequence[Tender],
    occasion: Occasion,
    *,
    kind: str = INVOICE,
    links: Record | None = None,
) -> Record:
    """Store an invoice with what was paid at once; raises KeyError when its relation does not exist."""
    invoice = {**_begin(till, occasion, kind), **documents.build_lines(till, items, occasion), **(links or {})}
    documents.add_payments(till, invoice, tenders, documents.get_moment(till, occasion))
    documents.settle(invoice, "INVOICE")
    stock.sell(till, occasion.branch, invoice["lineList"]["line"], _source(invoice))
    return documents.store(till, "invoice", invoice, kind)


def _begin(till: Till, occasion: Occasion, kind: str) -> Record:
    relation = till["relations"].get(occasion.relation)
    moment = documents.get_moment(till, occasion)
    year_number = {"year": moment.year, "number": till.count(f"invoiceNumber:{moment.year}")}
    days = relation.get("paymentWithinDays", DEFAULT_PAYMENT_DAYS)
    return {
        **documents.build_head(till, occasion),
        "invoiceId": till.new_id("invoice"),
        "invoiceNumber": year_number,
        "transactionString": "{year}.{number}".format(**year_number),
        "invoiceBarcode": "F{year}{number:06}".format(**year_number),
        "invoiceType": kind,
        "invoiceAddress": _address(relation, ""),
        "deliveryAddress": _address(relation, "delivery"),
        "relationVatNumber": relation.get("vatNumber", ""),
        "dueDate": to_date(moment.date() + timedelta(days=days)),
        "finalized": False,
        "sessionId": till.new_id("session"),
        "branchInvoiceNumber": _branch_number(till, occasion.branch, moment.year),
    }


def _branch_number(till: Till, branch: int, year: int) -> Record:
    number = till.count(f"branchInvoiceNumber:{branch}.{year}")
    return {"displayString": f"{branch}-{year}-{number}", "branch": branch, "number": {"year": year, "number": number}}


def _address(relation: Record, which: str) -> Record:
    names = ("address", "zipcode", "city", "country")
    own = {name: relation.get(f"{which}{name.capitalize()}" if which else name, "") for name in names}
    return {"name": relation["name"], "contact": relation.get("contact", ""), **own}


def _source(invoice: Record) -> Record:
    return {name: invoice[name] for name in ("invoiceId", "invoiceNumber", "invoiceBarcode")}


def credit(till: Till, invoice: Record, occasion: Occasion, reason: str) -> Record:
    """Credit a whole invoice; returns the credit invoice, which is open until money goes back."""
    items = [mirror(line, invoice["vatMethod"]) for line in invoice["lineList"]["line"]]
    links = {"creditedInvoiceId": invoice["invoiceId"], "creditedReason": reason}
    return issue(till, items, [], occasion, kind=CREDIT, links=links)


def pay(till: Till, invoice: Record, tenders: Sequence[Tender], occasion: Occasion) -> Record:
    """Pay (a part of) an invoice; raises `Refused` when it would be paid too much or the method is unknown."""
    unknown = [tender.method for tender in tenders if tender.method not in till["payment_methods"]]
    if unknown or not tenders:
        raise Refused("FAILED", f"Unknown payment method: {', '.join(unknown)}" if unknown else "No payments given.")
    open_amount = invoice["totalInclAmount"] - invoice["paidAmount"]
    amount = sum(tender.amount_cents for tender in tenders)
    if abs(amount) > abs(open_amount):
        raise Refused("PAYMENT-TOO-HIGH", f"Only {open_amount} cents are open.")
    documents.add_payments(till, invoice, tenders, documents.get_moment(till, occasion))
    documents.settle(invoice, "INVOICE")
    invoice["changeCounter"] += 1
    return documents.store(till, "invoice", invoice, "payInvoice", paid=amount)


def edit(till: Till, invoice: Record, items: Sequence[ItemSold], occasion: Occasion) -> Record:
    """Replace the lines of an invoice that is not final: one version up, stock moved by the difference."""
    if invoice["finalized"]:
        raise Refused("FAILED", "The invoice is final and cannot be changed.")
    back = [mirror(line, invoice["vatMethod"]) for line in invoice["lineList"]["line"]]
    new = documents.build_lines(till, items, occasion)
    for lines in (documents.build_lines(till, back, occasion), new):
        stock.sell(till, invoice["financialBranchNumber"], lines["lineList"]["line"], _source(invoice))
    invoice.update(new)
    documents.settle(invoice, "INVOICE")
    documents.bump_version(invoice)
    return documents.store(till, "invoice", invoice, "editInvoice", version=invoice["versionNumber"])


def finalize(till: Till, invoice: Record) -> None:
    """Make an invoice final, once; that is a change, so its marker rises."""
    if not invoice["finalized"]:
        invoice["finalized"], invoice["finalizedTimestamp"] = True, to_moment(till.clock())
        documents.store(till, "invoice", invoice, "finalizeInvoice")


def show(till: Till, invoice: Record, request: Record) -> Record:
    """An invoice as getInvoices writes it; without lines its references to orders are not loaded either."""
    return documents.show(till, invoice, () if request.get("includeLineList", True) else ("lineList", *REFERENCES))

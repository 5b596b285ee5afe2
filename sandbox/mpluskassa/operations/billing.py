"""Operations on invoices: read, find, pay, save."""

from __future__ import annotations

from sandbox.mpluskassa import documents, drafts, invoices
from sandbox.mpluskassa.documents import Occasion
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till


def get_invoices(till: Till, request: Record) -> Record:
    """Invoices, from a marker on or by filter; `finalizeInvoices` makes those it returns final."""
    asked = request["request"]
    found = documents.list_documents(till, "invoice", asked)
    if asked.get("finalizeInvoices"):
        for invoice in found:
            invoices.finalize(till, invoice)
    return {"invoiceList": {"invoice": [invoices.show(till, row, asked) for row in found]}}


def get_invoice(till: Till, request: Record) -> Record:
    """One invoice by its id."""
    return _one(till, till["invoices"].find(request["invoiceId"]))


def find_invoice(till: Till, request: Record) -> Record:
    """One invoice by its external id."""
    return _one(till, _find_by_ext_id(till, request["extInvoiceId"]))


def _find_by_ext_id(till: Till, ext_id: str | None) -> Record | None:
    return next((row for row in till["invoices"] if ext_id and row.get("extInvoiceId") == ext_id), None)


def _one(till: Till, invoice: Record | None) -> Record:
    if invoice is None:
        return {"result": "GET-INVOICE-RESULT-NOT-FOUND"}
    return {"result": "GET-INVOICE-RESULT-OK", "invoice": invoices.show(till, invoice, {})}


def pay_invoice(till: Till, request: Record) -> Record:
    """Payments booked on an invoice."""
    asked = request["request"]
    invoice = till["invoices"].find(asked["invoiceId"])
    if invoice is None:
        return {"result": "PAY-INVOICE-RESULT-FAILED", "errorMessage": "The invoice does not exist."}
    try:
        invoices.pay(till, invoice, drafts.read_tenders(asked), Occasion())
    except Refused as refusal:
        return {"result": f"PAY-INVOICE-RESULT-{refusal.result}", "errorMessage": refusal.message}
    return {"result": "PAY-INVOICE-RESULT-OK", "errorMessage": ""}


def save_invoice(till: Till, request: Record) -> Record:
    """A new invoice, or a changed one when an id is given; a change needs the version that was read."""
    draft = request["invoice"]
    try:
        invoice = _change(till, draft) if draft.get("invoiceId") else _create(till, draft)
    except Refused as refusal:
        info = {"invoiceId": draft.get("invoiceId", ""), "invoiceString": ""}
        return {"result": f"SAVE-INVOICE-RESULT-{refusal.result}", "info": info, "errorMessage": refusal.message}
    info = {"invoiceString": invoice["transactionString"]}
    info |= {name: invoice[name] for name in ("invoiceId", "invoiceNumber", "invoiceBarcode")}
    return {"result": "SAVE-INVOICE-RESULT-OK", "info": info, "errorMessage": ""}


def _create(till: Till, draft: Record) -> Record:
    ext_id = draft.get("extInvoiceId")
    if _find_by_ext_id(till, ext_id):
        raise Refused("EXT-INVOICE-ID-ALREADY-EXISTS", f"External invoice id {ext_id} was used before.")
    links = {"extInvoiceId": ext_id} if ext_id else {}
    occasion, items = drafts.read_occasion(till, draft), drafts.read_items(till, draft)
    return invoices.issue(till, items, drafts.read_tenders(draft), occasion, links=links)


def _change(till: Till, draft: Record) -> Record:
    invoice = till["invoices"].find(draft["invoiceId"])
    if invoice is None:
        raise Refused("NOT-FOUND", "The invoice does not exist.")
    if any(draft.get(name) != invoice[name] for name in ("versionNumber", "changeCounter")):
        raise Refused("INVOICE-HAS-CHANGED", "The invoice was changed since it was read.")
    return invoices.edit(till, invoice, drafts.read_items(till, draft), drafts.read_occasion(till, draft))


HANDLERS = {
    "getInvoices": get_invoices,
    "getInvoice": get_invoice,
    "findInvoice": find_invoice,
    "payInvoice": pay_invoice,
    "saveInvoice": save_invoice,
}

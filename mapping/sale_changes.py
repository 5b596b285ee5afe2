"""What a later version of a sale means for the document that an earlier one became."""

from __future__ import annotations

from dataclasses import replace

from mapping.fingerprints import fingerprint
from mapping.records import DocumentKind, Sale
from mapping.sale_identity import document_kind, moves_money
from mapping.sections import OrderSettings

CANCELLED_ORDER = "ORDER-CANCEL-STATE-COMPLETE"


def content(sale: Sale) -> str:
    """The sale's own fingerprint: what it says, not when the till last touched it."""
    return fingerprint(replace(sale, sync_marker=None, change_counter=None, version=None))


def goods(sale: Sale) -> str:
    """The fingerprint of what was sold, to whom and when: everything but how far it is paid."""
    unpaid = replace(sale, payments=(), paid_cents=0, state="", finalized=None)
    return content(unpaid)


def is_withdrawn(sale: Sale) -> bool:
    """Whether nothing of the sale is left: an order that was cancelled, or a total of nothing."""
    is_something = sale.total_incl_cents or sale.total_excl_cents or moves_money(sale)
    return sale.state == CANCELLED_ORDER or not is_something


def kind_now(sale: Sale, settings: OrderSettings, booked_as: str) -> DocumentKind:
    """The document a changed sale is to be: an invoice stays one when it is paid, all else follows the sale."""
    natural = document_kind(sale, settings)
    keeps = booked_as == DocumentKind.INVOICE and natural is DocumentKind.SALES_RECEIPT
    return DocumentKind.INVOICE if keeps else natural

"""What a later version of a sale means for the document of an earlier version."""

from __future__ import annotations

from dataclasses import replace

from mapping.fingerprints import fingerprint
from mapping.records import DocumentKind, Sale
from mapping.sale_identity import document_kind, moves_money
from mapping.sections import OrderSettings

CANCELLED_ORDER = "ORDER-CANCEL-STATE-COMPLETE"


def content(sale: Sale) -> str:
    """The sale's fingerprint: its content, without the time of its last change."""
    return fingerprint(replace(sale, sync_marker=None, change_counter=None, version=None))


def goods(sale: Sale) -> str:
    """The fingerprint of what was sold, to whom and when: everything except its payments."""
    unpaid = replace(sale, payments=(), paid_cents=0, state="", finalized=None)
    return content(unpaid)


def is_withdrawn(sale: Sale) -> bool:
    """Whether nothing of the sale is left: a cancelled order, or a total of zero."""
    is_something = sale.total_incl_cents or sale.total_excl_cents or moves_money(sale)
    return sale.state == CANCELLED_ORDER or not is_something


def kind_now(sale: Sale, settings: OrderSettings, booked_as: str) -> DocumentKind:
    """The kind of document of a changed sale: an invoice stays one when it is paid, otherwise the sale decides."""
    natural = document_kind(sale, settings)
    keeps = booked_as == DocumentKind.INVOICE and natural is DocumentKind.SALES_RECEIPT
    return DocumentKind.INVOICE if keeps else natural

"""The address of a document in QuickBooks' own pages, so that a person can open it there. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from gateway.settings import PRODUCTION_API, SANDBOX_API, Settings
from gateway.store.sales_list import ListedSale

_HOSTS: Final = {
    PRODUCTION_API: "https://app.qbo.intuit.com",
    SANDBOX_API: "https://app.sandbox.qbo.intuit.com",
}
"""By the address of the API in use: one that was overridden, such as a simulator's, has no pages."""
_PAGES: Final = {
    "SalesReceipt": "salesreceipt",
    "RefundReceipt": "refundreceipt",
    "Invoice": "invoice",
    "CreditMemo": "creditmemo",
}


def find_address(settings: Settings, entity: str | None, document_id: str | None) -> str | None:
    """Where QuickBooks shows this document to somebody who is logged in there; None if it has no such page."""
    host, page = _HOSTS.get(settings.quickbooks_api_url), _PAGES.get(entity or "")
    if not (host and page and document_id and document_id.isascii() and document_id.isdigit()):
        return None
    return f"{host}/app/{page}?{urlencode({'txnId': document_id})}"


def find_address_of(settings: Settings, sale: ListedSale) -> str | None:
    """Where QuickBooks shows the document of a sale; None for one that is deleted there."""
    if sale.is_document_gone:
        return None
    return find_address(settings, sale.row.document_entity, sale.row.document_id)

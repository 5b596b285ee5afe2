"""The stored link of a booked sale: its document, and the document's content when last read or written.

A link without a fingerprint means that the document exists but a later step was not finished.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlmodel import Session

from gateway.connectors import texts
from gateway.connectors.quickbooks import wire_documents
from gateway.connectors.quickbooks.wire_content import content_of, contents_of, references_of
from gateway.store import links
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.session import reading
from handlers.deps import Deps
from mapping import sale_changes, sale_identity
from mapping.records import BookedDocument, Sale, SalesDocument
from mapping.sale_identity import CONTENT_LENGTH, sign_content, unsigned

Raw: TypeAlias = Mapping[str, Any]
_HEAD = ("TxnDate", "DocNumber", "CustomerRef", "DepartmentRef", "PaymentMethodRef", "DepositToAccountRef")
_NOT_TEXT = re.compile(r"[^0-9A-Za-z]+")
WRITTEN = (LinkKind.DAY_DOCUMENT, LinkKind.DOCUMENT, LinkKind.MONEY, LinkKind.DEPOSIT)
"""The kinds of links to documents of the books, the most specific first."""
GONE_IN_BOOKS = "gone-in-books"
"""Code of the messages about a document that was removed from the books."""
REFERENCES = "references"
"""The customer and items in the document when last read."""


def find(sale_id: str, deps: Deps) -> Link | None:
    """The link of a sale that was booked, or None."""
    with reading(deps.engine) as session:
        return links.find(session, deps.connection, LinkKind.DOCUMENT, sale_id)


def find_document(entity: str, document_id: str, deps: Deps) -> Link | None:
    """The link of a document of the books that we wrote: of a day, of a sale, or of money beside one; or None."""
    with reading(deps.engine) as session:
        found = [each for kind in WRITTEN for each in links.find_by_target(session, deps.connection, kind, document_id)]
    return next((link for link in found if link.target_entity == entity), None)


def detail(link: Link, name: str) -> Any:
    """The link's detail with this name, or None."""
    return (link.detail or {}).get(name)


def name_document(link: Link) -> str:
    """The document of a link as messages name it."""
    return sale_identity.name_document(link.target_entity, detail(link, "document_number"), link.target_id)


def to_link(sale: Sale, booked: BookedDocument, *, finished: bool, **more: Any) -> Link:
    """The link of a sale with the document as the books answered it."""
    known = {
        "number": sale.number,
        "document_number": booked.document_number,
        "total_cents": sale.total_incl_cents,
        "goods": sale_changes.goods(sale),
        **seen(booked.raw),
        "dated": booked.business_date.isoformat() if booked.business_date else None,
    }
    known |= more
    fingerprint = sale_changes.content(sale) if finished else None
    return Link(LinkKind.DOCUMENT, sale.id, booked.kind, booked.id, booked.sync_token, fingerprint, known)


def seen(raw: Raw) -> dict[str, Any]:
    """The stored details of a document as it is in the books, to recognise a later edit."""
    return {"seen": content_of(raw), REFERENCES: references_of(raw)}


def note(link: Link, status: BookingStatus, deps: Deps) -> Link:
    """Store at once what became of a booked sale."""
    changed = dataclasses.replace(link, status=status)
    deps.remember(changed)
    return changed


def mark_gone(session: Session, link: Link, how: BookingStatus, deps: Deps) -> bool:
    """Store that the linked document is gone, unless the link names another document by now; whether it did."""
    now = links.find(session, deps.connection, LinkKind(link.kind), link.source_id)
    if now is None or (now.target_entity, now.target_id) != (link.target_entity, link.target_id):
        return False
    links.save(session, deps.connection, dataclasses.replace(now, status=how))
    return True


def begin(link: Link, deps: Deps, *, status: BookingStatus | None = None, **facts: Any) -> Link:
    """Store what is about to be written. Until the write is finished, the link does not count as done."""
    detail = {**(link.detail or {}), **facts}
    begun = dataclasses.replace(link, fingerprint=None, detail=detail, status=status or link.status)
    deps.remember(begun)
    return begun


def intended(document: SalesDocument, *, send_number: bool) -> str:
    """What the books will return for a document after the write; to recognise a write whose answer was lost.

    Without characters in its note that the books may not accept: see `contents_of`.
    """
    body = _to_body(document, send_number=send_number)
    plain, _ = texts.to_basic_plane(body.get("PrivateNote"))
    return content_of({**body, "PrivateNote": plain, "TotalAmt": document.total})


def sign(document: SalesDocument, *, send_number: bool) -> SalesDocument:
    """The document as it is sent: its signature names its content."""
    return sign_content(document, intended(document, send_number=send_number))


def _to_body(document: SalesDocument, *, send_number: bool) -> dict[str, Any]:
    # A note that is cut has the length of the sent one only with a signature as long as that.
    as_long = sign_content(document, "0" * CONTENT_LENGTH)
    return wire_documents.to_document_body(as_long, send_tax_detail=True, send_number=send_number)


def is_as_intended(booked: BookedDocument, document: SalesDocument, *, send_number: bool) -> bool:
    """Whether the books already contain what would be written, including the payment method."""
    method = (booked.raw.get("PaymentMethodRef") or {}).get("value")
    same_kind = booked.kind is document.kind and document.payment_method_id in (None, method)
    return same_kind and intended(document, send_number=send_number) in contents_of(booked.raw)


def is_the_write(booked: BookedDocument, document: SalesDocument, *, send_number: bool) -> bool:
    """Whether the books' answer equals what was sent, apart from the totals, which they compute.

    Characters that they may have replaced in a note do not count.
    """
    sent = _to_body(document, send_number=send_number)
    return booked.kind is document.kind and _said(booked.raw, sent) == _said(sent, sent)


def _said(source: Raw, sent: Raw) -> list[object]:
    head = [_value(source.get(name)) for name in _HEAD if sent.get(name) is not None]
    note = _NOT_TEXT.sub("", unsigned(source.get("PrivateNote")))
    plain = {"Line": source["Line"], "TotalAmt": 0} if source.get("Line") else {"TotalAmt": 0}
    return [*head, note, content_of(plain)]


def _value(field: Any) -> str:
    return str(field.get("value") if isinstance(field, Mapping) else field)


def find_other(sale: Sale, deps: Deps) -> str | None:
    """Why this sale must not be booked: it was booked as another record (an order, or its receipt or invoice)."""
    with reading(deps.engine) as session:
        orders = links.find_all(session, deps.connection, LinkKind.DOCUMENT, sale.order_ids) if sale.order_ids else {}
        claimed = links.find(session, deps.connection, LinkKind.ORDER, sale.id)
    if booked := next(iter(orders.values()), None):
        return f"this sale is booked already, as the order {detail(booked, 'number') or booked.source_id}"
    return f"this order is booked already, as {detail(claimed, 'number')}" if claimed else None


def claim_orders(sale: Sale, booked: BookedDocument, deps: Deps) -> None:
    """Store that these orders are booked by this sale."""
    for order_id in sale.order_ids:
        deps.remember(Link(LinkKind.ORDER, order_id, booked.kind, booked.id, detail={"number": sale.number}))

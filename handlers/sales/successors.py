"""A document of ours is gone from the books, and another one there has its marker: its successor.

Writes that this database does not know make one: of another installation, or from after a backup that was restored.
The sale (or the order) is handled again and links the successor; so its own event writes its links.
"""

from __future__ import annotations

from datetime import date

from sqlmodel import Session

from gateway.store import links
from gateway.store.events import Change, Flow
from gateway.store.links import BookingStatus, Link, LinkKind
from gateway.store.session import reading, writing
from handlers.deps import Deps
from handlers.sales import bookings, documents, till_sales
from mapping.records import BookedDocument, SaleKind
from mapping.sale_identity import find_tag

_SALE_KINDS = {kind.value.lower(): kind for kind in SaleKind}
_ORDER = SaleKind.ORDER.lower()


def find(link: Link, deps: Deps) -> BookedDocument | None:
    """Another document in the books with the marker of this link's document, or None. Reads each kind of document."""
    number, dated = bookings.detail(link, "document_number"), bookings.detail(link, "dated")
    days = [date.fromisoformat(dated)] if dated else []
    if not (number and tags(link)) or not (days or deps.lists.company().custom_document_numbers):
        return None
    return documents.find_tagged(tags(link), [number], days, deps)


def tags(link: Link) -> frozenset[str]:
    """The possible tags of the marker of a link's document; none for a day's."""
    match link.kind:
        case LinkKind.DOCUMENT if not link.day:
            return frozenset(f"{name}:{link.source_id}" for name in _SALE_KINDS)
        case LinkKind.MONEY | LinkKind.DEPOSIT:
            return frozenset({_tag_of_part(link)})
        case _:
            return frozenset()


def _tag_of_part(link: Link) -> str:
    if link.kind == LinkKind.DEPOSIT:
        order_id, _, payment = link.source_id.partition("/")
        return f"order:{order_id}:deposit:{'_'.join(payment.split())}"
    return link.source_id.split("/", 2)[2].removeprefix("kassabridge:")


def find_link(note: str | None, deps: Deps) -> Link | None:
    """The link of the sale, the deposit or the money beside a sale that the marker in a note names; None for a day."""
    kind, sale_id, part = _split(note)
    if kind not in _SALE_KINDS or not sale_id:
        return None
    main = None if kind == _ORDER and part else bookings.find(sale_id, deps)
    if not part or (main is None and kind != _ORDER):
        return main
    like, prefix = LinkKind.DEPOSIT, f"{sale_id}/"
    if main is not None:
        like, prefix = LinkKind.MONEY, f"{main.target_entity}/{main.target_id}/"
    with reading(deps.engine) as session:
        under = links.find_under(session, deps.connection, like, prefix)
    return next((link for link in under if find_tag(note) in tags(link)), None)


def hand_on(link: Link, how: BookingStatus, successor: BookedDocument, deps: Deps) -> None:
    """Store that the linked document is gone, and handle its sale again: it follows the successor."""
    with writing(deps.engine) as session:
        if bookings.mark_gone(session, link, how, deps) and link.kind != LinkKind.DOCUMENT:
            links.save(session, deps.connection, _to_part(link.kind, link.source_id, successor, link.generation + 1))
            _mark_unsure(session, link, deps)
    _pass_on(successor, deps)


def adopt(document: BookedDocument, deps: Deps) -> bool:
    """Link a deposit, or money beside a sale, that no link names; its sale is handled again, and keeps or removes it.

    False if it is none, or its sale is not booked.
    """
    kind, sale_id, part = _split(document.private_note)
    main = bookings.find(sale_id, deps)
    if not part or kind not in _SALE_KINDS or (main is None and kind != _ORDER):
        return False
    key, like = f"{sale_id}/{part.removeprefix('deposit:')}", LinkKind.DEPOSIT
    if main is not None and kind != _ORDER:
        key, like = f"{main.target_entity}/{main.target_id}/kassabridge:{kind}:{sale_id}:{part}", LinkKind.MONEY
    link = _to_part(like, key, document, 0)
    with writing(deps.engine) as session:
        links.add(session, deps.connection, link)
        _mark_unsure(session, link, deps)
    _pass_on(document, deps)
    return True


def find_day_documents(note: str | None, deps: Deps) -> list[Link]:
    """The linked documents of the day that the marker in a note names; none if it names no day."""
    kind, branch, rest = _split(note)
    if kind != "day":
        return []
    with reading(deps.engine) as session:
        return links.find_under(session, deps.connection, LinkKind.DAY_DOCUMENT, f"{branch}:{rest.split(':')[0]}/")


def is_of_known_sale(note: str | None, deps: Deps) -> bool:
    """Whether the marker in a note names a sale that is booked, a deposit, or a day that is booked."""
    kind, sale_id, part = _split(note)
    if find_day_documents(note, deps):
        return True
    return kind in _SALE_KINDS and bool((kind == _ORDER and part) or bookings.find(sale_id, deps))


def _split(note: str | None) -> tuple[str, str, str]:
    kind, _, identity = (find_tag(note) or "").partition(":")
    sale_id, _, part = identity.partition(":")
    return kind, sale_id, part


def _to_part(kind: str, source_id: str, document: BookedDocument, generation: int) -> Link:
    """A link without a fingerprint: the document is to be compared with the sale."""
    dated = document.business_date.isoformat() if document.business_date else None
    detail = {"document_number": document.document_number, "dated": dated}
    return Link(kind, source_id, document.kind, document.id, document.sync_token, None, detail, generation)


def _mark_unsure(session: Session, link: Link, deps: Deps) -> None:
    """The document of the sale is checked again, with the money beside it."""
    if link.kind != LinkKind.MONEY:
        return
    entity, document_id, _ = link.source_id.split("/", 2)
    beside = links.find_by_target(session, deps.connection, LinkKind.DOCUMENT, document_id)
    links.mark_unsure(session, deps.connection, [each for each in beside if each.target_entity == entity])


def _pass_on(document: BookedDocument, deps: Deps) -> None:
    kind, sale_id, _ = _split(document.private_note)
    deps.pass_on(
        Change(
            key=f"successor:{deps.connection}:{document.kind}:{document.id}:{deps.now():%Y%m%d%H%M%S}",
            flow=Flow.ORDERS,
            source="gateway",
            entity=till_sales.ENTITIES[_SALE_KINDS[kind]],
            entity_id=sale_id,
            connection=deps.connection,
            careful=True,
        )
    )

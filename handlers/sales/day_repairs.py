"""A person's resend of a summed-up day: restore its documents and their payments that were removed."""

from __future__ import annotations

from gateway.errors import NotFound
from gateway.store import links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.sales import repairs, settlement
from mapping.day_summary import Day
from mapping.records import DocumentKind


def is_complete(day: Day, deps: Deps) -> bool:
    """Whether all documents and payments of a day are in the books; reads each of them."""
    return not any(is_gone(link, deps) or _lacks_payments(link, deps) for link in documents(day, deps))


def documents(day: Day, deps: Deps) -> list[Link]:
    """The known documents of a day and its corrections."""
    with reading(deps.engine) as session:
        return links.find_under(session, deps.connection, LinkKind.DAY_DOCUMENT, f"{day.key}/")


def is_gone(link: Link, deps: Deps) -> bool:
    """Whether the document was deleted or voided in the books."""
    try:
        return deps.books.document(DocumentKind(link.target_entity), link.target_id).voided
    except NotFound:
        return True


def _lacks_payments(link: Link, deps: Deps) -> bool:
    repairs.look(link, deps)
    return bool(_lost_payments(link, deps))


def _lost_payments(link: Link, deps: Deps) -> list[str]:
    posted = settlement.posted_on(link.target_entity, link.target_id, deps)
    return [key for key, each in posted.items() if each.status.is_gone]


def let_go(day: Day, deps: Deps) -> None:
    """Forget payments that are gone and were not posted again, because another payment settles their document."""
    for link in documents(day, deps):
        for key in _lost_payments(link, deps):
            deps.forget(LinkKind.PAYMENT, key)


def forget(link: Link, deps: Deps) -> None:
    """Forget a document that is gone; the payments on it are searched by their notes."""
    for key in settlement.find_keys(link, deps):
        deps.forget(LinkKind.PAYMENT, key)
    deps.forget(LinkKind.DAY_DOCUMENT, link.source_id)

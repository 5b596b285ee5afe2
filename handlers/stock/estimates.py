"""Pieces promised on the books' open estimates: read together, stored for every process, read again after a change.

Reads of the books are metered: one read returns five hundred estimates and serves the stock of many items.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from gateway.store import links
from gateway.store.events import Event, Flow
from gateway.store.links import Link, LinkKind
from handlers.catalogue import items
from handlers.catalogue.items import ItemReading
from handlers.deps import Deps
from handlers.polling.books_feed import ESTIMATE
from handlers.result import Result, done, skipped
from mapping.messages import message

KEEP = timedelta(hours=4)
"""A webhook or change data capture reports a change; this limit is for changes that both missed."""
_SOURCE = "estimates"


@dataclass(frozen=True, slots=True)
class Promised:
    """Pieces by item id, as they were in the books at this time of the database's clock or later."""

    pieces: Mapping[str, Decimal]
    read_at: datetime


def pieces(deps: Deps) -> Mapping[str, Decimal]:
    """Pieces by item id on open estimates; empty if the settings do not count them."""
    if not deps.settings.stock.count_estimates:
        return {}
    kept = _find(deps)
    if kept is None or items.now(deps) - kept.read_at > KEEP:
        kept = _read(deps)
        deps.remember(_to_link(kept))
    return kept.pieces


def handle(event: Event, deps: Deps) -> Result:
    """An estimate changed: measure the stock of every item whose promised pieces changed."""
    if not (deps.settings.stock.enabled and deps.settings.stock.count_estimates):
        return skipped("open estimates do not count as reserved in the settings")
    kept = _find(deps)
    if kept and event.received_at < kept.read_at and not items.is_repeated(event):
        return done("counted already: the estimates were read after this event came")
    read = _read(deps)
    former = kept.pieces if kept else {}
    changed = sorted(id_ for id_ in {*former, *read.pieces} if former.get(id_) != read.pieces.get(id_))
    follow = tuple(
        items.follow(Flow.STOCK, event, ItemReading(item, read.read_at), key=f"{event.key}>stock:{item.id}")
        for item in deps.books.items_by_ids(changed)
        if item.quantity_on_hand is not None
    )
    # In one transaction with the outcome: their stock must not be measured with the earlier figures.
    result = done(message("other pieces of {n} items are promised", n=len(follow)), links=(_to_link(read),))
    return dataclasses.replace(result, changes=follow)


def _read(deps: Deps) -> Promised:
    read_at = items.now(deps)
    return Promised(deps.books.pieces_on_estimates(), read_at)


def _find(deps: Deps) -> Promised | None:
    link = deps.read(links.find, LinkKind.STOCK, _SOURCE)
    detail = link.detail if link else None
    if not detail:
        return None
    found = {id_: Decimal(count) for id_, count in detail["pieces"].items()}
    return Promised(found, datetime.fromisoformat(detail["read_at"]))


def _to_link(promised: Promised) -> Link:
    counted = {id_: str(count) for id_, count in sorted(promised.pieces.items())}
    detail = {"pieces": counted, "read_at": promised.read_at.isoformat()}
    return Link(LinkKind.STOCK, _SOURCE, ESTIMATE, "", detail=detail)

"""Read a feed of the till from its beginning for a backfill: one page and its position at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from gateway.store.events import BACKFILL, Change, Event
from handlers.backfills import pages
from handlers.deps import Deps
from handlers.polling import till_feed
from handlers.polling.till_feed import TillSource


def handle(
    event: Event,
    deps: Deps,
    source: TillSource,
    start: tuple[int, int],
    wanted: Callable[[Any], bool] = lambda record: True,  # noqa: ARG005 - everything is wanted
) -> int:
    """Receive the wanted records of one kind from a marker on; returns how many were new.

    `start` is the index of the kind in its backfill, and the marker reached. A record that cannot be read is
    received too, so that a person gets a message.
    """
    kind, marker = start
    count = 0
    while page := source.read(deps, marker + 1):
        chosen = dataclasses.replace(page, records=tuple(record for record in page if wanted(record)))
        changes = [_to_backfill(event, change) for change in till_feed.to_changes(deps, source, chosen)]
        reached = page.marker or marker
        count += pages.receive(event, deps, changes, f"{kind}:{reached}", read=len(changes))
        if reached <= marker:
            break
        marker = reached
    return count


def find_start(event: Event, deps: Deps) -> tuple[int, int]:
    """The kind of record that an earlier attempt reached, and its marker."""
    kind, _, marker = (pages.find_position(event, deps) or "0:0").partition(":")
    return int(kind), int(marker)


def _to_backfill(event: Event, change: Change) -> Change:
    return change._replace(key=f"{event.key}:{change.entity_id}", source="backfill", priority=BACKFILL)
